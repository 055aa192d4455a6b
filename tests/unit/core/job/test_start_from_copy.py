"""Starting from a copy in an object store: which, when, and what is said where there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.api.sync import RestoredCopy
from flinkjob.core.actions import RunJob
from flinkjob.core.facts import Copy, Fact
from flinkjob.core.model import JobDecision
from flinkjob.core.seen import ArtifactPhase, ArtifactSeen, CopyFound, CopySearch
from tests.support.inputs import IDENTITY, World, acts, conditions, decide, job, present, run, seen, spec, told

MINE = RestoredCopy(sequence_number=7, identity=IDENTITY, namespace="shop", job="clicks")
PLACE = "s3://backup/shop/clicks/0000000000000000007-42"
FOUND = CopyFound(phase=CopySearch.FOUND, location=PLACE, copy=MINE)
NONE = CopyFound(phase=CopySearch.NONE, message="s3://backup: there is not a complete copy of shop/clicks")
WORKING = CopyFound(phase=CopySearch.WORKING)


def wanted(**more: Any) -> dict[str, Any]:
    return spec(initialState={"strategy": "Custom", "copies": [{"uri": "s3://backup"}], **more})


def first(copy: CopyFound, status: FlinkJobStatus | None = None, **fields: Any) -> JobDecision:
    return decide(job(wanted(), status, held=False), seen(copy=copy, **fields))


def sent(decision: JobDecision) -> RunJob:
    return next(action for action in decision.actions if isinstance(action, RunJob))


def test_the_copy_is_what_the_run_starts_from() -> None:
    decision = first(FOUND)
    submission = decision.status.submission
    assert submission is not None
    assert submission.restored_from == sent(decision).request.savepoint_path == PLACE
    assert submission.restored_copy == MINE
    assert submission.claim is False
    assert "SourceMayStillRun" not in told(decision)
    assert "SourceMayStillRun" not in {condition.type for condition in decision.status.conditions}


def test_a_copy_of_another_operator_is_warned_of() -> None:
    decision = first(replace(FOUND, copy=replace(MINE, identity="east"), message="s3://first: denied"))
    assert told(decision).count("SourceMayStillRun") == 1
    warning = next(found for found in decision.status.conditions if found.type == "SourceMayStillRun")
    assert (warning.status, warning.reason) == ("True", "SourceMayStillRun")
    assert "operator east" in warning.message
    assert decision.status.submission is not None
    assert "s3://first: denied" in (decision.status.submission.restored_why or "")


@pytest.mark.copying("newest-at-submission")
def test_the_artifact_is_brought_first_so_that_the_newest_copy_counts() -> None:
    asked: list[Fact[Any]] = []
    working = ArtifactSeen(phase=ArtifactPhase.WORKING)
    decide(job(wanted(), held=False), seen(copy=FOUND, artifact=working), asked)
    assert Copy not in map(type, asked)


def test_without_one_it_stalls_and_looks_again() -> None:
    decision = first(NONE)
    assert acts(decision) == []
    assert conditions(decision) == "Stalled, unhealthy"
    assert decision.status.submission is None
    assert decision.requeue_after is not None
    assert decision.requeue_after <= 30


def test_looking_again_writes_nothing() -> None:
    stalled = first(NONE).status
    assert first(WORKING, stalled).status == stalled
    assert first(NONE, stalled).status == stalled


def test_the_first_search_is_no_trouble() -> None:
    decision = first(WORKING)
    assert conditions(decision) == "Reconciling, health unknown"
    assert decision.status.plan is not None
    assert decision.status.plan.reason == "LookingForCopy"


def redeployed(copy: CopyFound) -> JobDecision:
    observation: World = seen(present(), copy=copy)
    return decide(job(wanted(nonce=1), FlinkJobStatus(submission=run())), observation)


def test_a_redeployment_looks_before_it_touches_the_job() -> None:
    assert acts(redeployed(NONE)) == []
    assert conditions(redeployed(NONE)) == "Stalled, healthy"
    assert acts(redeployed(WORKING)) == []
    assert acts(redeployed(FOUND)) == ["CancelJob"]


def test_a_later_run_does_not_look_for_copies() -> None:
    asked: list[Fact[Any]] = []
    decide(job(wanted(), FlinkJobStatus(submission=run())), seen(present()), asked)
    assert Copy not in map(type, asked)
