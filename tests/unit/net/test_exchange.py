"""Whatever moment an exchange is ended at, no place in the pool is lost, no socket stays open, and the next one works."""

from __future__ import annotations

import asyncio
import gc
import random
import warnings
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest

from flinkjob.core.errors import Unreachable
from flinkjob.flink.rest import FlinkRest
from flinkjob.net.checked import CheckedTransport
from flinkjob.net.permits import Permits

MOMENTS = 60
"""Turns of the event loop after which an exchange is ended; one that is let be takes about 30."""


class Server:
    """Answers slowly, in pieces; counts the connections that are open."""

    def __init__(self) -> None:
        self.open = 0
        self.pause = 0.0
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                for piece in (b"HTTP/1.1 200 OK\r\nContent-", b"Length: 4\r\n\r\n", b"{", b"  }"):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(self.pause)
                    await self.goes_on.wait()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


class Line:
    """A client of a server and its pool, which has few permits."""

    def __init__(self, server: Server, port: int, keep: int = 3, expiry: float = 5.0) -> None:
        self.server, self.port = server, port
        self.permits = Permits(8, each=8)
        self.transport = CheckedTransport(
            lambda _: None,
            limits=httpx.Limits(max_connections=3, max_keepalive_connections=keep, keepalive_expiry=expiry),
            permits=self.permits,
        )
        self.http = httpx.AsyncClient(transport=self.transport, trust_env=False)
        self.rest = FlinkRest(self.http, f"http://127.0.0.1:{port}", timeout=5)

    async def ask(self, timeout: float = 5.0) -> None:
        assert (await self.rest.call("GET", "/", timeout=timeout)).body == {}


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    line = Line(server, listening.sockets[0].getsockname()[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield line
        await line.http.aclose()
        server.goes_on.set()
        async with asyncio.timeout(10):
            while server.open:
                await asyncio.sleep(0.001)
        gc.collect()
        assert line.permits.taken == 0
    listening.close()
    await listening.wait_closed()


@pytest.mark.connection("ended-at-any-moment")
@pytest.mark.parametrize("connected", [False, True], ids=["while connecting", "on an open connection"])
async def test_cancelled_at_any_moment(line: Line, connected: bool) -> None:
    used = line if connected else Line(line.server, line.port, keep=0)
    for moment in range(MOMENTS):
        await used.ask()
        task = asyncio.create_task(used.ask(3600))
        for _ in range(moment):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() or task.exception() is None
        assert used.transport.idle, f"after {moment} turns"
    await used.ask()
    await used.http.aclose()
    assert used.permits.taken == 0


@pytest.mark.connection("ended-at-any-moment")
async def test_cancelled_while_several_connections_are_closed(line: Line) -> None:
    for moment in range(12):
        used = Line(line.server, line.port, expiry=0.01)
        await asyncio.gather(*(used.ask() for _ in range(3)))
        await asyncio.sleep(0.02)  # none of them is kept any more
        task = asyncio.create_task(used.ask(3600))
        for _ in range(moment):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        del task
        gc.collect()
        await used.http.aclose()
        assert used.permits.taken == 0, f"after {moment} turns"


@pytest.mark.connection("ended-at-any-moment")
async def test_out_of_time_at_any_moment(line: Line) -> None:
    line.server.pause = 0.001
    chance = random.Random(7)
    for _ in range(150):
        with suppress(Unreachable):
            await line.ask(chance.uniform(0.0002, 0.006))
        assert line.transport.idle
    await line.ask()


@pytest.mark.connection("one-limit")
async def test_an_answer_in_drops_does_not_outlast_the_limit(line: Line) -> None:
    line.server.pause = 0.3
    with pytest.raises(Unreachable, match="no answer in time"):
        await line.ask(0.4)
    assert line.transport.idle


@pytest.mark.connection("ended-at-any-moment")
async def test_closing_ends_what_is_under_way(line: Line) -> None:
    line.server.goes_on.clear()
    asked = [asyncio.create_task(line.ask(3600)) for _ in range(3)]
    async with asyncio.timeout(10):
        while line.server.open < 3:
            await asyncio.sleep(0.001)
    connecting = asyncio.create_task(line.ask(3600))
    await asyncio.sleep(0)
    await line.http.aclose()
    await asyncio.wait({*asked}, timeout=10)
    assert all(isinstance(task.exception(), Unreachable) for task in asked)
    connecting.cancel()
    await asyncio.wait({connecting})
