"""How the end of a run is latched: by Flink's terminal state and what it left, or by a stop of ours and its savepoint.

Called where an end is seen (`observe_run`, `stopping`) and where it is found out later (`lost_run`). Invariants: what a run
left is read after Flink's cache of the statistics has expired; a job that a FlinkSavepoint stopped is held down, however its
end came to be known.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from flinkjob.api.enums import EndCause, HoldReason, OperationKind, RunResult, SnapshotKind
from flinkjob.api.flinkjob_status import Hold, Operation, Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.errors import SavepointFailure
from flinkjob.core.facts import Checkpoints, Failure
from flinkjob.core.flinkmodel import CheckpointKind, CheckpointStats, FlinkJobState, JobException, JobOverview
from flinkjob.core.job import restore_failure
from flinkjob.core.job.crash_loop import failure_of
from flinkjob.core.job.draft import Draft, Halt, Step
from flinkjob.core.job.restore_point import FinalState, final_state
from flinkjob.core.model import OperationOutcome
from flinkjob.core.requester import ORIGINS, SAVEPOINT_PREFIX, Requester

CACHE_MARGIN = 0.3
"""Seconds on top of Flink's refresh interval after which its statistics are surely newer than the job's end."""


def stopped(
    draft: Draft, operation: Operation, location: str, *, time: datetime | None = None, taken: datetime | None = None
) -> None:
    """Latch that the job was stopped by this operation, with its savepoint at `location`."""
    result = RunResult.DRAINED if operation.drain else RunResult.STOPPED
    by = operation.by or ""
    draft.end_run(result, snapshot=location, kind=SnapshotKind.SAVEPOINT, time=time, taken=taken)
    report(draft, operation, location, "")
    if by.startswith(SAVEPOINT_PREFIX):
        reason = HoldReason.CANCELLED if operation.kind is OperationKind.SAVEPOINT_AND_CANCEL else HoldReason.STOPPED
        draft.status = replace(
            draft.status,
            hold=Hold(
                reason=reason,
                by=by.removeprefix(SAVEPOINT_PREFIX),
                since=draft.now,
                run_digest=operation.run_digest,
                location=location,
            ),
        )
    else:
        draft.record_savepoint(operation, location, ORIGINS[by])
        if by in (Requester.SUSPEND, Requester.DRAIN):
            now = Reason.Drained if operation.drain else Reason.Suspended
            draft.event(now, f"run {operation.submission} was stopped with {location}")


def report(
    draft: Draft,
    operation: Operation,
    location: str | None,
    message: str,
    *,
    failure: SavepointFailure = SavepointFailure.OTHER,
) -> None:
    """Report to the FlinkSavepoint that asked for the operation, if one did, how it ended."""
    draft.outcome = OperationOutcome(by=operation.by or "", location=location, message=message, failure=failure)


def wait_for_final_state(draft: Draft, run: Submission) -> Halt | None:
    """Wait until the statistics of an ended job are there and can be trusted.

    Where Flink forgets the job between two questions the next look finds it gone, which `lost_run` deals with.
    """
    remaining = draft.observation.cluster.refresh_interval + CACHE_MARGIN - draft.observation.job.terminal_for
    if remaining > 0:
        text = "the job has ended; reading what it left"
        return draft.wait(Step.READ_STATE, Reason.ReadingLastState, text, requeue_after=remaining)
    if draft.need(Checkpoints(run.flink_job_id)) is None:
        text = "the cluster has just forgotten the job"
        return draft.wait(Step.READ_STATE, Reason.ReadingLastState, text, requeue_after=1.0)
    return None


def end_by_state(draft: Draft, overview: JobOverview, *, cancelled_by_us: bool, made: str | None = None) -> None:
    """Latch the end of a run by Flink's terminal state and its statistics.

    Args:
        made: a savepoint that a failed stop left, by its error.
    """
    run = draft.live_run
    assert run is not None
    stats = draft.need(Checkpoints(run.flink_job_id))
    final = final_state(stats, run.restored_from, other=made)
    if overview.state is FlinkJobState.FINISHED:
        if (saved := _stop_of_a_finished_job(stats) or made) is not None:
            final = FinalState(kind=SnapshotKind.SAVEPOINT, location=saved)
            result = RunResult.CANCELLED if cancelled_by_us else RunResult.CANCELLED_EXTERNALLY
        else:
            final = FinalState(kind=SnapshotKind.EMPTY)
            result = RunResult.FINISHED
    elif cancelled_by_us:
        result = RunResult.CANCELLED
    elif overview.state is FlinkJobState.CANCELED:
        result = RunResult.CANCELLED_EXTERNALLY
    else:
        result = RunResult.FAILED
    exception = _failure(draft, run.flink_job_id) if result is RunResult.FAILED else None
    message = (restore_failure.message_of(run, exception) if exception is not None else None) or final.message
    cause = restore_failure.cause_of(run, exception) if exception is not None else None
    draft.end_run(
        result,
        snapshot=final.location,
        kind=final.kind,
        message=message,
        cause=cause,
        time=overview.end_time,
        taken=final.time,
    )
    _record_end(draft, run, result, cause, message)


def _stop_of_a_finished_job(stats: CheckpointStats | None) -> str | None:
    """The savepoint of a stop, if one completed: a later checkpoint may have been asked for during the stop."""
    synchronous = stats.newest_completed(CheckpointKind.SYNC_SAVEPOINT) if stats is not None else None
    return synchronous.external_path if synchronous is not None else None


def _failure(draft: Draft, job_id: str) -> JobException | None:
    """The exception that ended the job, noted in the status."""
    exception = draft.need(Failure(job_id))
    if exception is None:
        return None
    assert draft.run is not None
    draft.status = replace(draft.status, last_failure=failure_of(draft, draft.run, exception))
    return exception


def _record_end(draft: Draft, run: Submission, result: RunResult, cause: EndCause | None, message: str | None) -> None:
    match result:
        case RunResult.FINISHED:
            draft.event(Reason.Finished, f"run {run.number} finished")
        case RunResult.FAILED:
            reason, text = restore_failure.event_of(run, cause, message or "")
            draft.event(reason, text, warning=True)
        case RunResult.CANCELLED_EXTERNALLY:
            text = f"run {run.number} was cancelled or stopped by somebody else"
            draft.event(Reason.JobCancelledExternally, text, warning=True)
        case _:
            pass
