"""Shards are shared out over replicas: no two ever have one, and whatever happens to replicas, soon each has one."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinkjob.kube.errors import AlreadyExists, Conflict, KubeUnavailable
from flinkjob.runtime.leader import RENEW_DEADLINE, Leadership, NotLeading
from flinkjob.runtime.membership import Membership
from tests.model.virtualtime import virtual_time
from tests.unit.runtime.conftest import World

HANDED_OVER = 20.0
SHARDS = 5
MOST = 6
FAST, SLOW = 0.05, 2.5
"""Seconds that a request takes at most on each way."""


class Leases:
    """The API server, as far as Leases go."""

    def __init__(self) -> None:
        self.all: dict[str, dict[str, Any]] = {}
        self.version = 0
        self.writes = 0

    def put(self, body: Mapping[str, Any], *, new: bool) -> dict[str, Any]:
        name, before = body["metadata"]["name"], self.all.get(body["metadata"]["name"])
        if new and before is not None:
            raise AlreadyExists(409, "exists")
        version = before["metadata"]["resourceVersion"] if before is not None else None
        if not new and body["metadata"].get("resourceVersion") != version:
            raise Conflict(409, "modified")
        self.version += 1
        self.writes += 1
        made = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        self.all[name] = made
        return made

    def holder(self, name: str) -> str:
        return str(self.all[name]["spec"]["holderIdentity"])


class Line:
    """One replica's connection to it: it may be cut, or slow, and an answer may be lost after the effect."""

    def __init__(self, leases: Leases, chance: random.Random) -> None:
        self._leases, self._chance = leases, chance
        self.cut = False
        self.slow = FAST

    async def _way(self) -> None:
        await asyncio.sleep(self._chance.uniform(0, self.slow))
        if self.cut:
            await asyncio.sleep(3.0)
            raise KubeUnavailable("timeout", "no answer")

    async def read_lease(self, namespace: str, name: str) -> dict[str, Any] | None:
        await self._way()
        return self._leases.all.get(name)

    async def list_leases(self, namespace: str, label: str) -> list[dict[str, Any]]:
        await self._way()
        key, _, value = label.partition("=")
        found = [one for one in self._leases.all.values() if one["metadata"].get("labels", {}).get(key) == value]
        await self._way()
        return found

    async def create_lease(self, body: Mapping[str, Any]) -> dict[str, Any]:
        await self._way()
        made = self._leases.put(body, new=True)
        await self._way()
        return made

    async def replace_lease(self, body: Mapping[str, Any]) -> dict[str, Any]:
        await self._way()
        made = self._leases.put(body, new=False)
        await self._way()
        return made


class Replica:
    """One of them: what it works on, from when a shard comes until its end is over."""

    def __init__(
        self, leases: Leases, name: str, chance: random.Random, shards: int = SHARDS, first_list: float = 0.0
    ) -> None:
        self.name, self._chance, self._first_list = name, chance, first_list
        self.line = Line(leases, chance)
        self.member = Membership(self.line, namespace="ns", name="op", shards=shards, holder=name)
        self.works_on: set[int] = set()
        self.moves = 0
        self.lost = False
        self._task = asyncio.create_task(self._live())

    async def _live(self) -> None:
        await self.member.join()
        self.member.start(self._end)
        await asyncio.sleep(self._first_list)
        self.member.serve(self)

    def _end(self) -> None:
        self.lost = True
        self.works_on.clear()

    async def prepare(self, shards: frozenset[int]) -> None:
        await asyncio.sleep(self._chance.uniform(0, 0.5))

    def begin(self, shards: frozenset[int]) -> None:
        self.works_on |= shards
        self.moves += len(shards)

    async def end(self, shards: frozenset[int]) -> None:
        await asyncio.sleep(self._chance.uniform(3, 5))
        self.works_on -= shards

    def kill(self) -> None:
        """It ends without a word."""
        self.lost = True
        self.works_on.clear()
        for task in (self._task, self.member._keeping, self.member._move):
            if task is not None:
                task.cancel()

    async def stop(self) -> None:
        """It ends as it is asked to."""
        self._task.cancel()
        self.works_on.clear()
        await self.member.release()
        self.lost = True

    def effects(self) -> set[int]:
        """The shards in which it may have effects now."""
        return self.works_on if self.member.leads() else set()


