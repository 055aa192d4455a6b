"""Mounted directories without symbolic links: whoever may write to one must not lead the operator out of it.

Used where snapshots are read and copies written, and where a mounted directory is opened. Invariant: no link is
followed that was there before the read or the write.
"""

from __future__ import annotations

import os
from pathlib import Path

from flinkjob.core.errors import Invalid


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
