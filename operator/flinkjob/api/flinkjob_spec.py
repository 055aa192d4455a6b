"""`FlinkJob.spec`: what a person asks for. Parsed by the codec, read by the core; the CRD is generated from it.

Invariant: every field declares its class (`Run`, `Scale`, `Move`, `Start`, `Live`), itself or through the field that
contains it."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Annotated, Final

from pydantic import Field
from pydantic.alias_generators import to_snake

from flinkjob.api.common import (
    ArtifactUri,
    CheckpointingMode,
    CheckpointRetention,
    Claim,
    ClusterUrl,
    DeletionPolicy,
    DesiredState,
    Duration,
    Fallback,
    FormatType,
    Location,
    OnLoss,
    OnMissing,
    Requirement,
    RestartPolicy,
    RollbackPolicy,
    Sha256,
    Switch,
    TimeZone,
    UpgradeStrategy,
)
from flinkjob.api.fieldclass import FieldClass
from flinkjob.api.initialstate import InitialStateSpec
from flinkjob.api.model import Rule, SpecModel, one_of
from flinkjob.api.references import KeyRef, NamedSecret
from flinkjob.api.sync import JobSyncToSpec

RESERVED_KEYS: Final[Mapping[str, str]] = {
    "execution.savepoint.path": "use spec.initialState",
    "execution.state-recovery.path": "use spec.initialState",
    "$internal.pipeline.job-id": "the operator chooses the job id",
    "parallelism.default": "use spec.parallelism",
}
"""Keys of flinkConfiguration that would undermine the operator, and what to do instead."""

DUPLICATE_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "jobName": ("pipeline.name",),
    "checkpoint.interval": ("execution.checkpointing.interval",),
    "checkpoint.mode": ("execution.checkpointing.mode",),
    "checkpoint.directory": ("execution.checkpointing.dir", "state.checkpoints.dir"),
    "checkpoint.retention": ("execution.checkpointing.externalized-checkpoint-retention",),
}
"""Fields that are sent under these keys: when the field is set, the key must not be. `checkpoint.retention` "
"always is, by its default."""


def _reserved_rule(key: str, instead: str) -> Rule:
    return Rule(
        f"!has(self.flinkConfiguration) || !('{key}' in self.flinkConfiguration)",
        f"spec.flinkConfiguration: {key} is reserved; {instead}",
        lambda spec: key not in spec.flink_configuration,
    )


def _duplicate_rule(field: str, key: str) -> Rule:
    parts = field.split(".")
    present = " && ".join(f"has(self.{'.'.join(parts[: count + 1])})" for count in range(len(parts)))
    attribute = attrgetter(".".join(to_snake(part) for part in parts))
    return Rule(
        f"!({present} && has(self.flinkConfiguration) && '{key}' in self.flinkConfiguration)",
        f"spec.flinkConfiguration: {key} and spec.{field} set the same; keep spec.{field}",
        lambda spec: key not in spec.flink_configuration or attribute(spec) is None,
    )


CRON_PATTERN: Final = r"^[0-9A-Za-z*/,\-?#]+( [0-9A-Za-z*/,\-?#]+){4}$"


class TlsSpec(SpecModel):
    """How the REST endpoint is trusted, and how the operator shows who it is."""

    ca: Annotated[
        KeyRef | None, Field(description="Certificates (PEM) that are trusted. Absent: those of the system.")
    ] = None
    client_secret_ref: Annotated[
        NamedSecret | None, Field(description="A Secret with tls.crt and tls.key, shown to the cluster (mTLS).")
    ] = None
    server_name: Annotated[
        Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-.a-zA-Z0-9]+$")] | None,
        Field(description="The name that the cluster's certificate has, where it is not the one of the address."),
    ] = None
    insecure_skip_verify: Annotated[bool, Field(description="Trust any certificate: for tests only.")] = False


