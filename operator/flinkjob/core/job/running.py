"""A run is on the cluster: stop it as asked, replace it when the spec changed, rescale it, or let it be.

Called by the job decision when no operation is in progress. Invariants: nothing is done to the running job before its
replacement's artifact is on the cluster, (with preflight) its job graph compiled, and what it is to start from known;
`LastState` cancels only after the job's checkpoints were seen to be retained and one is complete; a replacement, a rescale
and a stop wait for a FlinkSavepoint in progress; a cancellation does not.
"""

from __future__ import annotations

from dataclasses import replace

from flinkjob.api.codec import FlinkSavepoint
from flinkjob.api.common import duration_seconds
from flinkjob.api.enums import DesiredState, Fallback, SavepointMode, SavepointPhase, UpgradeStrategy
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.backoff import remaining_seconds
from flinkjob.core.facts import Alias, CheckpointSettings
from flinkjob.core.job import (
    adoption,
    cluster_requirements,
    compilation,
    crash_loop,
    main_failure,
    periodic,
    rescale,
    restore_failure,
    rollback,
    slots,
    state_check,
    submission,
)
from flinkjob.core.job.draft import Draft, Halt, Step, wish
from flinkjob.core.job.fallback import LAST_STATE, has_last_state, lacked_tasks, nothing_to_lose
from flinkjob.core.job.restore_point import Missing, redeploys, start_of_next
from flinkjob.core.job.stopping import FAILURES_THAT_COUNT, WAYS_OUT, begin_cancel, begin_stop
from flinkjob.core.requester import SAVEPOINT_PREFIX, Requester
from flinkjob.core.seen import ArtifactSeen


def step(draft: Draft, spec: FlinkJobSpec, run: Submission) -> Halt | None:
    """The next step for a run that is on the cluster."""
    match spec.state:
        case DesiredState.SUSPENDED:
            return _stop(draft, spec, run, by=Requester.SUSPEND)
        case DesiredState.DRAINED:
            return _stop(draft, spec, run, by=Requester.DRAIN)
        case DesiredState.CANCELLED:
            return begin_cancel(draft, run, by=Requester.CANCEL)
        case DesiredState.RUNNING:
            return _keep_running(draft, spec, run)


def _keep_running(draft: Draft, spec: FlinkJobSpec, run: Submission) -> Halt | None:
    rollback.prove(draft, spec, run)
    run = draft.live_run or run
    if (halt := adoption.halt_for_duplicate_job(draft, run)) is not None:
        return halt
    asked = _asked_to_stop(draft, run)
    if asked is not None:
        return _stop_for(draft, spec, run, asked)
    moved = _moved(draft, spec, run)
    if moved or _other_run_wanted(draft, spec, run):
        return _replace(draft, spec, run, by=Requester.MOVE if moved else Requester.UPGRADE)
    if run.parallelism is not None and spec.parallelism != run.parallelism:
        return _scale(draft, spec, run)
    return _steady(draft, spec, run)


def _steady(draft: Draft, spec: FlinkJobSpec, run: Submission) -> Halt | None:
    if (halt := rollback.give_up(draft, spec, run)) is not None:
        return halt
    if not run.running:
        return (
            restore_failure.halt_while_live(draft, run)
            or slots.halt_without_slots(draft, spec, run)
            or _wait_for_first_tasks(draft, run)
        )
    if draft.status.restart is not None:
        remaining = duration_seconds(spec.restart.reset_after) - _age(draft, run)
        if remaining <= 0:
            draft.status = replace(draft.status, restart=None)
        else:
            draft.requeue_after(min(remaining + 0.1, periodic.LONGEST_SLEEP))
    held_back = rollback.hold_back(draft)
    if not _all_running(draft):
        return held_back or slots.halt_without_slots(draft, spec, run)
    unusable = periodic.step(draft, spec, run)
    periodic.retain(draft, spec)
    return unusable or held_back or main_failure.halt_for_multiple_jobs(draft, run)


def _wait_for_first_tasks(draft: Draft, run: Submission) -> Halt:
    """The tasks of a run have yet to run for the first time."""
    failure = crash_loop.explain(draft, run)
    reason, text = failure or (Reason.Submitting, "waiting until all tasks are running")
    return draft.wait(Step.SUBMIT, reason, text, requeue_after=1.0)


def _age(draft: Draft, run: Submission) -> float:
    return (draft.now - run.started_time).total_seconds() if run.started_time else 0.0


# replacing


