"""A savepoint or checkpoint of a job that runs on: wait for the job, trigger it, follow it (mode Trigger).

Part of `decide_savepoint`. Invariants: the trigger id and the attempt's own directory are in the status before the call; a
forgotten trigger is looked for in the checkpoint history below that directory before it is sent again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from flinkjob.api.common import duration_seconds
from flinkjob.api.enums import (
    CheckpointType,
    FormatType,
    SavepointErrorCode,
    SavepointMode,
    SavepointPhase,
    SnapshotType,
)
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import (
    TakeCheckpoint,
    TakeSavepoint,
)
from flinkjob.core.backoff import delay_seconds
from flinkjob.core.errors import SavepointFailure
from flinkjob.core.flinkmodel import CheckpointStatus, SavepointFormat, TriggeredCheckpoint, TriggerResult, TriggerState
from flinkjob.core.identity import attempt_directory, trigger_id
from flinkjob.core.model import SavepointDecision
from flinkjob.core.savepoint.checkpoint import CheckpointRound
from flinkjob.core.savepoint.draft import FALSE, NO_DIRECTORY, TRUE
from flinkjob.core.seen import Presence


class TriggerRound(CheckpointRound):
    """Mode Trigger, and the waiting for the job that all modes share."""

    # waiting for the job

    def _job(self, spec: FlinkSavepointSpec) -> Submission | SavepointDecision:
        """The run to act on, or the decision that there is none."""
        if self._expired(spec) and self.before.phase is not SavepointPhase.IN_PROGRESS:
            return self._give_up(spec)
        assert spec.job_ref is not None
        if self.given.job is None:
            return self._wait(Reason.UnknownJob, f"FlinkJob {spec.job_ref.name} does not exist")
        run, plan = self._run, self.given.job_status.plan
        if run is not None and run.end is None and plan is not None and plan.reason == Reason.OwnedByOther:
            return self._wait(Reason.Pending, plan.message or "")
        if run is not None:
            if spec.submission is not None and spec.submission != run.number:
                message = f"FlinkJob {spec.job_ref.name} is at run {run.number}, not {spec.submission}"
                return self._fail(SavepointErrorCode.JOB_CHANGED, message)
            if spec.job_ref.job_id is not None and spec.job_ref.job_id != run.job_id:
                message = f"FlinkJob {spec.job_ref.name} runs job {run.job_id}, not {spec.job_ref.job_id}"
                return self._fail(SavepointErrorCode.JOB_CHANGED, message)
        if run is None or run.end is not None or not run.seen:
            return self._wait(Reason.JobNotRunning, f"FlinkJob {spec.job_ref.name} is not running")
        return run

    def _give_up(self, spec: FlinkSavepointSpec) -> SavepointDecision:
        assert spec.job_ref is not None
        if self.given.job is None:
            return self._fail(SavepointErrorCode.UNKNOWN_JOB, f"FlinkJob {spec.job_ref.name} does not exist")
        run = self._run
        if run is None or run.end is not None or not run.seen:
            return self._fail(SavepointErrorCode.JOB_NOT_RUNNING, f"FlinkJob {spec.job_ref.name} is not running")
        if not self.given.observation.cluster.reachable:
            return self._fail(SavepointErrorCode.CLUSTER_UNREACHABLE, self.given.observation.cluster.error)
        return self._fail(SavepointErrorCode.TIMEOUT, f"not done within {spec.timeout}")

    def _expired(self, spec: FlinkSavepointSpec) -> bool:
        begun = self.before.start_time or self.meta.creation_time or self.now
        remaining = duration_seconds(spec.timeout) - (self.now - begun).total_seconds()
        if remaining > 0:
            self._requeue_after(remaining + 0.5)
        return remaining <= 0

    # mode Trigger

    def _begin(self, spec: FlinkSavepointSpec) -> SavepointDecision:
        run = self._job(spec)
        if isinstance(run, SavepointDecision):
            return run
        if self.before.retry_time is not None and self.before.retry_time > self.now:
            self._requeue_after((self.before.retry_time - self.now).total_seconds() + 0.05)
            return self._done()
        if self.given.job_status.operation is not None:
            return self._wait(Reason.Pending, f"waiting for the {self.given.job_status.operation.kind} in progress")
        overview = self.given.observation.job.overview
        if overview is None or not overview.all_tasks_running:
            self._requeue_after(1.0)
            return self._wait(Reason.WaitingForTasks, "a savepoint needs all tasks running")
        directory = self._directory(spec)
        if directory is None and spec.type is SnapshotType.SAVEPOINT:
            return self._fail(SavepointErrorCode.NO_SAVEPOINT_DIRECTORY, NO_DIRECTORY)
        attempt = self.before.attempt + 1
        where = None
        if directory is not None and spec.type is SnapshotType.SAVEPOINT:
            where = attempt_directory(
                directory,
                namespace=self.meta.namespace,
                name=self.meta.name,
                uid=self.meta.uid,
                submission=run.number,
                kind="savepoint" if spec.mode is SavepointMode.TRIGGER else spec.mode,
                attempt=attempt,
            )
        self.status = replace(
            self.before,
            phase=SavepointPhase.IN_PROGRESS,
            trigger_id=trigger_id(
                self.meta.uid,
                run.number,
                spec.type if spec.mode is SavepointMode.TRIGGER else spec.mode,
                attempt,
            ),
            directory=where,
            attempt=attempt,
            job_id=run.job_id,
            submission=run.number or None,
            origin=self._origin(),
            start_time=self.before.start_time or self.now,
            format_type=self._format(spec) if spec.type is SnapshotType.SAVEPOINT else None,
            flink_version=self.given.observation.cluster.flink_version,
            cluster_url=self.given.observation.cluster.url,
            retry_time=None,
        )
        self._send(spec)
        return self._in_progress()

    def _send(self, spec: FlinkSavepointSpec) -> None:
        status = self.status
        url = self.given.observation.cluster.url
        if spec.type is SnapshotType.CHECKPOINT:
            kind = (
                TriggeredCheckpoint.FULL
                if spec.checkpoint_type is CheckpointType.FULL
                else TriggeredCheckpoint.CONFIGURED
            )
            self.actions.append(
                TakeCheckpoint(url=url, job_id=status.flink_job_id, trigger_id=status.trigger, checkpoint_type=kind)
            )
            return
        assert status.directory is not None
        self.actions.append(
            TakeSavepoint(
                url=url,
                job_id=status.flink_job_id,
                trigger_id=status.trigger,
                directory=status.directory,
                format_type=SavepointFormat((status.format_type or FormatType.CANONICAL).upper()),
                cancel=spec.mode is SavepointMode.CANCEL,
            )
        )

    def _follow(self, spec: FlinkSavepointSpec) -> SavepointDecision:
        """What Flink says counts, also when the time is up: it may have completed while nobody looked."""
        late = self._expired(spec)
        if not self.given.observation.cluster.reachable:
            if late:
                return self._too_late(spec)
            self._requeue_after(2.0)
            return self._done()
        if spec.is_checkpoint and self.before.checkpoint_id is not None:
            return self._located(spec, self.before.checkpoint_id, late=late)
        result = self._need_trigger(spec)
        match result.state:
            case TriggerState.IN_PROGRESS if self.given.observation.job.answers_no_more:
                return self._forgotten(spec, late=late)
            case TriggerState.IN_PROGRESS:
                return self._too_late(spec) if late else self._in_progress()
            case TriggerState.COMPLETED if spec.is_checkpoint and result.checkpoint_id is not None:
                return self._located(spec, result.checkpoint_id, late=False)
            case TriggerState.COMPLETED:
                return self._complete(spec, result)
            case TriggerState.FAILED:
                return self._failed_once(spec, result.failure or "Flink gave no cause", result.failure_kind, late=late)
            case TriggerState.FORGOTTEN:
                return self._forgotten(spec, late=late)

    def _too_late(self, spec: FlinkSavepointSpec) -> SavepointDecision:
        return self._fail(
            SavepointErrorCode.TIMEOUT, f"not complete within {spec.timeout}; Flink may still complete it"
        )

    def _forgotten(self, spec: FlinkSavepointSpec, *, late: bool) -> SavepointDecision:
        """Never sent, expired, or another JobManager: the history below the attempt's own directory tells."""
        run = self._run
        same = run is not None and run.job_id == self.before.job_id
        presence = self.given.observation.job.presence
        if not same or run is None or presence is Presence.ABSENT:
            if same and run is not None and run.end is None and not late:
                self._requeue_after(1.0)
                return self._in_progress()
            return self._fail(SavepointErrorCode.JOB_NOT_RUNNING, f"job {self.before.job_id} went away meanwhile")
        if presence is Presence.UNKNOWN:
            self._requeue_after(1.0)
            return self._too_late(spec) if late else self._in_progress()
        stats = self._need_checkpoints()
        mine = stats.below(self.before.directory) if stats is not None and self.before.directory else ()
        for snapshot in mine:
            if snapshot.status is CheckpointStatus.COMPLETED:
                return self._complete(
                    spec, TriggerResult(state=TriggerState.COMPLETED, location=snapshot.external_path)
                )
        if late:
            return self._too_late(spec)
        if stats is not None and stats.savepoint_in_progress:
            self._requeue_after(1.0)
            return self._in_progress()
        if self.meta.deletion_time is not None:
            return self._fail(SavepointErrorCode.SAVEPOINT_FAILED, "it was deleted before Flink had begun")
        overview = self.given.observation.job.overview
        if overview is not None and overview.state.is_terminal and self._statistics_lag():
            self._requeue_after(0.5)
            return self._in_progress()
        if overview is None or overview.state.is_terminal:
            return self._fail(SavepointErrorCode.JOB_NOT_RUNNING, f"job {self.before.job_id} ended meanwhile")
        self._send(spec)
        return self._in_progress()

    def _statistics_lag(self) -> bool:
        """Whether the job has ended so recently that the statistics may not show its last savepoint."""
        return self.given.observation.job.terminal_for < self.given.observation.cluster.refresh_interval + 0.5

    def _failed_once(
        self, spec: FlinkSavepointSpec, cause: str, failure: SavepointFailure, *, late: bool = False
    ) -> SavepointDecision:
        failures = self.before.failures + 1
        if failure is SavepointFailure.JOB_NOT_FOUND:
            return self._fail(SavepointErrorCode.JOB_NOT_RUNNING, cause, failures=failures)
        if late or failure.repeats or failures > spec.backoff_limit:
            return self._fail(SavepointErrorCode.SAVEPOINT_FAILED, cause, failures=failures)
        pause = delay_seconds(failures, seed=self.meta.uid, initial=2.0)
        self._event(Reason.SavepointFailed, f"attempt {self.before.attempt}: {cause}", warning=True)
        self.status = replace(
            self.before,
            phase=SavepointPhase.PENDING,
            trigger_id=None,
            failures=failures,
            retry_time=self.now + timedelta(seconds=pause),
        )
        self._requeue_after(pause + 0.05)
        return self._settle(Reason.BackOff, cause, ready=FALSE, reconciling=TRUE, stalled=FALSE)
