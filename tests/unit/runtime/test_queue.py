"""The queue of keys: no duplicates, one worker a key, the shortest delay, back-off, an end."""

from __future__ import annotations

import asyncio
import logging
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinkjob.runtime.queue import WORKER_SECONDS, Key, WorkQueue, spread
from tests.unit.runtime.conftest import World

A, B, C = ("ns", "a"), ("ns", "b"), ("ns", "c")


class Work:
    """Handles keys: notes when, takes a while, and may fail."""

    def __init__(self, world: World, *, lasts: float = 0.0, workers: int = 4, share: int = 100) -> None:
        self.world = world
        self.lasts = lasts
        self.begun: list[tuple[Key, float]] = []
        self.active: list[Key] = []
        self.most = 0
        self.delay: dict[Key, float | None] = {}
        self.failing: set[Key] = set()
        self.started = world.now()
        self.lasting: dict[Key, float] = {}
        self.queue = WorkQueue(self.handle, workers=workers, share=share)

    async def handle(self, key: Key) -> float | None:
        assert key not in self.active, "two workers at one key"
        self.begun.append((key, round(self.world.now() - self.started, 3)))
        self.active.append(key)
        self.most = max(self.most, len(self.active))
        try:
            if lasts := self.lasting.get(key, self.lasts):
                await asyncio.sleep(lasts)
            if key in self.failing:
                raise RuntimeError("boom")
            return self.delay.pop(key, None)
        finally:
            self.active.remove(key)

    def add(self, *keys: Key, delay: float = 0.0) -> None:
        async def add() -> None:
            for key in keys:
                self.queue.add(key, delay)

        self.world.run(add())

    def times(self, key: Key) -> list[float]:
        return [moment for known, moment in self.begun if known == key]


def test_a_key_that_waits_is_there_once(world: World) -> None:
    work = Work(world, workers=1, lasts=1.0)
    work.add(A, B, B, B)
    assert work.queue.depth() == 1
    world.pass_time(0.5)
    assert work.queue.oldest_seconds() == pytest.approx(0.5)
    world.pass_time(10)
    assert work.begun == [(A, 0.0), (B, 1.0)]
    assert (work.queue.depth(), work.queue.oldest_seconds()) == (0, 0.0)


def test_what_changes_while_it_is_worked_on_is_worked_on_again(world: World) -> None:
    work = Work(world, lasts=2.0)
    work.add(A)
    world.pass_time(1)
    work.add(A, A, A)
    world.pass_time(10)
    assert work.times(A) == [0.0, 2.0]


def test_workers_are_bounded_and_a_slow_key_holds_up_no_other(world: World) -> None:
    work = Work(world, lasts=1.0, workers=2)
    keys = [("ns", str(number)) for number in range(7)]
    work.add(*keys)
    world.pass_time(10)
    assert work.most == 2
    assert [key for key, _ in work.begun] == keys


MANY = [("many", str(number)) for number in range(20)]


@pytest.mark.invariant(12)
def test_a_namespace_has_its_share_of_the_workers(world: World) -> None:
    work = Work(world, lasts=3.0, workers=4, share=3)
    work.add(*MANY)
    work.add(A, B)
    world.pass_time(2.9)
    assert [key for key, _ in work.begun] == [*MANY[:3], A]
    world.pass_time(0.2)
    assert {key for key, _ in work.begun[4:]} == {B, *MANY[3:6]}


@pytest.mark.invariant(12)
def test_a_namespace_that_has_no_worker_gets_one_however_many_are_at_work(world: World) -> None:
    work = Work(world, lasts=3.0, workers=2)
    work.add(*MANY)
    work.add(A, ("third", "a"), ("fourth", "a"), B)
    world.pass_time(2.9)
    assert work.begun == [(MANY[0], 0.0), (MANY[1], 0.0), (A, 0.0), (("third", "a"), 0.0)]
    world.pass_time(0.2)
    assert {key for key, _ in work.begun[4:]} == {("fourth", "a"), B, MANY[2]}, (
        "one for each, and no more while so many are"
    )


@pytest.mark.invariant(12)
def test_namespaces_take_turns(world: World) -> None:
    work = Work(world, lasts=1.0, workers=1, share=1)
    work.add(*MANY[:5])
    world.pass_time(0.5)
    work.add(A, B, C)
    world.pass_time(20)
    order = [key for key, _ in work.begun]
    assert [order.index(key) for key in (A, B, C)] == [1, 3, 5]
    assert [key for key in order if key in MANY] == MANY[:5]


