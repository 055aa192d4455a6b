"""Archives whose bytes depend on nothing but names and contents: no clock, no user, no order of a directory.

Used by `release.py`. Times are the one that is given, owners are root, and what is executable stays so.
"""

import gzip
import io
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path


def files_below(root: Path, inside: str = "") -> dict[str, Path]:
    """The files of a directory, by their path in an archive.

    Args:
        inside: the directory of the archive that they are put in.
    """
    found = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(Path(inside) / path.relative_to(root)): path for path in found}


def write_tar(target: Path, files: Mapping[str, Path | bytes], stamp: int, *, compressed: bool) -> None:
    """Writes files into a tar archive.

    Args:
        files: by their path in the archive, each a file or its content.
        stamp: seconds since 1970, the time of every entry.
        compressed: with gzip, without a time or a name of its own.
    """
    with target.open("wb") as raw:
        if not compressed:
            _fill(raw, files, stamp)
            return
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
            _fill(packed, files, stamp)


def _fill(out: io.RawIOBase | io.BufferedIOBase, files: Mapping[str, Path | bytes], stamp: int) -> None:
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(files):
            file = files[name]
            entry = tarfile.TarInfo(name)
            entry.mtime, entry.mode = stamp, 0o644
            if isinstance(file, bytes):
                entry.size = len(file)
                tar.addfile(entry, io.BytesIO(file))
                continue
            found = file.stat()
            entry.size = found.st_size
            entry.mode = 0o755 if found.st_mode & 0o100 else 0o644
            with file.open("rb") as content:
                tar.addfile(entry, content)


def emptied(directory: Path) -> Path:
    """The directory, made when missing, with nothing in it."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory
