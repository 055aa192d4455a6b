"""The simulated cluster inside the process: an httpx transport, fast and good for virtual time.

Used by: `httpx.AsyncClient(transport=SimTransport(sim))`; several clusters by host with `SimTransport({host: sim})`.
"""

import math
from collections.abc import AsyncIterator, Mapping
from urllib.parse import unquote

import httpx

from tests.flinksim.cluster import FlinkSim
from tests.flinksim.exchange import Broken, Sent, exchange
from tests.flinksim.request import Request


class SimTransport(httpx.AsyncBaseTransport):
    """Carries requests to a simulated cluster.

    Args:
        sim: one cluster for every address, or clusters by host; other hosts refuse connections.
        prefix: of the path, as behind an ingress.
    """

    def __init__(self, sim: FlinkSim | Mapping[str, FlinkSim], *, prefix: str = "") -> None:
        self._sims = sim
        self._prefix = prefix

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Exchange one request; time-outs are those of the request, in the cluster's time."""
        sim = self._sims if isinstance(self._sims, FlinkSim) else self._sims.get(request.url.host)
        content = await request.aread()
        if sim is None:
            raise httpx.ConnectError("[Errno 111] Connection refused", request=request)
        patience = request.extensions.get("timeout", {}).get("read")
        sent = await exchange(sim, self._read(request, content), math.inf if patience is None else patience)
        match sent:
            case Broken.REFUSED:
                raise httpx.ConnectError("[Errno 111] Connection refused", request=request)
            case Broken.CUT:
                raise httpx.ReadError("", request=request)
            case Broken.SILENT:
                raise httpx.ReadTimeout("", request=request)
            case Sent():
                headers = {"content-type": sent.content_type}
                body = _Cut(sent.content) if sent.cut else httpx.ByteStream(sent.content)
                return httpx.Response(sent.status, headers=headers, stream=body, request=request)

    def _read(self, request: httpx.Request, content: bytes) -> Request:
        path = request.url.raw_path.decode().partition("?")[0].removeprefix(self._prefix)
        return Request(
            method=request.method,
            path="/".join(unquote(part) for part in path.split("/")),
            query=dict(request.url.params),
            content=content,
            content_type=request.headers.get("content-type", ""),
        )


class _Cut(httpx.AsyncByteStream):
    """Half of a body, then the connection breaks."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content[: len(self._content) // 2]
        raise httpx.ReadError("")
