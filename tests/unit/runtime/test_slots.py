"""Whose copy is made next: fair among stores, bounded in all, and no slot is ever lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from flinkjob.runtime.slots import Slots


class CopySearches:
    """Copies that go on until they are let go, and what is under way."""

    def __init__(self, limit: int) -> None:
        self.slots = Slots(limit)
        self.under_way: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, *names: str) -> None:
        """Copies by name; the first letter is their store."""
        for name in names:
            self._ends[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._copy(name))
            await settled()

    async def _copy(self, name: str) -> None:
        async with self.slots.hold(name[0]):
            self.under_way.append(name)
            try:
                await self._ends[name].wait()
            finally:
                self.under_way.remove(name)

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self._tasks[name]
        await settled()

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        await asyncio.gather(self._tasks[name], return_exceptions=True)
        await settled()

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_so_many_at_a_time_in_the_order_in_which_they_came() -> None:
    copies = CopySearches(2)
    await copies.ask("a1", "a2", "a3", "a4")
    assert copies.under_way == ["a1", "a2"]
    await copies.end("a2")
    assert copies.under_way == ["a1", "a3"]
    await copies.close()


@pytest.mark.copying("crawling-store")
async def test_beyond_the_limit_only_one_to_each_other_store() -> None:
    copies = CopySearches(2)
    await copies.ask("a1", "a2", "a3", "b1", "b2", "c1", "d1")
    assert copies.under_way == ["a1", "a2", "b1", "c1"], "twice the limit is all there is"
    await copies.end("a1")
    assert copies.under_way == ["a2", "b1", "c1", "d1"]
    await copies.close()


async def test_the_store_with_the_fewest_goes_first() -> None:
    copies = CopySearches(2)
    await copies.ask("a1", "a2", "a3", "a4", "b1")
    await copies.end("a1")
    assert copies.under_way == ["a2", "b1"]
    await copies.ask("b2")
    await copies.end("a2")
    assert copies.under_way == ["b1", "a3"], "the store without one, not the one that came last"
    await copies.close()


async def test_one_that_is_given_up_while_it_waits_takes_no_slot() -> None:
    copies = CopySearches(1)
    await copies.ask("a1", "a2", "a3")
    await copies.cancel("a2")
    await copies.end("a1")
    assert copies.under_way == ["a3"]
    await copies.cancel("a3")
    await copies.ask("a4")
    assert copies.under_way == ["a4"]
    await copies.close()


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_no_slot_is_lost_and_none_too_many_is_given(seed: int) -> None:
    chance, copies = random.Random(seed), CopySearches(2)
    names: list[str] = []
    acts: tuple[Callable[[str], Awaitable[None]], ...] = (copies.end, copies.cancel)
    for number in range(60):
        if names and chance.random() < 0.5:
            name = names.pop(chance.randrange(len(names)))
            act = acts[1] if name not in copies.under_way else chance.choice(acts)
            await act(name)
        else:
            names.append(f"{chance.choice('abc')}{number}")
            await copies.ask(names[-1])
        assert len(copies.under_way) <= 4
        assert len(copies.under_way) >= min(len(names), 2)
    for name in list(names):
        await copies.cancel(name)
    await copies.ask("x1", "x2", "x3")
    assert copies.under_way == ["x1", "x2"]
    await copies.close()
