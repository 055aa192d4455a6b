"""Killing the operator around any of its effects, then starting it again: one job, nothing lost, nothing twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

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


def cover(cases: Sequence[Case]) -> set[Case]:
    """One case for each fault point, from as many stories as can be; those with the fewest choices choose first."""
    choices = defaultdict[str, list[Case]](list)
    for case in cases:
        choices[case.place].append(case)
    used = Counter[str]()
    chosen = set()
    for place in sorted(choices, key=lambda place: (len(choices[place]), place)):
        case = min(choices[place], key=lambda case: used[case.story])
        used[case.story] += 1
        chosen.add(case)
    return chosen


COVER = cover(CASES)
EVERYTHING = pytest.mark.everything("crash cases: other stories at fault points that one story dies at already")


@pytest.mark.behaviour(4, 5, 6, 54, 66, 75)
@pytest.mark.invariant(1, 3)
@pytest.mark.copying("cut-off", "every-savepoint", "killed-while-starting")
@pytest.mark.fault("operator-killed", "store-writer-killed")
@pytest.mark.kube
@pytest.mark.flink
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=() if case in COVER else EVERYTHING) for case in CASES],
)
def test_killed_and_started_again(case: Case, outcomes: Callable[[Case], None]) -> None:
    outcomes(case)


@pytest.mark.fault("operator-killed")
def test_no_fault_point_is_forgotten() -> None:
    assert {case.place for case in COVER} == set(Faults.points())


def test_no_story_is_left_to_chance() -> None:
    assert {case.story for case in COVER} == set(STORIES)
