"""Values that only tick are written with another change, or when they are minutes old."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from flinkjob.api.enums import Phase
from flinkjob.api.flinkjob_status import CheckpointInfo, FlinkJobStatus, ObservedJob
from flinkjob.core.job.status_noise import TICK_SECONDS, settled
from tests.support.tables import table

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIRST = CheckpointInfo(id=1, location="file:/c/job/chk-1", time=NOW)
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
    "a look a whole tick later is written",
    (_later(TICK_SECONDS), True),
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
    assert settled(BEFORE, after) is (after if written else BEFORE)


def test_the_first_checkpoint_of_a_run_is_no_tick() -> None:
    none = replace(BEFORE, last_checkpoint=None)
    assert settled(none, BEFORE) is BEFORE
    other = replace(BEFORE, last_checkpoint=replace(FIRST, location="file:/c/next/chk-1"))
    assert settled(BEFORE, other) is other


def test_what_is_equal_when_written_is_not_written() -> None:
    finer = replace(BEFORE, last_checkpoint=replace(FIRST, time=NOW + timedelta(milliseconds=300)))
    assert settled(BEFORE, finer) is BEFORE
