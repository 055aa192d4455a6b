"""A job that its cluster does not know any more: lost, forgotten, or gone under our own stop; and what it left.

Called by `learn` when the absence is certain. Invariants: after a stop of ours nothing older than that stop's savepoint is
taken, unless its directory could be read and the stop is known to have made none; a snapshot counts only when it was found
after the job's end, in a place that could really be read.
"""

from __future__ import annotations

from flinkjob.api.common import (
    CheckpointRetention,
    OperationKind,
    RunResult,
    SavepointPhase,
    SnapshotKind,
    SnapshotType,
)
from flinkjob.api.flinkjob_status import Operation, Submission
from flinkjob.core.draft import Draft, is_stop
from flinkjob.core.model import Fact, Listing, NeedFact, Needs
from flinkjob.core.reasons import Reason
from flinkjob.core.restore import LeftState
from flinkjob.core.stopped import report, stopped

CHECKPOINT_DIRECTORY = ("execution.checkpointing.dir", "state.checkpoints.dir")


def conclude(draft: Draft, submission: Submission, *, forgotten: bool) -> None:
    """Latch the end of a job that is certainly gone.

    Args:
        forgotten: the JobManager (or its high availability) is the same: the job ended and was forgotten, not lost.
    """
    operation, number = draft.status.operation, submission.number
    if operation is not None and is_stop(operation) and not _stop_never_completed(draft, operation):
        _under_stop(draft, submission, operation)
        return
    left = _left(draft, submission, forgotten=forgotten)
    if operation is not None and operation.kind is OperationKind.CANCEL:
        text = left.message or "it was cancelled, and the cluster forgot it"
        draft.end_run(RunResult.CANCELLED, snapshot=left.location, kind=left.kind, message=text, taken=left.time)
        return
    if left.kind is SnapshotKind.EMPTY and left.message is not None:
        draft.end_run(RunResult.FINISHED, snapshot=None, kind=left.kind, message=left.message)
        draft.event(Reason.Finished, f"run {number} finished unseen: {left.message}")
        return
    if forgotten and left.kind is SnapshotKind.MISSING:
        result, reason = RunResult.ENDED_UNSEEN, Reason.JobEndedUnseen
        text = f"run {number} ended and the cluster forgot it before its result was seen"
    else:
        result, reason = RunResult.LOST, Reason.JobLost
        text = f"run {number} was lost: the JobManager was restarted without high availability"
        if forgotten:
            text = f"run {number} failed or was cancelled, and the cluster forgot it"
    message = f"{text}; {left.message or f'its newest state is {left.location}'}"
    draft.end_run(result, snapshot=left.location, kind=left.kind, message=message, taken=left.time)
    draft.event(reason, message, warning=True)


def _stop_never_completed(draft: Draft, operation: Operation) -> bool:
    """Whether the attempt's directory was really read and holds no complete savepoint: then the stop did nothing."""
    listing = _listing(draft, operation.directory or "")
    return listing.readable and not listing.found


def _under_stop(draft: Draft, submission: Submission, operation: Operation) -> None:
    number, directory = submission.number, operation.directory or ""
    listing = _listing(draft, directory)
    if listing.readable and len(listing.found) == 1:
        found = listing.found[0]
        stopped(draft, operation, found.location, taken=found.time)
        return
    message = f"run {number} went away while it was being stopped; look for its savepoint below {directory}"
    report(draft, operation, None, message, permanent=True)
    draft.end_run(RunResult.SAVEPOINT_UNKNOWN, snapshot=None, kind=SnapshotKind.MISSING, message=message)
    draft.event(Reason.SavepointUnknown, message, warning=True)


def _left(draft: Draft, submission: Submission, *, forgotten: bool) -> LeftState:
    """What can be found of the job's checkpoints and savepoints."""
    base = checkpoint_directory(draft)
    saved = _newest_savepoint(draft, submission)
    if base is None:
        return LeftState(kind=SnapshotKind.MISSING, message="no checkpoint directory is known to look into")
    directory = f"{base.rstrip('/')}/{submission.job_id}"
    listing = _listing(draft, directory)
    if not listing.readable:
        text = f"{directory} cannot be read by the operator (setting state-dirs)"
        return LeftState(kind=SnapshotKind.MISSING, message=text)
    if listing.found and (saved is None or (saved[0] or 0) < (listing.found[0].number or 0)):
        found = listing.found[0]
        return LeftState(kind=SnapshotKind.CHECKPOINT, location=found.location, time=found.time)
    if not listing.found and _had_checkpoint(draft, submission) and _retained(draft):
        return LeftState(kind=SnapshotKind.EMPTY, message="its checkpoints are gone, as Flink leaves them at the end")
    if not listing.found and forgotten:
        text = f"no checkpoint is left below {directory}, so it may have finished"
        return LeftState(kind=SnapshotKind.MISSING, message=text)
    if saved is not None:
        return LeftState(kind=SnapshotKind.SAVEPOINT, location=saved[1])
    if _had_checkpoint(draft, submission):
        text = "its checkpoints went with it, as checkpoint.retention DeleteOnCancellation says"
        return LeftState(kind=SnapshotKind.MISSING, message=text)
    kind = SnapshotKind.RESTORED if submission.restored_from else SnapshotKind.EMPTY
    return LeftState(kind=kind, location=submission.restored_from)


def _had_checkpoint(draft: Draft, submission: Submission) -> bool:
    """Whether a checkpoint of this very run was seen."""
    known = draft.status.last_checkpoint
    return known is not None and f"/{submission.job_id}/" in (known.location or "")


def _retained(draft: Draft) -> bool:
    """Whether the newest checkpoint is kept unless the job comes to its own end."""
    spec = draft.spec
    return spec is None or spec.checkpoint.retention is CheckpointRetention.RETAIN_ON_CANCELLATION


def checkpoint_directory(draft: Draft) -> str | None:
    """Where the job's checkpoints are: its own setting, else the cluster's."""
    spec = draft.spec
    own = None
    if spec is not None:
        own = spec.checkpoint.directory or next(
            (spec.flink_configuration[name] for name in CHECKPOINT_DIRECTORY if name in spec.flink_configuration), None
        )
    return own or draft.observation.cluster.checkpoint_directory


def _listing(draft: Draft, directory: str) -> Listing:
    if directory not in draft.observation.listings:
        raise NeedFact(Needs(fact=Fact.LISTING, directory=directory))
    return draft.observation.listings[directory]


def _newest_savepoint(draft: Draft, submission: Submission) -> tuple[int | None, str] | None:
    """The newest completed FlinkSavepoint of this very run: its checkpoint id, and where it lies."""
    mine = [
        (savepoint.status.checkpoint_id, savepoint.status.location)
        for savepoint in draft.given.savepoints
        if savepoint.status.phase is SavepointPhase.COMPLETED
        and savepoint.status.job_id == submission.job_id
        and savepoint.status.location is not None
        and (savepoint.spec is None or savepoint.spec.type is SnapshotType.SAVEPOINT)
    ]
    return max(mine, key=lambda one: one[0] or 0, default=None)
