"""Deleting a FlinkJob: its Flink job is ended by `deletion.policy`, and in any case the object is gone by its deadline.

Called by the job decision when the object is being deleted and nothing is in progress, or the deadline has passed.
Invariants: at least one full attempt is made, whatever the clock says; what is left behind is reported in an Event.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from flinkjob.api.common import duration_seconds
from flinkjob.api.constants import ANNOTATION_FORCE_DELETE, FINALIZER
from flinkjob.api.enums import DeletionPolicy, OperationKind, RunResult, SnapshotKind
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import CancelJob, RemoveFinalizer
from flinkjob.core.facts import Revision
from flinkjob.core.job import adoption, submission
from flinkjob.core.job.draft import Draft, Halt, Step
from flinkjob.core.job.fallback import LAST_STATE, has_last_state, lacked_tasks, nothing_to_lose
from flinkjob.core.job.stopping import begin_cancel, begin_stop
from flinkjob.core.requester import Requester
from flinkjob.core.seen import Presence

STOPS_TRIED = 2
"""So many failed stops are enough where a retained checkpoint keeps the state."""
ATTEMPT_SECONDS = 15.0
"""How long a full attempt may take: it is made even when the deadline has passed already."""


def recover_spec(draft: Draft) -> None:
    """A spec that cannot be read any more: how its job is ended is what the spec of the current revision said."""
    revision = draft.status.current_revision
    if draft.job.meta.deletion_time is None or draft.spec is not None or revision is None:
        return
    draft.spec = draft.need(Revision(revision))
    draft.digest = draft.digest_of_spec(draft.spec) if draft.spec is not None else ""


def step(draft: Draft) -> Halt | None:
    """The next step of a deletion when no operation is in progress."""
    run = draft.live_run
    policy = _policy(draft)
    if run is None:
        return _wait_for_what_is_left(draft, policy) or _release(draft)
    if policy is DeletionPolicy.ORPHAN:
        return _orphan(draft, run)
    if expired(draft):
        return give_up(draft, run)
    draft.requeue_after(1.0)
    if _never_came(draft, run):
        draft.end_run(RunResult.NEVER_STARTED, snapshot=run.restored_from, kind=submission.same_state(run))
        return _release(draft)
    if draft.observation.job.presence is not Presence.PRESENT:
        return draft.wait(Step.DELETE, Reason.Deleting, f"waiting for an answer about job {run.job_id}")
    if policy is DeletionPolicy.SAVEPOINT:
        return _stop(draft, run)
    return begin_cancel(draft, run, by=Requester.DELETION)


def _wait_for_what_is_left(draft: Draft, policy: DeletionPolicy) -> Halt | None:
    """Wait until the cluster surely has no job of this FlinkJob that its status does not have; deals with what it has."""
    if draft.observation.access_denied or FINALIZER not in draft.job.meta.finalizers:
        return None
    if draft.run is None:
        return _look(draft)
    number, owned_jobs = draft.run.number, draft.observation.owned_jobs
    mine = [
        job
        for job in owned_jobs
        if not job.state.is_terminal and (adoption.own_number(draft, job) or number + 1) <= number
    ]
    if not mine or policy is DeletionPolicy.ORPHAN:
        return None
    ids = ", ".join(job.job_id for job in mine)
    if expired(draft):
        message = f"job {ids} at {draft.observation.target.url} could not be ended by the deadline"
        draft.event(Reason.LeftBehind, message, warning=True)
        return None
    for job in mine:
        draft.act(CancelJob(url=draft.observation.target.url, job_id=job.job_id))
    return draft.wait(Step.DELETE, Reason.StrayJob, f"cancelling job {ids}", requeue_after=0.5)


def _look(draft: Draft) -> Halt | None:
    """Without a status, but held: a job may run all the same. It is taken over first, then ended as any other."""
    unseen = _policy(draft) is DeletionPolicy.ORPHAN and not draft.observation.target.reachable
    if unseen or expired(draft):
        url = draft.observation.target.url
        draft.event(Reason.LeftBehind, f"whether a job is left at {url} could not be found out", warning=True)
        return None
    if (halt := draft.halt_without_target()) is not None:
        return halt
    halt = adoption.look(draft)
    if halt is not None:
        draft.requeue_after(1.0)
    return halt


def leave(draft: Draft, why: str) -> Halt:
    """Let the object go without touching the job that its status names, which is another's."""
    draft.event(Reason.LeftBehind, f"{why}; it runs on", warning=True)
    return _release(draft, keep_artifact=True)


def _orphan(draft: Draft, run: Submission) -> Halt:
    draft.event(Reason.Orphaned, f"job {run.job_id} runs on at {run.cluster_url}")
    return _release(draft, keep_artifact=True)


def _never_came(draft: Draft, run: Submission) -> bool:
    """Flink refused the run call for certain, and does not know the job: there is nothing to wait for."""
    absent = draft.observation.job.presence is Presence.ABSENT
    return absent and not run.seen and submission.was_refused(draft, run)


def overdue(draft: Draft) -> bool:
    """Whether a deletion's deadline has passed while an operation is still in progress."""
    return draft.job.meta.deletion_time is not None and draft.live_run is not None and expired(draft)


