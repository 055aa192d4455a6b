"""What a round is given, what it asks and what it gives back: immutable values between `round` and the reconciler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar

from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.api.flinksavepoint_spec import TargetSpec
from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.actions import CancelJob, StopJob, TakeCheckpoint, TakeSavepoint
from flinkjob.core.facts import Answers, Fact, NeedFact, Where
from flinkjob.core.model import JobDecision, Observation, SavepointDecision

JOB = ""
"""Says in a question that it is about the FlinkJob, or the round as a whole; else it has the uid of a FlinkSavepoint."""


@dataclass(frozen=True)
class Look(Fact[Observation]):
    """What is seen of a cluster and a job, without any answer: what each decision starts from.

    Attributes:
        target: of a FlinkSavepoint; None: the run of the FlinkJob, and without one nothing.
    """

    where: ClassVar[Where] = Where.HERE
    target: TargetSpec | None = None


@dataclass(frozen=True, kw_only=True)
class Watch:
    """The jobs to be followed: those with these prefixes, `moving` ones by polling fast."""

    url: str
    prefixes: frozenset[str]
    moving: bool


@dataclass(frozen=True, kw_only=True)
class SavepointRound:
    """What to do about one FlinkSavepoint.

    Attributes:
        decision: None: there is nothing to do, or `error` says what is wrong in the operator itself.
        copies: whether a copy of it goes on in this process; none does else.
        copied: whether that has ended, so that its outcome is kept until it is stored.
    """

    savepoint: FlinkSavepoint
    decision: SavepointDecision | None = None
    watch: Watch | None = None
    copies: bool = False
    copied: bool = False
    error: Exception | None = None

    @property
    def calls_flink(self) -> bool:
        """Whether it has an effect on Flink: then it can wait for the next round. What is only written cannot, since the
        FlinkJob may forget it in this one."""
        actions = self.decision.actions if self.decision is not None else ()
        return any(isinstance(action, StopJob | TakeSavepoint | TakeCheckpoint | CancelJob) for action in actions)


@dataclass(frozen=True, kw_only=True)
class JobRound:
    """What to do about the FlinkJob.

    Attributes:
        watch: None: no cluster may be watched for it.
        follows: whether `watch` counts; else all that is watched stays so.
    """

    decision: JobDecision
    watch: Watch | None = None
    follows: bool = True


@dataclass(frozen=True, kw_only=True)
class Round:
    """All that is to be carried out, in this order.

    Attributes:
        job: None: there is no FlinkJob, or nothing is done about it now.
        unreadable: objects whose status cannot be read, and which stay: that is reported once.
        requeue_after: seconds until those are decided that are left alone now; each decision says when it wants to be
            made again.
    """

    savepoints: tuple[SavepointRound, ...] = ()
    job: JobRound | None = None
    unreadable: tuple[FlinkJob | FlinkSavepoint, ...] = ()
    requeue_after: float | None = None


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What is decided so far."""

    job: JobDecision | None = None
    savepoints: tuple[SavepointRound, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Question:
    """The fact that is needed first, about which object, and what is decided without it."""

    about: str
    fact: Fact[Any]
    decided: Decided


@dataclass(frozen=True, kw_only=True)
class RoundInput:
    """The input of a round.

    Attributes:
        job: None where there is none: then the FlinkSavepoints name it, or a job by `target`.
        refused: uids of the objects that were refused when they were written last.
        paused: for how many seconds which of them are left alone.
        missed: uids of FlinkSavepoints that the last round had no time for.
        failed: what went wrong in the operator itself while a question about a FlinkSavepoint was answered, by its uid.
        may_tick, unmarked: as in `JobInput`.
        grants: as in `SavepointInput`.
        seen: what is known so far, by what a question is about.
        decided: what is decided so far.
    """

    identity: str
    now: datetime
    job: FlinkJob | None = None
    savepoints: tuple[FlinkSavepoint, ...] = ()
    refused: frozenset[str] = frozenset()
    paused: Mapping[str, float] = field(default_factory=dict)
    missed: frozenset[str] = frozenset()
    failed: Mapping[str, Exception] = field(default_factory=dict)
    may_tick: bool = False
    unmarked: bool = False
    grants: StoreGrants = field(default_factory=StoreGrants)
    seen: Mapping[str, Observation] = field(default_factory=dict)
    decided: Decided = field(default_factory=Decided)

    def of(self, about: str) -> Observation:
        """What is seen so far for an object.

        Raises:
            NeedFact: nothing.
        """
        if about in self.seen:
            return self.seen[about]
        if JOB not in self.seen:
            raise NeedFact(Look())
        return replace(self.seen[JOB], answers=Answers())

    def answering(self, question: Question, observation: Observation) -> RoundInput:
        """With what is seen now for what the question is about."""
        return replace(self, seen={**self.seen, question.about: observation}, decided=question.decided)

    def failing(self, question: Question, error: Exception) -> RoundInput:
        """Without an answer, and without the FlinkSavepoint that the question is about."""
        return replace(self, failed={**self.failed, question.about: error}, decided=question.decided)
