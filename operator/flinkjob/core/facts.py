"""Facts that cost a call, each a question that has the type of its answer.

A decision asks with `Observation.need`. What has no answer yet is raised as `NeedFact`, the observer finds the answer, and
the decision is made again. So what is looked at stands beside what is decided, and an idle job costs nothing. Invariant: an
answer belongs to the very question, so that the statistics of one job are never taken for those of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeVar

from flinkjob.api.cluster_spec import ClusterSpec
from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.initialstate import CopySpec
from flinkjob.api.variables_spec import VariablesSource
from flinkjob.core.flinkmodel import (
    CheckpointConfig,
    CheckpointDetails,
    CheckpointStats,
    ClusterOverview,
    JobException,
    TriggerResult,
)
from flinkjob.core.identity import Mark
from flinkjob.core.jobgraph import Topology
from flinkjob.core.seen import (
    ArtifactRequest,
    ArtifactSeen,
    ClusterSeen,
    CopyFound,
    DisposalSeen,
    JobGraphRequest,
    JobGraphSeen,
    Listing,
    MarkedJob,
    TextPlace,
    TextsSeen,
    VariablesSeen,
)

A = TypeVar("A")


class Where(StrEnum):
    """Who answers: a cluster is asked only where the operator may connect to it."""

    RUN = "the cluster of the current run"
    TARGET = "the cluster that the spec names"
    REQUEST = "the cluster that the request names"
    ELSEWHERE = "no cluster"
    HERE = "this process: nothing is asked, or only whether an address may be used"


@dataclass(frozen=True)
class Fact(Generic[A]):
    """A question that is answered with an `A`.

    Attributes:
        dispensable: whether it is answered with None where no answer can be had, instead of ending the round.
    """

    where: ClassVar[Where] = Where.RUN
    dispensable: ClassVar[bool] = False


@dataclass(frozen=True)
class Checkpoints(Fact[CheckpointStats | None]):
    """Flink's statistics of a job; None: Flink does not know it."""

    job_id: str


@dataclass(frozen=True)
class CheckpointSettings(Fact[CheckpointConfig | None]):
    """How a job checkpoints; None: Flink does not know the job, or it never does."""

    job_id: str


@dataclass(frozen=True)
class StateSizes(Fact[CheckpointDetails | None]):
    """What the newest completed snapshot of a job holds of each vertex; None: that cannot be had, for whatever reason."""

    dispensable: ClassVar[bool] = True
    job_id: str


@dataclass(frozen=True)
class VertexNames(Fact[Mapping[str, str] | None]):
    """What the vertices of a job are called, by their ids; None: that cannot be had, for whatever reason."""

    dispensable: ClassVar[bool] = True
    job_id: str


@dataclass(frozen=True)
class Triggered(Fact[TriggerResult]):
    """How far a savepoint or checkpoint is that was asked for under this trigger id."""

    job_id: str
    trigger_id: str
    checkpoint: bool = False


@dataclass(frozen=True)
class Failure(Fact[JobException | None]):
    """The newest failure of a job; None: it has none, or Flink does not know it."""

    job_id: str


@dataclass(frozen=True)
class RunningGraph(Fact[Topology | None]):
    """The graph that a job runs with; None: Flink does not know it."""

    job_id: str


@dataclass(frozen=True)
class OwnerMark(Fact[Mark | None]):
    """The owner mark of a job; None when it has none."""

    job_id: str


@dataclass(frozen=True)
class TaskSlots(Fact[ClusterOverview]):
    """TaskSlots and TaskManagers of the cluster."""


@dataclass(frozen=True)
class OwnerMarks(Fact[tuple[MarkedJob, ...]]):
    """The owner marks of all jobs with an id of this FlinkJob, and of the adoption candidate."""

    where: ClassVar[Where] = Where.TARGET


@dataclass(frozen=True)
class Incarnation(Fact[ClusterSeen]):
    """Which JobManager process answers right now."""

    where: ClassVar[Where] = Where.TARGET


@dataclass(frozen=True)
class Alias(Fact[bool]):
    """Whether the cluster that the spec names knows the current job: it is the same cluster under another name."""

    where: ClassVar[Where] = Where.TARGET


@dataclass(frozen=True)
class UnlistedJob(Fact[str | None]):
    """A live job of this very object that the overview leaves out, since its JobMaster does not answer."""

    where: ClassVar[Where] = Where.TARGET


@dataclass(frozen=True)
class UnknownJobs(Fact[Mapping[str, Mark | None] | None]):
    """The owner marks (or None) of the live jobs that nobody watches, by job id; None while not all are read."""

    where: ClassVar[Where] = Where.TARGET


@dataclass(frozen=True)
class Artifact(Fact[ArtifactSeen]):
    """How far a jar is on its way to a cluster; asking sets it going."""

    where: ClassVar[Where] = Where.REQUEST
    request: ArtifactRequest


