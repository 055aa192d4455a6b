"""A job's place in a store, by property: numbers only grow, retention needs both limits, damage is noticed."""

import asyncio
import contextlib
import json
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import obstore
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore

from flinkjob.core.errors import Invalid, Transient
from flinkjob.snapshots import objects
from flinkjob.snapshots import place as places
from flinkjob.snapshots.manifest import Manifest, ManifestFile
from flinkjob.snapshots.outcomes import OwnedByOther, StoreStep
from flinkjob.snapshots.place import Place

ROOT = "team/clicks"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(store: MemoryStore, identity: str = "one") -> Place:
    return Place(store=store, identity=identity, namespace="team", job="clicks")


def manifest(number: int, age: timedelta = timedelta(), **fields: Any) -> Manifest:
    before = Manifest(
        identity="one",
        namespace="team",
        job="clicks",
        sequence_number=number,
        checkpoint_id=7,
        source="file:/savepoints/1",
        time=(NOW - age).strftime("%Y-%m-%dT%H:%M:%SZ"),
        files=(ManifestFile(name="_metadata", size=10, sha256="0" * 64),),
    )
    return replace(before, **fields)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def latest(store: MemoryStore) -> int:
    return int(json.loads(bytes(obstore.get(store, f"{ROOT}/latest.json").bytes()))["sequenceNumber"])


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, 30)),
        st.tuples(st.just("publish"), st.integers(0, 8)),
        st.tuples(st.just("remove"), st.integers(0, 8)),
        st.tuples(st.just("prune"), st.integers(0, 3)),
        st.tuples(st.just("take over"), st.just(0)),
    ),
    max_size=30,
)


@pytest.mark.copying("numbers-only-grow")
@settings(max_examples=100, deadline=None)
@given(steps=STEPS)
def test_numbers_only_grow_and_latest_only_rises(steps: list[tuple[str, int]]) -> None:  # noqa: C901 - lists steps
    """Whatever is published, deleted, forgotten or taken over in between, and though every step is a new process."""

    async def history() -> None:
        store, identity = MemoryStore(), "one"
        given_to: dict[str, int] = {}
        highest, risen = 0, 0
        for step, value in steps:
            place = at(store, identity)
            match step:
                case "reserve":
                    token = f"token-{value}"
                    number = await place.reserve(token, 7)
                    if number != given_to.get(token):
                        assert number > highest, "a number was given twice"
                        given_to[token] = number
                    highest = max(highest, number)
                case "publish" if given_to:
                    number = sorted(given_to.values())[value % len(given_to)]
                    await place.publish(manifest(number, identity=identity))
                    risen = max(risen, number)
                case "remove":
                    if copies := await place.copies():
                        await place.remove(copies[value % len(copies)])
                case "prune":
                    await place.prune_reserved(value)
                case "take over":
                    other = "two" if identity == "one" else "one"
                    await at(store, identity).own()
                    await at(store, other).own(identity)
                    with pytest.raises(OwnedByOther):
                        await at(store, identity).own()
                    identity = other
            if risen:
                assert latest(store) == risen
            found = [copy.sequence_number for copy in await at(store).copies()]
            assert found == sorted(found, reverse=True)
            newest = await at(store).find()
            assert (newest.sequence_number if newest else 0) == max([0, *found])

    run(history())