@pytest.mark.invariant(12)
def test_a_round_that_lasts_gives_its_worker_back_and_goes_on(world: World) -> None:
    work = Work(world, workers=1, lasts=60.0)
    work.lasting = dict.fromkeys((A, B), 0.0)
    work.add(MANY[0], MANY[1], MANY[2], A)
    world.pass_time(WORKER_SECONDS + 0.1)
    assert [key for key, _ in work.begun] == [MANY[0], A, MANY[1]]
    world.pass_time(WORKER_SECONDS)
    assert work.active == [MANY[0], MANY[1]], "as much is set aside as there are workers, and no more"
    work.add(B)
    world.pass_time(0.1)
    assert work.times(B), "it has no worker yet, so it gets one"
    work.add(MANY[0])
    world.pass_time(WORKER_SECONDS + 60)
    assert 60.0 <= work.times(MANY[2])[0] <= 60.0 + WORKER_SECONDS, "the first one's end lets the other be set aside"
    assert work.times(MANY[0])[1] >= 60.0, "never in two workers at once"


def test_stuck_is_who_has_keys_and_does_nothing(world: World) -> None:
    work = Work(world, workers=1, share=1, lasts=100.0)
    assert work.queue.stuck_seconds() == 0.0
    work.add(A)
    world.pass_time(90)
    assert work.queue.stuck_seconds() == 0.0, "nobody waits"
    work.add(B)
    world.pass_time(9)
    assert work.queue.oldest_seconds() == pytest.approx(9.0)
    assert work.queue.stuck_seconds() == pytest.approx(9.0)
    world.pass_time(51)
    work.add(C)
    world.pass_time(49)
    assert work.queue.oldest_seconds() == pytest.approx(49.0)
    assert work.queue.stuck_seconds() == pytest.approx(49.0)
    world.pass_time(5)
    assert work.queue.stuck_seconds() == 0.0


def test_of_several_delays_the_shortest_counts(world: World) -> None:
    work = Work(world)
    for delay in (9.0, 3.0, 6.0):
        work.add(A, delay=delay)
    world.pass_time(20)
    assert work.times(A) == [3.0]


def test_adding_now_takes_the_place_of_a_delay(world: World) -> None:
    work = Work(world)
    work.add(A, delay=5.0)
    work.add(A)
    world.pass_time(20)
    assert work.times(A) == [0.0]


def test_the_handlers_own_delay(world: World) -> None:
    work = Work(world)
    work.delay[A] = 4.0
    work.add(A)
    world.pass_time(20)
    assert work.times(A) == [0.0, 4.0]


def test_a_failing_key_pauses_longer_and_longer_and_starts_afresh_when_it_works(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work(world)
    work.failing.add(A)
    with caplog.at_level(logging.CRITICAL, "flinkjob"):
        work.add(A, B)
        world.pass_time(1200)
        pauses = [after - before for before, after in zip(work.times(A), work.times(A)[1:], strict=False)]
        assert all(0.4 * 2**n <= pause <= 0.6 * 2**n for n, pause in enumerate(pauses[:6]))
        assert max(pauses) <= 60.0
        assert work.times(B) == [0.0]
        work.failing.clear()
        world.pass_time(61)
        known = len(work.times(A))
        world.pass_time(600)
        assert len(work.times(A)) == known
        work.failing.add(A)
        work.add(A)
        world.pass_time(0.7)
        assert len(work.times(A)) == known + 2


def test_an_end_waits_for_the_workers_and_takes_nothing_new(world: World) -> None:
    work = Work(world, lasts=3.0, workers=1)
    work.add(A, B)
    work.add(C, delay=1.0)
    world.pass_time(1)
    world.run(work.queue.drain(10))
    work.add(A)
    world.pass_time(60)
    assert work.begun == [(A, 0.0)]
    assert work.active == []


def test_an_end_does_not_wait_for_ever(world: World) -> None:
    work = Work(world, lasts=3600.0)
    work.add(A)
    world.pass_time(1)
    begun = world.now()
    world.run(work.queue.drain(5))
    assert world.now() - begun == pytest.approx(5.0, abs=0.1)
    assert work.active == []


@given(st.integers(min_value=0, max_value=12_000), st.sampled_from([10.0, 300.0]))
def test_looking_at_everything_again_is_spread_over_its_time(count: int, seconds: float) -> None:
    keys = [("ns", f"{number:05}") for number in range(count)]
    shares = list(spread(keys, seconds))
    assert [key for _, share in shares for key in share] == keys
    assert sum(pause for pause, _ in shares) == pytest.approx(seconds)
    assert all(pause >= 1.0 for pause, _ in shares)
    assert max(len(share) for _, share in shares) <= max(1, math.ceil(count / seconds))


def test_the_rounds_of_some_keys_are_waited_for_and_of_no_others(world: World) -> None:
    work = Work(world)
    work.lasting = {A: 3.0, B: 60.0}
    work.add(A, B)
    begun = world.now()
    world.run(work.queue.without(lambda key: key == A))
    assert round(world.now() - begun) == 3
    assert work.active == [B]
    world.run(work.queue.without(lambda key: key == C))
    assert work.active == [B]
