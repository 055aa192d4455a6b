"""The servers of tests leave no connection open, in whatever moment they stop listening."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from tests.support.connections import end_connections


async def answer(request: web.Request) -> web.Response:
    return web.Response(text="ok")


@pytest.mark.parametrize("turns", range(6))
async def test_a_connection_ends_in_whatever_turn_of_the_loop_it_is_accepted(turns: int) -> None:
    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    client = socket.create_connection(runner.addresses[0])  # waits in the kernel until the loop takes it
    client.setblocking(False)
    try:
        for _ in range(turns):
            await asyncio.sleep(0)
        await end_connections(runner)
        loop = asyncio.get_running_loop()
        try:
            rest = await asyncio.wait_for(loop.sock_recv(client, 1), 5)
        except ConnectionError:
            rest = b""
        assert rest == b""
    finally:
        client.close()
