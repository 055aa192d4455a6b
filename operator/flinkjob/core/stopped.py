"""What follows when a stop has ended: the run's end, the hold or the record of its savepoint, the word to who asked for it.

Called where the end is seen (`operation`) and where it is found out later (`lost`). Invariant: a job that a FlinkSavepoint
stopped is held down, however its end came to be known.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from flinkjob.api.flinkjob_status import Hold, Operation
from flinkjob.api.words import HoldReason, OperationKind, RunResult, SnapshotKind
from flinkjob.core.cause import ORIGINS, SAVEPOINT_PREFIX, Cause
from flinkjob.core.draft import Draft
from flinkjob.core.model import OperationOutcome
from flinkjob.core.reasons import Reason


def stopped(
    draft: Draft, operation: Operation, location: str, *, time: datetime | None = None, taken: datetime | None = None
) -> None:
    """Latch that the job was stopped by this operation, with its savepoint at `location`."""
    result = RunResult.DRAINED if operation.drain else RunResult.STOPPED
    by = operation.by or ""
    draft.end_run(result, snapshot=location, kind=SnapshotKind.SAVEPOINT, time=time, taken=taken)
    report(draft, operation, location, "")
    if by.startswith(SAVEPOINT_PREFIX):
        reason = HoldReason.CANCELLED if operation.kind is OperationKind.SAVEPOINT_AND_CANCEL else HoldReason.STOPPED
        draft.status = replace(
            draft.status,
            hold=Hold(
                reason=reason,
                by=by.removeprefix(SAVEPOINT_PREFIX),
                since=draft.now,
                run_digest=operation.run_digest,
                location=location,
            ),
        )
    else:
        draft.record_savepoint(operation, location, ORIGINS[by])
        if by in (Cause.SUSPEND, Cause.DRAIN):
            now = Reason.Drained if operation.drain else Reason.Suspended
            draft.event(now, f"run {operation.submission} was stopped with {location}")


def report(draft: Draft, operation: Operation, location: str | None, message: str, *, permanent: bool = False) -> None:
    """Tell the FlinkSavepoint that asked for the operation, if one did, how it ended."""
    draft.outcome = OperationOutcome(by=operation.by or "", location=location, message=message, permanent=permanent)