def _holders(replicas: list[Replica]) -> Counter[int]:
    return Counter(shard for one in replicas for shard in one.effects())


async def _watch(replicas: list[Replica], seconds: float) -> None:
    for _ in range(int(seconds / 0.1)):
        await asyncio.sleep(0.1)
        both = [shard for shard, count in _holders(replicas).items() if count > 1]
        assert not both, f"shards of two replicas: {both}"


async def _until_all_are_held(replicas: list[Replica], within: float, shards: int = SHARDS) -> float:
    waited = 0.0
    while set(_holders(replicas)) != set(range(shards)):
        assert waited < within, f"not held after {waited:.1f} s: {set(range(shards)) - set(_holders(replicas))}"
        await _watch(replicas, 0.1)
        waited += 0.1
    return waited


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "flinkjob")


class Cluster:
    """Replicas of one operator."""

    def __init__(self, seed: int = 0) -> None:
        self.leases, self.chance, self.all = Leases(), random.Random(seed), list[Replica]()

    async def join(self, shards: int = SHARDS, first_list: float = 0.0) -> Replica:
        made = Replica(self.leases, f"replica-{len(self.all)}", self.chance, shards, first_list)
        self.all.append(made)
        return made

    def living(self) -> list[Replica]:
        return [one for one in self.all if not one.lost]

    async def happens(self, step: str) -> None:
        """Something, to one of those that live."""
        living = self.living()
        if step == "join":
            if len(living) < MOST:
                await self.join()
            return
        one = self.chance.choice(living) if living else None
        match one, step:
            case Replica(), "kill":
                one.kill()
            case Replica(), "stop":
                await one.stop()
            case Replica(), "cut" | "mend":
                one.line.cut = step == "cut"
            case Replica(), "slow" | "fast":
                one.line.slow = SLOW if step == "slow" else FAST


def test_replicas_share_the_shards_evenly_and_one_that_joins_gets_its_part(world: World) -> None:
    async def story() -> None:
        cluster = Cluster()
        first = await cluster.join()
        await _until_all_are_held(cluster.all, 10)
        assert first.member.shards() == frozenset(range(SHARDS))
        second = await cluster.join()
        await _watch(cluster.all, 15)
        assert sorted(len(one.works_on) for one in (first, second)) == [2, 3]
        assert second.moves == 2
        third = await cluster.join()
        await _watch(cluster.all, 15)
        assert sorted(len(one.works_on) for one in cluster.all) == [1, 2, 2]
        assert (second.moves, third.moves) in {(2, 1), (2, 2)}

    world.run(story())


def test_the_shards_of_a_killed_replica_are_taken_in_time_and_the_others_keep_theirs(world: World) -> None:
    async def story(seed: int) -> None:
        cluster = Cluster(seed)
        for _ in range(3):
            await cluster.join()
        await _watch(cluster.all, 20 + seed * 0.3)
        killed, *others = sorted(cluster.all, key=lambda one: -len(one.works_on))
        before = {one.name: set(one.works_on) for one in others}
        killed.kill()
        assert await _until_all_are_held(cluster.all, HANDED_OVER) > 10
        assert all(one.works_on >= before[one.name] for one in others)

    for seed in range(8):
        world.run(story(seed))


def test_a_replica_keeps_its_seat_however_long_its_first_list_takes(world: World) -> None:
    async def story() -> None:
        cluster = Cluster()
        one = await cluster.join(first_list=40.0)
        await _watch(cluster.all, 39)
        assert not one.lost
        assert one.works_on == set()
        await _until_all_are_held(cluster.all, 5)

    world.run(story())


def test_an_api_server_that_is_always_slow_holds_up_no_shard_for_good(world: World) -> None:
    async def story() -> None:
        cluster = Cluster()
        slow, other = await cluster.join(), await cluster.join()
        await _watch(cluster.all, 15)

        async def way() -> None:
            await asyncio.sleep(0.7)

        slow.line._way = way  # type: ignore[method-assign]
        other.kill()
        await _until_all_are_held(cluster.all, 60)
        assert not slow.lost

    world.run(story())


def test_a_replica_that_ends_hands_over_at_once(world: World) -> None:
    async def story() -> None:
        cluster = Cluster()
        for _ in range(3):
            await cluster.join()
        await _watch(cluster.all, 20)
        await cluster.all[0].stop()
        assert await _until_all_are_held(cluster.all, HANDED_OVER) < 4

    world.run(story())


