"""What is downloaded or built once: a directory of the user, kept between runs and shared by all checkouts.

Invariants: an entry exists only complete (it is made under another name and renamed), and two processes never make the
same entry at once (a lock file per entry).
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
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
            made = path.parent.name if path.stem == "all" else path.stem
            say(f"waiting for {made}, which is being made")
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
        if not entry.exists():
            with _workshop(entry) as work:
                make(work / "entry")
                (work / "entry").rename(entry)
    return entry


def cached_files(group: str, names: Sequence[str], make: Callable[[Path, Sequence[str]], None]) -> dict[str, Path]:
    """Several entries of one directory of the cache, of which the missing ones are made together.

    Args:
        group: relative path of their directory; holds all that the content depends on.
        names: of the entries.
        make: is given a directory and the names that it must create there.
    """
    directory = cache_root() / group
    entries = {name: directory / name for name in names}
    if all(entry.exists() for entry in entries.values()):
        return entries
    with locked(directory / "all.lock"):
        missing = [name for name, entry in entries.items() if not entry.exists()]
        if missing:
            with _workshop(directory / "all") as work:
                make(work, missing)
                for name in missing:
                    (work / name).rename(entries[name])
    return entries


@contextlib.contextmanager
def _workshop(entry: Path) -> Iterator[Path]:
    """A directory beside an entry, for making it."""
    work = Path(tempfile.mkdtemp(prefix=f".{entry.name}.", dir=entry.parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
