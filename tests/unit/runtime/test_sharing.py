"""Which keys are this replica's: those of its shards; and what is done when shards come and go."""

from __future__ import annotations

import asyncio
from typing import Any

from flinkjob.core.shards import shard_of
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.queue import Key, WorkQueue
from flinkjob.runtime.sharing import WITHOUT_JOB_SECONDS, Handover, Sharing
from tests.unit.runtime.conftest import World

SHARDS = 4


def _url(shard: int) -> str:
    return next(url for n in range(99) if shard_of(url := f"http://flink-{n}.ns.svc:8081", SHARDS) == shard)


def _raw(kind: str, name: str, version: int, spec: dict[str, Any], status: dict[str, Any] | None = None) -> Any:
    meta = {"namespace": "ns", "name": name, "uid": f"uid-{name}", "resourceVersion": str(version), "generation": 1}
    return {
        "apiVersion": "flinkjob.dev/v1alpha1",
        "kind": kind,
        "metadata": meta,
        "spec": spec,
        "status": status or {},
    }


class Place:
    """A replica that has some of four shards."""

    def __init__(self, *mine: int, shards: int = SHARDS) -> None:
        self.cache, self.mine = ObjectCache(), frozenset(mine)
        self.sharing = Sharing(self.cache, shards=shards, mine=lambda: self.mine)
        self.log: list[Any] = []
        self.queue = WorkQueue(self._round, workers=8, share=8)
        self.handover = Handover(self.sharing, self, queue=self.queue, forget=self._forget)  # type: ignore[arg-type]

    def job(self, name: str, shard: int, version: int = 1, at: int | None = None) -> None:
        spec = {"cluster": {"url": _url(shard)}, "jar": {"uri": "https://repo/job.jar"}}
        status = {"cluster": {"url": _url(at)}} if at is not None else None
        self.cache.put_job(_raw("FlinkJob", name, version, spec, status))

    def savepoint(self, name: str, job: str) -> None:
        self.cache.put_savepoint(_raw("FlinkSavepoint", name, 1, {"jobRef": {"name": job}}))

    async def _round(self, key: Key) -> float | None:
        if self.sharing.has(key):
            self.sharing.begin(key)
            await asyncio.sleep(2.0)
        self.log.append(("round", key[1]))
        return None

    async def _forget(self, key: Key) -> None:
        self.sharing.forget(key)
        self.log.append(("forget", key[1]))

    async def refresh(self) -> None:
        self.log.append("refresh")


def test_keys_belong_to_the_shard_of_their_cluster() -> None:
    place = Place(1, 2)
    for shard in range(SHARDS):
        place.job(f"on-{shard}", shard)
    place.job("moves", 0, at=2)
    place.savepoint("of-on-1", "on-1")
    place.savepoint("of-on-3", "on-3")
    assert sorted(job.meta.name for job in place.sharing.jobs()) == ["moves", "on-1", "on-2"]
    assert [one.meta.name for one in place.sharing.savepoints()] == ["of-on-1"]
    assert not place.sharing.concerns(("ns", "on-3"))
    place.job("moves", 0, version=2, at=0)
    assert not place.sharing.has(("ns", "moves"))


def test_a_key_that_was_worked_on_is_forgotten_by_a_round() -> None:
    place = Place(1)
    place.job("moves", 1)
    assert place.sharing.begin(("ns", "moves")) is None
    place.job("moves", 1, version=2, at=0)
    assert not place.sharing.has(("ns", "moves"))
    assert place.sharing.concerns(("ns", "moves"))
    assert place.sharing.keys() == {("ns", "moves")}
    place.sharing.forget(("ns", "moves"))
    assert place.sharing.keys() == set()


def test_with_one_shard_all_is_this_replicas() -> None:
    place = Place(shards=1)
    place.job("any", 3)
    place.savepoint("without", "nothing")
    assert place.sharing.keys() == place.cache.keys()
    assert all(map(place.sharing.has, place.cache.keys()))
    assert place.sharing.begin(("ns", "nothing")) is None


def test_flinksavepoints_without_a_flinkjob_wait_for_who_had_it(world: World) -> None:
    place = Place(*range(SHARDS))
    place.savepoint("left", "gone")
    key = ("ns", "gone")
    assert place.sharing.begin(key) == WITHOUT_JOB_SECONDS
    world.pass_time(WITHOUT_JOB_SECONDS)
    assert place.sharing.begin(key) is None
    place.sharing.forget(key)
    assert place.sharing.begin(key) is None
    place.job("gone", 0)
    assert place.sharing.begin(key) is None


def test_a_shard_that_goes_goes_when_its_rounds_have_ended(world: World) -> None:
    async def story() -> None:
        place = Place(1, 2)
        place.job("goes", 1)
        place.job("stays", 2)
        place.handover.begin(frozenset({1, 2}))
        await asyncio.sleep(1.0)
        place.mine = frozenset({2})
        await place.handover.end(frozenset({1}))
        assert place.log.index(("round", "goes")) < place.log.index(("forget", "goes"))
        assert ("forget", "stays") not in place.log

    world.run(story())


def test_what_was_begun_for_a_key_that_is_another_shards_now_ends_with_any_shard(world: World) -> None:
    place = Place(1, 2)
    place.job("moves", 1)
    place.sharing.begin(("ns", "moves"))
    place.job("moves", 1, version=2, at=0)
    place.mine = frozenset({1})
    world.run(place.handover.end(frozenset({2})))
    assert ("forget", "moves") in place.log


def test_a_key_without_flinksavepoints_waits_again_when_it_comes_back(world: World) -> None:
    place = Place(*range(SHARDS))
    key = ("ns", "gone")
    place.savepoint("left", "gone")
    assert place.sharing.begin(key) == WITHOUT_JOB_SECONDS
    place.cache.drop_savepoint(_raw("FlinkSavepoint", "left", 1, {"jobRef": {"name": "gone"}}))
    place.sharing.concerns(key)
    world.pass_time(WITHOUT_JOB_SECONDS)
    place.savepoint("left", "gone")
    assert place.sharing.begin(key) == WITHOUT_JOB_SECONDS


def test_all_is_read_again_before_a_shard_that_comes_is_worked_on(world: World) -> None:
    place = Place()
    world.run(place.handover.prepare(frozenset({1})))
    assert place.log == ["refresh"]
