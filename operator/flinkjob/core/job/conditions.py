"""How things look: phase and conditions, derived from what was decided; then the status is settled.

Called last by the job decision. Invariants: `Reconciling` and `Stalled` are never both True; when nothing changed the
status is equal to the one given, so nothing is written.
"""

from __future__ import annotations

from dataclasses import replace

from flinkjob.api.constants import LABEL_NAME
from flinkjob.api.enums import ConditionStatus, DesiredState, Phase, RunResult, SnapshotKind, SubmissionReason
from flinkjob.api.flinkjob_status import ClusterInfo, Condition, Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import EventType, PostEvent
from flinkjob.core.conditions import Conditions
from flinkjob.core.errors import one_line
from flinkjob.core.flinkmodel import FlinkJobState
from flinkjob.core.job import copies_status, crash_loop
from flinkjob.core.job.cluster_requirements import advise
from flinkjob.core.job.draft import Draft, Step
from flinkjob.core.job.restore_point import redeploys
from flinkjob.core.job.status_noise import begins, settled, tick_after, ticked
from flinkjob.core.model import JobDecision
from flinkjob.core.requester import Requester

UNREACHABLE_GRACE = 60.0
"""Seconds that a cluster may be silent before `Ready` becomes Unknown."""

LOOK_AGAIN = (2.0, 30.0)
"""Seconds after which a job is looked at again whose cluster did not answer: the least and the most."""

T, F, U = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
Row = tuple[ConditionStatus, ConditionStatus, ConditionStatus, ConditionStatus]
"""Ready, Reconciling, Stalled, Healthy."""
_DOWN = (FlinkJobState.RESTARTING, FlinkJobState.FAILING, FlinkJobState.FAILED, FlinkJobState.CANCELED)
_ON_THE_WAY_DOWN = (Step.UPGRADE, Step.STOP, Step.FETCH, Step.PREFLIGHT)
_AT_REST = (Phase.SUSPENDED, Phase.CANCELLED, Phase.DRAINED, Phase.FINISHED)
_LEFT_ALONE = (
    Reason.InvalidSpec,
    Reason.ArtifactFailed,
    Reason.ArtifactChanged,
    Reason.PreflightFailed,
    Reason.NoSavepointDirectory,
    Reason.SavepointNotFound,
    Reason.CopyNotFound,
    Reason.NotRetained,
    Reason.SavepointFailed,
    Reason.Unsuitable,
)
"""Why a change waits for a person, while the running job is not touched."""
_REPORTED_BEFORE = (Reason.Drained, Reason.SavepointStop, Reason.RolledBack, Reason.MultipleJobs)
"""Troubles that are what was asked for, or whose beginning an Event of an earlier round reported."""
_BUSY = {
    Requester.UPGRADE: Phase.UPGRADING,
    Requester.ROLLBACK: Phase.UPGRADING,
    Requester.MOVE: Phase.MOVING,
    Requester.SCALE: Phase.RESCALING,
    Requester.SUSPEND: Phase.SUSPENDING,
    Requester.DRAIN: Phase.DRAINING,
    Requester.CANCEL: Phase.CANCELLING,
    Requester.DELETION: Phase.DELETING,
}


def finish(draft: Draft) -> JobDecision:
    """Close the decision: phase, conditions and the fields that follow from the rest."""
    copies_status.note(draft)
    phase = _phase(draft)
    reason, message = _why(draft, phase)
    cluster = draft.observation.cluster
    if draft.live_run is not None and not cluster.reachable:
        draft.requeue_after(min(max(cluster.unreachable_for, LOOK_AGAIN[0]), LOOK_AGAIN[1]))
    status = replace(
        draft.status,
        observed_generation=draft.job.meta.generation,
        phase=phase,
        plan=draft.halt.plan,
        cluster=ClusterInfo(
            url=cluster.url,
            flink_version=cluster.flink_version
            or (draft.status.cluster.flink_version if draft.status.cluster else None),
        ),
        parallelism=draft.spec.parallelism if draft.spec is not None else draft.status.parallelism,
        selector=f"{LABEL_NAME}={draft.job.meta.name}",
    )
    status = replace(status, conditions=_conditions(draft, _row(draft, phase), reason, message))
    before = draft.given.job.status
    written = settled(before, status, may_tick=draft.given.may_tick)
    if not draft.actions and written is not before and (later := begins(before, status, draft.now)) is not None:
        draft.requeue_after(later)
        written = before
    return JobDecision(
        status=written,
        actions=tuple(draft.actions),
        requeue_after=draft.delay,
        outcome=draft.outcome,
        tick_after=tick_after(written, draft.now),
        ticked=written is before and ticked(before, status),
    )


