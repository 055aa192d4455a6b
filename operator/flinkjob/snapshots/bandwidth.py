"""How fast all copies together may be.

Used by the operator, which lets the processes that copy wait, and by what copies.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Bandwidth:
    """A limit over all transfers that share it, in bytes a second; None: no limit."""

    def __init__(self, limit: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._free = 0.0

    async def take(self, size: int) -> None:
        """Wait until so many more bytes may pass."""
        if self._limit is None:
            return
        now = self._clock()
        begin = max(self._free, now)
        self._free = begin + size / self._limit
        if begin > now:
            await asyncio.sleep(begin - now)
