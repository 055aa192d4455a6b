"""Checkpoint statistics of the running jobs of one cluster, read in turns: so many reads a second, however many jobs.

Owned by `Cluster`. Rounds get what is known at once and never wait. Invariants: a read that has to wait is put off, never
dropped; each job that a round has asked for is read again every few minutes, of many jobs every twenty, as long as it is on
the cluster; what is given out says how old it is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from flinkjob.core.errors import FlinkJobError
from flinkjob.core.flinkmodel import CheckpointKind, CheckpointStats
from flinkjob.runtime.queue import Key
from flinkjob.runtime.turned import TurnedReads

log = logging.getLogger(__name__)

READ_EVERY = 240.0
"""Seconds after which the statistics of a job are read again, at the earliest."""
READ_AT_LEAST = 1200.0
"""The same, however many jobs a cluster has, as long as the rate allows it."""
SECONDS_EACH = 2.0
"""Between the two: a cluster of some hundred jobs gets thirty reads a minute, as many as it gets looks at all of its jobs."""
READ_RATE = 2.0
"""How many reads a second a cluster gets."""
AFTER_FAILURE = 30.0
"""Seconds until a read is tried again that got no answer."""


@dataclass(frozen=True, slots=True)
class Known:
    """Statistics of a job, and when they were read (monotonic seconds)."""

    stats: CheckpointStats
    at: float


class CheckpointReads:
    """Reads, one after another, what rounds have asked for."""

    def __init__(
        self,
        read: Callable[[str], Awaitable[CheckpointStats | None]],
        *,
        enqueue: Callable[[Key], None],
        news: Callable[[Key], None],
    ) -> None:
        """
        Args:
            read: asks the cluster for the statistics of a job.
            enqueue: called with the key whose job has its first checkpoint.
            news: called with the key whose job has a newer checkpoint.
        """
        self._read = read
        self._enqueue = enqueue
        self._news = news
        self._turns = TurnedReads(self._look, rate=READ_RATE, name="read checkpoints")
        self._keys: dict[str, Key] = {}
        self._known: dict[str, Known] = {}

    def latest(self, key: Key, job_id: str) -> Known | None:
        """What is known of the checkpoints of a running job; they are read soon, and `key` learns of the first one."""
        self._keys[job_id] = key
        known = self._known.get(job_id)
        complete = known is not None and known.stats.newest_completed() is not None
        self._turns.want(job_id, known.at + self._every() - time.monotonic() if known is not None and complete else 0.0)
        return known

    def newest(self) -> Mapping[str, datetime]:
        """When the newest checkpoint that is known of each job was completed, by job id."""
        times = ((job_id, _newest(known.stats)) for job_id, known in self._known.items())
        return {job_id: newest[1] for job_id, newest in times if newest is not None and newest[1] is not None}

    def retain(self, running: Callable[[str], bool]) -> None:
        """Forget the jobs that are not running any more."""
        self._drop([job_id for job_id in self._keys if not running(job_id)])

    def forget(self, key: Key) -> None:
        """Nobody asks for the jobs of this key any more."""
        self._drop([job_id for job_id, asked in self._keys.items() if asked == key])

    async def close(self) -> None:
        await self._turns.close()

    def _drop(self, job_ids: list[str]) -> None:
        for job_id in job_ids:
            self._turns.drop(job_id)
            self._known.pop(job_id, None)
            del self._keys[job_id]

    def _every(self) -> float:
        """Seconds between two reads of a job."""
        return min(max(READ_EVERY, SECONDS_EACH * len(self._keys)), READ_AT_LEAST)

    async def _look(self, job_id: str) -> None:
        try:
            stats = await self._read(job_id)
        except FlinkJobError as error:
            log.info("checkpoints of job %s cannot be read: %s", job_id, error.message)
            self._again(job_id, AFTER_FAILURE)
        except Exception:
            log.exception("checkpoints of job %s cannot be read", job_id)
            self._again(job_id, self._every())
        else:
            self._take(job_id, stats)

    def _again(self, job_id: str, after: float) -> None:
        if job_id in self._keys:
            self._turns.want(job_id, after)

    def _take(self, job_id: str, stats: CheckpointStats | None) -> None:
        key, before = self._keys.get(job_id), self._known.get(job_id)
        if key is None or stats is None:
            return
        self._known[job_id] = Known(stats, time.monotonic())
        if stats.newest_completed() is None:
            return  # the next round asks again
        self._turns.want(job_id, self._every())
        if before is None or before.stats.newest_completed() is None:
            self._enqueue(key)
        elif _newest(before.stats) != _newest(stats):
            self._news(key)


def _newest(stats: CheckpointStats) -> tuple[int, datetime | None] | None:
    """Number and time of the newest completed checkpoint."""
    newest = stats.newest_completed(CheckpointKind.CHECKPOINT)
    return None if newest is None else (newest.checkpoint_id, newest.latest_ack_time or newest.trigger_time)
