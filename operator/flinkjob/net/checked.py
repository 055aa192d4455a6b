"""HTTP over connections to checked addresses only: httpx for requests and answers, the pool of httpcore2 below it.

Used by `app` and `access` for everything whose address a person can name; `backend` checks and connects. httpx brings an
older pool, which can lose a place for ever when a request is cancelled. Where a proxy is set for artifacts (HTTP_PROXY,
HTTPS_PROXY), it resolves names and has to refuse what it shall not reach; hosts in NO_PROXY are checked like all others.
"""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Final, Protocol, runtime_checkable

import httpcore2
import httpx

from flinkjob.net.backend import AddressCheck, CheckedBackend
from flinkjob.net.permits import Permits

_PROXY_SCHEMES: Final = ("http", "https", "all")
_ERRORS: Final[Mapping[type[Exception], type[httpx.TransportError]]] = {
    httpcore2.ConnectTimeout: httpx.ConnectTimeout,
    httpcore2.ReadTimeout: httpx.ReadTimeout,
    httpcore2.WriteTimeout: httpx.WriteTimeout,
    httpcore2.PoolTimeout: httpx.PoolTimeout,
    httpcore2.ConnectError: httpx.ConnectError,
    httpcore2.ReadError: httpx.ReadError,
    httpcore2.WriteError: httpx.WriteError,
    httpcore2.UnsupportedProtocol: httpx.UnsupportedProtocol,
    httpcore2.LocalProtocolError: httpx.LocalProtocolError,
    httpcore2.RemoteProtocolError: httpx.RemoteProtocolError,
}
"""What the pool raises, as httpx says it."""


@contextmanager
def _as_httpx_says() -> Iterator[None]:
    try:
        yield
    except tuple(_ERRORS) as error:
        raise _ERRORS[type(error)](str(error)) from error


@runtime_checkable
class _Closes(Protocol):
    async def aclose(self) -> None: ...


class _Body(httpx.AsyncByteStream):
    """The body of an answer, as it comes."""

    def __init__(self, stream: AsyncIterable[bytes]) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx_says():
            async for piece in self._stream:
                yield piece

    async def aclose(self) -> None:
        if isinstance(self._stream, _Closes):
            await self._stream.aclose()


def is_of_tls(error: BaseException) -> bool:
    """Whether TLS made a connection fail: one of both sides does not trust the other."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


@cache
def usual_trust() -> ssl.SSLContext:
    """The authorities that are believed on the web, once for all connections: they take 35 ms to read, and memory."""
    return httpx.create_ssl_context()


class CheckedTransport(httpx.AsyncBaseTransport):
    """Sends requests of httpx over `CheckedBackend`."""

    def __init__(
        self,
        check: AddressCheck,
        *,
        verify: ssl.SSLContext | None = None,
        limits: httpx.Limits | None = None,
        permits: Permits | None = None,
    ) -> None:
        """
        Args:
            verify: how servers prove who they are; None: as usual on the web.
            limits: of this transport.
            permits: one for each connection of all transports that share them.
        """
        bounds = limits or httpx.Limits(max_connections=100, max_keepalive_connections=20)
        self._permits = permits
        self._backend = CheckedBackend(check, permits)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=verify or usual_trust(),
            max_connections=bounds.max_connections,
            max_keepalive_connections=bounds.max_keepalive_connections,
            keepalive_expiry=bounds.keepalive_expiry,
            network_backend=self._backend,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request; the connection is not kept afterwards where others need its permit."""
        if self._permits is not None and self._permits.crowded:
            request.headers["Connection"] = "close"
        assert isinstance(request.stream, httpx.AsyncByteStream)
        url = request.url
        sent = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx_says():
            answer = await self._pool.handle_async_request(sent)
        assert isinstance(answer.stream, AsyncIterable)
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Body(answer.stream), extensions=answer.extensions
        )

    @property
    def idle(self) -> bool:
        """Whether nothing is sent or received."""
        return all(connection.is_idle() or connection.is_closed() for connection in self._pool.connections)

    async def aclose(self) -> None:
        """Closes every connection; what is under way ends as if the connection broke."""
        try:
            await self._pool.aclose()
        finally:
            self._backend.close()
        await self._backend.closed()


class _ProxyBody(httpx.AsyncByteStream):
    """The body of an answer, and the transport that was made for it."""

    def __init__(self, stream: httpx.AsyncByteStream, transport: httpx.AsyncHTTPTransport) -> None:
        self._stream = stream
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            yield piece

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            await self._transport.aclose()


class _ProxiedTransport(httpx.AsyncBaseTransport):
    """Through a proxy, with a pool for each request: a pool of httpx keeps the place of a tunnel whose TLS failed."""

    def __init__(self, proxy: str) -> None:
        self._proxy = proxy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        transport = httpx.AsyncHTTPTransport(proxy=self._proxy, verify=usual_trust())
        try:
            response = await transport.handle_async_request(request)
        except BaseException:
            await transport.aclose()
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _ProxyBody(response.stream, transport)
        return response


class _ArtifactTransport(httpx.AsyncBaseTransport):
    """Through the environment's proxy where it says so for a host, else directly, checked."""

    def __init__(self, check: AddressCheck) -> None:
        self._direct = CheckedTransport(check)
        self._proxied = {
            scheme: _ProxiedTransport(url if "://" in url else f"http://{url}")
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


def artifact_client(check: AddressCheck) -> httpx.AsyncClient:
    """The client for artifacts: it follows no redirect, and uses the environment's proxy where there is one."""
    return httpx.AsyncClient(follow_redirects=False, transport=_ArtifactTransport(check))