@dataclass(frozen=True)
class JobGraph(Fact[JobGraphSeen]):
    """How far the compilation of a job graph is; asking sets it going."""

    where: ClassVar[Where] = Where.REQUEST
    request: JobGraphRequest


@dataclass(frozen=True)
class Revision(Fact[FlinkJobSpec | None]):
    """The spec that a ControllerRevision holds; None when it is gone or cannot be read any more."""

    where: ClassVar[Where] = Where.ELSEWHERE
    name: str


@dataclass(frozen=True)
class Variables(Fact[VariablesSeen]):
    """The values in ConfigMaps and Secrets.

    Attributes:
        names: those that are asked for; None: all.
        fresh: whether something is started with them: then those of another generation of the object are read anew. Else
            it is enough that they were read once, so that they can be hidden, and there are none in the answer.
    """

    where: ClassVar[Where] = Where.ELSEWHERE
    sources: tuple[VariablesSource, ...]
    generation: int
    names: tuple[str, ...] | None
    fresh: bool


@dataclass(frozen=True)
class ConfigMapTexts(Fact[TextsSeen]):
    """The texts in keys of ConfigMaps; those of another generation of the object are read anew."""

    where: ClassVar[Where] = Where.ELSEWHERE
    places: tuple[TextPlace, ...]
    generation: int


@dataclass(frozen=True)
class Snapshots(Fact[Listing]):
    """The complete snapshots in a directory."""

    where: ClassVar[Where] = Where.ELSEWHERE
    directory: str


@dataclass(frozen=True)
class Disposal(Fact[DisposalSeen]):
    """How far the disposal of a snapshot is by any of the clusters at these addresses; asking sets it going."""

    where: ClassVar[Where] = Where.ELSEWHERE
    urls: tuple[str, ...]
    location: str


@dataclass(frozen=True)
class Copy(Fact[CopyFound]):
    """Where the first of these places that has a complete copy has it; asking sets the search going."""

    where: ClassVar[Where] = Where.ELSEWHERE
    copies: tuple[CopySpec, ...]


@dataclass(frozen=True)
class Address:
    """Where a cluster is, and what an object says of it that names it; None: nothing."""

    url: str
    cluster: ClusterSpec | None = None


@dataclass(frozen=True)
class Accessible(Fact[tuple[str, ...]]):
    """The first of these addresses that objects of the namespace may connect to, at most so many."""

    where: ClassVar[Where] = Where.HERE
    addresses: tuple[Address, ...]
    most: int


@dataclass(frozen=True)
class InUse(Fact[frozenset[str]]):
    """Those of these normalised places whose snapshots some FlinkJob was started from or would start from."""

    where: ClassVar[Where] = Where.HERE
    places: frozenset[str]


@dataclass(frozen=True)
class RecordedElsewhere(Fact[bool]):
    """Whether another FlinkSavepoint, which stays, has the snapshot at this normalised place too.

    Attributes:
        name: of the FlinkSavepoint, of this namespace, that does not count.
    """

    where: ClassVar[Where] = Where.HERE
    name: str
    place: str


@dataclass(frozen=True)
class Claims(Fact[tuple[str, ...]]):
    """The FlinkJobs that claim a Flink job, as namespace/name.

    Attributes:
        by_others: only claims of other FlinkJobs than that of the round, and none that is younger than its own.
    """

    where: ClassVar[Where] = Where.HERE
    job_id: str
    by_others: bool


@dataclass(frozen=True)
class Named(Fact[FlinkSavepoint | None]):
    """The FlinkSavepoint of this name; None where there is none."""

    where: ClassVar[Where] = Where.HERE
    name: str


@dataclass(frozen=True)
class JobsOfNamespace(Fact[tuple[FlinkJob, ...]]):
    """All FlinkJobs of the namespace."""

    where: ClassVar[Where] = Where.HERE


@dataclass(frozen=True)
class JarOfOthers(Fact[bool]):
    """Whether another FlinkJob, of any namespace, was started from the jar of this digest."""

    where: ClassVar[Where] = Where.HERE
    digest: str


class NeedFact(Exception):
    """Raised inside a decision where the answer to a question is missing."""

    def __init__(self, fact: Fact[Any]) -> None:
        super().__init__(fact)
        self.fact = fact


@dataclass(frozen=True)
class Answers:
    """What was asked in this round, and the answers; few, so that they are searched one by one."""

    found: tuple[tuple[Fact[Any], Any], ...] = ()

    @property
    def asked(self) -> list[str]:
        """The kinds of the questions."""
        return [type(fact).__name__ for fact, _ in self.found]

    def need(self, fact: Fact[A]) -> A:
        """The answer.

        Raises:
            NeedFact: it is not known yet.
        """
        for asked, answer in self.found:
            if asked == fact:
                known: A = answer
                return known
        raise NeedFact(fact)

    def having(self, fact: Fact[A], answer: A) -> Answers:
        """These, and one more."""
        return Answers((*self.found, (fact, answer)))