def give_up(draft: Draft, run: Submission) -> Halt:
    """At the deadline: cancel if the cluster answers (for one more attempt's time), else leave the job behind.

    Also a job that does not answer itself, if its id is one of this FlinkJob's: else it would run on when it answers again,
    beside that of the next FlinkJob of the name, which cannot see it until then.
    """
    if _policy(draft) is DeletionPolicy.ORPHAN:
        return _orphan(draft, run)
    operation = draft.status.operation
    presence = draft.observation.job.presence
    there = presence is Presence.PRESENT or (presence is Presence.UNKNOWN and draft.owner.owns(run.flink_job_id))
    noted = draft.job.meta.uid not in draft.given.refused  # nothing is done that could not be noted
    may_cancel = there and noted and draft.observation.cluster.reachable
    if may_cancel and (operation is None or operation.kind is not OperationKind.CANCEL):
        return begin_cancel(draft, run, by=Requester.DELETION)
    since = operation.since if operation is not None and operation.kind is OperationKind.CANCEL else None
    if may_cancel and since is not None and (draft.now - since).total_seconds() < ATTEMPT_SECONDS:
        draft.act(CancelJob(url=run.address, job_id=run.flink_job_id))
        return draft.wait(Step.DELETE, Reason.Deleting, f"cancelling job {run.job_id}", requeue_after=0.5)
    stop = (
        f"; there may be a savepoint below {operation.directory}"
        if operation is not None and operation.directory
        else ""
    )
    draft.event(
        Reason.LeftBehind,
        f"job {run.job_id} at {run.cluster_url} could not be ended by the deadline{stop}",
        warning=True,
    )
    return _release(draft, keep_artifact=True)


def expired(draft: Draft) -> bool:
    """Whether the deadline has passed, by the clock or as long as this process has seen it, and one full attempt was made."""
    lasted = draft.observation.deleting_for
    passed = _forced(draft) or draft.now >= _deadline(draft) or lasted >= _allowed(draft)
    return passed and lasted >= ATTEMPT_SECONDS


def _deadline(draft: Draft) -> datetime:
    deleted = draft.job.meta.deletion_time
    assert deleted is not None
    return deleted + timedelta(seconds=_allowed(draft))


def _allowed(draft: Draft) -> float:
    """Seconds that a deletion may take."""
    allowed = 300.0
    if draft.spec is not None:
        allowed = duration_seconds(draft.spec.deletion.timeout)
        if draft.spec.deletion.policy is DeletionPolicy.SAVEPOINT:
            allowed = max(allowed, duration_seconds(draft.spec.savepoints.timeout) + 60.0)
    return allowed


def _forced(draft: Draft) -> bool:
    forced = draft.job.meta.annotations.get(ANNOTATION_FORCE_DELETE) == "true"
    return forced or draft.observation.namespace_terminating


def _policy(draft: Draft) -> DeletionPolicy:
    policy = draft.spec.deletion.policy if draft.spec is not None else DeletionPolicy.CANCEL
    if policy is not DeletionPolicy.ORPHAN and _forced(draft):
        return DeletionPolicy.CANCEL
    return policy


def _stop(draft: Draft, run: Submission) -> Halt:
    """With a savepoint where there is a directory and all tasks run, else by a cancel."""
    spec = draft.spec
    assert spec is not None
    base = draft.observation.cluster.directory_for(spec.savepoints.directory)
    overview = draft.observation.job.overview
    if base is None or overview is None:
        return begin_cancel(draft, run, by=Requester.DELETION)
    if why := nothing_to_lose(draft, run):
        return begin_cancel(draft, run, by=Requester.DELETION, why=why)
    if _tried_enough(draft) and has_last_state(draft, run):
        return begin_cancel(draft, run, by=Requester.DELETION, why=LAST_STATE)
    if (halt := draft.pausing(Step.STOP)) is not None:
        return halt
    if overview.all_tasks_running:
        return begin_stop(draft, run, by=Requester.DELETION, base=base, format_type=spec.savepoints.format_type)
    text = f"a savepoint needs all tasks running; without one it is cancelled at {_deadline(draft):%H:%M:%S} UTC, or at once"
    text += f' with the annotation {ANNOTATION_FORCE_DELETE}: "true"'
    return draft.wait(Step.STOP, Reason.WaitingForTasks, text, requeue_after=1.0)


def _tried_enough(draft: Draft) -> bool:
    """Whether stops have failed, or tasks have been missing, for so long that a retained checkpoint must do."""
    return draft.failures_of(Step.STOP) >= STOPS_TRIED or lacked_tasks(draft)


def _say_where_the_state_is(draft: Draft, run: Submission) -> None:
    """Of a job whose savepoint could not be taken: soon nothing names its retained checkpoint any more."""
    end, spec = run.end, draft.spec
    wanted = spec is not None and spec.deletion.policy is DeletionPolicy.SAVEPOINT
    if wanted and end is not None and end.snapshot is not None and end.snapshot_kind is SnapshotKind.CHECKPOINT:
        text = f"the state of run {run.number} is in its retained checkpoint {end.snapshot}, for initialState.location"
        draft.event(Reason.SavepointSkipped, text)


def _release(draft: Draft, *, keep_artifact: bool = False) -> Halt:
    run = draft.run
    if run is not None and not keep_artifact:
        _say_where_the_state_is(draft, run)
        submission.discard_artifacts(draft, run)
    if FINALIZER in draft.job.meta.finalizers:
        draft.act(RemoveFinalizer())
    return draft.wait(Step.DELETE, Reason.Deleting, "nothing is left to do")
