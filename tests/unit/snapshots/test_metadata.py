"""A `_metadata` that is damaged, of another version, or not followed is never taken for a self-contained one."""

import struct

import pytest

from flinkjob.snapshots.metadata import read_metadata
from flinkjob.snapshots.outcomes import MetadataUnreadable, SnapshotNotSelfContained
from tests.support.snapshots import metadata

GOOD = metadata({"a": 5, "b": 6}, checkpoint_id=42)


def test_relative_references_are_the_files() -> None:
    found = read_metadata(GOOD)
    found.require_self_contained()
    assert (found.version, found.checkpoint_id, found.files) == (4, 42, {"a": 5, "b": 6})


@pytest.mark.threat("smuggled-names")
@pytest.mark.parametrize("name", ["../other/a", "/etc/passwd", "shared/../../a"])
def test_a_name_that_leaves_the_directory_is_refused(name: str) -> None:
    with pytest.raises(SnapshotNotSelfContained):
        read_metadata(metadata({name: 1})).require_self_contained()


def test_an_absolute_reference_is_refused_even_below_its_own_directory() -> None:
    with pytest.raises(SnapshotNotSelfContained, match="file:/state/chk-1/x"):
        read_metadata(metadata({"a": 1}, absolute="file:/state/chk-1/x")).require_self_contained()


@pytest.mark.parametrize("length", range(len(GOOD)))
def test_every_cut_is_noticed(length: int) -> None:
    with pytest.raises(MetadataUnreadable):
        read_metadata(GOOD[:length])


def test_state_inside_state_without_an_end_is_damaged() -> None:
    position = GOOD.index(b"\x03", 60)
    with pytest.raises(MetadataUnreadable, match="damaged"):
        read_metadata(GOOD[:position] + (b"\x03" + struct.pack(">ii", 0, 0)) * 100_000 + GOOD[position:])


@pytest.mark.parametrize("version", [1, 7, -1])
def test_an_unknown_version_is_refused(version: int) -> None:
    with pytest.raises(MetadataUnreadable, match=str(version)):
        read_metadata(GOOD[:4] + struct.pack(">i", version) + GOOD[8:])


@pytest.mark.parametrize(("kind", "word"), [(9, "changelog"), (15, "merged"), (99, "unknown")])
def test_state_that_is_not_followed_is_refused(kind: int, word: str) -> None:
    position = GOOD.index(b"\x03", 60)
    with pytest.raises(SnapshotNotSelfContained, match=word):
        read_metadata(GOOD[:position] + bytes([kind]) + GOOD[position + 1 :]).require_self_contained()
