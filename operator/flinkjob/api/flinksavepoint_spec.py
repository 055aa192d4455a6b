"""`FlinkSavepoint.spec`: a snapshot that is asked for once. Parsed by the codec; the CRD is generated from it.

Invariant: every field but `deletion` and `ttlSecondsAfterFinished` is immutable, also against setting and unsetting.
"""

from typing import Annotated

from pydantic import Field

from flinkjob.api.cluster_spec import ClusterSpec, ServiceRef, TlsSpec
from flinkjob.api.common import ClusterUrl, Duration, JobId, JobName, Location
from flinkjob.api.enums import CheckpointType, FormatType, SavepointMode, SnapshotDeletion, SnapshotType
from flinkjob.api.fieldclass import Marker
from flinkjob.api.model import Rule, SpecModel, exactly_one
from flinkjob.api.references import NamedSecret
from flinkjob.api.sync import SyncToField


class JobRef(SpecModel):
    """A FlinkJob of the same namespace."""

    name: Annotated[JobName, Field(description="Its name.")]
    job_id: Annotated[
        JobId | None, Field(description="Act only while it is this Flink job; else the error is JobChanged.")
    ] = None


class TargetClusterSpec(SpecModel):
    """The Flink cluster that a job runs on, as in a FlinkJob's `spec.cluster`."""

    RULES = (
        exactly_one("spec.target.cluster", "url", "serviceRef"),
        Rule(
            "!has(self.tls) || !has(self.url) || self.url.startsWith('https://')",
            "spec.target.cluster.url: tls needs https",
            lambda cluster: cluster.tls is None or cluster.url is None or cluster.url.startswith("https://"),
        ),
    )

    url: Annotated[
        ClusterUrl | None,
        Field(
            description="The JobManager's REST endpoint, such as http://flink-jobmanager:8081. A Service of another "
            "namespace must allow this one, as for serviceRef."
        ),
    ] = None
    service_ref: Annotated[
        ServiceRef | None,
        Field(
            description="The Service in front of it, instead of url; https when tls is present. One of another "
            "namespace must allow this one by its annotation flinkjob.dev/allow-from."
        ),
    ] = None
    auth_secret_ref: Annotated[
        NamedSecret | None,
        Field(
            description="A Secret with username and password, or with token (bearer), and with the annotation "
            "flinkjob.dev/use: cluster."
        ),
    ] = None
    tls: Annotated[TlsSpec | None, Field(description="Trust and client certificate of the REST endpoint.")] = None

    def as_cluster(self) -> ClusterSpec:
        """The same, as a FlinkJob would have it."""
        return ClusterSpec(
            url=self.url, service_ref=self.service_ref, auth_secret_ref=self.auth_secret_ref, tls=self.tls
        )


class TargetSpec(SpecModel):
    """A Flink job by its cluster and id, whoever started it."""

    cluster: Annotated[TargetClusterSpec, Field(description="Where it runs.")]
    job_id: Annotated[JobId, Field(description="Its Flink job id.")]


class SavepointDeletionSpec(SpecModel):
    """What becomes of the snapshot's data when the FlinkSavepoint is deleted."""

    policy: Annotated[
        SnapshotDeletion,
        Field(
            description="Retain: the data stay. Delete: they are disposed of through the cluster that made them, else "
            "another one of the job or of the namespace, never while a run started from them or would restore from "
            "them. A FlinkSavepoint in progress is waited for first. A checkpoint of Flink's own is never disposed of."
        ),
    ] = SnapshotDeletion.RETAIN
    timeout: Annotated[
        Duration, Field(description="After it the object goes and the data stay, with an Event SnapshotKept.")
    ] = "5m"


class FlinkSavepointSpec(SpecModel):
    """A savepoint or checkpoint of a Flink job, taken once."""

    RULES = (
        exactly_one("spec.jobRef", "jobRef", "target"),
        Rule(
            "!has(self.location) || self.mode == 'Existing'",
            "spec.location: only with mode Existing",
            lambda spec: spec.location is None or spec.mode is SavepointMode.EXISTING,
        ),
        Rule(
            "self.mode != 'Existing' || (!has(self.directory) && !has(self.formatType))",
            "spec.mode: Existing takes neither directory nor formatType",
            lambda spec: (
                spec.mode is not SavepointMode.EXISTING or (spec.directory is None and spec.format_type is None)
            ),
        ),
        Rule(
            "!has(self.ttlSecondsAfterFinished) || self.mode in ['Trigger', 'Existing']",
            "spec.ttlSecondsAfterFinished: not with mode Stop or Cancel, which would act again when applied again",
            lambda spec: (
                spec.ttl_seconds_after_finished is None or spec.mode in (SavepointMode.TRIGGER, SavepointMode.EXISTING)
            ),
        ),
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
            "!has(self.submission) || (has(self.jobRef) && self.mode in ['Stop', 'Cancel'])",
            "spec.submission: only with jobRef and mode Stop or Cancel",
            lambda spec: spec.submission is None or (spec.job_ref is not None and spec.is_stop),
        ),
    )

    job_ref: Annotated[
        JobRef | None, Field(description="The FlinkJob; or target. One of the two."), Marker.IMMUTABLE
    ] = None
    target: Annotated[
        TargetSpec | None,
        Field(
            description="Any Flink job by cluster and id, with or without a FlinkJob. The current job of a FlinkJob of "
            "this namespace is treated as jobRef; one that another namespace or operator runs is refused "
            "(OwnedByOther), and one that no operator started unless the operator runs with --allow-unmarked-jobs."
        ),
        Marker.IMMUTABLE,
    ] = None
    mode: Annotated[
        SavepointMode,
        Field(
            description="Trigger: the job runs on. Stop: stop with a savepoint. Cancel: savepoint, then cancel; "
            "never cancelled when the savepoint failed. After Stop and Cancel the FlinkJob is held down. Existing: "
            "nothing is taken; location is registered, or the newest completed snapshot of the job."
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
        Field(description="Only with type Checkpoint. Defaults to Configured, as the job's periodic ones."),
        Marker.IMMUTABLE,
    ] = None
    location: Annotated[
        Location | None,
        Field(
            description="Where an existing snapshot is stored; the operator does not open it. Only with mode Existing. "
            "Absent there: the newest completed snapshot of the job; none is the error NoSnapshot."
        ),
        Marker.IMMUTABLE,
    ] = None
    directory: Annotated[
        Location | None,
        Field(
            description="Where to, each attempt into a directory of its own below. Defaults to the job's, then the "
            "cluster's."
        ),
        Marker.IMMUTABLE,
    ] = None
    format_type: Annotated[
        FormatType | None, Field(description="Defaults to the job's spec.savepoints.formatType."), Marker.IMMUTABLE
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
    sync_to: SyncToField = None
    deletion: Annotated[
        SavepointDeletionSpec, Field(description="What becomes of the data when this object is deleted.")
    ] = SavepointDeletionSpec()

    ttl_seconds_after_finished: Annotated[
        int | None,
        Field(
            ge=0,
            le=2**31,
            description="Delete this object so many seconds after it completed or failed; its data as deletion says. "
            "Ignored, with a warning, where Argo CD, Flux or Helm own it: they would create it and take a savepoint "
            "again. Not with mode Stop or Cancel.",
        ),
    ] = None

    @property
    def is_stop(self) -> bool:
        """Whether the job shall end with it."""
        return self.mode in (SavepointMode.STOP, SavepointMode.CANCEL)

    @property
    def is_checkpoint(self) -> bool:
        """Whether a checkpoint is asked for, not a savepoint."""
        return self.type is SnapshotType.CHECKPOINT
