"""What to do about a FlinkJob: the entrance of the pure decision, and its order of thought.

`decide_job` is called by the reconciler with what was observed; it learns from the observation, follows the operation in
progress, and only when nothing is in progress takes the next step towards what the spec wants. Invariants 1-13 of the
behaviour page hold here; each step names its reason.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from enum import StrEnum

from flinkjob.api.codec import FlinkSavepoint
from flinkjob.api.common import (
    DesiredState,
    RunResult,
    SavepointMode,
    SavepointPhase,
    SubmissionReason,
    UpgradeStrategy,
)
from flinkjob.api.constants import ANNOTATION_RESTARTED_AT, FINALIZER
from flinkjob.api.fieldclass import run_digest_fields
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import RestartInfo, Submission
from flinkjob.core import adopt, deletion, outlook, submit
from flinkjob.core.actions import AddFinalizer, RemoveFinalizer
from flinkjob.core.backoff import delay_seconds
from flinkjob.core.draft import FAST, Draft
from flinkjob.core.identity import digest_of
from flinkjob.core.learn import learn
from flinkjob.core.model import Fact, JobDecision, JobInput, NeedFact, Needs, Presence
from flinkjob.core.operation import SAVEPOINT_PREFIX, Cause, begin_cancel, begin_stop, conclude
from flinkjob.core.reasons import Reason
from flinkjob.core.savepoint_rules import directory_for

RESTART_INITIAL, RESTART_MAXIMUM, RESTART_RESET = 5.0, 300.0, 600.0
"""Seconds: the first and the longest pause before a restart, and how long a run must be healthy to forget earlier ones."""
_RESTORE_FAULTS = (
    "Cannot map checkpoint/savepoint state",
    "Failed to rollback to checkpoint/savepoint",
    "Cannot find checkpoint or savepoint",
    "Could not find a file system implementation",
    "cannot be mapped to the new program",
)


class Target(StrEnum):
    """What the world should look like."""

    RUN = "Run"
    SUSPEND = "Suspend"
    CANCEL = "Cancel"
    DRAIN = "Drain"
    GONE = "Gone"


_TARGETS = {
    DesiredState.RUNNING: Target.RUN,
    DesiredState.SUSPENDED: Target.SUSPEND,
    DesiredState.CANCELLED: Target.CANCEL,
    DesiredState.DRAINED: Target.DRAIN,
}


def desired_digest(given: JobInput) -> str:
    """The digest of what should run: all `Run` fields and the restart annotation; "" for a spec that cannot be read."""
    spec = given.job.spec
    if spec is None:
        return ""
    wanted = run_digest_fields(spec)
    restarted_at = given.job.meta.annotations.get(ANNOTATION_RESTARTED_AT)
    return digest_of({"run": wanted, "restartedAt": restarted_at} if restarted_at else {"run": wanted})


def decide_job(given: JobInput) -> JobDecision | Needs:
    """Decide about a FlinkJob.

    Returns: what to do, or the one fact that is needed first.
    """
    draft = Draft(given, given.job.spec, desired_digest(given))
    try:
        learn(draft)
        conclude(draft)
        if deletion.overdue(draft) and draft.live is not None:
            deletion.give_up(draft, draft.live)
        elif draft.plan is None:
            _next_step(draft)
        _tidy(draft)
    except NeedFact as missing:
        return missing.needs
    return outlook.finish(draft)


def _next_step(draft: Draft) -> None:
    meta = draft.job.meta
    if meta.deletion_time is not None:
        deletion.step(draft)
        return
    spec = draft.spec
    if spec is None:
        draft.stall(Reason.InvalidSpec, draft.job.spec_error or "the spec cannot be read")
        return
    target = _TARGETS[spec.state]
    if target is not Target.RUN:
        _release(draft)
    if draft.submission is None and not _first_look(draft, target):
        return
    submission = draft.live
    if submission is None:
        _while_down(draft, spec, target)
    elif not submission.seen:
        _while_unseen(draft, spec, target, submission)
    elif draft.observation.job.presence is Presence.PRESENT:
        _while_up(draft, spec, target, submission)


def _first_look(draft: Draft, target: Target) -> bool:
    """Without a status: take over what already runs. True when the next step may be taken."""
    if target is not Target.RUN and not draft.observation.target.reachable:
        return True
    if not _reachable(draft):
        return False
    return adopt.look(draft)


def _reachable(draft: Draft) -> bool:
    cluster = draft.observation.target
    if cluster.reachable:
        return True
    draft.wait("Connect", Reason.ClusterUnreachable, cluster.error or f"{cluster.url} does not answer", again=5.0)
    return False


def _release(draft: Draft) -> None:
    """A change of `state` releases holds and latches."""
    if draft.status.hold is not None:
        draft.status = replace(draft.status, hold=None)
    submission = draft.submission
    if submission is not None and submission.end is not None and not submission.end.released:
        draft.update(end=replace(submission.end, released=True))


# no run is live


def _while_down(draft: Draft, spec: FlinkJobSpec, target: Target) -> None:
    if target is not Target.RUN or not _reachable(draft) or _blocked_by_stray(draft):
        return
    last = draft.submission
    if last is None:
        submit.start(draft, spec, reason=SubmissionReason.INITIAL)
        return
    reason = _may_start(draft, spec, last)
    if reason is not None:
        submit.start(draft, spec, reason=reason)


def _may_start(draft: Draft, spec: FlinkJobSpec, last: Submission) -> SubmissionReason | None:
    """Why the next run may be started; None: it may not, and the plan says why."""
    end = last.end
    assert end is not None
    if spec.initial_state.nonce != last.nonce:
        return SubmissionReason.REDEPLOY
    changed = draft.digest != last.run_digest
    hold = draft.status.hold
    if hold is not None and hold.run_digest == draft.digest:
        draft.stall(Reason.SavepointStop, f"stopped by FlinkSavepoint {hold.by}; savepoint {hold.location}")
        return None
    match end.result:
        case RunResult.DRAINED:
            draft.stall(Reason.Drained, "a drained job cannot be resumed: set initialState.nonce to run it again")
            return None
        case RunResult.FINISHED if not (changed or end.released):
            return None
        case RunResult.LOST | RunResult.ENDED_UNSEEN | RunResult.SAVEPOINT_UNKNOWN if not (changed or end.released):
            draft.stall(_HELD[end.result], end.message or "")
            return None
        case RunResult.FAILED if not (changed or end.released) and _cannot_restore(last):
            draft.stall(Reason.RestoreFailed, end.message or "")
            return None
        case RunResult.FAILED | RunResult.CANCELLED_EXTERNALLY if not (changed or end.released):
            return SubmissionReason.RESTART if _pause_over(draft, last) else None
        case _:
            return SubmissionReason.UPGRADE if changed else SubmissionReason.RESUME


_HELD = {
    RunResult.LOST: Reason.JobLost,
    RunResult.ENDED_UNSEEN: Reason.JobEndedUnseen,
    RunResult.SAVEPOINT_UNKNOWN: Reason.SavepointUnknown,
}


def _cannot_restore(last: Submission) -> bool:
    """Failed before any task ran, since its snapshot is missing or does not fit: trying again cannot help."""
    message = (last.end.message if last.end else None) or ""
    return not last.running and last.restored_from is not None and any(fault in message for fault in _RESTORE_FAULTS)


def _pause_over(draft: Draft, last: Submission) -> bool:
    """Whether the back-off before a restart is over; counts the attempt when it begins."""
    assert last.end is not None
    before = draft.status.restart
    healthy = last.running and last.started_time and last.end.time
    if before is not None and before.next_time is not None and before.next_time > (last.end.time or draft.now):
        restart = before
    else:
        lived = (last.end.time - last.started_time).total_seconds() if healthy else 0.0  # type: ignore[operator]
        attempts = 1 if before is None or lived >= RESTART_RESET else before.attempts + 1
        pause = delay_seconds(attempts, seed=draft.job.meta.uid, initial=RESTART_INITIAL, maximum=RESTART_MAXIMUM)
        restart = RestartInfo(attempts=attempts, next_time=draft.now + timedelta(seconds=pause))
        draft.status = replace(draft.status, restart=restart)
    assert restart.next_time is not None
    remaining = (restart.next_time - draft.now).total_seconds()
    if remaining <= 0:
        return True
    cause = Reason.JobFailed if last.end.result is RunResult.FAILED else Reason.JobCancelledExternally
    message = last.end.message or "cancelled or stopped by somebody else"
    draft.retry("Restart", cause, message, pause=remaining + 0.05, attempts=restart.attempts)
    return False


def _blocked_by_stray(draft: Draft) -> bool:
    """Another live job of this FlinkJob blocks every submission; an older run of ours is cancelled."""
    current = draft.submission.job_id if draft.submission else None
    strays = [job for job in draft.observation.kin if job.job_id != current and not job.state.is_terminal]
    if not strays:
        return False
    adopt.deal_with_stray(draft, strays[0])
    return True


# a run is intended but was never seen


def _while_unseen(draft: Draft, spec: FlinkJobSpec, target: Target, submission: Submission) -> None:
    if draft.observation.job.presence is not Presence.ABSENT:
        if not draft.observation.cluster.reachable:
            draft.wait("Connect", Reason.ClusterUnreachable, draft.observation.cluster.error, again=5.0)
        else:
            draft.wait(submit.SUBMIT, Reason.Submitting, f"looking for job {submission.job_id}", again=FAST)
        return
    if target is Target.RUN:
        submit.resume_unseen(draft, spec)
        return
    if submit.was_refused(draft, submission):
        draft.end_run(RunResult.NEVER_STARTED, snapshot=submission.restored_from, kind=submit.same_state(submission))
        draft.again(FAST)
        return
    draft.wait(
        submit.SUBMIT,
        Reason.WaitingForSubmission,
        f"job {submission.job_id} may still appear; it is stopped then",
        again=5.0,
    )


# a run is on the cluster


def _while_up(draft: Draft, spec: FlinkJobSpec, target: Target, submission: Submission) -> None:
    match target:
        case Target.SUSPEND:
            _stop(draft, spec, submission, by=Cause.SUSPEND)
        case Target.DRAIN:
            _stop(draft, spec, submission, by=Cause.DRAIN)
        case Target.CANCEL:
            begin_cancel(draft, submission, by=Cause.CANCEL)
        case Target.RUN | Target.GONE:
            asked = _asked_to_stop(draft, submission)
            if asked is not None:
                _stop_for(draft, spec, submission, asked)
            elif _replace_needed(draft, spec, submission):
                _upgrade(draft, spec, submission)
            else:
                _steady(draft, submission)


def _steady(draft: Draft, submission: Submission) -> None:
    if not submission.running:
        draft.wait(submit.SUBMIT, Reason.Submitting, "waiting until all tasks are running", again=1.0)
    elif draft.status.restart is not None and _age(draft, submission) >= RESTART_RESET:
        draft.status = replace(draft.status, restart=None)


def _age(draft: Draft, submission: Submission) -> float:
    return (draft.now - submission.started_time).total_seconds() if submission.started_time else 0.0


def _replace_needed(draft: Draft, spec: FlinkJobSpec, submission: Submission) -> bool:
    if spec.cluster.url != submission.cluster_url:
        draft.need(Fact.ALIAS)
        if not draft.observation.alias:
            return True
        draft.update(cluster_url=spec.cluster.url)
    return (
        draft.digest != submission.run_digest
        or spec.initial_state.nonce != submission.nonce
        or (submission.parallelism is not None and spec.parallelism != submission.parallelism)
    )


def _upgrade(draft: Draft, spec: FlinkJobSpec, submission: Submission) -> None:
    """Replace the running job; nothing is touched before the new artifact is on the cluster."""
    if not _reachable(draft):
        return
    same = draft.digest == submission.run_digest
    recorded = submission.artifact_digest if same else None
    if submit.artifact_ready(draft, spec, url=spec.cluster.url, recorded=recorded) is None:
        return
    if spec.initial_state.nonce != submission.nonce or (
        spec.upgrade.strategy is UpgradeStrategy.STATELESS and not same
    ):
        begin_cancel(draft, submission, by=Cause.UPGRADE)
    elif spec.upgrade.strategy is UpgradeStrategy.LAST_STATE:
        _cancel_with_last_state(draft, submission)
    else:
        _stop(draft, spec, submission, by=Cause.UPGRADE)


def _cancel_with_last_state(draft: Draft, submission: Submission) -> None:
    """Cancel only after the job's checkpoints were seen to be retained and one is complete."""
    assert submission.job_id is not None
    draft.need(Fact.CHECKPOINT_CONFIG, submission.job_id)
    config = draft.observation.checkpoint_config
    stats = draft.need_checkpoints(submission.job_id)
    newest = stats.newest_completed() if stats is not None else None
    if config is None or not config.retained_on_cancellation:
        draft.stall(
            Reason.NotRetained, "upgrade.strategy LastState: the running job's checkpoints are not kept after a cancel"
        )
    elif newest is None or not newest.is_usable:
        draft.wait("Upgrade", Reason.WaitingForCheckpoint, "no retained checkpoint is complete yet", again=3.2)
    else:
        begin_cancel(draft, submission, by=Cause.UPGRADE)


