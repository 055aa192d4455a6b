"""What a decision is given and what it gives back: immutable values between the observer, the core and the executor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.actions import Action
from flinkjob.core.errors import SavepointFailure
from flinkjob.core.facts import A, Answers, Fact
from flinkjob.core.flinkmodel import CheckpointStats, JobOverview
from flinkjob.core.seen import ClusterSeen, JobSeen, RunSeen


@dataclass(frozen=True, kw_only=True)
class Observation:
    """Everything seen from outside in this round.

    Attributes:
        access_denied: why the operator may not connect to the cluster that the spec names; "" where it may.
        accessible: the addresses, of those that the job has to do with, that the operator may connect to.
        adoption_candidate: the live job that the annotation `flinkjob.dev/adopt` names.
        latest: checkpoint statistics of the running job, `latest_age` seconds old; None when there are none yet.
        answers: to what the decision has asked so far.
    """

    now: datetime
    cluster: ClusterSeen
    target: ClusterSeen
    job: JobSeen = field(default_factory=JobSeen)
    owned_jobs: tuple[JobOverview, ...] = ()
    run: RunSeen = field(default_factory=RunSeen)
    access_denied: str = ""
    accessible: frozenset[str] = frozenset()
    deleting_for: float = 0.0
    namespace_terminating: bool = False
    latest: CheckpointStats | None = None
    latest_age: float = 0.0
    adoption_candidate: JobOverview | None = None
    answers: Answers = field(default_factory=Answers)

    def need(self, fact: Fact[A]) -> A:
        """The answer to a question that costs a call.

        Raises:
            NeedFact: it was not asked in this round.
        """
        return self.answers.need(fact)


@dataclass(frozen=True, kw_only=True)
class JobInput:
    """The input of a decision about a FlinkJob: the object, its FlinkSavepoints, what was observed.

    Attributes:
        named: FlinkSavepoints that the spec names, by name.
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
    may_tick: bool = False
    claims: tuple[str, ...] = ()
    unmarked: bool = False


@dataclass(frozen=True, kw_only=True)
class OperationOutcome:
    """How the operation of a FlinkSavepoint (mode Stop or Cancel) ended in this round."""

    by: str
    location: str | None
    message: str
    failure: SavepointFailure = SavepointFailure.OTHER


@dataclass(frozen=True, kw_only=True)
class SavepointInput:
    """The input of a decision about a FlinkSavepoint.

    Attributes:
        job: its FlinkJob, None when there is none; `job_status` is what this round decided for it.
        outcome: how the operation that the FlinkJob performed for it ended in this round.
        identity: the operator's own.
        claims: the FlinkJobs, as namespace/name, that claim the job that `target` names.
        unmarked: whether jobs that no operator started may be acted on.
        others: the other FlinkSavepoints of the same job, with what this round has decided for them.
        unwritten: uids of those of them whose status this round changes: what it says now is not stored yet.
        grants: where an administrator lets the namespace dispose of what the operator did not take.
    """

    savepoint: FlinkSavepoint
    job: FlinkJob | None
    job_status: FlinkJobStatus
    observation: Observation
    outcome: OperationOutcome | None = None
    identity: str = ""
    claims: tuple[str, ...] = ()
    unmarked: bool = False
    others: tuple[FlinkSavepoint, ...] = ()
    unwritten: frozenset[str] = frozenset()
    grants: StoreGrants = field(default_factory=StoreGrants)


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
