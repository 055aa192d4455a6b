"""Which overviews make the failures of a job worth a read, and when that is due."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flinkjob.core.flinkmodel import FlinkJobState, JobException, JobOverview, TaskCounts
from flinkjob.core.jobfailures import JobFailures
from flinkjob.core.steadiness import (
    CACHE_MARGIN,
    CALM_SECONDS,
    EAGER_READS,
    READ_AGAIN,
    SHORT_SECONDS,
    Steadiness,
    after_overview,
)

REFRESH = 3.0
WELL = JobOverview(job_id="a", name="job", state=FlinkJobState.RUNNING, tasks=TaskCounts(total=1, running=1))
MOVED = replace(WELL, last_modification=7)
SHORT = replace(WELL, tasks=TaskCounts(total=1, running=0))
FAILING = replace(SHORT, state=FlinkJobState.RESTARTING)
SOON = REFRESH + CACHE_MARGIN


def after(*overviews: tuple[float, JobOverview]) -> Steadiness:
    known, before = None, None
    for now, job in overviews:
        known, before = after_overview(known, before, job, now=now, refresh=REFRESH), job
    assert known is not None
    return known


@pytest.mark.parametrize(
    ("overviews", "wanted"),
    [
        ([(0, WELL), (9, WELL)], None),
        ([(0, SHORT), (SHORT_SECONDS - 1, SHORT)], None),
        ([(0, SHORT), (SHORT_SECONDS, SHORT)], SHORT_SECONDS),
        ([(0, SHORT), (1, WELL)], None),
        ([(0, WELL), (5, MOVED)], 5 + SOON),
        ([(0, WELL), (5, SHORT)], 5 + SOON),
        ([(0, FAILING)], SOON),
        ([(0, FAILING), (1, FAILING)], SOON),
    ],
    ids=[
        "one that runs is never asked",
        "one that starts has a moment",
        "one that stays short of tasks",
        "one that has come up",
        "a restart between two overviews",
        "one that has lost a task",
        "one that fails from the first",
        "what is wanted is not put off",
    ],
)
def test_when_failures_are_wanted(overviews: list[tuple[float, JobOverview]], wanted: float | None) -> None:
    assert after(*overviews).wanted == wanted


def test_what_did_not_change_is_the_same_object() -> None:
    known = after((0, WELL))
    assert after_overview(known, WELL, WELL, now=1, refresh=REFRESH) is known


def test_how_long_it_is_well_or_short_counts_from_the_last_change() -> None:
    assert after((0, WELL), (5, WELL)).since == 0
    assert after((0, WELL), (5, MOVED), (9, MOVED)).since == 5
    assert after((0, WELL), (5, SHORT), (9, FAILING)).since == 5


def test_reads_are_eager_at_first_and_again_after_a_calm_time() -> None:
    known = after((0, WELL), (10, SHORT))
    assert known.due(REFRESH) == float("-inf")
    for number in range(1, EAGER_READS + 1):
        known = known.reading(20)
        assert known.due(REFRESH) == 20 + (SOON if number < EAGER_READS else READ_AGAIN)
    well = replace(known, wanted=None, well=True, since=20)
    assert well.due(REFRESH) is None
    assert after_overview(well, WELL, WELL, now=20 + CALM_SECONDS, refresh=REFRESH).reads == 0


def test_a_read_that_began_too_early_is_repeated() -> None:
    known = after((0, WELL), (10, SHORT))
    assert known.after_read(None, 10 + SOON - 0.1).wanted is not None
    assert known.after_read(None, 10 + SOON).wanted is None


def test_what_was_read_stays_when_an_answer_has_nothing() -> None:
    newest = JobException(time=None, name="", root_cause="", stacktrace_head="")
    failures = JobFailures(newest=newest, times=(), restarts=1)
    known = after((0, WELL)).after_read(failures, 1)
    assert known.after_read(None, 2).failures is failures
