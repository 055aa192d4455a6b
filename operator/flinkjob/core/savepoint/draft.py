"""One decision about a FlinkSavepoint in the making: what every mode shares, and how each of them ends.

The base of the rounds of `trigger`, `stop` and their like. Invariant: a round changes only its
own draft of the status and its list of actions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from flinkjob.api.codec import FlinkJob, FlinkSavepoint, read_result
from flinkjob.api.constants import ANNOTATION_RESULT, LABEL_ORIGIN
from flinkjob.api.enums import (
    ConditionStatus,
    FormatType,
    SavepointErrorCode,
    SavepointOrigin,
    SavepointPhase,
    SnapshotType,
)
from flinkjob.api.flinkjob_status import FlinkJobStatus, Submission
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus, SavepointError
from flinkjob.api.reasons import Reason
from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.actions import (
    Action,
    EventType,
    PostEvent,
)
from flinkjob.core.conditions import Conditions
from flinkjob.core.errors import one_line
from flinkjob.core.facts import Checkpoints, Triggered
from flinkjob.core.flinkmodel import (
    Checkpoint,
    CheckpointStats,
    TriggerResult,
    TriggerState,
    normalise_location,
)
from flinkjob.core.model import Observation, OperationOutcome, SavepointDecision
from flinkjob.core.pauses import FAST
from flinkjob.core.seen import Presence
from flinkjob.core.units import readable_duration, readable_size

TRUE, FALSE = ConditionStatus.TRUE, ConditionStatus.FALSE
NO_DIRECTORY = "set spec.directory: neither the FlinkJob nor the cluster names a directory for savepoints"
SIZE_WAIT = 10.0
"""Seconds after its end within which a snapshot's size is still looked for (Flink's statistics are up to 3 s old)."""
ALIKE_FOR = timedelta(seconds=60)
"""No end is put further into the future than this."""


@dataclass(frozen=True, kw_only=True)
class SavepointInput:
    """The input of a decision about a FlinkSavepoint.

    Attributes:
        job: its FlinkJob, None when there is none; `job_status` is what this round decided for it.
        in_use: normalised places of all snapshots that some FlinkJob was started from or would start from.
        outcome: how the operation that the FlinkJob performed for it ended in this round.
        identity: the operator's own.
        claims: the FlinkJobs, as namespace/name, that claim the job that `target` names.
        unmarked: whether jobs that no operator started may be acted on.
        others: the other FlinkSavepoints of the same job.
        disposers: addresses of clusters that may dispose of the data, the most suitable first.
        grants: where an administrator lets the namespace dispose of what the operator did not take.
    """

    savepoint: FlinkSavepoint
    job: FlinkJob | None
    job_status: FlinkJobStatus
    observation: Observation
    outcome: OperationOutcome | None = None
    in_use: frozenset[str] = frozenset()
    identity: str = ""
    claims: tuple[str, ...] = ()
    unmarked: bool = False
    others: tuple[FlinkSavepoint, ...] = ()
    disposers: tuple[str, ...] = ()
    grants: StoreGrants = field(default_factory=StoreGrants)


class SavepointRound:
    """The draft of a decision, and what ends it."""

    def __init__(self, given: SavepointInput) -> None:
        self.given = given
        self.meta = given.savepoint.meta
        self.before = given.savepoint.status
        self.status = self.before
        self.now = given.observation.now
        self.actions: list[Action] = []
        self.delay: float | None = None

    @property
    def _run(self) -> Submission | None:
        """The run that it is about."""
        return self.given.job_status.submission

    # ends

    def _complete(self, spec: FlinkSavepointSpec, result: TriggerResult) -> SavepointDecision:
        snapshot = self._snapshot(result)
        location = result.location or (snapshot.external_path if snapshot is not None else None)
        begun = self.before.start_time or self.now
        overview = self.given.observation.job.overview
        number = result.checkpoint_id or (snapshot.checkpoint_id if snapshot is not None else None)
        self.status = replace(
            self.status,
            phase=SavepointPhase.COMPLETED,
            location=location,
            checkpoint_id=number,
            end_time=self._end_time(number),
            duration=readable_duration(self.now - begun),
            job_state=overview.state if overview is not None else self.status.job_state,
            retry_time=None,
            error=None,
        )
        self.status = _with_size(self.status, snapshot)
        whose = f"run {self.status.submission}" if self.status.submission is not None else f"job {self.status.job_id}"
        self._event(Reason.SavepointCompleted, f"{spec.type} {location} of {whose}")
        return self._completed()

    def _end_time(self, number: int | None) -> datetime:
        """Now, or a second after the end of another savepoint of the run that this one comes after.

        So that the newest can be told: times are kept in whole seconds, and numbers may be told seconds later or never.
        """
        second = self.now.replace(microsecond=0)
        ends = [
            other.status.end_time
            for other in self.given.others
            if other.status.phase is SavepointPhase.COMPLETED
            and other.status.job_id == self.status.job_id
            and (number is None or other.status.checkpoint_id is None)
            and other.status.end_time is not None
            and second <= other.status.end_time < second + ALIKE_FOR
        ]
        return max(ends) + timedelta(seconds=1) if ends else self.now

    def _completed_before(self, spec: FlinkSavepointSpec | None) -> SavepointDecision:
        """Fill in size and checkpoint id when Flink's statistics have caught up; nothing else ever changes."""
        before = self.before
        recent = before.end_time is not None and (self.now - before.end_time).total_seconds() < SIZE_WAIT
        observation = self.given.observation
        there = observation.cluster.reachable and observation.cluster.url == before.cluster_url
        if before.size_bytes is None and before.location and before.job_id and recent and there:
            snapshot = self._find(TriggerResult(state=TriggerState.COMPLETED, location=before.location))
            if snapshot is None:
                self._requeue_after(1.0)
            else:
                self.status = replace(before, checkpoint_id=snapshot.checkpoint_id)
                self.status = _with_size(self.status, snapshot)
        return self._completed()

    def _completed(self) -> SavepointDecision:
        decision = self._settle(
            Reason.Completed, self.status.location or "", ready=TRUE, reconciling=FALSE, stalled=FALSE
        )
        if ANNOTATION_RESULT in self.meta.annotations or self.meta.deletion_time is not None:
            return decision
        result = {
            "clusterUrl": self.status.cluster_url,
            "location": self.status.location,
            "jobId": self.status.job_id,
            "checkpointId": self.status.checkpoint_id,
            "submission": self.status.submission,
            "sizeBytes": self.status.size_bytes,
            "duration": self.status.duration,
        }
        result = {name: value for name, value in result.items() if value is not None}
        return replace(decision, result_mark=json.dumps(result, sort_keys=True))

    def _from_mark(self, mark: str) -> SavepointDecision:
        """Recorded by the operator, or created again or restored from a backup: done already, nothing is triggered."""
        try:
            result = read_result(mark)
        except ValueError:
            return self._fail(SavepointErrorCode.SAVEPOINT_FAILED, f"annotation {ANNOTATION_RESULT} cannot be read")
        self.status = replace(
            self.before,
            phase=SavepointPhase.COMPLETED,
            location=result.location,
            job_id=result.job_id,
            checkpoint_id=result.checkpoint_id,
            submission=result.submission,
            origin=self._origin(),
            cluster_url=result.cluster_url,
            end_time=self.meta.creation_time or self.now,
            duration=result.duration,
            size_bytes=result.size_bytes,
            size=readable_size(result.size_bytes) if result.size_bytes is not None else None,
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
        return self._settle(code, text, ready=FALSE, reconciling=FALSE, stalled=TRUE)

    # helpers of the round

    def _in_progress(self) -> SavepointDecision:
        self._requeue_after(FAST)
        where = self.status.directory or "the job's checkpoint directory"
        return self._settle(Reason.InProgress, f"writing below {where}", ready=FALSE, reconciling=TRUE, stalled=FALSE)

    def _wait(self, reason: Reason, message: str) -> SavepointDecision:
        self.status = replace(self.status, phase=SavepointPhase.PENDING)
        return self._settle(reason, message, ready=FALSE, reconciling=TRUE, stalled=FALSE)

    def _done(self) -> SavepointDecision:
        return SavepointDecision(status=self.before, actions=tuple(self.actions), requeue_after=self.delay)

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
        known = Conditions(self.before.conditions, now=self.now, generation=generation)
        rows = (("Ready", ready), ("Reconciling", reconciling), ("Stalled", stalled))
        conditions = [known.next(kind, state, reason, one_line(message)) for kind, state in rows]
        status = replace(self.status, conditions=tuple(conditions), observed_generation=generation)
        return SavepointDecision(status=status, actions=tuple(self.actions), requeue_after=self.delay)

    def _requeue_after(self, seconds: float) -> None:
        self.delay = seconds if self.delay is None else min(self.delay, seconds)

    def _event(self, reason: Reason, message: str, *, warning: bool = False) -> None:
        kind = EventType.WARNING if warning else EventType.NORMAL
        self.actions.append(PostEvent(type=kind, reason=reason, message=one_line(message)))

    def _origin(self) -> SavepointOrigin:
        word = self.meta.labels.get(LABEL_ORIGIN, "")
        return SavepointOrigin(word) if word in set(SavepointOrigin) else SavepointOrigin.MANUAL

    def _directory(self, spec: FlinkSavepointSpec) -> str | None:
        job = self.given.job
        own = job.spec.savepoints.directory if job is not None and job.spec is not None else None
        return self.given.observation.cluster.directory_for(spec.directory or own)

    def _format(self, spec: FlinkSavepointSpec) -> FormatType:
        job = self.given.job
        own = job.spec.savepoints.format_type if job is not None and job.spec is not None else FormatType.CANONICAL
        return spec.format_type or own

    def _need_trigger(self, spec: FlinkSavepointSpec) -> TriggerResult:
        return self.given.observation.need(self._triggered(spec))

    def _triggered(self, spec: FlinkSavepointSpec) -> Triggered:
        """The question for what was asked of Flink."""
        before = self.before
        return Triggered(before.flink_job_id, before.trigger, checkpoint=spec.type is SnapshotType.CHECKPOINT)

    def _need_checkpoints(self) -> CheckpointStats | None:
        return self.given.observation.need(Checkpoints(self.before.flink_job_id))

    def _snapshot(self, result: TriggerResult) -> Checkpoint | None:
        """The snapshot's entry in the statistics, when they show it already."""
        if self.given.observation.job.presence is not Presence.PRESENT:
            return None
        return self._find(result)

    def _find(self, result: TriggerResult) -> Checkpoint | None:
        stats = self._need_checkpoints() if self.before.job_id is not None else None
        if stats is None:
            return None
        for snapshot in stats.snapshots():
            if result.checkpoint_id is not None and snapshot.checkpoint_id == result.checkpoint_id:
                return snapshot
            if _same(result.location, snapshot.external_path):
                return snapshot
        return None


def _same(one: str | None, other: str | None) -> bool:
    return bool(one and other) and normalise_location(one or "") == normalise_location(other or "")


def _with_size(status: FlinkSavepointStatus, snapshot: Checkpoint | None) -> FlinkSavepointStatus:
    if snapshot is None or snapshot.state_bytes is None:
        return status
    return replace(status, size_bytes=snapshot.state_bytes, size=readable_size(snapshot.state_bytes))
