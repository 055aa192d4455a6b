"""`savepoints.syncTo` of a FlinkJob: what its status says of the copies, and what is copied by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flinkjob.api.codec import FlinkSavepoint
from flinkjob.api.enums import SavepointErrorCode
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.api.sync import SyncError
from flinkjob.core.actions import RecordSavepoint
from flinkjob.core.flinkmodel import FlinkJobState, TriggerState
from flinkjob.core.model import JobDecision
from tests.support.copies import BEGUN, URI, copied, taken
from tests.support.inputs import (
    ago,
    conditions,
    decide,
    deleted,
    job,
    operation,
    present,
    run,
    seen,
    spec,
    triggered,
)
from tests.support.tables import table


def looked(*savepoints: FlinkSavepoint, status: FlinkJobStatus | None = None, **sync: Any) -> JobDecision:
    body = spec(savepoints={"syncTo": {"uri": URI, **sync}})
    return decide(job(body, status or FlinkJobStatus(submission=run())), seen(present()), savepoints=savepoints)


def synced(decision: JobDecision) -> tuple[str, str]:
    found = next(condition for condition in decision.status.conditions if condition.type == "Synced")
    return found.status, found.reason


def test_the_status_names_the_newest_copy_and_the_one_in_progress() -> None:
    decision = looked(taken("a", 30, copied(1, 20)), taken("b", 20, copied(2, 10)), taken("c", 5, BEGUN))
    sync = decision.status.sync
    assert sync is not None
    assert sync.last_success is not None
    assert (sync.last_success.name, sync.last_success.sequence_number) == ("b", 2)
    assert sync.in_progress is not None
    assert sync.in_progress.name == "c"
    assert sync.last_failure is None
    assert synced(decision) == ("True", "Synced")
    assert conditions(decision) == "Ready, healthy, synced"


def test_a_failure_is_shown_until_a_later_copy() -> None:
    failing = replace(BEGUN, error=SyncError(error_code=SavepointErrorCode.STORE_ERROR, message="503", time=ago(2)))
    decision = looked(taken("a", 30, copied(1, 20)), taken("b", 20, failing))
    sync = decision.status.sync
    assert sync is not None
    assert sync.last_failure is not None
    assert (sync.last_failure.name, sync.last_failure.error_code) == ("b", SavepointErrorCode.STORE_ERROR)
    assert sync.last_success is not None
    assert synced(decision) == ("False", "StoreError")
    later = looked(taken("a", 30, copied(1, 20)), taken("b", 20, copied(2, 1)), status=decision.status)
    assert later.status.sync is not None
    assert later.status.sync.last_failure is None
    assert synced(later) == ("True", "Synced")


def test_a_failure_that_repeats_changes_nothing() -> None:
    def failing(age: float) -> FlinkSavepoint:
        error = SyncError(error_code=SavepointErrorCode.STORE_ERROR, message="503", time=ago(age))
        return taken("a", 30, replace(BEGUN, error=error, failures=int(90 - age)))

    first = looked(failing(60))
    assert looked(failing(1), status=first.status).status.sync == first.status.sync


def test_the_last_copy_is_remembered_when_its_object_is_gone() -> None:
    before = looked(taken("a", 30, copied(4, 20)))
    assert looked(status=before.status).status.sync == before.status.sync


def test_nothing_yet_and_nothing_any_more() -> None:
    assert synced(looked()) == ("Unknown", "Pending")
    assert looked().status.sync is None
    before = looked(taken("a", 30, copied(1)))
    after = decide(job(spec(), before.status), seen(present()))
    assert after.status.sync is None
    assert "Synced" not in {condition.type for condition in after.status.conditions}


@table(
    ("origins", "is_copied"),
    "where all are copied",
    (None, True),
    "where those of deletions are copied",
    (["Deletion"], True),
    "not where only periodic ones are copied",
    (["Periodic"], False),
)
def test_the_savepoint_of_a_deletion_is_copied_by_itself(origins: list[str] | None, is_copied: bool) -> None:
    sync = {"uri": URI, "retention": {"minCount": 2, "minAge": "1h"}} | ({"origins": origins} if origins else {})
    status = FlinkJobStatus(submission=run(), operation=operation(by="Deletion"))
    stopped = triggered(TriggerState.COMPLETED, "file:/last")
    decision = decide(
        job(spec(savepoints={"syncTo": sync}), status, **deleted()),
        seen(present(FlinkJobState.FINISHED), trigger=stopped),
    )
    (record,) = (action for action in decision.actions if isinstance(action, RecordSavepoint))
    assert (record.sync_to is not None) is is_copied
