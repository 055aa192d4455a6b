"""The notebook of one decision: the status as it grows, the actions, and why nothing more can be done now.

A `Draft` lives inside one call of `decide_job` and changes there; of what outlives a call only the queues in `core/shares.py`
and `core/turns.py` do. Called by the parts of the job decision, the modules beside this one. Invariant: it asks for facts by
raising `NeedFact`, never by I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from flinkjob.api.codec import FlinkJob
from flinkjob.api.enums import EndCause, OperationKind, RunResult, SavepointOrigin, SnapshotKind
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import (
    FlinkJobStatus,
    HistoryEntry,
    ObservedJob,
    Operation,
    Plan,
    RunEnd,
    SavepointInfo,
    Submission,
)
from flinkjob.api.reasons import Reason
from flinkjob.api.sync import SyncToSpec
from flinkjob.core.actions import ON_A_JOB, Action, EventType, PostEvent, RecordSavepoint
from flinkjob.core.backoff import remaining_seconds
from flinkjob.core.errors import one_line
from flinkjob.core.facts import A, Fact
from flinkjob.core.flinkmodel import FlinkJobState, JobOverview
from flinkjob.core.identity import Owner, digest_of
from flinkjob.core.model import JobInput, Observation, OperationOutcome
from flinkjob.core.pauses import AT_ONCE

HISTORY_LIMIT = 10
_SHOWN = 6
"""Digits of the digest of its place in the name of a recorded savepoint."""


class Step(StrEnum):
    """What a plan is at (`status.plan.step`); failures are counted for each."""

    HOLD = "Hold"
    """Waits for a person."""
    CONNECT = "Connect"
    ADOPT = "Adopt"
    CONFIRM = "Confirm"
    """Asks once more whether the job is gone."""
    READ_STATE = "ReadState"
    FETCH = "Fetch"
    PREFLIGHT = "Preflight"
    SUBMIT = "Submit"
    UPGRADE = "Upgrade"
    ROLLBACK = "Rollback"
    SCALE = "Scale"
    RESTART = "Restart"
    STRAY = "Stray"
    DELETE = "Delete"
    STOP = OperationKind.STOP.value
    """Operations are steps of their own kind, so that their failures count here too."""
    CANCEL_WITH_SAVEPOINT = OperationKind.SAVEPOINT_AND_CANCEL.value
    CANCEL = OperationKind.CANCEL.value
    RESCALE = OperationKind.RESCALE.value


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What is wrong. `stalled`: nothing is tried again until the spec or the world changes."""

    reason: Reason
    message: str
    stalled: bool


@dataclass(frozen=True, kw_only=True)
class Halt:
    """Nothing more is decided in this round.

    Attributes:
        plan: what is done or waited for; None: there is nothing to say.
        trouble: what is wrong, if something is.
    """

    plan: Plan | None = None
    trouble: Trouble | None = None

    def after(self, earlier: Halt | None) -> Halt:
        """This one instead of an earlier one of the round, whose trouble stays unless there is another."""
        return replace(self, trouble=self.trouble or (earlier.trouble if earlier is not None else None))


DONE = Halt()
"""Nothing more is to be done, and there is nothing to say."""


