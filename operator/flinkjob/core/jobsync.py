"""`savepoints.syncTo` of a FlinkJob: which of its savepoints is copied now, and what its status says of them.

`turns` is called by the reconciler once a round, `awaited` by the retention, `note` by the job decision. Invariants: one
at a time to a place, in the order in which they were taken, so that a higher number is newer state; none twice; one that is
older than a copied one is passed over; what waits for its copy stays; a FlinkSavepoint with a `syncTo` of its own is not
meant, but keeps that order with the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flinkjob.api.codec import FlinkSavepoint
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.sync import JobSyncStatus, JobSyncToSpec, SyncFailure, SyncProgress, SyncSuccess, SyncToSpec
from flinkjob.api.words import ConditionStatus, SavepointMode, SavepointOrigin, SavepointPhase
from flinkjob.core.actions import DeleteObject
from flinkjob.core.draft import Draft
from flinkjob.core.model import SavepointDecision
from flinkjob.core.reasons import Reason
from flinkjob.core.restore import age_of, completed_in_order
from flinkjob.core.savepoint_round import SIZE_WAIT
from flinkjob.core.sync import LOOK_SECONDS


def is_meant(sync: JobSyncToSpec, origin: SavepointOrigin | None) -> bool:
    """Whether savepoints that were taken for this reason are copied."""
    return not sync.origins or (origin or SavepointOrigin.MANUAL) in sync.origins


@dataclass(frozen=True, kw_only=True)
class Turns:
    """Whose turn it is among the FlinkSavepoints of a key, by their uids.

    Attributes:
        by_job: that of which the FlinkJob wants a copy now; None where there is none.
        awaited: those of which the FlinkJob wants one some time: they stay until then.
        later: those whose copy another one to the same place precedes, whoever asked for either.
    """

    by_job: str | None = None
    awaited: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()


def turns(spec: FlinkJobSpec | None, savepoints: tuple[FlinkSavepoint, ...], now: datetime) -> Turns:
    """Whose turn it is.

    Copies to one place are made one after the other in the order of their snapshots, whoever asks for them, so that the
    highest number is the newest state. What a FlinkJob asks for is tried for ever: after a failure it lets others go first,
    since what is newer makes it needless.

    Args:
        spec: of the FlinkJob; None where there is none.
        savepoints: as they are without their copies.
    """
    queues = _own_queues(savepoints)
    waiting = _waiting(spec, savepoints)
    head = _begun(waiting) or next(iter(waiting), None)
    if head is not None and spec is not None and spec.savepoints.sync_to is not None:
        queues.setdefault(_place(spec.savepoints.sync_to), []).append(head)
    later: set[str] = set()
    for queue in queues.values():
        queue.sort(key=lambda one: (_rank(one), age_of(one)))
        behind = 0 if len(queue) > 1 and _rank(queue[0]) and _undecided(queue[0], queue[1], now) else 1
        later.update(one.meta.uid for one in queue[behind:])
    turn = _turn(waiting, now)
    if turn in later and head is not None and head.status.sync is None:
        turn = None  # it has not begun: nothing is to be said of it yet
    return Turns(by_job=turn, awaited=_uids(waiting), later=frozenset(later))


def _own_queues(savepoints: tuple[FlinkSavepoint, ...]) -> dict[str, list[FlinkSavepoint]]:
    """Those with a `syncTo` of their own that are to be copied or are being copied, by their places."""
    queues: dict[str, list[FlinkSavepoint]] = {}
    for savepoint in savepoints:
        spec, status = savepoint.spec, savepoint.status
        if spec is None or spec.sync_to is None or status.phase is not SavepointPhase.COMPLETED:
            continue
        over = status.sync is not None and status.sync.end_time is not None
        if savepoint.meta.deletion_time is None and status.location is not None and not over:
            queues.setdefault(_place(spec.sync_to), []).append(savepoint)
    return queues


def _place(sync: SyncToSpec) -> str:
    return sync.uri.rstrip("/")


def _rank(savepoint: FlinkSavepoint) -> int:
    """What has its number comes first; what its FlinkJob asks for comes last after a failure."""
    sync, own = savepoint.status.sync, savepoint.spec is not None and savepoint.spec.sync_to is not None
    if own:
        return 0 if sync is not None and sync.sequence_number is not None else 1
    if sync is None:
        return 1
    return 0 if sync.error is None else 2


def _turn(waiting: list[FlinkSavepoint], now: datetime) -> str | None:
    """The uid of the one that is copied now; None where there is nothing to copy."""
    begun = _begun(waiting)
    if begun is not None:
        return begun.meta.uid  # it has its number
    if not waiting or (len(waiting) > 1 and _undecided(waiting[0], waiting[1], now)):
        return None
    return waiting[0].meta.uid


def _begun(waiting: list[FlinkSavepoint]) -> FlinkSavepoint | None:
    return next((savepoint for savepoint in waiting if savepoint.status.sync is not None), None)


def awaited(spec: FlinkJobSpec | None, savepoints: tuple[FlinkSavepoint, ...]) -> frozenset[str]:
    """The uids of the FlinkSavepoints that are still to be copied: they stay until then."""
    return _uids(_waiting(spec, savepoints))


def _uids(savepoints: list[FlinkSavepoint]) -> frozenset[str]:
    return frozenset(savepoint.meta.uid for savepoint in savepoints)


def kept_until_copied(
    savepoint: FlinkSavepoint, decision: SavepointDecision, now: datetime, *, is_awaited: bool
) -> SavepointDecision:
    """The decision without the removal of an object whose copy is not over; its time to live counts from the copy's end.

    Args:
        savepoint: as read.
        decision: with what its copy adds to it.
        is_awaited: whether its FlinkJob has yet to copy it.
    """
    spec, status = savepoint.spec, decision.status
    ttl = spec.ttl_seconds_after_finished if spec is not None else None
    if spec is None or ttl is None or status.location is None:
        return decision
    sync = status.sync
    if is_awaited or (spec.sync_to is not None and (sync is None or sync.end_time is None)):
        wait = LOOK_SECONDS
    elif sync is not None and sync.end_time is not None:
        wait = (sync.end_time + timedelta(seconds=ttl) - now).total_seconds() + 0.1
    else:
        return decision
    if wait <= 0.1:
        return decision
    actions = tuple(action for action in decision.actions if not isinstance(action, DeleteObject))
    soonest = min(wait, decision.requeue_after) if decision.requeue_after is not None else wait
    return replace(decision, actions=actions, requeue_after=soonest)


def _waiting(spec: FlinkJobSpec | None, savepoints: tuple[FlinkSavepoint, ...]) -> list[FlinkSavepoint]:
    """Those that are to be copied or are being copied, oldest first."""
    sync = spec.savepoints.sync_to if spec is not None else None
    waiting: list[FlinkSavepoint] = []
    if sync is None:
        return waiting
    for savepoint in sorted((*_taken(savepoints), *_copied_to(_place(sync), savepoints)), key=age_of):
        done = savepoint.status.sync
        if done is None or done.end_time is None:
            if is_meant(sync, savepoint.status.origin):
                waiting.append(savepoint)
        elif done.error is None:
            waiting.clear()  # what is older than a copied one would get a higher number
    return waiting


def _copied_to(place: str, savepoints: tuple[FlinkSavepoint, ...]) -> list[FlinkSavepoint]:
    """Those that their own `syncTo` has brought there, and of which is known when they were taken."""
    found = []
    for savepoint in savepoints:
        spec, status = savepoint.spec, savepoint.status
        if spec is None or spec.sync_to is None or _place(spec.sync_to) != place:
            continue
        known = spec.mode is not SavepointMode.EXISTING or status.checkpoint_id is not None
        if known and status.sync is not None and status.sync.end_time is not None and status.sync.error is None:
            found.append(savepoint)
    return found


def _undecided(one: FlinkSavepoint, other: FlinkSavepoint, now: datetime) -> bool:
    """Whether Flink has yet to tell which of the two was taken first."""
    same = (one.status.end_time, one.status.submission) == (other.status.end_time, other.status.submission)
    told = one.status.checkpoint_id is not None and other.status.checkpoint_id is not None
    age = (now - one.status.end_time).total_seconds() if one.status.end_time is not None else SIZE_WAIT
    return same and not told and age < SIZE_WAIT


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