def _moved(draft: Draft, spec: FlinkJobSpec, run: Submission) -> bool:
    """Whether the job must go to another cluster; the same cluster under another name only changes the address."""
    if draft.wanted_url == run.cluster_url:
        return False
    if not draft.observation.target.reachable:
        return True  # nobody there to ask; the move waits for it
    if draft.need(Alias()):
        draft.update(cluster_url=draft.wanted_url)
        return False
    return True


def _other_run_wanted(draft: Draft, spec: FlinkJobSpec, run: Submission) -> bool:
    return draft.digest != run.run_digest or redeploys(spec, run)


def _replace(draft: Draft, spec: FlinkJobSpec, run: Submission, *, by: str) -> Halt | None:
    """Replace the running job."""
    if (halt := draft.halt_without_target() or cluster_requirements.halt_if_unsuitable(draft, spec)) is not None:
        return halt
    same = draft.digest == run.run_digest
    recorded = run.artifact_digest if same else rollback.recorded_artifact(draft)
    artifact = submission.artifact_ready(draft, spec, url=draft.wanted_url, recorded=recorded)
    if isinstance(artifact, Halt):
        return artifact
    if rollback.is_bad(draft, run):
        return begin_cancel(draft, run, by=Requester.ROLLBACK)
    if not same and (halt := _preflight(draft, spec, run, artifact)) is not None:
        return halt
    redeploy = redeploys(spec, run)
    if redeploy and isinstance(missing := start_of_next(draft, spec), Missing):
        return submission.not_found(draft, missing)
    if (halt := _wait_for_savepoint(draft, Step.STOP)) is not None:
        return halt
    if redeploy or (spec.upgrade.strategy is UpgradeStrategy.STATELESS and not same):
        return begin_cancel(draft, run, by=by)
    if spec.upgrade.strategy is UpgradeStrategy.LAST_STATE:
        return _cancel_with_last_state(draft, run, by=by)
    return _stop(draft, spec, run, by=by)


def _preflight(draft: Draft, spec: FlinkJobSpec, run: Submission, artifact: ArtifactSeen) -> Halt | None:
    """Halt unless the new program compiles to a job graph on the cluster and can hold the state of the run."""
    compiled = compilation.compiled(draft, spec, run, artifact)
    if compiled is None or isinstance(compiled, Halt):
        return compiled
    continues = spec.upgrade.strategy is not UpgradeStrategy.STATELESS and not redeploys(spec, run)
    return state_check.check(draft, spec, run, compiled) if continues else None


def _scale(draft: Draft, spec: FlinkJobSpec, run: Submission) -> Halt | None:
    """Another parallelism: in place where that means the same, not at all where it changes nothing, else by a new run."""
    halt = rescale.step(draft, spec, run, lambda: _wait_for_savepoint(draft, Step.SCALE))
    return halt if halt is not None else _replace(draft, spec, run, by=Requester.UPGRADE)


# stopping


def _stop(draft: Draft, spec: FlinkJobSpec, run: Submission, *, by: str) -> Halt:
    """Stop with a savepoint for a reason of our own; when none can be taken, as `upgrade.fallback` says."""
    drains = by == Requester.DRAIN and run.running and not run.bounded
    if not drains and (why := nothing_to_lose(draft, run)):
        return begin_cancel(draft, run, by=by, why=why)
    base = draft.observation.cluster.directory_for(spec.savepoints.directory)
    impossible = by != Requester.DRAIN and _impossible(draft, base)
    if impossible:
        match spec.upgrade.fallback:
            case Fallback.LAST_STATE:
                if has_last_state(draft, run):
                    return begin_cancel(draft, run, by=by, why=LAST_STATE)
            case Fallback.FAIL:
                before = draft.given.job.status.plan
                said = before.message if before is not None and before.step in (Step.STOP, Step.HOLD) else None
                draft.update(given_up=wish(draft))
                return draft.stall(Reason.SavepointFailed, said or "no savepoint can be taken")
            case Fallback.WAIT:
                pass
    if (
        halt := draft.pausing(Step.STOP)
        or _wait_for_savepoint(draft, Step.STOP)
        or _wait_for_tasks(draft, f"; {WAYS_OUT}" if impossible else "")
    ) is not None:
        return halt
    if base is None:
        text = "set savepoints.directory: the cluster has no savepoint directory of its own"
        return draft.stall(Reason.NoSavepointDirectory, text)
    return begin_stop(
        draft, run, by=by, base=base, format_type=spec.savepoints.format_type, drain=by == Requester.DRAIN
    )


