"""Killing the operator around any of its effects, then starting it again: one job, nothing lost, nothing twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flinkjob.runtime.faults import Faults
from tests.crash.player import Case
from tests.crash.stories import STORIES

CASES = [
    Case(name, f"{moment}:{effect}#{count}" if count > 1 else f"{moment}:{effect}")
    for name, story in STORIES.items()
    for effect, times in story.effects.items()
    for count in range(1, times + 1)
    for moment in ("before", "after")
]


@pytest.mark.kube
@pytest.mark.flink
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_killed_and_started_again(case: Case, outcomes: Callable[[Case], None]) -> None:
    outcomes(case)


def test_no_fault_point_is_forgotten() -> None:
    assert {case.point.partition("#")[0] for case in CASES} == set(Faults.points())
