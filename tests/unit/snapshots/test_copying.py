"""A copy is complete or invisible, goes on where it stopped, and belongs to one operator."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import LocalStore

from flinkjob.core.copies import retention
from flinkjob.core.errors import Invalid, Rejected, Transient
from flinkjob.snapshots import copying
from flinkjob.snapshots import place as places
from flinkjob.snapshots.addresses import StoreAddress
from flinkjob.snapshots.bandwidth import Bandwidth
from flinkjob.snapshots.copying import CopyRequest, apply_retention, check_copy, copy_snapshot
from flinkjob.snapshots.outcomes import CopyProgress, OwnedByOther, SnapshotNotSelfContained
from flinkjob.snapshots.place import Place
from flinkjob.snapshots.stores import open_store
from flinkjob.snapshots.transfer import MEMORY, MIB, Memory, memory_for

Make = Callable[..., Path]
SIZES = {"small": 1000, "large": 20 * MIB + 17, "empty": 0}


def _place(store: Any, identity: str = "one") -> Place:
    return Place(store=store, identity=identity, namespace="team", job="clicks")


def _request(directory: Path, place: Place, **changes: Any) -> CopyRequest:
    values = {"token": directory.name, **changes}
    return CopyRequest(source=LocalStore(directory), location=f"file:{directory}", place=place, **values)


async def test_every_file_arrives_and_the_manifest_tells(make_snapshot: Make, store: Any) -> None:
    snapshot, place, progress = make_snapshot(SIZES), _place(store), CopyProgress()
    manifest = await copy_snapshot(_request(snapshot, place, verify=True), progress=progress)
    directory = "team/clicks/0000000000000000001-7"
    for name in (*SIZES, "_metadata"):
        content = bytes(await (await obstore.get_async(store, f"{directory}/{name}")).bytes_async())
        assert content == (snapshot / name).read_bytes()
    assert (manifest.sequence_number, manifest.checkpoint_id, len(manifest.files)) == (1, 7, 4)
    assert manifest.size == progress.bytes == progress.bytes_total
    assert await place.find() == manifest
    latest = bytes(await (await obstore.get_async(store, "team/clicks/latest.json")).bytes_async())
    assert json.loads(latest)["sequenceNumber"] == 1
    await check_copy(place, manifest)


@pytest.mark.copying("one-snapshot-one-copy")
async def test_numbers_only_grow_and_one_token_is_one_copy(make_snapshot: Make, store: Any) -> None:
    place = _place(store)
    first = make_snapshot({"a": 10}, checkpoint_id=1)
    second = make_snapshot({"a": 10}, checkpoint_id=2)
    one = await copy_snapshot(_request(first, place))
    two = await copy_snapshot(_request(second, place))
    assert await copy_snapshot(_request(first, place)) == one
    assert [one.sequence_number, two.sequence_number] == [1, 2]
    await place.remove(two)
    assert await place.find() == one
    again = await copy_snapshot(_request(second, place, token="later"))
    assert again.sequence_number == 3


@pytest.mark.copying("numbers-given-once")
async def test_numbers_are_taken_once_by_many_at_a_time(store: Any) -> None:
    places = [_place(store) for _ in range(8)]
    numbers = await asyncio.gather(*(place.reserve(f"token-{n}", 1) for n, place in enumerate(places)))
    assert sorted(numbers) == list(range(1, 9))


@pytest.mark.copying("cut-off")
async def test_a_copy_that_was_cut_off_is_invisible_and_goes_on(
    make_snapshot: Make, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot, place = make_snapshot({f"part-{n}": 10 * MIB for n in range(6)}), _place(store)
    real, seen = copying.copy_object, []

    async def cutting(source: Any, path: str, *rest: Any, **named: Any) -> Any:
        seen.append(path)
        if len(seen) == 5:
            raise Transient("store", "cut")
        return await real(source, path, *rest, **named)

    monkeypatch.setattr(copying, "copy_object", cutting)
    with pytest.raises(Transient):
        await copy_snapshot(_request(snapshot, place))
    assert await place.find() is None
    monkeypatch.setattr(copying, "copy_object", real)
    progress = CopyProgress()
    manifest = await copy_snapshot(_request(snapshot, place, verify=True), progress=progress)
    assert manifest.sequence_number == 1
    assert progress.skipped > 0
    assert await place.find() == manifest


async def test_a_snapshot_with_an_absolute_reference_is_refused(make_snapshot: Make, store: Any) -> None:
    snapshot, place = make_snapshot({"a": 1}, absolute="s3://elsewhere/shared/x"), _place(store)
    with pytest.raises(SnapshotNotSelfContained, match="s3://elsewhere/shared/x"):
        await copy_snapshot(_request(snapshot, place))
    assert await place.find() is None


async def test_a_snapshot_with_a_missing_file_is_refused(make_snapshot: Make, store: Any) -> None:
    snapshot = make_snapshot({"a": 1, "b": 2})
    (snapshot / "b").unlink()
    with pytest.raises(SnapshotNotSelfContained, match="b is missing"):
        await copy_snapshot(_request(snapshot, _place(store)))


async def test_another_operator_is_refused_until_it_takes_over(make_snapshot: Make, store: Any) -> None:
    snapshot = make_snapshot({"a": 1})
    await copy_snapshot(_request(snapshot, _place(store)))
    other = _place(store, "two")
    with pytest.raises(OwnedByOther, match="operator one"):
        await copy_snapshot(_request(snapshot, other, token="t"))
    with pytest.raises(OwnedByOther):
        await copy_snapshot(_request(snapshot, other, token="t", take_over="three"))
    taken = await copy_snapshot(_request(snapshot, other, token="t", take_over="one"))
    assert (taken.sequence_number, taken.identity) == (2, "two")
    with pytest.raises(OwnedByOther, match="operator two"):
        await copy_snapshot(_request(snapshot, _place(store), token="u"))


@pytest.mark.copying("taken-over")
async def test_a_copy_whose_place_is_taken_over_meanwhile_is_not_published(
    make_snapshot: Make, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, other, real = _place(store), _place(store, "two"), copying.copy_object

    async def slow(*rest: Any, **named: Any) -> Any:
        await other.own("one")
        return await real(*rest, **named)

    monkeypatch.setattr(copying, "copy_object", slow)
    with pytest.raises(OwnedByOther, match="operator two"):
        await copy_snapshot(_request(make_snapshot({"a": 1}), place))
    assert await place.find() is None


async def test_a_copy_that_is_there_is_not_published_again_in_the_place_of_another(
    make_snapshot: Make, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, other, snapshot = _place(store), _place(store, "two"), make_snapshot({"a": 1})
    await copy_snapshot(_request(snapshot, place))
    real = Place.reserve

    async def slow(self: Place, token: str, checkpoint_id: int) -> int:
        await other.own("one")
        return await real(self, token, checkpoint_id)

    monkeypatch.setattr(Place, "reserve", slow)
    with pytest.raises(OwnedByOther, match="operator two"):
        await copy_snapshot(_request(snapshot, place))


@pytest.mark.copying("taken-over")
async def test_retention_deletes_nothing_in_a_place_that_was_taken_over(make_snapshot: Make, store: Any) -> None:
    place = _place(store)
    for number in range(1, 4):
        await copy_snapshot(_request(make_snapshot({"a": 1}, checkpoint_id=number), place))
    await _place(store, "two").own("one")
    with pytest.raises(OwnedByOther, match="operator two"):
        await apply_retention(place, min_count=1, min_age=-timedelta(hours=1), keep=frozenset())
    assert len(await place.copies()) == 3


@pytest.mark.copying("mended")
@pytest.mark.parametrize(("change", "verify"), [("delete", False), ("change", True)])
async def test_a_copy_that_is_there_already_is_looked_at_and_mended(
    make_snapshot: Make, store: Any, change: str, verify: bool
) -> None:
    place, snapshot = _place(store), make_snapshot({"a": 1000, "b": 2000})
    one = await copy_snapshot(_request(snapshot, place))
    damaged = f"{place.directory(1, 7)}/a"
    if change == "delete":
        await obstore.delete_async(store, damaged)
    else:
        await obstore.put_async(store, damaged, b"x" * 1000)
    progress = CopyProgress()
    again = await copy_snapshot(_request(snapshot, place, verify=verify), progress=progress)
    assert (again.sequence_number, again.files) == (1, one.files)
    assert progress.skipped == 2000, "what is whole is not brought again"
    await check_copy(place, again)
    content = bytes(await (await obstore.get_async(store, damaged)).bytes_async())
    assert content == (snapshot / "a").read_bytes()
    assert await place.find() == again


@pytest.mark.copying("mended")
async def test_a_copy_that_cannot_be_mended_is_none(make_snapshot: Make, store: Any) -> None:
    place, snapshot = _place(store), make_snapshot({"a": 1000})
    await copy_snapshot(_request(snapshot, place))
    await obstore.delete_async(store, f"{place.directory(1, 7)}/a")
    (snapshot / "a").unlink()
    with pytest.raises(SnapshotNotSelfContained, match="a is missing"):
        await copy_snapshot(_request(snapshot, place))
    assert await place.find() is None


@pytest.mark.fault("store-damaged-manifest")
async def test_a_damaged_manifest_is_as_good_as_none(make_snapshot: Make, store: Any) -> None:
    place = _place(store)
    one = await copy_snapshot(_request(make_snapshot({"a": 1}, checkpoint_id=1), place))
    await copy_snapshot(_request(make_snapshot({"a": 1}, checkpoint_id=2), place))
    damaged = "team/clicks/0000000000000000002-2/manifest.json"
    content = bytes(await (await obstore.get_async(store, damaged)).bytes_async())
    await obstore.put_async(store, damaged, content.replace(b'"size": 1', b'"size": 2'))
    assert await place.find() == one
    assert await place.find(2) is None


async def test_retention_needs_both_limits(make_snapshot: Make, store: Any) -> None:
    place = _place(store)
    for number in range(1, 6):
        await copy_snapshot(_request(make_snapshot({"a": 1}, checkpoint_id=number), place))
    none = frozenset[int]()
    assert await apply_retention(place, min_count=2, min_age=timedelta(hours=1), keep=none) == []
    assert await apply_retention(place, min_count=9, min_age=-timedelta(hours=1), keep=none) == []
    assert await apply_retention(place, min_count=2, min_age=-timedelta(hours=1), keep=frozenset({2})) == [3, 1]
    assert [copy.sequence_number for copy in await place.copies()] == [5, 4, 2]
    assert await place.reserve("new", 9) == 6


@pytest.mark.copying("given-up")
async def test_retention_deletes_what_was_given_up_long_ago(
    make_snapshot: Make, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = _place(store)
    for number in range(1, 6):
        await copy_snapshot(_request(make_snapshot({"a": 1}, checkpoint_id=number), place))
    for number in (1, 2, 5):
        await obstore.delete_async(store, f"{place.directory(number, number)}/manifest.json")
    await obstore.put_async(store, f"{place.directory(3, 3)}/manifest.json", b"{}")
    limits: dict[str, Any] = {"min_count": 9, "min_age": timedelta(hours=1), "keep": frozenset({2})}
    assert await apply_retention(place, **limits) == []
    assert {number for number, _ in await place.directories()} == {1, 2, 3, 4, 5}, "somebody may be at work there"
    monkeypatch.setattr(retention, "ABANDONED", -timedelta(hours=1))
    assert await apply_retention(place, **limits) == [1]
    assert {number for number, _ in await place.directories()} == {2, 3, 4, 5}


@pytest.mark.copying("given-up-by-the-former-operator")
async def test_retention_goes_on_with_the_copies_of_the_operator_before(make_snapshot: Make, store: Any) -> None:
    for number in (1, 2):
        await copy_snapshot(_request(make_snapshot({"a": 1}, checkpoint_id=number), _place(store)))
    place = _place(store, "two")
    await copy_snapshot(_request(make_snapshot({"a": 1}, checkpoint_id=3), place, take_over="one"))
    limits: dict[str, Any] = {"min_count": 1, "min_age": -timedelta(hours=1)}
    assert await apply_retention(place, **limits, keep=frozenset({2})) == [1]


@pytest.mark.copying("bounded-manifest")
async def test_a_snapshot_of_too_many_files_is_refused_before_it_is_copied(
    make_snapshot: Make, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "LARGEST", 10_000)
    progress = CopyProgress()
    many = make_snapshot({f"part-{n}": 0 for n in range(100)}, checkpoint_id=1)
    with pytest.raises(Invalid, match="101 files"):
        await copy_snapshot(_request(many, _place(store)), progress=progress)
    assert progress.objects == 0
    few = make_snapshot({f"part-{n}": 0 for n in range(40)}, checkpoint_id=2)
    manifest = await copy_snapshot(_request(few, _place(store)))
    assert await _place(store).find() == manifest


async def test_the_bandwidth_is_shared(make_snapshot: Make, store: Any) -> None:
    snapshot = make_snapshot({"a": 2 * MIB, "b": 2 * MIB})
    begun = asyncio.get_running_loop().time()
    await copy_snapshot(_request(snapshot, _place(store)), bandwidth=Bandwidth(4 * MIB))
    assert asyncio.get_running_loop().time() - begun > 0.4


@pytest.mark.parametrize("key", ["local", "wrong"])
async def test_wrong_credentials_are_a_denial_without_the_secret(
    address: StoreAddress, make_snapshot: Make, key: str
) -> None:
    if address.endpoint is None:
        pytest.skip("a directory has none")
    wrong = {"accessKeyId": key, "secretAccessKey": "hidden-secret"}
    place = _place(open_store(StoreAddress(uri=address.uri, endpoint=address.endpoint, secret=wrong)))
    with pytest.raises(Rejected, match="denies access") as caught:
        await copy_snapshot(_request(make_snapshot({"a": 1}), place))
    assert "hidden-secret" not in str(caught.value)


@pytest.mark.copying("one-snapshot-one-copy")
async def test_another_snapshot_at_the_same_place_is_another_copy(make_snapshot: Make, store: Any) -> None:
    place = _place(store)
    one = await copy_snapshot(_request(make_snapshot({"a": 1}, checkpoint_id=1), place, token="here"))
    two = await copy_snapshot(_request(make_snapshot({"a": 1}, checkpoint_id=2), place, token="here"))
    assert [one.sequence_number, two.sequence_number] == [1, 2]


@pytest.mark.copying("bounded-memory")
@pytest.mark.threat("greedy-copy")
@pytest.mark.parametrize("size", [1, 8 * MIB, 8 * MIB + 1, 100 * 1024 * MIB, 140 * 1024 * MIB])
def test_an_object_of_any_size_fits_into_the_memory_of_a_copy(size: int) -> None:
    assert 0 < memory_for(size) <= MEMORY


@pytest.mark.copying("bounded-memory")
async def test_who_needs_more_memory_than_is_left_waits() -> None:
    memory, held, most = Memory(10), 0, 0

    async def hold(size: int) -> None:
        nonlocal held, most
        async with memory.hold(size):
            held += size
            most = max(most, held)
            await asyncio.sleep(0)
            held -= size

    await asyncio.gather(*(hold(size) for size in (4, 4, 4, 10, 10, 1)))
    assert most == 10
    async with memory.hold(99):  # more than there is: all of it
        pass
