"""What a decision is given and what it gives back: immutable values between the observer, the core and the executor.

A decision asks for facts that cost a REST call only when it needs them: it answers `Needs`, the observer fills the fact
in, and the decision is asked again. So what is looked at stands beside what is decided, and an idle job costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.core.actions import Action
from flinkjob.core.errors import SubmitRejection
from flinkjob.core.flinkmodel import CheckpointConfig, CheckpointStats, JobException, JobOverview, TriggerResult
from flinkjob.core.identity import Mark


class Presence(StrEnum):
    """Whether the cluster has the job. UNKNOWN is not absent: the question got no definite answer."""

    PRESENT = "Present"
    ABSENT = "Absent"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, kw_only=True)
class ClusterSeen:
    """The cluster at one address, as of the last answer. `unreachable_for` in seconds, 0 while it answers."""

    url: str
    reachable: bool
    error: str = ""
    unreachable_for: float = 0.0
    incarnation: str | None = None
    high_availability: bool = False
    flink_version: str | None = None
    refresh_interval: float = 3.0
    savepoint_directory: str | None = None


@dataclass(frozen=True, kw_only=True)
class JobSeen:
    """The Flink job of the current submission.

    Attributes:
        absent_for: seconds since "not found" was first answered by the incarnation that answers now; 0 the first time.
        terminal_for: seconds since the job was first seen in a terminal state by this operator process.
    """

    presence: Presence = Presence.UNKNOWN
    overview: JobOverview | None = None
    absent_for: float = 0.0
    terminal_for: float = 0.0


class ArtifactPhase(StrEnum):
    """How far the jar is on its way to the cluster."""

    WORKING = "Working"
    READY = "Ready"
    FAILED = "Failed"


@dataclass(frozen=True, kw_only=True)
class ArtifactRequest:
    """A jar wanted on a cluster. `digest` pins the content (given by the user, or recorded with an earlier run)."""

    url: str
    uri: str
    digest: str | None
    attempt: int = 0


@dataclass(frozen=True, kw_only=True)
class ArtifactSeen:
    """Outcome of an `ArtifactRequest`.

    Attributes:
        permanent: a failure that is not tried again by itself.
        other_content: the address gives another content than the digest asked for.
    """

    phase: ArtifactPhase
    digest: str | None = None
    jar_id: str | None = None
    message: str = ""
    permanent: bool = False
    other_content: bool = False


class RunPhase(StrEnum):
    """What this process knows of its run call."""

    NONE = "None"
    WORKING = "Working"
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNCLEAR = "Unclear"


@dataclass(frozen=True, kw_only=True)
class RunSeen:
    """Outcome of the run call for one job id and attempt; UNCLEAR says nothing about the job."""

    phase: RunPhase = RunPhase.NONE
    rejection: SubmitRejection | None = None
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Kin:
    """A job on the cluster with this FlinkJob's id prefix, and the owner mark that it carries (if it could be read)."""

    overview: JobOverview
    mark: Mark | None


class Fact(StrEnum):
    """What costs a call and is looked at only when a decision needs it."""

    CHECKPOINTS = "checkpoints"
    CHECKPOINT_CONFIG = "checkpoint_config"
    TRIGGER = "trigger"
    ARTIFACT = "artifact"
    KIN = "kin"
    INCARNATION = "incarnation"
    EXCEPTION = "exception"
    ALIAS = "alias"


@dataclass(frozen=True, kw_only=True)
class Observation:
    """Everything seen from outside in this round. Facts not asked for are absent from `known`."""

    now: datetime
    cluster: ClusterSeen
    target: ClusterSeen
    job: JobSeen = JobSeen()
    kin: tuple[JobOverview, ...] = ()
    run: RunSeen = RunSeen()
    deleting_for: float = 0.0
    namespace_terminating: bool = False
    known: frozenset[Fact] = frozenset()
    checkpoints: CheckpointStats | None = None
    checkpoint_config: CheckpointConfig | None = None
    trigger: TriggerResult | None = None
    artifact: ArtifactSeen | None = None
    marked: tuple[Kin, ...] = ()
    exception: JobException | None = None
    alias: bool = False


@dataclass(frozen=True, kw_only=True)
class JobInput:
    """The input of a decision about a FlinkJob: the object, its FlinkSavepoints, what was observed."""

    identity: str
    job: FlinkJob
    observation: Observation
    savepoints: tuple[FlinkSavepoint, ...] = ()
    named: Mapping[str, FlinkSavepoint] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Needs:
    """The decision cannot be made without this fact."""

    fact: Fact
    artifact: ArtifactRequest | None = None
    trigger_id: str | None = None
    job_id: str | None = None
    checkpoint: bool = False


class NeedFact(Exception):
    """Raised inside a decision where a fact is missing; turned into `Needs` at its entrance."""

    def __init__(self, needs: Needs) -> None:
        super().__init__(needs.fact)
        self.needs = needs


@dataclass(frozen=True, kw_only=True)
class OperationOutcome:
    """How the operation of a FlinkSavepoint (mode Stop or Cancel) ended in this round."""

    by: str
    location: str | None
    message: str
    permanent: bool = False


@dataclass(frozen=True, kw_only=True)
class JobDecision:
    """What to do about a FlinkJob; `requeue_after` in seconds, None: only when something changes."""

    status: FlinkJobStatus
    actions: tuple[Action, ...] = ()
    requeue_after: float | None = None
    outcome: OperationOutcome | None = None


@dataclass(frozen=True, kw_only=True)
class SavepointDecision:
    """What to do about a FlinkSavepoint. `first`: write its status before the FlinkJob's (it concludes something)."""

    status: FlinkSavepointStatus
    actions: tuple[Action, ...] = ()
    requeue_after: float | None = None
    result_mark: str | None = None
