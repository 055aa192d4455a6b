"""What Flink says and is asked, as plain values: job states, snapshots, triggers, requests.

Used by: the decisions (core), the REST client that makes these (flink) and the runtime. Invariants: immutable, no I/O;
times are aware UTC; words that a newer Flink may add become `UNKNOWN` and are never terminal or complete.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Self

from flinkjob.core.errors import RestoreFailure, SavepointFailure


class _Word(StrEnum):
    """An enumeration of Flink's words that maps words it does not know to its member `UNKNOWN`."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return cls.__members__.get("UNKNOWN")


class FlinkJobState(_Word):
    """State of a Flink job, in Flink's words."""

    INITIALIZING = "INITIALIZING"
    CREATED = "CREATED"
    RUNNING = "RUNNING"
    FAILING = "FAILING"
    FAILED = "FAILED"
    CANCELLING = "CANCELLING"
    CANCELED = "CANCELED"
    FINISHED = "FINISHED"
    RESTARTING = "RESTARTING"
    SUSPENDED = "SUSPENDED"
    RECONCILING = "RECONCILING"
    UNKNOWN = "UNKNOWN"

    @property
    def is_terminal(self) -> bool:
        """True when the job can never run again under its id (SUSPENDED may be recovered by another JobManager)."""
        return self in (FlinkJobState.FINISHED, FlinkJobState.CANCELED, FlinkJobState.FAILED)

    @property
    def is_beginning(self) -> bool:
        """True while Flink has no graph of the job, and so shows no configuration: also where its tasks wait for slots."""
        return self in (FlinkJobState.INITIALIZING, FlinkJobState.CREATED)


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskCounts:
    """Number of subtasks in each state."""

    total: int = 0
    running: int = 0
    finished: int = 0
    scheduled: int = 0
    failed: int = 0
    canceled: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class JobOverview:
    """One entry of `/jobs/overview`, which is live (never cached by Flink)."""

    job_id: str
    name: str
    state: FlinkJobState
    start_time: datetime | None = None
    end_time: datetime | None = None
    last_modification: datetime | None = None
    tasks: TaskCounts = TaskCounts()
    scheduler_type: str | None = None

    @property
    def all_tasks_running(self) -> bool:
        """True when the job really processes: RUNNING alone is reached before any task has a slot."""
        tasks = self.tasks
        return self.state is FlinkJobState.RUNNING and tasks.total > 0 and tasks.running + tasks.finished == tasks.total

    @property
    def waits_for_slots(self) -> bool:
        """True when tasks have no slot yet: the default scheduler has them SCHEDULED, the adaptive one the job CREATED."""
        return self.state is FlinkJobState.CREATED or self.tasks.scheduled > 0


