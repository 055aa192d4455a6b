"""Shares: who may have one of a limited number of places, and who of those that wait is next, so that no group takes all.

A group is a namespace. Used by `runtime/queue.py` (workers), `net/places.py` (long calls, connections, look-ups of names) and
`runtime/slots.py` (downloads, copies), which do the waiting. Invariants: no group has more places than its share; while fewer
groups than places are at work, a group that has no place gets one at once; groups take turns, and within a group who came
first is first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item", bound=Hashable)


class Usage(NamedTuple):
    """How much there is of what all share, how much is taken, and how many wait for some."""

    limit: int
    taken: int
    waiting: int


class Place:
    """A place that is taken until it is given back."""

    def __init__(self, shares: Shares, group: str) -> None:
        self._shares = shares
        self._group = group
        self._aside = self._over = False

    def set_aside(self) -> bool:
        """Let others have the place, though what it was taken for goes on; it still counts in the share of its group.

        Returns:
            False where so much was set aside that this must keep its place.
        """
        if self._over or self._aside or self._shares.aside >= self._shares.limit:
            return False
        self._aside = True
        self._shares.aside += 1
        return True

    def give_back(self) -> None:
        """What it was taken for has ended; nothing happens a second time."""
        if self._over:
            return
        self._over = True
        self._shares.aside -= self._aside
        self._shares.give_back(self._group)


class Shares:
    """Counts the places that groups have.

    Attributes:
        limit: places at the same time. There are as many again, each for the first place of a group.
        aside: how much goes on that was set aside, at most `limit`.
    """

    def __init__(self, limit: int, *, each: int) -> None:
        """
        Args:
            each: how many of them one group may have, with what was set aside.
        """
        self.limit = limit
        self.aside = 0
        self._each = each
        self._taken: Counter[str] = Counter()
        self._total = 0

    @property
    def taken(self) -> int:
        """How many places all groups have, with what was set aside."""
        return self._total

    def of(self, group: str) -> int:
        """How many places a group has, with what was set aside."""
        return self._taken[group]

    def may(self, group: str) -> bool:
        """Whether the group may have another place now."""
        own, held = self._taken[group], self._total - self.aside
        return own < self._each and (held < self.limit or (own == 0 and held < 2 * self.limit))

    def may_exceed(self, group: str) -> bool:
        """Whether the group may have one more than its share for something else than what its places are held by, which may
        all be slow: as long as a place is left for another group."""
        return self._taken[group] <= self._each and self._total - self.aside < 2 * self.limit - 1

    def crowded(self, group: str) -> bool:
        """Whether half of all places are taken, or half of what the group may have."""
        return 2 * self._total > self.limit or 2 * self._taken[group] > self._each

    def take(self, group: str) -> Place:
        """Take a place, which `may` has allowed."""
        self._taken[group] += 1
        self._total += 1
        return Place(self, group)

    def give_back(self, group: str) -> None:
        """Called by the place."""
        self._total -= 1
        self._taken[group] -= 1
        if not self._taken[group]:
            del self._taken[group]


class Line(Generic[Item]):
    """Items that wait, by group."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[Item, float]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))

    def add(self, group: str, item: Item, now: float) -> None:
        """The item waits from now on, unless it waits already."""
        self._groups.setdefault(group, {}).setdefault(item, now)

    def discard(self, group: str, item: Item) -> None:
        """The item does not wait any more."""
        items = self._groups.get(group, {})
        items.pop(item, None)
        if not items:
            self._groups.pop(group, None)

    def take(self, may: Callable[[str], bool]) -> tuple[str, Item] | None:
        """The next item of the next group that may have a place, with its group; it waits no more."""
        group = next(filter(may, self._groups), None)
        if group is None:
            return None
        items = self._groups.pop(group)
        item = next(iter(items))
        del items[item]
        if items:
            self._groups[group] = items  # behind all others: it had its turn
        return group, item

    def oldest(self) -> float | None:
        """Since when the item waits that waits longest; None where none does."""
        return min((next(iter(items.values())) for items in self._groups.values()), default=None)
