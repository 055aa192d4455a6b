"""A FlinkSavepoint is deleted: with its data, unless they are in use, and in any case by its deadline."""

from dataclasses import replace
from typing import Any

import pytest

from flinkjob.api.common import SavepointPhase
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.core.flinkmodel import normalise_location
from flinkjob.core.identity import attempt_directory, trigger_id
from flinkjob.core.model import DisposalPhase, DisposalSeen
from tests.support.inputs import (
    NAMESPACE,
    SAVEPOINTS,
    acts,
    ago,
    decide_sp,
    flink_id,
    present,
    run,
    savepoint,
    seen,
    told,
)

P = SavepointPhase
RUNNING = FlinkJobStatus(submission=run())
HELD: dict[str, Any] = {"finalizers": ["flinkjob.dev/job-cleanup"]}


def _where(attempt: int = 1) -> str:
    return attempt_directory(
        SAVEPOINTS, namespace=NAMESPACE, name="sp", uid="u-sp", submission=1, kind="savepoint", attempt=attempt
    )


MADE = f"{_where()}/savepoint-911e-1"
WRITING = FlinkSavepointStatus(
    phase=P.IN_PROGRESS,
    trigger_id=trigger_id("u-sp", 1, "Savepoint", 1),
    directory=_where(),
    attempt=1,
    job_id=flink_id(),
    submission=1,
    start_time=ago(30),
    cluster_url="http://flink:8081",
)


COMPLETE = replace(WRITING, phase=P.COMPLETED, location=MADE, end_time=ago(3600))
DELETE: dict[str, Any] = {"deletion": {"policy": "Delete"}}


def _deleted(seconds: float = 1.0) -> dict[str, Any]:
    return HELD | {"deletionTimestamp": ago(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")}


def _disposal(phase: DisposalPhase) -> Any:
    return seen(present(), disposal=DisposalSeen(phase=phase, message="no"))


def test_only_what_is_to_be_deleted_with_its_data_is_held() -> None:
    assert acts(decide_sp(savepoint(**DELETE), FlinkJobStatus())) == ["AddFinalizer"]
    assert acts(decide_sp(savepoint(), FlinkJobStatus())) == []
    assert acts(decide_sp(savepoint(meta=HELD, **DELETE), FlinkJobStatus())) == []


def test_disposal_has_an_intent() -> None:
    first = decide_sp(savepoint(status=COMPLETE, meta=_deleted(), **DELETE), RUNNING, _disposal(DisposalPhase.DONE))
    assert first.status.deleting
    assert acts(first) == []
    then = savepoint(status=first.status, meta=_deleted(), **DELETE)
    assert acts(decide_sp(then, RUNNING, _disposal(DisposalPhase.WORKING))) == []
    assert acts(decide_sp(then, RUNNING, _disposal(DisposalPhase.FAILED))) == []
    assert acts(decide_sp(then, RUNNING, _disposal(DisposalPhase.DONE))) == ["RemoveFinalizer"]


@pytest.mark.parametrize("place", [MADE, MADE.replace("file:///", "file:/"), f"{MADE}/_metadata"])
def test_a_snapshot_in_use_is_kept_until_the_deadline_and_then_for_good(place: str) -> None:

    used = [normalise_location(place)]
    done = _disposal(DisposalPhase.DONE)
    waiting = decide_sp(savepoint(status=COMPLETE, meta=_deleted(), **DELETE), RUNNING, done, in_use=used)
    assert (acts(waiting), waiting.status.deleting) == ([], False)
    late = decide_sp(savepoint(status=COMPLETE, meta=_deleted(301), **DELETE), RUNNING, done, in_use=used)
    assert acts(late) == ["RemoveFinalizer"]
    assert told(late) == ["SnapshotKept"]


@pytest.mark.parametrize("phase", [DisposalPhase.WORKING, DisposalPhase.FAILED])
def test_the_object_goes_at_its_deadline(phase: DisposalPhase) -> None:
    about = savepoint(status=replace(COMPLETE, deleting=True), meta=_deleted(301), **DELETE)
    decision = decide_sp(about, RUNNING, _disposal(phase))
    assert acts(decision) == ["RemoveFinalizer"]
    assert told(decision) == ["SnapshotKept"]


def test_without_data_or_with_data_to_retain_it_goes_at_once() -> None:
    for status, fields in ((WRITING, DELETE), (COMPLETE, {})):
        decision = decide_sp(savepoint(status=status, meta=_deleted(), **fields), RUNNING)
        assert acts(decision) == ["RemoveFinalizer"]
    free = savepoint(status=COMPLETE, meta={"deletionTimestamp": "2026-01-01T11:00:00Z"}, **DELETE)
    assert acts(decide_sp(free, RUNNING)) == []
