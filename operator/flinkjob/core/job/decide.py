"""What to do about a FlinkJob: the entrance of the pure decision, and its order of thought.

`decide_job` is called by the reconciler with what was observed; it learns from the observation, follows the operation in
progress, and only when nothing is in progress takes the next step towards what the spec wants. Each step names its reason.
"""

from __future__ import annotations

from flinkjob.api.constants import ANNOTATION_ABANDON, ANNOTATION_RESTARTED_AT, FINALIZER
from flinkjob.api.enums import DesiredState, OperationKind, RunResult, SnapshotKind
from flinkjob.api.fieldclass import run_digest_fields
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import AddFinalizer, RemoveFinalizer
from flinkjob.core.identity import digest_of
from flinkjob.core.job import adoption, conditions, deletion, rescale, restart, rollback, running, submission
from flinkjob.core.job.draft import FAST, Draft
from flinkjob.core.job.observe_run import learn
from flinkjob.core.job.stopping import follow_operation
from flinkjob.core.model import Fact, JobDecision, JobInput, NeedFact, Needs, Presence


def digest_of_spec(spec: FlinkJobSpec, restarted_at: str | None) -> str:
    """The digest of a run: all `Run` fields and the restart annotation."""
    wanted = run_digest_fields(spec)
    return digest_of({"run": wanted, "restartedAt": restarted_at} if restarted_at else {"run": wanted})


def decide_job(given: JobInput) -> JobDecision | Needs:
    """Decide about a FlinkJob.

    Returns: what to do, or the one fact that is needed first.
    """
    restarted_at = given.job.meta.annotations.get(ANNOTATION_RESTARTED_AT)
    draft = Draft(given, given.job.spec, lambda spec: digest_of_spec(spec, restarted_at))
    try:
        rollback.effective(draft)
        deletion.recover_spec(draft)
        learn(draft)
        _follow_operation(draft)
        if deletion.overdue(draft) and draft.live_run is not None:
            deletion.give_up(draft, draft.live_run)
        elif draft.plan is None:
            _next_step(draft)
        else:
            _operation_out_of_reach(draft)
        _tidy(draft)
    except NeedFact as missing:
        return missing.needs
    return conditions.finish(draft)


def _follow_operation(draft: Draft) -> None:
    operation, run = draft.status.operation, draft.live_run
    if operation is not None and operation.kind is OperationKind.RESCALE and run is not None:
        if draft.plan is None:
            rescale.follow_rescale(draft, operation, run)
    else:
        follow_operation(draft)


def _operation_out_of_reach(draft: Draft) -> None:
    """An operation is in progress where nobody answers any more, while the job shall go elsewhere."""
    spec, run = draft.spec, draft.live_run
    if draft.status.operation is None or spec is None or run is None or draft.job.meta.deletion_time is not None:
        return
    if _left_cluster(draft, spec, run):
        _without_old_cluster(draft, spec, run)


def _next_step(draft: Draft) -> None:
    if draft.job.meta.deletion_time is not None:
        deletion.step(draft)
        return
    spec = draft.spec
    if spec is None:
        draft.stall(Reason.InvalidSpec, draft.job.spec_error or "the spec cannot be read")
        return
    if draft.observation.access_denied:
        draft.stall(Reason.InvalidSpec, f"spec.cluster: {draft.observation.access_denied}")
        return
    wanted = spec.state is DesiredState.RUNNING
    if not wanted:
        restart.release(draft)
    if draft.observation.cluster.several_managers or draft.observation.target.several_managers:
        draft.stall(Reason.AddressNotUnique, f"two JobManagers answer at {draft.observation.cluster.url} in turn")
        return
    if draft.run is None and not _first_look(draft, wanted=wanted):
        return
    run = draft.live_run
    if run is None:
        if wanted:
            restart.step(draft, spec)
    elif draft.observation.job.presence is Presence.PRESENT and run.seen:
        running.step(draft, spec, run)
    elif _left_cluster(draft, spec, run):
        _without_old_cluster(draft, spec, run)
    elif not run.seen:
        _while_unseen(draft, spec, run, wanted=wanted)


def _first_look(draft: Draft, *, wanted: bool) -> bool:
    """Without a status: take over what already runs. True when the next step may be taken."""
    if not wanted and not draft.observation.target.reachable:
        return True
    draft.looked = draft.target_reachable() and adoption.look(draft)
    return draft.looked and not (wanted and adoption.of_another_operator(draft))


def _while_unseen(draft: Draft, spec: FlinkJobSpec, run: Submission, *, wanted: bool) -> None:
    """A run is intended but was never seen on the cluster."""
    if draft.observation.job.presence is not Presence.ABSENT:
        if not draft.observation.cluster.reachable:
            draft.wait("Connect", Reason.ClusterUnreachable, draft.observation.cluster.error, requeue_after=5.0)
        else:
            draft.wait(submission.SUBMIT, Reason.Submitting, f"looking for job {run.job_id}", requeue_after=FAST)
    elif wanted and not submission.is_superseded(draft, spec, run):
        submission.resume_unseen(draft, spec)
    elif submission.was_refused(draft, run) or submission.is_unanswered(draft, run):
        draft.end_run(RunResult.NEVER_STARTED, snapshot=run.restored_from, kind=submission.same_state(run))
        draft.requeue_after(FAST)
    else:
        text = f"job {run.job_id} may still appear; it is stopped then"
        draft.wait(submission.SUBMIT, Reason.WaitingForSubmission, text, requeue_after=5.0)


def _left_cluster(draft: Draft, spec: FlinkJobSpec, run: Submission) -> bool:
    """The job shall go to another cluster, and where it is nobody answers."""
    return (
        draft.wanted_url != run.cluster_url
        and not draft.observation.cluster.reachable
        and draft.observation.target.reachable
    )


def _without_old_cluster(draft: Draft, spec: FlinkJobSpec, run: Submission) -> None:
    draft.need(Fact.ALIAS)
    if draft.observation.alias:
        draft.update(cluster_url=draft.wanted_url)
        draft.requeue_after(FAST)
        return
    if draft.job.meta.annotations.get(ANNOTATION_ABANDON) == run.job_id:
        message = f"run {run.number} was abandoned at {run.cluster_url}, and what it left is not known"
        draft.end_run(RunResult.LOST, snapshot=None, kind=SnapshotKind.MISSING, message=message)
        draft.event(Reason.LeftBehind, f"job {run.job_id} was abandoned at {run.cluster_url}", warning=True)
        draft.requeue_after(FAST)
        return
    text = f"{run.cluster_url} does not answer, so job {run.job_id} cannot be stopped there"
    draft.stall(Reason.OldClusterUnreachable, text)
    draft.requeue_after(10.0)


def _tidy(draft: Draft) -> None:
    """Hold the object while its job may run, let it go when it surely does not."""
    meta = draft.job.meta
    held = FINALIZER in meta.finalizers
    if meta.deletion_time is not None:
        return
    if draft.live_run is not None and not held and not any(isinstance(a, AddFinalizer) for a in draft.actions):
        draft.act(AddFinalizer())
    if draft.live_run is None and held and (draft.run is not None or draft.looked):
        draft.act(RemoveFinalizer())
