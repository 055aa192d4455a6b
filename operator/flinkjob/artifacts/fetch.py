"""Getting jars by URI into the content-addressed cache.

Called by `runtime` before a jar is uploaded to Flink; may take minutes, so never while a worker holds a key.
Invariants: what is returned is complete, is a zip archive, has the digest asked for, and stays on disk while the
`Artifact` is referenced; no host is connected to, and no redirect followed, without `check_url`; nothing is read outside
the allowed directories; the same URI is downloaded once at a time for a namespace, however many ask; nothing is fetched
without a turn.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
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
        turn: Callable[[str], AbstractAsyncContextManager[None]],
    ) -> None:
        """
        Args:
            directory: the cache; created when missing.
            http: shared client; its own time-outs and redirects are not used.
            allowed_directories: below these `file:` is read; links are followed only within them.
            max_bytes: largest jar.
            timeout_seconds: for one whole download.
            max_cache_bytes: for all files of the cache; least recently used jars are removed for others.
            check_url: raises `core.errors.Invalid` for an URL that must not be fetched.
            turn: held while something is fetched for a namespace.
        """
        self._cache = ArtifactCache(directory, max_bytes=max_cache_bytes)
        self._http = HttpSource(
            http, self._cache, max_bytes=max_bytes, timeout_seconds=timeout_seconds, check_url=check_url
        )
        self._local = LocalSource(self._cache, allowed_directories=allowed_directories, max_bytes=max_bytes)
        self._known: OrderedDict[str, tuple[str, object]] = OrderedDict()
        self._running: dict[tuple[str, str], _Shared] = {}
        self._turn = turn

    async def get(self, namespace: str, uri: str, sha256: str | None = None) -> Artifact:
        """The jar that `uri` names.

        Args:
            namespace: who asks; others neither wait for what it has fetched nor pay for it.
            uri: `http:`, `https:` or `file:`. Fetched again on each call unless pinned or unchanged (ETag,
                Last-Modified; for files size and time).
            sha256: pins the content, 64 hex digits; a pinned jar in the cache is returned without asking anybody.

        Raises:
            ArtifactUnavailable: try again later.
            ArtifactInvalid: try again when the reference was changed.
        """
        pin = sha256.lower() if sha256 else None
        if pin and (path := self._cache.acquire(pin, namespace)):
            return self._artifact(pin, path, namespace)
        asked = (namespace, uri)
        shared = self._running.get(asked)
        if shared is None:
            task = asyncio.create_task(self._fetch(namespace, uri), name=f"fetch {shown(uri)}")
            shared = self._running[asked] = _Shared(task)
            task.add_done_callback(_seen)
        try:
            artifact = await shared.result()
        finally:
            if shared.over and self._running.get(asked) is shared:
                del self._running[asked]
        if pin and artifact.digest != pin:
            message = f"jar: {shown(uri)} has sha256 {artifact.digest}, not {pin}"
            raise ArtifactInvalid("digest-mismatch", message)
        return artifact

    async def _fetch(self, namespace: str, uri: str) -> Artifact:
        async with self._turn(namespace):
            digest, version = self._known.get(uri, ("", None))
            here = bool(digest) and self._cache.path(digest).exists()
            fetched = await self._from_source(uri, version if here else None, namespace)
            if fetched is None:
                if (path := self._cache.acquire(digest, namespace)) is not None:
                    return self._artifact(digest, path, namespace)
                fetched = await self._from_source(uri, None, namespace)  # it was removed meanwhile
        assert fetched is not None, "a source without a version to compare with always fetches"
        self._remember(uri, fetched)
        return self._artifact(fetched.digest, fetched.path, namespace)

    async def _from_source(self, uri: str, version: object, namespace: str) -> Fetched | None:
        """None: the content is still the one of `version`."""
        try:
            scheme = urlsplit(uri).scheme.lower()
        except ValueError as error:
            raise ArtifactInvalid("uri", f"jar: not a URI: {error}") from error
        match scheme:
            case "http" | "https":
                return await self._http.fetch(uri, version, namespace)
            case "file":
                return await self._local.fetch(uri, version, namespace)
            case _:
                raise ArtifactInvalid("scheme", f"jar: {shown(uri)}: only http, https and file can be fetched")

    def _artifact(self, digest: str, path: Path, namespace: str) -> Artifact:
        """Wraps an acquired file of the cache: it is released when the result is no longer referenced."""
        artifact = Artifact(digest=digest, path=path)
        weakref.finalize(artifact, self._cache.release, digest, namespace)
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
