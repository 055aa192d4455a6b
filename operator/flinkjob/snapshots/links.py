"""Mounted directories without symbolic links: whoever may write to one must not lead the operator out of it.

Used where snapshots are read and copies written, and where a mounted directory is opened. Invariants: a file that is read was
reached without a link, from the file system's root on, and is the one that was looked at; below a directory that is written
to no link is followed that was there before the write.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from flinkjob.core.errors import Invalid

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A pipe would otherwise keep who opens it waiting."""


class LocalFile:
    """A file that is open for reading; closed when nobody refers to it any more, a thread that still reads included.

    Attributes:
        size: its length in bytes, when it was opened.
    """

    def __init__(self, path: Path) -> None:
        """
        Raises:
            Invalid: there is a link on the path, or it is no file.
            OSError: it cannot be read.
        """
        self._descriptor = _open(path)
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Invalid(f"{path} is not a file")
        self.size = found.st_size

    def read(self, start: int, size: int) -> bytes:
        """So many bytes from there; fewer only where the file ends."""
        content = os.pread(self._descriptor, size, start)
        while len(content) < size and (more := os.pread(self._descriptor, size - len(content), start + len(content))):
            content += more
        return content

    def __del__(self) -> None:
        descriptor, self._descriptor = getattr(self, "_descriptor", -1), -1
        if descriptor >= 0:
            os.close(descriptor)


def _open(path: Path) -> int:
    """A descriptor of the file, each step of whose path was opened in the one before, and was no link then."""
    refuse_links(path)  # for the message; what counts is how it is opened
    parts = path.parts[1:]
    directory = os.open("/", _DIRECTORY)
    for part in parts[:-1]:
        try:
            inner = os.open(part, _DIRECTORY, dir_fd=directory)
        finally:
            os.close(directory)
        directory = inner
    try:
        return os.open(parts[-1], _FILE, dir_fd=directory)
    finally:
        os.close(directory)


def refuse_links(path: Path) -> None:
    """Look at every step of an absolute path, as far as it exists.

    Raises:
        Invalid: one is a link, or the path has `..`.
    """
    if not path.is_absolute() or ".." in path.parts:
        raise Invalid(f"{path} must be absolute, without ..")
    for step in (*reversed(path.parents), path):
        try:
            if step.is_symlink():
                raise Invalid(f"{step} is a symbolic link, which is not followed in a mounted directory")
        except OSError:
            return


def refuse_links_below(directory: Path) -> None:
    """Look at everything below a directory, which need not exist.

    Raises:
        Invalid: there is a link.
    """
    refuse_links(directory)
    for where, directories, files in os.walk(directory):
        for name in (*directories, *files):
            if (found := Path(where, name)).is_symlink():
                raise Invalid(f"{found} is a symbolic link, which is not followed in a mounted directory")