def _report(draft: Draft, known: Conditions, reason: str, message: str) -> None:
    """An Event for a trouble that begins, unless another of this round already reports what led to it."""
    trouble, before = draft.halt.trouble, known.before("Ready")
    if trouble is None or reason != trouble.reason or trouble.reason in _REPORTED_BEFORE:
        return
    again = not trouble.stalled and draft.halt.plan is not None and draft.halt.plan.attempts > 1
    if again or (before is not None and before.reason == reason):
        return
    if not any(isinstance(action, PostEvent) and action.type is EventType.WARNING for action in draft.actions):
        draft.event(trouble.reason, message, warning=True)


def _phase(draft: Draft) -> Phase:
    if draft.job.meta.deletion_time is not None:
        return Phase.DELETING
    operation = draft.status.operation
    if operation is not None:
        return _BUSY.get(operation.by or "", Phase.SUSPENDING)
    if draft.live_run is not None:
        return _live_phase(draft)
    return _down_phase(draft)


def _live_phase(draft: Draft) -> Phase:
    run = draft.live_run
    assert run is not None
    if _silent(draft):
        return Phase.UNKNOWN
    if not draft.observation.cluster.reachable and _other_wanted(draft, run):
        return Phase.UPGRADING if _wants_run(draft) else Phase.SUSPENDING
    overview, halt = draft.observation.job.overview, draft.halt
    stalled = halt.trouble is not None and halt.trouble.stalled
    if stalled and not run.seen:
        return Phase.HELD
    if not run.running:
        return _starting_phase(run.reason)
    if draft.recovering or (overview is not None and overview.state in _DOWN):
        return Phase.RESTARTING
    if overview is not None and overview.state is FlinkJobState.RUNNING and not overview.all_tasks_running:
        return Phase.RESTARTING
    if halt.plan is not None and not stalled and halt.plan.step in _ON_THE_WAY_DOWN:
        return Phase.UPGRADING if _wants_run(draft) else Phase.SUSPENDING
    return Phase.RUNNING


def _starting_phase(reason: SubmissionReason | None) -> Phase:
    """Of a run that has not been up."""
    match reason:
        case SubmissionReason.UPGRADE | SubmissionReason.REDEPLOY | SubmissionReason.ROLLBACK:
            return Phase.UPGRADING
        case SubmissionReason.MOVE:
            return Phase.MOVING
        case SubmissionReason.RESTART:
            return Phase.RESTARTING
        case _:
            return Phase.SUBMITTING


def _down_phase(draft: Draft) -> Phase:  # noqa: C901 - lists cases
    run = draft.run
    wanted = draft.spec.state if draft.spec is not None else DesiredState.RUNNING
    match wanted:
        case DesiredState.SUSPENDED:
            return Phase.SUSPENDED
        case DesiredState.CANCELLED:
            return Phase.CANCELLED
        case DesiredState.DRAINED:
            return Phase.DRAINED
        case DesiredState.RUNNING:
            pass
    trouble = draft.halt.trouble
    stalled = trouble is not None and trouble.stalled
    if run is None or run.end is None:
        return Phase.HELD if stalled else Phase.PENDING
    match run.end.result:
        case RunResult.FINISHED if draft.halt.plan is None:
            return Phase.FINISHED
        case RunResult.DRAINED if stalled:
            return Phase.DRAINED
        case RunResult.FAILED:
            return Phase.FAILED if stalled else Phase.RESTARTING
        case RunResult.CANCELLED_EXTERNALLY:
            return Phase.HELD if stalled else Phase.RESTARTING
        case _ if stalled:
            return Phase.HELD
        case _:
            return Phase.UPGRADING


