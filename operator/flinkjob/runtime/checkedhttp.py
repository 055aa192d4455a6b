"""HTTP connections to checked addresses only: what is checked is what is connected to.

Used by `app` and `access` for everything whose address a person can name. A host name is resolved here, each of its
addresses is checked, and one of those very addresses is connected to, so that a name cannot change its meaning in between.
Where a proxy is set for artifacts (HTTP_PROXY, HTTPS_PROXY), it resolves names and has to refuse what it shall not reach.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterable

import httpcore
import httpx

from flinkjob.core.errors import Invalid

AddressCheck = Callable[[str], None]
"""Raises `Invalid` for an address that may not be connected to."""


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Resolves, checks and connects."""

    def __init__(self, check: AddressCheck, inner: httpcore.AsyncNetworkBackend | None = None) -> None:
        self._check = check
        self._inner = inner or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connects to the first address that answers.

        Raises:
            httpcore.ConnectError: unknown host, none answers, or one of the addresses is refused.
            httpcore.ConnectTimeout: not within `timeout` seconds, for each address.
        """
        addresses = await self._resolve(host, port, timeout)
        failure: Exception | None = None
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)

    async def _resolve(self, host: str, port: int, timeout: float | None) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} was not resolved in time") from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            try:
                self._check(address)
            except Invalid as error:
                raise httpcore.ConnectError(f"host {host}: {error.message}") from error
        return addresses


class CheckedTransport(httpx.AsyncHTTPTransport):
    """As its base, over `CheckedBackend`."""

    def __init__(
        self,
        check: AddressCheck,
        *,
        verify: ssl.SSLContext | None = None,
        limits: httpx.Limits | None = None,
    ) -> None:
        bounds = limits or httpx.Limits(max_connections=100, max_keepalive_connections=20)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=verify or httpx.create_ssl_context(),
            max_connections=bounds.max_connections,
            max_keepalive_connections=bounds.max_keepalive_connections,
            keepalive_expiry=bounds.keepalive_expiry,
            network_backend=CheckedBackend(check),
        )


def artifact_client(check: AddressCheck) -> httpx.AsyncClient:
    """The client for artifacts: it follows no redirect by itself, and uses the environment's proxy where there is one."""
    if {"http", "https", "all"} & set(urllib.request.getproxies()):
        return httpx.AsyncClient(follow_redirects=False)
    return httpx.AsyncClient(follow_redirects=False, transport=CheckedTransport(check))
