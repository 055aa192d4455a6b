"""`FlinkJob.spec`: what a person asks for. Parsed by the codec, read by the core; the CRD is generated from it.

Invariant: every field declares its class (`Run`, `Scale`, `Move`, `Start`, `Live`), itself or through the field that
contains it."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Annotated, Final

from pydantic import Field
from pydantic.alias_generators import to_snake

from flinkjob.api.cluster_spec import ClusterSpec
from flinkjob.api.common import Duration, Location, TimeZone
from flinkjob.api.enums import (
    CheckpointingMode,
    CheckpointRetention,
    Claim,
    DesiredState,
    FormatType,
    RollbackPolicy,
    RuntimeMode,
)
from flinkjob.api.fieldclass import FieldClass
from flinkjob.api.initialstate import InitialStateSpec
from flinkjob.api.model import Rule, SpecModel, one_of
from flinkjob.api.policies_spec import DeletionSpec, RestartSpec, RestoreSpec, UpgradeSpec
from flinkjob.api.program_spec import DependenciesSpec, JarSpec, SqlSpec
from flinkjob.api.python_spec import PythonSpec
from flinkjob.api.reserved_keys import (
    DUPLICATE_KEYS,
    FIXED_KEYS,
    PYTHON_RESERVED_KEYS,
    RESERVED_KEYS,
    SQL_RESERVED_KEYS,
    SQL_UIDS,
)
from flinkjob.api.sync import JobSyncToSpec
from flinkjob.api.variables_spec import VariablesSource

MOST_BYTES: Final = 64 * 1024
"""Of all args together, and of all of flinkConfiguration: every FlinkJob is in the operator's memory."""


def _bytes(*texts: str) -> int:
    return sum(len(text.encode()) for text in texts)


def _reserved_rule(key: str, instead: str) -> Rule:
    return Rule(
        f"!has(self.flinkConfiguration) || !('{key}' in self.flinkConfiguration)",
        f"spec.flinkConfiguration: {key} is reserved; {instead}",
        lambda spec: key not in spec.flink_configuration,
    )


