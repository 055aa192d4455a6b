"""No run is live: may the next one be started, when, and why not.

Called by the job decision. Invariants: a finished, held or drained job is released only by a change of a `Run` field (the
digest), of `initialState.nonce`, or of `state`; a restart waits out its back-off, which survives the operator.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from flinkjob.api.common import duration_seconds
from flinkjob.api.enums import (
    EndCause,
    HoldReason,
    OnLoss,
    OnMissing,
    RestartPolicy,
    RunResult,
    SnapshotKind,
    SubmissionReason,
)
from flinkjob.api.failure_status import RestartInfo
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import Hold, RunEnd, Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.backoff import delay_seconds, remaining_seconds
from flinkjob.core.errors import with_steps
from flinkjob.core.identity import digest_of_cause
from flinkjob.core.job import adoption, cluster_requirements, finished, restore_failure, rollback, submission
from flinkjob.core.job.draft import Draft, Halt, Step
from flinkjob.core.job.restore_point import redeploys

_REASONS = {
    HoldReason.STOPPED: Reason.SavepointStop,
    HoldReason.CANCELLED: Reason.SavepointStop,
    HoldReason.CANCELLED_EXTERNALLY: Reason.JobHeld,
    HoldReason.FAILED: Reason.JobFailed,
    HoldReason.ATTEMPTS_USED_UP: Reason.AttemptsUsedUp,
    HoldReason.LOST: Reason.JobLost,
    HoldReason.ENDED_UNSEEN: Reason.JobEndedUnseen,
    HoldReason.SAVEPOINT_UNKNOWN: Reason.SavepointUnknown,
}
_WHY_DOWN = {
    HoldReason.CANCELLED_EXTERNALLY: "cancelled or stopped by somebody else, and left down by restart.onExternalCancel",
    HoldReason.FAILED: "it failed, and is left down by restart.policy",
}


def step(draft: Draft, spec: FlinkJobSpec) -> Halt | None:
    """Start the next run, or say why not."""
    last = draft.run
    if last is not None and not draft.observation.target.reachable and _rests(draft, spec, last):
        reason = _may_start(draft, spec, last)
        return reason if isinstance(reason, Halt) else None
    halt = (
        draft.halt_without_target()
        or _halt_for_duplicate_job(draft)
        or cluster_requirements.halt_if_unsuitable(draft, spec)
    )
    if halt is not None:
        return halt
    reason = _may_start(draft, spec, last) if last is not None else SubmissionReason.INITIAL
    return submission.start(draft, spec, reason=reason) if isinstance(reason, SubmissionReason) else reason


def _rests(draft: Draft, spec: FlinkJobSpec, last: Submission) -> bool:
    """Whether the job stays down as it is until somebody changes the spec, so that no cluster need be asked."""
    end, hold = last.end, draft.status.hold
    if end is None or redeploys(spec, last):
        return False
    if hold is not None:
        return hold.run_digest == draft.digest
    if end.result is RunResult.FINISHED:
        return draft.digest == last.run_digest and not end.released
    return end.result is RunResult.DRAINED


def release(draft: Draft) -> None:
    """A change of `state` releases holds and latches."""
    if draft.status.hold is not None:
        draft.status = replace(draft.status, hold=None)
    run = draft.run
    if run is not None and run.end is not None and not run.end.released:
        draft.update(end=replace(run.end, released=True))
    if draft.status.restart is not None:
        draft.status = replace(draft.status, restart=None)


def _may_start(draft: Draft, spec: FlinkJobSpec, last: Submission) -> SubmissionReason | Halt | None:
    """Why the next run may be started, or why not; None: it has finished, and there is nothing to say."""
    end = last.end
    assert end is not None
    if _may_still_appear(draft, last, end):
        draft.update(end=None)  # the same id again: whichever main() comes first is the one job
        text = f"repeating run {last.number}"
        return draft.wait(Step.SUBMIT, Reason.SubmitFailed, text, requeue_after=0.1)
    if redeploys(spec, last):
        return SubmissionReason.REDEPLOY
    changed = draft.digest != last.run_digest
    hold = draft.status.hold
    if hold is not None:
        if hold.run_digest == draft.digest:
            return _say(draft, hold, end)
        draft.status = replace(draft.status, hold=None)
    if end.result is RunResult.DRAINED:
        text = "a drained job cannot be resumed: set initialState.nonce to run it again"
        return draft.stall(Reason.Drained, text)
    if changed or end.released:
        if rollback.is_bad(draft, last):
            return SubmissionReason.ROLLBACK
        return SubmissionReason.UPGRADE if changed else SubmissionReason.RESUME
    return _by_result(draft, spec, last, end)


def _may_still_appear(draft: Draft, last: Submission, end: RunEnd) -> bool:
    """A run call was sent to this very JobManager and never answered: its job may appear even now."""
    if end.result is not RunResult.NEVER_STARTED or (last.rejected and not last.unanswered):
        return False
    return last.cluster_url == draft.wanted_url and last.incarnation == draft.observation.target.incarnation


def _by_result(draft: Draft, spec: FlinkJobSpec, last: Submission, end: RunEnd) -> SubmissionReason | Halt | None:  # noqa: C901 - lists cases
    """The same spec is wanted as before: what the last run's end says."""
    match end.result:
        case RunResult.FINISHED:
            return finished.rest(draft, spec, last, end)
        case RunResult.SAVEPOINT_UNKNOWN:
            return _hold(draft, HoldReason.SAVEPOINT_UNKNOWN, end)
        case RunResult.ENDED_UNSEEN:
            return _hold(draft, HoldReason.ENDED_UNSEEN, end)
        case RunResult.LOST if spec.restart.on_lost is OnLoss.HOLD or _nothing_known(spec, end):
            return _hold(draft, HoldReason.LOST, end)
        case RunResult.CANCELLED_EXTERNALLY if spec.restart.on_external_cancel is OnLoss.HOLD:
            return _hold(draft, HoldReason.CANCELLED_EXTERNALLY, end)
        case RunResult.FAILED if rollback.may_take_back(draft, last):
            return rollback.take_back(draft, last, end.message or "it failed")
        case RunResult.FAILED if (halt := restore_failure.halt_after_end(draft, spec, last, end)) is not None:
            return halt
        case RunResult.FAILED if spec.restart.policy is RestartPolicy.NEVER:
            return _hold(draft, HoldReason.FAILED, end)
        case RunResult.FAILED | RunResult.CANCELLED_EXTERNALLY | RunResult.LOST:
            return _pause(draft, spec, last, end) or SubmissionReason.RESTART
        case RunResult.STOPPED | RunResult.DRAINED | RunResult.CANCELLED | RunResult.NEVER_STARTED:
            return _ours_to_resume(draft, spec, last)


