"""How often a cluster is looked at: quickly right after something begins to move, fast while it moves, slowly otherwise.

Used by `cluster`. Invariant: looks that are quick are only for a few keys, and the pauses between them grow as long as they
find no change; a look that took longer is followed by a longer pause, above all where many move, as when the operator is
busy. So looks cost a small part of a core, but for the second in which something comes up.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from flinkjob.runtime.queue import Key

QUICK_SECONDS: Final = 1.0
"""For so long after something has begun to move, or has changed, the next change is likely soon."""
MOST_QUICK: Final = 8
"""Where more keys than these move, one of them changes all the time."""
QUICK_PART: Final = 0.1
"""Such a part of the time since the last change passes before the next quick look: what takes longer is seen as exactly."""
QUICK_SHARE: Final = 1.0
"""So many times what a look takes passes before the next quick one, most of which is waiting where the machine is busy."""
DUE_SECONDS: Final = 0.001
"""What is due in less is due now."""
LOOK_SHARE: Final = 10.0
"""The same where many move."""
UNREACHABLE_PAUSE: Final = (0.5, 5.0)
"""The first and the longest pause, seconds, between looks at a cluster that does not answer."""


@dataclass(frozen=True)
class Pace:
    """Seconds between looks: `fast` while something moves on the cluster, `slow` when all is steady.

    Attributes:
        quick: the shortest pause, right after something has begun to move or has changed; None: as fast as later.
    """

    fast: float = 0.2
    slow: float = 2.0
    quick: float | None = None


class Pacemaker:
    """Which keys move on a cluster, and how long to pause before it is looked at again."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._moving: set[Key] = set()
        self._stirred = float("-inf")
        self._looked = float("-inf")
        self._took = 0.0

    def begins(self, key: Key) -> bool:
        """A key moves; whether it did not do so before: then a look is due."""
        if key in self._moving:
            return False
        self._moving.add(key)
        self._looked = float("-inf")
        self.stir()
        return True

    def rests(self, key: Key) -> None:
        """A key does not move (any more)."""
        self._moving.discard(key)

    def stir(self) -> None:
        """Something that is followed has changed."""
        self._stirred = time.monotonic()

    def looked(self, seconds: float) -> None:
        """A look has ended that took so long, whoever asked for it."""
        self._looked, self._took = time.monotonic(), seconds

    def rest(self, failures: int) -> float:
        """Seconds until the next look is due, 0 where it is, after so many looks in a row that got no answer."""
        rest = self._looked + self._pause(failures) - time.monotonic()
        return rest if rest > DUE_SECONDS else 0.0

    def _pause(self, failures: int) -> float:
        """Seconds from the last look to the next one."""
        if failures:
            first, longest = UNREACHABLE_PAUSE
            return float(min(first * 2 ** min(failures - 1, 10), longest))
        fast, quick, slow = self._pace.fast, self._pace.quick, self._pace.slow
        if not self._moving:
            return slow
        if len(self._moving) > MOST_QUICK:
            return min(max(fast, self._took * LOOK_SHARE), max(fast, slow))
        if quick is None or time.monotonic() - self._stirred > QUICK_SECONDS:
            return fast
        unchanged = self._looked - self._stirred
        return min(max(quick, unchanged * QUICK_PART, self._took * QUICK_SHARE), fast)
