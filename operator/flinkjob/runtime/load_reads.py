"""How busy the jobs of one cluster are and how far behind their sources, read in turns and only while somebody asks.

Owned by `Cluster`; a scrape of the metrics of single jobs asks, gets what is known at once, and never waits. Invariants:
what nobody has asked for since it was read is not read again; a job costs one call, and one for each of its first few
sources; what is too old is not given out.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from flinkjob.core.errors import FlinkJobError
from flinkjob.core.jobload import JobLoad, JobTimes, SourceLag, shares, together
from flinkjob.net.permits import on_account
from flinkjob.runtime.turned import TurnedReads

log = logging.getLogger(__name__)

READ_EVERY = 10.0
"""Seconds after which a job may be read again: Flink has no newer numbers before."""
READ_RATE = 2.0
"""How many jobs a second are read of a cluster."""
TOO_OLD = 300.0
"""Seconds after which what is known of a job is not given out any more, or two rounds through all jobs if that is longer."""
NAMES_EVERY = 300.0
"""Seconds after which a source is asked again what it measures, in case that it began to."""
MOST_SOURCES = 4
"""So many sources of a job are asked."""


class Source(Protocol):
    """A client, as far as it is needed here."""

    async def job_times(self, job_id: str) -> JobTimes | None: ...

    async def lag_metrics(self, job_id: str, vertex: str) -> tuple[str, ...] | None: ...

    async def source_lag(self, job_id: str, vertex: str, names: Sequence[str]) -> SourceLag: ...


@dataclass(frozen=True, slots=True)
class _Known:
    """The latest reading, what follows from it and the one before, and when it was made (monotonic seconds)."""

    times: JobTimes
    load: JobLoad
    at: float


class LoadReads:
    """Reads, one after another, what scrapes have asked for."""

    def __init__(self, client: Source, paying: Callable[[], tuple[str, ...]]) -> None:
        """
        Args:
            client: of the cluster.
            paying: the namespaces on whose account is read.
        """
        self._client = client
        self._paying = paying
        self._turns = TurnedReads(self._read, rate=READ_RATE, name="read loads")
        self._asked: set[str] = set()
        self._known: dict[str, _Known] = {}
        self._names: dict[tuple[str, str], tuple[float, tuple[str, ...]]] = {}

    def latest(self, job_id: str) -> JobLoad | None:
        """What is known of the load of a running job; it is read again soon."""
        now, known = time.monotonic(), self._known.get(job_id)
        self._asked.add(job_id)
        self._turns.want(job_id, known.at + READ_EVERY - now if known is not None else 0.0)
        kept = max(TOO_OLD, 2 * len(self._asked) / READ_RATE)
        return known.load if known is not None and now - known.at < kept else None

    def retain(self, running: Callable[[str], bool]) -> None:
        """Forget the jobs that are not running any more."""
        for job_id in [each for each in self._asked if not running(each)]:
            self._asked.discard(job_id)
            self._turns.drop(job_id)
            self._known.pop(job_id, None)
            self._names = {at: names for at, names in self._names.items() if at[0] != job_id}

    async def close(self) -> None:
        await self._turns.close()

    async def _read(self, job_id: str) -> None:
        try:
            with on_account(self._paying()):
                times = await self._client.job_times(job_id)
                lag = together(
                    [await self._lag(job_id, each) for each in times.sources[:MOST_SOURCES]] if times else ()
                )
        except FlinkJobError as error:
            log.info("the load of job %s cannot be read: %s", job_id, error.message)
        except Exception:
            log.exception("the load of job %s cannot be read", job_id)
        else:
            if times is not None and job_id in self._asked:
                self._known[job_id] = _next(self._known.get(job_id), times, lag)

    async def _lag(self, job_id: str, vertex: str) -> SourceLag:
        now = time.monotonic()
        asked, names = self._names.get((job_id, vertex), (now - NAMES_EVERY, ()))
        if not names and now - asked >= NAMES_EVERY:
            found = await self._client.lag_metrics(job_id, vertex)
            if found is None:  # Flink fetches what it has not got when somebody asks: the next read will find it
                return SourceLag()
            names = found
            self._names[job_id, vertex] = (now, names)
        return await self._client.source_lag(job_id, vertex, names) if names else SourceLag()


def _next(known: _Known | None, times: JobTimes, lag: SourceLag) -> _Known:
    now = time.monotonic()
    if known is None:
        return _Known(times, JobLoad(lag=lag), now)
    found = shares(known.times, times)
    if found is not None:
        return _Known(times, JobLoad(*found, lag), now)
    if known.times.vertices == times.vertices:  # Flink has no newer numbers
        return _Known(times, JobLoad(known.load.busy, known.load.backpressured, lag), now)
    return _Known(times, JobLoad(lag=lag), now)
