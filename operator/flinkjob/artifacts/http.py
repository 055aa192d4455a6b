"""Downloads over http and https.

Used by `fetch.ArtifactStore` alone. Every host, of redirects too, passes `check_url` before it is connected to; credentials
are sent to the host of the URL only, and to none after a redirect to another one. Nothing but a complete, checked zip archive
gets into the cache.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpx

from flinkjob.artifacts.cache import ArtifactCache, Fetched, Partial
from flinkjob.artifacts.errors import ArtifactInvalid, ArtifactUnavailable, shown
from flinkjob.artifacts.jarfile import DigestingWriter, Sort, check_size
from flinkjob.core.errors import Invalid
from flinkjob.net.denied import DENIED
from flinkjob.net.foreign import ACCEPT_IDENTITY, Refused, raw_chunks

log = logging.getLogger(__name__)

REDIRECTS = 5
MOST_PARTS = 100
"""So often a download that was cut off is gone on with, as long as each part brings something."""
PARTIAL = 206
CHUNK_BYTES = 256 * 1024
"""So much of each download is in memory, twice."""
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 30.0
"""A server that sends nothing for so long, or no answer at all within it, is given up."""
LEAST_BYTES = 256 * 1024
"""So does one that sends less than this in such a time: a download that drips has a slot that others wait for."""
NOT_MODIFIED = 304
_TRY_AGAIN = frozenset({408, 425, 429})
_DIGITS = 20
"""Of a length; with more it is too large however it goes on."""
UNAUTHORIZED, FORBIDDEN = "unauthorized", "forbidden"
_REASONS = {401: UNAUTHORIZED, 403: FORBIDDEN, 404: "not-found", 410: "not-found"}


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server said about the version of its answer."""

    etag: str | None
    last_modified: str | None

    @classmethod
    def of(cls, response: httpx.Response) -> Validators | None:
        """None when the server said nothing."""
        etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
        return cls(etag, modified) if etag or modified else None

    def headers(self) -> dict[str, str]:
        """The request headers that ask for anything newer."""
        if self.etag:  # If-Modified-Since has whole seconds: not precise enough beside an ETag
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.last_modified} if self.last_modified else {}


