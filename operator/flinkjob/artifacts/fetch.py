"""Getting jars by URI into the content-addressed cache.

Called by `runtime` before a jar is uploaded to Flink; may take minutes, so never while a worker holds a key.
Invariants: what is returned is complete, is a zip archive, has the digest asked for, and stays on disk while the
`Artifact` is referenced; no host is spoken to, and no redirect followed, without `check_url`; nothing is read outside
the allowed directories; the same URI is downloaded once at a time, however many ask.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from flinkjob.artifacts.cache import ArtifactCache, Fetched
from flinkjob.artifacts.errors import ArtifactInvalid, shown
from flinkjob.artifacts.http import HttpSource
from flinkjob.artifacts.local import LocalSource

VALIDATORS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True, weakref_slot=True)
class Artifact:
    """A jar on this machine; it is not evicted as long as this object is referenced."""

    digest: str
    """SHA-256, 64 hex digits."""
    path: Path


class ArtifactStore:
    """Jars from `http(s)` and `file`, cached by content."""

    def __init__(
        self,
        directory: Path,
        http: httpx.AsyncClient,
        *,
        allowed_directories: tuple[Path, ...] = (),
        max_bytes: int,
        timeout_seconds: float,
        max_cache_bytes: int,
        check_url: Callable[[str], None],
    ) -> None:
        """
        Args:
            directory: the cache; created when missing.
            http: shared client; its own time-outs and redirects are not used.
            allowed_directories: below these `file:` is read; links are followed only within them.
            max_bytes: largest jar.
            timeout_seconds: for one whole download.
            max_cache_bytes: least recently used jars are removed above this.
            check_url: raises `core.errors.Invalid` for an URL that must not be fetched.
        """
        self._cache = ArtifactCache(directory, max_bytes=max_cache_bytes)
        self._http = HttpSource(
            http, self._cache, max_bytes=max_bytes, timeout_seconds=timeout_seconds, check_url=check_url
        )
        self._local = LocalSource(self._cache, allowed_directories=allowed_directories, max_bytes=max_bytes)
        self._known: OrderedDict[str, tuple[str, object]] = OrderedDict()
        self._running: dict[str, _Shared] = {}

    async def get(self, uri: str, sha256: str | None = None) -> Artifact:
        """The jar that `uri` names.

        Args:
            uri: `http:`, `https:` or `file:`. Fetched again on each call unless pinned or unchanged (ETag,
                Last-Modified; for files size and time).
            sha256: pins the content, 64 hex digits; a pinned jar in the cache is returned without asking anybody.

        Raises:
            ArtifactUnavailable: try again later.
            ArtifactInvalid: try again when the reference was changed.
        """
        pin = sha256.lower() if sha256 else None
        if pin and (path := self._cache.acquire(pin)):
            return self._artifact(pin, path)
        shared = self._running.get(uri)
        if shared is None:
            shared = self._running[uri] = _Shared(asyncio.create_task(self._fetch(uri), name=f"fetch {shown(uri)}"))
            shared.task.add_done_callback(_seen)
        try:
            artifact = await shared.result()
        finally:
            if shared.over and self._running.get(uri) is shared:
                del self._running[uri]
        if pin and artifact.digest != pin:
            message = f"jar: {shown(uri)} has sha256 {artifact.digest}, not {pin}"
            raise ArtifactInvalid("digest-mismatch", message)
        return artifact

    async def _fetch(self, uri: str) -> Artifact:
        digest, version = self._known.get(uri, ("", None))
        known = self._cache.acquire(digest) if digest else None
        try:
            fetched = await self._from_source(uri, version if known else None)
        except BaseException:
            if known:
                self._cache.release(digest)
            raise
        if fetched is None and known:
            return self._artifact(digest, known)
        if known:
            self._cache.release(digest)
        assert fetched is not None, "a source without a version to compare with always fetches"
        artifact = self._artifact(fetched.digest, fetched.path)
        self._remember(uri, fetched)
        await asyncio.to_thread(self._cache.evict)
        return artifact

    async def _from_source(self, uri: str, version: object) -> Fetched | None:
        """None: the content is still the one of `version`."""
        try:
            scheme = urlsplit(uri).scheme.lower()
        except ValueError as error:
            raise ArtifactInvalid("uri", f"jar: not a URI: {error}") from error
        match scheme:
            case "http" | "https":
                return await self._http.fetch(uri, version)
            case "file":
                return await self._local.fetch(uri, version)
            case _:
                raise ArtifactInvalid("scheme", f"jar: {shown(uri)}: only http, https and file can be fetched")

    def _artifact(self, digest: str, path: Path) -> Artifact:
        """Wraps an acquired file of the cache: it is released when the result is no longer referenced."""
        artifact = Artifact(digest=digest, path=path)
        weakref.finalize(artifact, self._cache.release, digest)
        return artifact

    def _remember(self, uri: str, fetched: Fetched) -> None:
        self._known.pop(uri, None)
        if fetched.version is not None:
            self._known[uri] = (fetched.digest, fetched.version)
        while len(self._known) > VALIDATORS:
            self._known.popitem(last=False)


def _seen(task: asyncio.Task[Artifact]) -> None:
    """Takes the exception of a download that nobody waits for any more, so that it is not reported as lost."""
    if not task.cancelled():
        task.exception()


class _Shared:
    """A download that several wait for; cancelled when the last of them was."""

    def __init__(self, task: asyncio.Task[Artifact]) -> None:
        self.task = task
        self._waiting = 0
        self.over = False

    async def result(self) -> Artifact:
        self._waiting += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self._waiting -= 1
            if not self._waiting and not self.task.done():
                self.task.cancel()
                self.over = True
            self.over = self.over or self.task.done()
