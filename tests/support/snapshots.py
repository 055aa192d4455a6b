"""Snapshots made by hand as Flink lays them out, where size or damage counts: files and a `_metadata` that names them."""

from __future__ import annotations

import os
import struct
from pathlib import Path

MIB = 1024 * 1024


def metadata(files: dict[str, int], *, absolute: str | None = None, checkpoint_id: int = 7) -> bytes:
    """A `_metadata` of version 4: an operator whose keyed state lies in these files.

    Args:
        files: their names and lengths.
        absolute: a further file, by its absolute URI.
    """
    handles = [b"\x06" + _text(name) + struct.pack(">q", size) for name, size in files.items()]
    if absolute is not None:
        handles.append(b"\x02" + struct.pack(">q", 5) + _text(absolute))
    states = b""
    for index, handle in enumerate(handles):
        keyed = b"\x03" + struct.pack(">iiq", index, 1, 0) + handle
        states += struct.pack(">iii", index, 0, 0) + keyed + b"\x00" + struct.pack(">ii", 0, 0)
    operator = bytes(16) + struct.pack(">ii", len(handles), 128) + b"\x00" + struct.pack(">i", len(handles)) + states
    return struct.pack(">Iiqii", 0x4960672D, 4, checkpoint_id, 0, 1) + operator


def write_snapshot(
    directory: Path, sizes: dict[str, int], *, absolute: str | None = None, checkpoint_id: int = 7
) -> Path:
    """Writes a snapshot with files of these lengths and random content; returns its directory."""
    directory.mkdir(parents=True)
    for name, size in sizes.items():
        with (directory / name).open("wb") as file:
            for begin in range(0, size, 8 * MIB):
                file.write(os.urandom(min(8 * MIB, size - begin)))
    (directory / "_metadata").write_bytes(metadata(sizes, absolute=absolute, checkpoint_id=checkpoint_id))
    return directory


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()
