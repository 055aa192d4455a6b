"""How busy a job is, from two readings: the busiest vertex counts, and what says nothing is nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinkjob.core.jobload import JobTimes, SourceLag, VertexTimes, shares, together

amounts = st.floats(min_value=0, max_value=1e15)
times = st.builds(VertexTimes, busy=amounts, idle=amounts, backpressured=amounts)
readings = st.builds(JobTimes, vertices=st.dictionaries(st.sampled_from("abc"), times), sources=st.just(()))


def reading(**vertices: tuple[float, float, float]) -> JobTimes:
    return JobTimes({name: VertexTimes(*each) for name, each in vertices.items()}, ())


def test_the_busiest_vertex_and_the_most_held_up_one_count() -> None:
    before = reading(a=(100, 900, 0), b=(500, 500, 0))
    after = reading(a=(200, 1400, 400), b=(1250, 750, 0))
    assert shares(before, after) == (0.75, 0.4)


@pytest.mark.parametrize(
    "after",
    [
        reading(a=(100, 900, 0)),
        reading(a=(50, 950, 0)),
        reading(b=(200, 900, 0)),
        reading(),
    ],
    ids=["no newer numbers", "started again", "another graph", "no numbers"],
)
def test_what_says_nothing_is_nothing(after: JobTimes) -> None:
    assert shares(reading(a=(100, 900, 0)), after) is None


@given(readings, readings)
def test_parts_are_parts(before: JobTimes, after: JobTimes) -> None:
    found = shares(before, after)
    if found is not None:
        assert 0 <= min(found) <= max(found) <= 1


def test_pending_records_add_up_and_the_oldest_events_count() -> None:
    lags = [SourceLag(3, 0.5), SourceLag(None, 2.0), SourceLag(4, None)]
    assert together(lags) == SourceLag(7, 2.0)
    assert together(()) == together([SourceLag()]) == SourceLag()
