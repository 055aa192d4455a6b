"""Jars of directories that are mounted into the operator's Pod (`file:///jars/clicks.jar`).

Used by `fetch.ArtifactStore` alone. Links are followed, but what they lead to must be below an allowed directory too.
"""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flinkjob.artifacts.cache import ArtifactCache, Fetched, Partial
from flinkjob.artifacts.errors import ArtifactInvalid, ArtifactUnavailable, shown
from flinkjob.artifacts.jarfile import DigestingWriter, Sort, check_size

CHUNK_BYTES = 2**20


class LocalSource:
    """Copies into the cache: the original may be replaced while it is being uploaded."""

    def __init__(self, cache: ArtifactCache, *, sort: Sort, allowed_directories: tuple[Path, ...]) -> None:
        self._cache = cache
        self._allowed = allowed_directories
        self._sort = sort

    async def fetch(self, uri: str, version: object, namespace: str) -> Fetched | None:
        """Copies; None when device, inode, size and time are still those of `version`.

        Raises:
            ArtifactInvalid: not there, not allowed, not a file, too large, not a zip archive.
            ArtifactUnavailable: a disk error, no room, or the file is still being written.
        """
        try:
            with self._cache.partial(namespace) as partial:
                copied = await asyncio.to_thread(self._copy, uri, version, partial)
                if copied is None:
                    return None
                digest, now = copied
                return Fetched(digest=digest, path=self._cache.commit(partial, digest), version=now)
        except OSError as error:
            raise ArtifactUnavailable("disk", f"jar: {shown(uri)} cannot be copied: {error.strerror}") from error

    def _copy(self, uri: str, version: object, partial: Partial) -> tuple[str, object] | None:
        name = shown(uri)
        path = self._allowed_path(uri)
        with open(path, "rb", opener=_open_no_link) as source:
            info = os.fstat(source.fileno())
            if not stat.S_ISREG(info.st_mode):
                raise ArtifactInvalid("not-a-file", f"jar: {name} is not a file")
            now = _version(info)
            if now == version:
                return None
            check_size(info.st_size, max_bytes=self._sort.max_bytes, name=name)
            partial.need(info.st_size)
            with partial.path.open("wb") as target:
                writer = DigestingWriter(target, max_bytes=self._sort.max_bytes, name=name, need=partial.need)
                while chunk := source.read(CHUNK_BYTES):
                    writer.write(chunk)
            if _version(os.fstat(source.fileno())) != now:
                raise ArtifactUnavailable("changing", f"jar: {name} was changed while it was read")
        self._sort.check(partial.path, name)
        return writer.digest, now

    def _allowed_path(self, uri: str) -> Path:
        name = shown(uri)
        parts = urlsplit(uri)
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise ArtifactInvalid("uri", f"jar: {name}: a file is named as file:///directory/name.jar")
        try:
            path = Path(unquote(parts.path)).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise ArtifactInvalid("uri", f"jar: {name}: not a usable path") from error
        if not any(path.is_relative_to(directory.resolve()) for directory in self._allowed):
            raise ArtifactInvalid("not-allowed", f"jar: {name} is not below a directory that the operator may read")
        if path.is_dir():
            raise ArtifactInvalid("not-a-file", f"jar: {name} is not a file")
        if not path.exists():  # asked only inside allowed directories: elsewhere nothing is disclosed
            raise ArtifactInvalid("not-found", f"jar: {name} does not exist")
        return path


def _open_no_link(path: str, flags: int) -> int:
    """The path was resolved; a link that was put there since is refused, and a pipe does not block."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _version(info: os.stat_result) -> tuple[int, int, int, int]:
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)
