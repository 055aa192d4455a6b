"""Killing the operator around any of its effects, then starting it again: one job, nothing lost, nothing twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flinkjob.runtime.faults import Effect, Faults
from tests.crash.player import Case
from tests.crash.stories import ELSEWHERE, STORIES

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
    reached = {case.point.partition("#")[0] for case in CASES}
    elsewhere = {f"{moment}:{effect}" for effect in ELSEWHERE for moment in ("before", "after")}
    assert reached | elsewhere == set(Faults.points())


def test_every_effect_is_one_of_a_story_or_explained() -> None:
    told = {effect for story in STORIES.values() for effect in story.effects}
    assert told.isdisjoint(ELSEWHERE)
    assert told | set(ELSEWHERE) == set(Effect)
