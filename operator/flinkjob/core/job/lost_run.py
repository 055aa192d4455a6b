"""A job that its cluster does not know any more: lost, forgotten, or gone under our own stop; and what it left.

Called by `observe_run` when the absence is certain. Invariants: after a stop of ours nothing older than that stop's
savepoint is taken, unless its directory could be read and the stop is known to have made none; a snapshot counts only when it
was found after the job's end, in a place that could really be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from flinkjob.api.codec import FlinkSavepoint
from flinkjob.api.enums import (
    CheckpointRetention,
    OperationKind,
    RunResult,
    SavepointErrorCode,
    SavepointPhase,
    SnapshotKind,
)
from flinkjob.api.flink_options import CHECKPOINT_DIRECTORY
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import Operation, Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.errors import SavepointFailure
from flinkjob.core.facts import Revision, Snapshots
from flinkjob.core.flinkmodel import is_checkpoint_place
from flinkjob.core.job.draft import Draft, is_stop
from flinkjob.core.job.restore_point import FinalState
from flinkjob.core.job.run_end import report, stopped
from flinkjob.core.seen import FoundSnapshot


@dataclass(frozen=True)
class _Saved:
    """A complete savepoint of the run; its checkpoint id where Flink reported it."""

    name: str
    location: str
    number: int | None
    time: datetime | None
    deleting: bool


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def end_lost_run(draft: Draft, run: Submission, *, forgotten: bool) -> None:
    """Latch the end of a job that is certainly gone.

    Args:
        forgotten: the JobManager (or its high availability) is the same: the job ended and was forgotten, not lost.
    """
    operation, number = draft.status.operation, run.number
    if operation is not None and is_stop(operation) and not _stop_ended_nothing(draft, run, operation):
        _under_stop(draft, run, operation)
        return
    final = _final_state(draft, run, forgotten=forgotten)
    if operation is not None and operation.kind is OperationKind.CANCEL:
        text = final.message or "it was cancelled, and the cluster forgot it"
        draft.end_run(RunResult.CANCELLED, snapshot=final.location, kind=final.kind, message=text, taken=final.time)
        return
    if final.kind is SnapshotKind.EMPTY and final.message is not None:
        draft.end_run(RunResult.FINISHED, snapshot=None, kind=final.kind, message=final.message)
        draft.event(Reason.Finished, f"run {number} finished unseen: {final.message}")
        return
    if forgotten and final.kind is SnapshotKind.MISSING:
        result, reason = RunResult.ENDED_UNSEEN, Reason.JobEndedUnseen
        text = f"run {number} ended and the cluster forgot it before its result was seen"
    else:
        result, reason = RunResult.LOST, Reason.JobLost
        text = f"run {number} was lost: the JobManager was restarted without high availability"
        if forgotten:
            text = f"run {number} failed or was cancelled, and the cluster forgot it"
    left = f"its newest state is {final.location}" if final.location is not None else "it has left no state"
    message = f"{text}; {final.message or left}"
    draft.end_run(result, snapshot=final.location, kind=final.kind, message=message, taken=final.time)
    draft.event(reason, message, warning=True)


def _stop_ended_nothing(draft: Draft, run: Submission, operation: Operation) -> bool:
    """Whether the stop is known to have failed: its directory was really read and holds no complete savepoint, or the job
    completed a checkpoint after it."""
    made = draft.need(Snapshots(operation.directory or ""))
    if not made.readable:
        return False
    saved = max((one.time for one in made.found if one.time is not None), default=None)
    if not made.found or saved is None:
        return not made.found
    directory = _directory_of(draft, run)
    newest = next(iter(draft.need(Snapshots(directory)).found), None) if directory is not None else None
    return newest is not None and newest.time is not None and newest.time > saved


def _under_stop(draft: Draft, run: Submission, operation: Operation) -> None:
    number, directory = run.number, operation.directory or ""
    listing = draft.need(Snapshots(directory))
    if listing.readable and len(listing.found) == 1:
        found = listing.found[0]
        stopped(draft, operation, found.location, taken=found.time)
        return
    message = f"run {number} went away while it was being stopped; look for its savepoint below {directory}"
    report(draft, operation, None, message, failure=SavepointFailure.PERMANENT)
    draft.end_run(RunResult.SAVEPOINT_UNKNOWN, snapshot=None, kind=SnapshotKind.MISSING, message=message)
    draft.event(Reason.SavepointUnknown, message, warning=True)


def _final_state(draft: Draft, run: Submission, *, forgotten: bool) -> FinalState:
    """What can be found of the job's checkpoints and savepoints."""
    directory = _directory_of(draft, run)
    saved = _newest_savepoint(draft, run)
    if directory is None:
        return FinalState(kind=SnapshotKind.MISSING, message="no checkpoint directory is known to look into")
    listing = draft.need(Snapshots(directory))
    if not listing.readable:
        text = f"{directory} cannot be read by the operator (setting state-dirs)"
        return FinalState(kind=SnapshotKind.MISSING, message=text)
    if listing.found:
        return _newer(listing.found[0], saved)
    if had_checkpoint(draft, run) and _retained(draft, run):
        return FinalState(kind=SnapshotKind.EMPTY, message="its checkpoints are gone, as Flink leaves them at the end")
    if forgotten:
        text = f"no checkpoint found in {directory}, so it may have finished"
        return FinalState(kind=SnapshotKind.MISSING, message=text)
    if saved is not None:
        return _saved(saved)
    if had_checkpoint(draft, run) or not _retained(draft, run):
        text = f"no checkpoint found in {directory}; none is expected with this checkpoint.retention"
        return FinalState(kind=SnapshotKind.MISSING, message=text)
    kind = SnapshotKind.RESTORED if run.restored_from else SnapshotKind.EMPTY
    return FinalState(kind=kind, location=run.restored_from)