def _stop(draft: Draft, spec: FlinkJobSpec, submission: Submission, *, by: str) -> None:
    """Stop with a savepoint for a reason of our own, when one can be taken now."""
    if draft.pausing("Stop") or not _can_take_savepoint(draft):
        return
    base = directory_for(draft.observation.cluster, spec.savepoints.directory)
    if base is None:
        draft.stall(
            Reason.NoSavepointDirectory, "set savepoints.directory: the cluster has no savepoint directory of its own"
        )
        return
    begin_stop(draft, submission, by=by, base=base, format_type=spec.savepoints.format_type, drain=by == Cause.DRAIN)


def _can_take_savepoint(draft: Draft) -> bool:
    overview = draft.observation.job.overview
    busy = next((s for s in draft.given.savepoints if _in_progress(s, draft.submission)), None)
    if busy is not None:
        draft.wait("Stop", Reason.WaitingForSavepoint, f"FlinkSavepoint {busy.meta.name} is in progress", again=0.5)
        return False
    if overview is None or not overview.all_tasks_running:
        draft.wait("Stop", Reason.WaitingForTasks, "a savepoint needs all tasks running", again=1.0)
        return False
    return True


def _in_progress(savepoint: FlinkSavepoint, submission: Submission | None) -> bool:
    spec, status = savepoint.spec, savepoint.status
    return (
        spec is not None
        and spec.mode is SavepointMode.TRIGGER
        and status.phase is SavepointPhase.IN_PROGRESS
        and submission is not None
        and status.job_id == submission.job_id
    )


