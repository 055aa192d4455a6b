"""Modes Stop and Cancel: the FlinkJob performs them as its operation, the FlinkSavepoint mirrors it.

Part of `decide_savepoint`. Invariants: nothing is sent from here, so that two stops never meet; it is in progress only after
the FlinkJob's status says so.
"""

from __future__ import annotations

from dataclasses import replace

from flinkjob.api.enums import SavepointErrorCode, SavepointOrigin, SavepointPhase
from flinkjob.api.flinkjob_status import Operation
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.reasons import Reason
from flinkjob.core.flinkmodel import (
    TriggerResult,
    TriggerState,
)
from flinkjob.core.model import SavepointDecision
from flinkjob.core.pauses import FAST
from flinkjob.core.requester import SAVEPOINT_PREFIX
from flinkjob.core.savepoint.draft import NO_DIRECTORY
from flinkjob.core.savepoint.existing import ExistingRound


class StopRound(ExistingRound):
    """Modes Stop and Cancel."""

    # modes Stop and Cancel: the FlinkJob performs them

    def _mirror(self, spec: FlinkSavepointSpec) -> SavepointDecision:
        me = f"{SAVEPOINT_PREFIX}{self.meta.name}"
        outcome = self.given.outcome
        if outcome is not None and outcome.by == me:
            if outcome.location is not None:
                return self._complete(spec, TriggerResult(state=TriggerState.COMPLETED, location=outcome.location))
            return self._failed_once(spec, outcome.message, outcome.failure)
        hold = self.given.job_status.hold
        if hold is not None and hold.by == self.meta.name and hold.location is not None:
            return self._complete(spec, TriggerResult(state=TriggerState.COMPLETED, location=hold.location))
        operation = self.given.job_status.operation
        if operation is not None and operation.by == me:
            if not self._is_written(operation):
                self._requeue_after(FAST)
                return self._wait(Reason.Pending, "waiting for the FlinkJob to stop with it")
            self.status = replace(
                self.before,
                phase=SavepointPhase.IN_PROGRESS,
                trigger_id=operation.trigger_id,
                directory=operation.directory,
                attempt=operation.attempt,
                job_id=operation.job_id,
                submission=operation.submission,
                run_digest=operation.run_digest,
                origin=SavepointOrigin.MANUAL,
                start_time=self.before.start_time or self.now,
                format_type=operation.format_type,
                flink_version=self.given.observation.cluster.flink_version,
                cluster_url=self.given.observation.cluster.url,
                retry_time=None,
            )
            return self._in_progress()
        if self.before.phase is SavepointPhase.IN_PROGRESS:
            self.status = replace(self.before, phase=SavepointPhase.PENDING, trigger_id=None)
        run = self._job(spec)
        if isinstance(run, SavepointDecision):
            return run
        if self.before.retry_time is not None and self.before.retry_time > self.now:
            self._requeue_after((self.before.retry_time - self.now).total_seconds() + 0.05)
            return self._done()
        if self._directory(spec) is None:
            return self._fail(SavepointErrorCode.NO_SAVEPOINT_DIRECTORY, NO_DIRECTORY)
        self._requeue_after(FAST)
        return self._wait(Reason.Pending, "waiting for the FlinkJob to stop with it")

    def _is_written(self, operation: Operation) -> bool:
        """Whether the FlinkJob's status has it: only then it is shown, so that whoever edits after that releases the hold."""
        job = self.given.job
        written = job.status.operation if job is not None else None
        return written is not None and written.trigger_id == operation.trigger_id