def _reserved_for_rule(program: str, title: str, key: str, instead: str) -> Rule:
    return Rule(
        f"!has(self.{program}) || !has(self.flinkConfiguration) || !('{key}' in self.flinkConfiguration)",
        f"spec.flinkConfiguration: {key} is reserved for {title} jobs; {instead}",
        lambda spec: getattr(spec, program) is None or key not in spec.flink_configuration,
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


def _fixed_rule(key: str) -> Rule:
    return Rule(
        f"!has(self.flinkConfiguration) || !('{key}' in self.flinkConfiguration) || "
        f"!self.flinkConfiguration['{key}'].contains('$(')",
        f"spec.flinkConfiguration: {key} cannot have a variable, since the operator reads its value",
        lambda spec: "$(" not in spec.flink_configuration.get(key, ""),
    )


CRON_PATTERN: Final = r"^[0-9A-Za-z*/,\-?#]+( [0-9A-Za-z*/,\-?#]+){4}$"


class CheckpointSpec(SpecModel):
    """Checkpointing of the job, sent as the matching Flink keys with every run."""

    interval: Annotated[
        Duration | None,
        Field(description="`execution.checkpointing.interval`, such as 30s. Defaults to the cluster's, or to none."),
    ] = None
    mode: Annotated[
        CheckpointingMode | None, Field(description="`execution.checkpointing.mode`. Defaults to the cluster's.")
    ] = None
    retention: Annotated[
        CheckpointRetention,
        Field(
            description="Whether the newest checkpoint outlives a cancelled job. Flink's own default keeps "
            "nothing, which leaves nothing to continue from."
        ),
    ] = CheckpointRetention.RETAIN_ON_CANCELLATION
    directory: Annotated[
        Location | None, Field(description="`execution.checkpointing.dir`. Defaults to the cluster's.")
    ] = None


class RetentionSpec(SpecModel):
    """How many savepoints are kept, and how long: one is deleted only when both limits are exceeded."""

    min_count: Annotated[int, Field(ge=1, le=10000, description="Number of newest savepoints that are always kept.")]
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
            description="Where they go, each into a directory of its own below. Defaults to the cluster's savepoint "
            "directory."
        ),
    ] = None
    format_type: Annotated[
        FormatType,
        Field(description="Canonical: readable by every state backend. Native: faster, the same backend only."),
    ] = FormatType.CANONICAL
    timeout: Annotated[
        Duration,
        Field(
            description="How long one may take. A periodic savepoint fails after it. The stop of a suspended or drained "
            "job gets at least one minute more than the job's own checkpoint timeout, then an Event reports the delay, "
            "and for a suspended job upgrade.fallback counts. deletion.timeout is never shorter than this plus one "
            "minute."
        ),
    ] = "10m"
    interval: Annotated[
        Duration | None, Field(description="Interval between periodic savepoints; the last time is kept in status.")
    ] = None
    schedule: Annotated[
        Annotated[str, Field(min_length=9, max_length=128, pattern=CRON_PATTERN)] | None,
        Field(description="Take one at these times: cron with five fields. Missed times are not made up for."),
    ] = None
    time_zone: Annotated[
        TimeZone | None, Field(description="Time zone of the schedule, such as Europe/Berlin. Defaults to UTC.")
    ] = None
    suspend: Annotated[bool, Field(description="Take no periodic savepoints for the time being.")] = False
    retention: Annotated[
        RetentionSpec | None,
        Field(
            description="Which of the savepoints that the operator took are deleted, with their data; never the newest "
            "nor one that is in use. Without it all are kept."
        ),
    ] = None
    sync_to: Annotated[
        JobSyncToSpec | None,
        Field(
            description="Copy every savepoint of this job to another store, in the order in which they were taken, one at "
            "a time."
        ),
    ] = None


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
        Rule(
            f"!has(self.args) || self.args.map(arg, size(bytes(arg))).sum() <= {MOST_BYTES}",
            f"spec.args: at most {MOST_BYTES} bytes together; put long texts where main() reads them from",
            lambda spec: _bytes(*spec.args) <= MOST_BYTES,
        ),
        Rule(
            "!has(self.flinkConfiguration) || self.flinkConfiguration.map(key, size(bytes(key)) + "
            f"size(bytes(self.flinkConfiguration[key]))).sum() <= {MOST_BYTES}",
            f"spec.flinkConfiguration: at most {MOST_BYTES} bytes together, keys and values",
            lambda spec: _bytes(*spec.flink_configuration, *spec.flink_configuration.values()) <= MOST_BYTES,
        ),
        Rule(
            "!has(self.variables) || self.variables.map(key, size(bytes(key)) + size(bytes(self.variables[key]))).sum() "
            f"<= {MOST_BYTES}",
            f"spec.variables: at most {MOST_BYTES} bytes together, names and values",
            lambda spec: _bytes(*spec.variables, *spec.variables.values()) <= MOST_BYTES,
        ),
        Rule(
            one_of("jar", "sql", "python"),
            "spec.jar, spec.sql, spec.python: exactly one of them",
            lambda spec: [spec.jar, spec.sql, spec.python].count(None) == 2,
        ),
        Rule(
            "!has(self.jar) || !has(self.jar.id) || !has(self.dependencies)",
            "spec.dependencies: not with jar.id, since a jar on the cluster stays as it is",
            lambda spec: spec.jar is None or spec.jar.id_ is None or spec.dependencies is None,
        ),
        Rule(
            "!has(self.sql) || !has(self.args) || size(self.args) == 0",
            "spec.args: a SQL script has no arguments",
            lambda spec: spec.sql is None or not spec.args,
        ),
        Rule(
            f"!has(self.sql) || !has(self.flinkConfiguration) || !('{SQL_UIDS}' in self.flinkConfiguration) || "
            f"self.flinkConfiguration['{SQL_UIDS}'].lowerAscii() != 'always'",
            f"spec.flinkConfiguration: {SQL_UIDS} cannot be ALWAYS: not even the same script could be restored",
            lambda spec: spec.sql is None or spec.flink_configuration.get(SQL_UIDS, "").lower() != "always",
        ),
        *(_reserved_for_rule("sql", "SQL", key, instead) for key, instead in SQL_RESERVED_KEYS.items()),
        *(_reserved_for_rule("python", "Python", key, instead) for key, instead in PYTHON_RESERVED_KEYS.items()),
        *(_reserved_rule(key, instead) for key, instead in RESERVED_KEYS.items()),
        *(_fixed_rule(key) for key in FIXED_KEYS),
        *(_duplicate_rule(field, key) for field, keys in DUPLICATE_KEYS.items() for key in keys),
    )

    cluster: Annotated[ClusterSpec, Field(description="The Flink cluster that runs the job."), FieldClass.MOVE]
    jar: Annotated[JarSpec | None, Field(description="The program that runs: a jar."), FieldClass.RUN] = None
    sql: Annotated[
        SqlSpec | None,
        Field(
            description="The program that runs: a SQL script. All of its INSERTs and statement sets are one job. Any "
            "Flink cluster with the table planner, which Flink's own distributions have, runs it; no SQL Gateway is needed."
        ),
        FieldClass.RUN,
    ] = None
    python: Annotated[
        PythonSpec | None,
        Field(
            description="The program that runs: a PyFlink program. JobManager and TaskManagers need Python and PyFlink of "
            "Flink's own version, and Flink's `flink-python` jar in its directory `opt` or `lib`."
        ),
        FieldClass.RUN,
    ] = None
    dependencies: Annotated[
        DependenciesSpec | None, Field(description="What the program needs besides its own classes."), FieldClass.RUN
    ] = None
    args: Annotated[
        tuple[Annotated[str, Field(max_length=8192)], ...],
        Field(
            max_length=256,
            description="Arguments of main(), one string each; at most 64 KiB together.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
        FieldClass.RUN,
    ] = ()
    flink_configuration: Annotated[
        Mapping[str, Annotated[str, Field(max_length=8192)]],
        Field(
            max_length=256,
            default_factory=dict,
            description="Flink options of the run, at most 64 KiB. Values are strings: quote numbers and booleans. Keys that "
            "another field or the operator sets are refused. Options that act only in a cluster's own configuration, such as "
            "those of memory, slots, high availability, REST and security, do nothing here: an Event and the condition "
            "ClusterSuitable name them.",
        ),
        FieldClass.RUN,
    ]
    variables: Annotated[
        Mapping[str, Annotated[str, Field(max_length=8192)]],
        Field(
            max_length=256,
            default_factory=dict,
            description="Values for $(NAME) in args, flinkConfiguration and a SQL script; $$(NAME) stays as $(NAME). Where "
            "there are variables, a name that is not known is refused.",
        ),
        FieldClass.RUN,
    ]
    variables_from: Annotated[
        tuple[VariablesSource, ...],
        Field(
            max_length=16,
            description="ConfigMaps and Secrets of the same namespace with more variables. A later one is stronger than an "
            "earlier one, and variables is stronger than all of them. A changed value counts when the job is started the "
            "next time.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
        FieldClass.RUN,
    ] = ()
    job_name: Annotated[
        Annotated[str, Field(min_length=1, max_length=256)] | None,
        Field(description="`pipeline.name`, what Flink shows. Defaults to metadata.name. A name set by main() wins."),
        FieldClass.RUN,
    ] = None
    runtime_mode: Annotated[
        RuntimeMode | None,
        Field(
            description="`execution.runtime-mode`: Streaming, Batch, or Automatic, which is Batch where all sources are "
            "bounded. A batch job has no checkpoints and no savepoints. Defaults to the cluster's, usually Streaming."
        ),
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
