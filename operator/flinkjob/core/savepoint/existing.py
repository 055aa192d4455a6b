"""Mode Existing: register a snapshot that was made before, by its place or as the newest one of the job.

Part of `decide_savepoint`. Invariant: nothing is sent to Flink.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from flinkjob.api.enums import SavepointErrorCode, SavepointPhase, SnapshotKind
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.reasons import Reason
from flinkjob.core.facts import Checkpoints
from flinkjob.core.flinkmodel import Checkpoint
from flinkjob.core.savepoint.completed import completed, with_size
from flinkjob.core.savepoint.draft import SavepointDraft, SavepointHalt
from flinkjob.core.seen import Presence
from flinkjob.core.units import readable_duration

LOOK_AGAIN = 0.15
"""Seconds between two looks for statistics whose newest checkpoint is still there."""
ALL_DISCARDED_FOR = 60.0
"""Seconds after its creation for which a FlinkSavepoint waits for those."""
_KEPT = (SnapshotKind.SAVEPOINT, SnapshotKind.CHECKPOINT, SnapshotKind.RESTORED)


def register(draft: SavepointDraft, spec: FlinkSavepointSpec) -> SavepointHalt:
    """Register the snapshot at `location`, else the one that an ended run has left, or the newest of one that goes on."""
    run = draft.run
    if spec.location is not None:
        return _registered(draft, spec.location, run)
    named = spec.job_ref.job_id if spec.job_ref is not None else None
    if run is not None and run.end is not None and named in (None, run.job_id):
        return _found(draft, run.end.snapshot if run.end.snapshot_kind in _KEPT else None, run)
    found = draft.reference.job_to_look_at(draft, spec)
    return found if isinstance(found, SavepointHalt) else _register_newest(draft, found)


def _register_newest(draft: SavepointDraft, run: Submission) -> SavepointHalt:
    """The newest snapshot of a run that goes on, by Flink's statistics; else the one that it was started from."""
    if draft.observation.job.presence is not Presence.PRESENT:
        return draft.wait(Reason.Pending, f"waiting for an answer about job {run.job_id}", requeue_after=1.0)
    stats = draft.need(Checkpoints(run.flink_job_id))
    if stats is None:
        return _found(draft, None, run)
    newest = next((one for one in stats.snapshots() if one.is_usable), None)
    if newest is not None:
        return _registered(draft, newest.external_path, run, newest)
    if stats.newest_completed() is not None and not _waited_long(draft):
        message = "waiting for newer statistics: these list checkpoints that were replaced"
        return draft.wait(Reason.Pending, message, requeue_after=LOOK_AGAIN)
    return _found(draft, stats.restored.external_path if stats.restored is not None else None, run)


def _waited_long(draft: SavepointDraft) -> bool:
    """Whether it was looked for long enough while all that Flink listed was discarded already.

    Its statistics are up to 3 s old, but say at once which of their checkpoints a newer one has replaced.
    """
    begun = draft.meta.creation_time or draft.now
    return (draft.now - begun).total_seconds() > ALL_DISCARDED_FOR


def _found(draft: SavepointDraft, place: str | None, run: Submission) -> SavepointHalt:
    if place is None:
        return draft.fail(SavepointErrorCode.NO_SNAPSHOT, f"job {run.job_id} has completed no snapshot that is left")
    return _registered(draft, place, run)


def _registered(
    draft: SavepointDraft, place: str | None, run: Submission | None, snapshot: Checkpoint | None = None
) -> SavepointHalt:
    """Complete, with what Flink reports of the snapshot where it does."""
    cluster = draft.observation.cluster
    draft.status = replace(
        draft.before,
        phase=SavepointPhase.COMPLETED,
        location=place,
        job_id=run.job_id if run is not None else None,
        submission=(run.number or None) if run is not None else None,
        job_state=draft.overview.state if draft.overview is not None else None,
        origin=draft.origin,
        cluster_url=cluster.url or None,
        flink_version=cluster.flink_version,
        start_time=draft.now,
        end_time=draft.now,
    )
    if snapshot is not None:
        lasted = timedelta(milliseconds=snapshot.duration_ms) if snapshot.duration_ms is not None else None
        draft.status = replace(
            with_size(draft.status, snapshot.state_bytes),
            checkpoint_id=snapshot.checkpoint_id,
            start_time=snapshot.trigger_time or draft.now,
            end_time=snapshot.latest_ack_time or draft.now,
            duration=readable_duration(lasted) if lasted is not None else None,
        )
    draft.event(Reason.SavepointCompleted, f"registered {place}")
    return completed(draft)
