"""HTTP connections to checked addresses only: what is checked is what is connected to.

Used by `app` and `access` for everything whose address a person can name. A host name is resolved here, each of its
addresses is checked, and one of those very addresses is connected to, so that a name cannot change its meaning in between.
Where a proxy is set for artifacts (HTTP_PROXY, HTTPS_PROXY), it resolves names and has to refuse what it shall not reach;
hosts in NO_PROXY are checked like all others.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import urllib.request
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import httpcore
import httpx

from flinkjob.core.access.names import advice
from flinkjob.core.errors import Invalid
from flinkjob.net.exchange import patience
from flinkjob.net.places import Places
from flinkjob.net.stream import SocketStream

AddressCheck = Callable[[str], None]
"""Raises `Invalid` for an address that may not be connected to."""

_PROXY_SCHEMES: Final = ("http", "https", "all")


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Resolves, checks and connects."""

    def __init__(self, check: AddressCheck, places: Places | None) -> None:
        self._check = check
        self._places = places
        self._closed = False
        self._streams: weakref.WeakSet[SocketStream] = weakref.WeakSet()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connects to the first address that answers; `local_address` and `socket_options` are never given here.

        Raises:
            httpcore.ConnectError: unknown host, none answers, or one of the addresses is refused.
            httpcore.ConnectTimeout: not within `timeout` seconds, for each address.
            httpcore.PoolTimeout: no place for another connection within `timeout` seconds.
        """
        addresses = await self._resolve(host, port, timeout)
        failure: Exception | None = None
        for address in addresses:
            leave = await self._enter(timeout)
            try:
                stream = await SocketStream.connect(address, port, timeout, leave)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            if self._closed:
                stream.close()
                break
            self._streams.add(stream)
            return stream
        raise failure or httpcore.ConnectError("closed meanwhile" if self._closed else f"{host} has no address")

    async def _enter(self, timeout: float | None) -> Callable[[], None]:
        """Take a place for a connection; what gives it back."""
        if self._places is None:
            return lambda: None
        try:
            async with patience(timeout):
                place = await self._places.take()
        except TimeoutError as error:
            raise httpcore.PoolTimeout("too many connections") from error
        return partial(self._places.give_back, place)

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)

    def close(self) -> None:
        """Closes every connection, those in use too, and makes no more."""
        self._closed = True
        for stream in tuple(self._streams):
            stream.close()

    async def _resolve(self, host: str, port: int, timeout: float | None) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            async with patience(timeout):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} was not resolved in time") from error
        except socket.gaierror as error:
            raise httpcore.ConnectError(_unresolved(host, error)) from error
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be looked up: {error.strerror or error}") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            try:
                self._check(address)
            except Invalid as error:
                raise httpcore.ConnectError(f"host {host}: {error.message}") from error
        return addresses


def _unresolved(host: str, error: socket.gaierror) -> str:
    """Who looked for a name and where, and what to write instead."""
    absent = error.errno in (socket.EAI_NONAME, socket.EAI_NODATA)
    what = "does not know it" if absent else "gives no answer for it (it may not exist)"
    where = f"the DNS of the operator's machine or Pod ({socket.gethostname()})"
    return f"host {host} cannot be found: {where} {what}; {advice(host)}"


class CheckedTransport(httpx.AsyncHTTPTransport):
    """As its base, over `CheckedBackend`."""

    def __init__(
        self,
        check: AddressCheck,
        *,
        verify: ssl.SSLContext | None = None,
        limits: httpx.Limits | None = None,
        places: Places | None = None,
    ) -> None:
        """
        Args:
            verify: how servers prove who they are; None: as usual on the web.
            limits: of this transport.
            places: one for each connection of all transports that share them.
        """
        bounds = limits or httpx.Limits(max_connections=100, max_keepalive_connections=20)
        self._places = places
        self._backend = CheckedBackend(check, places)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=verify or httpx.create_ssl_context(),
            max_connections=bounds.max_connections,
            max_keepalive_connections=bounds.max_keepalive_connections,
            keepalive_expiry=bounds.keepalive_expiry,
            network_backend=self._backend,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As its base; the connection is not kept afterwards where others need its place."""
        if self._places is not None and self._places.crowded:
            request.headers["Connection"] = "close"
        return await super().handle_async_request(request)

    @property
    def idle(self) -> bool:
        """Whether nothing is sent or received."""
        return all(connection.is_idle() or connection.is_closed() for connection in self._pool.connections)

    async def aclose(self) -> None:
        """Closes every connection; what is under way ends as if the connection broke."""
        await super().aclose()
        self._backend.close()


class _ArtifactTransport(httpx.AsyncBaseTransport):
    """Through the environment's proxy where it says so for a host, else directly, checked."""

    def __init__(self, check: AddressCheck) -> None:
        self._direct = CheckedTransport(check)
        self._proxied = {
            scheme: httpx.AsyncHTTPTransport(proxy=url if "://" in url else f"http://{url}")
            for scheme, url in urllib.request.getproxies().items()
            if scheme in _PROXY_SCHEMES
        }

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        proxied = self._proxied.get(request.url.scheme) or self._proxied.get("all")
        if proxied is None or urllib.request.proxy_bypass(request.url.host):
            return await self._direct.handle_async_request(request)
        return await proxied.handle_async_request(request)

    async def aclose(self) -> None:
        await self._direct.aclose()
        for transport in self._proxied.values():
            await transport.aclose()


def artifact_client(check: AddressCheck) -> httpx.AsyncClient:
    """The client for artifacts: it follows no redirect by itself, and uses the environment's proxy where there is one."""
    return httpx.AsyncClient(follow_redirects=False, transport=_ArtifactTransport(check))
