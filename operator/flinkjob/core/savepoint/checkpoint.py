"""Where a checkpoint that was asked for lies: Flink tells its id at once, its place in statistics that are seconds old.

Part of `decide_savepoint`. Invariant: a FlinkSavepoint of a checkpoint completes only with the place of that very checkpoint.
"""

from __future__ import annotations

from dataclasses import replace

from flinkjob.api.enums import SavepointErrorCode
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.reasons import Reason
from flinkjob.core.flinkmodel import CheckpointStats, CheckpointStatus, TriggerResult, TriggerState
from flinkjob.core.model import SavepointDecision
from flinkjob.core.savepoint.draft import FALSE, TRUE, SavepointRound
from flinkjob.core.seen import Presence

LOOK_AGAIN = 0.5
"""Seconds between looks into Flink's statistics."""


class CheckpointRound(SavepointRound):
    """The end of a checkpoint that Flink says is complete."""

    def _located(self, spec: FlinkSavepointSpec, number: int, *, late: bool) -> SavepointDecision:
        """Complete as soon as the place is known; until then it is in progress, its id noted in the status."""
        self.status = replace(self.status, checkpoint_id=number)
        presence = self.given.observation.job.presence
        stats = self._need_checkpoints() if presence is not Presence.UNKNOWN else None
        entry = next((one for one in stats.snapshots() if one.checkpoint_id == number), None) if stats else None
        place = entry.external_path if entry is not None else None
        if place is None and entry is None and stats is not None and _moved_on(stats, number):
            place = _beside(stats, number)
        if place is not None:
            return self._complete(
                spec, TriggerResult(state=TriggerState.COMPLETED, location=place, checkpoint_id=number)
            )
        if entry is not None and entry.status is CheckpointStatus.COMPLETED:
            message = f"checkpoint {number} is complete, but the job keeps its checkpoints nowhere outside itself"
            return self._fail(SavepointErrorCode.NO_SNAPSHOT, message)
        if late or presence is Presence.ABSENT:
            message = f"checkpoint {number} completed, but Flink did not report its location"
            return self._fail(SavepointErrorCode.NO_SNAPSHOT, message)
        self._requeue_after(LOOK_AGAIN)
        message = f"looking for the place of checkpoint {number}"
        return self._settle(Reason.InProgress, message, ready=FALSE, reconciling=TRUE, stalled=FALSE)


def _moved_on(stats: CheckpointStats, number: int) -> bool:
    """Whether the history, which keeps few entries, shows only later ones."""
    return bool(stats.history) and min(one.checkpoint_id for one in stats.history) > number


def _beside(stats: CheckpointStats, number: int) -> str | None:
    """The place that follows from another checkpoint's: Flink numbers them in one directory."""
    for one in stats.snapshots():
        parent, name = (one.external_path or "").rpartition("/")[::2]
        if not one.is_savepoint and parent and name == f"chk-{one.checkpoint_id}":
            return f"{parent}/chk-{number}"
    return None
