"""The operation in progress on the running job: sent, waited for, concluded. One at a time, intent first.

A spec that changes meanwhile waits until the operation is over; what is wished then decides. Called by the job decision
after `observe_run`. Invariants: a stop is sent again only under its own trigger id, and only when Flink has forgotten the
trigger, no snapshot is below the attempt's directory and the job runs; its outcome is taken from Flink's definite answer;
a job that is terminal under our stop is stopped, and never finished on its own.
"""

from __future__ import annotations

from dataclasses import replace

from flinkjob.api.enums import FormatType, OperationKind, SavepointMode, SavepointOrigin
from flinkjob.api.flinkjob_status import Operation, Submission
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import CancelJob, StopJob, TakeSavepoint
from flinkjob.core.backoff import delay_seconds
from flinkjob.core.errors import SavepointFailure, with_steps
from flinkjob.core.facts import Checkpoints, Triggered
from flinkjob.core.flinkmodel import (
    Checkpoint,
    CheckpointKind,
    CheckpointStats,
    FlinkJobState,
    JobOverview,
    SavepointFormat,
    TriggerResult,
    TriggerState,
)
from flinkjob.core.identity import attempt_directory, trigger_id
from flinkjob.core.job.draft import Draft, Halt, Step, is_stop, wish
from flinkjob.core.job.fallback import may_cancel_instead, time_is_up, timeout_of
from flinkjob.core.job.run_end import end_by_state, report, stopped, wait_for_final_state
from flinkjob.core.pauses import FAST, SOON, while_going_on
from flinkjob.core.requester import ORIGINS, SAVEPOINT_PREFIX, Requester
from flinkjob.core.seen import Presence

CANCEL_AGAIN = 1.0
"""Seconds between repeats of a cancel, which is harmless to repeat."""
FAILURES_THAT_COUNT = 3
"""So many failures in a row, or one that would repeat whatever the job does, mean that no savepoint can be taken."""
WAYS_OUT = (
    "correct that, such as by another savepoints.directory, or go on without a savepoint: upgrade.fallback LastState from "
    "the newest checkpoint; losing state, upgrade.strategy Stateless, state Cancelled, a new initialState.nonce, or for a "
    "deletion the annotation flinkjob.dev/force-delete"
)
"""What a person can do when no savepoint can be taken and no retained checkpoint stands in for it."""

_DOING = {OperationKind.CANCEL: "cancelling the job", OperationKind.RESCALE: "rescaling the job in place"}


def begin_stop(
    draft: Draft,
    run: Submission,
    *,
    by: str,
    base: str,
    format_type: FormatType,
    drain: bool = False,
    cancel: bool = False,
    holds: str | None = None,
) -> Halt:
    """Write the intent of a stop with savepoint and send it.

    Args:
        cancel: a savepoint that cancels when complete.
        holds: the run digest to be held down afterwards, when an earlier attempt has noted it; else the present one.
    """
    kind = OperationKind.SAVEPOINT_AND_CANCEL if cancel else OperationKind.STOP
    attempt = run.operations + 1
    meta = draft.job.meta
    operation = Operation(
        kind=kind,
        by=by,
        trigger_id=trigger_id(meta.uid, run.number, kind, attempt),
        directory=attempt_directory(
            base,
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
            submission=run.number,
            kind=kind,
            attempt=attempt,
        ),
        submission=run.number,
        job_id=run.job_id,
        run_digest=holds or draft.digest,
        since=draft.now,
        drain=drain,
        format_type=format_type,
        attempt=attempt,
    )
    return _begin(draft, operation)


def begin_cancel(draft: Draft, run: Submission, *, by: str, why: str = "") -> Halt:
    """Write the intent of a cancel and send it.

    Args:
        why: no savepoint is taken although one is wanted; an Event reports it.
    """
    operation = Operation(
        kind=OperationKind.CANCEL,
        by=by,
        submission=run.number,
        job_id=run.job_id,
        run_digest=draft.digest,
        since=draft.now,
        attempt=run.operations + 1,
    )
    if why:
        why = f"{why} ({run.savepoint_failure})" if run.savepoint_failure is not None else why
        draft.event(Reason.SavepointSkipped, f"{by}: run {run.number} is cancelled without a savepoint: {why}")
    return _begin(draft, operation)


def _begin(draft: Draft, operation: Operation) -> Halt:
    draft.update(operations=operation.attempt)
    draft.status = replace(draft.status, operation=operation)
    if operation.by in (Requester.UPGRADE, Requester.MOVE):
        reason = Reason.Upgrading if operation.by == Requester.UPGRADE else Reason.Moving
        draft.event(reason, f"run {operation.submission} is being replaced ({operation.kind})")
    _send(draft, operation)
    draft.requeue_after(FAST)
    return describe(draft, operation)


