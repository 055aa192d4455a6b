"""Deleting a FlinkJob: its Flink job is ended by `deletion.policy`, and in any case the object is gone by its deadline.

Called by the job decision when the object is being deleted and nothing is in progress, or the deadline has passed.
Invariants: at least one full attempt is made, whatever the clock says; what is left behind is told in an Event.
"""

from __future__ import annotations

from datetime import timedelta

from flinkjob.api.common import duration_seconds
from flinkjob.api.constants import ANNOTATION_FORCE_DELETE, FINALIZER
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.words import DeletionPolicy, OperationKind, RunResult
from flinkjob.core import adopt, submit
from flinkjob.core.actions import CancelJob, DiscardArtifact, RemoveFinalizer
from flinkjob.core.cause import Cause
from flinkjob.core.draft import Draft
from flinkjob.core.model import Presence
from flinkjob.core.operation import begin_cancel, begin_stop
from flinkjob.core.reasons import Reason
from flinkjob.core.savepoint_rules import directory_for

ATTEMPT_SECONDS = 15.0
"""How long a full attempt may take: it is made even when the deadline has passed already."""


def recover_spec(draft: Draft) -> None:
    """A spec that cannot be read any more: how its job is ended is what the spec of the current revision said."""
    revision = draft.status.current_revision
    if draft.job.meta.deletion_time is None or draft.spec is not None or revision is None:
        return
    draft.spec = draft.need_revision(revision)
    draft.digest = draft.digest_of_spec(draft.spec) if draft.spec is not None else ""


def step(draft: Draft) -> None:
    """The next step of a deletion when no operation is in progress."""
    submission = draft.live
    policy = _policy(draft)
    if submission is None:
        if _nothing_is_left(draft, policy):
            _let_go(draft)
        return
    if policy is DeletionPolicy.ORPHAN:
        _orphan(draft, submission)
        return
    if expired(draft):
        give_up(draft, submission)
        return
    draft.again(1.0)
    if _never_came(draft, submission):
        draft.end_run(RunResult.NEVER_STARTED, snapshot=submission.restored_from, kind=submit.same_state(submission))
        _let_go(draft)
        return
    if draft.observation.job.presence is not Presence.PRESENT:
        draft.wait("Delete", Reason.Deleting, f"waiting for an answer about job {submission.job_id}")
        return
    if policy is DeletionPolicy.SAVEPOINT and not draft.pausing("Stop"):
        _stop(draft, submission)
    elif policy is DeletionPolicy.CANCEL:
        begin_cancel(draft, submission, by=Cause.DELETION)


def _nothing_is_left(draft: Draft, policy: DeletionPolicy) -> bool:
    """Whether the cluster surely has no job of this FlinkJob that its status does not tell of; deals with what it has."""
    if draft.observation.forbidden or FINALIZER not in draft.job.meta.finalizers:
        return True
    if draft.submission is None:
        return _looked_for(draft)
    number, kin = draft.submission.number, draft.observation.kin
    mine = [job for job in kin if not job.state.is_terminal and (adopt.own_number(draft, job) or number + 1) <= number]
    if not mine or policy is DeletionPolicy.ORPHAN:
        return True
    ids = ", ".join(job.job_id for job in mine)
    if expired(draft):
        message = f"job {ids} at {draft.observation.target.url} could not be ended by the deadline"
        draft.event(Reason.LeftBehind, message, warning=True)
        return True
    for job in mine:
        draft.act(CancelJob(url=draft.observation.target.url, job_id=job.job_id))
    draft.wait("Delete", Reason.StrayJob, f"cancelling job {ids}", again=0.5)
    return False


def _looked_for(draft: Draft) -> bool:
    """Without a status, but held: a job may run all the same. It is taken over first, then ended as any other."""
    unseen = _policy(draft) is DeletionPolicy.ORPHAN and not draft.observation.target.reachable
    if unseen or expired(draft):
        url = draft.observation.target.url
        draft.event(Reason.LeftBehind, f"whether a job is left at {url} could not be found out", warning=True)
        return True
    if not draft.target_reachable():
        return False
    if adopt.look(draft):
        return True
    draft.again(1.0)
    return False


def _orphan(draft: Draft, submission: Submission) -> None:
    draft.event(Reason.Orphaned, f"job {submission.job_id} runs on at {submission.cluster_url}")
    _let_go(draft, keep_artifact=True)


