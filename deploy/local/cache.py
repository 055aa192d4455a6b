"""What is downloaded or built once: a directory of the user, kept between runs and shared by all checkouts.

Invariants: an entry exists only complete (it is made under another name and renamed), and two processes never make the
same entry at once (a lock file per entry).
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from deploy.local.progress import say


def cache_root() -> Path:
    """`$XDG_CACHE_HOME/flinkjob-operator`, by default below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "flinkjob-operator"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file `path` (created when missing); the kernel releases it when the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that makes {path.stem}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """The entry `name` of the cache, made when it does not exist.

    Args:
        name: relative path of the entry; holds all that the content depends on (version, digest).
        make: is given the path where it must create the entry (file or directory).
    """
    entry = cache_root() / name
    if entry.exists():
        return entry
    with locked(entry.with_name(f"{entry.name}.lock")):
        if entry.exists():
            return entry
        work = Path(tempfile.mkdtemp(prefix=f".{entry.name}.", dir=entry.parent))
        try:
            make(work / "entry")
            (work / "entry").rename(entry)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return entry
