"""Whose a Flink job is: what refuses it, what allows it, and what is stronger."""

from __future__ import annotations

import pytest

from flinkjob.core.identity import Mark, Owner, earlier_job_id, job_id
from flinkjob.core.ownership import Evidence, is_orphaned, refusal
from tests.support.tables import table

MINE = Owner("default", "shop", "clicks")
BESIDE = Owner("default", "shop", "orders")
THEIRS = Owner("default", "bank", "clicks")
ELSEWHERE = Owner("other", "shop", "clicks")
NOBODY = "e" * 32
"""An id that Flink chose."""


def _id(owner: Owner) -> str:
    return job_id(owner, "u", 1)


def _mark(owner: Owner) -> Mark:
    return Mark(str(owner), "u", 1, "")


@table(
    ("name", "mark", "claims", "flinkjob", "savepoint"),
    "its own, without a mark: a FlinkSavepoint cannot know it while there is no FlinkJob",
    (_id(MINE), None, (), True, False),
    "its own, without a mark, and the FlinkJob is there",
    (_id(MINE), None, ("shop/clicks",), True, True),
    "its own, with the mark",
    (_id(MINE), _mark(MINE), (), True, True),
    "its own, by an id of an earlier version, while the FlinkJob is there",
    (earlier_job_id(MINE, "u", 1), None, ("shop/clicks",), True, True),
    "the same with the mark",
    (earlier_job_id(MINE, "u", 1), _mark(MINE), (), True, True),
    "of a FlinkJob beside it",
    (_id(BESIDE), _mark(BESIDE), ("shop/orders",), False, True),
    "of one that is gone",
    (_id(BESIDE), _mark(BESIDE), (), False, True),
    "of another namespace",
    (_id(THEIRS), _mark(THEIRS), ("bank/clicks",), False, False),
    "of another namespace, and the mark is gone",
    (_id(THEIRS), None, ("bank/clicks",), False, False),
    "of another namespace, mark and FlinkJob are gone",
    (_id(THEIRS), None, (), False, False),
    "of another namespace, with a mark of this one",
    (_id(THEIRS), _mark(MINE), (), False, False),
    "of this name under another operator",
    (_id(ELSEWHERE), _mark(ELSEWHERE), (), False, False),
    "the same without a mark, while a FlinkJob has its name",
    (_id(ELSEWHERE), None, ("shop/clicks",), False, False),
    "nobody's, with a mark of this FlinkJob",
    (NOBODY, _mark(MINE), (), True, True),
    "nobody's, with a mark of another",
    (NOBODY, _mark(THEIRS), (), False, False),
    "nobody's, but taken over by another namespace",
    (NOBODY, None, ("bank/clicks",), False, False),
)
@pytest.mark.threat("foreign-job")
@pytest.mark.parametrize("unmarked", [False, True])
def test_who_may_act(
    name: str, mark: Mark | None, claims: tuple[str, ...], flinkjob: bool, savepoint: bool, unmarked: bool
) -> None:
    """The setting for jobs of nobody opens no job of somebody."""
    evidence = Evidence(mark=mark, claims=claims, unmarked=unmarked)
    assert (refusal(name, MINE, evidence) == "") == flinkjob
    anyone = Owner("default", "shop", "")
    assert (refusal(name, anyone, evidence, any_name=True) == "") == savepoint


@pytest.mark.parametrize("unmarked", [False, True])
def test_a_job_of_nobody_may_be_acted_on_where_that_is_allowed(unmarked: bool) -> None:
    why = refusal(NOBODY, MINE, Evidence(mark=None, unmarked=unmarked))
    assert ("allow-unmarked-jobs" in why) == (not unmarked)
    assert (why == "") == unmarked


@table(
    ("job_id", "mark", "there", "orphaned"),
    "its FlinkJob exists",
    (_id(MINE), _mark(MINE), (MINE,), False),
    "its FlinkJob does not exist",
    (_id(MINE), _mark(MINE), (BESIDE,), True),
    "without a mark, and the FlinkJob that its id shows exists",
    (_id(MINE), None, (MINE,), False),
    "without a mark, and the FlinkJob that its id shows does not exist",
    (_id(MINE), None, (BESIDE,), True),
    "another operator's",
    (_id(ELSEWHERE), _mark(ELSEWHERE), (), False),
    "another operator's, without a mark",
    (_id(ELSEWHERE), None, (), False),
    "started by no operator",
    (NOBODY, None, (), False),
    "the mark counts, and not the id",
    (_id(MINE), _mark(BESIDE), (MINE,), True),
)
def test_a_job_is_orphaned(job_id: str, mark: Mark | None, there: tuple[Owner, ...], orphaned: bool) -> None:
    shown = any(owner.owns(job_id) for owner in there)
    assert is_orphaned("default", job_id, mark, exists=there.__contains__, shown=shown) is orphaned
