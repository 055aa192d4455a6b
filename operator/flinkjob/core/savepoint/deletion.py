"""A FlinkSavepoint that is being deleted with its data: dispose of them unless they are in use, and let the object go.

Part of `decide_savepoint`. Invariants: one in progress is waited for, so that its data do not appear when nobody looks after
them any more; the intent is in the status before the disposal; it ends at its deadline. What the
operator did not take itself is deleted only where an administrator allows it: whose data they are cannot be told from the
spelling of their place.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from datetime import datetime

from flinkjob.api.codec import FlinkSavepoint
from flinkjob.api.common import duration_seconds
from flinkjob.api.enums import SavepointMode, SavepointPhase, SnapshotDeletion
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import (
    RemoveFinalizer,
)
from flinkjob.core.errors import Invalid
from flinkjob.core.facts import Disposal
from flinkjob.core.flinkmodel import (
    Checkpoint,
    CheckpointKind,
    is_checkpoint_place,
    normalise_location,
)
from flinkjob.core.identity import is_attempt_of
from flinkjob.core.model import SavepointDecision
from flinkjob.core.pauses import FAST
from flinkjob.core.savepoint.after_end import EndRound
from flinkjob.core.seen import DisposalPhase, Presence


class DeletionRound(EndRound):
    """Deletion with the data."""

    @abstractmethod
    def _work(self, spec: FlinkSavepointSpec) -> SavepointDecision:
        """The next step of one that is in progress."""

    def _delete(self, spec: FlinkSavepointSpec | None) -> SavepointDecision:
        """Dispose of the data unless they are in use, and let the object go, at the deadline in any case."""
        if spec is None or spec.deletion.policy is SnapshotDeletion.RETAIN:
            return self._release()
        deleted = self.meta.deletion_time or self.now
        remaining = duration_seconds(spec.deletion.timeout) - (self.now - deleted).total_seconds()
        if remaining > 0:
            self._requeue_after(remaining + 0.1)
        location = self.before.location
        if location is None:
            return self._outcome(spec, late=remaining <= 0)
        if spec.mode is SavepointMode.EXISTING and spec.location is None and is_checkpoint_place(location):
            return self._keep(True, "it is a checkpoint of Flink's own")
        if why := self._not_ours(location):
            return self._keep(True, why)
        if why := self._in_use(location):
            return self._keep(remaining <= 0, f"{location} {why}")
        if not self.before.deleting:
            self.status = replace(self.before, deleting=True)
            self._requeue_after(FAST)
            return SavepointDecision(status=self.status, actions=tuple(self.actions), requeue_after=self.delay)
        disposal = self.given.observation.need(Disposal(self.given.disposers, location))
        match disposal.phase:
            case DisposalPhase.DONE:
                self._event(Reason.SnapshotDeleted, location)
                return self._release()
            case DisposalPhase.WORKING:
                return self._keep(remaining <= 0, "it is being disposed of")
            case DisposalPhase.FAILED:
                return self._keep(remaining <= 0, disposal.message)

    def _outcome(self, spec: FlinkSavepointSpec, *, late: bool) -> SavepointDecision:
        """Without a place: wait for the one in progress, and for what may come after its time-out."""
        if self.before.phase is SavepointPhase.IN_PROGRESS:
            if not late:
                return self._work(spec)
        elif self.before.phase is not SavepointPhase.FAILED or not self._may_come(spec):
            return self._release()
        elif (place := self._came(spec)) is not None:
            self.status = replace(self.before, location=place.location, checkpoint_id=place.checkpoint_id)
            self._requeue_after(FAST)
            return SavepointDecision(status=self.status, actions=tuple(self.actions), requeue_after=self.delay)
        elif self.status.trigger_id is None:
            return self._release()
        elif not late:
            return self._done()
        message = f"Flink may still write a snapshot below {self.before.directory}"
        self._event(Reason.SnapshotKept, message, warning=True)
        return self._release()

    def _not_ours(self, location: str) -> str:
        """Why data that the operator did not take must stay; "" where it took them, or may delete them all the same."""
        if is_attempt_of(location, self.meta.namespace):
            return ""
        try:
            self.given.grants.check(self.meta.namespace, location)
        except Invalid:
            return "the operator did not take it, and its place is not granted to this namespace (--store-grants)"
        return ""

    def _in_use(self, location: str) -> str:
        """Why the data must stay; "" when nothing needs them."""
        if normalise_location(location) in self.given.in_use:
            return "is in use"
        run, status = self._run, self.given.job_status
        if run is None or run.end is not None or run.job_id != self.before.job_id or status.submission is None:
            return ""
        if self.given.observation.job.presence is not Presence.PRESENT:
            return "may be the newest state of a job that does not answer"
        stats = self._need_checkpoints()
        newest = stats.newest_completed(CheckpointKind.CHECKPOINT) if stats is not None else None
        number = self.before.checkpoint_id
        if newest is not None and newest.is_usable and _later(newest, number, self.before.end_time):
            return ""
        if any(self._is_newer(other) for other in self.given.others):
            return ""
        return "is the newest state of the running job"

    def _is_newer(self, other: FlinkSavepoint) -> bool:
        """Whether another savepoint of the same run was taken later, and stays."""
        mine, its = self.before, other.status
        if its.phase is not SavepointPhase.COMPLETED or its.job_id != mine.job_id or its.location is None:
            return False
        if its.deleting or other.meta.deletion_time is not None or is_checkpoint_place(its.location):
            return False
        if mine.checkpoint_id is not None and its.checkpoint_id is not None:
            return its.checkpoint_id > mine.checkpoint_id
        return mine.end_time is not None and its.end_time is not None and its.end_time > mine.end_time

    def _keep(self, late: bool, why: str) -> SavepointDecision:
        if late:
            self._event(Reason.SnapshotKept, f"{self.before.location} stays: {why}", warning=True)
            return self._release()
        self._requeue_after(5.0)
        return self._done()

    def _release(self) -> SavepointDecision:
        self.actions.append(RemoveFinalizer())
        return self._done()


def _later(checkpoint: Checkpoint, number: int | None, taken: datetime | None) -> bool:
    """Whether a checkpoint is newer than a savepoint: by its id, by time only where Flink had not told the savepoint's."""
    if number is not None:
        return checkpoint.checkpoint_id > number
    completed = checkpoint.latest_ack_time
    return completed is not None and taken is not None and completed > taken
