"""Whether what an action asked for is reached, still on its way, or out of reach: judged by the objects alone.

Called by `acting` with each new state of an object. Invariant: a state of before the change is never taken for its result:
the status must be of the generation that the change made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from flinkjob.api.codec import FlinkJob, FlinkSavepoint, parse_job
from flinkjob.api.enums import ConditionStatus, DesiredState, Phase, SavepointPhase
from flinkjob.api.flinkjob_status import Condition
from flinkjob.cli.fleet import condition, stalled

OLD_SECONDS = 30.0


class Outcome(Enum):
    """How it stands."""

    WAITING = auto()
    REACHED = auto()
    OUT_OF_REACH = auto()


@dataclass(frozen=True)
class Verdict:
    """How it stands, and a line about it."""

    outcome: Outcome
    words: str


Judge = Callable[[Mapping[str, Any]], Verdict]
"""Of the object as the API server gives it."""


def phase_reached(wanted: Phase, change: Mapping[str, Any]) -> Judge:
    """The FlinkJob is in this phase, for the spec that the change made."""

    def judge(obj: Mapping[str, Any]) -> Verdict:
        job = parse_job(obj)
        if (early := _before(job, obj, change)) is not None:
            return early
        if job.status.phase is wanted and _ready(job):
            return Verdict(Outcome.REACHED, _words(job))
        return Verdict(Outcome.WAITING, _words(job))

    return judge


def running(change: Mapping[str, Any], *, after: int | None = None, job_id: str | None = None) -> Judge:
    """The FlinkJob runs under the spec that the change made, or has run to its own end under it.

    Args:
        after: only a run with a higher number counts. None: where the spec wants no run, the change is reached as well, since
            it takes effect with the next one.
        job_id: only the run of this Flink job counts.
    """
    must_run = after is not None or job_id is not None

    def judge(obj: Mapping[str, Any]) -> Verdict:
        job = parse_job(obj)
        if (early := _before(job, obj, change)) is not None:
            return early
        if (down := _wanted_down(job, must_run=must_run)) is not None:
            return down
        run = job.status.submission
        if run is not None and job_id is not None and run.job_id not in (None, job_id):
            return Verdict(Outcome.OUT_OF_REACH, f"run {run.number} is another job, {run.job_id}")
        if run is not None and run.number > (after or 0) and job_id in (None, run.job_id) and _has_come(job):
            return Verdict(Outcome.REACHED, f"run {run.number}: {_words(job)}")
        return Verdict(Outcome.WAITING, _words(job))

    return judge


def steadily(judge: Judge, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> Judge:
    """The same, but a job that has to run has to have run for so long without a failure.

    That all tasks run is also true of a job between two failures of its first seconds.

    Args:
        clock: seconds.
    """
    known: tuple[object, ...] = ()
    since = 0.0

    def patient(obj: Mapping[str, Any]) -> Verdict:
        nonlocal known, since
        verdict, status = judge(obj), parse_job(obj).status
        if verdict.outcome is not Outcome.REACHED or status.phase is not Phase.RUNNING:
            known = ()
            return verdict
        run, failure = status.submission, status.last_failure
        now = (run.number if run is not None else None, failure.time if failure is not None else None)
        if now != known:
            known, since = now, clock()
        if clock() - since >= seconds:
            return verdict
        return Verdict(Outcome.WAITING, f"{verdict.words}; reached once it has run for {seconds:g} s")

    return patient


def _has_come(job: FlinkJob) -> bool:
    """Whether nothing is under way any more, and the job runs or has come to its own end."""
    status = job.status
    settled = status.operation is None and (status.plan is None or status.plan.step is None)
    return settled and ((status.phase is Phase.RUNNING and _ready(job)) or status.phase is Phase.FINISHED)


def _wanted_down(job: FlinkJob, *, must_run: bool) -> Verdict | None:
    """How it stands where the spec wants no run; None where it wants one."""
    wanted = job.spec.state if job.spec is not None else DesiredState.RUNNING
    if wanted is DesiredState.RUNNING:
        return None
    if must_run:
        return Verdict(Outcome.OUT_OF_REACH, f"spec.state is {wanted} now")
    if job.status.phase == wanted.value and _ready(job):
        return Verdict(Outcome.REACHED, f"{_words(job)}; the change takes effect when it runs again")
    return Verdict(Outcome.WAITING, _words(job))


def unless_old(judge: Judge, before: Mapping[str, Any], *, clock: Callable[[], float] = time.monotonic) -> Judge:
    """The same for a change that makes no new generation, as that of an annotation: what was wrong before may be so no more.

    Args:
        before: the FlinkJob before the change. What it stalled at counts only after a while.
        clock: seconds.
    """
    old, until = stalled(parse_job(before)), clock() + OLD_SECONDS

    def patient(obj: Mapping[str, Any]) -> Verdict:
        verdict = judge(obj)
        if old is not None and verdict == _stuck(old) and clock() < until:
            return Verdict(Outcome.WAITING, "the operator has not looked at the change yet")
        return verdict

    return patient


def rescaled(change: Mapping[str, Any], parallelism: int) -> Judge:
    """The FlinkJob runs with this parallelism, or with the one that its program sets, which is said then."""
    reached = running(change)

    def judge(obj: Mapping[str, Any]) -> Verdict:
        verdict, status = reached(obj), parse_job(obj).status
        seen = status.job if status.phase is Phase.RUNNING else None
        if verdict.outcome is Outcome.REACHED and seen is not None and seen.parallelism not in (None, parallelism):
            return Verdict(verdict.outcome, f"{verdict.words}; in Flink it has parallelism {seen.parallelism}")
        return verdict

    return judge


def completed(savepoint: FlinkSavepoint) -> Verdict:
    """The FlinkSavepoint is complete."""
    status = savepoint.status
    match status.phase:
        case SavepointPhase.COMPLETED:
            return Verdict(Outcome.REACHED, f"savepoint {status.location}")
        case SavepointPhase.FAILED:
            error = status.error
            said = f"{error.error_code}: {error.message}" if error is not None else "no reason is given"
            return Verdict(Outcome.OUT_OF_REACH, f"savepoint {savepoint.meta.name} failed: {said}")
        case _:
            ready = next((each for each in status.conditions if each.type == "Ready"), None)
            said = f": {ready.message}" if ready is not None and ready.message else ""
            return Verdict(Outcome.WAITING, f"savepoint {status.phase or SavepointPhase.PENDING}{said}")


def _before(job: FlinkJob, obj: Mapping[str, Any], change: Mapping[str, Any]) -> Verdict | None:
    """What must be right before anything else counts; None where it is."""
    spec = obj.get("spec") or {}
    undone = [name for name, value in change.items() if not holds(spec.get(name), value)]
    if undone:
        who = f" by {changer}" if (changer := _last_changer(obj, undone)) else ""
        return Verdict(Outcome.OUT_OF_REACH, f"spec.{undone[0]} was set back{who}")
    if job.meta.deletion_time is not None:
        return Verdict(Outcome.OUT_OF_REACH, "the FlinkJob is being deleted")
    if (job.status.observed_generation or 0) < job.meta.generation:
        return Verdict(Outcome.WAITING, "the operator has not looked at the change yet")
    if (trouble := stalled(job)) is not None:
        return _stuck(trouble)
    return None


def _stuck(trouble: Condition) -> Verdict:
    return Verdict(Outcome.OUT_OF_REACH, f"{trouble.reason}: {trouble.message}")


def holds(found: Any, wanted: Any) -> bool:
    """Whether a value is what a merge patch makes of it, or has all of a manifest's."""
    if isinstance(wanted, Mapping):
        inside: Any = found if isinstance(found, Mapping) else {}
        return all(holds(inside.get(name), value) for name, value in wanted.items())
    return bool(found == wanted)


def _last_changer(obj: Mapping[str, Any], fields: list[str]) -> str:
    """Who last set one of these fields of the spec, by `managedFields`."""
    entries = obj["metadata"].get("managedFields") or ()
    own = [each for each in entries if any(f"f:{f}" in (each.get("fieldsV1") or {}).get("f:spec", {}) for f in fields)]
    newest: Mapping[str, Any] = max(own, key=lambda each: str(each.get("time", "")), default={})
    return str(newest.get("manager", ""))


def _ready(job: FlinkJob) -> bool:
    found = condition(job, "Ready")
    return found is not None and found.status is ConditionStatus.TRUE


def _words(job: FlinkJob) -> str:
    """The phase, and what is done or waited for."""
    ready, plan = condition(job, "Ready"), job.status.plan
    said = (plan.message if plan is not None else None) or (ready.message if ready is not None else "")
    return f"{job.status.phase or Phase.PENDING}" + (f": {said}" if said else "")