class HttpSource:
    """Fetches into the cache."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        cache: ArtifactCache,
        *,
        sort: Sort,
        timeout_seconds: float,
        check_url: Callable[[str], None],
    ) -> None:
        self._http = http
        self._cache = cache
        self._sort = sort
        self._timeout_seconds = timeout_seconds
        self._check_url = check_url

    async def fetch(
        self, url: str, version: object, namespace: str, credentials: Mapping[str, str] | None = None
    ) -> Fetched | None:
        """Downloads; None when the server says that it is still `version`.

        Args:
            namespace: whose share of the cache it takes.
            credentials: headers for this host alone; what it gives is for this namespace alone.

        Raises:
            ArtifactUnavailable: time-out, too slow, cut off, 408, 425, 429, 5xx, no connection, no room on the disk.
            ArtifactInvalid: any other answer, a refused host, too large, not a zip archive.

        With credentials 401 and 403 are `ArtifactUnavailable`: they may be put right where they are.
        """
        name = shown(url)
        begun = time.monotonic()
        try:
            validators = version if isinstance(version, Validators) else None
            async with asyncio.timeout(self._timeout_seconds):
                return await self._follow(url, validators, namespace, credentials)
        except (TimeoutError, httpx.TimeoutException) as error:
            over = time.monotonic() - begun >= self._timeout_seconds
            said = f"not complete within {self._timeout_seconds:g} s" if over else _slow(error)
            raise ArtifactUnavailable("timeout", f"jar: {name}: {said}") from error
        except httpx.TransportError as error:
            raise ArtifactUnavailable("connection", f"jar: {name}: {error or type(error).__name__}") from error
        except (httpx.InvalidURL, ValueError) as error:  # of the redirect's reader too
            raise ArtifactInvalid("uri", f"jar: not a URL, or redirected to what is none: {name}") from error
        except Refused as error:
            raise ArtifactInvalid(error.reason, f"jar: {name}: {error}") from error
        except OSError as error:
            raise ArtifactUnavailable("disk", f"jar: {name} cannot be stored: {error.strerror}") from error

    async def _follow(
        self, url: str, validators: Validators | None, namespace: str, credentials: Mapping[str, str] | None
    ) -> Fetched | None:
        first, private, sent = url, credentials is not None, dict(credentials or {})
        for _ in range(REDIRECTS + 1):
            self._check(url, first)
            response = await _ask(self._http, url, {**(validators.headers() if validators else {}), **sent})
            try:
                if response.status_code == NOT_MODIFIED and validators:
                    return None
                if not response.has_redirect_location:
                    _check_answer(response, shown(first), shown(url), authorized=private)
                    async with aclosing(_Rest(self._http, url, sent)) as rest:
                        return await self._store(response, shown(first), namespace, rest, private=private)
                url = urljoin(url, response.headers["Location"])
                if _origin(url) != _origin(first):
                    sent = {}  # for good: the other host must not choose what is asked for with them
            finally:
                await response.aclose()
        raise ArtifactInvalid("redirects", f"jar: {shown(first)} redirects more than {REDIRECTS} times")

    def _check(self, url: str, first: str) -> None:
        via = f"jar: {shown(first)}" if url == first else f"jar: {shown(first)} redirects to {shown(url)}"
        scheme = urlsplit(url).scheme.lower()
        if scheme not in ("http", "https"):
            raise ArtifactInvalid("scheme", f"{via}: only http and https are followed")
        if scheme == "http" and urlsplit(first).scheme.lower() == "https":
            raise ArtifactInvalid("scheme", f"{via}: from https to http is not followed")
        try:
            self._check_url(url)
        except Invalid as error:
            raise ArtifactInvalid("not-allowed", f"{via}: {error.message}") from error

    async def _store(
        self, response: httpx.Response, name: str, namespace: str, rest: _Rest, *, private: bool
    ) -> Fetched:
        announced = _announced(response.headers.get("Content-Length", ""))
        check_size(announced, max_bytes=self._sort.max_bytes, name=name)
        with self._cache.partial(namespace) as target:
            await asyncio.to_thread(target.expect, announced)
            digest = await self._write(response, target, name, rest)
            await asyncio.to_thread(self._sort.check, target.path, name)
            path = self._cache.commit(target, digest, private=private)
        return Fetched(digest=digest, path=path, version=Validators.of(response))

    async def _write(self, response: httpx.Response, target: Partial, name: str, rest: _Rest) -> str:
        pace, part, begun = _LeastPace(name), response, -1
        with target.path.open("wb") as file:
            writer = DigestingWriter(file, max_bytes=self._sort.max_bytes, name=name, need=target.need)
            while True:
                try:
                    await _write_part(part, writer, pace)
                    return writer.digest
                except httpx.TransportError as error:
                    log.info("%s was cut off after %d bytes: %s", name, writer.size, type(error).__name__)
                    following = await rest.after(writer.size, response) if writer.size > begun else None
                    if following is None:
                        raise
                    part, begun = following, writer.size


class _Rest:
    """What is missing of an answer that was cut off: from the same place, and of the same version."""

    def __init__(self, http: httpx.AsyncClient, url: str, headers: Mapping[str, str]) -> None:
        self._http = http
        self._url = url
        self._headers = headers
        self._part: httpx.Response | None = None
        self._parts = 0

    async def after(self, size: int, response: httpx.Response) -> httpx.Response | None:
        """The rest after so many bytes; None where the server does not give exactly that."""
        etag, total = response.headers.get("ETag", ""), _announced(response.headers.get("Content-Length", ""))
        if not etag or etag.startswith("W/") or not 0 < size < total or self._parts == MOST_PARTS:
            return None
        await self.aclose()
        self._parts += 1
        wanted = {**self._headers, "Range": f"bytes={size}-", "If-Range": etag}
        self._part = part = await _ask(self._http, self._url, wanted)
        given = part.headers.get("Content-Range", "")
        return part if part.status_code == PARTIAL and given == f"bytes {size}-{total - 1}/{total}" else None

    async def aclose(self) -> None:
        """Close the last one."""
        if self._part is not None:
            await self._part.aclose()


async def _ask(http: httpx.AsyncClient, url: str, headers: Mapping[str, str]) -> httpx.Response:
    """The head of an answer; whoever asks closes it."""
    timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    request = http.build_request("GET", url, headers={**ACCEPT_IDENTITY, **headers}, timeout=timeout)
    async with asyncio.timeout(SILENCE_SECONDS):  # the head as a whole, however it drips
        return await http.send(request, stream=True, follow_redirects=False)


async def _write_part(response: httpx.Response, writer: DigestingWriter, pace: _LeastPace) -> None:
    """Write what an answer brings, also what came before it was cut off."""
    chunks = bytearray()
    try:
        async for chunk in raw_chunks(response):
            pace.note(len(chunk))
            chunks += chunk
            if len(chunks) >= CHUNK_BYTES:
                await asyncio.to_thread(writer.write, bytes(chunks))
                chunks.clear()
    except httpx.TransportError:
        await asyncio.to_thread(writer.write, bytes(chunks))
        raise
    await asyncio.to_thread(writer.write, bytes(chunks))


class _LeastPace:
    """Whether a download brings as much as it must."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._since, self._size = time.monotonic(), 0

    def note(self, size: int) -> None:
        """So many bytes came.

        Raises:
            ArtifactUnavailable: `too-slow`.
        """
        self._size += size
        now = time.monotonic()
        if now - self._since >= SILENCE_SECONDS:
            if self._size < LEAST_BYTES:
                said = f"only {self._size} bytes in {now - self._since:.0f} s"
                raise ArtifactUnavailable("too-slow", f"jar: {self._name}: {said}")
            self._since, self._size = now, 0


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port


def _check_answer(response: httpx.Response, name: str, final: str, *, authorized: bool) -> None:
    status = response.status_code
    if status == 200:
        return
    message = f"jar: {status} from {final if final == name else f'{final} (redirected from {name})'}"
    if status in _TRY_AGAIN or status >= 500:
        raise ArtifactUnavailable("server-error", message)
    if authorized and status in DENIED:
        raise ArtifactUnavailable(_REASONS[status], message)
    raise ArtifactInvalid(_REASONS.get(status, "refused"), message)


def _announced(length: str) -> int:
    """How many bytes a server says that it sends; 0 where it says nothing that could be read."""
    return int(length[:_DIGITS]) if length.isascii() and length.isdigit() else 0


def _slow(error: Exception) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:.0f} s"
    return f"nothing received for {SILENCE_SECONDS:.0f} s"
