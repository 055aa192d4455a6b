"""Numbers about all FlinkJobs together, from what their statuses hold and what their clusters say: nothing is counted on
the side, so nothing can drift.

Called by `app` at each scrape and by the reconciler after each decision. No number names a job: one that is out of the
ordinary shows in a maximum, and `kubectl get flinkjobs` says which it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.api.enums import Phase, SavepointPhase
from flinkjob.api.flinkjob_status import FlinkJobStatus


def oldest_checkpoint_age(jobs: Iterable[FlinkJob], seen: Mapping[str, datetime], now: datetime) -> float:
    """The greatest age, among running jobs, of the newest completed checkpoint that is known; 0 when there is none.

    Args:
        seen: when the newest checkpoint was completed that was seen of a Flink job, by its id. Statuses may be an hour
            behind, and count only for jobs that were not looked at yet.
        now: aware; ages are in seconds.
    """
    return _oldest((newest_checkpoint(job, seen) for job in jobs if job.status.phase is Phase.RUNNING), now)


def newest_checkpoint(job: FlinkJob, seen: Mapping[str, datetime]) -> datetime | None:
    """When the newest checkpoint that is known of the run was completed."""
    run, written = job.status.submission, job.status.last_checkpoint
    known = seen.get(run.job_id) if run is not None and run.job_id is not None else None
    return known or (written.time if written is not None else None)


def oldest_savepoint_age(jobs: Iterable[FlinkJob], now: datetime) -> float:
    """The same of savepoints, among running jobs that have one."""
    savepoints = (job.status.last_savepoint for job in jobs if job.status.phase is Phase.RUNNING)
    return _oldest((each.time for each in savepoints if each is not None), now)


def oldest_copy(jobs: Iterable[FlinkJob], savepoints: Iterable[FlinkSavepoint], now: datetime) -> float:
    """How long ago, in seconds, the oldest copy of a snapshot that is not complete was begun; 0 when there is none."""
    asked = (one.status.sync for one in savepoints if one.status.phase is SavepointPhase.SYNCING)
    by_job = (job.status.sync.in_progress for job in jobs if job.status.sync is not None)
    return _oldest((each.start_time for each in (*asked, *by_job) if each is not None), now)


def downtime(before: FlinkJobStatus, after: FlinkJobStatus) -> tuple[str, float] | None:
    """Why a run began with this decision, and the seconds that the job was down before it; None when none began."""
    run, latest = after.submission, after.history[0] if after.history else None
    if run is None or latest is None or latest.downtime is None or latest.number != run.number - 1:
        return None
    if any(entry.number == latest.number and entry.downtime == latest.downtime for entry in before.history):
        return None
    return run.reason or "", downtime_seconds(latest.downtime)


def downtime_seconds(downtime: str) -> float:
    """The seconds of a downtime as a status has it, such as `1.4s`."""
    return float(downtime.removesuffix("s"))


def _oldest(times: Iterable[datetime | None], now: datetime) -> float:
    return max(((now - time).total_seconds() for time in times if time is not None), default=0.0)
