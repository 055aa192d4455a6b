"""How steadily the jobs of one cluster run, and what made Flink restart them: read within a budget, beside the poller.

Used by `cluster`, which gives it each overview; `turned.py` reads in turn. A restart between two polls shows in the
time of a job's last change, so an overview is enough to know whose failures are worth a read. Invariants: a budget that is
used up puts a read off and drops none; a slow answer holds up no poll; jobs that run steadily are never asked.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from flinkjob.core.errors import FlinkJobError
from flinkjob.core.flinkmodel import FlinkJobState, JobOverview
from flinkjob.core.jobfailures import JobFailures
from flinkjob.runtime.overview import some_at_a_time
from flinkjob.runtime.turned import TurnedReads

log = logging.getLogger(__name__)

READS_A_SECOND = 2.0
"""How many reads of failures a second a cluster may get, however many jobs it has."""
SHORT_SECONDS = 2.0
"""Seconds that a job may be short of running tasks before its failures are read though it did not change."""
READ_AGAIN = 10.0
"""Seconds between two reads of a job that stays in trouble."""
EAGER_READS = 5
"""So many reads of a job in trouble follow each other as soon as Flink has something new to say."""
CALM_SECONDS = 120.0
"""Seconds of steady running after which the next trouble is read eagerly again."""
CACHE_MARGIN = 0.3
"""Seconds on top of Flink's refresh interval after which its answer is surely newer than a change."""


@dataclass
class _Track:
    """One job: whether all its tasks run, since when that or anything else last changed, and what was read of it."""

    well: bool
    since: float
    ran: bool
    reads: int = 0
    read: float = float("-inf")
    wanted: float | None = None
    """Not before this moment is a read the last one that is wanted; None: none is."""
    failures: JobFailures | None = None


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
        self._tracks: dict[str, _Track] = {}

    async def close(self) -> None:
        await self._turns.close()

    def steady_for(self, job_id: str) -> float:
        """Seconds since when all tasks of the job run and nothing of it changed, as far as this process saw; else 0."""
        track = self._tracks.get(job_id)
        return time.monotonic() - track.since if track is not None and track.well else 0.0

    def short_for(self, job_id: str) -> float:
        """Seconds since when not all tasks of the job run, as far as this process saw; else 0."""
        track = self._tracks.get(job_id)
        return time.monotonic() - track.since if track is not None and not track.well else 0.0

    def failures(self, job_id: str) -> JobFailures | None:
        """What was read last of the failures of a job."""
        track = self._tracks.get(job_id)
        return track.failures if track is not None else None

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
        for job_id in self._tracks.keys() - live:
            del self._tracks[job_id]
            self._turns.drop(job_id)

    def _compare(self, job_id: str, before: JobOverview | None, job: JobOverview) -> None:
        now, well = time.monotonic(), job.all_tasks_running
        track = self._tracks.get(job_id)
        if track is None:
            track = self._tracks[job_id] = _Track(well=well, since=now, ran=well)
        changed = before is not None and _changed(before, job)
        restarted = changed and track.ran
        if well and not restarted and now - track.since >= CALM_SECONDS:
            track.reads = 0
        if well is not track.well or (well and changed):
            track.well, track.since = well, now
        track.ran = track.ran or well
        stuck = not well and now - track.since >= SHORT_SECONDS and now - track.read >= READ_AGAIN
        failing = job.state in (FlinkJobState.FAILING, FlinkJobState.RESTARTING)
        if restarted or (failing and (changed or before is None)):
            track.wanted = now + self._refresh + CACHE_MARGIN
        elif stuck and track.wanted is None:
            track.wanted = now
        if track.wanted is not None:
            self._turns.want(job_id, self._due(track) - now)  # one that waits keeps its turn

    def _due(self, track: _Track) -> float:
        """A read within Flink's refresh interval after another would bring the same answer."""
        eager = track.reads < EAGER_READS
        return track.read + (self._refresh + CACHE_MARGIN if eager else READ_AGAIN)

    async def _read_one(self, job_id: str) -> None:
        track = self._tracks[job_id]
        track.read = begun = time.monotonic()
        track.reads += 1
        try:
            found = await self._read(job_id)
        except FlinkJobError as error:
            log.info("failures of job %s cannot be read: %s", job_id, error.message)
        except Exception:
            log.exception("failures of job %s cannot be read", job_id)
        else:
            if track.wanted is not None and begun >= track.wanted:
                track.wanted = None
            if found is not None and found != track.failures:
                track.failures = found
                self._changed(job_id)
        if self._tracks.get(job_id) is track:
            self._plan(job_id, track)

    def _plan(self, job_id: str, track: _Track) -> None:
        """Have the job read when that is due, if it is wanted at all."""
        self._turns.drop(job_id)
        if track.wanted is not None:
            self._turns.want(job_id, self._due(track) - time.monotonic())


def _changed(before: JobOverview, now: JobOverview) -> bool:
    return (
        before.state is not now.state or before.tasks != now.tasks or before.last_modification != now.last_modification
    )
