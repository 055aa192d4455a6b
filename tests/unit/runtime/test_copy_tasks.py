"""Copies as tasks: what is refused before a store is spoken to, and what becomes of a copy that nobody wants any more."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flinkjob.api.enums import SavepointErrorCode
from flinkjob.api.sync import SyncToSpec
from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.access.hosts import HostRules
from flinkjob.core.copies.savepoint_copy import CopyPhase, CopySeen, CopyWanted
from flinkjob.core.errors import Transient
from flinkjob.core.identity import UNNAMED
from flinkjob.runtime.copy_tasks import CopyTasks
from flinkjob.runtime.faults import Faults
from flinkjob.runtime.storeaccess import StoreAccesses
from flinkjob.snapshots import child
from flinkjob.snapshots.addresses import StoreAddress
from flinkjob.snapshots.orders import CopyOrder
from tests.support.snapshots import write_snapshot

KEY = ("team", "clicks")
NO_READER: Any = None
"""No Secret is named."""


def copy_tasks(identity: str, directory: Path, woken: list[Any]) -> CopyTasks:
    grants = StoreGrants.of([f"team=file://{directory}"])
    stores = StoreAccesses(reader=NO_READER, grants=grants, hosts=HostRules())
    return CopyTasks(identity=identity, stores=stores, faults=Faults(), enqueue=woken.append)


def wanted(directory: Path) -> CopyWanted:
    return CopyWanted(
        uid="u-1",
        namespace="team",
        job="clicks",
        token="t",
        location=f"file:{directory}/savepoint-1",
        target=SyncToSpec(uri=f"file://{directory}/copies"),
    )


async def test_an_attempt_is_counted_by_how_it_ended(tmp_path: Path) -> None:
    counted: list[tuple[str, int]] = []
    stores = StoreAccesses(reader=NO_READER, grants=StoreGrants.of([f"team=file://{tmp_path}"]), hosts=HostRules())
    one = CopyTasks(
        identity="east",
        stores=stores,
        faults=Faults(),
        enqueue=lambda _: None,
        ended=lambda result, _, size: counted.append((result, size)),
    )
    await ended(one, wanted(tmp_path))
    snapshot = write_snapshot(tmp_path / "savepoint-1", {"a": 1000})
    await ended(one, wanted(tmp_path))
    size = sum(path.stat().st_size for path in snapshot.iterdir())
    assert counted == [("NoSnapshot", 0), ("Synced", size)]
    assert one.running() == 0


@pytest.mark.copying("older-copies-gone")
async def test_a_copy_that_is_there_is_complete_whatever_becomes_of_older_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that may not delete, or a lock on the bucket, must not keep the next savepoints from being copied."""

    async def refuse(*_: object, **__: object) -> None:
        raise Transient("store", "403 AccessDenied")

    async def answer(self: child.Operator, what: str, **_: object) -> list[int]:
        return []

    monkeypatch.setattr(child, "apply_retention", refuse)
    monkeypatch.setattr(child.Operator, "ask", answer)
    snapshot = write_snapshot(tmp_path / "savepoint-1", {"a": 1000})
    order = CopyOrder(
        source=StoreAddress(uri=f"file://{snapshot}"),
        target=StoreAddress(uri=f"file://{tmp_path}/copies"),
        identity="east",
        namespace="team",
        job="clicks",
        location=f"file://{snapshot}",
        token="t",
        retention=(1, 3600.0),
    )
    made = await child.make_copy(order, child.Operator())
    assert (made.sequence_number, made.kept) == (1, "403 AccessDenied")


