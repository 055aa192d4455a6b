"""Whose turn is next: fair among namespaces and among stores, bounded in all, and no permit is ever lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from flinkjob.net.permits import Permits


class Work:
    """Copies that go on until they are let go, and what is under way."""

    def __init__(self, limit: int, share: int | None = None) -> None:
        self.permits = Permits(limit, each=share)
        self.under_way: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, *names: str) -> None:
        """Copies by name: a number, the store's letter before it, and before that the namespace's, where it is not `n`."""
        for name in names:
            self._ends[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._copy(name))
            await settled()

    async def _copy(self, name: str) -> None:
        store = name.rstrip("0123456789")
        async with self.permits.hold(store[:-1] or "n", store[-1]):
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
    copies = Work(2)
    await copies.ask("a1", "a2", "a3", "a4")
    assert copies.under_way == ["a1", "a2"]
    await copies.end("a2")
    assert copies.under_way == ["a1", "a3"]
    await copies.close()


@pytest.mark.copying("crawling-store")
async def test_beyond_the_limit_one_more_to_another_store_and_one_of_each_other_namespace() -> None:
    copies = Work(2)
    await copies.ask("a1", "a2", "a3", "b1", "c1")
    assert copies.under_way == ["a1", "a2", "b1"], "a permit stays for another namespace"
    await copies.ask("xa1", "xa2", "ya1")
    assert copies.under_way == ["a1", "a2", "b1", "xa1"], "twice the limit is all there is"
    await copies.end("a1")
    assert copies.under_way == ["a2", "b1", "xa1", "ya1"]
    await copies.close()


async def test_the_store_with_the_fewest_goes_first() -> None:
    copies = Work(2)
    await copies.ask("a1", "a2", "b1", "b2", "a3")
    await copies.end("a1")
    assert copies.under_way == ["a2", "b1"]
    await copies.end("a2")
    assert copies.under_way == ["b1", "a3"], "the store without one, not the one that came first"
    await copies.close()


@pytest.mark.invariant(12)
async def test_namespaces_take_turns_whoever_asks_more() -> None:
    work = Work(2, share=1)
    await work.ask(*(f"ea{number}" for number in range(9)))
    assert work.under_way == ["ea0"], "no more than its share"
    await work.ask(*(f"xa{number}" for number in range(3)), *(f"ya{number}" for number in range(3)))
    assert work.under_way == ["ea0", "xa0", "ya0"]
    order = []
    for _ in range(12):
        ended = work.under_way[0]
        order.append(ended)
        await work.end(ended)
    assert order[:9] == ["ea0", "xa0", "ya0", "ea1", "xa1", "ya1", "ea2", "xa2", "ya2"]
    assert len(work.under_way) == 1
    await work.close()


@pytest.mark.invariant(12)
async def test_the_one_that_was_served_longest_ago_is_next() -> None:
    work = Work(1)
    await work.ask("xa1", "ea1", "ea2", "ea3", "ya1", "za1", "za2")
    assert work.under_way == ["xa1", "ea1"]
    order = []
    for _ in range(6):
        order.append(work.under_way[0])
        await work.end(order[-1])
    assert order == ["xa1", "ea1", "ya1", "za1", "ea2", "za2"]
    await work.close()


@pytest.mark.invariant(12)
async def test_who_wants_more_than_one_is_not_passed_by_for_ever() -> None:
    work = Work(1)
    await work.ask("as1", "xs1", "as2")
    for number in range(6):
        if "as2" in work.under_way:
            break
        await work.ask(f"{'xyz'[(number + 1) % 3]}s{number + 2}")
        await work.end(work.under_way[0])
    assert "as2" in work.under_way, "the others come and go, one at a time"
    await work.close()


async def test_nothing_is_kept_of_those_that_have_and_want_nothing() -> None:
    work = Work(1)
    for number in range(5):
        await work.ask(f"{'abcde'[number]}s1", f"{'abcde'[number]}s2")
        await work.cancel(f"{'abcde'[number]}s2")
        await work.end(f"{'abcde'[number]}s1")
    shares, waiting = work.permits._shares, work.permits._waiting
    assert (shares._taken, shares._parts, waiting._served, waiting._waiting) == ({}, {}, {}, {})


async def test_one_that_is_given_up_while_it_waits_takes_no_place() -> None:
    copies = Work(1)
    await copies.ask("a1", "a2", "a3")
    await copies.cancel("a2")
    await copies.end("a1")
    assert copies.under_way == ["a3"]
    await copies.cancel("a3")
    await copies.ask("a4")
    assert copies.under_way == ["a4"]
    await copies.close()


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_no_place_is_lost_and_none_too_many_is_given(seed: int) -> None:
    chance, copies = random.Random(seed), Work(2)
    names: list[str] = []
    acts: tuple[Callable[[str], Awaitable[None]], ...] = (copies.end, copies.cancel)
    for number in range(60):
        if names and chance.random() < 0.5:
            name = names.pop(chance.randrange(len(names)))
            act = acts[1] if name not in copies.under_way else chance.choice(acts)
            await act(name)
        else:
            names.append(f"{chance.choice('xyz')}{chance.choice('abc')}{number}")
            await copies.ask(names[-1])
        assert len(copies.under_way) <= 4
        assert len(copies.under_way) >= min(len(names), 2)
    for name in list(names):
        await copies.cancel(name)
    await copies.ask("a1", "a2", "a3")
    assert copies.under_way == ["a1", "a2"]
    await copies.close()
