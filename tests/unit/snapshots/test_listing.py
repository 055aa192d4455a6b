"""Where a cluster says that its snapshots are: a directory that may be read, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from flinkjob.snapshots.listing import SnapshotLister
from tests.support.snapshots import write_snapshot


async def test_the_snapshots_of_a_directory(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "chk-3", {"a": 5})
    found = await SnapshotLister((tmp_path,)).list(f"file:{tmp_path}")
    assert [each.number for each in found.found] == [3]


@pytest.mark.invariant(12)
@pytest.mark.parametrize(
    "directory", ["file://[", "//[", "file:/a%00b", "file:/" + "a" * 300 + "/b", "s3://bucket/a", ""]
)
async def test_what_is_no_directory_cannot_be_read_and_is_no_error(tmp_path: Path, directory: str) -> None:
    assert not (await SnapshotLister((tmp_path,)).list(directory)).readable
