"""How an attempt goes on that was sent to Flink: in progress, completed, failed, or its trigger was forgotten.

Part of `decide_savepoint`; `trigger` begins an attempt. Invariants: a forgotten trigger is looked for in the checkpoint
history below the attempt's own directory before it is sent again; what Flink says counts, also when the time is up.
"""

from __future__ import annotations

from flinkjob.api.enums import SavepointErrorCode, SavepointMode
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.core.actions import CancelJob
from flinkjob.core.facts import Checkpoints
from flinkjob.core.flinkmodel import FlinkJobState, TriggerResult, TriggerState
from flinkjob.core.savepoint.checkpoint import locate
from flinkjob.core.savepoint.completed import complete, completed_at
from flinkjob.core.savepoint.draft import SavepointDraft, SavepointHalt
from flinkjob.core.savepoint.trigger import attempt_failed, send
from flinkjob.core.seen import Presence

UNANSWERED_PAUSE = 1.0
"""Seconds until a job is looked at again of which it is not known whether it is there."""


def follow_attempt(draft: SavepointDraft, spec: FlinkSavepointSpec) -> SavepointHalt:  # noqa: C901 - lists cases
    """Ask Flink how far it is; that counts also when the time is up: it may have completed while nobody looked."""
    if (halt := draft.reference.not_this_job(draft, spec)) is not None:
        return halt
    late = draft.time_is_up(spec)
    if not draft.observation.cluster.reachable:
        if late:
            return _too_late(draft, spec)
        draft.requeue_after(2.0)
        return draft.unchanged()
    if spec.is_checkpoint and draft.before.checkpoint_id is not None:
        return locate(draft, spec, draft.before.checkpoint_id, late=late)
    result = draft.need_trigger(spec)
    match result.state:
        case TriggerState.IN_PROGRESS if draft.observation.job.answers_no_more:
            return trigger_forgotten(draft, spec, late=late)
        case TriggerState.IN_PROGRESS:
            return _too_late(draft, spec) if late else draft.in_progress()
        case TriggerState.COMPLETED if spec.is_checkpoint and result.checkpoint_id is not None:
            return locate(draft, spec, result.checkpoint_id, late=False)
        case TriggerState.COMPLETED:
            return _complete_when_ended(draft, spec, result, late=late)
        case TriggerState.FAILED:
            return _trigger_failed(draft, spec, result, late=late)
        case TriggerState.FORGOTTEN:
            return trigger_forgotten(draft, spec, late=late)


def trigger_forgotten(draft: SavepointDraft, spec: FlinkSavepointSpec, *, late: bool) -> SavepointHalt:
    """Never sent, expired, or another JobManager: the history below the attempt's own directory says which."""
    before, presence = draft.before, draft.observation.job.presence
    run = draft.run if draft.run is not None and draft.run.job_id == before.job_id else None
    if run is None or presence is Presence.ABSENT:
        if run is not None and run.end is None and not late:
            return draft.in_progress()
        return draft.fail(SavepointErrorCode.JOB_NOT_RUNNING, f"job {before.job_id} went away meanwhile")
    if presence is Presence.UNKNOWN:
        return _too_late(draft, spec) if late else draft.in_progress(requeue_after=UNANSWERED_PAUSE)
    stats = draft.need(Checkpoints(before.flink_job_id))
    made = stats.completed_below(before.directory) if stats is not None and before.directory else None
    if made is not None:
        return _complete_when_ended(draft, spec, completed_at(made.external_path), late=late)
    if late:
        return _too_late(draft, spec)
    if stats is not None and stats.savepoint_in_progress:
        return draft.in_progress()
    return _send_again(draft, spec)


def _send_again(draft: SavepointDraft, spec: FlinkSavepointSpec) -> SavepointHalt:
    """Flink does not have it: the same call once more, unless the object or the job goes."""
    if draft.meta.deletion_time is not None:
        return draft.fail(SavepointErrorCode.SAVEPOINT_FAILED, "it was deleted before Flink had begun")
    if draft.overview is not None and not draft.overview.state.is_terminal:
        send(draft, spec)
        return draft.in_progress()
    lag = draft.observation.cluster.refresh_interval + 0.5
    if draft.overview is not None and draft.observation.job.terminal_for < lag:
        return draft.in_progress()  # the statistics may not show its last savepoint yet
    return draft.fail(SavepointErrorCode.JOB_NOT_RUNNING, f"job {draft.before.job_id} ended meanwhile")


def _complete_when_ended(
    draft: SavepointDraft, spec: FlinkSavepointSpec, result: TriggerResult, *, late: bool
) -> SavepointHalt:
    """Complete; after a stop only when the job has ended, so that its last state is known. A cancel is made sure of."""
    job = draft.overview
    if not spec.is_stop or job is None or job.state.is_terminal or late:
        return complete(draft, spec, result)
    if spec.mode is SavepointMode.CANCEL and job.state is not FlinkJobState.CANCELLING:
        draft.act(CancelJob(url=draft.observation.cluster.url, job_id=job.job_id))
    return draft.in_progress()


def _trigger_failed(
    draft: SavepointDraft, spec: FlinkSavepointSpec, result: TriggerResult, *, late: bool
) -> SavepointHalt:
    """A stop that failed may have made its savepoint, and ended the job, all the same. Those of a FlinkJob are its own."""
    ended = draft.overview is not None and draft.overview.state.is_terminal
    if spec.target is not None and result.failure_path is not None and ended:
        return complete(draft, spec, completed_at(result.failure_path))
    return attempt_failed(draft, spec, result.failure or "Flink gave no cause", result.failure_kind, late=late)


def _too_late(draft: SavepointDraft, spec: FlinkSavepointSpec) -> SavepointHalt:
    return draft.fail(SavepointErrorCode.TIMEOUT, f"not complete within {spec.timeout}; Flink may still complete it")
