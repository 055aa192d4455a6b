"""Getting jars, and SQL scripts, by URI into the content-addressed cache.

Called by `runtime` before a jar is uploaded to Flink; may take minutes, so never while a worker holds a key. Invariants: what
is returned is complete, is a zip archive or a script, has the digest asked for, and stays on disk while the `Artifact` is
referenced; what is fetched with credentials is for the namespace that has them; no host is connected to, and no redirect
followed, without `check_url`; nothing is read outside the allowed directories; the same URI is downloaded once at a time for
a namespace, however many ask; nothing is fetched without a turn.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Container, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from flinkjob.api.references import NamedKey
from flinkjob.artifacts.cache import ArtifactCache, Fetched, Watch, names_of
from flinkjob.artifacts.configmap import ConfigMapSource
from flinkjob.artifacts.errors import ArtifactInvalid, ArtifactUnavailable, shown
from flinkjob.artifacts.http import FORBIDDEN, UNAUTHORIZED, HttpSource
from flinkjob.artifacts.jarfile import SCRIPT, Sort, digest_of_file, jars_up_to
from flinkjob.artifacts.local import LocalSource
from flinkjob.artifacts.maven import CHECKSUMS, MavenSource
from flinkjob.artifacts.stores import ObjectWanted, StoreSource
from flinkjob.core.program import SourceAccess
from flinkjob.core.progress import Progress
from flinkjob.net.denied import ask_again_if_denied

VALIDATORS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True, weakref_slot=True)
class Artifact:
    """A jar on this machine; it is not evicted as long as this object is referenced."""

    digest: str
    """SHA-256, 64 hex digits."""
    path: Path


class Credentials(Protocol):
    """What is needed besides an address, by the names that specs give."""

    async def headers(self, namespace: str, secret: str, url: str, *, fresh: bool = False) -> Mapping[str, str]:
        """The headers of a request to an http server. Raises `Transient` where they cannot be had, or must not be sent.

        Args:
            fresh: the server has refused those that were given before.
        """

    async def get_object(self, wanted: ObjectWanted) -> tuple[str | None, bool]:
        """Writes an object of a store; see `GetObject`."""

    async def read_key(self, namespace: str, key: NamedKey) -> bytes:
        """What a ConfigMap has in `binaryData`; see `ReadKey`."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One file of one namespace, whoever asks for it."""

    namespace: str
    uri: str
    access: SourceAccess | None
    script: bool
    pinned: bool  # only where it makes a difference

    @property
    def shared(self) -> object:
        """Equal for those that get the same answer from the server."""
        return (self.uri, self.script, self.pinned) if self.access is None else self


