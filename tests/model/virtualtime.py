"""An event loop whose time moves only when nothing is left to do: an hour of waiting costs microseconds.

Used by the model test. Invariants: `time.monotonic`, the loop's time and the simulator's clock are one; nothing is reordered.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

START = 1_767_225_600.0
"""When virtual time begins, seconds since 1970."""


class LoopClock:
    """Virtual time; also the clock of the simulator (`tests.flinksim.Clock`)."""

    def __init__(self) -> None:
        self.monotonic = 1000.0
        self._settlers: list[Callable[[float], None]] = []

    def now(self) -> float:
        """Seconds since 1970."""
        return START + self.monotonic - 1000.0

    def date(self) -> datetime:
        """The wall clock."""
        return datetime.fromtimestamp(self.now(), UTC)

    async def sleep_until(self, moment: float) -> None:
        """Wait for a moment of `now`."""
        await asyncio.sleep(max(0.0, moment - self.now()))

    def on_advance(self, settle: Callable[[float], None]) -> None:
        """Call `settle` with every new time."""
        self._settlers.append(settle)

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.monotonic += seconds
        for settle in self._settlers:
            settle(self.now())


class _Selector(selectors.SelectSelector):
    """Waits by moving the clock."""

    def __init__(self, clock: LoopClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout is not None and timeout > 0:
            self._clock.advance(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time."""

    def __init__(self, clock: LoopClock) -> None:
        super().__init__(_Selector(clock))
        self._virtual = clock
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._virtual.monotonic


@contextmanager
def virtual_time() -> Iterator[tuple[VirtualLoop, LoopClock]]:
    """A loop in virtual time, while `time.monotonic` is virtual too."""
    clock = LoopClock()
    real = time.monotonic
    loop = VirtualLoop(clock)
    time.monotonic = lambda: clock.monotonic
    try:
        yield loop, clock
    finally:
        time.monotonic = real
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
