"""Which copies are deleted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinkjob.core.copies.retention import ABANDONED, is_left_behind, may_be_left_behind, outdated_copies

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.mark.copying("retention-limits")
@given(
    ages=st.lists(st.integers(0, 100), max_size=12),
    count=st.integers(0, 12),
    age=st.integers(0, 100),
    keep=st.sets(st.integers(1, 12), max_size=3),
)
def test_only_what_exceeds_both_limits_is_outdated(ages: list[int], count: int, age: int, keep: set[int]) -> None:
    copies = [(number + 1, NOW - timedelta(hours=hours)) for number, hours in enumerate(ages)][::-1]
    gone = outdated_copies(copies, now=NOW, min_count=count, min_age=timedelta(hours=age), keep=keep)
    for rank, (number, _) in enumerate(copies):
        old = ages[number - 1] > age
        many = rank >= max(count, 1)
        assert (number in gone) == (old and many and number not in keep)


@pytest.mark.copying("given-up")
@pytest.mark.parametrize(
    ("number", "newest", "keep", "may"),
    [(1, 3, set(), True), (1, 3, {1}, False), (3, 3, set(), False), (4, 3, set(), False), (1, None, set(), False)],
)
def test_what_may_still_become_the_newest_copy_is_not_left_behind(
    number: int, newest: int | None, keep: set[int], may: bool
) -> None:
    copies = [(newest, NOW)] if newest is not None else []
    assert may_be_left_behind(number, copies, keep) == may


def test_what_was_written_long_ago_is_left_behind() -> None:
    assert is_left_behind(NOW - ABANDONED - timedelta(seconds=1), NOW)
    assert not is_left_behind(NOW - ABANDONED, NOW)
    assert not is_left_behind(None, NOW)