def _nothing_known(spec: FlinkJobSpec, end: RunEnd) -> bool:
    return end.snapshot_kind is SnapshotKind.MISSING and spec.restore.on_missing is OnMissing.FAIL


def _ours_to_resume(draft: Draft, spec: FlinkJobSpec, last: Submission) -> SubmissionReason:
    if draft.wanted_url != last.cluster_url:
        return SubmissionReason.MOVE
    scaled = last.parallelism is not None and last.parallelism != spec.parallelism
    return SubmissionReason.UPGRADE if scaled else SubmissionReason.RESUME


def _hold(draft: Draft, reason: HoldReason, end: RunEnd) -> Halt:
    hold = Hold(reason=reason, since=draft.now, run_digest=draft.digest, location=end.snapshot)
    draft.status = replace(draft.status, hold=hold)
    return _say(draft, hold, end)


def _say(draft: Draft, hold: Hold, end: RunEnd) -> Halt:
    restart = draft.status.restart
    if hold.by is not None:
        message = f"stopped by FlinkSavepoint {hold.by}"
    elif hold.reason is HoldReason.ATTEMPTS_USED_UP and restart is not None:
        message = f"tried {restart.attempts} times: {end.message or 'it failed'}"
    else:
        message = end.message or _WHY_DOWN.get(hold.reason, "the job is down and stays so")
    return draft.stall(_REASONS[hold.reason], with_steps(message, _next_steps(end)))


def _next_steps(end: RunEnd) -> str:
    """What a person can do about a job that is held down."""
    if end.snapshot_kind is SnapshotKind.MISSING or end.snapshot_kind is None:
        start = "name the state to start from in initialState with a new nonce"
        return f"{start}, or set restore.onMissing: Fresh and a new restartNonce to start without state"
    source = f"from {end.snapshot}" if end.snapshot is not None else "without state"
    return f"set a new restartNonce to start it again {source}"


def _pause(draft: Draft, spec: FlinkJobSpec, last: Submission, end: RunEnd) -> Halt | None:
    """Wait until the back-off before a restart is over; counts the attempt when its pause begins."""
    before = draft.status.restart
    ended = end.time or draft.now
    if before is not None and before.next_time is not None and before.submission == last.number:
        restart = before
    else:
        lived = (ended - last.started_time).total_seconds() if last.started_time is not None else 0.0
        reset = lived >= duration_seconds(spec.restart.reset_after)
        attempts = 1 if before is None or reset else before.attempts + 1
        if spec.restart.max_attempts is not None and attempts > spec.restart.max_attempts:
            return _hold(draft, HoldReason.ATTEMPTS_USED_UP, end)
        pause = delay_seconds(
            attempts,
            seed=draft.job.meta.uid,
            initial=duration_seconds(spec.restart.initial_delay),
            maximum=duration_seconds(spec.restart.max_delay),
        )
        due = draft.now + timedelta(seconds=pause)
        failed = end.cause is EndCause.NOT_STARTED
        not_started = digest_of_cause(end.message or "") if failed else None
        restart = RestartInfo(attempts=attempts, next_time=due, submission=last.number, not_started=not_started)
        draft.status = replace(draft.status, restart=restart)
        draft.event(Reason.BackOff, f"restart {attempts} in {pause:.0f} s: {end.message or end.result}", warning=True)
    remaining = remaining_seconds(restart.next_time, draft.now, longest=duration_seconds(spec.restart.max_delay))
    if not remaining:
        return None
    causes = {RunResult.FAILED: Reason.JobFailed, RunResult.LOST: Reason.JobLost}
    cause = causes.get(end.result, Reason.JobCancelledExternally)
    message = end.message or "cancelled or stopped by somebody else"
    return draft.retry(Step.RESTART, cause, message, pause=remaining + 0.05, attempts=restart.attempts)


def _halt_for_duplicate_job(draft: Draft) -> Halt | None:
    """Another live job of this FlinkJob blocks every submission; an older run of ours is cancelled."""
    duplicates = [job for job in draft.observation.owned_jobs if not job.state.is_terminal]
    if not duplicates:
        return None
    current = draft.run.job_id if draft.run else None
    back = next((job for job in duplicates if job.job_id == current), None)
    if back is not None:
        url = draft.observation.target.url
        text = f"job {back.job_id} is live at {url}, though it was known to be gone: two JobManagers may answer there"
        return draft.stall(Reason.AddressNotUnique, text, requeue_after=10.0)
    return adoption.deal_with_duplicate_job(draft, duplicates[0])
