"""The notebook of one decision about a FlinkSavepoint: the status as it grows, the actions, and what ends the round.

A `SavepointDraft` lives inside one call of `decide_savepoint`. Called by the modules beside this one. Invariant: it asks for
facts by raising `NeedFact`, never by I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from flinkjob.api.common import duration_seconds
from flinkjob.api.constants import LABEL_ORIGIN
from flinkjob.api.enums import SavepointErrorCode, SavepointOrigin, SavepointPhase
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.flinksavepoint_status import SavepointError
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import Action, EventType, PostEvent
from flinkjob.core.backoff import CLOCKS_DIFFER, remaining_seconds
from flinkjob.core.errors import one_line
from flinkjob.core.facts import A, Fact, Triggered
from flinkjob.core.flinkmodel import TriggerResult
from flinkjob.core.model import SavepointInput
from flinkjob.core.pauses import while_going_on


class TrueCondition(StrEnum):
    """The condition that is True after the round; the two others are False."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


@dataclass(frozen=True, kw_only=True)
class SavepointHalt:
    """Nothing more is decided in this round.

    Attributes:
        condition: which one is True; None: all conditions stay as they are.
        reason, message: of the conditions.
    """

    condition: TrueCondition | None = None
    reason: str = ""
    message: str = ""


CONDITIONS_STAY = SavepointHalt()
"""The status is written as the draft has it, with the conditions that it had."""


@dataclass(frozen=True, kw_only=True)
class JobReference:
    """What depends on how a FlinkSavepoint names its job: by its FlinkJob (`jobref`), or by address and id (`target`).

    Attributes:
        run: the run that it is about; None where there is none.
        job_to_act_on: that run, once a snapshot of it may be asked for.
        job_to_look_at: that run, once a snapshot that it has completed may be registered.
        not_this_job: ends what is in progress where it is no longer the job that is named, or may not be acted on.
    """

    run: Callable[[SavepointInput], Submission | None]
    job_to_act_on: Callable[[SavepointDraft, FlinkSavepointSpec], Submission | SavepointHalt]
    job_to_look_at: Callable[[SavepointDraft, FlinkSavepointSpec], Submission | SavepointHalt]
    not_this_job: Callable[[SavepointDraft, FlinkSavepointSpec], SavepointHalt | None]


class SavepointDraft:
    """One decision in the making."""

    def __init__(self, given: SavepointInput, reference: JobReference) -> None:
        self.given = given
        self.reference = reference
        self.run = reference.run(given)
        self.spec = given.savepoint.spec
        self.meta = given.savepoint.meta
        self.observation = given.observation
        self.overview = given.observation.job.overview
        self.now = given.observation.now
        self.before = given.savepoint.status
        self.status = self.before
        self.actions: list[Action] = []
        self.delay: float | None = None

    @property
    def origin(self) -> SavepointOrigin:
        word = self.meta.labels.get(LABEL_ORIGIN, "")
        return SavepointOrigin(word) if word in set(SavepointOrigin) else SavepointOrigin.MANUAL

    def need(self, fact: Fact[A]) -> A:
        """The answer to a question that costs a call; raises `NeedFact` where it was not asked in this round."""
        return self.given.observation.need(fact)

    def need_trigger(self, spec: FlinkSavepointSpec) -> TriggerResult:
        """How far Flink is with what was asked for."""
        return self.need(Triggered(self.before.flink_job_id, self.before.trigger, checkpoint=spec.is_checkpoint))

    # what is decided

    def act(self, action: Action) -> None:
        self.actions.append(action)

    def event(self, reason: Reason, message: str, *, warning: bool = False) -> None:
        """Report a transition."""
        kind = EventType.WARNING if warning else EventType.NORMAL
        self.act(PostEvent(type=kind, reason=reason, message=one_line(message)))

    def requeue_after(self, seconds: float) -> None:
        """Look again after so many seconds, or sooner when something changes."""
        self.delay = seconds if self.delay is None else min(self.delay, seconds)

    def time_is_up(self, spec: FlinkSavepointSpec) -> bool:
        """Whether `timeout` has passed; until then it is looked at again when it has."""
        return self.has_passed(spec.timeout, self.before.start_time or self.meta.creation_time, after=0.5)

    def has_passed(self, allowed: str, since: datetime | None, *, after: float) -> bool:
        """Whether so long a time has passed since then, None: now; until then it is looked at again a moment `after` that."""
        seconds = duration_seconds(allowed)
        due = (since or self.now) + timedelta(seconds=seconds)
        remaining = remaining_seconds(due, self.now, longest=seconds + CLOCKS_DIFFER)
        if remaining:
            self.requeue_after(remaining + after)
        return not remaining

    # what ends the round

    def unchanged(self) -> SavepointHalt:
        """Halt, with the status as it was."""
        self.status = self.before
        return CONDITIONS_STAY

    def wait(self, reason: Reason, message: str, *, requeue_after: float | None = None) -> SavepointHalt:
        """Halt before anything is asked of Flink, saying what is waited for."""
        if requeue_after is not None:
            self.requeue_after(requeue_after)
        self.status = replace(self.status, phase=SavepointPhase.PENDING)
        return SavepointHalt(condition=TrueCondition.RECONCILING, reason=reason, message=message)

    def pausing(self) -> SavepointHalt | None:
        """Halt while the pause after the last failure lasts."""
        remaining = remaining_seconds(self.before.retry_time, self.now)
        if not remaining:
            return None
        self.requeue_after(remaining + 0.05)
        return self.unchanged()

    def in_progress(self, *, requeue_after: float | None = None) -> SavepointHalt:
        """Halt while Flink, or the FlinkJob's stop, is at work; the longer it has been, the less often it is looked at."""
        lasted = (self.now - self.status.start_time).total_seconds() if self.status.start_time is not None else 0.0
        self.requeue_after(while_going_on(lasted) if requeue_after is None else requeue_after)
        where = self.status.directory or "the job's checkpoint directory"
        return SavepointHalt(
            condition=TrueCondition.RECONCILING, reason=Reason.InProgress, message=f"writing below {where}"
        )

    def begun_too_late(self, spec: FlinkSavepointSpec) -> SavepointHalt:
        """Halt for good, since the job could not be asked before `timeout` had passed."""
        cluster = self.observation.cluster
        if not cluster.reachable:
            return self.fail(SavepointErrorCode.CLUSTER_UNREACHABLE, cluster.error)
        return self.fail(SavepointErrorCode.TIMEOUT, f"not done within {spec.timeout}")

    def fail(self, code: SavepointErrorCode, message: str, *, failures: int | None = None) -> SavepointHalt:
        """Halt for good, after so many failures (as many as before where nothing is said)."""
        text = one_line(message)
        self.status = replace(
            self.status,
            phase=SavepointPhase.FAILED,
            end_time=self.now,
            failures=self.before.failures if failures is None else failures,
            retry_time=None,
            error=SavepointError(error_code=code, message=text, details=self.before.directory),
        )
        self.event(Reason.SavepointFailed, f"{code}: {text}", warning=True)
        return SavepointHalt(condition=TrueCondition.STALLED, reason=code, message=text)