def _other_wanted(draft: Draft, run: Submission) -> bool:
    """Whether the spec asks for something else than this run, which cannot be begun while the cluster does not answer."""
    spec = draft.spec
    if spec is None or draft.halt.plan is not None:
        return False
    return draft.digest != run.run_digest or redeploys(spec, run) or spec.state is not DesiredState.RUNNING


def _wants_run(draft: Draft) -> bool:
    return draft.spec is not None and draft.spec.state is DesiredState.RUNNING


def _silent(draft: Draft) -> bool:
    cluster = draft.observation.cluster
    return not cluster.reachable and cluster.unreachable_for >= UNREACHABLE_GRACE


def _cannot_leave(draft: Draft) -> bool:
    """Whether the silent cluster holds up a move to another one, about which a person has to decide."""
    trouble = draft.halt.trouble
    return trouble is not None and trouble.reason is Reason.OldClusterUnreachable


def _running_well(draft: Draft) -> bool:
    overview = draft.observation.job.overview
    live = draft.live_run
    if live is None or not live.running or draft.recovering:
        return False
    return overview.all_tasks_running if overview is not None else not _silent(draft)


def _row(draft: Draft, phase: Phase) -> Row:
    well = _running_well(draft)
    if draft.live_run is not None and _silent(draft) and draft.job.meta.deletion_time is None:
        return (F, F, T, U) if _cannot_leave(draft) else (U, F, F, U)
    trouble = draft.halt.trouble
    if trouble is not None:
        if trouble.stalled:
            return F, F, T, T if well else F
        return F, T, F, T if well else F
    if phase is Phase.RUNNING:
        return T, F, F, T
    if phase in _AT_REST:
        return T, F, F, U
    if phase is Phase.RESTARTING:
        return F, T, F, F
    return F, T, F, F if draft.recovering else U


def _tasks_in_words(draft: Draft) -> str:
    """How many tasks run, as seen now, else as seen before."""
    overview, before = draft.observation.job.overview, draft.status.job
    total = overview.tasks.total if overview is not None else before.tasks_total if before is not None else None
    return f"{total} tasks are running" if total is not None else "all tasks are running"


def _state_in_words(draft: Draft) -> str:
    """What Flink makes of a job that lacked tasks, as seen now, else as seen before."""
    overview, before = draft.observation.job.overview, draft.status.job
    if overview is not None and overview.all_tasks_running:
        return "all tasks run again; Ready once they have run for a while"
    state = overview.state if overview is not None else before.state if before is not None else None
    return f"Flink: {state}" if state is not None else ""


def _why(draft: Draft, phase: Phase) -> tuple[str, str]:
    if draft.live_run is not None and _silent(draft) and not _cannot_leave(draft):
        return Reason.ClusterUnreachable, draft.observation.cluster.error or "the cluster does not answer"
    halt = draft.halt
    if halt.trouble is not None:
        message = halt.trouble.message
        runs_on = halt.trouble.reason in _LEFT_ALONE and _running_well(draft)
        return halt.trouble.reason, one_line(f"the job runs on as it is: {message}") if runs_on else message
    if halt.plan is not None:
        return halt.plan.reason or phase, halt.plan.message or ""
    match phase:
        case Phase.UPGRADING | Phase.SUSPENDING if (
            draft.live_run is not None and not draft.observation.cluster.reachable
        ):
            return phase, "waiting for the cluster to answer"
        case Phase.RUNNING:
            return Reason.Running, _tasks_in_words(draft)
        case Phase.RESTARTING:
            return _failure(draft) or (Reason.Restarting, _state_in_words(draft))
        case Phase.SUSPENDED | Phase.DRAINED:
            return phase, _what_is_left(draft)
        case Phase.CANCELLED:
            return phase, "not running, as asked"
        case Phase.FINISHED:
            return phase, "the job came to its own end"
        case _:
            return phase, ""


