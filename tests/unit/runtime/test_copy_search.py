"""Looking for a copy to start from: the newest that is whole, or the one that was named."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore

from flinkjob.api.initialstate import CopySpec
from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.access.hosts import HostRules
from flinkjob.core.seen import CopyFound, CopySearch
from flinkjob.runtime.copy_search import CopySearches
from flinkjob.runtime.storeaccess import StoreAccesses
from flinkjob.snapshots import copying
from flinkjob.snapshots.copying import CopyRequest, copy_snapshot
from flinkjob.snapshots.manifest import Manifest, ManifestFile
from flinkjob.snapshots.outcomes import NoCopy
from flinkjob.snapshots.place import Place
from tests.support.snapshots import write_snapshot

KEY = ("team", "clicks")
NO_READER: Any = None
"""No Secret is named."""


async def copied(directory: Path, *numbers: int) -> Place:
    """A place with a copy for each of the numbers, which have to be 1, 2, …"""
    place = Place(store=LocalStore(directory / "copies", mkdir=True), identity="one", namespace="team", job="clicks")
    for number in numbers:
        snapshot = write_snapshot(directory / f"savepoint-{number}", {"a": 10}, checkpoint_id=number)
        request = CopyRequest(source=LocalStore(snapshot), location=f"file:{snapshot}", place=place, token=f"{number}")
        await copy_snapshot(request)
    return place


def lose(directory: Path, *numbers: int) -> None:
    for number in numbers:
        (directory / f"copies/team/clicks/{number:019}-{number}/a").unlink()


async def found(directory: Path, **fields: Any) -> CopyFound:
    stores = StoreAccesses(reader=NO_READER, grants=StoreGrants.of([f"team=file://{directory}"]), hosts=HostRules())
    search = CopySearches(identity="two", stores=stores, enqueue=lambda _: None)
    spec = CopySpec.model_validate({"uri": f"file://{directory}/copies", **fields})
    async with asyncio.timeout(timedelta(minutes=1).total_seconds()):
        while (seen := await search.find(KEY, (spec,))).phase is CopySearch.WORKING:
            pass
    return seen


@pytest.mark.copying("places-in-order")
async def test_of_a_place_whose_newest_copy_lacks_a_file_an_older_one_is_taken(tmp_path: Path) -> None:
    await copied(tmp_path, 1, 2, 3)
    lose(tmp_path, 2, 3)
    seen = await found(tmp_path)
    assert seen.copy is not None
    assert seen.copy.sequence_number == 1
    assert f"file://{tmp_path}/copies: team/clicks/{3:019}-3/a is missing" in seen.message
    assert f"file://{tmp_path}/copies: team/clicks/{2:019}-2/a is missing" in seen.message


@pytest.mark.copying("places-in-order")
async def test_a_copy_that_was_named_is_not_replaced_by_another(tmp_path: Path) -> None:
    await copied(tmp_path, 1, 2)
    lose(tmp_path, 2)
    seen = await found(tmp_path, sequenceNumber=2)
    assert (seen.phase, seen.copy) == (CopySearch.NONE, None)
    assert "2-2/a is missing" in seen.message


@pytest.mark.parametrize("most", [2, 9])
async def test_a_place_without_a_whole_copy_has_none(
    tmp_path: Path, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "MOST_LOOKED_AT", most)
    place = await copied(tmp_path, 1, 2, 3)
    lose(tmp_path, *range(4 - min(most, 3), 4))
    with pytest.raises(NoCopy, match="3-3/a is missing"):
        await copying.find_copy(place, None)


async def test_a_search_that_needs_much_memory_is_made_once_more_with_it(tmp_path: Path) -> None:
    """A manifest of so many files does not fit into the memory that a search has at first."""
    files = tuple(ManifestFile(name=f"{number:040}", size=1, sha256="0" * 64) for number in range(45_000))
    who: dict[str, Any] = {"identity": "one", "namespace": "team", "job": "clicks", "source": "file:/x"}
    manifest = Manifest(**who, sequence_number=1, checkpoint_id=1, time="2026-01-01T00:00:00Z", files=files)
    place = tmp_path / f"copies/team/clicks/{1:019}-1"
    place.mkdir(parents=True)
    (place / "manifest.json").write_bytes(manifest.dump())
    seen = await found(tmp_path)
    assert f"{0:040} is missing" in seen.message, "it was read to its end"


async def test_where_there_is_none_the_search_says_so(tmp_path: Path) -> None:
    await copied(tmp_path)
    seen = await found(tmp_path)
    assert seen.phase is CopySearch.NONE
    assert "there is not a complete copy of team/clicks" in seen.message
