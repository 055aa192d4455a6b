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
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import FlinkJobStatus, RestoredCopy
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.api.initialstate import CopySpec
from flinkjob.core.actions import Action
from flinkjob.core.errors import SavepointFailure, SubmitRejection
from flinkjob.core.flinkmodel import (
    CheckpointConfig,
    CheckpointStats,
    ClusterOverview,
    JobException,
    JobOverview,
    RunRequest,
    TriggerResult,
)
from flinkjob.core.identity import Mark
from flinkjob.core.jobfailures import JobFailures
from flinkjob.core.jobgraph import Plan


class Presence(StrEnum):
    """Whether the cluster has the job. UNKNOWN is not absent: the question got no definite answer."""

    PRESENT = "Present"
    ABSENT = "Absent"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, kw_only=True)
class ClusterSeen:
    """The cluster at one address, as of the last answer.

    Attributes:
        unreachable_for: seconds, 0 while it answers.
        several_managers: an earlier JobManager process answered again: two of them share the address.
    """

    url: str
    reachable: bool
    error: str = ""
    unreachable_for: float = 0.0
    incarnation: str | None = None
    high_availability: bool = False
    flink_version: str | None = None
    refresh_interval: float = 3.0
    savepoint_directory: str | None = None
    checkpoint_directory: str | None = None
    intercepts_exit: bool = False
    allows_submission: bool = True
    keeps_uploads: bool = True
    several_managers: bool = False

    def directory_for(self, wanted: str | None) -> str | None:
        """The base directory of a savepoint: the one asked for, else the cluster's own; None when there is neither."""
        return wanted or self.savepoint_directory


NO_ANSWER_AFTER = 30.0
"""Seconds after the end of a job at which a savepoint in progress counts as one that Flink has forgotten."""


@dataclass(frozen=True, kw_only=True)
class JobSeen:
    """The Flink job of the current submission.

    Attributes:
        absent_for: seconds since "not found" was first answered by the incarnation that answers now; 0 the first time.
        terminal_for: seconds since the job was first seen in a terminal state by this operator process.
        steady_for: seconds since when all its tasks run and nothing of it changed, as far as this process saw; 0 while not.
        short_for: seconds since when not all its tasks run, as far as this process saw; 0 while they do.
        failures: what made Flink restart it, as far as that was worth a read.
    """

    presence: Presence = Presence.UNKNOWN
    overview: JobOverview | None = None
    absent_for: float = 0.0
    terminal_for: float = 0.0
    steady_for: float = 0.0
    short_for: float = 0.0
    failures: JobFailures | None = None

    @property
    def answers_no_more(self) -> bool:
        """Whether a savepoint whose result is still in progress will have none: the job ended too long ago.

        Flink drops the promise of a savepoint that meets the end of its job in a wrong moment (seen with 1.20.5).
        """
        ended = self.overview is not None and self.overview.state.is_terminal
        return ended and self.terminal_for >= NO_ANSWER_AFTER


class ArtifactPhase(StrEnum):
    """How far the jar is on its way to the cluster."""

    WORKING = "Working"
    READY = "Ready"
    FAILED = "Failed"


@dataclass(frozen=True, kw_only=True)
class ArtifactRequest:
    """A jar wanted on a cluster. `digest` pins the content (given by the user, or recorded with an earlier run).

    Attributes:
        run: the digest of the run that wants it: another run without a pinned content wants what the address gives then.
    """

    url: str
    uri: str
    digest: str | None
    run: str = ""
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
class MarkedJob:
    """A job on the cluster with this FlinkJob's id prefix, and the owner mark that it carries (if it could be read)."""

    overview: JobOverview
    mark: Mark | None


@dataclass(frozen=True, kw_only=True)
class JobGraphRequest:
    """A jar on a cluster whose job graph is to be compiled, without running it."""

    url: str
    jar_id: str
    request: RunRequest


class JobGraphPhase(StrEnum):
    """How far the compilation of a job graph is."""

    WORKING = "Working"
    COMPILED = "Compiled"
    REFUSED = "Refused"
    UNCLEAR = "Unclear"


@dataclass(frozen=True, kw_only=True)
class JobGraphSeen:
    """Outcome of a `JobGraphRequest`."""

    phase: JobGraphPhase
    message: str = ""
    plan: Plan | None = None


class DisposalPhase(StrEnum):
    """How far the disposal of a snapshot's data is."""

    WORKING = "Working"
    DONE = "Done"
    FAILED = "Failed"


