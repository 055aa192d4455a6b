"""Tasks that have no slots: the job says what it needs and what the cluster has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.core.facts import Fact, TaskSlots
from flinkjob.core.flinkmodel import ClusterOverview, FlinkJobState, JobException, TaskCounts
from flinkjob.core.jobfailures import JobFailures
from flinkjob.core.seen import JobSeen
from tests.support.inputs import NOW, ago, conditions, decide, job, overview, plan_of, present, run, seen, spec, told
from tests.support.tables import table

FIRST = FlinkJobStatus(submission=run(running=False, started_time=None, parallelism=4))
AGAIN = FlinkJobStatus(submission=run(parallelism=4))
SUBMITTING = "waiting until all tasks are running"

NEVER = ": it cannot run before TaskManagers are added or parallelism is lowered"


def slots(free: int, total: int = 16, managers: int = 2) -> ClusterOverview:
    """What the cluster has."""
    return ClusterOverview(taskmanagers=managers, slots_total=total, slots_available=free, flink_version="2.3.0")


def waiting(seconds: float = 5.0, **tasks: int) -> JobSeen:
    """A job whose tasks do not run, for so long."""
    counts = TaskCounts(total=8, **(tasks or {"scheduled": 8}))
    return replace(present(), overview=replace(overview(), tasks=counts), short_for=seconds)


CREATED = replace(present(FlinkJobState.CREATED), short_for=5.0)


@table(
    ("about", "there", "says"),
    "too few are free: how many it needs and what there is",
    (waiting(), slots(1), ("WaitingForSlots", "needs 4 slots, 1 free of 16, 2 TaskManagers")),
    "one TaskManager: in the singular",
    (waiting(), slots(0, 2, 1), ("WaitingForSlots", f"needs 4 slots, 0 free of 2, 1 TaskManager{NEVER}")),
    "no TaskManager: just that",
    (waiting(), slots(0, 0, 0), ("WaitingForSlots", "needs 4 slots, and the cluster has no TaskManager")),
    "the adaptive scheduler waits in CREATED: the same",
    (CREATED, slots(1), ("WaitingForSlots", "needs 4 slots, 1 free of 16, 2 TaskManagers")),
    "every job begins like that: nothing yet",
    (waiting(1.0), slots(1), ("Submitting", SUBMITTING)),
    "there are enough: nothing yet",
    (waiting(), slots(4), ("Submitting", SUBMITTING)),
    "there seem to be enough, for long: the program's own parallelism is higher",
    (waiting(11.0), slots(4), ("WaitingForSlots", "needs 4 slots, 4 free of 16, 2 TaskManagers")),
    "its tasks have slots and begin: nothing",
    (waiting(running=3), slots(0), ("Submitting", SUBMITTING)),
)
def test_what_a_job_says_that_has_no_slots(about: JobSeen, there: ClusterOverview, says: tuple[str, str]) -> None:
    decision = decide(job(spec(parallelism=4), FIRST), seen(about, slots=there))
    ready = next(each for each in decision.status.conditions if each.type == "Ready")
    assert (ready.reason, ready.message) == says
    assert conditions(decision).startswith("Reconciling")


def test_a_job_that_ran_and_lost_its_slots_says_so_too() -> None:
    decision = decide(job(spec(parallelism=4), AGAIN), seen(waiting(), slots=slots(0, 0, 0)))
    ready = next(each for each in decision.status.conditions if each.type == "Ready")
    assert (decision.status.phase, ready.reason) == ("Restarting", "WaitingForSlots")


def test_slots_are_counted_again_and_less_often_the_longer_it_takes() -> None:
    delays = []
    for seconds in (3.0, 80.0, 4000.0):
        asked: list[Fact[Any]] = []
        decision = decide(job(spec(parallelism=4), FIRST), seen(waiting(seconds), slots=slots(1)), asked)
        assert TaskSlots() in asked
        delays.append(decision.requeue_after)
    assert delays == [2.0, 20.0, 60.0]


def test_a_job_that_failed_for_want_of_slots_waits_for_them_and_is_no_crash_loop() -> None:
    """Flink gives up to wait after some minutes, fails the job for it, and begins anew."""
    lack = JobException(time=NOW, name="x", root_cause="NoResourceAvailableException: no", no_slots=True)
    failures = JobFailures(newest=lack, times=(NOW, ago(60), ago(120), ago(180)))
    about = replace(present(FlinkJobState.RESTARTING, tasks=0), short_for=60.0, failures=failures)
    decision = decide(
        job(spec(parallelism=4), FlinkJobStatus(submission=run(parallelism=4))), seen(about, slots=slots(0, 2, 1))
    )
    assert plan_of(decision)[1] == "WaitingForSlots"
    assert told(decision) == ["WaitingForSlots"]
    assert decision.status.last_failure is None
    again = decide(job(spec(parallelism=4), decision.status), seen(about, slots=slots(0, 2, 1)))
    assert (plan_of(again)[1], told(again)) == ("WaitingForSlots", [])
    there = replace(present(), steady_for=15.0, failures=failures)
    running = decide(job(spec(parallelism=4), again.status), seen(there))
    assert conditions(running) == "Ready, healthy"
    assert told(running) == []
