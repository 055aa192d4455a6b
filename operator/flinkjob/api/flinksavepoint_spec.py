"""`FlinkSavepoint.spec`: a snapshot that is asked for once. Parsed by the codec; the CRD is generated from it.

Invariant: every field but `deletion` is immutable, also against setting and unsetting.
"""

from typing import Annotated

from pydantic import Field

from flinkjob.api.common import (
    CheckpointType,
    Duration,
    FormatType,
    JobId,
    JobName,
    Location,
    SavepointMode,
    SnapshotDeletion,
    SnapshotType,
)
from flinkjob.api.fieldclass import Marker
from flinkjob.api.model import Rule, SpecModel


class JobRef(SpecModel):
    """A FlinkJob of the same namespace."""

    name: Annotated[JobName, Field(description="Its name.")]
    job_id: Annotated[
        JobId | None, Field(description="Act only while it is this Flink job; else the error is JobChanged.")
    ] = None


class SavepointDeletionSpec(SpecModel):
    """What becomes of the snapshot's data when the FlinkSavepoint is deleted."""

    policy: Annotated[
        SnapshotDeletion,
        Field(
            description="Retain: the data stay. Delete: they are disposed of through the job's cluster, never while a "
            "run started from them or would restore from them."
        ),
    ] = SnapshotDeletion.RETAIN
    timeout: Annotated[
        Duration, Field(description="After it the object goes and the data stay, with an Event SnapshotKept.")
    ] = "5m"


class FlinkSavepointSpec(SpecModel):
    """A savepoint or checkpoint of a FlinkJob, taken once."""

    RULES = (
        Rule(
            "self.type != 'Checkpoint' || !has(self.deletion) || !has(self.deletion.policy) || "
            "self.deletion.policy != 'Delete'",
            "spec.deletion.policy: Delete is not for a Checkpoint, which Flink owns",
            lambda spec: not spec.is_checkpoint or spec.deletion.policy is not SnapshotDeletion.DELETE,
        ),
        Rule(
            "self.type != 'Checkpoint' || self.mode == 'Trigger'",
            "spec.mode: type Checkpoint needs mode: Trigger",
            lambda spec: not spec.is_checkpoint or spec.mode is SavepointMode.TRIGGER,
        ),
        Rule(
            "self.type != 'Checkpoint' || !has(self.directory)",
            "spec.directory: not with type Checkpoint; Flink keeps it in the job's checkpoint directory",
            lambda spec: not spec.is_checkpoint or spec.directory is None,
        ),
        Rule(
            "self.type != 'Checkpoint' || !has(self.formatType)",
            "spec.formatType: not with type Checkpoint",
            lambda spec: not spec.is_checkpoint or spec.format_type is None,
        ),
        Rule(
            "self.type == 'Checkpoint' || !has(self.checkpointType)",
            "spec.checkpointType: only with type Checkpoint",
            lambda spec: spec.is_checkpoint or spec.checkpoint_type is None,
        ),
        Rule(
            "!self.drain || self.mode == 'Stop'",
            "spec.drain: only with mode Stop",
            lambda spec: not spec.drain or spec.mode is SavepointMode.STOP,
        ),
        Rule(
            "!has(self.submission) || self.mode != 'Trigger'",
            "spec.submission: only with mode Stop or Cancel",
            lambda spec: spec.submission is None or spec.mode is not SavepointMode.TRIGGER,
        ),
    )

    job_ref: Annotated[JobRef, Field(description="The FlinkJob."), Marker.IMMUTABLE]
    mode: Annotated[
        SavepointMode,
        Field(
            description="Trigger: the job runs on. Stop: stop with a savepoint. Cancel: savepoint, then cancel; "
            "never cancelled when the savepoint failed. After Stop and Cancel the FlinkJob is held down."
        ),
        Marker.IMMUTABLE,
    ] = SavepointMode.TRIGGER
    type: Annotated[
        SnapshotType,
        Field(description="Checkpoint: one that Flink owns and may delete later; only with mode Trigger."),
        Marker.IMMUTABLE,
    ] = SnapshotType.SAVEPOINT
    checkpoint_type: Annotated[
        CheckpointType | None,
        Field(description="Only with type Checkpoint. Absent: Configured, as the job's periodic ones."),
        Marker.IMMUTABLE,
    ] = None
    directory: Annotated[
        Location | None,
        Field(
            description="Where to, each attempt into a directory of its own below. Absent: the job's, then the "
            "cluster's."
        ),
        Marker.IMMUTABLE,
    ] = None
    format_type: Annotated[
        FormatType | None, Field(description="Absent: the job's spec.savepoints.formatType."), Marker.IMMUTABLE
    ] = None
    drain: Annotated[
        bool,
        Field(
            description="Send the highest watermark first, so that the job's results are final. Only with mode Stop."
        ),
        Marker.IMMUTABLE,
    ] = False
    submission: Annotated[
        int | None,
        Field(
            ge=1,
            le=2**53,
            description="Act only on that run (status.submission.number) of the FlinkJob, so that an object that "
            "GitOps creates again does not stop a later run. Only with mode Stop or Cancel.",
        ),
        Marker.IMMUTABLE,
    ] = None
    timeout: Annotated[
        Duration, Field(description="How long it may take, waiting for the job included."), Marker.IMMUTABLE
    ] = "10m"
    backoff_limit: Annotated[
        int,
        Field(ge=0, le=100, description="How often it is tried again after a transient error."),
        Marker.IMMUTABLE,
    ] = 3
    deletion: Annotated[
        SavepointDeletionSpec, Field(description="What becomes of the data when this object is deleted.")
    ] = SavepointDeletionSpec()

    @property
    def is_checkpoint(self) -> bool:
        """Whether a checkpoint is asked for, not a savepoint."""
        return self.type is SnapshotType.CHECKPOINT
