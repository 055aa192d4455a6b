"""Shapes of Flink's answers, and their conversion to the values of `core.flinkmodel`.

Used by: the client's parts, right after an answer came. Invariants: unknown fields are ignored, fields that only some
versions send have defaults; every model has one way out, `value()`; every value is bounded, see `values`. Spelling differs
between endpoints on purpose: `failure-cause` for savepoints, `failureCause` for checkpoints.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from flinkjob.core import flinkmodel as model
from flinkjob.core.errors import one_line, redact_urls
from flinkjob.flink.error_texts import (
    failure_cause,
    is_not_initialized,
    is_snapshot_missing,
    is_without_slots,
    restore_failure,
    root_cause,
    savepoint_despite_failure,
    savepoint_failure,
)
from flinkjob.flink.values import Count, First, Name, Number, Place, Shape, Texts, Time, Trace, Word

_NO_INTERVAL = 2**63 - 1
_STACKTRACE_LINES = 12
_STACKTRACE_CHARACTERS = 2000


class Tasks(Shape):
    """Counts of subtasks by state."""

    total: Count = 0
    running: Count = 0
    finished: Count = 0
    scheduled: Count = 0
    failed: Count = 0
    canceled: Count = 0


class Job(Shape):
    """An entry of `/jobs/overview`."""

    jid: Word
    name: Name = ""
    state: Word
    start: Time = Field(None, alias="start-time")
    end: Time = Field(None, alias="end-time")
    modified: Time = Field(None, alias="last-modification")
    tasks: Tasks = Tasks()
    scheduler: Word | None = Field(None, alias="schedulerType")

    def value(self) -> model.JobOverview:
        """The domain value."""
        return model.JobOverview(
            job_id=self.jid,
            name=self.name,
            state=model.FlinkJobState(self.state),
            start_time=self.start,
            end_time=self.end,
            last_modification=self.modified,
            tasks=model.TaskCounts(**self.tasks.model_dump()),
            scheduler_type=self.scheduler,
        )


class Jobs(Shape):
    """`GET /jobs/overview`."""

    jobs: tuple[Any, ...]
    """Each was a `Job` and is its value by now, see `pieces`."""


class JobStatus(Shape):
    """`GET /jobs/:id/status`."""

    status: Word


class Snapshot(Shape):
    """A checkpoint or savepoint in `/jobs/:id/checkpoints` and `/jobs/:id/checkpoints/details/:n`."""

    id: Count
    status: Word
    is_savepoint: bool = False
    checkpoint_type: Word | None = None
    external_path: Place = None
    discarded: bool = False
    triggered: Time = Field(None, alias="trigger_timestamp")
    acknowledged: Time = Field(None, alias="latest_ack_timestamp")
    state_size: Number = None
    duration: Number = Field(None, alias="end_to_end_duration")
    failure_message: Trace | None = None

    def value(self) -> model.Checkpoint:
        """The domain value."""
        guess = model.CheckpointKind.SAVEPOINT if self.is_savepoint else model.CheckpointKind.CHECKPOINT
        return model.Checkpoint(
            checkpoint_id=self.id,
            status=model.CheckpointStatus(self.status),
            kind=model.CheckpointKind(self.checkpoint_type) if self.checkpoint_type else guess,
            external_path=self.external_path,
            discarded=self.discarded,
            trigger_time=self.triggered,
            latest_ack_time=self.acknowledged,
            state_bytes=self.state_size,
            duration_ms=self.duration,
            failure=root_cause(self.failure_message) if self.failure_message else None,
        )


class Restored(Shape):
    """`latest.restored` of `/jobs/:id/checkpoints`."""

    id: Count
    external_path: Place = None
    is_savepoint: bool = False
    restored: Time = Field(None, alias="restore_timestamp")

    def value(self) -> model.RestoredCheckpoint:
        """The domain value."""
        return model.RestoredCheckpoint(
            checkpoint_id=self.id,
            external_path=self.external_path,
            is_savepoint=self.is_savepoint,
            restore_time=self.restored,
        )


class Counts(Shape):
    """`counts` of `/jobs/:id/checkpoints`."""

    total: Count = 0
    completed: Count = 0
    failed: Count = 0
    in_progress: Count = 0
    restored: Count = 0


class Latest(Shape):
    """`latest` of `/jobs/:id/checkpoints`."""

    completed: Snapshot | None = None
    savepoint: Snapshot | None = None
    failed: Snapshot | None = None
    restored: Restored | None = None


class Checkpoints(Shape):
    """`GET /jobs/:id/checkpoints`."""

    counts: Counts
    latest: Latest
    history: tuple[Any, ...] = ()
    """Each is a `Snapshot`."""

    def value(self, history: Iterable[model.Checkpoint]) -> model.CheckpointStats:
        """The domain value.

        Args:
            history: the values of the entries.
        """
        latest = self.latest
        return model.CheckpointStats(
            total=self.counts.total,
            completed=self.counts.completed,
            failed=self.counts.failed,
            in_progress=self.counts.in_progress,
            restored_count=self.counts.restored,
            latest_completed=latest.completed.value() if latest.completed else None,
            latest_savepoint=latest.savepoint.value() if latest.savepoint else None,
            latest_failed=latest.failed.value() if latest.failed else None,
            restored=latest.restored.value() if latest.restored else None,
            history=tuple(sorted(history, key=lambda entry: -entry.checkpoint_id)),
        )


class Externalization(Shape):
    """Whether checkpoints outlive the job."""

    enabled: bool = False
    delete_on_cancellation: bool = True


class CheckpointSettings(Shape):
    """`GET /jobs/:id/checkpoints/config`."""

    interval: Count = _NO_INTERVAL
    timeout: Count | None = None
    min_pause: Count = 0
    externalization: Externalization = Externalization()
    state_backend: Name | None = None
    checkpoint_storage: Name | None = None

    def value(self) -> model.CheckpointConfig:
        """The domain value."""
        kept = self.externalization
        return model.CheckpointConfig(
            interval_ms=self.interval if 0 < self.interval < _NO_INTERVAL else None,
            timeout_ms=self.timeout,
            min_pause_ms=self.min_pause,
            retained=kept.enabled,
            retained_on_cancellation=kept.enabled and not kept.delete_on_cancellation,
            state_backend=self.state_backend,
            checkpoint_storage=self.checkpoint_storage,
        )


class ExecutionConfig(Shape):
    """`execution-config` of `/jobs/:id/config`."""

    user: Texts = Field(default_factory=dict, alias="user-config")


class JobConfig(Shape):
    """`GET /jobs/:id/config`."""

    execution: ExecutionConfig = Field(ExecutionConfig(), alias="execution-config")


class Metric(Shape):
    """An entry of `GET /jobs/:id/metrics`; the value is a text, -1 or "n/a" while there is none."""

    id: str
    value: str = ""

    @property
    def number(self) -> int | None:
        """The value as a number from 0 on; None where it is none."""
        return int(self.value) if self.value.isdecimal() and len(self.value) < 10 else None


class Where(Shape):
    """Where something failed."""

    task: Name | None = Field(None, alias="taskName")
    taskmanager: Name | None = Field(None, alias="taskManagerId")


class Failure(Where):
    """An entry of `/jobs/:id/exceptions`; the one that ends a job names its task only in its concurrent failures."""

    name: Name = Field("", alias="exceptionName")
    stacktrace: Trace = ""
    time: Time = Field(None, alias="timestamp")
    concurrent: First[Where] = Field((), alias="concurrentExceptions")

    def value(self) -> model.JobException:
        """The domain value."""
        named = next((each for each in (self, *self.concurrent) if each.task), self)
        head = "\n".join(self.stacktrace.splitlines()[:_STACKTRACE_LINES])[:_STACKTRACE_CHARACTERS]
        return model.JobException(
            time=self.time,
            name=self.name,
            root_cause=failure_cause(self.stacktrace) or one_line(self.name),
            stacktrace_head=redact_urls(head),
            task=named.task,
            taskmanager=named.taskmanager,
            restore=restore_failure(self.stacktrace or self.name),
            not_initialized=is_not_initialized(self.stacktrace or self.name),
            no_slots=is_without_slots(self.stacktrace or self.name),
        )


class FailureHistory(Shape):
    """`exceptionHistory` of `/jobs/:id/exceptions`."""

    entries: tuple[Any, ...] = ()
    """Each is a `Failure`."""


class Failures(Shape):
    """`GET /jobs/:id/exceptions`."""

    history: FailureHistory = Field(FailureHistory(), alias="exceptionHistory")


class Cause(Shape):
    """A Java exception that Flink serialised."""

    name: Name = Field("", alias="class")
    stacktrace: Trace = Field("", alias="stack-trace")


class Operation(Shape):
    """`operation` of a finished trigger; failure and success both come with HTTP 200."""

    location: Place = None
    checkpoint_id: Number = Field(None, alias="checkpointId")
    dashed: Cause | None = Field(None, alias="failure-cause")
    camel: Cause | None = Field(None, alias="failureCause")


class OperationStatus(Shape):
    """`status` of a trigger."""

    id: Word


class Triggered(Shape):
    """`GET /jobs/:id/savepoints/:t`, `/jobs/:id/checkpoints/:t`, `/savepoint-disposal/:t`."""

    status: OperationStatus
    operation: Operation | None = None

    def value(self) -> model.TriggerResult:
        """The domain value; an unknown status word counts as still in progress."""
        operation = self.operation or Operation()
        if self.status.id != "COMPLETED":
            return model.TriggerResult(state=model.TriggerState.IN_PROGRESS)
        cause = operation.dashed or operation.camel
        if cause is None:
            return model.TriggerResult(
                state=model.TriggerState.COMPLETED,
                location=operation.location,
                checkpoint_id=operation.checkpoint_id,
            )
        return model.TriggerResult(
            state=model.TriggerState.FAILED,
            failure=root_cause(cause.stacktrace) or cause.name or "Flink gave no cause",
            failure_kind=savepoint_failure(cause.stacktrace or cause.name),
            failure_path=savepoint_despite_failure(cause.stacktrace),
            missing=is_snapshot_missing(cause.stacktrace),
        )


class RequestId(Shape):
    """Answer to a trigger."""

    id: Word = Field(alias="request-id")


class Features(Shape):
    """`features` of `/config`."""

    submit: bool = Field(True, alias="web-submit")
    cancel: bool = Field(True, alias="web-cancel")
    rescale: bool = Field(False, alias="web-rescale")


class Config(Shape):
    """`GET /config`."""

    version: Word = Field(alias="flink-version")
    refresh: Count = Field(3000, alias="refresh-interval")
    features: Features = Features()

    def value(self) -> model.ClusterConfig:
        """The domain value."""
        return model.ClusterConfig(
            flink_version=self.version,
            refresh_interval_ms=self.refresh,
            web_submit=self.features.submit,
            web_cancel=self.features.cancel,
            web_rescale=self.features.rescale,
        )


class Overview(Shape):
    """`GET /overview`."""

    taskmanagers: Count
    total: Count = Field(alias="slots-total")
    available: Count = Field(alias="slots-available")
    version: Word = Field("", alias="flink-version")

    def value(self) -> model.ClusterOverview:
        """The domain value."""
        return model.ClusterOverview(
            taskmanagers=self.taskmanagers,
            slots_total=self.total,
            slots_available=self.available,
            flink_version=self.version,
        )


class Setting(Shape):
    """One entry of `GET /jobmanager/config`."""

    key: Name
    value: Trace
