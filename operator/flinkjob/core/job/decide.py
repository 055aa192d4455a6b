"""What to do about a FlinkJob: the entrance of the pure decision, and its order of thought.

`decide_job` is called by `decide_round` with what was observed; it learns from the observation, follows the operation in
progress, and only when nothing is in progress takes the next step towards what the spec wants. The first step that halts
ends the decision, and its plan says why. Where what is decided:

| state of the run            | `state: Running`                                | another `state` | deletion   |
| --------------------------- | ----------------------------------------------- | --------------- | ---------- |
| none yet                    | `adoption`, then `submission`                   | `adoption`      | `adoption` |
| intended, not seen          | `submission`                                    | here            | `deletion` |
| live                        | `running` (`rescale`, `rollback`, `periodic`)   | `running`       | `deletion` |
| live, operation in progress | `stopping`, `rescale`                           | `stopping`      | `stopping` |
| live, FlinkSavepoint taken  | `running` waits, but for a rollback             | `running` waits | `deletion` |
| ended                       | `restart` (`finished`), then `submission`       | at rest         | `deletion` |

`state: Cancelled` waits for no FlinkSavepoint, and neither does the cancel of a run that is rolled back. How a run is seen to
end says `observe_run` (`run_end`, `lost_run`); what the next one starts from, `restore_point`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flinkjob.api.constants import ANNOTATION_ABANDON, ANNOTATION_RESTARTED_AT, FINALIZER
from flinkjob.api.enums import DesiredState, OperationKind, RunResult, SnapshotKind
from flinkjob.api.fieldclass import run_digest_fields
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import AddFinalizer, RemoveFinalizer
from flinkjob.core.errors import with_steps
from flinkjob.core.facts import Alias, Fact, NeedFact
from flinkjob.core.identity import digest_of
from flinkjob.core.job import (
    adoption,
    conditions,
    deletion,
    rescale,
    restart,
    rollback,
    running,
    scripts,
    submission,
    variables,
)
from flinkjob.core.job.draft import DONE, Draft, Halt, Step
from flinkjob.core.job.observe_run import observe_run
from flinkjob.core.job.stopping import follow_operation
from flinkjob.core.model import JobDecision, JobInput
from flinkjob.core.pauses import FAST
from flinkjob.core.program import file_parts, script_parts, upload_parts
from flinkjob.core.seen import Presence


def digest_of_spec(spec: FlinkJobSpec, restarted_at: str | None) -> str:
    """The digest of a run: all `Run` fields, a script and files by what is in them, and the restart annotation."""
    wanted = run_digest_fields(spec)
    if spec.sql is not None:  # wherever the script is
        wanted["sql"] = [part.sha256 for part in script_parts(spec)]
    if spec.python is not None:  # likewise
        wanted["python"] |= {"files": [[part.name, part.sha256] for part in file_parts(spec.python)]}
        wanted["python"] |= {"uploads": [[part.name, part.sha256] for part in upload_parts(spec.python)]}
        wanted["python"].pop("requirements", None)
        wanted["python"].pop("archives", None)
    return digest_of({"run": wanted, "restartedAt": restarted_at} if restarted_at else {"run": wanted})


def decide_job(given: JobInput) -> JobDecision | Fact[Any]:
    """Decide about a FlinkJob.

    Returns: what to do, or the one fact that is needed first.
    """
    restarted_at = given.job.meta.annotations.get(ANNOTATION_RESTARTED_AT)
    draft = Draft(given, given.job.spec, lambda spec: digest_of_spec(spec, restarted_at))
    try:
        draft.halt = _decide(draft) or DONE
        _tidy(draft)
    except NeedFact as missing:
        return missing.fact
    return conditions.finish(draft)


def _decide(draft: Draft) -> Halt | None:
    scripts.resolve(draft)
    rollback.effective(draft)
    deletion.recover_spec(draft)
    variables.known_of_run(draft)
    if why := adoption.belongs_to_other(draft):
        if draft.job.meta.deletion_time is not None:
            return deletion.leave(draft, why)
        text = f"{why}; it is not touched, and this FlinkJob must be created anew to run a job of its own"
        return draft.stall(Reason.OwnedByOther, text, requeue_after=10.0)
    halt = observe_run(draft) or _follow_operation(draft)
    if draft.live_run is not None and deletion.overdue(draft):
        draft.withdraw_calls(draft.live_run)
        return deletion.give_up(draft, draft.live_run).after(halt)
    if halt is None:
        return _next_step(draft)
    elsewhere = _operation_out_of_reach(draft)
    return elsewhere.after(halt) if elsewhere is not None else halt


def _follow_operation(draft: Draft) -> Halt | None:
    operation, run = draft.status.operation, draft.live_run
    if operation is not None and operation.kind is OperationKind.RESCALE and run is not None:
        return rescale.follow_rescale(draft, operation, run)
    return follow_operation(draft)


def _operation_out_of_reach(draft: Draft) -> Halt | None:
    """An operation is in progress where nobody answers any more, while the job shall go elsewhere."""
    run = draft.live_run
    if draft.status.operation is None or draft.spec is None or run is None or draft.job.meta.deletion_time is not None:
        return None
    return _without_old_cluster(draft, run) if _left_cluster(draft, run) else None


def _next_step(draft: Draft) -> Halt | None:
    if draft.job.meta.deletion_time is not None:
        return deletion.step(draft)
    if draft.spec is None:
        return scripts.say(draft, None) or draft.refuse(draft.job.spec_error or "the spec cannot be read")
    for step in STEPS:
        if (halt := step(draft, draft.spec)) is not None:
            return scripts.say(draft, halt)
    return scripts.say(draft, None)


def _refuse(draft: Draft, spec: FlinkJobSpec) -> Halt | None:
    """A cluster that the operator may not connect to."""
    if draft.observation.access_denied:
        return draft.refuse(f"spec.cluster: {draft.observation.access_denied}")
    return None


def _release(draft: Draft, spec: FlinkJobSpec) -> Halt | None:
    """Another `state` than Running releases what holds the job down."""
    if spec.state is not DesiredState.RUNNING:
        restart.release(draft)
    return None


def _two_managers(draft: Draft, spec: FlinkJobSpec) -> Halt | None:
    """Two JobManagers at one address: no answer can be trusted."""
    if draft.observation.cluster.several_managers or draft.observation.target.several_managers:
        text = f"two JobManagers answer at {draft.observation.cluster.url} in turn"
        return draft.stall(Reason.AddressNotUnique, text)
    return None


def _first_look(draft: Draft, spec: FlinkJobSpec) -> Halt | None:
    """Without a status: take over what already runs."""
    wanted = spec.state is DesiredState.RUNNING
    if draft.run is not None or (not wanted and not draft.observation.target.reachable):
        return None
    halt = draft.halt_without_target() or adoption.look(draft)
    draft.looked = halt is None
    return adoption.halt_for_another_operator(draft) if halt is None and wanted else halt


def _down(draft: Draft, spec: FlinkJobSpec) -> Halt | None:
    """No run is live: start the next one, or stay down."""
    if draft.live_run is not None:
        return None
    return (restart.step(draft, spec) if spec.state is DesiredState.RUNNING else None) or DONE


def _up(draft: Draft, spec: FlinkJobSpec) -> Halt | None:
    """A run is on the cluster."""
    run = draft.live_run
    if run is None or not run.seen or draft.observation.job.presence is not Presence.PRESENT:
        return None
    return running.step(draft, spec, run) or DONE


def _old_cluster(draft: Draft, spec: FlinkJobSpec) -> Halt | None:
    """The job shall go to another cluster, and where it is nobody answers."""
    run = draft.live_run
    if run is None or not _left_cluster(draft, run):
        return None
    return _without_old_cluster(draft, run) or DONE


def _unseen(draft: Draft, spec: FlinkJobSpec) -> Halt | None:
    """A run is intended but was never seen on the cluster."""
    run, wanted = draft.live_run, spec.state is DesiredState.RUNNING
    if run is None or run.seen:
        return None
    if draft.observation.job.presence is not Presence.ABSENT:
        if not draft.observation.cluster.reachable:
            return draft.wait(
                Step.CONNECT, Reason.ClusterUnreachable, draft.observation.cluster.error, requeue_after=5.0
            )
        return draft.wait(Step.SUBMIT, Reason.Submitting, f"looking for job {run.job_id}", requeue_after=FAST)
    if wanted and not submission.is_superseded(draft, spec, run):
        return submission.resume_unseen(draft, spec)
    if submission.was_refused(draft, run) or submission.is_unanswered(draft, run):
        draft.end_run(RunResult.NEVER_STARTED, snapshot=run.restored_from, kind=submission.same_state(run))
        draft.requeue_after(FAST)
        return None
    text = f"job {run.job_id} may still appear; it is stopped then"
    return draft.wait(Step.SUBMIT, Reason.WaitingForSubmission, text, requeue_after=5.0)


STEPS: tuple[Callable[[Draft, FlinkJobSpec], Halt | None], ...] = (
    _refuse,
    _release,
    _two_managers,
    _first_look,
    _down,
    _up,
    _old_cluster,
    _unseen,
)
"""The next step is the first of these that halts."""


def _left_cluster(draft: Draft, run: Submission) -> bool:
    """The job shall go to another cluster, and where it is nobody answers."""
    return (
        draft.wanted_url != run.cluster_url
        and not draft.observation.cluster.reachable
        and draft.observation.target.reachable
    )


def _without_old_cluster(draft: Draft, run: Submission) -> Halt | None:
    if draft.need(Alias()):
        draft.update(cluster_url=draft.wanted_url)
        draft.requeue_after(FAST)
        return None
    if draft.job.meta.annotations.get(ANNOTATION_ABANDON) == run.job_id:
        message = f"run {run.number} was abandoned at {run.cluster_url}, and what it left is not known"
        draft.end_run(RunResult.LOST, snapshot=None, kind=SnapshotKind.MISSING, message=message)
        draft.event(Reason.LeftBehind, f"job {run.job_id} was abandoned at {run.cluster_url}", warning=True)
        draft.requeue_after(FAST)
        return None
    text = f"{run.cluster_url} does not answer, so job {run.job_id} cannot be stopped there"
    steps = f"bring it back, or, once the job is certainly gone, annotate with {ANNOTATION_ABANDON}={run.job_id}"
    return draft.stall(Reason.OldClusterUnreachable, with_steps(text, steps), requeue_after=10.0)


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
