"""A FlinkSavepoint is deleted: with its data, unless they are in use, and in any case by its deadline."""

from dataclasses import replace
from typing import Any

import pytest

from flinkjob.api.enums import RunResult, SavepointErrorCode, SavepointPhase
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus, SavepointError
from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.flinkmodel import CheckpointKind, FlinkJobState, TriggerState, normalise_location
from flinkjob.core.identity import attempt_directory, trigger_id
from flinkjob.core.seen import DisposalPhase, DisposalSeen, JobSeen, Presence
from tests.support.inputs import (
    NAMESPACE,
    RUNNING,
    SAVEPOINTS,
    acts,
    ago,
    chk,
    decide_sp,
    ended,
    flink_id,
    present,
    run,
    savepoint,
    seen,
    stats,
    told,
    triggered,
)
from tests.support.tables import table

HELD: dict[str, Any] = {"finalizers": ["flinkjob.dev/job-cleanup"]}


def _where(attempt: int = 1) -> str:
    return attempt_directory(
        SAVEPOINTS, namespace=NAMESPACE, name="sp", uid="u-sp", submission=1, kind="savepoint", attempt=attempt
    )


MADE = f"{_where()}/savepoint-911e-1"
WRITING = FlinkSavepointStatus(
    phase=SavepointPhase.IN_PROGRESS,
    trigger_id=trigger_id("u-sp", 1, "Savepoint", 1),
    directory=_where(),
    attempt=1,
    job_id=flink_id(),
    submission=1,
    start_time=ago(30),
    cluster_url="http://flink.example:8081",
)


COMPLETE = replace(WRITING, phase=SavepointPhase.COMPLETED, location=MADE, end_time=ago(3600), checkpoint_id=5)
DELETE: dict[str, Any] = {"deletion": {"policy": "Delete"}}


