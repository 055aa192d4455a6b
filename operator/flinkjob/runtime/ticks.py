"""Writes of what only ticks, in turns: together one a minute, however many FlinkJobs.

Called by the reconciler at the end of a round, and by the readers of checkpoints. What ticks is written along with any other
change; only where nothing else changes it waits for its turn. Invariant: no turn is lost: a key that was given one keeps it
until a round has used it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from flinkjob.core.turns import Turns
from flinkjob.runtime.queue import Key

TOGETHER = 60.0
"""Seconds between two such writes."""
LONGEST = 3600.0
"""Seconds within which each key that waits gets its turn: with more keys than fit, the pause between two is shorter."""


class Ticks:
    """Who may write what only ticks."""

    def __init__(self, enqueue: Callable[[Key], None]) -> None:
        """
        Args:
            enqueue: called with the key whose turn it is.
        """
        self._enqueue = enqueue
        self._turns: Turns[Key] = Turns(lambda waiting: min(TOGETHER, LONGEST / max(waiting, 1)))
        self._may: set[Key] = set()
        self._not_before: dict[Key, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def may_write(self, key: Key) -> bool:
        """Whether it is this key's turn."""
        return key in self._may

    def note(self, key: Key, after: float | None, *, waits: bool) -> None:
        """A round of the key has ended, and has used its turn if it had one.

        Args:
            after: in how many seconds at the earliest it is worth a turn; None: nothing of it ticks.
            waits: whether something ticked that is not written.
        """
        self._may.discard(key)
        if after is None:
            self.forget(key)
            return
        self._not_before[key] = time.monotonic() + after
        if waits:
            self.news(key)

    def news(self, key: Key) -> None:
        """Something of the key has ticked."""
        if (due := self._not_before.get(key)) is not None and key not in self._may:
            now = time.monotonic()
            self._turns.want(key, now, after=due - now)
            self._set_timer()

    def forget(self, key: Key) -> None:
        """Nothing of the key ticks any more."""
        self._may.discard(key)
        self._not_before.pop(key, None)
        self._turns.drop(key)

    def close(self) -> None:
        """Gives no turn any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        self.close()
        wait = self._turns.wait(time.monotonic())
        self._timer = None if wait is None else asyncio.get_running_loop().call_later(wait, self._give)

    def _give(self) -> None:
        if (key := self._turns.take(time.monotonic())) is not None:
            self._may.add(key)
            self._enqueue(key)
        self._set_timer()
