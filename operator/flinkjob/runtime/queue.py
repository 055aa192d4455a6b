"""A queue of keys with one worker a key at a time, no duplicates, delays and back-off.

Fed by the handlers, the cluster pollers and finished background tasks; drained by the reconciler. Invariants: a key that is
added while it is being worked on is worked on again afterwards; a key is never in two workers; of several delays for a key
the shortest counts; a failing key is retried with a growing pause and holds up no other key. Namespaces take turns, and none
has more than its share of the workers. A round that lasts gives its worker back and goes on to its end without one.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

from flinkjob.core.backoff import delay_seconds
from flinkjob.core.shares import Line, Permit, Shares, Usage

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace and name of a FlinkJob (which may not exist: its FlinkSavepoints are worked on under its name)."""
Handle = Callable[[Key], Awaitable[float | None]]
"""Works on a key; returns after how many seconds to work on it again, None: only when something changes."""

WORKER_SECONDS = 5.0
"""A round that lasts longer waits for something: its worker is given to others."""


class WorkQueue:
    """Keys waiting for workers."""

    def __init__(self, handle: Handle, *, workers: int, share: int) -> None:
        """
        Args:
            workers: keys that are worked on at the same time, see `Shares` for those beyond.
            share: how many of them one namespace may have.
        """
        self._handle = handle
        self._shares = Shares(workers, each=share)
        self._ready: Line[Key] = Line()
        self._moved = time.monotonic()
        self._active: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, tuple[float, asyncio.TimerHandle]] = {}
        self._lasting: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def add(self, key: Key, delay: float = 0.0) -> None:
        """Work on the key after `delay` seconds, or sooner if it was to be worked on sooner anyway."""
        if self._closed:
            return
        if delay > 0:
            self._later(key, delay)
            return
        self._cancel_timer(key)
        if key in self._active:
            self._again.add(key)
            return
        self._ready.add(key[0], key, time.monotonic())
        if self._shares.may(key[0]):
            self._dispatch()

    def depth(self) -> int:
        """Keys that wait for a worker."""
        return len(self._ready)

    def usage(self) -> Usage:
        """How many workers there are, are at work (with rounds that have given theirs back), and are waited for."""
        return Usage(self._shares.limit, self._shares.taken, len(self._ready))

    def oldest_seconds(self) -> float:
        """How long the one that waits longest has been waiting."""
        oldest = self._ready.oldest()
        return time.monotonic() - oldest if oldest is not None else 0.0

    def stuck_seconds(self) -> float:
        """For how long no round has begun or ended although keys wait."""
        return min(time.monotonic() - self._moved, self.oldest_seconds())

    async def without(self, of: Callable[[Key], bool]) -> None:
        """Wait until no round goes on of any such key."""
        while any(map(of, self._active)):
            await asyncio.wait(set(self._tasks), return_when=asyncio.FIRST_COMPLETED)

    async def drain(self, seconds: float) -> None:
        """Take nothing new; let the workers finish what they are at, for at most so many seconds."""
        self._closed = True
        self._ready = Line()
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _later(self, key: Key, delay: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        before = self._timers.get(key)
        if before is not None:
            if before[0] <= due:
                return
            before[1].cancel()
        self._timers[key] = (due, loop.call_at(due, self._due, key))

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel_timer(self, key: Key) -> None:
        before = self._timers.pop(key, None)
        if before is not None:
            before[1].cancel()

    def _dispatch(self) -> None:
        while not self._closed and (found := self._ready.take(self._shares.may)) is not None:
            namespace, key = found
            permit = self._shares.take(namespace)
            self._active.add(key)
            self._moved = time.monotonic()
            task = asyncio.create_task(self._work(key, permit), name=f"reconcile {key[0]}/{key[1]}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _set_aside(self, key: Key, permit: Permit) -> None:
        if permit.set_aside():
            self._dispatch()
        else:
            self._watch(key, permit)

    def _watch(self, key: Key, permit: Permit) -> None:
        """Give the permit to others when the round lasts, or when that can be."""
        self._lasting[key] = asyncio.get_running_loop().call_later(WORKER_SECONDS, self._set_aside, key, permit)

    async def _work(self, key: Key, permit: Permit) -> None:
        delay: float | None
        self._watch(key, permit)
        try:
            delay = await self._handle(key)
            self._failures.pop(key, None)
        except (Exception, asyncio.CancelledError) as error:
            if self._closed and isinstance(error, asyncio.CancelledError):
                raise
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            delay = delay_seconds(failures, seed=f"{key[0]}/{key[1]}", initial=0.5, maximum=60.0)
            log.exception("reconciling failed, again in %.1f s", delay)
        finally:
            self._lasting.pop(key).cancel()
            permit.give_back()
            self._active.discard(key)
            self._moved = time.monotonic()
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        elif delay is not None:
            self.add(key, delay)
        self._dispatch()


def soonest(delays: list[float | None]) -> float | None:
    """The shortest of the delays; None where there is none."""
    return min((delay for delay in delays if delay is not None), default=None)


def spread(keys: Sequence[Key], seconds: float) -> Iterator[tuple[float, Sequence[Key]]]:
    """All keys in their order, evenly over a time: pauses of a second or more, in seconds, and what is due after each."""
    share = max(1, math.ceil(len(keys) / seconds))
    shares = [keys[at : at + share] for at in range(0, len(keys), share)] or [keys]
    for each in shares:
        yield seconds / len(shares), each
