"""Values that only tick are written with another change, or when it is their turn."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from flinkjob.api.enums import ConditionStatus, OperationKind, Phase
from flinkjob.api.failure_status import FailureInfo
from flinkjob.api.flinkjob_status import (
    CheckpointInfo,
    Condition,
    FlinkJobStatus,
    ObservedJob,
    Operation,
    Plan,
    Submission,
)
from flinkjob.core.job.status_noise import (
    BEGINNING_SECONDS,
    SAME_SECONDS,
    TICK_SECONDS,
    begins,
    settled,
    tick_after,
    ticked,
)
from tests.support.inputs import run, unseen
from tests.support.tables import table

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIRST = CheckpointInfo(id=1, location="file:/c/job/chk-1", time=NOW, observed_time=NOW)
BEFORE = FlinkJobStatus(
    phase=Phase.RUNNING,
    job=ObservedJob(id="a", state="RUNNING", observed_time=NOW, restarts=0),
    last_checkpoint=FIRST,
)


def _later(seconds: float, **fields: Any) -> FlinkJobStatus:
    checkpoint = replace(FIRST, id=2, location="file:/c/job/chk-2", time=NOW + timedelta(seconds=seconds))
    return replace(BEFORE, last_checkpoint=checkpoint, **fields)


@table(
    ("after", "written"),
    "nothing else is not written",
    (BEFORE, False),
    "a later look is not written",
    (_later(10), False),
    "a look much later is not written",
    (_later(10 * TICK_SECONDS), False),
    "another phase is written",
    (_later(10, phase=Phase.RESTARTING), True),
    "another number of restarts is not written",
    (replace(BEFORE, job=ObservedJob(id="a", state="RUNNING", observed_time=NOW, restarts=3)), False),
    "a later time of observation is not written",
    (replace(BEFORE, job=ObservedJob(id="a", state="RUNNING", observed_time=NOW + timedelta(seconds=9))), False),
    "another state of the job is written",
    (replace(BEFORE, job=ObservedJob(id="a", state="FAILED", observed_time=NOW)), True),
    "a job that is gone is written",
    (replace(BEFORE, job=None), True),
    "another checkpoint is not written",
    (replace(BEFORE, last_checkpoint=None), False),
)
def test_ticks_alone_are_not_written(after: FlinkJobStatus, written: bool) -> None:
    assert settled(BEFORE, after, may_tick=False) is (after if written else BEFORE)


def test_the_first_checkpoint_of_a_run_is_no_tick() -> None:
    none = replace(BEFORE, last_checkpoint=None)
    assert settled(none, BEFORE, may_tick=False) is BEFORE
    other = replace(BEFORE, last_checkpoint=replace(FIRST, location="file:/c/next/chk-1"))
    assert settled(BEFORE, other, may_tick=False) is other


def _asked(seconds: float) -> FlinkJobStatus:
    return replace(BEFORE, last_checkpoint=replace(FIRST, observed_time=NOW + timedelta(seconds=seconds)))


@table(
    ("after", "is_tick"),
    "nothing else is no tick",
    (BEFORE, False),
    "a newer checkpoint is a tick",
    (_later(10), True),
    "the same that was asked for again is none",
    (_asked(SAME_SECONDS - 1), False),
    "the same that was asked for long ago is one",
    (_asked(SAME_SECONDS), True),
    "none is no tick",
    (replace(BEFORE, last_checkpoint=None), False),
)
def test_what_ticks_is_written_in_turn(after: FlinkJobStatus, is_tick: bool) -> None:
    assert ticked(BEFORE, after) == is_tick
    assert settled(BEFORE, after, may_tick=True) is (after if is_tick else BEFORE)
    assert settled(BEFORE, after, may_tick=False) is BEFORE


def test_what_ticks_is_worth_a_turn_minutes_after_it_was_written() -> None:
    live = replace(BEFORE, submission=run())
    assert tick_after(live, NOW) == TICK_SECONDS
    assert tick_after(live, NOW + timedelta(seconds=100)) == TICK_SECONDS - 100
    assert tick_after(live, NOW + timedelta(seconds=1000)) == 0
    assert tick_after(replace(live, last_checkpoint=replace(FIRST, observed_time=None)), NOW) == 0
    assert tick_after(replace(live, last_checkpoint=None), NOW) is None
    assert tick_after(BEFORE, NOW) is None


def test_what_is_equal_when_written_is_not_written() -> None:
    finer = replace(BEFORE, last_checkpoint=replace(FIRST, time=NOW + timedelta(milliseconds=300)))
    assert settled(BEFORE, finer, may_tick=True) is BEFORE


def test_a_job_that_goes_down_and_comes_up_again_and_again_is_no_news_while_it_does() -> None:
    failing = replace(BEFORE, submission=Submission(job_id="a"), last_failure=FailureInfo(time=NOW, job_id="a"))
    down = replace(failing, job=ObservedJob(id="a", state="RESTARTING", observed_time=NOW, tasks_running=0))
    assert settled(failing, down, may_tick=True) is failing
    for other in (
        replace(down, last_failure=FailureInfo(time=NOW, job_id="a", recovered_time=NOW)),
        replace(down, last_failure=FailureInfo(time=NOW, job_id="earlier")),
        replace(down, phase=Phase.FAILED),
    ):
        assert settled(failing, other, may_tick=False) is other


JUST = unseen(intent_time=NOW, attempts=0)
INTENDED = FlinkJobStatus(
    phase=Phase.SUBMITTING,
    submission=JUST,
    plan=Plan(step="Submit", reason="Submitting", since=NOW, message="starting job a"),
    conditions=(Condition(type="Ready", status=ConditionStatus.FALSE, reason="Submitting", message="starting job a"),),
)
ASKED = replace(INTENDED, plan=replace(INTENDED.plan or Plan(), message="the run call was sent"))
COMING = replace(
    ASKED,
    submission=replace(JUST, seen=True),
    job=ObservedJob(id="a", state="INITIALIZING", observed_time=NOW),
    conditions=(replace(INTENDED.conditions[0], message="waiting until all tasks are running"),),
)


@table(
    ("after", "left_out"),
    "that the run call is under way",
    (ASKED, True),
    "that the job is there and has begun",
    (COMING, True),
    "that it has a checkpoint already",
    (replace(COMING, last_checkpoint=FIRST), True),
    "that all its tasks run is written",
    (replace(COMING, submission=replace(JUST, seen=True, running=True)), False),
    "that it has failed is written",
    (replace(COMING, job=ObservedJob(id="a", state="FAILED")), False),
    "that its run call was refused is written",
    (replace(ASKED, submission=replace(JUST, rejected=True)), False),
    "that it is on another JobManager is written",
    (replace(COMING, submission=replace(JUST, seen=True, incarnation="jm-2")), False),
    "another phase is written",
    (replace(ASKED, phase=Phase.HELD), False),
    "another reason is written",
    (replace(ASKED, conditions=(replace(INTENDED.conditions[0], reason="SubmitFailed"),)), False),
    "an operation is written",
    (replace(COMING, operation=Operation(kind=OperationKind.STOP)), False),
    "the next generation of the spec is written",
    (replace(COMING, observed_generation=2), False),
)
def test_how_a_run_comes_up_is_not_written_in_its_first_moment(after: FlinkJobStatus, left_out: bool) -> None:
    soon = NOW + timedelta(seconds=0.25)
    assert begins(INTENDED, after, soon) == (BEGINNING_SECONDS - 0.25 if left_out else None)
    assert begins(INTENDED, after, NOW + timedelta(seconds=BEGINNING_SECONDS)) is None


def test_a_repeated_run_call_hides_nothing() -> None:
    repeated = replace(INTENDED, submission=replace(JUST, attempts=1))
    assert begins(repeated, replace(COMING, submission=replace(JUST, attempts=1, seen=True)), NOW) is None
