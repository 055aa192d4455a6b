"""What to do about a FlinkSavepoint: trigger and follow it, or mirror the stop that its FlinkJob performs for it.

`decide_savepoint` is called by the reconciler in the same round as `decide_job` for its FlinkJob. Invariants: the trigger
id and the attempt's own directory are in the status before the call; a forgotten trigger is looked for in the checkpoint
history below that directory before it is sent again; a finished FlinkSavepoint is never sent again.
"""

from __future__ import annotations

from typing import Any

from flinkjob.api.constants import ANNOTATION_RESULT, FINALIZER
from flinkjob.api.enums import SavepointErrorCode, SavepointMode, SavepointPhase, SnapshotDeletion
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.core.actions import (
    AddFinalizer,
)
from flinkjob.core.facts import Fact, NeedFact
from flinkjob.core.model import SavepointDecision
from flinkjob.core.savepoint.after_end import EndRound
from flinkjob.core.savepoint.deletion import DeletionRound
from flinkjob.core.savepoint.draft import SavepointInput
from flinkjob.core.savepoint.stop import StopRound
from flinkjob.core.savepoint.target import TargetRound

__all__ = ["SavepointInput", "decide_savepoint"]


def decide_savepoint(given: SavepointInput) -> SavepointDecision | Fact[Any]:
    """Decide about a FlinkSavepoint.

    Returns: what to do, or the one fact that is needed first.
    """
    spec = given.savepoint.spec
    try:
        if spec is not None and spec.target is not None:
            return _TargetRound(given).decide()
        return _Round(given).decide()
    except NeedFact as missing:
        return missing.fact


class _Decision(DeletionRound, EndRound):
    """Which part of the work is at hand."""

    def decide(self) -> SavepointDecision:
        spec = self.given.savepoint.spec
        phase = self.before.phase
        if self.meta.deletion_time is not None:
            return self._delete(spec) if FINALIZER in self.meta.finalizers else self._done()
        if (
            spec is not None
            and spec.deletion.policy is SnapshotDeletion.DELETE
            and FINALIZER not in self.meta.finalizers
        ):
            self.actions.append(AddFinalizer())
        if phase is SavepointPhase.COMPLETED:
            return self._rest(spec, self._completed_before(spec))
        if phase is SavepointPhase.FAILED:
            return self._rest(spec, self._failed_before(spec))
        if phase is None and (mark := self.meta.annotations.get(ANNOTATION_RESULT)):
            return self._rest(spec, self._from_mark(mark))
        if spec is None:
            return self._fail(SavepointErrorCode.SAVEPOINT_FAILED, self.given.savepoint.spec_error or "bad spec")
        return self._rest(spec, self._work(spec))

    def _work(self, spec: FlinkSavepointSpec) -> SavepointDecision:
        if spec.mode is SavepointMode.EXISTING:
            return self._register(spec)
        if self.before.trigger_id is None:
            return self._begin(spec)
        return self._follow(spec)


class _Round(_Decision, StopRound):
    """A FlinkSavepoint of a FlinkJob, which performs its stops."""

    def _work(self, spec: FlinkSavepointSpec) -> SavepointDecision:
        return self._mirror(spec) if spec.is_stop else super()._work(spec)


class _TargetRound(_Decision, TargetRound):
    """A FlinkSavepoint of a job by address and id."""
