"""Turns: who gets next what there is only so much of, such as reads of a cluster or writes of what only ticks.

Used by `runtime/turned.py` and `runtime/ticks.py`, which have the clock. Invariants: a wish is put off when there is nothing
left, never dropped; who has been due longest is next, so that a key waits at most for one turn of each other key; nobody
gets ahead of those who wait by asking again.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from itertools import count
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Turns(Generic[K]):
    """Keys that want a turn, each from some moment on. Moments are seconds of any one clock."""

    def __init__(self, pause: Callable[[int], float]) -> None:
        """
        Args:
            pause: seconds between two turns, by how many keys want one now or later.
        """
        self._pause = pause
        self._wishes: dict[K, tuple[float, int]] = {}
        self._order: list[tuple[float, int, K]] = []
        self._numbers = count()
        self._last: float | None = None

    def __len__(self) -> int:
        return len(self._wishes)

    def want(self, key: K, now: float, *, after: float = 0.0) -> None:
        """From `now` plus `after` seconds on the key wants a turn; of several wishes for a key the earliest counts."""
        due = now + max(after, 0.0)
        before = self._wishes.get(key)
        if before is not None and before[0] <= due:
            return
        number = next(self._numbers)
        self._wishes[key] = (due, number)
        heapq.heappush(self._order, (due, number, key))

    def drop(self, key: K) -> None:
        """The key wants no turn any more."""
        self._wishes.pop(key, None)

    def take(self, now: float) -> K | None:
        """The key whose turn it is, which has then had it; None while nobody is due or the last turn is not over."""
        wait = self.wait(now)
        if wait is None or wait > 0:
            return None
        self._last = now
        _, _, key = heapq.heappop(self._order)
        del self._wishes[key]
        return key

    def wait(self, now: float) -> float | None:
        """Seconds until `take` has somebody; None when nobody wants a turn."""
        while self._order and self._wishes.get(self._order[0][2]) != self._order[0][:2]:
            heapq.heappop(self._order)
        if not self._order:
            return None
        free = now if self._last is None else self._last + self._pause(len(self._wishes))
        return max(self._order[0][0], free) - now