class ArtifactStore:
    """Jars from `http(s)`, object stores and `file`, cached by content."""

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
        credentials: Credentials,
        turn: Callable[[str], AbstractAsyncContextManager[None]],
        maven_repository: str | None = None,
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
            credentials: asked for each fetch that needs them.
            turn: held while something is fetched for a namespace.
            maven_repository: where `maven:` is fetched from; None: nowhere.
        """
        self._credentials = credentials
        self._repository = maven_repository
        self._cache = cache = ArtifactCache(directory, max_bytes=max_cache_bytes)

        def web(sort: Sort) -> HttpSource:
            return HttpSource(http, cache, sort=sort, timeout_seconds=timeout_seconds, check_url=check_url)

        def sources(sort: Sort) -> tuple[HttpSource, StoreSource, LocalSource]:
            return (
                web(sort),
                StoreSource(credentials.get_object, cache, sort=sort, timeout_seconds=timeout_seconds),
                LocalSource(cache, sort=sort, allowed_directories=allowed_directories),
            )

        self._config_maps = ConfigMapSource(credentials.read_key, cache, sort=jars_up_to(max_bytes))
        self._jars = sources(jars_up_to(max_bytes))
        self._scripts = sources(SCRIPT)
        self._maven = MavenSource(maven_repository, web(jars_up_to(max_bytes)), web(CHECKSUMS), cache)
        self._known: OrderedDict[object, tuple[str, object]] = OrderedDict()
        self._running: dict[_Asked, _Shared] = {}
        self._turn = turn

    async def get(
        self,
        namespace: str,
        uri: str,
        sha256: str | None = None,
        *,
        access: SourceAccess | None = None,
        script: bool = False,
    ) -> Artifact:
        """The jar that `uri` names.

        Args:
            namespace: who asks; others neither wait for what it has fetched nor pay for it.
            uri: `http:`, `https:`, `s3:`, `gs:`, `az:`, `maven:` or `file:`. Fetched again on each call unless pinned or
                unchanged (ETag, Last-Modified; for files size and time).
            sha256: pins the content, 64 hex digits; a pinned jar in the cache is returned without asking anybody, but what
                another namespace may fetch alone.
            access: None where everybody may fetch it.
            script: it is a text instead of a jar.

        Raises:
            ArtifactUnavailable: try again later.
            ArtifactInvalid: try again when the reference was changed.
        """
        pin = sha256.lower() if sha256 else None
        if pin and (here := self.here(namespace, pin)) is not None:
            return here
        asked = _Asked(namespace, uri, access, script, pin is not None and uri.startswith("maven:"))
        shared = self._running.get(asked)
        if shared is None:
            watch = Watch()
            task = asyncio.create_task(self._fetch(asked, watch), name=f"fetch {shown(uri)}")
            shared = self._running[asked] = _Shared(task, watch)
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

    def progress(self, namespace: str, uris: Container[str]) -> Progress | None:
        """How far the first of these files is that is being fetched for a namespace; None where none is."""
        for asked, shared in self._running.items():
            if asked.namespace != namespace or asked.uri not in uris:
                continue
            written, size = shared.watch.seen()
            if written:
                return Progress(name=shown(asked.uri), done=written, size=size)
        return None

    def here(self, namespace: str, digest: str) -> Artifact | None:
        """A file of the cache by its SHA-256; None when it is not there."""
        for name in names_of(digest, namespace):
            if (path := self._cache.acquire(name, namespace)) is not None:
                return self._artifact(digest, path, namespace)
        return None

    async def put(
        self, namespace: str, size: int, write: Callable[[Path], Awaitable[None]], *, private: bool
    ) -> Artifact:
        """Takes in a file that is made here.

        Args:
            namespace: whose share of the cache it takes.
            size: of which it is at most.
            write: given where the file is to be written; what it raises ends this.
            private: it is made of what not everybody may fetch.

        Raises:
            ArtifactUnavailable: no room.
        """
        with self._cache.partial(namespace) as partial:
            await asyncio.to_thread(partial.need, size)
            await write(partial.path)
            digest = await asyncio.to_thread(digest_of_file, partial.path)
            path = self._cache.commit(partial, digest, private=private)
        return self._artifact(digest, path, namespace)

    async def _fetch(self, asked: _Asked, watch: Watch) -> Artifact:
        watch.on()
        namespace = asked.namespace
        async with self._turn(namespace):
            digest, version = self._known.get(asked.shared, ("", None))
            here = bool(digest) and any(self._cache.path(name).exists() for name in names_of(digest, namespace))
            fetched = await self._from_source(asked, version if here else None)
            if fetched is None:
                if (artifact := self.here(namespace, digest)) is not None:
                    return artifact
                fetched = await self._from_source(asked, None)  # it was removed meanwhile
        assert fetched is not None, "a source without a version to compare with always fetches"
        self._remember(asked.shared, fetched)
        return self._artifact(fetched.digest, fetched.path, namespace)

    async def _from_source(self, asked: _Asked, version: object) -> Fetched | None:
        """None: the content is still the one of `version`."""
        http, stores, local = self._scripts if asked.script else self._jars
        uri, namespace = asked.uri, asked.namespace
        try:
            scheme = urlsplit(uri).scheme.lower()
        except ValueError as error:
            raise ArtifactInvalid("uri", f"jar: not a URI: {error}") from error
        match scheme:
            case "http" | "https":
                return await self._with_credentials(asked, partial(http.fetch, uri, version, namespace))
            case "maven":
                fetch = partial(self._maven.fetch, uri, version, namespace, pinned=asked.pinned)
                return await self._with_credentials(asked, fetch)
            case "s3" | "gs" | "az" if asked.access is not None and asked.access.store is not None:
                return await stores.fetch(uri, version, namespace, asked.access.store)
            case "configmap" if asked.access is not None and asked.access.config_map is not None:
                return await self._config_maps.fetch(uri, namespace, asked.access.config_map)
            case "file":
                return await local.fetch(uri, version, namespace)
            case _:
                raise ArtifactInvalid(
                    "scheme", f"jar: {shown(uri)}: only http, https, s3, gs, az, maven and file can be fetched"
                )

    async def _with_credentials(
        self, asked: _Asked, fetch: Callable[[Mapping[str, str] | None], Awaitable[Fetched | None]]
    ) -> Fetched | None:
        """Once more where the server refuses what the Secret says, and it says something else by now."""
        return await ask_again_if_denied(
            partial(self._headers, asked),
            fetch,
            lambda error: isinstance(error, ArtifactUnavailable) and error.reason in (UNAUTHORIZED, FORBIDDEN),
        )

    async def _headers(self, asked: _Asked, fresh: bool) -> Mapping[str, str] | None:
        if asked.access is None or asked.access.auth_secret is None:
            return None
        url = self._repository or "" if asked.uri.startswith("maven:") else asked.uri
        return await self._credentials.headers(asked.namespace, asked.access.auth_secret, url, fresh=fresh)

    def _artifact(self, digest: str, path: Path, namespace: str) -> Artifact:
        """Wraps an acquired file of the cache: it is released when the result is no longer referenced."""
        artifact = Artifact(digest=digest, path=path)
        weakref.finalize(artifact, self._cache.release, path.stem, namespace)
        return artifact

    def _remember(self, what: object, fetched: Fetched) -> None:
        self._known.pop(what, None)
        if fetched.version is not None:
            self._known[what] = (fetched.digest, fetched.version)
        while len(self._known) > VALIDATORS:
            self._known.popitem(last=False)


def _seen(task: asyncio.Task[Artifact]) -> None:
    """Takes the exception of a download that nobody waits for any more, so that it is not reported as lost."""
    if not task.cancelled():
        task.exception()


class _Shared:
    """A download that several wait for; cancelled when the last of them was."""

    def __init__(self, task: asyncio.Task[Artifact], watch: Watch) -> None:
        self.task = task
        self.watch = watch
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