@dataclass(frozen=True, kw_only=True)
class DisposalSeen:
    """Outcome of a disposal; a snapshot that is gone already is DONE."""

    phase: DisposalPhase
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class FoundSnapshot:
    """A complete snapshot found in a directory; `number` is its checkpoint id, None for a savepoint."""

    location: str
    number: int | None = None
    time: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The complete snapshots in a directory, newest first; unreadable is not empty."""

    readable: bool
    found: tuple[FoundSnapshot, ...] = ()


class CopySearch(StrEnum):
    """How far the search for a copy in an object store is."""

    WORKING = "Working"
    FOUND = "Found"
    NONE = "None"


@dataclass(frozen=True, kw_only=True)
class CopyFound:
    """Outcome of a search for a copy: the first place that has a complete one.

    Attributes:
        location: of the copy, as Flink is to be given it.
        message: why places before it, or all of them, were passed over.
    """

    phase: CopySearch
    location: str = ""
    copy: RestoredCopy | None = None
    message: str = ""


class Fact(StrEnum):
    """What costs a call and is looked at only when a decision needs it."""

    CHECKPOINTS = "checkpoints"
    CHECKPOINT_CONFIG = "checkpoint_config"
    TRIGGER = "trigger"
    ARTIFACT = "artifact"
    OWNER_MARKS = "owner_marks"
    INCARNATION = "incarnation"
    EXCEPTION = "exception"
    ALIAS = "alias"
    REVISION = "revision"
    JOB_GRAPH = "job_graph"
    SLOTS = "slots"
    RUNNING_GRAPH = "running_graph"
    LISTING = "listing"
    DISPOSAL = "disposal"
    UNLISTED_JOB = "unlisted_job"
    UNKNOWN_JOBS = "unknown_jobs"
    MARK = "mark"
    COPY = "copy"


@dataclass(frozen=True, kw_only=True)
class Observation:
    """Everything seen from outside in this round. Facts not asked for are absent from `known`.

    Attributes:
        access_denied: why the operator may not connect to the cluster that the spec names; "" where it may.
        adoption_candidate: the live job that the annotation `flinkjob.dev/adopt` names.
        latest: checkpoint statistics of the running job, `latest_age` seconds old; None when there are none yet.
        unlisted_job: a live job of this very object that the overview leaves out, since its JobMaster does not answer.
        unknown_jobs: the owner marks (or None) of the live jobs that nobody watches, by job id; None while not all are read.
        mark: the owner mark of the job that was asked about; None when it has none.
        copy: what `initialState.copies` leads to.
    """

    now: datetime
    cluster: ClusterSeen
    target: ClusterSeen
    job: JobSeen = JobSeen()
    owned_jobs: tuple[JobOverview, ...] = ()
    run: RunSeen = RunSeen()
    access_denied: str = ""
    deleting_for: float = 0.0
    namespace_terminating: bool = False
    latest: CheckpointStats | None = None
    latest_age: float = 0.0
    known: frozenset[Fact] = frozenset()
    checkpoints: CheckpointStats | None = None
    checkpoint_config: CheckpointConfig | None = None
    trigger: TriggerResult | None = None
    artifact: ArtifactSeen | None = None
    marked: tuple[MarkedJob, ...] = ()
    exception: JobException | None = None
    alias: bool = False
    revisions: Mapping[str, FlinkJobSpec | None] = field(default_factory=dict)
    job_graph: JobGraphSeen | None = None
    slots: ClusterOverview | None = None
    running_graph: Plan | None = None
    listings: Mapping[str, Listing] = field(default_factory=dict)
    disposal: DisposalSeen | None = None
    unlisted_job: str | None = None
    unknown_jobs: Mapping[str, Mark | None] | None = None
    adoption_candidate: JobOverview | None = None
    mark: Mark | None = None
    copy: CopyFound | None = None


@dataclass(frozen=True, kw_only=True)
class JobInput:
    """The input of a decision about a FlinkJob: the object, its FlinkSavepoints, what was observed.

    Attributes:
        named: FlinkSavepoints that the spec names, by name.
        in_use: normalised places of all snapshots that some FlinkJob was started from or would start from.
        refused: uids of objects that cannot be written. What such a FlinkSavepoint made counts, but nothing is done or
            waited for; a FlinkJob among them is this one.
        may_tick: whether it is this FlinkJob's turn to have what only ticks written.
        claims, unmarked: as in `ownership.Evidence`, about the run's job or the one to be adopted.
    """

    identity: str
    job: FlinkJob
    observation: Observation
    savepoints: tuple[FlinkSavepoint, ...] = ()
    refused: frozenset[str] = frozenset()
    named: Mapping[str, FlinkSavepoint] = field(default_factory=dict)
    in_use: frozenset[str] = frozenset()
    may_tick: bool = False
    claims: tuple[str, ...] = ()
    unmarked: bool = False


@dataclass(frozen=True, kw_only=True)
class Needs:
    """The decision cannot be made without this fact."""

    fact: Fact
    artifact: ArtifactRequest | None = None
    job_graph: JobGraphRequest | None = None
    revision: str | None = None
    directory: str | None = None
    urls: tuple[str, ...] = ()
    trigger_id: str | None = None
    job_id: str | None = None
    checkpoint: bool = False
    copies: tuple[CopySpec, ...] = ()


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
    failure: SavepointFailure = SavepointFailure.OTHER


@dataclass(frozen=True, kw_only=True)
class JobDecision:
    """What to do about a FlinkJob; `requeue_after` in seconds, None: only when something changes.

    Attributes:
        tick_after: in how many seconds what only ticks is worth a write of its own again; None: nothing ticks.
        ticked: whether something has ticked that is not in `status`.
    """

    status: FlinkJobStatus
    actions: tuple[Action, ...] = ()
    requeue_after: float | None = None
    outcome: OperationOutcome | None = None
    tick_after: float | None = None
    ticked: bool = False


@dataclass(frozen=True, kw_only=True)
class SavepointDecision:
    """What to do about a FlinkSavepoint."""

    status: FlinkSavepointStatus
    actions: tuple[Action, ...] = ()
    requeue_after: float | None = None
    result_mark: str | None = None
