"""Short builders of savepoints that are to be copied, are being copied or were copied; used by the tests of the core."""

from __future__ import annotations

from typing import Any

from flinkjob.api.codec import FlinkSavepoint, parse_job
from flinkjob.api.enums import SavepointErrorCode, SavepointOrigin, SavepointPhase
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.api.sync import SyncError, SyncStatus
from tests.support.inputs import (
    ago,
    savepoint,
    spec,
)

URI = "s3://backup/jobs"


def wanted(**sync: Any) -> FlinkJobSpec:
    parsed = parse_job({"metadata": {}, "spec": spec(savepoints={"syncTo": {"uri": URI, **sync}})}).spec
    assert parsed is not None
    return parsed


def taken(name: str, age: float, sync: SyncStatus | None = None, **fields: Any) -> FlinkSavepoint:
    """A complete savepoint, taken so many seconds ago."""
    status = FlinkSavepointStatus(
        phase=SavepointPhase.COMPLETED,
        location=f"file:/{name}",
        origin=fields.pop("origin", SavepointOrigin.PERIODIC),
        end_time=ago(age),
        checkpoint_id=fields.pop("number", None),
        sync=sync,
    )
    return savepoint(name, status, **fields)


def copied(number: int, age: float = 1.0) -> SyncStatus:
    return SyncStatus(sequence_number=number, uri=f"{URI}/{number}", start_time=ago(age), end_time=ago(age), bytes=5)


def given_up(age: float = 1.0, code: SavepointErrorCode = SavepointErrorCode.SNAPSHOT_NOT_SELF_CONTAINED) -> SyncStatus:
    return SyncStatus(end_time=ago(age), error=SyncError(error_code=code, message="why", time=ago(age)))


BEGUN = SyncStatus(start_time=ago(3), observed_time=ago(3))
