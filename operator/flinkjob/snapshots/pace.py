"""Whether a copy gets on as it must: a store that crawls holds a place that others wait for.

Used by `apart`. Invariant: the time in which the operator itself lets a copy wait does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from flinkjob.core.errors import Transient

WINDOW = 600.0
"""Seconds after which it is looked at what was done in them."""
LEAST_BYTES: Final = 16 * 1024 * 1024
"""So much is done in a window: 27 KiB a second, which several copies have that share a line of one Mbit/s."""
STEP_BYTES: Final = 64 * 1024
"""A file, a write or a deletion counts as so much: of small ones each takes the time of a request."""


class LeastPace:
    """What a copy does in a window of time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steps = self._before = 0
        self._since = clock()

    def step(self) -> None:
        """One more request was made, or is about to be."""
        self._steps += 1

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The operator lets it wait inside."""
        begun = self._clock()
        try:
            yield
        finally:
            self._since += self._clock() - begun

    def note(self, size: int) -> None:
        """So many bytes were read, written or verified, in all.

        Raises:
            Transient: it was too little for too long.
        """
        lasted, done = self._clock() - self._since, size + self._steps * STEP_BYTES
        if lasted < WINDOW:
            return
        if done - self._before < LEAST_BYTES:
            raise Transient(
                "store", f"the store crawls: {size} bytes in all, and too few of them in the last {lasted:.0f} s"
            )
        self._since, self._before = self._clock(), done
