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
from flinkjob.core.actions import DeleteObject, EventType, PostEvent
from flinkjob.core.flinkmodel import CheckpointStatus, TriggerResult, TriggerState
from flinkjob.core.job.finished import owned_by
from flinkjob.core.model import SavepointDecision
from flinkjob.core.savepoint.draft import SIZE_WAIT
from flinkjob.core.savepoint.existing import ExistingRound

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


class EndRound(ExistingRound):
    """What follows the end."""

    def _rest(self, spec: FlinkSavepointSpec | None, decision: SavepointDecision) -> SavepointDecision:
        """The decision, with the removal of the object when its time is over."""
        status = decision.status
        ttl = spec.ttl_seconds_after_finished if spec is not None else None
        if ttl is None or status.phase not in FINAL or status.end_time is None or self.meta.deletion_time is not None:
            return decision
        if owner := owned_by(self.meta):
            if self.before.phase in FINAL and self.before.observed_generation == self.meta.generation:
                return decision
            message = f"ttlSecondsAfterFinished: {owner} would create the object again"
            event = PostEvent(type=EventType.WARNING, reason=Reason.TTLIgnored, message=message)
            return replace(decision, actions=(*decision.actions, event))
        remaining = (status.end_time + timedelta(seconds=ttl) - self.now).total_seconds()
        if remaining > 0:
            soonest = min(remaining + 0.1, decision.requeue_after or remaining + 0.1)
            return replace(decision, requeue_after=soonest)
        return replace(decision, actions=(*decision.actions, DeleteObject()))

    def _failed_before(self, spec: FlinkSavepointSpec | None) -> SavepointDecision:
        """Nothing more, but for a savepoint that Flink may still complete: its place is noted."""
        self.status = replace(self.before, observed_generation=self.meta.generation)
        if spec is not None and self._may_come(spec) and (place := self._came(spec)) is not None:
            self.status = replace(self.status, location=place.location, checkpoint_id=place.checkpoint_id)
            self._event(Reason.SavepointCompleted, f"{spec.type} {place.location} was completed after its timeout")
        return SavepointDecision(status=self.status, actions=tuple(self.actions), requeue_after=self.delay)

    def _may_come(self, spec: FlinkSavepointSpec) -> bool:
        before, observation = self.before, self.given.observation
        if before.error is None or before.error.error_code is not SavepointErrorCode.TIMEOUT:
            return False
        if before.location is not None or before.directory is None or before.end_time is None or spec.is_checkpoint:
            return False
        passed = (self.now - before.end_time).total_seconds()
        if passed > LATE_FOR:
            return False
        shortest, longest = LATE_PAUSE
        self._requeue_after(min(max(passed / 5, shortest), longest))
        return (
            before.trigger_id is not None
            and observation.cluster.reachable
            and observation.cluster.url == before.cluster_url
        )

    def _came(self, spec: FlinkSavepointSpec) -> TriggerResult | None:
        """What was completed meanwhile, by its trigger, else by the history below its directory."""
        result = self._need_trigger(spec)
        if result.state is TriggerState.COMPLETED:
            snapshot = self._find(result)
            return replace(result, checkpoint_id=snapshot.checkpoint_id if snapshot is not None else None)
        if result.state is TriggerState.FORGOTTEN:
            stats = self._need_checkpoints()
            for snapshot in stats.below(self.before.directory or "") if stats is not None else ():
                if snapshot.status is CheckpointStatus.COMPLETED:
                    return TriggerResult(
                        state=TriggerState.COMPLETED,
                        location=snapshot.external_path,
                        checkpoint_id=snapshot.checkpoint_id,
                    )
        if result.state is TriggerState.FAILED:
            self.status = replace(self.status, trigger_id=None)
        return None
