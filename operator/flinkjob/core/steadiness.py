"""How steadily a job runs by the overviews of its cluster, and when what made Flink restart it is worth a read.

Asked by `runtime.failure_reads`, which reads. A restart between two overviews shows in the time of a job's last change. All
times are seconds of one clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from flinkjob.core.flinkmodel import FlinkJobState, JobOverview
from flinkjob.core.jobfailures import JobFailures

SHORT_SECONDS: Final = 2.0
"""Seconds that a job may be short of running tasks before its failures are read though it did not change."""
READ_AGAIN: Final = 10.0
"""Seconds between two reads of a job that stays in trouble."""
EAGER_READS: Final = 5
"""So many reads of a job in trouble follow each other as soon as Flink has something new to say."""
CALM_SECONDS: Final = 120.0
"""Seconds of steady running after which the next trouble is read eagerly again."""
CACHE_MARGIN: Final = 0.3
"""Seconds on top of Flink's refresh interval after which its answer is surely newer than a change."""


@dataclass(frozen=True, slots=True)
class Steadiness:
    """One job.

    Attributes:
        well: whether all its tasks run.
        since: when that, or while they run anything else, last changed.
        ran: whether all tasks have ever run.
        reads: of its failures since it last ran calmly.
        read: when the last one began.
        wanted: not before this moment is a read the last one that is wanted; None: none is.
        failures: what was read last.
    """

    well: bool
    since: float
    ran: bool
    reads: int = 0
    read: float = float("-inf")
    wanted: float | None = None
    failures: JobFailures | None = None

    def due(self, refresh: float) -> float | None:
        """When to read the failures; None where nothing is wanted.

        A read within Flink's refresh interval after another would bring the same answer.

        Args:
            refresh: seconds that Flink's answers may be old.
        """
        if self.wanted is None:
            return None
        return self.read + (refresh + CACHE_MARGIN if self.reads < EAGER_READS else READ_AGAIN)

    def reading(self, now: float) -> Steadiness:
        """A read begins."""
        return replace(self, read=now, reads=self.reads + 1)

    def after_read(self, found: JobFailures | None, begun: float) -> Steadiness:
        """A read has brought an answer.

        Args:
            begun: when it was asked for.
        """
        over = self.wanted is not None and begun >= self.wanted
        failures = found if found is not None else self.failures
        return replace(self, wanted=None if over else self.wanted, failures=failures)


def after_overview(
    known: Steadiness | None, before: JobOverview | None, job: JobOverview, *, now: float, refresh: float
) -> Steadiness:
    """What is known of a job after one more overview.

    Args:
        known: of the overviews before.
        before: the job in the last one.
        refresh: seconds that Flink's answers may be old.
    """
    well = job.all_tasks_running
    if known is None:
        known = Steadiness(well=well, since=now, ran=well)
    changed = before is not None and _changed(before, job)
    restarted = changed and known.ran
    calm = well and not restarted and now - known.since >= CALM_SECONDS
    other = well is not known.well or (well and changed)
    since = now if other else known.since
    stuck = not well and now - since >= SHORT_SECONDS and now - known.read >= READ_AGAIN
    failing = job.state in (FlinkJobState.FAILING, FlinkJobState.RESTARTING)
    wanted = known.wanted
    if restarted or (failing and (changed or before is None)):
        wanted = now + refresh + CACHE_MARGIN
    elif stuck and wanted is None:
        wanted = now
    reads, ran = 0 if calm else known.reads, known.ran or well
    if (well, since, ran, reads, wanted) == (known.well, known.since, known.ran, known.reads, known.wanted):
        return known
    return replace(known, well=well, since=since, ran=ran, reads=reads, wanted=wanted)


def _changed(before: JobOverview, now: JobOverview) -> bool:
    return (
        before.state is not now.state or before.tasks != now.tasks or before.last_modification != now.last_modification
    )
