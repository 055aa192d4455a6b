"""The end of a FlinkSavepoint whose snapshot is complete: what its status and its mark say of it.

Part of `decide_savepoint`. Invariant: of one that is complete only size and checkpoint id are filled in, once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from flinkjob.api.codec import read_result, write_result
from flinkjob.api.constants import ANNOTATION_RESULT
from flinkjob.api.enums import SavepointErrorCode, SavepointPhase
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.api.reasons import Reason
from flinkjob.core.facts import Checkpoints
from flinkjob.core.flinkmodel import Checkpoint, TriggerResult, TriggerState, normalise_location
from flinkjob.core.savepoint.draft import SavepointDraft, SavepointHalt, TrueCondition
from flinkjob.core.seen import Presence
from flinkjob.core.units import readable_duration, readable_size

SIZE_WAIT = 10.0
"""Seconds after its end within which a snapshot's size is still looked for (Flink's statistics are up to 3 s old)."""
ALIKE_FOR = timedelta(seconds=60)
"""No end is put further into the future than this."""


def completed_at(location: str | None, checkpoint_id: int | None = None) -> TriggerResult:
    """What Flink would have answered of a snapshot that is known from elsewhere."""
    return TriggerResult(state=TriggerState.COMPLETED, location=location, checkpoint_id=checkpoint_id)


def complete(draft: SavepointDraft, spec: FlinkSavepointSpec, result: TriggerResult) -> SavepointHalt:
    """Latch the end: the snapshot is complete."""
    present = draft.observation.job.presence is Presence.PRESENT
    snapshot = find_snapshot(draft, result) if present else None
    location = result.location or (snapshot.external_path if snapshot is not None else None)
    number = result.checkpoint_id or (snapshot.checkpoint_id if snapshot is not None else None)
    draft.status = replace(
        draft.status,
        phase=SavepointPhase.COMPLETED,
        location=location,
        checkpoint_id=number,
        end_time=_end_time(draft, number),
        duration=readable_duration(draft.now - (draft.before.start_time or draft.now)),
        job_state=draft.overview.state if draft.overview is not None else draft.status.job_state,
        retry_time=None,
        error=None,
    )
    _fill_in_size(draft, snapshot)
    run, job_id = draft.status.submission, draft.status.job_id
    whose = f"run {run}" if run is not None else f"job {job_id}"
    draft.event(Reason.SavepointCompleted, f"{spec.type} {location} of {whose}")
    return completed(draft)


def completed(draft: SavepointDraft) -> SavepointHalt:
    """Halt: the status says all of a complete snapshot that is known."""
    return SavepointHalt(condition=TrueCondition.READY, reason=Reason.Completed, message=draft.status.location or "")


def fill_in(draft: SavepointDraft) -> SavepointHalt:
    """Fill in size and checkpoint id when Flink's statistics have caught up; nothing else ever changes."""
    _look_for_size(draft)
    return completed(draft)


def _look_for_size(draft: SavepointDraft) -> None:
    """Take what lacks of a complete snapshot from Flink's statistics, or look again soon where they may yet have it."""
    status, there = draft.status, draft.observation.cluster
    recent = status.end_time is not None and (draft.now - status.end_time).total_seconds() < SIZE_WAIT
    lacking = status.size_bytes is None and status.location and status.job_id
    if not (lacking and recent and there.reachable and there.url == status.cluster_url):
        return
    snapshot = find_snapshot(draft, completed_at(status.location))
    if snapshot is None:
        draft.requeue_after(1.0)
    else:
        draft.status = replace(status, checkpoint_id=snapshot.checkpoint_id)
        _fill_in_size(draft, snapshot)


def take_from_mark(draft: SavepointDraft, mark: str) -> SavepointHalt:
    """Recorded by the operator, or created again or restored from a backup: done already, nothing is triggered.

    What it lacks is looked for at once, so that one write has all of it.
    """
    try:
        result = read_result(mark)
    except ValueError:
        return draft.fail(SavepointErrorCode.SAVEPOINT_FAILED, f"annotation {ANNOTATION_RESULT} cannot be read")
    status = replace(
        draft.before,
        phase=SavepointPhase.COMPLETED,
        location=result.location,
        job_id=result.job_id,
        checkpoint_id=result.checkpoint_id,
        submission=result.submission,
        origin=draft.origin,
        cluster_url=result.cluster_url,
        end_time=result.end_time or draft.meta.creation_time or draft.now,
        duration=result.duration,
    )
    draft.status = with_size(status, result.size_bytes)
    _look_for_size(draft)
    return completed(draft)


def mark_of(draft: SavepointDraft) -> str | None:
    """The mark that keeps the result for a restored object; None where nothing is to be marked."""
    status, meta = draft.status, draft.meta
    marked = ANNOTATION_RESULT in meta.annotations
    if status.phase is not SavepointPhase.COMPLETED or marked or meta.deletion_time is not None:
        return None
    return write_result(status)


def find_snapshot(draft: SavepointDraft, result: TriggerResult) -> Checkpoint | None:
    """The snapshot's entry in the statistics, when they show it already."""
    stats = draft.need(Checkpoints(draft.status.flink_job_id)) if draft.status.job_id is not None else None
    place = normalise_location(result.location) if result.location else None
    for snapshot in stats.snapshots() if stats is not None else ():
        its = normalise_location(snapshot.external_path) if snapshot.external_path else None
        if snapshot.checkpoint_id == result.checkpoint_id or (its is not None and its == place):
            return snapshot
    return None


def with_size(status: FlinkSavepointStatus, size_bytes: int | None) -> FlinkSavepointStatus:
    """The status with this size, for programs and for people."""
    return replace(status, size_bytes=size_bytes, size=readable_size(size_bytes) if size_bytes is not None else None)


def _fill_in_size(draft: SavepointDraft, snapshot: Checkpoint | None) -> None:
    if snapshot is not None and snapshot.state_bytes is not None:
        draft.status = with_size(draft.status, snapshot.state_bytes)


def _end_time(draft: SavepointDraft, number: int | None) -> datetime:
    """Now, or a second after the end of another savepoint of the run that this one comes after.

    So that the newest is known: times are kept in whole seconds, and Flink may report numbers seconds later or never.
    """
    second = draft.now.replace(microsecond=0)
    ends = [
        other.status.end_time
        for other in draft.given.others
        if other.status.phase is SavepointPhase.COMPLETED
        and other.status.job_id == draft.status.job_id
        and (number is None or other.status.checkpoint_id is None)
        and other.status.end_time is not None
        and second <= other.status.end_time < second + ALIKE_FOR
    ]
    return max(ends) + timedelta(seconds=1) if ends else draft.now
