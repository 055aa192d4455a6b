"""Where a checkpoint that was asked for is: Flink reports its id at once, its place in statistics that are seconds old.

Part of `decide_savepoint`. Invariant: a FlinkSavepoint of a checkpoint completes only with the place of that very checkpoint.
"""

from __future__ import annotations

from dataclasses import replace

from flinkjob.api.enums import SavepointErrorCode
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.reasons import Reason
from flinkjob.core.facts import Checkpoints
from flinkjob.core.flinkmodel import CheckpointStats, CheckpointStatus
from flinkjob.core.savepoint.completed import complete, completed_at
from flinkjob.core.savepoint.draft import SavepointDraft, SavepointHalt, TrueCondition
from flinkjob.core.seen import Presence

LOOK_AGAIN = 0.5
"""Seconds between looks into Flink's statistics."""


def locate(draft: SavepointDraft, spec: FlinkSavepointSpec, number: int, *, late: bool) -> SavepointHalt:
    """Complete as soon as the place is known; until then it is in progress, its id noted in the status."""
    draft.status = replace(draft.status, checkpoint_id=number)
    presence = draft.observation.job.presence
    stats = draft.need(Checkpoints(draft.before.flink_job_id)) if presence is not Presence.UNKNOWN else None
    entry = next((one for one in stats.snapshots() if one.checkpoint_id == number), None) if stats is not None else None
    place = entry.external_path if entry is not None else _place_beside(stats, number)
    if place is not None:
        return complete(draft, spec, completed_at(place, number))
    if entry is not None and entry.status is CheckpointStatus.COMPLETED:
        message = f"checkpoint {number} is complete, but the job keeps its checkpoints nowhere outside itself"
        return draft.fail(SavepointErrorCode.NO_SNAPSHOT, message)
    if late or presence is Presence.ABSENT:
        message = f"checkpoint {number} completed, but Flink did not report its location"
        return draft.fail(SavepointErrorCode.NO_SNAPSHOT, message)
    draft.requeue_after(LOOK_AGAIN)
    message = f"looking for the place of checkpoint {number}"
    return SavepointHalt(condition=TrueCondition.RECONCILING, reason=Reason.InProgress, message=message)


def _place_beside(stats: CheckpointStats | None, number: int) -> str | None:
    """The place that follows from another checkpoint's, where the history, which keeps few entries, shows only later ones.

    Flink numbers the checkpoints of a job in one directory.
    """
    if stats is None or not stats.history or min(one.checkpoint_id for one in stats.history) <= number:
        return None
    for one in stats.snapshots():
        parent, name = (one.external_path or "").rpartition("/")[::2]
        if not one.is_savepoint and parent and name == f"chk-{one.checkpoint_id}":
            return f"{parent}/chk-{number}"
    return None
