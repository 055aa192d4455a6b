"""Modes Stop and Cancel: the FlinkJob performs them as its operation, the FlinkSavepoint mirrors it.

Part of `decide_savepoint`. Invariants: nothing is sent from here, so that two stops never meet; it is in progress only after
the FlinkJob's status says so.
"""

from __future__ import annotations

from dataclasses import replace

from flinkjob.api.enums import SavepointOrigin, SavepointPhase
from flinkjob.api.flinkjob_status import Operation
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.api.reasons import Reason
from flinkjob.core.pauses import FAST
from flinkjob.core.requester import SAVEPOINT_PREFIX
from flinkjob.core.savepoint.completed import complete, completed_at
from flinkjob.core.savepoint.draft import SavepointDraft, SavepointHalt
from flinkjob.core.savepoint.jobref import running_job
from flinkjob.core.savepoint.trigger import attempt_failed, base_directory


def mirror_stop(draft: SavepointDraft, spec: FlinkSavepointSpec) -> SavepointHalt:
    """Say how far the FlinkJob's stop for this FlinkSavepoint is."""
    given, me = draft.given, f"{SAVEPOINT_PREFIX}{draft.meta.name}"
    if given.outcome is not None and given.outcome.by == me:
        if given.outcome.location is None:
            return attempt_failed(draft, spec, given.outcome.message, given.outcome.failure)
        draft.status = _known_at_last(draft, me)
        return complete(draft, spec, completed_at(given.outcome.location))
    hold, operation = given.job_status.hold, given.job_status.operation
    if hold is not None and hold.by == draft.meta.name and hold.location is not None:
        draft.status = _known_at_last(draft, me)
        return complete(draft, spec, completed_at(hold.location))
    if operation is None or operation.by != me:
        return _before_stop(draft, spec)
    return _during_stop(draft, operation) if _is_written(draft, operation) else _wait_for_stop(draft)


def _during_stop(draft: SavepointDraft, operation: Operation) -> SavepointHalt:
    draft.status = _attempt(draft, operation)
    return draft.in_progress()


def _known_at_last(draft: SavepointDraft, me: str) -> FlinkSavepointStatus:
    """What the status says of the attempt, also where it was over before the FlinkSavepoint showed it."""
    if draft.before.job_id is not None:
        return draft.status
    written = draft.given.job.status.operation if draft.given.job is not None else None
    if written is not None and written.by == me:
        return _attempt(draft, written)
    run = draft.given.job_status.submission
    if run is None:
        return draft.status
    return replace(
        draft.status,
        job_id=run.job_id,
        submission=run.number,
        origin=SavepointOrigin.MANUAL,
        cluster_url=run.cluster_url,
    )


def _attempt(draft: SavepointDraft, operation: Operation) -> FlinkSavepointStatus:
    cluster = draft.observation.cluster
    return replace(
        draft.before,
        phase=SavepointPhase.IN_PROGRESS,
        trigger_id=operation.trigger_id,
        directory=operation.directory,
        attempt=operation.attempt,
        job_id=operation.job_id,
        submission=operation.submission,
        run_digest=operation.run_digest,
        origin=SavepointOrigin.MANUAL,
        start_time=draft.before.start_time or draft.now,
        format_type=operation.format_type,
        flink_version=cluster.flink_version,
        cluster_url=cluster.url,
        retry_time=None,
    )


def _before_stop(draft: SavepointDraft, spec: FlinkSavepointSpec) -> SavepointHalt:
    """The FlinkJob does not stop for it, or no longer: why not yet, or never."""
    if draft.before.phase is SavepointPhase.IN_PROGRESS:
        draft.status = replace(draft.before, phase=SavepointPhase.PENDING, trigger_id=None)
    run = running_job(draft, spec)
    if isinstance(run, SavepointHalt):
        return run
    if (halt := draft.pausing()) is not None:
        return halt
    base = base_directory(draft, spec)
    return base if isinstance(base, SavepointHalt) else _wait_for_stop(draft)


def _wait_for_stop(draft: SavepointDraft) -> SavepointHalt:
    return draft.wait(Reason.Pending, "waiting for the FlinkJob to stop with it", requeue_after=FAST)


def _is_written(draft: SavepointDraft, operation: Operation) -> bool:
    """Whether the FlinkJob's status has it: only then it is shown, so that whoever edits after that releases the hold."""
    written = draft.given.job.status.operation if draft.given.job is not None else None
    return written is not None and written.trigger_id == operation.trigger_id
