"""`savepoints.syncTo` of a FlinkJob: which of its savepoints are to be copied, and what its status says of the copies.

`awaited` is asked by the retention, `note` and `synced` by the job decision. Whose turn it is says `copies.queue`.
Invariants: what waits for its copy stays; one that is older than a copied one is passed over; a FlinkSavepoint with its own
`syncTo` is not meant.
"""

from __future__ import annotations

from dataclasses import replace

from flinkjob.api.codec import FlinkSavepoint
from flinkjob.api.enums import ConditionStatus, SavepointMode, SavepointOrigin
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.reasons import Reason
from flinkjob.api.sync import JobSyncStatus, JobSyncToSpec, SyncFailure, SyncProgress, SyncSuccess, SyncToSpec
from flinkjob.core.job.draft import Draft
from flinkjob.core.job.restore_point import age_of, completed_in_order


def _is_meant(sync: JobSyncToSpec, origin: SavepointOrigin | None) -> bool:
    """Whether savepoints that were taken for this reason are copied."""
    return not sync.origins or (origin or SavepointOrigin.MANUAL) in sync.origins


def awaited(spec: FlinkJobSpec | None, savepoints: tuple[FlinkSavepoint, ...]) -> frozenset[str]:
    """The uids of the FlinkSavepoints that are still to be copied: they stay until then."""
    return uids(to_be_copied(spec, savepoints))


def uids(savepoints: list[FlinkSavepoint]) -> frozenset[str]:
    """Their uids."""
    return frozenset(savepoint.meta.uid for savepoint in savepoints)


def to_be_copied(spec: FlinkJobSpec | None, savepoints: tuple[FlinkSavepoint, ...]) -> list[FlinkSavepoint]:
    """Those that are to be copied or are being copied, oldest first."""
    sync = spec.savepoints.sync_to if spec is not None else None
    waiting: list[FlinkSavepoint] = []
    if sync is None:
        return waiting
    for savepoint in sorted((*_taken(savepoints), *_copied_to(place_of(sync), savepoints)), key=age_of):
        done = savepoint.status.sync
        if done is None or done.end_time is None:
            if _is_meant(sync, savepoint.status.origin):
                waiting.append(savepoint)
        elif done.error is None:
            waiting.clear()  # what is older than a copied one would get a higher number
    return waiting


def _taken(savepoints: tuple[FlinkSavepoint, ...]) -> list[FlinkSavepoint]:
    """The savepoints that were taken of the job and say nothing of copies themselves, oldest first."""
    mine = [
        savepoint
        for savepoint in completed_in_order(savepoints)
        if savepoint.spec is not None
        and savepoint.spec.sync_to is None
        and savepoint.spec.mode is not SavepointMode.EXISTING
        and savepoint.meta.deletion_time is None
    ]
    return sorted(mine, key=age_of)


def _copied_to(place: str, savepoints: tuple[FlinkSavepoint, ...]) -> list[FlinkSavepoint]:
    """Those that their own `syncTo` has brought there, and of which is known when they were taken."""
    found = []
    for savepoint in savepoints:
        spec, status = savepoint.spec, savepoint.status
        if spec is None or spec.sync_to is None or place_of(spec.sync_to) != place:
            continue
        known = spec.mode is not SavepointMode.EXISTING or status.checkpoint_id is not None
        if known and status.sync is not None and status.sync.end_time is not None and status.sync.error is None:
            found.append(savepoint)
    return found


def place_of(sync: SyncToSpec) -> str:
    """What two copies have in common that go to one place."""
    return sync.uri.rstrip("/")


def note(draft: Draft) -> None:
    """Write down how the copies stand."""
    sync = draft.spec.savepoints.sync_to if draft.spec is not None else None
    if sync is None:
        if draft.status.sync is not None:
            draft.status = replace(draft.status, sync=None)
        return
    known = draft.status.sync or JobSyncStatus()
    mine = _taken(draft.given.savepoints)
    success = _success(mine, known.last_success)
    failure = _failure(mine, known.last_failure)
    if failure is not None and success is not None and _later(success, failure):
        failure = None
    now = JobSyncStatus(last_success=success, last_failure=failure, in_progress=_progress(mine))
    draft.status = replace(draft.status, sync=now if now != JobSyncStatus() else None)


def synced(draft: Draft) -> tuple[str, ConditionStatus, str, str] | None:
    """The condition `Synced`: type, status, reason, message; None where no copies are asked for."""
    if draft.spec is None or draft.spec.savepoints.sync_to is None:
        return None
    known = draft.status.sync or JobSyncStatus()
    success, failure = known.last_success, known.last_failure
    if failure is not None:
        return "Synced", ConditionStatus.FALSE, failure.error_code, f"FlinkSavepoint {failure.name}: {failure.message}"
    if success is not None:
        return "Synced", ConditionStatus.TRUE, Reason.Synced, f"copy {success.sequence_number}: {success.uri}"
    return "Synced", ConditionStatus.UNKNOWN, Reason.Pending, "nothing was copied yet"


def _success(mine: list[FlinkSavepoint], known: SyncSuccess | None) -> SyncSuccess | None:
    best = known
    for savepoint in mine:
        done = savepoint.status.sync
        if done is None or done.end_time is None or done.error is not None:
            continue
        if best is None or (done.sequence_number or 0) > (best.sequence_number or 0):
            best = SyncSuccess(
                name=savepoint.meta.name,
                sequence_number=done.sequence_number,
                uri=done.uri,
                bytes=done.bytes,
                duration=done.duration,
                time=done.end_time,
            )
    return best


def _failure(mine: list[FlinkSavepoint], known: SyncFailure | None) -> SyncFailure | None:
    """The newest failure; one that repeats keeps the time when it was first seen."""
    failed = [(one.status.sync.error, one.meta.name) for one in mine if one.status.sync and one.status.sync.error]
    if not failed:
        return known
    error, name = max(failed, key=lambda pair: pair[0].time.timestamp() if pair[0].time else 0.0)
    if known is not None and (known.name, known.error_code, known.message) == (name, error.error_code, error.message):
        return known
    if known is not None and known.time is not None and error.time is not None and error.time < known.time:
        return known
    return SyncFailure(name=name, error_code=error.error_code, message=error.message, time=error.time)


def _progress(mine: list[FlinkSavepoint]) -> SyncProgress | None:
    for savepoint in mine:
        begun = savepoint.status.sync
        if begun is not None and begun.end_time is None:
            return SyncProgress(name=savepoint.meta.name, start_time=begun.start_time)
    return None


def _later(success: SyncSuccess, failure: SyncFailure) -> bool:
    return success.time is not None and failure.time is not None and success.time >= failure.time