class CheckpointStatus(_Word):
    """State of one checkpoint or savepoint."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


class CheckpointKind(_Word):
    """What a snapshot was made for; SYNC_SAVEPOINT is the one of a stop."""

    CHECKPOINT = "CHECKPOINT"
    SAVEPOINT = "SAVEPOINT"
    SYNC_SAVEPOINT = "SYNC_SAVEPOINT"
    UNKNOWN = "UNKNOWN"


class TriggeredCheckpoint(StrEnum):
    """How a checkpoint that is asked for shall be made (Flink: `checkpointType` of the trigger)."""

    CONFIGURED = "CONFIGURED"
    FULL = "FULL"
    INCREMENTAL = "INCREMENTAL"


class SavepointFormat(StrEnum):
    """Format of a savepoint."""

    CANONICAL = "CANONICAL"
    NATIVE = "NATIVE"


class ClaimMode(StrEnum):
    """Who owns the snapshot after a restore; CLAIM lets Flink delete it within seconds."""

    NO_CLAIM = "NO_CLAIM"
    CLAIM = "CLAIM"
    LEGACY = "LEGACY"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A checkpoint or savepoint in the statistics of a job. `checkpoint_id` orders the snapshots of one job."""

    checkpoint_id: int
    status: CheckpointStatus
    kind: CheckpointKind
    external_path: str | None = None
    discarded: bool = False
    trigger_time: datetime | None = None
    latest_ack_time: datetime | None = None
    state_bytes: int | None = None
    duration_ms: int | None = None
    failure: str | None = None

    @property
    def is_savepoint(self) -> bool:
        """True for a savepoint of either sort."""
        return self.kind in (CheckpointKind.SAVEPOINT, CheckpointKind.SYNC_SAVEPOINT)

    @property
    def is_usable(self) -> bool:
        """True when a job can be started from it: complete, not discarded, at a known place."""
        return self.status is CheckpointStatus.COMPLETED and not self.discarded and self.external_path is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoredCheckpoint:
    """What the current execution of a job was restored from."""

    checkpoint_id: int
    external_path: str | None = None
    is_savepoint: bool = False
    restore_time: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointStats:
    """Checkpoint statistics of a job since the JobManager took it over; up to 3 s old (Flink's cache).

    `history` is newest first and bounded (10 by default). `latest_savepoint` is not always the one of the stop.
    """

    total: int = 0
    completed: int = 0
    failed: int = 0
    in_progress: int = 0
    restored_count: int = 0
    latest_completed: Checkpoint | None = None
    latest_savepoint: Checkpoint | None = None
    latest_failed: Checkpoint | None = None
    restored: RestoredCheckpoint | None = None
    history: tuple[Checkpoint, ...] = ()

    def snapshots(self) -> tuple[Checkpoint, ...]:
        """All snapshots known, each once, newest (highest checkpoint id) first."""
        latest = (self.latest_completed, self.latest_savepoint, self.latest_failed)
        known = {snapshot.checkpoint_id: snapshot for snapshot in latest if snapshot is not None}
        known.update({snapshot.checkpoint_id: snapshot for snapshot in self.history})
        return tuple(known[number] for number in sorted(known, reverse=True))

    def newest_completed(self, *kinds: CheckpointKind) -> Checkpoint | None:
        """The completed snapshot with the highest id among `kinds` (all kinds when none is given)."""
        for snapshot in self.snapshots():
            if snapshot.status is CheckpointStatus.COMPLETED and (not kinds or snapshot.kind in kinds):
                return snapshot
        return None

    @property
    def savepoint_in_progress(self) -> bool:
        """Whether some savepoint is being written; which one is unknown, since its place shows only at its end."""
        return any(one.status is CheckpointStatus.IN_PROGRESS and one.is_savepoint for one in self.snapshots())

    def below(self, directory: str) -> tuple[Checkpoint, ...]:
        """The snapshots whose place is inside `directory`, newest first, whatever their status."""
        return tuple(
            snapshot
            for snapshot in self.snapshots()
            if snapshot.external_path is not None and is_below(snapshot.external_path, directory)
        )

    def completed_below(self, directory: str) -> Checkpoint | None:
        """The newest complete snapshot inside `directory`."""
        return next((one for one in self.below(directory) if one.status is CheckpointStatus.COMPLETED), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointDetails:
    """What one completed snapshot holds of each vertex of its job.

    Attributes:
        vertex_bytes: by the vertex's id; 0 for a vertex without state.
        aligned: False where these are not of state alone, since records on their way to a vertex were stored too.
    """

    vertex_bytes: Mapping[str, int]
    aligned: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointConfig:
    """How a job checkpoints. `interval_ms` None: no periodic checkpoints."""

    interval_ms: int | None = None
    timeout_ms: int | None = None
    min_pause_ms: int = 0
    retained: bool = False
    retained_on_cancellation: bool = False
    state_backend: str | None = None
    checkpoint_storage: str | None = None


class TriggerState(StrEnum):
    """State of an asynchronous operation. FORGOTTEN: Flink does not know the trigger (any more)."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    FORGOTTEN = "FORGOTTEN"


@dataclass(frozen=True, kw_only=True, slots=True)
class TriggerResult:
    """Answer about a savepoint, stop, checkpoint or disposal that was triggered.

    Attributes:
        location: where the savepoint is, as Flink spells it.
        checkpoint_id: id of the checkpoint that was triggered.
        failure: the root cause, one line.
        failure_kind: what that means for another attempt.
        failure_path: a savepoint that was made although the stop failed.
        missing: there was nothing to dispose of.
    """

    state: TriggerState
    location: str | None = None
    checkpoint_id: int | None = None
    failure: str | None = None
    failure_kind: SavepointFailure = SavepointFailure.OTHER
    failure_path: str | None = None
    missing: bool = False


class CancelResult(StrEnum):
    """Answer to a cancel. ACCEPTED is not yet CANCELED; also the answer for a job that is CANCELED already."""

    ACCEPTED = "ACCEPTED"
    ALREADY_TERMINAL = "ALREADY_TERMINAL"
    NOT_FOUND = "NOT_FOUND"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """One submission of a jar. Arguments and configuration may hold secrets and are kept out of `repr`."""

    job_id: str
    entry_class: str | None = None
    args: tuple[str, ...] = field(default=(), repr=False)
    parallelism: int | None = None
    savepoint_path: str | None = None
    allow_non_restored_state: bool = False
    claim_mode: ClaimMode = ClaimMode.NO_CLAIM
    flink_configuration: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobException:
    """One failure of a job.

    Attributes:
        root_cause: one line.
        stacktrace_head: the first lines of the stack trace.
        restore: why the job could not be started from its snapshot; None where that is not what failed.
        not_initialized: it failed before any of its tasks was deployed, in a way that time alone is not known to mend.
        no_slots: the cluster had too few slots for it for some minutes.
    """

    time: datetime | None
    name: str
    root_cause: str
    stacktrace_head: str = ""
    task: str | None = None
    taskmanager: str | None = None
    restore: RestoreFailure | None = None
    not_initialized: bool = False
    no_slots: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class JobManagerInfo:
    """The JobManager process that answers: `incarnation` changes whenever the process is another one."""

    incarnation: str
    high_availability: bool
    config: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterConfig:
    """What the cluster is and allows (`GET /config`)."""

    flink_version: str
    refresh_interval_ms: int = 3000
    web_submit: bool = True
    web_cancel: bool = True
    web_rescale: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterOverview:
    """TaskManagers and slots of the cluster (`GET /overview`)."""

    taskmanagers: int
    slots_total: int
    slots_available: int
    flink_version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JarFile:
    """A jar on the cluster; `name` is the name it was uploaded with, `id` what Flink made of it."""

    id: str
    name: str
    uploaded: datetime | None = None
    entry_classes: tuple[str, ...] = ()


_LOCATION = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):(?://([^/]*))?(/.*)?$", re.DOTALL)
_CHECKPOINT = re.compile(r"/chk-[0-9]+$")
_SAME_STORE = {"s3a": "s3", "s3n": "s3", "s3p": "s3"}


def normalise_location(location: str) -> str:
    """Spell a snapshot's place in one way, for comparison only: never send the result to Flink.

    Flink answers `file:/x` for `file:///x`, accepts `dir/_metadata` for `dir` and knows one S3 bucket by several
    schemes. A path without scheme counts as a local file; dots and doubled slashes are resolved as Flink does.
    """
    match = _LOCATION.match(location)
    scheme, authority, path = match.groups() if match else ("file", None, location)
    scheme = _SAME_STORE.get(scheme.lower(), scheme.lower())
    host = (authority or "").lower()
    if scheme == "file" and host == "localhost":
        host = ""
    parts: list[str] = []
    for part in (path or "").split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    if parts and parts[-1] == "_metadata":
        parts.pop()
    return f"{scheme}://{host}/{'/'.join(parts)}"


def is_checkpoint_place(location: str) -> bool:
    """True for the directory of a checkpoint, which Flink may delete on its own, not of a savepoint."""
    return _CHECKPOINT.search(normalise_location(location)) is not None


def is_local(location: str) -> bool:
    """True for a path on the machine that looks, which another machine may not have."""
    return normalise_location(location).startswith("file:")


def is_below(location: str, directory: str) -> bool:
    """True when `location` is strictly inside `directory`, however the two are spelled."""
    inner, outer = normalise_location(location), normalise_location(directory).rstrip("/")
    return inner.startswith(outer + "/") and inner != outer + "/"
