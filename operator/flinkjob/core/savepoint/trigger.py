"""The attempts of a snapshot that is asked of Flink: begun when the job is ready, sent, and tried again after a pause.

Part of `decide_savepoint`: mode Trigger, and with `target` also Stop and Cancel; `follow` says how an attempt goes on.
Invariant: the trigger id and the attempt's own directory are in the status before the call.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from flinkjob.api.enums import CheckpointType, SavepointErrorCode, SavepointMode, SavepointPhase
from flinkjob.api.flinkjob_spec import SavepointsSpec
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import TakeCheckpoint
from flinkjob.core.backoff import delay_seconds
from flinkjob.core.errors import SavepointFailure
from flinkjob.core.flinkmodel import TriggeredCheckpoint
from flinkjob.core.identity import attempt_directory, trigger_id
from flinkjob.core.job.stopping import savepoint_call
from flinkjob.core.savepoint.draft import SavepointDraft, SavepointHalt, TrueCondition

NO_DIRECTORY = "set spec.directory: neither the FlinkJob nor the cluster names a directory for savepoints"


def begin_attempt(draft: SavepointDraft, spec: FlinkSavepointSpec) -> SavepointHalt:
    """Write the intent of the next attempt and send it, once the job is ready for it."""
    run = draft.reference.job_to_act_on(draft, spec)
    if isinstance(run, SavepointHalt):
        return run
    if (halt := draft.pausing() or _not_ready(draft)) is not None:
        return halt
    base = None if spec.is_checkpoint else base_directory(draft, spec)
    if isinstance(base, SavepointHalt):
        return base
    _note_attempt(draft, spec, run, base)
    send(draft, spec)
    return draft.in_progress()


def _not_ready(draft: SavepointDraft) -> SavepointHalt | None:
    """Halt while the job is busy, or cannot take a savepoint."""
    operation = draft.given.job_status.operation
    if operation is not None:
        return draft.wait(Reason.Pending, f"waiting for the {operation.kind} in progress")
    if draft.overview is None or not draft.overview.all_tasks_running:
        return draft.wait(Reason.WaitingForTasks, "a savepoint needs all tasks running", requeue_after=1.0)
    return None


def base_directory(draft: SavepointDraft, spec: FlinkSavepointSpec) -> str | SavepointHalt:
    """Below which directory savepoints are written: the spec's, the FlinkJob's or the cluster's."""
    base = draft.observation.cluster.directory_for(spec.directory or _wishes_of_job(draft).directory)
    return base if base is not None else draft.fail(SavepointErrorCode.NO_SAVEPOINT_DIRECTORY, NO_DIRECTORY)


def _wishes_of_job(draft: SavepointDraft) -> SavepointsSpec:
    """What the FlinkJob says of savepoints."""
    job = draft.given.job
    return job.spec.savepoints if job is not None and job.spec is not None else SavepointsSpec()


def _note_attempt(draft: SavepointDraft, spec: FlinkSavepointSpec, run: Submission, base: str | None) -> None:
    """Write the intent to the status. `base`: see `base_directory`; None for a checkpoint."""
    before, meta, cluster = draft.before, draft.meta, draft.observation.cluster
    kind = spec.type if spec.mode is SavepointMode.TRIGGER else spec.mode
    attempt = before.attempt + 1
    directory = None
    if base is not None:
        directory = attempt_directory(
            base,
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
            submission=run.number,
            kind=kind,
            attempt=attempt,
        )
    draft.status = replace(
        before,
        phase=SavepointPhase.IN_PROGRESS,
        trigger_id=trigger_id(meta.uid, run.number, kind, attempt),
        directory=directory,
        attempt=attempt,
        job_id=run.job_id,
        submission=run.number or None,
        origin=draft.origin,
        start_time=before.start_time or draft.now,
        format_type=None if spec.is_checkpoint else spec.format_type or _wishes_of_job(draft).format_type,
        flink_version=cluster.flink_version,
        cluster_url=cluster.url,
        retry_time=None,
    )


def send(draft: SavepointDraft, spec: FlinkSavepointSpec) -> None:
    """Ask Flink for what the status has as the intent; the same again is the same call."""
    url, status = draft.observation.cluster.url, draft.status
    job_id, full = status.flink_job_id, spec.checkpoint_type is CheckpointType.FULL
    if spec.is_checkpoint:
        kind = TriggeredCheckpoint.FULL if full else TriggeredCheckpoint.CONFIGURED
        draft.act(TakeCheckpoint(url=url, job_id=job_id, trigger_id=status.trigger, checkpoint_type=kind))
    else:
        draft.act(savepoint_call(status, spec.mode, url=url, job_id=job_id, drain=spec.drain))


def attempt_failed(
    draft: SavepointDraft, spec: FlinkSavepointSpec, cause: str, failure: SavepointFailure, *, late: bool = False
) -> SavepointHalt:
    """Try again after a pause, unless another attempt would be useless, too late or one too many."""
    failures = draft.before.failures + 1
    if failure is SavepointFailure.JOB_NOT_FOUND:
        return draft.fail(SavepointErrorCode.JOB_NOT_RUNNING, cause, failures=failures)
    if late or failure.repeats or failures > spec.backoff_limit:
        return draft.fail(SavepointErrorCode.SAVEPOINT_FAILED, cause, failures=failures)
    pause = delay_seconds(failures, seed=draft.meta.uid, initial=2.0)
    draft.event(Reason.SavepointFailed, f"attempt {draft.before.attempt}: {cause}", warning=True)
    draft.status = replace(
        draft.before,
        phase=SavepointPhase.PENDING,
        trigger_id=None,
        failures=failures,
        retry_time=draft.now + timedelta(seconds=pause),
    )
    draft.requeue_after(pause + 0.05)
    return SavepointHalt(condition=TrueCondition.RECONCILING, reason=Reason.BackOff, message=cause)
