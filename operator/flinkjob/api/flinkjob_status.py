"""`FlinkJob.status`: what the operator saw, intends and did. Written only by the core's decision, through the codec.

Frozen standard dataclasses, so that the core changes them with `dataclasses.replace`; pydantic validates and writes
them. Invariant: every string and list is bounded, and every field has a default (an absent status is
`FlinkJobStatus()`)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from flinkjob.api.common import (
    Asker,
    ConditionMessage,
    Digests,
    Message,
    ObservedLocation,
    PreciseTime,
    ShortWord,
    Text,
    Time,
    Url,
    Word,
)
from flinkjob.api.enums import (
    ConditionStatus,
    EndCause,
    FormatType,
    HoldReason,
    MainFailure,
    OperationKind,
    Phase,
    RunResult,
    SnapshotKind,
    SubmissionReason,
)
from flinkjob.api.failure_status import FailureInfo, RestartInfo
from flinkjob.api.model import STATUS_CONFIG
from flinkjob.api.sync import JobSyncStatus, RestoredCopy


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One aspect of the object's state, as Kubernetes defines conditions."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    type: Annotated[ShortWord, Field(description="Which aspect.")]
    status: Annotated[ConditionStatus, Field(description="Whether it holds.")]
    reason: Annotated[ShortWord, Field(description="Why, in one word.")] = ""
    message: Annotated[ConditionMessage, Field(description="Why, in one line for people.")] = ""
    last_transition_time: Annotated[Time | None, Field(description="When status last changed.")] = None
    observed_generation: Annotated[
        int | None, Field(ge=0, description="The metadata.generation it was decided on.")
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What the operator does or waits for next."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    step: Annotated[Word | None, Field(description="The step it is at.")] = None
    reason: Annotated[Word | None, Field(description="Why, in one word.")] = None
    since: Annotated[Time | None, Field(description="Since when.")] = None
    retry_time: Annotated[PreciseTime | None, Field(description="When it is tried again.")] = None
    attempts: Annotated[int, Field(ge=0, description="How often it was tried.")] = 0
    message: Annotated[
        ConditionMessage | None, Field(description="What the operator is doing or waiting for, in one line.")
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """Why the job is held down. Released by a change of a Run field, of restartNonce or of state."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    reason: Annotated[HoldReason, Field(description="Why, in one word.")]
    by: Annotated[Text | None, Field(description="Who: the FlinkSavepoint's name.")] = None
    since: Annotated[Time | None, Field(description="Since when.")] = None
    run_digest: Annotated[Word | None, Field(description="The digest of the spec that is held.")] = None
    location: Annotated[ObservedLocation | None, Field(description="The savepoint the job was stopped with.")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ObservedJob:
    """The Flink job as it was last seen."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    id: Annotated[Word | None, Field(description="Flink job id.")] = None
    name: Annotated[Text | None, Field(description="Name in Flink.")] = None
    state: Annotated[
        Word | None,
        Field(
            description="Flink's own word; kept when the cluster cannot be reached, absent once Flink has forgotten the job."
        ),
    ] = None
    observed_time: Annotated[Time | None, Field(description="When that state was first seen.")] = None
    start_time: Annotated[Time | None, Field(description="When the job started.")] = None
    end_time: Annotated[Time | None, Field(description="When the job ended.")] = None
    parallelism: Annotated[int | None, Field(ge=0, description="The parallelism it runs with.")] = None
    tasks_running: Annotated[int | None, Field(ge=0, description="Tasks that run.")] = None
    tasks_total: Annotated[int | None, Field(ge=0, description="Tasks in all.")] = None
    restarts: Annotated[
        int | None, Field(ge=0, description="How often Flink itself has restarted it; up to a minute behind.")
    ] = None
    ui_url: Annotated[Url | None, Field(description="The job in Flink's web interface.")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEnd:
    """How a submission ended."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    result: Annotated[RunResult, Field(description="How.")]
    time: Annotated[PreciseTime | None, Field(description="When it ended, or was seen to have ended.")] = None
    snapshot: Annotated[ObservedLocation | None, Field(description="The newest state it left.")] = None
    snapshot_kind: Annotated[SnapshotKind | None, Field(description="What that state is.")] = None
    snapshot_time: Annotated[Time | None, Field(description="When that state was taken.")] = None
    released: Annotated[bool, Field(description="Whether state left Running since, which lets it run again.")] = False
    message: Annotated[Message | None, Field(description="Why, in one line.")] = None
    cause: Annotated[EndCause | None, Field(description="What made it fail, where that decides what follows.")] = None
    incarnation: Annotated[Word | None, Field(description="The JobManager process that showed it.")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """One intended run, written before the run call. Numbers only grow."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    number: Annotated[int, Field(ge=0, description="Its number, from 1 on.")] = 0
    reason: Annotated[SubmissionReason | None, Field(description="Why it was started.")] = None
    job_id: Annotated[Word | None, Field(description="The Flink job id it is sent with.")] = None
    cluster_url: Annotated[Url | None, Field(description="The cluster it is sent to.")] = None
    incarnation: Annotated[Word | None, Field(description="The JobManager process it was sent to.")] = None
    high_availability: Annotated[bool, Field(description="Whether that cluster recovers jobs itself.")] = False
    revision: Annotated[Text | None, Field(description="The ControllerRevision that holds its spec.")] = None
    run_digest: Annotated[Word | None, Field(description="Digest of its Run fields.")] = None
    artifact_digest: Annotated[
        Word | None,
        Field(
            description="SHA-256 of its jar. Where the operator makes the jar, that of what it is made of, after `jar-`, or "
            "after `sql-` or `python-` and the version of the runner."
        ),
    ] = None
    uploads: Digests = ()
    jar_id: Annotated[Url | None, Field(description="The uploaded jar on the cluster.")] = None
    restored_from: Annotated[
        ObservedLocation | None, Field(description="The state it starts from; absent = empty.")
    ] = None
    restored_why: Annotated[Text | None, Field(description="What that state is, and why it was chosen.")] = None
    restored_copy: Annotated[
        RestoredCopy | None, Field(description="The copy that it starts from, where initialState.copies named it.")
    ] = None
    claim: Annotated[bool, Field(description="Whether Flink owns the state it starts from.")] = False
    allow_non_restored_state: Annotated[bool, Field(description="Whether state may be left over.")] = False
    nonce: Annotated[int | None, Field(description="The initialState.nonce it was started under.")] = None
    intent_time: Annotated[Time | None, Field(description="When it was decided.")] = None
    started_time: Annotated[PreciseTime | None, Field(description="When all its tasks were first seen running.")] = None
    seen: Annotated[bool, Field(description="Whether it was ever seen on the cluster.")] = False
    running: Annotated[bool, Field(description="Whether all tasks were ever seen running.")] = False
    retains_checkpoints: Annotated[
        bool | None,
        Field(description="Whether its newest checkpoint outlives a cancel, as Flink says; absent while not known."),
    ] = None
    steady_since: Annotated[
        PreciseTime | None, Field(description="Since when all tasks run, while it has yet to prove healthy.")
    ] = None
    healthy: Annotated[bool, Field(description="Whether it was ever healthy in the sense of upgrade.rollback.")] = False
    parallelism: Annotated[int | None, Field(ge=0, description="The parallelism it is sent with.")] = None
    attempts: Annotated[int, Field(ge=0, description="How often the run call was repeated.")] = 0
    actual_parallelism: Annotated[
        int | None,
        Field(ge=0, description="The largest parallelism of its vertices in Flink, where it was looked at."),
    ] = None
    replace_to_rescale: Annotated[bool, Field(description="Whether its parallelism could not be changed in place.")] = (
        False
    )
    rejected: Annotated[bool, Field(description="Whether Flink refused the last run call for certain.")] = False
    unanswered: Annotated[bool, Field(description="Whether an earlier run call got no clear answer.")] = False
    operations: Annotated[int, Field(ge=0, description="How many operations were begun on it.")] = 0
    given_up: Annotated[
        Word | None,
        Field(description="Generation and digest of the spec under which no savepoint could be taken, or not in time."),
    ] = None
    state_checked: Annotated[
        Word | None,
        Field(description="Generation and digest of the spec whose program was compared with the state of this run."),
    ] = None
    state_lost: Annotated[
        Text | None, Field(description="What that program would certainly leave behind, for which it is not run.")
    ] = None
    main_failure: Annotated[
        MainFailure | None,
        Field(description="How main() failed after it had started the job, where it did and that was seen."),
    ] = None
    savepoint_failure: Annotated[
        Text | None, Field(description="Why the last savepoint to stop it with could not be taken.")
    ] = None
    bounded: Annotated[
        bool, Field(description="Whether Flink refused a savepoint since the job is bounded (a batch job).")
    ] = False
    end: Annotated[RunEnd | None, Field(description="How it ended; absent while it has not.")] = None

    @property
    def lives(self) -> bool:
        """Whether its Flink job was seen, and is not known to have ended."""
        return self.end is None and self.seen

    @property
    def refused(self) -> bool:
        """Whether Flink has refused all of its calls for certain, so that nothing of it runs."""
        return self.end is None and self.rejected and not self.seen and not self.unanswered

    @property
    def flink_job_id(self) -> str:
        """The id of its Flink job; empty where nothing was ever sent."""
        return self.job_id or ""

    @property
    def address(self) -> str:
        """The address of its cluster; empty where nothing was ever sent."""
        return self.cluster_url or ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """What is being done to the running job, written before the call. One at a time."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    kind: Annotated[OperationKind, Field(description="What.")]
    by: Annotated[Asker | None, Field(description="Who: the FlinkSavepoint's name, or why the operator does it.")] = (
        None
    )
    trigger_id: Annotated[Word | None, Field(description="The trigger id sent with it.")] = None
    directory: Annotated[ObservedLocation | None, Field(description="The directory of this attempt.")] = None
    submission: Annotated[int | None, Field(ge=0, description="The submission it acts on.")] = None
    job_id: Annotated[Word | None, Field(description="The Flink job id it acts on.")] = None
    run_digest: Annotated[Word | None, Field(description="The desired digest when it was decided.")] = None
    since: Annotated[Time | None, Field(description="When it was decided.")] = None
    drain: Annotated[bool, Field(description="Whether the stop drains.")] = False
    format_type: Annotated[FormatType | None, Field(description="Savepoint format.")] = None
    parallelism: Annotated[int | None, Field(ge=0, description="The parallelism that is being set.")] = None
    numbers: Annotated[Word | None, Field(description="Digest of the parallelism of each vertex it asks for.")] = None
    attempt: Annotated[int, Field(ge=0, description="Which attempt this is.")] = 0
    overdue: Annotated[bool, Field(description="Whether it was reported to take longer than its timeout.")] = False

    @property
    def flink_job_id(self) -> str:
        """The id of the Flink job that it acts on."""
        return self.job_id or ""

    @property
    def trigger(self) -> str:
        """The trigger id that was sent with it; empty for what has none, such as a cancel."""
        return self.trigger_id or ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointInfo:
    """A completed checkpoint."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    id: Annotated[int | None, Field(ge=0, description="Flink's checkpoint id.")] = None
    location: Annotated[ObservedLocation | None, Field(description="Where it is stored.")] = None
    time: Annotated[Time | None, Field(description="When it completed.")] = None
    size: Annotated[Word | None, Field(description="Its size, such as 1.2Gi.")] = None
    duration_ms: Annotated[int | None, Field(ge=0, description="How long it took, in milliseconds.")] = None
    observed_time: Annotated[
        Time | None,
        Field(
            description="When Flink said that it is the newest; newer ones may exist since. Written with another change, or "
            "in turn: one FlinkJob a minute, each at the latest after an hour or so."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SavepointInfo:
    """A completed savepoint."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    name: Annotated[Text | None, Field(description="The FlinkSavepoint's name.")] = None
    location: Annotated[ObservedLocation | None, Field(description="Where it is stored.")] = None
    time: Annotated[Time | None, Field(description="When it completed.")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PeriodicInfo:
    """Periodic savepoints."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    last_time: Annotated[Time | None, Field(description="For when the last one was due.")] = None
    next_time: Annotated[Time | None, Field(description="When the next one is due.")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterInfo:
    """The cluster as it was last seen."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    url: Annotated[Url | None, Field(description="Its address.")] = None
    flink_version: Annotated[Word | None, Field(description="Its Flink version.")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollback:
    """A spec that did not get healthy, and what runs instead until the spec changes."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    run_digest: Annotated[Word | None, Field(description="Digest of the spec that is held back.")] = None
    revision: Annotated[Text | None, Field(description="The ControllerRevision that runs instead.")] = None
    from_submission: Annotated[int | None, Field(ge=0, description="The run that did not get healthy.")] = None
    since: Annotated[Time | None, Field(description="Since when.")] = None
    message: Annotated[Message | None, Field(description="Why, in one line.")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryEntry:
    """An earlier run."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    number: Annotated[int, Field(ge=0, description="Its submission number.")]
    job_id: Annotated[Word | None, Field(description="Its Flink job id.")] = None
    digest: Annotated[Word | None, Field(description="Its run digest.")] = None
    from_: Annotated[ObservedLocation | None, Field(alias="from", description="The state it started from.")] = None
    to: Annotated[ObservedLocation | None, Field(description="The state it left.")] = None
    started: Annotated[Time | None, Field(description="When it was first seen.")] = None
    ended: Annotated[Time | None, Field(description="When it ended.")] = None
    result: Annotated[RunResult | None, Field(description="How it ended.")] = None
    downtime: Annotated[Word | None, Field(description="From its end to the next run's start, such as 1.4s.")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FlinkJobStatus:
    """What the operator saw, intends and did."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    observed_generation: Annotated[
        int | None, Field(ge=0, description="The newest metadata.generation acted on, also of an invalid spec.")
    ] = None
    phase: Annotated[Phase | None, Field(description="Where the job is in its lifecycle.")] = None
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=8,
            description="Always all written: Ready, Reconciling, Stalled, Healthy, ClusterReachable, ClusterSuitable. "
            "Synced where savepoints.syncTo is given. SourceMayStillRun where the run was started from another operator's "
            "copy.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    plan: Annotated[Plan | None, Field(description="What is done or waited for.")] = None
    hold: Annotated[Hold | None, Field(description="Why the job is held down.")] = None
    current_revision: Annotated[Text | None, Field(description="The ControllerRevision of the current run.")] = None
    healthy_revision: Annotated[Text | None, Field(description="The one of the last healthy run.")] = None
    healthy_artifact: Annotated[Word | None, Field(description="As submission.artifactDigest, of that run.")] = None
    job: Annotated[ObservedJob | None, Field(description="The Flink job as last seen.")] = None
    submission: Annotated[Submission | None, Field(description="The current run, as intended.")] = None
    operation: Annotated[Operation | None, Field(description="What is being done to the running job.")] = None
    last_checkpoint: Annotated[CheckpointInfo | None, Field(description="The newest completed checkpoint known.")] = (
        None
    )
    last_savepoint: Annotated[SavepointInfo | None, Field(description="The newest completed savepoint known.")] = None
    periodic: Annotated[PeriodicInfo | None, Field(description="Periodic savepoints.")] = None
    sync: Annotated[
        JobSyncStatus | None, Field(description="Copies of this job's savepoints, as savepoints.syncTo asks.")
    ] = None
    last_failure: Annotated[FailureInfo | None, Field(description="The newest failure.")] = None
    restart: Annotated[RestartInfo | None, Field(description="Restarts by the operator.")] = None
    rollback: Annotated[Rollback | None, Field(description="A new spec that was taken back.")] = None
    cluster: Annotated[ClusterInfo | None, Field(description="The cluster as last seen.")] = None
    parallelism: Annotated[int | None, Field(ge=0, description="What the scale subresource reports.")] = None
    selector: Annotated[Text | None, Field(description="What the scale subresource needs; matches no Pod.")] = None
    history: Annotated[
        tuple[HistoryEntry, ...],
        Field(
            max_length=10,
            description="Earlier runs, newest first; fewer when the status would get too large.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
