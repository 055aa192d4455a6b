"""Whether a file is what is wanted, a jar or a script, and copying with a digest on the way.

Used by `fetch`. Blocking; callers run these in threads.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from flinkjob.artifacts.errors import ArtifactInvalid, ArtifactUnavailable

ZIP_START = b"PK\x03\x04"


SCRIPT_BYTES = 1024 * 1024
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Sort:
    """What is fetched.

    Attributes:
        max_bytes: how large it may be.
        check: called with the complete file and its name in messages; raises what is wrong with it.
    """

    max_bytes: int
    check: Callable[[Path, str], None]


class DigestingWriter:
    """Writes to a file and computes SHA-256 and size; refuses more than `max_bytes`."""

    def __init__(self, target: IO[bytes], *, max_bytes: int, name: str, need: Callable[[int], None]) -> None:
        """
        Args:
            need: called with the size that the file is about to have; raises where there is no room for it.
        """
        self._target = target
        self._need = need
        self._hash = hashlib.sha256()
        self._max_bytes = max_bytes
        self._name = name
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Appends a chunk.

        Raises:
            ArtifactInvalid: `too-large`.
            ArtifactUnavailable: `no-room`.
        """
        self.size += len(chunk)
        check_size(self.size, max_bytes=self._max_bytes, name=self._name)
        self._need(self.size)
        self._hash.update(chunk)
        self._target.write(chunk)

    @property
    def digest(self) -> str:
        """SHA-256 of all that was written, 64 hex digits."""
        return self._hash.hexdigest()


def check_size(size: int, *, max_bytes: int, name: str) -> None:
    """Raises `ArtifactInvalid` (`too-large`) for a size in bytes above the limit."""
    if size > max_bytes:
        raise ArtifactInvalid("too-large", f"jar: {name} is larger than the limit of {max_bytes // 2**20} MiB")


def digest_of_file(path: Path) -> str:
    """Its SHA-256, 64 hex digits."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def check_is_jar(path: Path, name: str) -> None:
    """Checks that the file is a zip archive with its directory at the end.

    Raises:
        ArtifactInvalid: `not-a-jar`.
        ArtifactUnavailable: `cut-off`: it begins as one and has no end (still being copied, or cut off by a server
            that announced no length).
    """
    with path.open("rb") as file:
        start = file.read(len(ZIP_START))
    if zipfile.is_zipfile(path):
        return
    if start == ZIP_START:
        raise ArtifactUnavailable("cut-off", f"jar: {name} is cut off: it has no end of a zip archive")
    raise ArtifactInvalid("not-a-jar", f"jar: {name} is not a jar (not a zip archive)")


def jars_up_to(max_bytes: int) -> Sort:
    """Jars of at most so many bytes."""
    return Sort(max_bytes, check_is_jar)


SCRIPT = Sort(SCRIPT_BYTES, lambda path, name: None)
"""SQL scripts; whether they are texts is seen when they are read."""