def describe(draft: Draft, operation: Operation) -> Halt:
    """Halt, saying what the operation waits for."""
    reason = {
        Requester.UPGRADE: Reason.Upgrading,
        Requester.ROLLBACK: Reason.RolledBack,
        Requester.MOVE: Reason.Moving,
        Requester.SCALE: Reason.Rescaling,
        Requester.SUSPEND: Reason.Suspending,
        Requester.DRAIN: Reason.Draining,
        Requester.CANCEL: Reason.Cancelling,
        Requester.DELETION: Reason.Deleting,
    }.get(operation.by or "", Reason.Suspending)
    what = _DOING.get(operation.kind, "stopping the job with a savepoint")
    where = f" below {operation.directory}" if operation.directory else ""
    if operation.overdue:
        reason, what = Reason.Timeout, f"{what}, for longer than its timeout allows: Flink may still complete it"
    return draft.wait(Step(operation.kind), reason, f"{what}{where} (asked for by {operation.by})")


def follow_operation(draft: Draft) -> Halt | None:
    """Follow the operation to its end: fold its outcome into the status, or wait and send again."""
    operation = draft.status.operation
    if operation is None:
        return None
    run = draft.live_run
    if run is None or run.number != operation.submission:
        draft.status = replace(draft.status, operation=None)
        return None
    if not draft.observation.cluster.reachable or draft.observation.job.presence is Presence.UNKNOWN:
        if _may_cancel_unseen(draft, operation, run):
            _send(draft, operation)
        draft.requeue_after(1.0)
        return describe(draft, operation)
    if is_stop(operation):
        return _follow_stop(draft, operation, run)
    if draft.observation.job.presence is not Presence.PRESENT:
        return None
    _send(draft, operation)
    draft.requeue_after(CANCEL_AGAIN)
    return describe(draft, operation)


def _may_cancel_unseen(draft: Draft, operation: Operation, run: Submission) -> bool:
    """Whether the cancel of a deletion is sent again to a job that does not answer: it may not have been sent at all."""
    asked = operation.kind is OperationKind.CANCEL and draft.job.meta.deletion_time is not None
    return asked and draft.observation.cluster.reachable and draft.owner.owns(run.flink_job_id)


def _follow_stop(draft: Draft, operation: Operation, run: Submission) -> Halt | None:
    overview = draft.observation.job.overview
    if overview is None:
        draft.requeue_after(1.0)
        return describe(draft, operation)  # absent: `observe_run` counts the time until the job is known to be gone
    result = draft.need(Triggered(operation.flink_job_id, operation.trigger))
    match result.state:
        case TriggerState.IN_PROGRESS if draft.observation.job.answers_no_more:
            return _forgotten(draft, operation, run, overview)
        case TriggerState.IN_PROGRESS:
            pause = SOON if overview.state.is_terminal else while_going_on(_lasted(draft, operation))
            return _still_in_progress(draft, operation, run, pause=pause)
        case TriggerState.COMPLETED if result.location is not None:
            if overview.state.is_terminal:
                stopped(draft, operation, result.location, time=overview.end_time)
                return None
            draft.requeue_after(FAST)
            return describe(draft, operation)
        case TriggerState.FORGOTTEN:
            return _forgotten(draft, operation, run, overview)
        case TriggerState.FAILED | TriggerState.COMPLETED:
            return _failed(draft, operation, run, overview, result)


def _lasted(draft: Draft, operation: Operation) -> float:
    """Seconds since it was begun."""
    return (draft.now - operation.since).total_seconds() if operation.since is not None else 0.0


def _still_in_progress(draft: Draft, operation: Operation, run: Submission, *, pause: float) -> Halt:
    """Wait; when its time is up an Event reports it once, and the job is cancelled where `upgrade.fallback` says so."""
    if not operation.overdue and time_is_up(draft, operation, run):
        draft.update(given_up=wish(draft))
        operation = replace(operation, overdue=True)
        draft.status = replace(draft.status, operation=operation)
        late = f"the savepoint below {operation.directory} takes longer than {timeout_of(draft, operation)}"
        draft.event(Reason.Timeout, f"{operation.by}: {late}", warning=True)
    elif operation.overdue and may_cancel_instead(draft, operation, run):
        return begin_cancel(draft, run, by=operation.by or "")
    draft.requeue_after(max(pause, 1.0) if operation.overdue else pause)
    return describe(draft, operation)


