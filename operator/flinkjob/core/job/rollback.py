"""An upgrade that does not get healthy is taken back: which spec runs instead, and when a run counts as healthy.

Called by the job decision: `effective` before everything else, `prove` and `give_up` while a run is up. Invariants: a
rollback starts from the state that the bad run itself started from; the spec that was taken back stays held until it changes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from flinkjob.api.common import duration_seconds
from flinkjob.api.enums import RollbackPolicy, SubmissionReason
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import Rollback, Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.facts import Checkpoints, CheckpointSettings, Revision
from flinkjob.core.job import scripts
from flinkjob.core.job.draft import Draft, Halt, Step


def effective(draft: Draft) -> None:
    """Where the wanted spec was taken back, let the last healthy revision stand for it; a changed spec ends that.

    So does the loss of that revision: what runs goes on from its own state then.
    """
    taken_back = draft.status.rollback
    if taken_back is None or draft.spec is None or draft.lacks:
        return
    same = taken_back.run_digest == draft.digest
    old = draft.need(Revision(taken_back.revision or "")) if same else None
    if old is None:
        draft.status = replace(draft.status, rollback=None)
        return
    draft.use(scripts.with_run_fields_of(draft.spec, old))


def recorded_artifact(draft: Draft) -> str | None:
    """The content that the healthy revision ran with, where it runs again: its address may give another one by now."""
    taken_back = draft.status.rollback
    return draft.status.healthy_artifact if taken_back is not None and taken_back.run_digest != draft.digest else None


def is_bad(draft: Draft, run: Submission) -> bool:
    """Whether this run is the one that is being taken back."""
    taken_back = draft.status.rollback
    return taken_back is not None and taken_back.from_submission == run.number


def prove(draft: Draft, spec: FlinkJobSpec, run: Submission) -> None:
    """Follow a run until it has proved healthy, whatever else is to be done with it."""
    if run.healthy:
        return
    if spec.upgrade.rollback.policy is RollbackPolicy.DISABLED:
        if run.running:
            _healthy(draft, run)
    elif _proved(draft, spec, run):
        _healthy(draft, run)
    else:
        draft.requeue_after(1.0)


def give_up(draft: Draft, spec: FlinkJobSpec, run: Submission) -> Halt | None:
    """Take the spec back when its run did not get healthy by the deadline."""
    deadline = duration_seconds(spec.upgrade.rollback.deadline)
    late = run.intent_time is not None and draft.now >= run.intent_time + timedelta(seconds=deadline)
    if late and may_take_back(draft, run):
        return take_back(draft, run, f"not healthy within {spec.upgrade.rollback.deadline}")
    return None


def may_take_back(draft: Draft, run: Submission) -> bool:
    """Whether there is a healthy revision to go back to, and this run is an upgrade that never was healthy."""
    healthy = draft.status.healthy_revision
    return (
        draft.spec is not None
        and draft.spec.upgrade.rollback.policy is RollbackPolicy.ENABLED
        and run.reason is SubmissionReason.UPGRADE
        and not run.healthy
        and healthy is not None
        and healthy != run.revision
        and run.run_digest == draft.digest
        and draft.status.rollback is None
        and draft.need(Revision(healthy)) is not None
    )


def take_back(draft: Draft, run: Submission, why: str) -> Halt:
    """Note that the wanted spec is taken back; the next steps replace the run."""
    message = f"run {run.number} is taken back: {why}; the spec of {draft.status.healthy_revision} runs instead"
    draft.status = replace(
        draft.status,
        rollback=Rollback(
            run_digest=draft.digest,
            revision=draft.status.healthy_revision,
            from_submission=run.number,
            since=draft.now,
            message=message,
        ),
    )
    draft.event(Reason.RolledBack, message, warning=True)
    return draft.wait(Step.ROLLBACK, Reason.RolledBack, message, requeue_after=0.05)


def hold_back(draft: Draft) -> Halt | None:
    """Say that the wanted spec is not the one that runs, where it was taken back."""
    taken_back = draft.status.rollback
    if taken_back is None:
        return None
    text = f"{taken_back.message or 'the spec was taken back'}; change the spec to try again"
    return draft.stall(Reason.RolledBack, text)


def _proved(draft: Draft, spec: FlinkJobSpec, run: Submission) -> bool:
    overview = draft.observation.job.overview
    steady = overview is not None and overview.all_tasks_running and not draft.recovering
    if not steady:
        if run.steady_since is not None:
            draft.update(steady_since=None)
        return False
    if run.steady_since is None:
        draft.update(steady_since=draft.now)
        return False
    window = duration_seconds(spec.upgrade.rollback.healthy_after)
    return (draft.now - run.steady_since).total_seconds() >= window and _checkpointed(draft, run)


def _checkpointed(draft: Draft, run: Submission) -> bool:
    config = draft.need(CheckpointSettings(run.flink_job_id))
    if config is None or config.interval_ms is None:
        return True
    stats = draft.need(Checkpoints(run.flink_job_id))
    return stats is not None and stats.completed > 0


def _healthy(draft: Draft, run: Submission) -> None:
    draft.update(healthy=True, steady_since=None)
    if run.revision is not None:
        artifact = run.artifact_digest
        draft.status = replace(draft.status, healthy_revision=run.revision, healthy_artifact=artifact)
