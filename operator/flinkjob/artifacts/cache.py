"""The content-addressed directory of artifacts: `<directory>/<name>.jar`, and the files that are on their way into it.

The name is the SHA-256; of what not everybody may fetch it has that of the namespace behind it.

Used by `fetch.ArtifactStore` and its sources. Invariants: a file under its final name is complete and has that digest
(it was written elsewhere, checked and renamed); who knows a digest has no right to what another namespace fetched with its
credentials; a file that is in use is never removed; all files together, those that are
being written included, never take more than `max_bytes`: room is taken before it is written to; what one namespace writes
and uses is at most half of that, unless it is one file.
All but making the cache and taking room take microseconds on a local disk; room is taken in a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from flinkjob.artifacts.errors import ArtifactUnavailable

_NAME = re.compile(r"^[0-9a-f]{64}(-[0-9a-f]{16})?\.jar$")
PARTIAL_SUFFIX = ".partial"
MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """What a source has put into the cache, which keeps it until it is released."""

    digest: str
    path: Path
    version: object
    """Given to the source next time, to see whether the content is still the same; None: that cannot be known."""


def names_of(digest: str, namespace: str) -> tuple[str, str]:
    """Under which names a namespace may find a file with this digest (64 hex digits): everybody's, and its own."""
    return digest, f"{digest}-{hashlib.sha256(namespace.encode()).hexdigest()[:16]}"


class Partial:
    """A file that is being written, and the room on the disk that it has."""

    def __init__(self, cache: ArtifactCache, namespace: str, path: Path) -> None:
        self._cache = cache
        self.namespace = namespace
        self.path = path
        self.room = 0
        self.size = 0

    def expect(self, size: int) -> None:
        """Have room for it as it will be, with so many bytes; 0 where that is not known. Blocking, raises as `need`."""
        self.size = size
        self.need(size)

    def need(self, size: int) -> None:
        """Have room for a file of so many bytes. Blocking: others may be removed for it.

        Raises:
            ArtifactUnavailable: there is none.
        """
        if size > self.room:
            self._cache.take(self, size - self.room)


class Watch:
    """How far the file is that is written in a task which is watched."""

    def __init__(self) -> None:
        self.file: Partial | None = None

    def on(self) -> None:
        """Watch the task that calls this, from now on."""
        _WATCH.set(self)

    def seen(self) -> tuple[int, int]:
        """The bytes that are written, and that there will be; 0 where that is not known."""
        if self.file is None:
            return 0, 0
        try:
            written = self.file.path.stat().st_size
        except FileNotFoundError:
            return 0, 0
        return written, self.file.size


_WATCH: ContextVar[Watch | None] = ContextVar("watch", default=None)


class ArtifactCache:
    """Least recently used files go first where another one needs their room."""

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        """
        Args:
            directory: nobody else writes to it; what was being written to it when a process was killed is removed.
        """
        self._directory = directory
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._users: dict[str, Counter[str]] = {}
        self._released: deque[tuple[str, str]] = deque()
        self._writing: Counter[str] = Counter()
        directory.mkdir(parents=True, exist_ok=True)
        for path in directory.glob(f"*{PARTIAL_SUFFIX}"):
            path.unlink(missing_ok=True)
        found = [(path.stat(), path) for path in directory.iterdir() if _NAME.match(path.name)]
        for info, path in sorted(found, key=lambda each: each[0].st_mtime):
            self._sizes[path.stem] = info.st_size
        self._make_room(0)

    def path(self, name: str) -> Path:
        """Where the artifact of this name is or would be."""
        return self._directory / f"{name}.jar"

    def acquire(self, name: str, namespace: str) -> Path | None:
        """The artifact, marked as used now and kept until `release`; None (and nothing kept) when it is not here."""
        path = self.path(name)
        with self._lock:
            self._end_uses()
            try:
                os.utime(path)
                size = path.stat().st_size
            except FileNotFoundError:
                return None
            self._use(name, size, namespace)
        return path

    def release(self, name: str, namespace: str) -> None:
        """Ends one `acquire` or `commit`. It only notes that: the garbage collector may call it in the middle of anything."""
        self._released.append((name, namespace))

    @contextlib.contextmanager
    def partial(self, namespace: str) -> Iterator[Partial]:
        """A new empty file to write into; it and its room are given back at the end, unless it was given to `commit`."""
        handle, name = tempfile.mkstemp(suffix=PARTIAL_SUFFIX, dir=self._directory)
        os.close(handle)
        partial = Partial(self, namespace, Path(name))
        if (watch := _WATCH.get()) is not None:
            watch.file = partial
        try:
            yield partial
        finally:
            partial.path.unlink(missing_ok=True)
            with self._lock:
                self._give_back(partial)

    def commit(self, partial: Partial, digest: str, *, private: bool = False) -> Path:
        """Renames a complete file to its digest and keeps it until `release`; the caller has computed the digest.

        Args:
            private: only the namespace that wrote it may have it.
        """
        name = names_of(digest, partial.namespace)[private]
        path = self.path(name)
        with self._lock:
            size = partial.path.stat().st_size
            partial.path.replace(path)
            self._give_back(partial)
            self._use(name, size, partial.namespace)
        return path

    def take(self, partial: Partial, size: int) -> None:
        """Take so many bytes more for a file; see `Partial.need`."""
        with self._lock:
            self._end_uses()
            mine, held = self._held(partial.namespace), self._held()
            if held + size > self._max_bytes:
                raise self._full(f"{held // MIB} MiB are being written or used")
            if mine > partial.room and mine + size > self._max_bytes // 2:
                raise self._full(f"more than half would be for namespace {partial.namespace}")
            self._make_room(size)
            self._writing[partial.namespace] += size
            partial.room += size

    def _full(self, why: str) -> ArtifactUnavailable:
        return ArtifactUnavailable(
            "no-room", f"jar: no room among the {self._max_bytes // MIB} MiB of the cache (--max-cache-mb): {why}"
        )

    def _make_room(self, size: int) -> None:
        """Remove what has not been used for longest, until so many bytes more fit."""
        total = sum(self._sizes.values()) + self._writing.total() + size
        for name in [name for name in self._sizes if name not in self._users]:
            if total <= self._max_bytes:
                return
            self.path(name).unlink(missing_ok=True)
            total -= self._sizes.pop(name)

    def _held(self, namespace: str | None = None) -> int:
        """Bytes that cannot be had now: of one namespace, or of all."""
        used = (name for name, users in self._users.items() if namespace is None or namespace in users)
        writing = self._writing.total() if namespace is None else self._writing[namespace]
        return writing + sum(self._sizes[name] for name in used)

    def _use(self, name: str, size: int, namespace: str) -> None:
        self._sizes[name] = size
        self._sizes.move_to_end(name)
        self._users.setdefault(name, Counter())[namespace] += 1

    def _end_uses(self) -> None:
        while self._released:
            name, namespace = self._released.popleft()
            users = self._users[name]
            users[namespace] -= 1
            if not users[namespace]:
                del users[namespace]
            if not users:
                del self._users[name]

    def _give_back(self, partial: Partial) -> None:
        self._writing[partial.namespace] -= partial.room
        partial.room = 0
        if not self._writing[partial.namespace]:
            del self._writing[partial.namespace]
