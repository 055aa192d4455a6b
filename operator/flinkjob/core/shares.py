"""Shares: who may have one of a limited number of permits, and who of those that wait is next, so that no group takes all.

A group is a namespace; a part of one is what may be slow on its own, such as a store. Used by `runtime/queue.py` (workers)
and `net/permits.py` (connections, look-ups of names, long calls, downloads, copies), which do the waiting. Invariants: no
group has more permits than its share, but for one that goes to a part without any; while fewer groups are at work than there
are permits, a group that has none gets one at once; one that has none and waits is served at some time, however many others
come and go; in a group, or a part of it, who came first is first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from itertools import count
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item", bound=Hashable)


class Usage(NamedTuple):
    """How much there is of what all share, how much is taken, and how many wait for some."""

    limit: int
    taken: int
    waiting: int


class Permit:
    """A permit that is taken until it is given back."""

    def __init__(self, shares: Shares, group: str, part: str) -> None:
        self._shares = shares
        self.group = group
        self._part = part
        self._aside = self._over = False

    def set_aside(self) -> bool:
        """Let others have the permit, though what it was taken for goes on; it still counts in the share of its group.

        Returns:
            False where so much was set aside that this must keep its permit.
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
        self._shares.give_back(self.group, self._part)


class Shares:
    """Counts the permits that groups have.

    Attributes:
        limit: permits at the same time. There are as many again, each for the first permit of a group.
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
        self._parts: Counter[tuple[str, str]] = Counter()
        self._total = 0

    @property
    def taken(self) -> int:
        """How many permits all groups have, with what was set aside."""
        return self._total

    def of(self, group: str) -> int:
        """How many permits a group has, with what was set aside."""
        return self._taken[group]

    def of_part(self, group: str, part: str) -> int:
        """How many of them a part of the group has."""
        return self._parts[group, part]

    def may(self, group: str, part: str = "") -> bool:
        """Whether the group may have another permit now.

        Args:
            part: what it is for. Where this part has none, the group may have one more than its share, since all that hold
                its permits may be slow: as long as a permit is left for another group.
        """
        own, held = self._taken[group], self._total - self.aside
        if own < self._each and (held < self.limit or (own == 0 and held < 2 * self.limit)):
            return True
        return bool(part) and not self._parts[group, part] and own <= self._each and held < 2 * self.limit - 1

    def crowded(self, group: str) -> bool:
        """Whether half of all permits are taken, or half of what the group may have."""
        return 2 * self._total > self.limit or 2 * self._taken[group] > self._each

    def take(self, group: str, part: str = "") -> Permit:
        """Take a permit, which `may` has allowed."""
        self._taken[group] += 1
        self._parts[group, part] += 1
        self._total += 1
        return Permit(self, group, part)

    def give_back(self, group: str, part: str) -> None:
        """Called by the permit."""
        self._total -= 1
        self._taken[group] -= 1
        if not self._taken[group]:
            del self._taken[group]
        self._parts[group, part] -= 1
        if not self._parts[group, part]:
            del self._parts[group, part]


class WaitingList(Generic[Item]):
    """Items that wait for a permit of their group, and who of them is next.

    Of those that may have a permit: one of the group with the fewest permits, then of the group that was served longest ago,
    then of the part with the fewest permits, then who came first.
    """

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._waiting: dict[tuple[str, str], dict[Item, int]] = {}
        self._served: dict[str, int] = {}
        self._numbers = count(1)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def enter(self, group: str, part: str) -> Permit | None:
        """A permit for who comes now; None: there is none for it. Nobody is passed by: nobody waits who may have one."""
        return self._give(group, part) if self._shares.may(group, part) else None

    def add(self, group: str, part: str, item: Item) -> None:
        """The item waits from now on."""
        self._waiting.setdefault((group, part), {})[item] = next(self._numbers)

    def discard(self, group: str, part: str, item: Item) -> None:
        """The item does not wait any more, if it did."""
        items = self._waiting.get((group, part), {})
        items.pop(item, None)
        if not items:
            self._waiting.pop((group, part), None)
        if not self._waiting:
            self._served = {each: turn for each, turn in self._served.items() if self._shares.of(each)}

    def take(self) -> tuple[Item, Permit] | None:
        """The item that is next, and its permit; it waits no more."""
        may = (each for each in self._waiting if self._shares.may(*each))
        if (found := min(may, key=self._rank, default=None)) is None:
            return None
        group, part = found
        item = next(iter(self._waiting[found]))
        permit = self._give(group, part)
        self.discard(group, part, item)
        return item, permit

    def give_back(self, permit: Permit) -> None:
        """A permit is free again. Of a group that has nothing and wants nothing no more is kept once nobody waits."""
        permit.give_back()
        if not self._waiting and not self._shares.of(permit.group):
            self._served.pop(permit.group, None)

    def _give(self, group: str, part: str) -> Permit:
        self._served[group] = next(self._numbers)
        return self._shares.take(group, part)

    def _rank(self, waiting: tuple[str, str]) -> tuple[int, int, int, int]:
        group, part = waiting
        first = next(iter(self._waiting[waiting].values()))
        return self._shares.of(group), self._served.get(group, 0), self._shares.of_part(group, part), first


class Line(Generic[Item]):
    """Items that wait, by group: groups are served in turn, whatever they have."""

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
        """The next item of the next group that may have a permit, with its group; it waits no more."""
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
