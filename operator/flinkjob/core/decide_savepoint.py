"""What to do about a FlinkSavepoint: trigger and follow it, or mirror the stop that its FlinkJob performs for it.

`decide_savepoint` is called by the reconciler in the same round as `decide_job` for its FlinkJob. Invariants: the trigger
id and the attempt's own directory are in the status before the call; a forgotten trigger is looked for in the checkpoint
history below that directory before it is sent again; a finished FlinkSavepoint is never touched again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta

from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.api.common import (
    CheckpointType,
    ConditionStatus,
    FormatType,
    SavepointErrorCode,
    SavepointMode,
    SavepointOrigin,
    SavepointPhase,
    SnapshotDeletion,
    SnapshotType,
    duration_seconds,
)
from flinkjob.api.constants import ANNOTATION_RESULT, FINALIZER, LABEL_ORIGIN
from flinkjob.api.flinkjob_status import Condition, FlinkJobStatus, Submission
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus, SavepointError
from flinkjob.core.actions import (
    Action,
    AddFinalizer,
    EventType,
    PostEvent,
    RemoveFinalizer,
    TakeCheckpoint,
    TakeSavepoint,
)
from flinkjob.core.backoff import delay_seconds
from flinkjob.core.draft import FAST
from flinkjob.core.errors import one_line
from flinkjob.core.flinkmodel import (
    Checkpoint,
    CheckpointStats,
    CheckpointStatus,
    SavepointFormat,
    TriggeredCheckpoint,
    TriggerResult,
    TriggerState,
    normalise_location,
)
from flinkjob.core.identity import attempt_directory, trigger_id
from flinkjob.core.model import (
    DisposalPhase,
    Fact,
    NeedFact,
    Needs,
    Observation,
    OperationOutcome,
    Presence,
    SavepointDecision,
)
from flinkjob.core.operation import SAVEPOINT_PREFIX
from flinkjob.core.reasons import Reason
from flinkjob.core.savepoint_rules import directory_for, is_final
from flinkjob.core.units import readable_duration, readable_size

SIZE_WAIT = 10.0
"""Seconds after its end within which a snapshot's size is still looked for (Flink's statistics are up to 3 s old)."""


@dataclass(frozen=True, kw_only=True)
class SavepointInput:
    """The input of a decision about a FlinkSavepoint.

    Attributes:
        job: its FlinkJob, None when there is none; `job_status` is what this round decided for it.
        in_use: normalised places of all snapshots that some FlinkJob was started from or would start from.
        outcome: how the operation that the FlinkJob performed for it ended in this round.
    """

    savepoint: FlinkSavepoint
    job: FlinkJob | None
    job_status: FlinkJobStatus
    observation: Observation
    outcome: OperationOutcome | None = None
    in_use: frozenset[str] = frozenset()


def decide_savepoint(given: SavepointInput) -> SavepointDecision | Needs:
    """Decide about a FlinkSavepoint.

    Returns: what to do, or the one fact that is needed first.
    """
    try:
        return _Round(given).decide()
    except NeedFact as missing:
        return missing.needs


class _Round:
    """One decision in the making."""

    def __init__(self, given: SavepointInput) -> None:
        self.given = given
        self.meta = given.savepoint.meta
        self.before = given.savepoint.status
        self.status = self.before
        self.now = given.observation.now
        self.actions: list[Action] = []
        self.requeue: float | None = None

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
            return self._completed_before(spec)
        if phase is SavepointPhase.FAILED:
            return self._done()
        if phase is None and (mark := self.meta.annotations.get(ANNOTATION_RESULT)):
            return self._from_mark(mark)
        if spec is None:
            return self._fail(SavepointErrorCode.SAVEPOINT_FAILED, self.given.savepoint.spec_error or "bad spec")
        if spec.mode is not SavepointMode.TRIGGER:
            return self._mirror(spec)
        if self.before.trigger_id is None:
            return self._begin(spec)
        return self._follow(spec)

    # waiting for the job

    def _job(self, spec: FlinkSavepointSpec) -> Submission | SavepointDecision:
        """The run to act on, or the decision that there is none."""
        if self._expired(spec) and self.before.phase is not SavepointPhase.IN_PROGRESS:
            return self._give_up(spec)
        if self.given.job is None:
            return self._wait(Reason.UnknownJob, f"FlinkJob {spec.job_ref.name} does not exist")
        submission = self.given.job_status.submission
        if submission is not None:
            if spec.submission is not None and spec.submission != submission.number:
                message = f"FlinkJob {spec.job_ref.name} is at run {submission.number}, not {spec.submission}"
                return self._fail(SavepointErrorCode.JOB_CHANGED, message)
            if spec.job_ref.job_id is not None and spec.job_ref.job_id != submission.job_id:
                message = f"FlinkJob {spec.job_ref.name} runs job {submission.job_id}, not {spec.job_ref.job_id}"
                return self._fail(SavepointErrorCode.JOB_CHANGED, message)
        if submission is None or submission.end is not None or not submission.seen:
            return self._wait(Reason.JobNotRunning, f"FlinkJob {spec.job_ref.name} is not running")
        return submission

    def _give_up(self, spec: FlinkSavepointSpec) -> SavepointDecision:
        if self.given.job is None:
            return self._fail(SavepointErrorCode.UNKNOWN_JOB, f"FlinkJob {spec.job_ref.name} does not exist")
        submission = self.given.job_status.submission
        if submission is None or submission.end is not None or not submission.seen:
            return self._fail(SavepointErrorCode.JOB_NOT_RUNNING, f"FlinkJob {spec.job_ref.name} is not running")
        if not self.given.observation.cluster.reachable:
            return self._fail(SavepointErrorCode.CLUSTER_UNREACHABLE, self.given.observation.cluster.error)
        return self._fail(SavepointErrorCode.TIMEOUT, f"not done within {spec.timeout}")

    def _expired(self, spec: FlinkSavepointSpec) -> bool:
        begun = self.before.start_time or self.meta.creation_time or self.now
        left = duration_seconds(spec.timeout) - (self.now - begun).total_seconds()
        if left > 0:
            self._again(left + 0.5)
        return left <= 0

    # mode Trigger

    def _begin(self, spec: FlinkSavepointSpec) -> SavepointDecision:
        submission = self._job(spec)
        if isinstance(submission, SavepointDecision):
            return submission
        if self.before.retry_time is not None and self.before.retry_time > self.now:
            self._again((self.before.retry_time - self.now).total_seconds() + 0.05)
            return self._done()
        if self.given.job_status.operation is not None:
            return self._wait(Reason.Pending, f"waiting for the {self.given.job_status.operation.kind} in progress")
        overview = self.given.observation.job.overview
        if overview is None or not overview.all_tasks_running:
            self._again(1.0)
            return self._wait(Reason.WaitingForTasks, "a savepoint needs all tasks running")
        directory = self._directory(spec)
        if directory is None and spec.type is SnapshotType.SAVEPOINT:
            return self._fail(SavepointErrorCode.NO_SAVEPOINT_DIRECTORY, _NO_DIRECTORY)
        attempt = self.before.attempt + 1
        where = None
        if directory is not None and spec.type is SnapshotType.SAVEPOINT:
            where = attempt_directory(
                directory,
                namespace=self.meta.namespace,
                name=self.meta.name,
                uid=self.meta.uid,
                submission=submission.number,
                kind="savepoint",
                attempt=attempt,
            )
        self.status = replace(
            self.before,
            phase=SavepointPhase.IN_PROGRESS,
            trigger_id=trigger_id(self.meta.uid, submission.number, spec.type, attempt),
            directory=where,
            attempt=attempt,
            job_id=submission.job_id,
            submission=submission.number,
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
        assert status.job_id is not None
        assert status.trigger_id is not None
        if spec.type is SnapshotType.CHECKPOINT:
            kind = (
                TriggeredCheckpoint.FULL
                if spec.checkpoint_type is CheckpointType.FULL
                else TriggeredCheckpoint.CONFIGURED
            )
            self.actions.append(
                TakeCheckpoint(url=url, job_id=status.job_id, trigger_id=status.trigger_id, checkpoint_type=kind)
            )
            return
        assert status.directory is not None
        self.actions.append(
            TakeSavepoint(
                url=url,
                job_id=status.job_id,
                trigger_id=status.trigger_id,
                directory=status.directory,
                format_type=SavepointFormat((status.format_type or FormatType.CANONICAL).upper()),
                cancel=False,
            )
        )

    def _follow(self, spec: FlinkSavepointSpec) -> SavepointDecision:
        observation = self.given.observation
        if self._expired(spec):
            return self._fail(
                SavepointErrorCode.TIMEOUT, f"not complete within {spec.timeout}; Flink may still complete it"
            )
        if not observation.cluster.reachable:
            self._again(2.0)
            return self._done()
        result = self._need_trigger(spec)
        match result.state:
            case TriggerState.IN_PROGRESS:
                return self._in_progress()
            case TriggerState.COMPLETED:
                return self._complete(spec, result)
            case TriggerState.FAILED:
                return self._failed_once(spec, result.failure or "Flink gave no cause")
            case TriggerState.FORGOTTEN:
                return self._forgotten(spec)

    def _forgotten(self, spec: FlinkSavepointSpec) -> SavepointDecision:
        """Never sent, expired, or another JobManager: the history below the attempt's own directory tells."""
        submission = self.given.job_status.submission
        same = submission is not None and submission.job_id == self.before.job_id
        presence = self.given.observation.job.presence
        if not same or submission is None or presence is Presence.ABSENT:
            if same and submission is not None and submission.end is None:
                self._again(1.0)
                return self._in_progress()
            return self._fail(SavepointErrorCode.JOB_NOT_RUNNING, f"job {self.before.job_id} went away meanwhile")
        if presence is Presence.UNKNOWN:
            self._again(1.0)
            return self._in_progress()
        stats = self._need_checkpoints()
        mine = stats.below(self.before.directory) if stats is not None and self.before.directory else ()
        for snapshot in mine:
            if snapshot.status is CheckpointStatus.COMPLETED:
                return self._complete(
                    spec, TriggerResult(state=TriggerState.COMPLETED, location=snapshot.external_path)
                )
            if snapshot.status is CheckpointStatus.IN_PROGRESS:
                self._again(1.0)
                return self._in_progress()
        overview = self.given.observation.job.overview
        if overview is None or overview.state.is_terminal:
            return self._fail(SavepointErrorCode.JOB_NOT_RUNNING, f"job {self.before.job_id} ended meanwhile")
        self._send(spec)
        return self._in_progress()

    def _failed_once(self, spec: FlinkSavepointSpec, cause: str, *, final: bool | None = None) -> SavepointDecision:
        failures = self.before.failures + 1
        gone = "Could not find Flink job" in cause
        if gone:
            return self._fail(SavepointErrorCode.JOB_NOT_RUNNING, cause, failures=failures)
        if (is_final(cause) if final is None else final) or failures > spec.backoff_limit:
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
        self._again(pause + 0.05)
        return self._settle(Reason.BackOff, cause, ready=_F, reconciling=_T, stalled=_F)

    # modes Stop and Cancel: the FlinkJob performs them

    def _mirror(self, spec: FlinkSavepointSpec) -> SavepointDecision:
        me = f"{SAVEPOINT_PREFIX}{self.meta.name}"
        outcome = self.given.outcome
        if outcome is not None and outcome.by == me:
            if outcome.location is not None:
                return self._complete(spec, TriggerResult(state=TriggerState.COMPLETED, location=outcome.location))
            return self._failed_once(spec, outcome.message, final=True if outcome.permanent else None)
        hold = self.given.job_status.hold
        if hold is not None and hold.by == self.meta.name and hold.location is not None:
            return self._complete(spec, TriggerResult(state=TriggerState.COMPLETED, location=hold.location))
        operation = self.given.job_status.operation
        if operation is not None and operation.by == me:
            self.status = replace(
                self.before,
                phase=SavepointPhase.IN_PROGRESS,
                trigger_id=operation.trigger_id,
                directory=operation.directory,
                attempt=operation.attempt,
                job_id=operation.job_id,
                submission=operation.submission,
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
        submission = self._job(spec)
        if isinstance(submission, SavepointDecision):
            return submission
        if self.before.retry_time is not None and self.before.retry_time > self.now:
            self._again((self.before.retry_time - self.now).total_seconds() + 0.05)
            return self._done()
        if self._directory(spec) is None:
            return self._fail(SavepointErrorCode.NO_SAVEPOINT_DIRECTORY, _NO_DIRECTORY)
        self._again(FAST)
        return self._wait(Reason.Pending, "waiting for the FlinkJob to stop with it")

    # ends

    def _complete(self, spec: FlinkSavepointSpec, result: TriggerResult) -> SavepointDecision:
        snapshot = self._snapshot(result)
        location = result.location or (snapshot.external_path if snapshot is not None else None)
        begun = self.before.start_time or self.now
        overview = self.given.observation.job.overview
        self.status = replace(
            self.status,
            phase=SavepointPhase.COMPLETED,
            location=location,
            checkpoint_id=result.checkpoint_id or (snapshot.checkpoint_id if snapshot is not None else None),
            end_time=self.now,
            duration=readable_duration(self.now - begun),
            job_state=overview.state if overview is not None else self.status.job_state,
            retry_time=None,
            error=None,
        )
        self.status = _with_size(self.status, snapshot)
        self._event(Reason.SavepointCompleted, f"{spec.type} {location} of run {self.status.submission}")
        return self._completed()

    def _completed_before(self, spec: FlinkSavepointSpec | None) -> SavepointDecision:
        """Fill in size and checkpoint id when Flink's statistics have caught up; nothing else ever changes."""
        before = self.before
        recent = before.end_time is not None and (self.now - before.end_time).total_seconds() < SIZE_WAIT
        observation = self.given.observation
        submission = self.given.job_status.submission
        same = submission is not None and submission.job_id == before.job_id
        if before.size_bytes is None and recent and same and observation.job.presence is Presence.PRESENT:
            snapshot = self._snapshot(TriggerResult(state=TriggerState.COMPLETED, location=before.location))
            if snapshot is None:
                self._again(1.0)
            else:
                location = before.location or snapshot.external_path
                self.status = replace(before, checkpoint_id=snapshot.checkpoint_id, location=location)
                self.status = _with_size(self.status, snapshot)
        return self._completed()

    def _completed(self) -> SavepointDecision:
        decision = self._settle(Reason.Completed, self.status.location or "", ready=_T, reconciling=_F, stalled=_F)
        if ANNOTATION_RESULT in self.meta.annotations or self.meta.deletion_time is not None:
            return decision
        result = {
            "clusterUrl": self.status.cluster_url,
            "location": self.status.location,
            "jobId": self.status.job_id,
            "checkpointId": self.status.checkpoint_id,
        }
        return replace(decision, result_mark=json.dumps(result, sort_keys=True))

    def _from_mark(self, mark: str) -> SavepointDecision:
        """Recorded by the operator, or created again or restored from a backup: done already, nothing is triggered."""
        try:
            result = json.loads(mark)
            location, job_id, checkpoint_id = result.get("location"), result.get("jobId"), result.get("checkpointId")
        except (ValueError, AttributeError):
            return self._fail(SavepointErrorCode.SAVEPOINT_FAILED, f"annotation {ANNOTATION_RESULT} cannot be read")
        self.status = replace(
            self.before,
            phase=SavepointPhase.COMPLETED,
            location=location,
            job_id=job_id,
            checkpoint_id=checkpoint_id,
            submission=result.get("submission"),
            origin=self._origin(),
            cluster_url=result.get("clusterUrl"),
            end_time=self.meta.creation_time or self.now,
        )
        return self._completed()

    def _fail(self, code: SavepointErrorCode, message: str, *, failures: int | None = None) -> SavepointDecision:
        text = one_line(message)
        self.status = replace(
            self.status,
            phase=SavepointPhase.FAILED,
            end_time=self.now,
            failures=self.before.failures if failures is None else failures,
            retry_time=None,
            error=SavepointError(error_code=code, message=text, details=self.before.directory),
        )
        self._event(Reason.SavepointFailed, f"{code}: {text}", warning=True)
        return self._settle(code, text, ready=_F, reconciling=_F, stalled=_T)

    # deletion with its data

    def _delete(self, spec: FlinkSavepointSpec | None) -> SavepointDecision:
        """Dispose of the data unless they are in use, and let the object go, at the deadline in any case."""
        location = self.before.location
        if spec is None or location is None or spec.deletion.policy is SnapshotDeletion.RETAIN:
            return self._let_go()
        deleted = self.meta.deletion_time or self.now
        late = (self.now - deleted).total_seconds() >= duration_seconds(spec.deletion.timeout)
        if normalise_location(location) in self.given.in_use:
            return self._keep(late, f"{location} is in use")
        if not self.before.deleting:
            self.status = replace(self.before, deleting=True)
            self._again(FAST)
            return SavepointDecision(status=self.status, actions=tuple(self.actions), requeue_after=self.requeue)
        observation = self.given.observation
        if Fact.DISPOSAL not in observation.known or observation.disposal is None:
            url = self.before.cluster_url or observation.cluster.url
            raise NeedFact(Needs(fact=Fact.DISPOSAL, url=url, directory=location))
        match observation.disposal.phase:
            case DisposalPhase.DONE:
                self._event(Reason.SnapshotDeleted, location)
                return self._let_go()
            case DisposalPhase.WORKING:
                return self._keep(late, "it is being disposed of")
            case DisposalPhase.FAILED:
                return self._keep(late, observation.disposal.message)

    def _keep(self, late: bool, why: str) -> SavepointDecision:
        if late:
            self._event(Reason.SnapshotKept, f"{self.before.location} stays: {why}", warning=True)
            return self._let_go()
        self._again(5.0)
        return self._done()

    def _let_go(self) -> SavepointDecision:
        self.actions.append(RemoveFinalizer())
        return self._done()

    # helpers of the round

    def _in_progress(self) -> SavepointDecision:
        self._again(FAST)
        where = self.status.directory or "the job's checkpoint directory"
        return self._settle(Reason.InProgress, f"writing below {where}", ready=_F, reconciling=_T, stalled=_F)

    def _wait(self, reason: Reason, message: str) -> SavepointDecision:
        self.status = replace(self.status, phase=SavepointPhase.PENDING)
        return self._settle(reason, message, ready=_F, reconciling=_T, stalled=_F)

    def _done(self) -> SavepointDecision:
        return SavepointDecision(status=self.before, actions=tuple(self.actions), requeue_after=self.requeue)

    def _settle(
        self,
        reason: str,
        message: str,
        *,
        ready: ConditionStatus,
        reconciling: ConditionStatus,
        stalled: ConditionStatus,
    ) -> SavepointDecision:
        generation = self.meta.generation
        before = {condition.type: condition for condition in self.before.conditions}
        rows = (("Ready", ready), ("Reconciling", reconciling), ("Stalled", stalled))
        conditions = []
        for kind, state in rows:
            old = before.get(kind)
            conditions.append(
                Condition(
                    type=kind,
                    status=state,
                    reason=reason,
                    message=one_line(message) if kind == "Ready" or state is _T else "",
                    last_transition_time=old.last_transition_time
                    if old is not None and old.status is state
                    else self.now,
                    observed_generation=generation,
                )
            )
        status = replace(self.status, conditions=tuple(conditions), observed_generation=generation)
        return SavepointDecision(status=status, actions=tuple(self.actions), requeue_after=self.requeue)

    def _again(self, seconds: float) -> None:
        self.requeue = seconds if self.requeue is None else min(self.requeue, seconds)

    def _event(self, reason: Reason, message: str, *, warning: bool = False) -> None:
        kind = EventType.WARNING if warning else EventType.NORMAL
        self.actions.append(PostEvent(type=kind, reason=reason, message=one_line(message)))

    def _origin(self) -> SavepointOrigin:
        word = self.meta.labels.get(LABEL_ORIGIN, "")
        return SavepointOrigin(word) if word in set(SavepointOrigin) else SavepointOrigin.MANUAL

    def _directory(self, spec: FlinkSavepointSpec) -> str | None:
        job = self.given.job
        own = job.spec.savepoints.directory if job is not None and job.spec is not None else None
        return directory_for(self.given.observation.cluster, spec.directory or own)

    def _format(self, spec: FlinkSavepointSpec) -> FormatType:
        job = self.given.job
        own = job.spec.savepoints.format_type if job is not None and job.spec is not None else FormatType.CANONICAL
        return spec.format_type or own

    def _need_trigger(self, spec: FlinkSavepointSpec) -> TriggerResult:
        observation = self.given.observation
        if Fact.TRIGGER not in observation.known or observation.trigger is None:
            raise NeedFact(
                Needs(
                    fact=Fact.TRIGGER,
                    job_id=self.before.job_id,
                    trigger_id=self.before.trigger_id,
                    checkpoint=spec.type is SnapshotType.CHECKPOINT,
                )
            )
        return observation.trigger

    def _need_checkpoints(self) -> CheckpointStats | None:
        if Fact.CHECKPOINTS not in self.given.observation.known:
            raise NeedFact(Needs(fact=Fact.CHECKPOINTS, job_id=self.before.job_id))
        return self.given.observation.checkpoints

    def _snapshot(self, result: TriggerResult) -> Checkpoint | None:
        """The snapshot's entry in the statistics, when they show it already."""
        if self.given.observation.job.presence is not Presence.PRESENT:
            return None
        stats = self._need_checkpoints() if self.before.job_id is not None else None
        if stats is None:
            return None
        for snapshot in stats.snapshots():
            if result.checkpoint_id is not None and snapshot.checkpoint_id == result.checkpoint_id:
                return snapshot
            if _same(result.location, snapshot.external_path):
                return snapshot
        return None


_T, _F = ConditionStatus.TRUE, ConditionStatus.FALSE
_NO_DIRECTORY = "set spec.directory: neither the FlinkJob nor the cluster names a directory for savepoints"


def _same(one: str | None, other: str | None) -> bool:
    return bool(one and other) and normalise_location(one or "") == normalise_location(other or "")


def _with_size(status: FlinkSavepointStatus, snapshot: Checkpoint | None) -> FlinkSavepointStatus:
    if snapshot is None or snapshot.state_bytes is None:
        return status
    return replace(status, size_bytes=snapshot.state_bytes, size=readable_size(snapshot.state_bytes))
