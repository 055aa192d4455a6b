"""A socket as httpcore wants it, that is closed the moment it is not needed, however its use ends.

Used by `checked`. httpcore's own streams can be lost open when a task is cancelled while it connects, shakes hands or
closes several of them. Here nothing is waited for to close, and every wait ends with the exchange (`exchange.patience`).
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import httpcore

from flinkjob.net.exchange import patience

_RECORD_BYTES: Final = 64 * 1024
T = TypeVar("T")


class SocketStream(httpcore.AsyncNetworkStream):
    """A connected socket; in clear, or encrypted after `start_tls`. One task at a time reads or writes."""

    def __init__(self, connected: socket.socket, closed: Callable[[], None]) -> None:
        """
        Args:
            closed: called when it is closed, perhaps more than once.
        """
        self._socket = connected
        self._when_closed = closed
        self._busy = self._closed = False
        self._tls: ssl.SSLObject | None = None
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()

    @classmethod
    async def connect(
        cls, address: str, port: int, timeout: float | None, closed: Callable[[], None] = lambda: None
    ) -> SocketStream:
        """Connects to an IP address within `timeout` seconds.

        Args:
            closed: called when the connection is closed, perhaps more than once; also where none was made.

        Raises:
            httpcore.ConnectError: refused, or not to be reached.
            httpcore.ConnectTimeout: no answer in time.
        """
        try:
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        except OSError as error:  # this process may open no more files
            closed()
            raise httpcore.ConnectError(str(error)) from error
        stream = cls(made, closed)
        try:
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with stream._use(timeout, httpcore.ConnectTimeout, httpcore.ConnectError):
                await asyncio.get_running_loop().sock_connect(made, (address, port))
        except BaseException:
            stream.close()
            raise
        return stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next bytes; none at the end."""
        async with self._use(timeout, httpcore.ReadTimeout, httpcore.ReadError):
            if self._tls is None:
                return await asyncio.get_running_loop().sock_recv(self._socket, max_bytes)
            try:
                return await self._encrypted(lambda tls: tls.read(max_bytes))
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Sends all of it."""
        async with self._use(timeout, httpcore.WriteTimeout, httpcore.WriteError):
            if self._tls is None:
                await asyncio.get_running_loop().sock_sendall(self._socket, buffer)
            elif buffer:
                await self._encrypted(lambda tls: tls.write(buffer))

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> SocketStream:
        """Encrypts from here on.

        Raises:
            httpcore.ConnectError: caused by an `ssl.SSLError` where both sides cannot agree.
        """
        try:
            async with self._use(timeout, httpcore.ConnectTimeout, httpcore.ConnectError):
                self._tls = ssl_context.wrap_bio(self._received, self._to_send, server_hostname=server_hostname)
                await self._encrypted(lambda tls: tls.do_handshake())
        except BaseException:
            self.close()
            raise
        return self

    async def aclose(self) -> None:
        """As `close`."""
        self.close()

    def close(self) -> None:
        """Closes at once; who reads or writes just now is told that the connection broke."""
        self._closed = True
        self._when_closed()
        if self._busy:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        else:
            self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks for: `ssl_object` and `is_readable`."""
        if info == "ssl_object":
            return self._tls
        if info == "is_readable":
            return self._readable()
        return None

    def _readable(self) -> bool:
        """Whether something came, or the end, without being asked for."""
        if self._socket.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    @asynccontextmanager
    async def _use(
        self, timeout: float | None, late: type[httpcore.TimeoutException], broken: type[httpcore.NetworkError]
    ) -> AsyncIterator[None]:
        self._busy = True
        try:
            async with patience(timeout):
                yield
            if self._closed:
                raise ConnectionError("closed meanwhile")
        except TimeoutError as error:
            raise late(str(error)) from error
        except (OSError, ValueError) as error:  # ssl raises both, and a closed socket has the number -1
            raise broken(str(error)) from error
        finally:
            self._busy = False
            if self._closed:
                self._socket.close()

    async def _encrypted(self, step: Callable[[ssl.SSLObject], T]) -> T:
        """Does one step of TLS, exchanging with the peer what it asks for."""
        assert self._tls is not None
        while True:
            try:
                done = step(self._tls)
            except ssl.SSLWantReadError:
                await self._flush()
                if data := await asyncio.get_running_loop().sock_recv(self._socket, _RECORD_BYTES):
                    self._received.write(data)
                else:
                    self._received.write_eof()
            else:
                await self._flush()
                return done

    async def _flush(self) -> None:
        if waiting := self._to_send.read():
            await asyncio.get_running_loop().sock_sendall(self._socket, waiting)
