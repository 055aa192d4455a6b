"""A server of somebody who means harm: it answers each request with the same bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

HEAD = "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n{headers}\r\n"


@asynccontextmanager
async def hostile(
    body: Iterable[bytes], *, status: str = "200 OK", headers: str = "", until: asyncio.Event | None = None
) -> AsyncIterator[str]:
    """Its address.

    Args:
        body: is sent piece by piece, as far as the other side takes it.
        headers: further lines of the answer, each ended by CR LF.
        until: the answer is not ended before this.
    """

    under_way: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way[asyncio.current_task()] = writer
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HEAD.format(status=status, headers=headers).encode())
            for piece in body:
                writer.write(piece)
                await writer.drain()
            if until is not None:
                await until.wait()
        with suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"
    finally:
        server.close()
        for writer in under_way.values():
            writer.transport.abort()
        await asyncio.gather(*filter(None, under_way), return_exceptions=True)


class Endless:
    """The same piece again and again; counts how many were taken."""

    def __init__(self, piece: bytes, most: int) -> None:
        self._piece = piece
        self._most = most
        self.taken = 0

    def __iter__(self) -> Endless:
        return self

    def __next__(self) -> bytes:
        if self.taken >= self._most:
            raise StopIteration
        self.taken += 1
        return self._piece


def entry(number: int) -> bytes:
    """A job as Flink writes it, whose name has what may stand between two jobs."""
    tasks = b",".join(b'"%b":1' % state for state in (b"running", b"canceling", b"canceled", b"total", b"created"))
    name = rb"},{ \"jid\": },{" if number % 2 else b"},{"
    return (
        b'{"jid":"%032x","name":"%b","start-time":1,"end-time":-1,"duration":1,"state":"RUNNING",' % (number, name)
        + b'"last-modification":1,"tasks":{%b},"pending-operators":0,"job-type":"STREAMING"}' % tasks
    )
