"""What only ticks is written in turn: together one a minute, and nobody's turn is lost."""

from __future__ import annotations

from itertools import pairwise

import pytest

from flinkjob.runtime.queue import Key
from flinkjob.runtime.ticks import LONGEST, TOGETHER, Ticks
from tests.unit.runtime.conftest import World

DUE = 300.0


class Site:
    """FlinkJobs that tick all the time, and when each was written."""

    def __init__(self, world: World, keys: int) -> None:
        self.world = world
        self.keys: list[Key] = [("ns", f"job-{number}") for number in range(keys)]
        self.written: list[tuple[float, Key]] = []
        self.loses = 0
        self.ticks = Ticks(self.round)

    def round(self, key: Key) -> None:
        if self.ticks.may_write(key):
            if self.loses:
                self.loses -= 1
                return  # a conflict: the next round has the turn still
            self.written.append((self.world.now(), key))
        self.ticks.note(key, DUE, waits=True)

    async def begin(self) -> None:
        for key in self.keys:
            self.round(key)


@pytest.mark.report("turns")
def test_fifty_write_once_a_minute_together_and_none_is_left_out(world: World) -> None:
    site = Site(world, 50)
    world.run(site.begin())
    begun = world.now()
    world.pass_time(2 * LONGEST)
    moments = [moment for moment, _ in site.written]
    assert all(later - earlier >= TOGETHER - 0.1 for earlier, later in pairwise(moments))
    assert moments[0] - begun >= DUE
    for key in site.keys:
        own = [begun, *(moment for moment, one in site.written if one == key), world.now()]
        assert max(later - earlier for earlier, later in pairwise(own)) <= LONGEST


def test_with_very_many_each_is_written_within_an_hour(world: World) -> None:
    site = Site(world, 600)
    world.run(site.begin())
    world.pass_time(LONGEST + 2 * DUE)
    assert {key for _, key in site.written} == set(site.keys)
    assert len(site.written) <= len(site.keys) + 100


def test_a_single_one_is_written_when_it_is_due(world: World) -> None:
    site = Site(world, 1)
    world.run(site.begin())
    world.pass_time(2 * DUE + 1)
    assert len(site.written) == 2


def test_a_turn_that_could_not_be_used_is_kept(world: World) -> None:
    site = Site(world, 1)
    site.loses = 1
    world.run(site.begin())
    world.pass_time(DUE + 1)
    assert site.written == []
    assert site.ticks.may_write(site.keys[0])
    world.run(site.begin())
    assert [key for _, key in site.written] == site.keys
    assert not site.ticks.may_write(site.keys[0])


def test_who_has_nothing_that_ticks_gets_no_turn(world: World) -> None:
    site = Site(world, 2)
    world.run(site.begin())

    async def end() -> None:
        site.ticks.note(site.keys[0], None, waits=False)
        site.ticks.note(site.keys[1], DUE, waits=False)
        site.ticks.news(site.keys[0])

    world.run(end())
    world.pass_time(2 * DUE)
    assert {key for _, key in site.written} == {site.keys[1]}
    site.ticks.close()
    before = len(site.written)
    world.pass_time(2 * DUE)
    assert len(site.written) == before
