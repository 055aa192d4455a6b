"""A run that Flink restarts: what its status says of the cause, when it counts as well again, how seldom it is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from flinkjob.api.codec import dump_status
from flinkjob.api.enums import Phase
from flinkjob.api.failure_status import FailureInfo
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.core.actions import PostEvent
from flinkjob.core.flinkmodel import FlinkJobState, JobException
from flinkjob.core.jobfailures import JobFailures
from flinkjob.core.model import JobDecision
from flinkjob.core.seen import JobSeen, Presence
from tests.support.inputs import (
    NOW,
    RUNNING,
    ago,
    conditions,
    decide,
    flink_id,
    job,
    overview,
    present,
    run,
    seen,
    silent,
    spec,
    told,
)
from tests.support.tables import table

CAUSE = "IllegalStateException: wrong password"


def failed(*seconds: float, cause: str = CAUSE, restarts: int | None = None, task: str = "count (1/2)") -> JobFailures:
    """Failures so many seconds ago, newest first."""
    newest = JobException(
        time=ago(seconds[0]),
        name="java.lang.IllegalStateException",
        root_cause=cause,
        task=f"{task} - execution #7",
        taskmanager="tm-1",
    )
    return JobFailures(newest=newest, times=tuple(ago(each) for each in seconds), restarts=restarts)


def down(failures: JobFailures | None = None, **fields: Any) -> JobSeen:
    """The job while Flink restarts it."""
    return replace(present(FlinkJobState.RESTARTING), failures=failures, short_for=1.0, **fields)


def up(failures: JobFailures | None = None, steady_for: float = 0.0) -> JobSeen:
    """The job with all tasks running, for so long."""
    return replace(present(), failures=failures, steady_for=steady_for)


class Life:
    """A FlinkJob whose status is kept from round to round, with a count of its writes."""

    def __init__(self, status: FlinkJobStatus = RUNNING, **wanted: Any) -> None:
        self.status, self.wanted, self.writes = status, spec(**wanted), 0
        self.events: list[str] = []
        self.messages: list[str] = []
        self.last: JobDecision | None = None

    def round(self, about: JobSeen, now: datetime = NOW, **fields: Any) -> str:
        """Decide; what the conditions say, and the reason of Ready."""
        decision = self.last = decide(job(self.wanted, self.status), seen(about, now=now, **fields))
        self.writes += dump_status(decision.status) != dump_status(self.status)
        self.status = job(self.wanted, decision.status).status
        self.events += told(decision)
        self.messages += [action.message for action in decision.actions if isinstance(action, PostEvent)]
        return f"{conditions(decision)}: {self.condition('Ready')[0]}"

    def condition(self, kind: str) -> tuple[str, str]:
        found = next(each for each in self.status.conditions if each.type == kind)
        return found.reason, found.message

    @property
    def failure(self) -> FailureInfo:
        assert self.status.last_failure is not None
        return self.status.last_failure

    @property
    def restarts(self) -> int | None:
        assert self.status.job is not None
        return self.status.job.restarts


def test_a_failure_is_told_with_cause_task_and_taskmanager() -> None:
    life = Life()
    assert life.round(down(failed(3))) == "Reconciling, unhealthy: Restarting"
    assert (life.failure.root_cause, life.failure.task, life.failure.task_manager) == (CAUSE, "count (1/2)", "tm-1")
    assert (life.failure.time, life.failure.job_id, life.failure.recent) == (ago(3), flink_id(), 1)
    text = f"Flink restarts it after a failure: {CAUSE} (count (1/2) on tm-1)"
    assert life.condition("Healthy") == life.condition("Ready") == ("Restarting", text)
    assert life.events == ["Restarting"]
    assert life.restarts == 1


def test_a_job_that_crashed_is_not_ready_before_it_has_run_for_a_while() -> None:
    life = Life()
    life.round(down(failed(1)))
    assert life.round(up(failed(1), 0.0)) == "Reconciling, unhealthy: Restarting"
    assert life.round(up(failed(1), 9.9)) == "Reconciling, unhealthy: Restarting"
    assert life.round(up(failed(1), 10.0)) == "Ready, healthy: Running"
    assert life.status.phase is Phase.RUNNING
    assert life.failure.recovered_time == NOW
    assert life.events == ["Restarting", "Running"]
    assert life.round(down(failed(1))) == "Reconciling, unhealthy: Restarting", "tasks are missing, nothing else failed"
    assert life.round(up(failed(1), 0.5)) == "Reconciling, unhealthy: Restarting", "nor has it run for a while since"
    assert life.condition("Ready")[1] == "all tasks run again; Ready once they have run for a while"
    assert life.events == ["Restarting", "Running"]


def test_nor_where_its_failure_cannot_be_read() -> None:
    life = Life()
    assert life.round(down()) == "Reconciling, unhealthy: Restarting"
    assert life.round(up(steady_for=0.2)) == "Reconciling, unhealthy: Restarting"
    assert life.last is not None
    assert life.last.requeue_after == pytest.approx(9.9)
    assert life.round(up(steady_for=10.0)) == "Ready, healthy: Running"


def test_nor_while_nobody_answers() -> None:
    life = Life()
    life.round(down(failed(1)))
    assert life.round(JobSeen(), cluster=silent(5)) == "Reconciling, unhealthy: Restarting"
    life = Life()
    life.round(down())
    assert life.round(JobSeen(), cluster=silent(5)) == "Reconciling, unhealthy: Restarting"


def test_a_restart_that_no_look_has_seen_is_told_all_the_same() -> None:
    life = Life()
    life.round(up(steady_for=500.0))
    assert life.round(up(failed(1), 0.5)) == "Reconciling, unhealthy: Restarting"
    assert life.events == ["Restarting"]


def test_a_first_start_is_ready_at_once() -> None:
    assert Life(FlinkJobStatus(submission=run(running=False))).round(up()) == "Ready, healthy: Running"


def test_a_first_start_that_fails_says_why() -> None:
    life = Life(FlinkJobStatus(submission=run(running=False, started_time=None)))
    assert life.round(down(failed(1))) == "Reconciling, unhealthy: Restarting"
    assert CAUSE in life.condition("Ready")[1]
    assert life.status.phase is Phase.SUBMITTING
    assert life.round(up(failed(1), 1.0)) == "Reconciling, unhealthy: Restarting"
    assert life.failure.root_cause == CAUSE, "the failure is of this very run"
    assert life.restarts == 1
    assert life.round(up(failed(1), 10.0)) == "Ready, healthy: Running"


def test_the_failure_of_an_earlier_run_goes_when_the_next_one_runs() -> None:
    old = FailureInfo(time=ago(60), job_id=flink_id(7), root_cause="old")
    life = Life(FlinkJobStatus(submission=run(running=False), last_failure=old))
    assert life.round(up()) == "Ready, healthy: Running"
    assert life.status.last_failure is None


# crash loops


def test_a_crash_loop_is_named_and_over_when_the_job_has_run_well() -> None:
    life = Life()
    life.round(down(failed(40)))
    assert life.round(down(failed(20, 40))) == "Reconciling, unhealthy: Restarting"
    assert life.round(down(failed(0, 20, 40))) == "Reconciling, unhealthy: CrashLooping"
    assert life.round(up(failed(0, 20, 40), 60)) == "Reconciling, unhealthy: CrashLooping"
    assert (life.restarts, life.failure.recent) == (3, 3)
    reason, text = life.condition("Healthy")
    assert reason == "CrashLooping"
    assert text.startswith("fails again and again, and Flink restarts it")
    assert CAUSE in text
    assert life.round(up(failed(0, 20, 40), 120)) == "Ready, healthy: Running"
    assert life.events == ["Restarting", "CrashLooping", "Running"]
    assert life.messages[-1] == "run 1 runs well again; Flink has restarted it 3 times so far"


def test_failures_that_are_far_apart_are_no_crash_loop() -> None:
    life = Life()
    assert life.round(down(failed(0, 400, 700, 1100))) == "Reconciling, unhealthy: Restarting"
    assert life.failure.recent == 2


def test_what_is_over_stays_over_when_the_operator_starts_again() -> None:
    life = Life()
    history = failed(0, 20, 40)
    life.round(down(history))
    life.round(up(history, 120))
    assert life.round(up(history, 0.0)) == "Ready, healthy: Running"


def test_it_begins_anew_after_it_was_over() -> None:
    life = Life()
    life.round(down(failed(1000)))
    life.round(up(failed(1000), 10))
    assert life.round(down(failed(0, 1000))) == "Reconciling, unhealthy: Restarting"
    assert life.events == ["Restarting", "Running", "Restarting"]
    assert life.restarts == 2


# how much is told and written


@table(
    ("second", "events"),
    "another cause is told",
    ("TimeoutException: no broker", ["Restarting", "Restarting"]),
    "the same words with other numbers are the same cause",
    ("IllegalStateException: wrong password", ["Restarting"]),
)
def test_one_event_for_each_cause(second: str, events: list[str]) -> None:
    life = Life()
    life.round(down(failed(9)))
    life.round(down(failed(1, 9, cause=second)))
    assert life.events == events


def test_numbers_do_not_make_another_cause() -> None:
    life = Life()
    life.round(down(failed(9, cause="record 17 of 0xdeadbeef is damaged")))
    life.round(down(failed(1, 9, cause="record 2890 of 0xfeedc0de is damaged")))
    assert life.events == ["Restarting"]


def test_causes_that_take_turns_are_told_once_each_and_no_more_than_a_few() -> None:
    life = Life()
    for number in range(40):
        at = NOW + timedelta(seconds=number)
        cause = "XYZWVUTSRQ"[number % 10] * 3
        life.round(down(replace(failed(0, cause=cause), newest=failed(-number, cause=cause).newest, times=(at,))), at)
    assert life.events.count("Restarting") == 6


def test_a_loop_from_one_cause_is_written_once_a_minute() -> None:
    """A crash every four seconds for an hour: down, up, down, and the counts go on."""
    life = Life()
    times: list[datetime] = []
    for second in range(0, 3600, 4):
        at = NOW + timedelta(seconds=second)
        times.insert(0, at)
        newest = replace(failed(0).newest, time=at, task=f"count ({second % 3}/3) - execution #{second}")
        history = JobFailures(newest=newest, times=tuple(times[:16]), restarts=None)
        life.round(down(history), at + timedelta(seconds=1))
        life.round(up(history, 1.5), at + timedelta(seconds=3))
    assert life.writes <= 62
    assert life.events == ["Restarting", "CrashLooping"]
    assert life.restarts is not None
    assert life.restarts >= 880, "no restart is counted twice, and few are missed before the next write"
    assert life.restarts <= 900


def test_flinks_own_counter_counts_where_its_memory_of_failures_is_short() -> None:
    life = Life()
    life.round(down(failed(0, 20, restarts=250)))
    assert life.restarts == 250


def test_messages_are_bounded_whatever_a_program_throws() -> None:
    life = Life()
    life.round(down(failed(1, cause="x" * 512, task="t" * 3000)))
    assert len(life.condition("Healthy")[1]) <= 512
    assert max(map(len, life.messages)) <= 512


def test_a_job_that_flink_does_not_know_for_a_moment_is_as_well_as_it_was() -> None:
    life = Life()
    life.round(down(failed(1)))
    assert life.round(JobSeen(presence=Presence.ABSENT)) == "Reconciling, unhealthy: JobLost"
    assert life.status.phase is Phase.RESTARTING


def test_a_suspension_that_waits_for_tasks_says_why_they_do_not_run() -> None:
    life = Life(state="Suspended")
    life.wanted |= {"upgrade": {"fallback": "Wait"}}
    checkpoints = seen(present()).checkpoints
    life.round(replace(down(failed(1)), overview=overview(FlinkJobState.CREATED)), checkpoints=checkpoints)
    reason, text = life.condition("Ready")
    assert reason == "WaitingForTasks"
    assert text.startswith("a savepoint needs all tasks running; Flink restarts it after a failure")
