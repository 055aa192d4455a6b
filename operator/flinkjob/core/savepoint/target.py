"""The job of a FlinkSavepoint with `target`: a Flink job by address and id, once it is known that it may be acted on.

Part of `decide_savepoint`, for a `target` that is not the current job of a FlinkJob of the namespace. No FlinkJob performs
its stop, so that `trigger` and `follow` do. Invariants: it is known whose job it is before anything is sent; two
FlinkSavepoints of one job are never at work at the same time, since two stops abort each other.
"""

from __future__ import annotations

from flinkjob.api.enums import SavepointErrorCode, SavepointPhase, SubmissionReason
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.reasons import Reason
from flinkjob.core.facts import Checkpoints, OwnerMark
from flinkjob.core.identity import Owner
from flinkjob.core.model import SavepointInput
from flinkjob.core.ownership import Evidence, refusal
from flinkjob.core.savepoint.draft import JobReference, SavepointDraft, SavepointHalt
from flinkjob.core.seen import Presence

ABSENT_FOR = 5.0
"""Seconds for which a cluster must have said that it does not know the job."""


def _run(given: SavepointInput) -> Submission:
    """The job as if it were a FlinkJob's run, which has no number."""
    spec = given.savepoint.spec
    assert spec is not None
    assert spec.target is not None
    url = given.observation.cluster.url
    return Submission(number=0, reason=SubmissionReason.ADOPTED, job_id=spec.target.job_id, cluster_url=url, seen=True)


def idle_job(draft: SavepointDraft, spec: FlinkSavepointSpec) -> Submission | SavepointHalt:
    """The job, once it runs and no other savepoint of it is at work."""
    run = accessible_job(draft, spec)
    if isinstance(run, SavepointHalt):
        return run
    busy = next((one for one in draft.given.others if one.status.phase is SavepointPhase.IN_PROGRESS), None)
    if busy is not None:
        message = f"waiting for FlinkSavepoint {busy.meta.name} of the same job"
        return draft.wait(Reason.Pending, message, requeue_after=1.0)
    if draft.overview is not None and draft.overview.state.is_terminal:
        return draft.fail(SavepointErrorCode.JOB_NOT_RUNNING, f"job {draft.overview.job_id} is {draft.overview.state}")
    stats = draft.need(Checkpoints(run.flink_job_id)) if spec.is_stop else None
    if stats is not None and stats.savepoint_in_progress:
        return draft.wait(Reason.Pending, "waiting for a savepoint of the job that is being written", requeue_after=1.0)
    return run


def accessible_job(draft: SavepointDraft, spec: FlinkSavepointSpec) -> Submission | SavepointHalt:
    """The job, once it is known to be there and that it may be acted on."""
    run, observation = draft.run, draft.observation
    assert run is not None
    if observation.access_denied:
        return draft.fail(SavepointErrorCode.CLUSTER_UNREACHABLE, observation.access_denied)
    if draft.time_is_up(spec):
        return draft.begun_too_late(spec)
    if not observation.cluster.reachable or observation.job.presence is Presence.UNKNOWN:
        message = observation.cluster.error or f"job {run.job_id} does not answer"
        return draft.wait(Reason.ClusterUnreachable, message, requeue_after=1.0)
    if observation.job.presence is Presence.ABSENT:
        if observation.job.absent_for >= ABSENT_FOR:
            return draft.fail(SavepointErrorCode.UNKNOWN_JOB, f"no job {run.job_id} at {observation.cluster.url}")
        message = f"looking for job {run.job_id} at {observation.cluster.url}"
        return draft.wait(Reason.UnknownJob, message, requeue_after=1.0)
    why = _other_owner(draft, run.flink_job_id)
    if why and draft.overview is not None and draft.overview.state.is_beginning:
        return draft.wait(Reason.Pending, f"job {run.job_id} is being initialised", requeue_after=1.0)
    return draft.fail(SavepointErrorCode.OWNED_BY_OTHER, why) if why else run


def _not_this_job(draft: SavepointDraft, spec: FlinkSavepointSpec) -> SavepointHalt | None:
    """What is in progress goes on only with the job that is named, as long as it may be acted on."""
    named, present = draft.run, draft.observation.job.presence is Presence.PRESENT
    assert named is not None
    if draft.before.job_id != named.job_id:
        return draft.fail(SavepointErrorCode.JOB_CHANGED, f"job {draft.before.job_id} is not the one that is named")
    if present and (why := _other_owner(draft, named.flink_job_id)):
        return draft.fail(SavepointErrorCode.OWNED_BY_OTHER, why)
    return None


def _other_owner(draft: SavepointDraft, job_id: str) -> str:
    """Why the job may not be acted on; "" where it may."""
    given = draft.given
    evidence = Evidence(mark=draft.need(OwnerMark(job_id)), claims=given.claims, unmarked=given.unmarked)
    why = refusal(job_id, Owner(given.identity, draft.meta.namespace, ""), evidence, any_name=True)
    return f"job {job_id} {why}" if why else ""


BY_TARGET = JobReference(run=_run, job_to_act_on=idle_job, job_to_look_at=accessible_job, not_this_job=_not_this_job)
"""A FlinkSavepoint with `target`."""
