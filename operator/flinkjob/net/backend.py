"""The connections below the pool: what is checked is what is connected to, and each counts until it is closed.

Used by `checked`. A host name is resolved here, each of its addresses is checked, and one of those very addresses is
connected to, so that a name cannot change its meaning in between. Sockets and TLS are those of httpcore2, the kept successor
of httpcore: its pool loses no place, and no socket stays open, at whatever moment a request is cancelled.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import httpcore2

from flinkjob.core.access.names import advice
from flinkjob.core.errors import Invalid
from flinkjob.net.permits import Permits

AddressCheck = Callable[[str], None]
"""Raises `Invalid` for an address that may not be connected to."""
_BROKEN = (OSError, ValueError)
"""What comes of a socket and of TLS and is no exception of httpcore2 yet; `ssl.SSLError` is an `OSError`."""


class CheckedConnection(httpcore2.AsyncNetworkStream):
    """A connection of httpcore2, and what is called when it is closed, perhaps more than once."""

    def __init__(
        self, stream: httpcore2.AsyncNetworkStream, closed: Callable[[], None], closing: set[asyncio.Task[None]]
    ) -> None:
        """
        Args:
            closing: has the task that closes it, as long as that lasts.
        """
        self._stream = stream
        self._when_closed = closed
        self._closing = closing
        self._socket: socket.socket = stream.get_extra_info("socket")

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next bytes; none at the end. A refusal of TLS 1.3 comes with them, after the handshake."""
        try:
            return await self._stream.read(max_bytes, timeout)
        except _BROKEN as error:
            raise httpcore2.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Sends all of it."""
        try:
            await self._stream.write(buffer, timeout)
        except _BROKEN as error:
            raise httpcore2.WriteError(str(error)) from error

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> CheckedConnection:
        """Encrypts from here on; where both sides cannot agree, the connection is closed."""
        try:
            self._stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except _BROKEN as error:
            await self.aclose()
            raise httpcore2.ConnectError(str(error)) from error
        except BaseException:
            await self.aclose()
            raise
        return self

    async def aclose(self) -> None:
        """Closes in order, without waiting: a pool closes several in a row, and a cancellation would leave out the rest."""
        self._when_closed()
        task = asyncio.create_task(_end(self._stream))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def cut(self) -> None:
        """Ends it at once; who reads or writes just now sees that the connection broke."""
        self._when_closed()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def get_extra_info(self, info: str) -> Any:
        """What httpcore2 asks for."""
        return self._stream.get_extra_info(info)


async def _end(stream: httpcore2.AsyncNetworkStream) -> None:
    with suppress(Exception):
        await stream.aclose()


class CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves, checks and connects."""

    def __init__(self, check: AddressCheck, permits: Permits | None) -> None:
        self._check = check
        self._permits = permits
        self._closed = False
        self._sockets = httpcore2.AnyIOBackend()
        self._connections: weakref.WeakSet[CheckedConnection] = weakref.WeakSet()
        self._closing: set[asyncio.Task[None]] = set()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> CheckedConnection:
        """Connects to the first address that answers; `local_address` and `socket_options` are never given here.

        Raises:
            httpcore2.ConnectError: unknown host, none answers, or one of the addresses is refused.
            httpcore2.ConnectTimeout: not within `timeout` seconds, for each address.
            httpcore2.PoolTimeout: no permit for another connection within `timeout` seconds.
        """
        addresses = await self._resolve(host, port, timeout)
        failure: Exception | None = None
        for address in addresses:
            try:
                connection = await self._connect(address, port, timeout)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
                continue
            if self._closed:
                await connection.aclose()
                break
            self._connections.add(connection)
            return connection
        raise failure or httpcore2.ConnectError("closed meanwhile" if self._closed else f"{host} has no address")

    async def _connect(self, address: str, port: int, timeout: float | None) -> CheckedConnection:
        leave = await self._enter(timeout)
        try:
            return CheckedConnection(await self._sockets.connect_tcp(address, port, timeout), leave, self._closing)
        except httpcore2.ConnectError as error:
            leave()
            raise httpcore2.ConnectError(str(_root(error))) from error
        except BaseException:
            leave()
            raise

    async def _enter(self, timeout: float | None) -> Callable[[], None]:
        """Take a permit for a connection; what gives it back."""
        if self._permits is None:
            return lambda: None
        try:
            async with asyncio.timeout(timeout):
                permit = await self._permits.take()
        except TimeoutError as error:
            raise httpcore2.PoolTimeout("too many connections") from error
        return partial(self._permits.give_back, permit)

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)

    def close(self) -> None:
        """Ends every connection, those in use too, and makes no more."""
        self._closed = True
        for connection in tuple(self._connections):
            connection.cut()

    async def closed(self) -> None:
        """Waits until those that are being closed are closed."""
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _resolve(self, host: str, port: int, timeout: float | None) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"{host} was not resolved in time") from error
        except socket.gaierror as error:
            raise httpcore2.ConnectError(_unresolved(host, error)) from error
        except OSError as error:
            raise httpcore2.ConnectError(f"{host} cannot be looked up: {error.strerror or error}") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            try:
                self._check(address)
            except Invalid as error:
                raise httpcore2.ConnectError(f"host {host}: {error.message}") from error
        return addresses


def _root(error: BaseException) -> BaseException:
    """What a library found, below what it makes of it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _unresolved(host: str, error: socket.gaierror) -> str:
    """Who looked for a name and where, and what to write instead."""
    absent = error.errno in (socket.EAI_NONAME, socket.EAI_NODATA)
    what = "does not know it" if absent else "gives no answer for it (it may not exist)"
    where = f"the DNS of the operator's machine or Pod ({socket.gethostname()})"
    return f"host {host} cannot be found: {where} {what}; {advice(host)}"