# FlinkSavepoints that stop the job


def _asked_to_stop(draft: Draft, submission: Submission) -> FlinkSavepoint | None:
    """The oldest FlinkSavepoint with mode Stop or Cancel that is due."""
    due = [s for s in draft.given.savepoints if _is_due(s, submission, draft)]
    return min(due, key=lambda s: (s.meta.creation_time or draft.now, s.meta.name), default=None)


def _is_due(savepoint: FlinkSavepoint, submission: Submission, draft: Draft) -> bool:
    spec, status = savepoint.spec, savepoint.status
    return (
        spec is not None
        and spec.mode is not SavepointMode.TRIGGER
        and savepoint.meta.deletion_time is None
        and status.phase not in (None, SavepointPhase.COMPLETED, SavepointPhase.FAILED)
        and (status.retry_time is None or status.retry_time <= draft.now)
        and (spec.submission is None or spec.submission == submission.number)
        and (spec.job_ref.job_id is None or spec.job_ref.job_id == submission.job_id)
    )


def _stop_for(draft: Draft, spec: FlinkJobSpec, submission: Submission, savepoint: FlinkSavepoint) -> None:
    wanted = savepoint.spec
    assert wanted is not None
    if not _can_take_savepoint(draft):
        return
    base = directory_for(draft.observation.cluster, wanted.directory or spec.savepoints.directory)
    if base is None:
        return  # the FlinkSavepoint itself says so
    begin_stop(
        draft,
        submission,
        by=f"{SAVEPOINT_PREFIX}{savepoint.meta.name}",
        base=base,
        format_type=wanted.format_type or spec.savepoints.format_type,
        drain=wanted.drain,
        cancel=wanted.mode is SavepointMode.CANCEL,
    )


# afterwards


def _tidy(draft: Draft) -> None:
    """Hold the object while its job may run, let it go when it surely does not."""
    meta = draft.job.meta
    held = FINALIZER in meta.finalizers
    if meta.deletion_time is not None:
        return
    if draft.live is not None and not held and not any(isinstance(a, AddFinalizer) for a in draft.actions):
        draft.act(AddFinalizer())
    if draft.live is None and held:
        draft.act(RemoveFinalizer())
