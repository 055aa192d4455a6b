"""A TCP proxy in front of an object store that makes it refuse, fail, crawl, or end in the middle.

Used by the tests of copies. Runs in a thread of the test; its attributes may be set from any thread and act at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Self
from urllib.parse import urlsplit

CHUNK = 65536


class StoreProxy:
    """The proxy; a context manager.

    Attributes:
        url: of the proxy.
        status: answered to everything, such as 503; None: the store answers.
        per_second: so many bytes to the store pass in a second, all connections together; None: as many as come.
        budget: so many bytes more pass to the store, then every connection is cut; None: all.
        back_budget: so many bytes more pass from the store, then that connection is cut, once; None: all.
        passed, brought: bytes that have passed to the store, and from it.
        cuts: connections that were cut.
    """

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._host, self._port = parts.hostname, parts.port
        self.url = ""
        self.status: int | None = None
        self.per_second: int | None = None
        self.budget: int | None = None
        self.back_budget: int | None = None
        self.passed = self.brought = 0
        self.cuts = 0
        self._free = 0.0
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._ends = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="store proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def heal(self) -> None:
        """No more faults."""
        self.status = self.per_second = self.budget = self.back_budget = None

    async def _start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    async def _stop(self) -> None:
        """End every connection, also those that were accepted but not served yet: a closed server would forget them."""
        self._ends = True
        for task, writer in self._open.items():
            task.cancel()
            writer.transport.abort()
        while rest := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.gather(*rest, return_exceptions=True)
        self._server.close()
        await asyncio.sleep(0)  # transports are closed a moment after they were told so

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._ends:
            writer.transport.abort()
            return
        task = self._loop.create_task(self._serve(reader, writer))
        self._open[task] = writer
        task.add_done_callback(self._open.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                await (self._pass(reader, writer) if self.status is None else self._answer(reader, writer, self.status))
        finally:
            await _end(writer)

    @staticmethod
    async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: int) -> None:
        await reader.read(CHUNK)
        writer.write(f"HTTP/1.1 {status} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(self._host, self._port)
        pumps = [asyncio.create_task(self._up(reader, forth)), asyncio.create_task(self._down(back, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            forth.transport.abort()  # before anything is waited for: this may be cancelled, too
            await asyncio.gather(*pumps, return_exceptions=True)
            await _end(forth)

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            if self.status is not None:
                return
            if self.budget is not None:
                self.budget -= len(chunk)
                if self.budget < 0:
                    self.cuts += 1
                    return
            if self.per_second is not None:
                now = self._loop.time()
                self._free = max(self._free, now) + len(chunk) / self.per_second
                await asyncio.sleep(self._free - now)
            writer.write(chunk)
            await writer.drain()
            self.passed += len(chunk)

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            if self.back_budget is not None:
                self.back_budget -= len(chunk)
                if self.back_budget < 0:
                    self.back_budget = None
                    self.cuts += 1
                    return
            writer.write(chunk)
            await writer.drain()
            self.brought += len(chunk)


async def _end(writer: asyncio.StreamWriter) -> None:
    if not writer.is_closing():
        writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