def _newer(checkpoint: FoundSnapshot, saved: _Saved | None) -> FinalState:
    """The newer of the newest checkpoint and the newest savepoint: by checkpoint id, by time only where Flink had not
    yet reported the savepoint's."""
    found = FinalState(kind=SnapshotKind.CHECKPOINT, location=checkpoint.location, time=checkpoint.time)
    if saved is None:
        return found
    if saved.number is not None:
        return _saved(saved) if saved.number > (checkpoint.number or 0) else found
    if saved.time is None or checkpoint.time is None:
        text = f"{checkpoint.location} and FlinkSavepoint {saved.name} were left, and which is newer is not known"
        return FinalState(kind=SnapshotKind.MISSING, message=text)
    return _saved(saved) if saved.time >= checkpoint.time else found


def _saved(saved: _Saved) -> FinalState:
    if saved.deleting:
        text = f"the data of FlinkSavepoint {saved.name}, its newest state, are being deleted"
        return FinalState(kind=SnapshotKind.MISSING, message=text)
    return FinalState(kind=SnapshotKind.SAVEPOINT, location=saved.location)


def had_checkpoint(draft: Draft, run: Submission) -> bool:
    """Whether a checkpoint of this very run was seen."""
    known = draft.status.last_checkpoint
    return known is not None and f"/{run.job_id}/" in (known.location or "")


def _retained(draft: Draft, run: Submission) -> bool:
    """Whether the newest checkpoint is kept unless the job comes to its own end.

    The program may have asked for something else than the spec, so that what Flink said of the job counts.
    """
    if run.retains_checkpoints is not None:
        return run.retains_checkpoints
    spec = _spec_of_run(draft, run)
    return spec is not None and spec.checkpoint.retention is CheckpointRetention.RETAIN_ON_CANCELLATION


def _spec_of_run(draft: Draft, run: Submission) -> FlinkJobSpec | None:
    """The spec that the run was started with: this one, or what its revision holds."""
    if draft.spec is not None and run.run_digest == draft.digest:
        return draft.spec
    return draft.need(Revision(run.revision)) if run.revision is not None else None


def _directory_of(draft: Draft, run: Submission) -> str | None:
    """Where the run's checkpoints are: beside the one that was seen, else where the spec that it was started with says."""
    known = draft.status.last_checkpoint
    if known is not None and known.location is not None and had_checkpoint(draft, run):
        return known.location.rstrip("/").rpartition("/")[0]
    spec = _spec_of_run(draft, run)
    if spec is None:
        return None
    own = spec.checkpoint.directory or next(
        (spec.flink_configuration[name] for name in CHECKPOINT_DIRECTORY if name in spec.flink_configuration), None
    )
    base = own or draft.observation.cluster.checkpoint_directory
    return f"{base.rstrip('/')}/{run.job_id}" if base is not None else None


def _newest_savepoint(draft: Draft, run: Submission) -> _Saved | None:
    """The newest savepoint of this very run that is complete, whatever became of its FlinkSavepoint."""
    found = [_savepoint_of(draft, one) for one in draft.given.savepoints if one.status.job_id == run.job_id]
    mine = [saved for saved in found if saved is not None]
    if all(saved.number is not None for saved in mine):
        return max(mine, key=lambda saved: saved.number or 0, default=None)
    return max(mine, key=lambda saved: saved.time or EPOCH, default=None)


def _savepoint_of(draft: Draft, savepoint: FlinkSavepoint) -> _Saved | None:
    """What a FlinkSavepoint made; where its outcome was not seen, its own directory is looked into."""
    spec, status, name = savepoint.spec, savepoint.status, savepoint.meta.name
    if spec is not None and spec.is_checkpoint:
        return None
    late = status.error is not None and status.error.error_code is SavepointErrorCode.TIMEOUT
    if status.location is not None and (status.phase is SavepointPhase.COMPLETED or late):
        if is_checkpoint_place(status.location):
            return None
        return _Saved(name, status.location, status.checkpoint_id, status.end_time, status.deleting)
    unseen = status.phase is SavepointPhase.IN_PROGRESS or late
    if status.directory is None or not unseen:
        return None
    listing = draft.need(Snapshots(status.directory))
    if not listing.readable or not listing.found:
        return None
    return _Saved(name, listing.found[0].location, None, listing.found[0].time, status.deleting)