@pytest.mark.fault("store-frozen-writer")
@pytest.mark.parametrize("writes", range(7))
async def test_a_writer_that_lost_its_lease_writes_nothing_more(tmp_path: Path, writes: int) -> None:
    """As one that was frozen and woken: before each of its writes it looks whether it still leads."""
    left = writes

    def require() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Transient("not-leading", "the Lease was not renewed in time")

    stores = StoreAccesses(reader=NO_READER, grants=StoreGrants.of([f"team=file://{tmp_path}"]), hosts=HostRules())
    frozen = CopyTasks(identity="east", stores=stores, faults=Faults(require=require), enqueue=lambda _: None)
    write_snapshot(tmp_path / "savepoint-1", {"a": 1000})
    seen = await ended(frozen, wanted(tmp_path))
    assert (seen.phase, seen.permanent) == (CopyPhase.FAILED, False)
    there = [path for path in (tmp_path / "copies").rglob("*") if path.is_file()]
    assert len(there) <= writes
    later = await ended(copy_tasks("east", tmp_path, []), wanted(tmp_path))
    assert (later.phase, later.sequence_number) == (CopyPhase.DONE, 1)


async def test_nothing_is_kept_of_copies_that_ended(tmp_path: Path) -> None:
    one = copy_tasks("east", tmp_path, [])
    write_snapshot(tmp_path / "savepoint-1", {"a": 1000})
    requests = [replace(wanted(tmp_path), uid=f"u-{number}") for number in range(3)]
    found = await asyncio.gather(*(ended(one, request) for request in requests))
    assert {seen.sequence_number for seen in found} == {1}, "one snapshot is one copy"
    assert (one._copies.all(), one._busy, one._wanting) == ({}, {}, {})


async def ended(one: CopyTasks, request: CopyWanted) -> CopySeen:
    """The outcome of a copy, and that it is kept until its status holds it."""
    while (seen := await one.look(KEY, request)).phase is CopyPhase.WORKING:
        pass
    assert await one.look(KEY, request) is seen
    one.cancel(request.uid)
    return seen


@pytest.mark.parametrize(
    ("identity", "code", "word"),
    [(UNNAMED, SavepointErrorCode.STORE_ERROR, "--identity"), ("east", SavepointErrorCode.NO_SNAPSHOT, "no directory")],
)
async def test_an_operator_without_a_name_makes_no_copies(
    tmp_path: Path, identity: str, code: SavepointErrorCode, word: str
) -> None:
    seen = await ended(copy_tasks(identity, tmp_path, []), wanted(tmp_path))
    assert (seen.phase, seen.code, seen.permanent) == (CopyPhase.FAILED, code, True)
    assert word in seen.message
    assert not (tmp_path / "copies").exists()


async def test_a_copy_that_nobody_wants_is_ended_and_wakes_nobody(tmp_path: Path) -> None:
    woken: list[Any] = []
    one = copy_tasks("east", tmp_path, woken)
    lock = one._busy.setdefault(KEY, asyncio.Lock())
    async with lock:  # another copy of the job is being made
        assert (await one.look(KEY, wanted(tmp_path))).phase is CopyPhase.WORKING
        one.retain(KEY, frozenset())
    await one.close()
    assert woken == []


@pytest.mark.copying("crawling-store")
async def test_stores_that_crawl_hold_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two copies that never end have both slots; a copy to another place is made all the same, those to theirs wait."""
    crawls = asyncio.Event()
    copy = CopyTasks._copy

    async def crawling(self: CopyTasks, request: CopyWanted, *rest: Any) -> CopySeen:
        if "crawls" in request.target.uri:
            await crawls.wait()
        return await copy(self, request, *rest)

    monkeypatch.setattr(CopyTasks, "_copy", crawling)
    write_snapshot(tmp_path / "savepoint-1", {"a": 1000})
    one, slow = copy_tasks("east", tmp_path, []), SyncToSpec(uri=f"file://{tmp_path}/crawls")
    for number in range(3):
        request = replace(wanted(tmp_path), uid=f"slow-{number}", job=f"slow-{number}", target=slow)
        assert (await one.look(("team", request.job), request)).phase is CopyPhase.WORKING
    async with asyncio.timeout(30):
        assert (await ended(one, wanted(tmp_path))).phase is CopyPhase.DONE
    await one.close()
