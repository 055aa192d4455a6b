"""Reading Flink's `_metadata`: which files a snapshot consists of, and whether it can be moved.

Called before a copy. Understood are the versions 2 to 6 of the format (Flink 1.20 to 2.3: canonical and native savepoints,
checkpoints). Invariants: only the structure is read, never the state itself, so a path in a user's own state (a file sink has
some) is no reference; what is not understood is never taken for self-contained.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from flinkjob.snapshots.outcomes import MetadataUnreadable, SnapshotNotSelfContained

MAGIC = 0x4960672D
VERSIONS = range(2, 7)
_WITH_PROPERTIES = 4
_WITH_NAMES = 5
_WITH_CHANNELS = 3
_MASTER_MAGIC = 0xC96B1696
MOST_REFERENCES = 1_000_000
"""A count above this in a `_metadata` means that it is damaged."""
MOST_FILES = 100_000
"""As many as a manifest of a copy can list."""
MOST_NUMBERS = 5_000_000
"""So many numbers of a `_metadata` are read, which takes some seconds: ten for each file, and a million subtasks."""
_MOST_ABSOLUTE = 10


@dataclass(frozen=True, kw_only=True)
class SnapshotMetadata:
    """What a `_metadata` says.

    Attributes:
        files: names relative to the snapshot's directory, with the sizes that Flink noted.
        absolute: references to other places (at most ten); there are none in a self-contained snapshot.
        unsupported: a sort of state that this reader does not follow; "" where all was read.
    """

    version: int
    checkpoint_id: int
    files: dict[str, int]
    absolute: tuple[str, ...] = ()
    unsupported: str = ""

    def require_self_contained(self) -> None:
        """Raises SnapshotNotSelfContained, naming the first reference, unless the directory is all there is."""
        if self.absolute:
            raise SnapshotNotSelfContained(f"it refers to {self.absolute[0]}; take a savepoint instead")
        if self.unsupported:
            raise SnapshotNotSelfContained(
                f"it has {self.unsupported}, which cannot be moved; take a savepoint instead"
            )


def read_metadata(content: bytes | memoryview) -> SnapshotMetadata:
    """Read a whole `_metadata`.

    Raises:
        MetadataUnreadable: it is damaged, or of a version that is not known.
    """
    reader = _Cursor(memoryview(content))
    try:
        return reader.snapshot()
    except _Unsupported as found:
        return reader.result(str(found))
    except (struct.error, IndexError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise MetadataUnreadable(f"_metadata is damaged at byte {reader.position}") from error


class _Unsupported(Exception):
    """Kinds of handles that are always outside, or whose layout is not followed."""


@dataclass
class _Cursor:
    content: memoryview
    position: int = 0
    version: int = 0
    checkpoint_id: int = 0
    files: dict[str, int] = field(default_factory=dict)
    absolute: list[str] = field(default_factory=list)
    numbers: int = 0

    def result(self, unsupported: str = "") -> SnapshotMetadata:
        return SnapshotMetadata(
            version=self.version,
            checkpoint_id=self.checkpoint_id,
            files=self.files,
            absolute=tuple(self.absolute),
            unsupported=unsupported,
        )

    def snapshot(self) -> SnapshotMetadata:
        if self._number(">I") != MAGIC:
            raise MetadataUnreadable("_metadata does not begin as Flink's does")
        self.version = self._number(">i")
        if self.version not in VERSIONS:
            raise MetadataUnreadable(f"_metadata has version {self.version}, which this operator does not know")
        self.checkpoint_id = self._number(">q")
        for _ in range(self._count()):
            if self._number(">I") != _MASTER_MAGIC:
                raise ValueError("no master state")
            self._skip(self._count())
        for _ in range(self._count()):
            self._operator()
        if self.version < _WITH_PROPERTIES and self.position != len(self.content):
            raise ValueError("more bytes than expected")
        return self.result()

    def _operator(self) -> None:
        if self.version >= _WITH_NAMES:
            self._text()
            self._text()
        self._skip(16)  # the operator's id
        self._skip(8)  # parallelism and its limit
        if self.version >= _WITH_CHANNELS:
            self._handle()
        subtasks = self._number(">i")
        for _ in range(max(subtasks, 0)):
            finished = self._number(">i") < 0
            if not finished or self.version < _WITH_CHANNELS:
                self._subtask()

    def _subtask(self) -> None:
        for _ in range(2):
            for _ in range(self._count()):
                self._handle()
        for _ in range(2):
            self._handle()
        if self.version >= _WITH_CHANNELS:
            for _ in range(2):
                if self._count():
                    raise _Unsupported("records in flight (an unaligned checkpoint)")

    def _handle(self) -> None:
        kind = self._number(">B")
        try:
            read = _KINDS[kind]
        except KeyError:
            raise _Unsupported(_UNSUPPORTED.get(kind, f"state of the unknown sort {kind}")) from None
        read(self)

    def _inline(self) -> None:
        self._text()
        self._skip(self._count(len(self.content)))

    def _absolute(self) -> None:
        self._skip(8)
        self._outside(self._text())

    def _relative(self) -> None:
        name = self._text()
        size = self._number(">q")
        if name.startswith("/") or ".." in name.split("/") or not name:
            self._outside(name)
        else:
            self.files[name] = size
            if len(self.files) > MOST_FILES:
                raise MetadataUnreadable(f"_metadata names more than {MOST_FILES} files")

    def _outside(self, name: str) -> None:
        if len(self.absolute) < _MOST_ABSOLUTE:
            self.absolute.append(name)

    def _partitioned(self) -> None:
        for _ in range(self._count()):
            self._text()
            self._skip(1)
            self._skip(8 * self._count())
        self._handle()

    def _key_groups(self) -> None:
        self._skip(4)
        self._skip(8 * self._count())
        self._handle()

    def _named_key_groups(self) -> None:
        self._key_groups()
        self._text()

    def _incremental(self) -> None:
        self._increment(sized=False)

    def _sized_incremental(self) -> None:
        self._increment(sized=True)

    def _increment(self, *, sized: bool) -> None:
        self._skip(8)
        self._text()
        self._skip(16 if sized else 8)
        self._handle()
        for _ in range(2):
            for _ in range(self._count()):
                self._text()
                self._handle()
        if sized:
            self._text()

    def _nothing(self) -> None:
        pass

    def _number(self, layout: str) -> int:
        (value,) = struct.unpack_from(layout, self.content, self.position)
        self.position += struct.calcsize(layout)
        self.numbers += 1
        if self.numbers > MOST_NUMBERS:
            raise MetadataUnreadable("_metadata has more in it than is read")
        return int(value)

    def _count(self, most: int = MOST_REFERENCES) -> int:
        count = self._number(">i")
        if not 0 <= count <= most:
            raise ValueError("no count")
        return count

    def _skip(self, size: int) -> None:
        self.position += size
        if self.position > len(self.content):
            raise ValueError("cut off")

    def _text(self) -> str:
        size = self._number(">H")
        begin = self.position
        self._skip(size)
        return bytes(self.content[begin : self.position]).decode()


_KINDS: dict[int, Callable[[_Cursor], None]] = {
    0: _Cursor._nothing,
    1: _Cursor._inline,
    2: _Cursor._absolute,
    3: _Cursor._key_groups,
    4: _Cursor._partitioned,
    5: _Cursor._incremental,
    6: _Cursor._relative,
    7: _Cursor._key_groups,
    11: _Cursor._sized_incremental,
    12: _Cursor._named_key_groups,
}
_UNSUPPORTED = dict.fromkeys((8, 9, 10, 13, 14), "a state changelog") | dict.fromkeys(
    (15, 16, 17), "segments of merged files"
)
