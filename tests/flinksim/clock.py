"""Time of the simulator: real, or virtual and moved by the test.

Used by: `cluster.py` for every moment it writes and by the transports for every wait. Invariant: simulated events happen in
order of time, and all that are due have happened when `advance` returns.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """A source of time in seconds since 1970."""

    def now(self) -> float:
        """The current time, seconds."""

    async def sleep_until(self, moment: float) -> None:
        """Return at `moment` or at once when it has passed."""

    def on_advance(self, settle: Callable[[float], None]) -> None:
        """Call `settle` with every new time (virtual clocks only)."""


class RealClock:
    """The machine's clock."""

    def now(self) -> float:
        """The current time, seconds."""
        return time.time()

    async def sleep_until(self, moment: float) -> None:
        """Sleep until `moment`."""
        await asyncio.sleep(max(0.0, moment - time.time()))

    def on_advance(self, settle: Callable[[float], None]) -> None:
        """Real time calls nobody: the simulator catches up at the next request."""


class VirtualClock:
    """A clock that moves only when told to.

    Args:
        start: seconds since 1970.
        auto: a wait moves the clock by itself (for tests with one task); without, `advance` must be called meanwhile.
    """

    def __init__(self, start: float = 1_767_225_600.0, *, auto: bool = True) -> None:
        self._now = start
        self._auto = auto
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._settlers: list[Callable[[float], None]] = []

    def now(self) -> float:
        """The current time, seconds."""
        return self._now

    def on_advance(self, settle: Callable[[float], None]) -> None:
        """Call `settle` with every new time."""
        self._settlers.append(settle)

    def advance(self, seconds: float) -> None:
        """Move on: simulated events first, then the waits that have ended."""
        self._move(self._now + seconds)

    async def sleep_until(self, moment: float) -> None:
        """Wait until the clock was moved to `moment`."""
        if moment <= self._now:
            return
        if self._auto:
            self._move(moment)
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (moment, next(self._order), future))
        await future

    def _move(self, moment: float) -> None:
        self._now = max(self._now, moment)
        for settle in self._settlers:
            settle(self._now)
        while self._waiting and self._waiting[0][0] <= self._now:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)