def _what_is_left(draft: Draft) -> str:
    """What a job that was stopped as asked resumes from, and why that is no savepoint where it is none."""
    run = draft.run
    if run is None or run.end is None:
        return "not running, as asked"
    end, failure = run.end, run.savepoint_failure
    match end.snapshot_kind:
        case SnapshotKind.SAVEPOINT | SnapshotKind.CHECKPOINT if end.snapshot is not None:
            text = f"{end.snapshot_kind.lower()} {end.snapshot}"
        case SnapshotKind.RESTORED if end.snapshot is not None:
            text = f"it resumes from {end.snapshot}, where it had started"
        case SnapshotKind.EMPTY | SnapshotKind.RESTORED:
            text = "it resumes without state"
        case _:
            text = "not running, as asked"
    if failure is None or end.snapshot_kind is SnapshotKind.SAVEPOINT:
        return text
    return one_line(f"{text}; no savepoint could be taken: {failure}")


def _failure(draft: Draft) -> tuple[str, str] | None:
    """What made Flink restart the live run, in one word and in a line; None where it runs well or nothing is known."""
    run = draft.live_run
    return crash_loop.explain(draft, run) if run is not None and draft.recovering else None


def _conditions(draft: Draft, row: Row, reason: str, message: str) -> tuple[Condition, ...]:
    health = (_failure(draft) if row[3] is F else None) or (reason, message)
    known = Conditions(draft.given.job.status.conditions, now=draft.now, generation=draft.job.meta.generation)
    _report(draft, known, reason, message)
    reach = _reach(draft, known)
    fit = _suitability(draft, known)
    wanted = [
        *((kind, state, reason, message) for kind, state in zip(_TYPES, row[:3], strict=True)),
        ("Healthy", row[3], *health),
        ("ClusterReachable", *reach),
        ("ClusterSuitable", *fit),
    ]
    if (copies := copies_status.synced(draft)) is not None:
        wanted.append(copies)
    copy = draft.run.restored_copy if draft.run is not None else None
    if copy is not None and copy.identity != draft.given.identity:
        text = (
            f"started from a copy of {copy.namespace}/{copy.job} by operator {copy.identity}: does that job still run?"
        )
        wanted.append(("SourceMayStillRun", T, Reason.SourceMayStillRun, text))
    return tuple(known.next(kind, state, why, text) for kind, state, why, text in wanted)


def _reach(draft: Draft, known: Conditions) -> tuple[ConditionStatus, str, str]:
    """The condition `ClusterReachable`; one answer that could not be had, or another wording, changes nothing.

    Its reason says whether an Event has reported the silence, which is so once it lasts, or holds up a start.
    """
    cluster = draft.observation.cluster
    before = known.before("ClusterReachable")
    reported = before is not None and before.status is F and before.reason == Reason.ClusterUnreachable
    if cluster.reachable:
        if reported:
            draft.event(Reason.ClusterReachable, f"{cluster.url} answers again")
        return T, Reason.ClusterReachable, ""
    plan = draft.halt.plan
    lasts = cluster.unreachable_for >= UNREACHABLE_GRACE and draft.live_run is not None
    held_up = plan is not None and plan.reason == Reason.ClusterUnreachable and draft.live_run is None
    if cluster.error and not reported and (lasts or held_up):
        draft.event(Reason.ClusterUnreachable, cluster.error, warning=True)
        return F, Reason.ClusterUnreachable, cluster.error
    if before is not None and (before.status is F or cluster.unreachable_for == 0):
        return before.status, before.reason, before.message
    if cluster.error:
        return F, Reason.NoAnswer, cluster.error
    return U, Reason.Pending, "not looked at yet"


def _suitability(draft: Draft, known: Conditions) -> tuple[ConditionStatus, str, str]:
    """The condition `ClusterSuitable`; a new finding is reported in an Event, once."""
    cluster, spec = draft.observation.target, draft.spec
    before = known.before("ClusterSuitable")
    if spec is None or cluster.incarnation is None:
        return (before.status, before.reason, before.message) if before is not None else (U, Reason.Pending, "")
    found = advise(cluster, spec)
    if found.unmet:
        row = (F, Reason.Unsuitable, "; ".join(found.unmet))
    elif found.risks:
        row = (T, Reason.Risky, "; ".join(found.risks))
    else:
        row = (T, Reason.Suitable, "")
    if row[2] and (before is None or before.message != row[2]):
        # what endangers all jobs of a cluster is said once; what one job asks for, of that job
        draft.event(Reason.ClusterUnsuitable, row[2], warning=True, once_for="" if found.unmet else cluster.url)
    return row


_TYPES = ("Ready", "Reconciling", "Stalled")
