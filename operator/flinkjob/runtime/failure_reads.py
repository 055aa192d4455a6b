"""How steadily the jobs of one cluster run, and what made Flink restart them: read within a budget, beside the poller.

Used by `cluster`, which gives it each overview; whose failures are worth a read says `core.steadiness`, and `turned.py` reads
in turn. Invariants: a budget that is used up puts a read off and drops none; a slow answer holds up no poll; jobs that run
steadily are never asked.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from flinkjob.core.errors import FlinkJobError
from flinkjob.core.flinkmodel import JobOverview
from flinkjob.core.jobfailures import JobFailures
from flinkjob.core.steadiness import Steadiness, after_overview
from flinkjob.runtime.overview import some_at_a_time
from flinkjob.runtime.turned import TurnedReads

log = logging.getLogger(__name__)

READS_A_SECOND = 2.0
"""How many reads of failures a second a cluster may get, however many jobs it has."""


class FailureReads:
    """The jobs of one cluster that somebody watches."""

    def __init__(
        self, read: Callable[[str], Awaitable[JobFailures | None]], changed: Callable[[str], None], *, name: str
    ) -> None:
        """
        Args:
            read: asks Flink for the failures of a job.
            changed: called with the id of a job of which another failure was read.
            name: of the cluster, for the log.
        """
        self._read = read
        self._changed = changed
        self._refresh = 0.0
        self._turns = TurnedReads(self._read_one, rate=READS_A_SECOND, name=f"failures {name}")
        self._known: dict[str, Steadiness] = {}

    async def close(self) -> None:
        await self._turns.close()

    def steady_for(self, job_id: str) -> float:
        """Seconds since when all tasks of the job run and nothing of it changed, as far as this process saw; else 0."""
        known = self._known.get(job_id)
        return time.monotonic() - known.since if known is not None and known.well else 0.0

    def short_for(self, job_id: str) -> float:
        """Seconds since when not all tasks of the job run, as far as this process saw; else 0."""
        known = self._known.get(job_id)
        return time.monotonic() - known.since if known is not None and not known.well else 0.0

    def failures(self, job_id: str) -> JobFailures | None:
        """What was read last of the failures of a job."""
        known = self._known.get(job_id)
        return known.failures if known is not None else None

    async def look(
        self,
        before: Mapping[str, JobOverview],
        now: Mapping[str, JobOverview],
        watched: Callable[[str], bool],
        *,
        refresh: float,
    ) -> None:
        """Compare two overviews of the cluster, some jobs at a time.

        Args:
            watched: whether anybody wants to know about a job.
            refresh: seconds that Flink's answers may be old.
        """
        self._refresh = refresh
        live: set[str] = set()
        async for some in some_at_a_time(tuple(now.values())):
            for job in some:
                if not job.state.is_terminal and watched(job.job_id):
                    live.add(job.job_id)
                    self._compare(job.job_id, before.get(job.job_id), job)
        for job_id in self._known.keys() - live:
            del self._known[job_id]
            self._turns.drop(job_id)

    def _compare(self, job_id: str, before: JobOverview | None, job: JobOverview) -> None:
        now, known = time.monotonic(), self._known.get(job_id)
        self._known[job_id] = after_overview(known, before, job, now=now, refresh=self._refresh)
        if (due := self._known[job_id].due(self._refresh)) is not None:
            self._turns.want(job_id, due - now)  # one that waits keeps its turn

    async def _read_one(self, job_id: str) -> None:
        begun = time.monotonic()
        self._known[job_id] = self._known[job_id].reading(begun)
        try:
            found = await self._read(job_id)
        except FlinkJobError as error:
            log.info("failures of job %s cannot be read: %s", job_id, error.message)
        except Exception:
            log.exception("failures of job %s cannot be read", job_id)
        else:
            self._take(job_id, found, begun)
        if (known := self._known.get(job_id)) is not None:
            self._turns.drop(job_id)
            if (due := known.due(self._refresh)) is not None:
                self._turns.want(job_id, due - time.monotonic())

    def _take(self, job_id: str, found: JobFailures | None, begun: float) -> None:
        """Keep what was read, of a job that is still watched."""
        if (known := self._known.get(job_id)) is None:
            return
        self._known[job_id] = after = known.after_read(found, begun)
        if after.failures != known.failures:
            self._changed(job_id)
