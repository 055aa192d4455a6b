"""The queue of keys: no duplicates, one worker a key, the shortest delay, back-off, an end."""

from __future__ import annotations

import asyncio
import logging

import pytest

from flinkjob.runtime.queue import Key, WorkQueue
from tests.unit.runtime.conftest import World

A, B, C = ("ns", "a"), ("ns", "b"), ("ns", "c")


class Work:
    """Handles keys: notes when, takes a while, and may fail."""

    def __init__(self, world: World, *, lasts: float = 0.0, workers: int = 4) -> None:
        self.world = world
        self.lasts = lasts
        self.begun: list[tuple[Key, float]] = []
        self.active: list[Key] = []
        self.most = 0
        self.delay: dict[Key, float | None] = {}
        self.failing: set[Key] = set()
        self.started = world.now()
        self.queue = WorkQueue(self.handle, workers=workers)

    async def handle(self, key: Key) -> float | None:
        assert key not in self.active, "two workers at one key"
        self.begun.append((key, round(self.world.now() - self.started, 3)))
        self.active.append(key)
        self.most = max(self.most, len(self.active))
        try:
            if self.lasts:
                await asyncio.sleep(self.lasts)
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
