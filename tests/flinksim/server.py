"""The simulated cluster behind a real HTTP port, for programs that run on their own.

Used by: `async with serve(sim) as url`. Time must be real (`RealClock`).
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from tests.flinksim.cluster import FlinkSim
from tests.flinksim.exchange import Broken, exchange
from tests.flinksim.request import Request
from tests.support.connections import end_connections

_LARGEST_UPLOAD = 1024**3


Note = Callable[[Request, int], None]
"""Is called with each request, and with how many bytes the answer has."""


@asynccontextmanager
async def serve(
    sim: FlinkSim, *, host: str = "127.0.0.1", port: int = 0, note: Note = lambda request, size: None
) -> AsyncIterator[str]:
    """Serve a cluster; yields its URL. Port 0: a free one."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await _handle(sim, request, note)

    app = web.Application(client_max_size=_LARGEST_UPLOAD)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await end_connections(runner)


async def _handle(sim: FlinkSim, request: web.Request, note: Note) -> web.StreamResponse:
    content = await request.read()
    asked = Request(
        method=request.method,
        path=request.path,
        query=dict(request.query),
        content=content,
        content_type=request.headers.get("content-type", ""),
    )
    sent = await exchange(sim, asked)
    note(asked, 0 if isinstance(sent, Broken) else len(sent.content))
    if isinstance(sent, Broken):
        return _abort(request)
    if not sent.cut:
        return web.Response(status=sent.status, body=sent.content, headers={"Content-Type": sent.content_type})
    response = web.StreamResponse(status=sent.status, headers={"Content-Length": str(len(sent.content))})
    await response.prepare(request)
    await response.write(sent.content[: len(sent.content) // 2])
    return _abort(request)


def _abort(request: web.Request) -> web.StreamResponse:
    """Break the connection: as near to a refusal as an open port can come."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
