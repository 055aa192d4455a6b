"""Reads of one cluster, one after another, so many a second however many are wanted.

Used by `checkpoint_reads.py`, `failure_reads.py` and `load_reads.py`. Invariants: a read that has to wait is put off, never
dropped; one that fails stops no other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from flinkjob.core.turns import Turns


class TurnedReads:
    """What is to be read of which job, and the task that does it, which begins with the first wish."""

    def __init__(self, read: Callable[[str], Awaitable[None]], *, rate: float, name: str) -> None:
        """
        Args:
            read: reads what there is of a job and keeps it; never raises.
            rate: how many jobs a second are read.
            name: of the task.
        """
        self._read = read
        self._name = name
        self._turns: Turns[str] = Turns(lambda _: 1 / rate)
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def want(self, job_id: str, after: float = 0.0) -> None:
        """Read a job as soon as it is its turn, `after` seconds from now; of several wishes the earliest counts."""
        self._turns.want(job_id, time.monotonic(), after=after)
        self._wanted.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=self._name)

    def drop(self, job_id: str) -> None:
        """Nobody wants this job to be read any more."""
        self._turns.drop(job_id)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            self._wanted.clear()
            if (job_id := self._turns.take(time.monotonic())) is not None:
                await self._read(job_id)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._turns.wait(time.monotonic())):
                    await self._wanted.wait()
