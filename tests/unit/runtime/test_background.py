"""Work that outlasts a round: one of a name, its end announced to who still wants it."""

from __future__ import annotations

import asyncio

import pytest

from flinkjob.runtime.background import Background, Work

LONG = 10.0


class Notes:
    """What was announced, and a door that the work waits at."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, int]] = []
        self.door = asyncio.Event()
        self.background: Background[str, int, str] = Background(lambda name, asked: self.ended.append((name, asked)))

    async def work(self, outcome: str = "done") -> str:
        await self.door.wait()
        return outcome


async def ended(work: Work[int, str]) -> None:
    """Lets it end, and those who are called then be called."""
    while work.age is None:
        await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_it_is_looked_at_until_it_ends_and_its_end_is_announced_once() -> None:
    notes = Notes()
    work = notes.background.start("a", 1, notes.work(), title="a")
    assert (await work.wait(0.0), work.age, notes.ended) == (None, None, [])
    assert notes.background.get("a") is work
    notes.door.set()
    await ended(work)
    assert (await work.wait(LONG), notes.ended) == ("done", [("a", 1)])


async def test_who_waits_for_its_end_is_not_called_as_well() -> None:
    notes = Notes()
    work = notes.background.start("a", 1, notes.work(), title="a")
    waiting = asyncio.create_task(work.wait(LONG))
    await asyncio.sleep(0)
    notes.door.set()
    assert (await waiting, notes.ended) == ("done", [])


async def test_who_is_cancelled_at_the_moment_of_its_end_is_called() -> None:
    notes = Notes()
    work = notes.background.start("a", 1, notes.work(), title="a")
    waiting = asyncio.create_task(work.wait(LONG))
    await asyncio.sleep(0)
    notes.door.set()
    while work.age is None:
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert notes.ended == [("a", 1)]


async def test_what_replaces_another_cancels_it_and_only_its_own_end_is_announced() -> None:
    notes = Notes()
    first = notes.background.start("a", 1, notes.work(), title="first")
    second = notes.background.start("a", 2, notes.work("again"), title="second")
    notes.door.set()
    await ended(second)
    assert await second.wait(LONG) == "again"
    assert await first.wait(LONG) is None
    assert first.age is not None
    assert notes.ended == [("a", 2)]


async def test_what_is_dropped_ends_unannounced() -> None:
    notes = Notes()
    work = notes.background.start("a", 1, notes.work(), title="a")
    notes.background.drop("a")
    notes.background.drop("a")
    assert await work.wait(LONG) is None
    assert work.age is not None
    assert (notes.background.get("a"), notes.ended) == (None, [])


async def test_closing_ends_all() -> None:
    notes = Notes()
    works = [notes.background.start(name, 1, notes.work(), title=name) for name in "ab"]
    assert set(notes.background.all()) == {"a", "b"}
    async with asyncio.timeout(LONG):
        await notes.background.close()
    assert all(work.age is not None and work.outcome is None for work in works)
