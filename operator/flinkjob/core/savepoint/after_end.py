"""After the end of a FlinkSavepoint: its time to live, and a savepoint that Flink completes after its time-out.

Part of `decide_savepoint`. Invariants: an object that Argo CD, Flux or Helm owns is not removed, since they would create it
again; phase and error of a FlinkSavepoint that failed stay as they are.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from flinkjob.api.codec import FlinkSavepoint
from flinkjob.api.enums import SavepointErrorCode, SavepointPhase
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import DeleteObject
from flinkjob.core.facts import Checkpoints
from flinkjob.core.flinkmodel import TriggerResult, TriggerState
from flinkjob.core.job.finished import owned_by
from flinkjob.core.savepoint.completed import SIZE_WAIT, completed_at, find_snapshot
from flinkjob.core.savepoint.draft import CONDITIONS_STAY, SavepointDraft, SavepointHalt

FINAL = (SavepointPhase.COMPLETED, SavepointPhase.FAILED)
LATE_FOR = 3600.0
"""Seconds after a time-out for which Flink is asked whether it completed the savepoint all the same."""
LATE_PAUSE = (2.0, 60.0)
"""The shortest and the longest pause, seconds, between two such questions: a fifth of the time that has passed."""


def needs_cluster(savepoint: FlinkSavepoint, now: datetime) -> bool:
    """Whether it has to do with its cluster: not finished, being deleted, or just finished and not wholly described."""
    status = savepoint.status
    if savepoint.meta.deletion_time is not None or status.phase not in FINAL:
        return True
    passed = (now - status.end_time).total_seconds() if status.end_time is not None else LATE_FOR
    if status.phase is SavepointPhase.COMPLETED:
        return status.size_bytes is None and status.job_id is not None and passed < SIZE_WAIT
    late = status.error is not None and status.error.error_code is SavepointErrorCode.TIMEOUT
    return late and status.location is None and status.trigger_id is not None and passed < LATE_FOR


def remove_after_ttl(draft: SavepointDraft) -> None:
    """Remove the object when `ttlSecondsAfterFinished` has passed since its end."""
    spec, status, meta, before = draft.spec, draft.status, draft.meta, draft.before
    ttl = spec.ttl_seconds_after_finished if spec is not None else None
    if ttl is None or status.phase not in FINAL or status.end_time is None or meta.deletion_time is not None:
        return
    if owner := owned_by(meta):
        if before.phase not in FINAL or before.observed_generation != meta.generation:
            message = f"ttlSecondsAfterFinished: {owner} would create the object again"
            draft.event(Reason.TTLIgnored, message, warning=True)
        return
    since = max(status.end_time, meta.creation_time or status.end_time)  # one that is restored from a backup lives anew
    remaining = (since + timedelta(seconds=ttl) - draft.now).total_seconds()
    if remaining > 0:
        draft.requeue_after(remaining + 0.1)
    else:
        draft.act(DeleteObject())


def stay_failed(draft: SavepointDraft) -> SavepointHalt:
    """Nothing more, but for a savepoint that Flink may still complete: its place is noted."""
    spec, before = draft.spec, draft.before
    draft.status = replace(before, observed_generation=draft.meta.generation)
    if spec is not None and may_complete_late(draft, spec) and (late := completed_late(draft, spec)) is not None:
        draft.status = replace(draft.status, location=late.location, checkpoint_id=late.checkpoint_id)
        draft.event(Reason.SavepointCompleted, f"{spec.type} {late.location} was completed after its timeout")
    return CONDITIONS_STAY


def may_complete_late(draft: SavepointDraft, spec: FlinkSavepointSpec) -> bool:
    """Whether it failed by its time-out alone and Flink can be asked what came of it; it is looked at again for an hour."""
    before, cluster = draft.before, draft.observation.cluster
    if before.error is None or before.error.error_code is not SavepointErrorCode.TIMEOUT or spec.is_checkpoint:
        return False
    if before.location is not None or before.directory is None or before.end_time is None:
        return False
    passed = (draft.now - before.end_time).total_seconds()
    if passed > LATE_FOR:
        return False
    shortest, longest = LATE_PAUSE
    draft.requeue_after(min(max(passed / 5, shortest), longest))
    return before.trigger_id is not None and cluster.reachable and cluster.url == before.cluster_url


def completed_late(draft: SavepointDraft, spec: FlinkSavepointSpec) -> TriggerResult | None:
    """What was completed meanwhile, by its trigger, else by the history below its directory.

    None while there is nothing; one that surely failed loses its trigger id and is not asked for again.
    """
    result = draft.need_trigger(spec)
    if result.state is TriggerState.COMPLETED:
        snapshot = find_snapshot(draft, result)
        return replace(result, checkpoint_id=snapshot.checkpoint_id if snapshot is not None else None)
    if result.state is TriggerState.FORGOTTEN:
        stats = draft.need(Checkpoints(draft.before.flink_job_id))
        made = stats.completed_below(draft.before.directory or "") if stats is not None else None
        return completed_at(made.external_path, made.checkpoint_id) if made is not None else None
    if result.state is TriggerState.FAILED:
        draft.status = replace(draft.status, trigger_id=None)
    return None
