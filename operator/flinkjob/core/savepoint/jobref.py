"""The job of a FlinkSavepoint with `jobRef`: the run of its FlinkJob, once it runs and is the one that is named.

Part of `decide_savepoint`; `target` is the other way to name a job. Invariant: nothing is done to a run that has ended, was
never seen, or belongs to another.
"""

from __future__ import annotations

from flinkjob.api.enums import SavepointErrorCode, SavepointPhase
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.reasons import Reason
from flinkjob.core.savepoint.draft import JobReference, SavepointDraft, SavepointHalt


def running_job(draft: SavepointDraft, spec: FlinkSavepointSpec) -> Submission | SavepointHalt:
    """The run to act on, or why there is none."""
    assert spec.job_ref is not None
    name, run, plan = spec.job_ref.name, draft.run, draft.given.job_status.plan
    if draft.time_is_up(spec) and draft.before.phase is not SavepointPhase.IN_PROGRESS:
        return _begun_too_late(draft, spec, name)
    if draft.given.job is None:
        return draft.wait(Reason.UnknownJob, f"FlinkJob {name} does not exist")
    if run is not None and run.end is None and plan is not None and plan.reason == Reason.OwnedByOther:
        return draft.wait(Reason.Pending, plan.message or "")
    if run is not None and (why := _other_run(spec, run)):
        return draft.fail(SavepointErrorCode.JOB_CHANGED, f"FlinkJob {name} {why}")
    if run is None or not run.lives:
        return draft.wait(Reason.JobNotRunning, f"FlinkJob {name} is not running")
    return run


def _other_run(spec: FlinkSavepointSpec, run: Submission) -> str:
    """How the FlinkJob's run differs from what the spec names; "" where it does not."""
    job_id = spec.job_ref.job_id if spec.job_ref is not None else None
    if spec.submission not in (None, run.number):
        return f"is at run {run.number}, not {spec.submission}"
    return f"runs job {run.job_id}, not {job_id}" if job_id not in (None, run.job_id) else ""


def _begun_too_late(draft: SavepointDraft, spec: FlinkSavepointSpec, name: str) -> SavepointHalt:
    if draft.given.job is None:
        return draft.fail(SavepointErrorCode.UNKNOWN_JOB, f"FlinkJob {name} does not exist")
    if draft.run is None or not draft.run.lives:
        return draft.fail(SavepointErrorCode.JOB_NOT_RUNNING, f"FlinkJob {name} is not running")
    return draft.begun_too_late(spec)


BY_JOB_REF = JobReference(
    run=lambda given: given.job_status.submission,
    job_to_act_on=running_job,
    job_to_look_at=running_job,
    not_this_job=lambda draft, spec: None,
)
"""A FlinkSavepoint with `jobRef`."""
