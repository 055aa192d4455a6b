"""The content-addressed directory of artifacts: `<directory>/<sha256>.jar`.

Used by `fetch.ArtifactStore` and its sources. Invariants: a file under its final name is complete and has that digest
(it was written elsewhere, checked and renamed); a file that is in use is never removed.
All but `evict` take microseconds on a local disk; `evict` is run in a thread.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"^[0-9a-f]{64}\.jar$")
PARTIAL_SUFFIX = ".partial"
PARTIAL_AGE_SECONDS = 6 * 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """What a source has put into the cache, which keeps it until it is released."""

    digest: str
    path: Path
    version: object
    """Given to the source next time, to see whether the content is still the same; None: it cannot tell."""


class ArtifactCache:
    """Least recently used files go first once the directory holds more than `max_bytes`."""

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._in_use: Counter[str] = Counter()
        self._lock = threading.Lock()
        directory.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where the artifact of this digest (64 hex digits) is or would be."""
        return self._directory / f"{digest}.jar"

    def acquire(self, digest: str) -> Path | None:
        """The artifact, marked as used now and kept until `release`; None (and nothing kept) when it is not here."""
        path = self.path(digest)
        with self._lock:
            try:
                os.utime(path)
            except FileNotFoundError:
                return None
            self._in_use[digest] += 1
        return path

    def release(self, digest: str) -> None:
        """Ends one `acquire` or `commit`."""
        with self._lock:
            self._in_use[digest] -= 1
            if self._in_use[digest] <= 0:
                del self._in_use[digest]

    def partial(self) -> Path:
        """A new empty file to write into; give it to `commit`, or remove it."""
        handle, name = tempfile.mkstemp(suffix=PARTIAL_SUFFIX, dir=self._directory)
        os.close(handle)
        return Path(name)

    def commit(self, partial: Path, digest: str) -> Path:
        """Renames a complete file to its digest and keeps it until `release`; the caller has computed the digest.

        Call `evict` afterwards.
        """
        path = self.path(digest)
        with self._lock:
            partial.replace(path)
            self._in_use[digest] += 1
        return path

    def evict(self) -> int:
        """Removes least recently used artifacts until the rest fits; returns how many bytes were freed."""
        self._remove_leftovers()
        files: list[tuple[float, int, Path]] = []
        for path in self._directory.iterdir():
            if _NAME.match(path.name):
                with contextlib.suppress(FileNotFoundError):
                    info = path.stat()
                    files.append((info.st_mtime, info.st_size, path))
        total = sum(size for _, size, _ in files)
        freed = 0
        for _, size, path in sorted(files):
            if total - freed <= self._max_bytes:
                break
            with self._lock:
                if path.stem in self._in_use:
                    continue
                path.unlink(missing_ok=True)
            freed += size
        return freed

    def _remove_leftovers(self) -> None:
        """Partial files of a process that was killed; recent ones may belong to a living one."""
        for path in self._directory.glob(f"*{PARTIAL_SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - PARTIAL_AGE_SECONDS:
                    path.unlink()