class ServiceRef(SpecModel):
    """A Service in front of the JobManager."""

    name: Annotated[
        Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")],
        Field(description="Its name."),
    ]
    namespace: Annotated[
        Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] | None,
        Field(
            description="Its namespace. Absent: this object's. Another one must allow it by the annotation "
            "flinkjob.dev/allow-from: ns1,ns2 on the Service."
        ),
    ] = None
    port: Annotated[int, Field(ge=1, le=65535, description="Its port.")] = 8081


class ClusterSpec(SpecModel):
    """The Flink cluster that runs the job."""

    RULES = (
        Rule(
            one_of("url", "serviceRef"),
            "spec.cluster: exactly one of url and serviceRef",
            lambda cluster: (cluster.url is None) != (cluster.service_ref is None),
        ),
        Rule(
            "!has(self.tls) || !has(self.url) || self.url.startsWith('https://')",
            "spec.cluster.url: tls needs https",
            lambda cluster: cluster.tls is None or cluster.url is None or cluster.url.startswith("https://"),
        ),
    )

    url: Annotated[
        ClusterUrl | None,
        Field(
            description="The JobManager's REST endpoint, such as http://flink-jobmanager:8081, of any Flink "
            "cluster from 1.20 to 2.3, whoever runs it. Without user information."
        ),
    ] = None
    service_ref: Annotated[
        ServiceRef | None,
        Field(description="The Service in front of it, instead of url; https when tls is present."),
    ] = None
    auth_secret_ref: Annotated[
        NamedSecret | None,
        Field(description="A Secret with username and password, or with token (bearer)."),
        FieldClass.LIVE,
    ] = None
    tls: Annotated[
        TlsSpec | None, Field(description="Trust and client certificate of the REST endpoint."), FieldClass.LIVE
    ] = None
    require: Annotated[
        tuple[Requirement, ...],
        Field(
            max_length=3,
            description="What the cluster must offer; not met = ClusterSuitable is False and nothing is submitted.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
        FieldClass.LIVE,
    ] = ()

    def address(self, namespace: str) -> str:
        """The address of the REST endpoint, for an object of this namespace."""
        if self.service_ref is None:
            return self.url or ""
        scheme = "http" if self.tls is None else "https"
        service = self.service_ref
        return f"{scheme}://{service.name}.{service.namespace or namespace}.svc:{service.port}"


class JarSpec(SpecModel):
    """The jar that is run."""

    uri: Annotated[
        ArtifactUri,
        Field(
            description="Where the jar is fetched from: https, http, or file (below the directories that the "
            "operator allows)."
        ),
    ]
    sha256: Annotated[
        Sha256 | None,
        Field(description="The jar's SHA-256 in lower-case hexadecimal; a jar with another content is refused."),
    ] = None
    entry_class: Annotated[
        Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[A-Za-z_$][A-Za-z0-9_.$]*$")] | None,
        Field(description="The class with main(). Absent: the one that the jar's manifest names."),
    ] = None


class CheckpointSpec(SpecModel):
    """Checkpointing of the job, sent as the matching Flink keys with every run."""

    interval: Annotated[
        Duration | None,
        Field(description="`execution.checkpointing.interval`, such as 30s. Absent: the cluster's, or none."),
    ] = None
    mode: Annotated[
        CheckpointingMode | None, Field(description="`execution.checkpointing.mode`. Absent: the cluster's.")
    ] = None
    retention: Annotated[
        CheckpointRetention,
        Field(
            description="Whether the newest checkpoint outlives a cancelled job. Flink's own default keeps "
            "nothing, which leaves nothing to continue from."
        ),
    ] = CheckpointRetention.RETAIN_ON_CANCELLATION
    directory: Annotated[
        Location | None, Field(description="`execution.checkpointing.dir`. Absent: the cluster's.")
    ] = None


class RestoreSpec(SpecModel):
    """How every later run starts from its predecessor's state."""

    on_missing: Annotated[
        OnMissing,
        Field(
            description="Fail: when state must exist but none is usable, stop and say so. Fresh: start empty, with a "
            "warning."
        ),
    ] = OnMissing.FAIL
    max_age: Annotated[
        Duration | None,
        Field(description="State older than this when the run before ended counts as missing. Absent: any age."),
    ] = None
    allow_non_restored_state: Annotated[
        bool, Field(description="Start although the snapshot holds state that the job no longer has.")
    ] = False
    claim_mode: Annotated[
        Claim,
        Field(
            description="NoClaim: the snapshot stays as it is. Claim: Flink owns and soon deletes it; only with "
            "initialState.location, for that first start, and without rollback."
        ),
    ] = Claim.NO_CLAIM


class RollbackSpec(SpecModel):
    """Back to the last healthy revision when the new run does not get healthy."""

    policy: Annotated[
        RollbackPolicy,
        Field(
            description="Enabled: a run with a new spec that fails, or is not healthy by the deadline, is replaced by "
            "the last healthy one, from the state before the upgrade; then held until the spec changes."
        ),
    ] = RollbackPolicy.DISABLED
    healthy_after: Annotated[
        Duration,
        Field(
            description="Healthy = all tasks running all that time, no restart and, where checkpointing is on, one "
            "completed checkpoint."
        ),
    ] = "60s"
    deadline: Annotated[Duration, Field(description="By when the new run must be healthy.")] = "10m"


class UpgradeSpec(SpecModel):
    """How a running job is replaced when a Run field changes."""

    strategy: Annotated[
        UpgradeStrategy,
        Field(
            description="Savepoint: stop with a savepoint, start from it. LastState: cancel, start from the "
            "newest retained checkpoint. Stateless: cancel, start empty."
        ),
    ] = UpgradeStrategy.SAVEPOINT
    fallback: Annotated[
        Fallback,
        Field(
            description="When strategy Savepoint cannot take one (the job is not running on all tasks, the savepoint "
            "keeps failing): LastState: as that strategy. Wait: try again. Fail: Stalled, the job runs on."
        ),
    ] = Fallback.LAST_STATE
    preflight: Annotated[
        Switch,
        Field(
            description="Enabled: before the running job is touched the new jar is fetched, checked, uploaded and its "
            "job graph compiled on the cluster (main() runs once more, without a job); any failure leaves the old "
            "job running. Disabled: only the jar is fetched and uploaded."
        ),
    ] = Switch.ENABLED
    rollback: Annotated[RollbackSpec, Field(description="What happens when the new run does not get healthy.")] = (
        RollbackSpec()
    )
    timeout: Annotated[
        Duration, Field(description="How long the stop may take before it is reported; it is never aborted.")
    ] = "10m"


class RetentionSpec(SpecModel):
    """How many savepoints are kept, and how long: one is deleted only when both limits are exceeded."""

    min_count: Annotated[int, Field(ge=1, le=10000, description="So many of the newest are always kept.")]
    min_age: Annotated[Duration, Field(description="Younger ones are always kept.")]


class SavepointsSpec(SpecModel):
    """Savepoints that the operator takes of this job."""

    RULES = (
        Rule(
            "!(has(self.interval) && has(self.schedule))",
            "spec.savepoints: interval and schedule cannot be used together",
            lambda savepoints: savepoints.interval is None or savepoints.schedule is None,
        ),
        Rule(
            "!has(self.timeZone) || has(self.schedule)",
            "spec.savepoints.timeZone: only with schedule",
            lambda savepoints: savepoints.time_zone is None or savepoints.schedule is not None,
        ),
    )

    directory: Annotated[
        Location | None,
        Field(
            description="Where they go, each into a directory of its own below. Absent: the cluster's savepoint "
            "directory."
        ),
    ] = None
    format_type: Annotated[
        FormatType,
        Field(description="Canonical: readable by every state backend. Native: faster, the same backend only."),
    ] = FormatType.CANONICAL
    timeout: Annotated[Duration, Field(description="How long one may take before it is reported.")] = "10m"
    interval: Annotated[
        Duration | None, Field(description="Take one so often while the job runs; the last time is kept in status.")
    ] = None
    schedule: Annotated[
        Annotated[str, Field(min_length=9, max_length=128, pattern=CRON_PATTERN)] | None,
        Field(description="Take one at these times: cron with five fields. Missed times are not made up for."),
    ] = None
    time_zone: Annotated[
        TimeZone | None, Field(description="Time zone of the schedule, such as Europe/Berlin. Absent: UTC.")
    ] = None
    suspend: Annotated[bool, Field(description="Take no periodic savepoints for the time being.")] = False
    retention: Annotated[
        RetentionSpec | None,
        Field(
            description="Which of the savepoints that the operator took are deleted, with their data; never the newest "
            "nor one that is in use. Absent: all are kept."
        ),
    ] = None
    sync_to: Annotated[
        JobSyncToSpec | None,
        Field(
            description="Copy every savepoint of this job to another store, in the order in which they were taken, one at "
            "a time."
        ),
    ] = None


class RestartSpec(SpecModel):
    """What happens when the job fails, is lost by its cluster, or is cancelled by somebody else."""

    policy: Annotated[
        RestartPolicy,
        Field(description="OnFailure: a FAILED job is started again from its newest state. Never: it stays down."),
    ] = RestartPolicy.ON_FAILURE
    max_attempts: Annotated[
        int | None, Field(ge=1, le=1000, description="How often in a row; then held. Absent: without limit.")
    ] = None
    initial_delay: Annotated[Duration, Field(description="The first pause; it doubles with every attempt.")] = "5s"
    max_delay: Annotated[Duration, Field(description="The longest pause.")] = "5m"
    reset_after: Annotated[
        Duration, Field(description="A run that was up for so long makes earlier attempts forgotten.")
    ] = "10m"
    on_lost: Annotated[
        OnLoss,
        Field(
            description="The JobManager was restarted without high availability. Restore: start again from the newest "
            "checkpoint found in the checkpoint directory; where it cannot be read this acts as Hold. Hold: stay down."
        ),
    ] = OnLoss.RESTORE
    on_external_cancel: Annotated[
        OnLoss, Field(description="Somebody else cancelled or stopped it. Restore: start it again. Hold: stay down.")
    ] = OnLoss.RESTORE


class DeletionSpec(SpecModel):
    """What becomes of the Flink job when this FlinkJob is deleted."""

    policy: Annotated[
        DeletionPolicy,
        Field(
            description="Savepoint: stop with a savepoint where there is state and a directory, else cancel. Cancel. "
            "Orphan: the job runs on."
        ),
    ] = DeletionPolicy.SAVEPOINT
    timeout: Annotated[
        Duration,
        Field(
            description="After it the job is cancelled if the cluster answers, else left behind, in any case "
            'with an Event. At once with the annotation flinkjob.dev/force-delete: "true".'
        ),
    ] = "5m"


class FlinkJobSpec(SpecModel):
    """A Flink job that is kept in the desired state on a Flink cluster."""

    RULES = (
        Rule(
            "!has(self.restore) || !has(self.restore.claimMode) || self.restore.claimMode != 'Claim' || "
            "(has(self.initialState) && has(self.initialState.location))",
            "spec.restore.claimMode: Claim needs initialState.location, since Flink deletes what it claims",
            lambda spec: spec.restore.claim_mode is not Claim.CLAIM or spec.initial_state.location is not None,
        ),
        Rule(
            "!has(self.restore) || !has(self.restore.claimMode) || self.restore.claimMode != 'Claim' || "
            "!has(self.upgrade) || !has(self.upgrade.rollback) || !has(self.upgrade.rollback.policy) || "
            "self.upgrade.rollback.policy != 'Enabled'",
            "spec.restore.claimMode: Claim cannot go with upgrade.rollback, which may need the state once more",
            lambda spec: (
                spec.restore.claim_mode is not Claim.CLAIM or spec.upgrade.rollback.policy is not RollbackPolicy.ENABLED
            ),
        ),
        *(_reserved_rule(key, instead) for key, instead in RESERVED_KEYS.items()),
        *(_duplicate_rule(field, key) for field, keys in DUPLICATE_KEYS.items() for key in keys),
    )

    cluster: Annotated[ClusterSpec, Field(description="The Flink cluster that runs the job."), FieldClass.MOVE]
    jar: Annotated[JarSpec, Field(description="What runs."), FieldClass.RUN]
    args: Annotated[
        tuple[Annotated[str, Field(max_length=8192)], ...],
        Field(
            max_length=256,
            description="Arguments of main(), one string each.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
        FieldClass.RUN,
    ] = ()
    flink_configuration: Annotated[
        Mapping[str, Annotated[str, Field(max_length=8192)]],
        Field(
            max_length=256,
            default_factory=dict,
            description="Flink options of the run. Values are strings: quote numbers and booleans. Keys that "
            "another field or the operator sets are refused.",
        ),
        FieldClass.RUN,
    ]
    job_name: Annotated[
        Annotated[str, Field(min_length=1, max_length=256)] | None,
        Field(description="`pipeline.name`, what Flink shows. Absent: metadata.name. A name set by main() wins."),
        FieldClass.RUN,
    ] = None
    parallelism: Annotated[
        int,
        Field(
            ge=1, le=32768, description="Default parallelism of the job; also what kubectl scale and autoscalers set."
        ),
        FieldClass.SCALE,
    ] = 1
    checkpoint: Annotated[CheckpointSpec, Field(description="Checkpointing of the job."), FieldClass.RUN] = (
        CheckpointSpec()
    )
    state: Annotated[
        DesiredState,
        Field(
            description="Running. Suspended: stop with a savepoint, resume later. Cancelled. Drained: stop with "
            "a savepoint and the highest watermark; Running again then needs a new initialState.nonce."
        ),
        FieldClass.LIVE,
    ] = DesiredState.RUNNING
    initial_state: Annotated[
        InitialStateSpec, Field(description="Where the first run's state comes from."), FieldClass.START
    ] = InitialStateSpec()
    restore: Annotated[
        RestoreSpec, Field(description="How later runs start from the newest state."), FieldClass.LIVE
    ] = RestoreSpec()
    upgrade: Annotated[UpgradeSpec, Field(description="How a running job is replaced."), FieldClass.LIVE] = (
        UpgradeSpec()
    )
    savepoints: Annotated[
        SavepointsSpec, Field(description="Savepoints that the operator takes of this job."), FieldClass.LIVE
    ] = SavepointsSpec()
    restart_nonce: Annotated[
        int | None,
        Field(ge=0, le=2**53, description="Change it to restart the job with a savepoint."),
        FieldClass.RUN,
    ] = None
    restart: Annotated[
        RestartSpec, Field(description="What happens when the job fails or goes away."), FieldClass.LIVE
    ] = RestartSpec()
    deletion: Annotated[
        DeletionSpec, Field(description="What becomes of the job when this object is deleted."), FieldClass.LIVE
    ] = DeletionSpec()
    ttl_seconds_after_finished: Annotated[
        int | None,
        Field(
            ge=0,
            le=2**31,
            description="Delete this object so many seconds after the job has finished. Ignored, with a warning, where "
            "Argo CD, Flux or Helm own it: they would create it and run the job again.",
        ),
        FieldClass.LIVE,
    ] = None
    revision_history_limit: Annotated[
        int,
        Field(ge=1, le=100, description="How many specs of earlier runs are kept as ControllerRevisions."),
        FieldClass.LIVE,
    ] = 10
