"""Who holds what, kept as it changes: a question costs the same however many there are.

Used by: `cache`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Holdings(Generic[K]):
    """What each owner holds."""

    def __init__(self) -> None:
        self._of: dict[K, tuple[str, ...]] = {}
        self._holders: Counter[str] = Counter()

    def put(self, owner: K, held: Iterable[str]) -> None:
        """The owner holds these now, and nothing else."""
        for each in self._of.pop(owner, ()):
            self._holders[each] -= 1
            if not self._holders[each]:
                del self._holders[each]
        if now := tuple(dict.fromkeys(held)):
            self._of[owner] = now
            self._holders.update(now)

    def __contains__(self, held: str) -> bool:
        return held in self._holders

    def by_others(self, owner: K, held: str) -> bool:
        """Whether another than this one holds it."""
        return self._holders[held] > (held in self._of.get(owner, ()))

    def all(self) -> frozenset[str]:
        """All that is held."""
        return frozenset(self._holders)