def _deleted(seconds: float = 1.0) -> dict[str, Any]:
    return HELD | {"deletionTimestamp": ago(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")}


def _disposal(phase: DisposalPhase) -> Any:
    return seen(present(), disposal=DisposalSeen(phase=phase, message="no"), checkpoints=stats(chk(9)))


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


@table(
    "place",
    "spelled as it is",
    MADE,
    "spelled with fewer slashes",
    MADE.replace("file:///", "file:/"),
    "spelled with its metadata",
    f"{MADE}/_metadata",
)
def test_a_snapshot_in_use_is_kept_until_the_deadline_and_then_for_good(place: str) -> None:

    used = frozenset({normalise_location(place)})
    done = replace(_disposal(DisposalPhase.DONE), in_use=used)
    waiting = decide_sp(savepoint(status=COMPLETE, meta=_deleted(), **DELETE), RUNNING, done)
    assert (acts(waiting), waiting.status.deleting) == ([], False)
    late = decide_sp(savepoint(status=COMPLETE, meta=_deleted(301), **DELETE), RUNNING, done)
    assert acts(late) == ["RemoveFinalizer"]
    assert told(late) == ["SnapshotKept"]


@pytest.mark.parametrize(("ahead", "actions"), [(30.0, []), (86400.0, ["RemoveFinalizer"])])
def test_its_deadline_passes_though_the_clock_was_ahead_when_it_was_deleted(ahead: float, actions: list[str]) -> None:
    about = savepoint(status=replace(COMPLETE, deleting=True), meta=_deleted(-ahead), **DELETE)
    assert acts(decide_sp(about, RUNNING, _disposal(DisposalPhase.FAILED))) == actions


@pytest.mark.parametrize("phase", [DisposalPhase.WORKING, DisposalPhase.FAILED])
def test_the_object_goes_at_its_deadline(phase: DisposalPhase) -> None:
    about = savepoint(status=replace(COMPLETE, deleting=True), meta=_deleted(301), **DELETE)
    decision = decide_sp(about, RUNNING, _disposal(phase))
    assert acts(decision) == ["RemoveFinalizer"]
    assert told(decision) == ["SnapshotKept"]


def test_without_data_or_with_data_to_retain_it_goes_at_once() -> None:
    pending = FlinkSavepointStatus(phase=SavepointPhase.PENDING)
    failed = replace(WRITING, phase=SavepointPhase.FAILED)
    for status, fields in ((pending, DELETE), (failed, DELETE), (COMPLETE, {}), (WRITING, {})):
        decision = decide_sp(savepoint(status=status, meta=_deleted(), **fields), RUNNING)
        assert acts(decision) == ["RemoveFinalizer"]
    free = savepoint(status=COMPLETE, meta={"deletionTimestamp": "2026-01-01T11:00:00Z"}, **DELETE)
    assert acts(decide_sp(free, RUNNING)) == []


# in progress


@table(
    ("state", "actions", "events", "location"),
    "while it is in progress",
    (TriggerState.IN_PROGRESS, [], [], None),
    "until it completes",
    (TriggerState.COMPLETED, [], ["SavepointCompleted"], MADE),
    "until it fails",
    (TriggerState.FAILED, [], ["SavepointFailed"], None),
    "until it is forgotten",
    (TriggerState.FORGOTTEN, [], ["SavepointFailed"], None),
)
def test_one_in_progress_is_waited_for(
    state: TriggerState, actions: list[str], events: list[str], location: str | None
) -> None:
    """Its data would appear when nobody looks after them any more; it is never sent again meanwhile."""
    result = triggered(state, MADE if state is TriggerState.COMPLETED else None, failure="declined")
    decision = decide_sp(savepoint(status=WRITING, meta=_deleted(), **DELETE), RUNNING, seen(present(), trigger=result))
    assert (acts(decision), told(decision), decision.status.location) == (actions, events, location)
    assert decision.result_mark is None
    late = decide_sp(savepoint(status=WRITING, meta=_deleted(301), **DELETE), RUNNING, seen(present(), trigger=result))
    assert (acts(late), told(late)) == (["RemoveFinalizer"], ["SnapshotKept"])


TIMED_OUT = replace(
    WRITING, phase=SavepointPhase.FAILED, end_time=ago(20), error=SavepointError(error_code=SavepointErrorCode.TIMEOUT)
)


def test_one_that_may_come_after_its_timeout_is_waited_for() -> None:
    """Until the deadline, unless Flink says that it failed."""
    about = savepoint(status=TIMED_OUT, meta=_deleted(), **DELETE)
    assert acts(decide_sp(about, RUNNING, seen(present(), trigger=triggered(TriggerState.IN_PROGRESS)))) == []
    came = decide_sp(about, RUNNING, seen(present(), trigger=triggered(TriggerState.COMPLETED, MADE)))
    assert (acts(came), came.status.location) == ([], MADE)
    failed = decide_sp(about, RUNNING, seen(present(), trigger=triggered(TriggerState.FAILED, failure="declined")))
    assert (acts(failed), told(failed)) == (["RemoveFinalizer"], [])


# the newest state of a job that runs

NEWER = replace(COMPLETE, location="file:/other", checkpoint_id=6)


@pytest.mark.invariant(7)
@table(
    ("status", "known", "history", "other", "disposed"),
    "nothing newer: it stays",
    (RUNNING, present(), (), None, False),
    "an older checkpoint: it stays",
    (RUNNING, present(), (chk(4),), None, False),
    "a newer checkpoint: it goes",
    (RUNNING, present(), (chk(6),), None, True),
    "a newer checkpoint that is discarded: it stays",
    (RUNNING, present(), (replace(chk(6), discarded=True),), None, False),
    "a newer savepoint of somebody else: it stays",
    (RUNNING, present(), (chk(6, CheckpointKind.SAVEPOINT, "file:/theirs"),), None, False),
    "a newer FlinkSavepoint: it goes",
    (RUNNING, present(), (), NEWER, True),
    "an older FlinkSavepoint: it stays",
    (RUNNING, present(), (), replace(NEWER, checkpoint_id=4), False),
    "a newer FlinkSavepoint that is being deleted: it stays",
    (RUNNING, present(), (), replace(NEWER, deleting=True), False),
    "a newer checkpoint of a job that nothing is known of: it stays",
    (RUNNING, JobSeen(presence=Presence.UNKNOWN), (chk(6),), None, False),
    "a later run: it goes",
    (FlinkJobStatus(submission=run(2, job_id=flink_id(2))), present(number=2), (), None, True),
    "a newer checkpoint of a job that is failing: it goes",
    (RUNNING, present(FlinkJobState.FAILING), (chk(6),), None, True),
)
def test_what_a_lost_job_would_start_from_stays(
    status: FlinkJobStatus, known: JobSeen, history: tuple[Any, ...], other: FlinkSavepointStatus | None, disposed: bool
) -> None:
    about = savepoint(status=replace(COMPLETE, deleting=True), meta=_deleted(), **DELETE)
    others = (savepoint("other", status=other),) if other is not None else ()
    done = seen(known, disposal=DisposalSeen(phase=DisposalPhase.DONE), checkpoints=stats(*history))
    decision = decide_sp(about, status, done, others=others)
    assert acts(decision) == (["RemoveFinalizer"] if disposed else [])


def test_an_ended_job_needs_only_what_its_status_names() -> None:
    over = FlinkJobStatus(submission=ended(RunResult.STOPPED, "file:/later"))
    about = savepoint(status=replace(COMPLETE, deleting=True), meta=_deleted(), **DELETE)
    done = seen(JobSeen(), disposal=DisposalSeen(phase=DisposalPhase.DONE))
    assert acts(decide_sp(about, over, done)) == ["RemoveFinalizer"]


OTHERS = MADE.replace(f"/{NAMESPACE}/", "/another-team/")


@pytest.mark.parametrize(
    "place",
    [
        OTHERS,
        OTHERS.replace("file:/", "file:/proc/self/root/"),
        OTHERS.replace("file:///", "file:/x/../"),
        f"{MADE}/../../../../../../{OTHERS.partition('file:///')[2]}",
        "file:/elsewhere/savepoint-1-2",
        f"file:/{NAMESPACE}/name/uid/not-an-attempt/savepoint-1-2",
        f"file:/{NAMESPACE}/savepoint-1-2",
        "s3://bucket",
    ],
)
@pytest.mark.parametrize("mode", ["Existing", "Trigger"])
@pytest.mark.threat("foreign-data")
def test_what_the_operator_did_not_take_for_this_namespace_is_kept(place: str, mode: str) -> None:
    """Whoever wrote the place into the spec, a mark or the status, and however it is spelled."""
    wanted = {"mode": mode} | ({"location": place} if mode == "Existing" else {})
    about = savepoint(status=replace(COMPLETE, location=place), meta=_deleted(), **wanted, **DELETE)
    decision = decide_sp(about, FlinkJobStatus(), _disposal(DisposalPhase.DONE))
    assert (acts(decision), told(decision)) == (["RemoveFinalizer"], ["SnapshotKept"])


def test_where_an_administrator_allows_it_what_was_registered_is_deleted() -> None:
    place = "file:/elsewhere/savepoint-1-2"
    status = replace(COMPLETE, location=place, deleting=True)
    about = savepoint(status=status, meta=_deleted(), mode="Existing", location=place, **DELETE)
    over, done = FlinkJobStatus(), seen(JobSeen(), disposal=DisposalSeen(phase=DisposalPhase.DONE))
    grants = StoreGrants.of([f"{NAMESPACE}=file:///elsewhere"])
    assert told(decide_sp(about, over, done, grants=grants)) == ["SnapshotDeleted"]
    others = StoreGrants.of(["another-team=file:///elsewhere", f"{NAMESPACE}=file:///elsewhere/savepoint-1"])
    assert told(decide_sp(about, over, done, grants=others)) == ["SnapshotKept"]


def test_a_checkpoint_that_was_registered_is_never_disposed_of() -> None:
    status = replace(COMPLETE, location=chk(5).external_path)
    found = savepoint(status=status, meta=_deleted(), mode="Existing", **DELETE)
    decision = decide_sp(found, RUNNING, _disposal(DisposalPhase.DONE))
    assert (acts(decision), told(decision)) == (["RemoveFinalizer"], ["SnapshotKept"])
