"""An HTTP proxy in front of the API server that refuses and holds requests, closes watches and makes them silent.

Used by the integration suite: an operator is given a kubeconfig with the proxy's address. Runs in a thread of the test; its
methods may be called from any thread. Answers are passed on as they come, since a watch never ends by itself.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp
import yaml
from aiohttp import web

from deploy.local.ports import free_port
from tests.support.connections import end_connections

_DROPPED = {"transfer-encoding", "content-length", "connection", "host", "accept-encoding"}
_REASONS = {409: "Conflict", 429: "TooManyRequests", 500: "InternalError"}


@dataclass
class Refusal:
    """Requests that are answered with an error, without the API server hearing of them.

    Attributes:
        code: HTTP status; 429 comes with `Retry-After: 1`.
        method, path: which requests, as regular expressions for the whole.
        times: how often.
        hits: how often it happened.
    """

    code: int
    method: str
    path: str
    times: int
    hits: int = field(default=0, init=False)

    def takes(self, method: str, path: str) -> bool:
        """Whether this request meets it; counts it."""
        if self.hits >= self.times or not (re.fullmatch(self.method, method) and re.fullmatch(self.path, path)):
            return False
        self.hits += 1
        return True


class ApiProxy:
    """The proxy; a context manager.

    Args:
        kubeconfig: of the operator, with the API server's address.
        directory: for the kubeconfig that names the proxy instead, `kubeconfig`.
    """

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self._upstream = cluster["server"]
        self._port = free_port()
        config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{self._port}"}
        self.kubeconfig = directory / "proxied.kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(config))
        self._refusals: list[Refusal] = []
        self._held: tuple[str, str] | None = None
        self._holding = 0
        self._watches: dict[int, web.Request] = {}
        self._silent: set[int] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="api proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # faults

    def refuse(self, code: int, *, method: str, path: str, times: int) -> Refusal:
        """Refuses the next requests of a sort."""
        refusal = Refusal(code, method, path, times)
        self._refusals.append(refusal)
        return refusal

    @contextmanager
    def hold(self, *, method: str, path: str) -> Iterator[Callable[[], int]]:
        """Keeps requests of a sort waiting inside, and those that came by then fail; yields how many wait."""
        self._held = (method, path)
        try:
            yield lambda: self._holding
        finally:
            self._held = None

    def close_watches(self) -> int:
        """Cuts all watches that are open; returns how many."""
        return self._call(self._cut_watches())

    def silence_watches(self) -> int:
        """Passes nothing on any more in the watches that are open now, which stay open; returns how many."""
        return self._call(self._mute_watches())

    # inside

    def _call(self, work: object) -> int:
        assert asyncio.iscoroutine(work)
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30) or 0

    async def _open(self) -> None:
        connector = aiohttp.TCPConnector(ssl=False, limit=0)
        self._session = aiohttp.ClientSession(
            auto_decompress=False, connector=connector, timeout=aiohttp.ClientTimeout(total=None)
        )
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    async def _close(self) -> None:
        await self._cut_watches()
        await end_connections(self._runner)
        await self._session.close()

    async def _cut_watches(self) -> int:
        cut = [request for request in self._watches.values() if request.transport is not None]
        for request in cut:
            if request.transport is not None:
                request.transport.abort()
        return len(cut)

    async def _mute_watches(self) -> int:
        self._silent |= set(self._watches)
        return len(self._watches)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        refusal = next((each for each in self._refusals if each.takes(request.method, request.path)), None)
        if refusal is not None:
            reason = _REASONS[refusal.code]
            body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": refusal.code}
            headers = {"Retry-After": "1"} if refusal.code == 429 else {}
            return web.json_response(body | {"message": "refused by the test"}, status=refusal.code, headers=headers)
        if (held := self._held) and re.fullmatch(held[0], request.method) and re.fullmatch(held[1], request.path):
            return await self._keep(request)
        watch = "watch" in request.query
        if watch:
            self._watches[id(request)] = request
        try:
            return await self._forward(request)
        except (aiohttp.ClientError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)
        finally:
            self._watches.pop(id(request), None)
            self._silent.discard(id(request))

    async def _keep(self, request: web.Request) -> web.StreamResponse:
        """Answers nothing while requests are held."""
        self._holding += 1
        try:
            while self._held is not None and request.transport is not None:
                await asyncio.sleep(0.05)
        finally:
            self._holding -= 1
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=502)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _DROPPED}
        url, body = self._upstream + request.raw_path, await request.read()
        async with self._session.request(request.method, url, data=body or None, headers=headers) as upstream:
            kept = {key: value for key, value in upstream.headers.items() if key.lower() not in _DROPPED}
            answer = web.StreamResponse(status=upstream.status, headers=kept)
            await answer.prepare(request)
            async for chunk in upstream.content.iter_any():
                if id(request) not in self._silent:
                    await answer.write(chunk)
            await answer.write_eof()
            return answer