def _all_running(draft: Draft) -> bool:
    overview = draft.observation.job.overview
    return overview is not None and overview.all_tasks_running


def _impossible(draft: Draft, base: str | None) -> bool:
    """Whether it has been seen often or long enough that no savepoint can be taken."""
    gave_up = draft.live_run is not None and draft.live_run.given_up == wish(draft)
    if base is None or draft.failures_of(Step.STOP) >= FAILURES_THAT_COUNT or gave_up:
        return True
    return not _all_running(draft) and lacked_tasks(draft)


def _cancel_with_last_state(draft: Draft, run: Submission, *, by: str) -> Halt:
    if has_last_state(draft, run) or nothing_to_lose(draft, run):
        return begin_cancel(draft, run, by=by)
    config = draft.need(CheckpointSettings(run.flink_job_id))
    if config is not None and not config.retained_on_cancellation:
        text = "upgrade.strategy LastState: the job's checkpoints are not kept after a cancel"
        return draft.stall(Reason.NotRetained, text)
    text = "no retained checkpoint is complete yet"
    return draft.wait(Step.UPGRADE, Reason.WaitingForCheckpoint, text, requeue_after=3.2)


def _wait_for_savepoint(draft: Draft, step: Step) -> Halt | None:
    """Wait while a FlinkSavepoint is in progress: what is done to the job now would make it fail."""
    refused = draft.given.refused
    begun = [s for s in draft.given.savepoints if _in_progress(s, draft.run)]
    busy = next((s for s in begun if s.meta.uid not in refused), None)
    if busy is None:
        return None
    text = f"FlinkSavepoint {busy.meta.name} is in progress"
    return draft.wait(step, Reason.WaitingForSavepoint, text, requeue_after=0.5)


def _wait_for_tasks(draft: Draft, ways_out: str = "") -> Halt | None:
    if _all_running(draft):
        return None
    failure = crash_loop.explain(draft, draft.run) if draft.run is not None else None
    text = f"a savepoint needs all tasks running{ways_out}{f'; {failure[1]}' if failure is not None else ''}"
    return draft.wait(Step.STOP, Reason.WaitingForTasks, text, requeue_after=1.0)


def _in_progress(savepoint: FlinkSavepoint, run: Submission | None) -> bool:
    spec, status = savepoint.spec, savepoint.status
    return (
        spec is not None
        and spec.mode is SavepointMode.TRIGGER
        and status.phase is SavepointPhase.IN_PROGRESS
        and run is not None
        and status.job_id == run.job_id
    )


# FlinkSavepoints that stop the job


def _asked_to_stop(draft: Draft, run: Submission) -> FlinkSavepoint | None:
    """The oldest FlinkSavepoint with mode Stop or Cancel that is due; none while one has yet to note how it went."""
    if draft.outcome is not None:
        return None
    due = [s for s in draft.given.savepoints if _is_due(s, run, draft)]
    return min(due, key=lambda s: (s.meta.creation_time or draft.now, s.meta.name), default=None)


def _is_due(savepoint: FlinkSavepoint, run: Submission, draft: Draft) -> bool:
    spec, status = savepoint.spec, savepoint.status
    return (
        spec is not None
        and spec.is_stop
        and savepoint.meta.uid not in draft.given.refused
        and savepoint.meta.deletion_time is None
        and status.phase not in (None, SavepointPhase.COMPLETED, SavepointPhase.FAILED)
        and not remaining_seconds(status.retry_time, draft.now)
        and (spec.submission is None or spec.submission == run.number)
        and (spec.job_ref is None or spec.job_ref.job_id is None or spec.job_ref.job_id == run.job_id)
    )


def _stop_for(draft: Draft, spec: FlinkJobSpec, run: Submission, savepoint: FlinkSavepoint) -> Halt | None:
    wanted = savepoint.spec
    assert wanted is not None
    if (halt := _wait_for_savepoint(draft, Step.STOP) or _wait_for_tasks(draft)) is not None:
        return halt
    base = draft.observation.cluster.directory_for(wanted.directory or spec.savepoints.directory)
    if base is None:
        return None  # the FlinkSavepoint itself says so
    return begin_stop(
        draft,
        run,
        by=f"{SAVEPOINT_PREFIX}{savepoint.meta.name}",
        base=base,
        format_type=wanted.format_type or spec.savepoints.format_type,
        drain=wanted.drain,
        cancel=wanted.mode is SavepointMode.CANCEL,
        holds=savepoint.status.run_digest,
    )