def _forgotten(draft: Draft, operation: Operation, run: Submission, overview: JobOverview) -> Halt | None:
    """The trigger is unknown: never sent, expired, or the JobManager is another one. The history says which."""
    assert operation.directory is not None
    if overview.state.is_terminal and (halt := wait_for_final_state(draft, run)) is not None:
        return halt
    stats = draft.need(Checkpoints(run.flink_job_id))
    done = stats.completed_below(operation.directory) if stats is not None else None
    if overview.state.is_terminal:
        if done is not None and done.external_path and not _went_on(overview, stats, done):
            stopped(draft, operation, done.external_path, time=overview.end_time)
        else:
            report(draft, operation, None, "the job ended before the savepoint was complete")
            end_by_state(draft, overview, cancelled_by_us=False)
        return None
    if stats is not None and stats.savepoint_in_progress:
        return _still_in_progress(draft, operation, run, pause=1.0)
    if done is not None:
        if done.external_path:
            _keep(draft, operation, done.external_path)
        message = f"a savepoint was made at {done.external_path}, but the job was not stopped"
        return _fail(draft, operation, message)
    _send(draft, operation)
    draft.requeue_after(FAST)
    return describe(draft, operation)


def _went_on(overview: JobOverview, stats: CheckpointStats | None, stop: Checkpoint) -> bool:
    """Whether the job completed a checkpoint after the savepoint of its stop, which had failed then.

    A job that has finished was stopped all the same: Flink also completes a checkpoint that is asked for during a stop.
    """
    newest = stats.newest_completed(CheckpointKind.CHECKPOINT) if stats is not None else None
    later = newest is not None and newest.checkpoint_id > stop.checkpoint_id
    return later and overview.state is not FlinkJobState.FINISHED


def _failed(
    draft: Draft, operation: Operation, run: Submission, overview: JobOverview, result: TriggerResult
) -> Halt | None:
    cause = result.failure or "Flink gave no cause"
    if overview.state.is_terminal:
        if (halt := wait_for_final_state(draft, run)) is not None:
            return halt
        report(draft, operation, None, cause, failure=result.failure_kind)
        end_by_state(draft, overview, cancelled_by_us=False, made=result.failure_path)
        return None
    if result.failure_path is not None:
        _keep(draft, operation, result.failure_path)
    return _fail(draft, operation, cause, result.failure_kind)


def _keep(draft: Draft, operation: Operation, location: str) -> None:
    """A stop that failed has made a savepoint all the same: the job may be gone before its next checkpoint."""
    draft.record_savepoint(operation, location, ORIGINS.get(operation.by or "", SavepointOrigin.MANUAL))


def _fail(
    draft: Draft, operation: Operation, cause: str, failure: SavepointFailure = SavepointFailure.OTHER
) -> Halt | None:
    """The stop failed and the job runs on: the operation is over, whoever wanted it may try again."""
    draft.status = replace(draft.status, operation=None)
    draft.event(Reason.SavepointFailed, f"{operation.by}: {cause}", warning=True)
    if (operation.by or "").startswith(SAVEPOINT_PREFIX):
        report(draft, operation, None, cause, failure=failure)
        draft.requeue_after(FAST)
        return None
    step = Step(operation.kind)
    draft.update(savepoint_failure=cause)
    if failure is SavepointFailure.NOT_STREAMING:
        draft.update(bounded=True)
    attempts = draft.failures_of(step) + (FAILURES_THAT_COUNT if failure.repeats else 1)
    pause = delay_seconds(attempts, seed=draft.job.meta.uid, initial=2.0)
    message = with_steps(f"no savepoint can be taken: {cause}", WAYS_OUT) if attempts >= FAILURES_THAT_COUNT else cause
    return draft.retry(step, Reason.SavepointFailed, message, pause=pause, attempts=attempts)


def _send(draft: Draft, operation: Operation) -> None:
    run = draft.run
    assert run is not None
    url, job_id = run.address, run.flink_job_id  # whatever the operation says: only of the run it is known whose it is
    if operation.kind is OperationKind.CANCEL:
        draft.act(CancelJob(url=url, job_id=job_id))
        return
    mode = SavepointMode.CANCEL if operation.kind is OperationKind.SAVEPOINT_AND_CANCEL else SavepointMode.STOP
    draft.act(savepoint_call(operation, mode, url=url, job_id=job_id, drain=operation.drain))


def savepoint_call(
    intent: Operation | FlinkSavepointStatus, mode: SavepointMode, *, url: str, job_id: str, drain: bool
) -> StopJob | TakeSavepoint:
    """The call for a savepoint whose intent is in a status; the same intent is the same call, which Flink knows again."""
    assert intent.directory is not None
    trigger, directory = intent.trigger, intent.directory
    kind = SavepointFormat((intent.format_type or FormatType.CANONICAL).upper())
    if mode is SavepointMode.STOP:
        return StopJob(url=url, job_id=job_id, trigger_id=trigger, directory=directory, format_type=kind, drain=drain)
    cancel = mode is SavepointMode.CANCEL
    return TakeSavepoint(
        url=url, job_id=job_id, trigger_id=trigger, directory=directory, format_type=kind, cancel=cancel
    )