def test_a_replica_without_an_answer_ends_before_another_one_has_its_shards(world: World) -> None:
    async def story() -> None:
        cluster = Cluster()
        for _ in range(2):
            await cluster.join()
        await _watch(cluster.all, 15)
        cut = cluster.all[0]
        cut.line.cut = True
        await _watch(cluster.all, 13)
        assert cut.lost
        with pytest.raises(NotLeading):
            cut.member.require()
        await _until_all_are_held(cluster.all, HANDED_OVER - 13)
        cut.line.cut = False

    world.run(story())


def test_replicas_beyond_the_shards_stand_by(world: World) -> None:
    async def story() -> None:
        cluster = Cluster()
        for _ in range(3):
            await cluster.join(2)
        await _watch(cluster.all, 20)
        assert sorted(len(one.works_on) for one in cluster.all) == [0, 1, 1]
        next(one for one in cluster.all if one.works_on).kill()
        await _until_all_are_held(cluster.all, 2 * HANDED_OVER, 2)

    world.run(story())


def test_a_single_leader_and_replicas_that_share_never_work_beside_each_other(world: World) -> None:
    async def story() -> None:
        cluster = Cluster()
        single = Leadership(Line(cluster.leases, cluster.chance), namespace="ns", name="op", holder="single")
        await single.acquire()
        keeping = asyncio.create_task(single.keep(lambda: None))
        sharing = [await cluster.join() for _ in range(2)]
        await _watch(cluster.all, 30)
        assert single.leads()
        assert not any(one.effects() for one in sharing)
        keeping.cancel()
        await single.release()
        await _until_all_are_held(cluster.all, 10)
        taking = asyncio.create_task(single.acquire())
        await _watch(cluster.all, 60)
        assert not taking.done()
        for one in sharing:
            await one.stop()
        await asyncio.wait_for(taking, 5)

    world.run(story())


def test_another_number_of_shards_waits_until_no_replica_with_the_former_one_lives(world: World) -> None:
    async def story() -> None:
        cluster = Cluster()
        before = [await cluster.join() for _ in range(2)]
        await _watch(cluster.all, 15)
        after = [await cluster.join(8) for _ in range(2)]
        await _watch(cluster.all, 30)
        assert not any(one.effects() for one in after)
        await before[0].stop()
        before[1].kill()
        assert await _until_all_are_held(after, 2 * HANDED_OVER, 8) > 10

    world.run(story())


def test_an_operators_lease_that_somebody_takes_ends_the_replicas(world: World) -> None:
    async def story() -> None:
        cluster = Cluster()
        one = await cluster.join()
        await _watch(cluster.all, 5)
        del cluster.leases.all["op"]
        await _watch(cluster.all, 5)
        assert one.lost

    world.run(story())


def test_only_seats_are_written_when_nothing_happens(world: World) -> None:
    async def story() -> None:
        cluster = Cluster()
        for _ in range(3):
            await cluster.join()
        await _watch(cluster.all, 30)
        before = cluster.leases.writes
        await _watch(cluster.all, 60)
        assert cluster.leases.writes - before <= 3 * 31

    world.run(story())


STEPS = st.sampled_from(["join", "kill", "stop", "cut", "mend", "slow", "fast"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(STEPS, st.floats(0.1, 25)), max_size=14), st.integers(0, 10**6))
def test_whatever_happens_to_replicas_no_shard_has_two_and_soon_each_has_one(
    steps: list[tuple[str, float]], seed: int
) -> None:
    async def story() -> None:
        cluster = Cluster(seed)
        for _ in range(3):
            await cluster.join()
        for step, pause in steps:
            await cluster.happens(step)
            await _watch(cluster.all, pause)
        for one in cluster.living():
            one.line.cut, one.line.slow = False, FAST
        await _watch(cluster.all, RENEW_DEADLINE + 2)  # one that could not renew may have to end
        if not cluster.living():
            await cluster.join()
        # a new one waits for the seats of those that were killed, and after that for their shards
        await _until_all_are_held(cluster.all, 2 * HANDED_OVER)

    with virtual_time() as (loop, _):
        loop.run_until_complete(story())
        for task in (left := asyncio.all_tasks(loop)):
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
