"""Which complete snapshots are in a directory: how a lost job's newest state is found without its JobManager.

Called by the observer. Invariants: read only; only local directories that the operator was allowed to read are looked into;
what cannot be read is `readable=False`, never empty; a snapshot counts only when its `_metadata` is there, which Flink
writes last.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flinkjob.core.seen import FoundSnapshot, Listing

METADATA = "_metadata"
_CHECKPOINT = re.compile(r"^chk-([0-9]+)$")


class SnapshotLister:
    """Lists snapshots below allowed directories."""

    def __init__(self, allowed: tuple[Path, ...]) -> None:
        """
        Args:
            allowed: directories of this machine (a mounted volume) below which checkpoints and savepoints may be read.
        """
        self._allowed = tuple(path.resolve() for path in allowed)

    async def list(self, directory: str) -> Listing:
        """The complete snapshots directly in `directory` (a `file:` URI or a path), newest first."""
        path = self._local(directory)
        if path is None:
            return Listing(readable=False)
        return await asyncio.to_thread(self._read, path)

    def _local(self, directory: str) -> Path | None:
        try:
            parts = urlsplit(directory)
            path = Path(unquote(parts.path)).resolve()
        except (OSError, ValueError, RuntimeError):
            return None  # a cluster says where its snapshots are, and may say anything
        if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
            return None
        return path if any(path.is_relative_to(allowed) for allowed in self._allowed) else None

    def _read(self, path: Path) -> Listing:
        root = next(allowed for allowed in self._allowed if path.is_relative_to(allowed))
        if not root.is_dir():
            return Listing(readable=False)  # the volume is not mounted: that says nothing
        try:
            complete = [entry for entry in path.iterdir() if (entry / METADATA).is_file()]
        except FileNotFoundError:
            return Listing(readable=True)
        except OSError:
            return Listing(readable=False)
        found = [_found_snapshot(entry) for entry in complete]
        found.sort(
            key=lambda snapshot: (snapshot.number or 0, snapshot.time or datetime.min.replace(tzinfo=UTC)), reverse=True
        )
        return Listing(readable=True, found=tuple(found))


def _found_snapshot(entry: Path) -> FoundSnapshot:
    match = _CHECKPOINT.match(entry.name)
    taken = datetime.fromtimestamp((entry / METADATA).stat().st_mtime, UTC)
    return FoundSnapshot(location=f"file:{entry}", number=int(match[1]) if match else None, time=taken)
