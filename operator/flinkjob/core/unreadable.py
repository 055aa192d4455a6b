"""Objects whose status cannot be read, because another version or a person wrote it: nothing is done, but a deletion ends.

Called by `decide_round` instead of the decisions. Invariants: a FlinkJob that is being deleted loses what cannot be read of
its status before anything else is decided, so that its job is ended as ever by the rest of it, or found on the cluster;
data of a FlinkSavepoint of which not everything is known are never disposed of.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.api.common import duration_seconds
from flinkjob.api.constants import FINALIZER
from flinkjob.api.enums import SnapshotDeletion
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import EventType, PostEvent, RemoveFinalizer
from flinkjob.core.errors import one_line
from flinkjob.core.model import JobDecision, SavepointDecision
from flinkjob.core.pauses import AT_ONCE


def unreadable_event(about: FlinkJob | FlinkSavepoint) -> PostEvent:
    """The Event about a status that cannot be read."""
    deleting = about.meta.deletion_time is not None
    what = "the deletion goes on without this field" if deleting else "nothing is done until it can be read"
    message = one_line(f"{about.status_error}; {what}")
    return PostEvent(type=EventType.WARNING, reason=Reason.StatusUnreadable, message=message)


def mend(job: FlinkJob) -> JobDecision:
    """A FlinkJob that is being deleted: take away what cannot be read.

    A run whose job or place cannot be read is as none: its job is looked for on the cluster.
    """
    status, run = job.status, job.status.submission
    if run is not None and not (run.number and run.job_id and run.cluster_url):
        status = replace(status, submission=None, operation=None)
    return JobDecision(status=status, actions=(unreadable_event(job),), requeue_after=AT_ONCE)


def release(savepoint: FlinkSavepoint, why: str, now: datetime) -> SavepointDecision:
    """A FlinkSavepoint that is being deleted: its data stay, and it goes at its deadline, at once where it keeps them.

    Args:
        why: what cannot be read.
    """
    spec, meta, status = savepoint.spec, savepoint.meta, savepoint.status
    if FINALIZER not in meta.finalizers:
        return SavepointDecision(status=status)
    if spec is None or spec.deletion.policy is SnapshotDeletion.RETAIN:
        return SavepointDecision(status=status, actions=(RemoveFinalizer(),))
    remaining = duration_seconds(spec.deletion.timeout) - (now - (meta.deletion_time or now)).total_seconds()
    if remaining > 0:
        return SavepointDecision(status=status, requeue_after=remaining + 0.1)
    place = status.location or status.directory or "wherever they are"
    message = one_line(f"its data stay ({place}): {why}")
    kept = PostEvent(type=EventType.WARNING, reason=Reason.SnapshotKept, message=message)
    return SavepointDecision(status=status, actions=(kept, RemoveFinalizer()))