class Draft:
    """One decision in the making."""

    def __init__(
        self, given: JobInput, spec: FlinkJobSpec | None, digest_of_spec: Callable[[FlinkJobSpec], str]
    ) -> None:
        self.given = given
        self.spec = spec
        self.digest_of_spec = digest_of_spec
        self.digest = digest_of_spec(spec) if spec is not None else ""
        self.status: FlinkJobStatus = given.job.status
        self.actions: list[Action] = []
        self.delay: float | None = None
        self.halt = DONE
        self.outcome: OperationOutcome | None = None
        self.recovering = False  # whether Flink restarted the live run, and it has yet to run well again
        self.lacks = ""  # why the texts of ConfigMaps that the spec names, or its variables, are not known
        self.lacks_because: Reason | None = None  # where it is not what the program is made of
        self.looked = False  # whether it is known that nothing runs, although there is no submission

    # what is given

    @property
    def job(self) -> FlinkJob:
        return self.given.job

    @property
    def observation(self) -> Observation:
        return self.given.observation

    @property
    def now(self) -> datetime:
        return self.given.observation.now

    @property
    def owner(self) -> Owner:
        return Owner(self.given.identity, self.job.meta.namespace, self.job.meta.name)

    @property
    def wanted_url(self) -> str:
        """The address of the cluster that the spec names; while a text is missing a live run stays where it is."""
        run = self.live_run
        if self.lacks and run is not None and run.cluster_url is not None:
            return run.cluster_url
        return self.spec.cluster.address(self.job.meta.namespace) if self.spec is not None else ""

    @property
    def run(self) -> Submission | None:
        return self.status.submission

    @property
    def live_run(self) -> Submission | None:
        """The submission whose job may be running: intended and not known to have ended."""
        run = self.status.submission
        return run if run is not None and run.end is None else None

    def need(self, fact: Fact[A]) -> A:
        """The answer to a question that costs a call; raises `NeedFact` where it was not asked in this round."""
        return self.given.observation.need(fact)

    def use(self, spec: FlinkJobSpec, digest: str | None = None) -> None:
        """From now on decide by this spec; `digest`: of the run that it stands for, where that is not to be replaced."""
        self.spec = spec
        self.digest = digest or self.digest_of_spec(spec)

    # what is decided

    def halt_without_target(self) -> Halt | None:
        """Wait for the cluster that the spec names unless it answers."""
        cluster = self.observation.target
        if cluster.reachable:
            return None
        text = cluster.error or f"{cluster.url} does not answer"
        return self.wait(Step.CONNECT, Reason.ClusterUnreachable, text, requeue_after=5.0)

    def act(self, action: Action) -> None:
        self.actions.append(action)

    def withdraw_calls(self, run: Submission) -> None:
        """Ask for no call on the job of a run that was asked for so far: what is decided next takes its place."""
        self.actions = [
            each for each in self.actions if not (isinstance(each, ON_A_JOB) and each.job_id == run.flink_job_id)
        ]

    def event(self, reason: Reason, message: str, *, warning: bool = False, once_for: str = "") -> None:
        """Report a transition; `once_for` as for `PostEvent`."""
        kind = EventType.WARNING if warning else EventType.NORMAL
        self.act(PostEvent(type=kind, reason=reason, message=one_line(message), once_for=once_for))

    def requeue_after(self, seconds: float) -> None:
        """Look again after so many seconds (never at once), or sooner when something changes."""
        seconds = max(seconds, AT_ONCE)
        self.delay = seconds if self.delay is None else min(self.delay, seconds)

    def start_from(self, run: Submission) -> None:
        """Take a submission over that the status did not know."""
        self.status = replace(self.status, submission=run)

    def update(self, **changes: object) -> None:
        """Change fields of the current submission."""
        assert self.status.submission is not None
        self.status = replace(self.status, submission=replace(self.status.submission, **changes))  # type: ignore[arg-type]

    def wait(self, step: Step, reason: Reason, message: str, *, requeue_after: float | None = None) -> Halt:
        """Halt, saying what is done or waited for."""
        if requeue_after is not None:
            self.requeue_after(requeue_after)
        return Halt(plan=self._plan(step, reason, message))

    def _plan(self, step: Step, reason: Reason, message: str) -> Plan:
        """A plan whose `since` stays while step and reason stay."""
        before = self.given.job.status.plan
        same = before is not None and before.step == step and before.reason == reason
        since = before.since if same and before is not None else self.now
        attempts = before.attempts if before is not None and before.step == step else 0
        return Plan(step=step, reason=reason, since=since, message=one_line(message), attempts=attempts)

    def retry(self, step: Step, reason: Reason, message: str, *, pause: float, attempts: int) -> Halt:
        """Halt since a step failed for the `attempts`-th time and when it is tried again."""
        self.requeue_after(pause)
        retry_time = self.now + timedelta(seconds=pause)
        plan = replace(self._plan(step, reason, message), attempts=attempts, retry_time=retry_time)
        return Halt(plan=plan, trouble=Trouble(reason=reason, message=one_line(message), stalled=False))

    def failures_of(self, step: Step) -> int:
        """How often in a row the step has failed so far."""
        before = self.given.job.status.plan
        return before.attempts if before is not None and before.step == step else 0

    def pausing(self, step: Step) -> Halt | None:
        """Halt while the pause after the step's last failure lasts; the plan then stays as it is."""
        before = self.given.job.status.plan
        if before is None or before.step != step:
            return None
        remaining = remaining_seconds(before.retry_time, self.now)
        if not remaining:
            return None
        trouble = Trouble(reason=Reason.of(before.reason, Reason.BackOff), message=before.message or "", stalled=False)
        self.requeue_after(remaining + 0.05)
        return Halt(plan=before, trouble=trouble)

    def refuse(self, message: str) -> Halt:
        """Halt since the spec cannot be run as it is; an Event reports it once."""
        before = self.given.job.status.plan
        if before is None or before.reason != Reason.InvalidSpec or before.message != one_line(message):
            self.event(Reason.ValidationFailed, message, warning=True)
        return self.stall(Reason.InvalidSpec, message)

    def stall(self, reason: Reason, message: str, *, requeue_after: float | None = None) -> Halt:
        """Halt until the spec or the world changes."""
        if requeue_after is not None:
            self.requeue_after(requeue_after)
        trouble = Trouble(reason=reason, message=one_line(message), stalled=True)
        return Halt(plan=self._plan(Step.HOLD, reason, message), trouble=trouble)

    def see(self, overview: JobOverview) -> None:
        """Note the Flink job as the cluster shows it."""
        url = self.run.cluster_url if self.run else self.observation.cluster.url
        before = self.status.job
        self.status = replace(
            self.status,
            job=ObservedJob(
                id=overview.job_id,
                name=overview.name[:256],
                state=overview.state,
                observed_time=self.now
                if before is None or before.id != overview.job_id or before.state != overview.state
                else before.observed_time,
                start_time=overview.start_time,
                end_time=overview.end_time if overview.state.is_terminal else None,
                parallelism=(self.run.actual_parallelism or self.run.parallelism) if self.run else None,
                tasks_running=overview.tasks.running,
                tasks_total=overview.tasks.total,
                restarts=before.restarts if before and before.id == overview.job_id else None,
                ui_url=f"{url}/#/job/{overview.job_id}" if url else None,
            ),
        )

    def end_run(
        self,
        result: RunResult,
        *,
        snapshot: str | None,
        kind: SnapshotKind,
        message: str | None = None,
        cause: EndCause | None = None,
        time: datetime | None = None,
        taken: datetime | None = None,
    ) -> None:
        """Latch how the current submission ended; the operation on it, if any, is over too."""
        run = self.status.submission
        assert run is not None
        assert run.end is None
        end = RunEnd(
            result=result,
            time=time or self.now,
            snapshot=snapshot,
            snapshot_kind=kind,
            snapshot_time=taken,
            message=one_line(message) if message else None,
            cause=cause,
            incarnation=self.observation.cluster.incarnation,
        )
        entry = HistoryEntry(
            number=run.number,
            job_id=run.job_id,
            digest=run.run_digest,
            from_=run.restored_from,
            to=snapshot,
            started=run.started_time,
            ended=end.time,
            result=result,
        )
        self.status = replace(
            self.status,
            submission=replace(run, end=end),
            operation=None,
            job=self._job_after(end),
            history=(entry, *self.status.history)[:HISTORY_LIMIT],
        )

    def _job_after(self, end: RunEnd) -> ObservedJob | None:
        """The Flink job after its run has ended: without a state where the last one seen cannot be true any more."""
        job = self.status.job
        if job is None or job.state is None or FlinkJobState(job.state).is_terminal:
            return job
        return replace(job, state=None, end_time=end.time, tasks_running=None)

    def record_savepoint(self, operation: Operation, location: str, origin: str) -> None:
        """Note a savepoint that an operation of ours made, and have it recorded as a FlinkSavepoint.

        Its name is that of no other savepoint, not even of an earlier FlinkJob of the same name, whose runs have the same
        numbers: one that is there already is taken for the same.
        """
        name = f"{self.job.meta.name}-{operation.submission}-{origin.lower()}-{digest_of(location)[:_SHOWN]}"
        self.status = replace(self.status, last_savepoint=SavepointInfo(name=name, location=location, time=self.now))
        if operation.job_id is None or operation.submission is None:
            return
        self.act(
            RecordSavepoint(
                name=name,
                origin=origin,
                location=location,
                flink_job_id=operation.job_id,
                submission=operation.submission,
                time=self.now,
                delete_data=self.spec is not None and self.spec.savepoints.retention is not None,
                seconds=(self.now - operation.since).total_seconds() if operation.since is not None else None,
                sync_to=self._copy_target_of(origin),
            )
        )
        self.event(Reason.SavepointCompleted, f"savepoint {location}")

    def _copy_target_of(self, origin: str) -> SyncToSpec | None:
        """Where the last savepoint of a FlinkJob that goes is copied to."""
        sync = self.spec.savepoints.sync_to if self.spec is not None else None
        meant = sync is not None and (not sync.origins or SavepointOrigin.DELETION in sync.origins)
        return sync if meant and origin == SavepointOrigin.DELETION else None


def wish(draft: Draft) -> str:
    """What a person wants: other than the digest, it changes with any field, and comes back with none."""
    return f"{draft.job.meta.generation}-{draft.digest}"


def is_stop(operation: Operation | None) -> bool:
    """True for the operations that end a job with a savepoint."""
    return operation is not None and operation.kind in (OperationKind.STOP, OperationKind.SAVEPOINT_AND_CANCEL)
