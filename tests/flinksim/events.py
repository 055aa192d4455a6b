"""Things that will happen to the simulated cluster, in order of time.

Used by: `cluster.py` and `job.py`. Invariant: while an event runs, `now` is its own moment, not that of the observer.
"""

import heapq
import itertools
from collections.abc import Callable


class Events:
    """A queue of things to happen.

    Args:
        now: the time at the start, seconds.
    """

    def __init__(self, now: float) -> None:
        self.now = now
        self._order = itertools.count()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []

    def after(self, seconds: float, action: Callable[[], None]) -> float:
        """Let `action` happen `seconds` from now; returns the moment."""
        moment = self.now + max(0.0, seconds)
        heapq.heappush(self._heap, (moment, next(self._order), action))
        return moment

    def settle(self, moment: float) -> None:
        """Let everything happen that is due at `moment`."""
        while self._heap and self._heap[0][0] <= moment:
            due, _, action = heapq.heappop(self._heap)
            self.now = max(self.now, due)
            action()
        self.now = max(self.now, moment)

    def clear(self) -> None:
        """Nothing of what was to happen will happen: the process is gone."""
        self._heap.clear()
