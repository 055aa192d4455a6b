"""A copy that crawls is given up, one that the operator itself lets wait is not."""

from __future__ import annotations

import pytest

from flinkjob.core.errors import Transient
from flinkjob.snapshots.pace import LEAST_BYTES, STEP_BYTES, WINDOW, LeastPace


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.invariant(12)
@pytest.mark.threat("too-slow", "greedy-copy")
def test_too_little_in_a_window_ends_a_copy() -> None:
    clock = Clock()
    pace = LeastPace(clock)
    for window in range(1, 4):
        clock.now += WINDOW
        pace.note(window * LEAST_BYTES)
    clock.now += WINDOW - 1
    pace.note(3 * LEAST_BYTES)
    clock.now += 1
    with pytest.raises(Transient, match="crawls"):
        pace.note(4 * LEAST_BYTES - 1)


def test_small_files_count_as_requests() -> None:
    clock = Clock()
    pace = LeastPace(clock)
    for _ in range(LEAST_BYTES // STEP_BYTES):
        pace.step()
    clock.now += WINDOW
    pace.note(0)


def test_time_in_which_the_operator_lets_it_wait_does_not_count() -> None:
    clock = Clock()
    pace = LeastPace(clock)
    with pace.paused():
        clock.now += 10 * WINDOW
    pace.note(0)
    clock.now += WINDOW
    with pytest.raises(Transient, match="crawls"):
        pace.note(0)