def _never_came(draft: Draft, submission: Submission) -> bool:
    """Flink refused the run call for certain, and does not know the job: there is nothing to wait for."""
    absent = draft.observation.job.presence is Presence.ABSENT
    return absent and not submission.seen and submit.was_refused(draft, submission)


def overdue(draft: Draft) -> bool:
    """Whether a deletion's deadline has passed while an operation is still in progress."""
    return draft.job.meta.deletion_time is not None and draft.live is not None and expired(draft)


def give_up(draft: Draft, submission: Submission) -> None:
    """At the deadline: cancel if the cluster answers (for one more attempt's time), else leave the job behind."""
    if _policy(draft) is DeletionPolicy.ORPHAN:
        _orphan(draft, submission)
        return
    operation = draft.status.operation
    present = draft.observation.cluster.reachable and draft.observation.job.presence is Presence.PRESENT
    if present and (operation is None or operation.kind is not OperationKind.CANCEL):
        begin_cancel(draft, submission, by=Cause.DELETION)
        return
    since = operation.since if operation is not None and operation.kind is OperationKind.CANCEL else None
    if present and since is not None and (draft.now - since).total_seconds() < ATTEMPT_SECONDS:
        assert submission.job_id is not None
        draft.act(CancelJob(url=submission.cluster_url or "", job_id=submission.job_id))
        draft.wait("Delete", Reason.Deleting, f"cancelling job {submission.job_id}", again=0.5)
        return
    stop = f"; a savepoint may lie below {operation.directory}" if operation is not None and operation.directory else ""
    draft.event(
        Reason.LeftBehind,
        f"job {submission.job_id} at {submission.cluster_url} could not be ended by the deadline{stop}",
        warning=True,
    )
    _let_go(draft, keep_artifact=True)


def expired(draft: Draft) -> bool:
    """Whether the deadline has passed and one full attempt was made."""
    deleted = draft.job.meta.deletion_time
    assert deleted is not None
    if _forced(draft):
        return draft.observation.deleting_for >= ATTEMPT_SECONDS
    allowed = 300.0
    if draft.spec is not None:
        allowed = duration_seconds(draft.spec.deletion.timeout)
        if draft.spec.deletion.policy is DeletionPolicy.SAVEPOINT:
            allowed = max(allowed, duration_seconds(draft.spec.savepoints.timeout) + 60.0)
    return draft.now >= deleted + timedelta(seconds=allowed) and draft.observation.deleting_for >= ATTEMPT_SECONDS


def _forced(draft: Draft) -> bool:
    forced = draft.job.meta.annotations.get(ANNOTATION_FORCE_DELETE) == "true"
    return forced or draft.observation.namespace_terminating


def _policy(draft: Draft) -> DeletionPolicy:
    policy = draft.spec.deletion.policy if draft.spec is not None else DeletionPolicy.CANCEL
    if policy is not DeletionPolicy.ORPHAN and _forced(draft):
        return DeletionPolicy.CANCEL
    return policy


def _stop(draft: Draft, submission: Submission) -> None:
    """With a savepoint where there is a directory and all tasks run, else by a cancel."""
    spec = draft.spec
    assert spec is not None
    base = directory_for(draft.observation.cluster, spec.savepoints.directory)
    overview = draft.observation.job.overview
    if base is None or overview is None:
        begin_cancel(draft, submission, by=Cause.DELETION)
    elif overview.all_tasks_running:
        begin_stop(draft, submission, by=Cause.DELETION, base=base, format_type=spec.savepoints.format_type)
    elif not submission.running and _has_no_state(draft, submission):
        begin_cancel(draft, submission, by=Cause.DELETION)
    else:
        draft.wait("Delete", Reason.WaitingForTasks, "a savepoint needs all tasks running", again=1.0)


def _has_no_state(draft: Draft, submission: Submission) -> bool:
    """Whether the job certainly completed nothing that a savepoint could save."""
    assert submission.job_id is not None
    stats = draft.need_checkpoints(submission.job_id)
    return stats is not None and stats.newest_completed() is None


def _let_go(draft: Draft, *, keep_artifact: bool = False) -> None:
    submission = draft.submission
    if submission is not None and submission.artifact_digest and submission.cluster_url and not keep_artifact:
        draft.act(DiscardArtifact(url=submission.cluster_url, digest=submission.artifact_digest))
    if FINALIZER in draft.job.meta.finalizers:
        draft.act(RemoveFinalizer())
    draft.wait("Delete", Reason.Deleting, "nothing is left to do")
