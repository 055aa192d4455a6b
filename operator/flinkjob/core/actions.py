"""The closed set of things that a decision can ask for; the executor performs them in the order of their stage.

Stages (see `runtime/executor.py`): what must exist before the intent (finalizer, revision, recorded savepoints), then the
status itself (compare-and-set), then the calls with an effect on Flink, last what only reports or tidies up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from flinkjob.api.program_spec import JarSpec, SqlSpec
from flinkjob.api.python_spec import PythonSpec
from flinkjob.api.sync import SyncToSpec
from flinkjob.core.flinkmodel import RunRequest, SavepointFormat, TriggeredCheckpoint


@dataclass(frozen=True, kw_only=True)
class AddFinalizer:
    """Hold the object in etcd while a Flink job of it may run."""


@dataclass(frozen=True, kw_only=True)
class RemoveFinalizer:
    """Release the object: no Flink job of it may be running, or it is left behind on purpose."""


@dataclass(frozen=True, kw_only=True)
class RecordRevision:
    """Keep the spec that is about to run as a ControllerRevision; the oldest beyond `keep` are deleted.

    Attributes:
        sql: the script with its texts, where the object only says where they are.
        python: likewise the program with its files.
        jar: the jar with its SHA-256, where the object only says which ConfigMap it is in.
    """

    name: str
    number: int
    keep: int
    sql: SqlSpec | None = None
    python: PythonSpec | None = None
    jar: JarSpec | None = None


@dataclass(frozen=True, kw_only=True)
class RecordSavepoint:
    """Record a savepoint that the operator itself took, in so many seconds, as a completed FlinkSavepoint.

    Attributes:
        time: when it was complete.
        sync_to: where it is copied to automatically, since its FlinkJob will be gone.
    """

    name: str
    origin: str
    location: str
    flink_job_id: str
    submission: int
    time: datetime
    delete_data: bool = False
    seconds: float | None = None
    sync_to: SyncToSpec | None = None


@dataclass(frozen=True, kw_only=True)
class CreateSavepoint:
    """Ask for a savepoint by a FlinkSavepoint of the operator's own; its name follows from when it was due."""

    name: str
    origin: str
    delete_data: bool
    timeout: str


@dataclass(frozen=True, kw_only=True)
class DeleteSavepoint:
    """Delete a FlinkSavepoint of the operator's own, and with it its data."""

    name: str
    uid: str


@dataclass(frozen=True, kw_only=True)
class DeleteObject:
    """Delete the object itself: it has finished, and its time to live is over."""


@dataclass(frozen=True, kw_only=True)
class MarkResult:
    """Leave the result as an annotation, so that an object restored without its status does nothing again."""

    mark: str


@dataclass(frozen=True, kw_only=True)
class RunJob:
    """`POST /jars/:id/run`: start a job under an id that is already in the status."""

    url: str
    jar_id: str
    attempt: int
    request: RunRequest


@dataclass(frozen=True, kw_only=True)
class StopJob:
    """`POST /jobs/:id/stop`: stop with a savepoint, under a trigger id that is already in the status."""

    url: str
    job_id: str
    trigger_id: str
    directory: str
    format_type: SavepointFormat
    drain: bool


@dataclass(frozen=True, kw_only=True)
class TakeSavepoint:
    """`POST /jobs/:id/savepoints`, with `cancel` cancelling the job when the savepoint is complete."""

    url: str
    job_id: str
    trigger_id: str
    directory: str
    format_type: SavepointFormat
    cancel: bool


@dataclass(frozen=True, kw_only=True)
class TakeCheckpoint:
    """`POST /jobs/:id/checkpoints`."""

    url: str
    job_id: str
    trigger_id: str
    checkpoint_type: TriggeredCheckpoint


@dataclass(frozen=True, kw_only=True)
class CancelJob:
    """`PATCH /jobs/:id`: repeating it is harmless."""

    url: str
    job_id: str


@dataclass(frozen=True, kw_only=True)
class RescaleJob:
    """`PUT /jobs/:id/resource-requirements`: each vertex gets the parallelism that the program's plan has for it."""

    url: str
    job_id: str
    parallelism: tuple[tuple[str, int], ...]


ON_A_JOB = (StopJob, TakeSavepoint, TakeCheckpoint, CancelJob, RescaleJob)
"""The calls with an effect on a Flink job that is there."""


@dataclass(frozen=True, kw_only=True)
class DiscardArtifact:
    """Remove the uploaded jar with this digest from the cluster; a round drops this where another FlinkJob needs it."""

    url: str
    digest: str


class EventType(StrEnum):
    """Kubernetes' two sorts of Events."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, kw_only=True)
class PostEvent:
    """Report one transition.

    Attributes:
        once_for: what several objects of a namespace would say the same of: only one of them does, within an hour.
    """

    type: EventType
    reason: str
    message: str
    once_for: str = ""


Action = (
    AddFinalizer
    | RemoveFinalizer
    | RecordRevision
    | RecordSavepoint
    | CreateSavepoint
    | DeleteSavepoint
    | DeleteObject
    | MarkResult
    | RunJob
    | StopJob
    | TakeSavepoint
    | TakeCheckpoint
    | CancelJob
    | RescaleJob
    | DiscardArtifact
    | PostEvent
)
