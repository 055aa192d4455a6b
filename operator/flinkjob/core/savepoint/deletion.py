"""A FlinkSavepoint that is being deleted with its data: dispose of them unless they are in use, and let the object go.

Part of `decide_savepoint`. Invariants: one in progress is waited for, so that its data do not appear when nobody looks after
them any more; the intent is in the status before the disposal; it ends at its deadline. What the operator did not take
itself is deleted only where an administrator allows it: the spelling of a place does not say whose data they are.
"""

from __future__ import annotations

from dataclasses import replace

from flinkjob.api.codec import FlinkSavepoint
from flinkjob.api.constants import FINALIZER
from flinkjob.api.enums import SavepointMode, SavepointPhase, SnapshotDeletion
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import RemoveFinalizer
from flinkjob.core.errors import Invalid
from flinkjob.core.facts import Checkpoints, Disposal, InUse, RecordedElsewhere
from flinkjob.core.flinkmodel import CheckpointKind, is_checkpoint_place, normalise_location
from flinkjob.core.identity import is_attempt_of
from flinkjob.core.pauses import FAST
from flinkjob.core.savepoint.after_end import completed_late, may_complete_late
from flinkjob.core.savepoint.disposers import disposers
from flinkjob.core.savepoint.draft import CONDITIONS_STAY, SavepointDraft, SavepointHalt
from flinkjob.core.seen import DisposalPhase, Presence


def step(draft: SavepointDraft) -> SavepointHalt | None:
    """Dispose of the data unless they are in use, and let the object go, at the deadline in any case.

    Returns: None for one in progress, which is waited for: it goes on as if nobody had deleted it.
    """
    spec, location = draft.spec, draft.before.location
    if FINALIZER not in draft.meta.finalizers:
        return draft.unchanged()
    if spec is None or spec.deletion.policy is SnapshotDeletion.RETAIN:
        return _release(draft)
    late = _deadline_passed(draft, spec)
    if location is None:
        return _without_location(draft, spec, late=late)
    if why := _not_ours(draft, spec, location):
        return _keep(draft, why, late=True)
    if why := _needed(draft, location):
        return _keep(draft, f"{location} {why}", late=late)
    if not draft.before.deleting:
        draft.status = replace(draft.before, deleting=True)
        draft.requeue_after(FAST)
        return CONDITIONS_STAY
    disposal = draft.need(Disposal(disposers(draft, location), location))
    match disposal.phase:
        case DisposalPhase.DONE:
            draft.event(Reason.SnapshotDeleted, location)
            return _release(draft)
        case DisposalPhase.WORKING:
            return _keep(draft, "it is being disposed of", late=late)
        case DisposalPhase.FAILED:
            return _keep(draft, disposal.message, late=late)


def _deadline_passed(draft: SavepointDraft, spec: FlinkSavepointSpec) -> bool:
    return draft.has_passed(spec.deletion.timeout, draft.meta.deletion_time, after=0.1)


def _without_location(draft: SavepointDraft, spec: FlinkSavepointSpec, *, late: bool) -> SavepointHalt | None:
    """Without a place: wait for the one in progress, and for what may come after its time-out."""
    if draft.before.phase is SavepointPhase.IN_PROGRESS:
        return _warn_of_late_data(draft) if late else None
    if draft.before.phase is not SavepointPhase.FAILED or not may_complete_late(draft, spec):
        return _release(draft)
    if (made := completed_late(draft, spec)) is not None:
        draft.status = replace(draft.before, location=made.location, checkpoint_id=made.checkpoint_id)
        draft.requeue_after(FAST)
        return CONDITIONS_STAY
    if draft.status.trigger_id is None:
        return _release(draft)
    return _warn_of_late_data(draft) if late else draft.unchanged()


def _warn_of_late_data(draft: SavepointDraft) -> SavepointHalt:
    draft.event(Reason.SnapshotKept, f"Flink may still write a snapshot below {draft.before.directory}", warning=True)
    return _release(draft)


def _not_ours(draft: SavepointDraft, spec: FlinkSavepointSpec, location: str) -> str:
    """Why data that the operator did not take must stay; "" where it took them, or may delete them all the same."""
    namespace = draft.meta.namespace
    if spec.mode is SavepointMode.EXISTING and spec.location is None and is_checkpoint_place(location):
        return "it is a checkpoint of Flink's own"
    if is_attempt_of(location, namespace):
        return ""
    try:
        draft.given.grants.check(namespace, location)
    except Invalid:
        return "the operator did not take it, and its place is not granted to this namespace (--store-grants)"
    return ""


def _needed(draft: SavepointDraft, location: str) -> str:
    """Why the data must stay; "" when nothing needs them."""
    place = normalise_location(location)
    in_use = place in draft.need(InUse(frozenset({place})))
    if in_use or draft.need(RecordedElsewhere(draft.meta.name, place)):
        return "is in use"
    run, known = draft.run, draft.given.job_status.submission is not None
    if not known or run is None or run.end is not None or run.job_id != draft.before.job_id:
        return ""
    if draft.observation.job.presence is not Presence.PRESENT:
        return "may be the newest state of a job that does not answer"
    stored = [other for other in draft.given.others if other.meta.uid not in draft.given.unwritten]
    newer = _has_later_checkpoint(draft) or any(_is_newer(other, draft.before) for other in stored)
    return "" if newer else "is the newest state of the running job"


def _has_later_checkpoint(draft: SavepointDraft) -> bool:
    """Whether the job has a checkpoint to start from that is newer than this savepoint.

    By its id; by time only where Flink had not reported the savepoint's.
    """
    before = draft.before
    stats = draft.need(Checkpoints(before.flink_job_id))
    newest = stats.newest_completed(CheckpointKind.CHECKPOINT) if stats is not None else None
    if newest is None or not newest.is_usable:
        return False
    if before.checkpoint_id is not None:
        return newest.checkpoint_id > before.checkpoint_id
    completed = newest.latest_ack_time
    return completed is not None and before.end_time is not None and completed > before.end_time


def _is_newer(other: FlinkSavepoint, mine: FlinkSavepointStatus) -> bool:
    """Whether another savepoint of the same run was taken later, and stays."""
    its = other.status
    if its.phase is not SavepointPhase.COMPLETED or its.job_id != mine.job_id or its.location is None:
        return False
    if its.deleting or other.meta.deletion_time is not None or is_checkpoint_place(its.location):
        return False
    if mine.checkpoint_id is not None and its.checkpoint_id is not None:
        return its.checkpoint_id > mine.checkpoint_id
    return mine.end_time is not None and its.end_time is not None and its.end_time > mine.end_time


def _keep(draft: SavepointDraft, why: str, *, late: bool) -> SavepointHalt:
    """The data cannot be disposed of now: look again, or let the object go without it when the deadline has passed."""
    if late:
        draft.event(Reason.SnapshotKept, f"{draft.before.location} stays: {why}", warning=True)
        return _release(draft)
    draft.requeue_after(5.0)
    return draft.unchanged()


def _release(draft: SavepointDraft) -> SavepointHalt:
    draft.act(RemoveFinalizer())
    return draft.unchanged()