@pytest.mark.copying("bounded-manifest")
@pytest.mark.parametrize("large", [0, 10**9])
def test_a_list_of_copies_does_not_hold_their_files(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def history() -> None:
        store = MemoryStore()
        await at(store).publish(manifest(1))
        assert [copy.files for copy in await at(store).copies()] == [()]
        assert await at(store).find() == manifest(1)

    monkeypatch.setattr(objects, "LARGE", large)
    run(history())


@pytest.mark.copying("bounded-manifest")
def test_a_manifest_that_no_reader_would_accept_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    async def history() -> None:
        store = MemoryStore()
        with pytest.raises(Invalid, match="too large"):
            await at(store).publish(manifest(1))
        assert obstore.list(store).collect() == []

    monkeypatch.setattr(places, "LARGEST", 100)
    run(history())


def test_a_late_writer_does_not_pull_latest_down() -> None:
    async def history() -> int:
        store = MemoryStore()
        await at(store).publish(manifest(5))
        await at(store).publish(manifest(3))
        return latest(store)

    assert run(history()) == 5


@given(position=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_manifest_with_a_changed_byte_is_none_or_says_the_same(position: int, byte: int) -> None:
    good = manifest(3)
    content = bytearray(good.dump())
    content[position % len(content)] = byte
    with contextlib.suppress(Invalid):
        assert Manifest.load(bytes(content)) == good


@pytest.mark.threat("lying-store")
@pytest.mark.parametrize(
    "fields",
    [
        {"sequence_number": "3"},
        {"checkpoint_id": -1},
        {"time": "yesterday"},
        {"time": "2026-01-01T12:00:00"},
        {"sequence_number": True},
        {"sequence_number": 2**63},
        {"identity": 7},
        {"identity": "x" * 64},
        {"source": 5},
        {"token": ["x"]},
        {"flink_version": 2.1},
        {"files": (ManifestFile(name="a", size=1, sha256=5),)},  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_a_manifest_of_a_stranger_with_a_right_checksum(fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        Manifest.load(manifest(3, **fields).dump())


@pytest.mark.threat("lying-store")
@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"identity": 5}', b"x" * 200])
def test_what_others_left_in_the_place_is_no_error_of_the_operator(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def history() -> None:
        store = MemoryStore()
        await at(store).own()
        number = await at(store).reserve("token", 7)
        await at(store).publish(manifest(number))
        for name in ("latest.json", "owner.json", f"reserved/{1:019}.json", f"{2:019}-7/manifest.json"):
            await obstore.put_async(store, f"{ROOT}/{name}", content)
        with pytest.raises(OwnedByOther, match=r"owner\.json in the store cannot be read.*by hand"):
            await at(store).own("5")
        assert await at(store).reserve("token", 7) == 3
        assert (await at(store).find()) == manifest(1)
        await at(store).publish(manifest(3))
        assert latest(store) == 3

    monkeypatch.setattr(objects, "LARGEST", 1000)
    run(history())


def test_numbers_that_somebody_used_up_are_refused_not_wrapped() -> None:
    async def history() -> None:
        store = MemoryStore()
        await obstore.put_async(store, f"{ROOT}/reserved/{2**63 - 1:019}.json", b"{}")
        with pytest.raises(Invalid, match="used up"):
            await at(store).reserve("token", 7)

    run(history())


@pytest.mark.copying("conditional-writes")
@pytest.mark.parametrize("before", ["nobody", "me", "other"])
def test_a_store_that_ignores_conditions_is_refused(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by whom it let in before, and without replacing another's mark."""
    real = obstore.put_async

    async def put(store: Any, path: str, content: Any, **options: Any) -> Any:
        return await real(store, path, content, **options | {"mode": "overwrite"})

    async def history() -> None:
        store = MemoryStore()
        if before != "nobody":
            await at(store, "one" if before == "me" else "two").own()
        monkeypatch.setattr(obstore, "put_async", put)
        for _ in range(2):
            if before == "other":
                with pytest.raises(OwnedByOther, match="operator two"):
                    await at(store).own()
            else:
                with pytest.raises(Invalid, match="ignores conditions"):
                    await at(store).own()

    run(history())


def test_an_owner_that_vanishes_meanwhile_is_looked_for_again() -> None:
    async def history() -> None:
        with pytest.raises(Transient, match="changes its owner"):
            await Vanishing(store=MemoryStore(), identity="one", namespace="team", job="clicks").own()
        with pytest.raises(Transient, match="is gone"):
            await at(MemoryStore()).still_own()

    run(history())


class Vanishing(Place):
    """Somebody creates `owner.json` right before this operator does, and deletes it right after."""

    async def _create(self, step: StoreStep, path: str, content: dict[str, Any]) -> bool:
        return False
