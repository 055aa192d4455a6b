"""Whose turn it is to be copied: one queue for each place, whoever asks for the copies.

`copy_turns` is called by `decide_round`. Invariants: one at a time to a place, in the order in which the snapshots
were taken, so that a higher number is newer state; none twice; what waits for its copy stays; a FlinkSavepoint with its own
`syncTo` keeps that order with those that its FlinkJob wants copied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flinkjob.api.codec import FlinkSavepoint
from flinkjob.api.enums import SavepointPhase
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.core.actions import DeleteObject
from flinkjob.core.copies.savepoint_copy import LOOK_SECONDS
from flinkjob.core.job.copies_status import place_of, to_be_copied, uids
from flinkjob.core.job.restore_point import age_of
from flinkjob.core.model import SavepointDecision
from flinkjob.core.savepoint.completed import SIZE_WAIT


@dataclass(frozen=True, kw_only=True)
class CopyTurns:
    """Whose turn it is among the FlinkSavepoints of a key, by their uids.

    Attributes:
        by_job: that of which the FlinkJob wants a copy now; None where there is none.
        awaited: those of which the FlinkJob wants one some time: they stay until then.
        later: those whose copy another one to the same place precedes, whoever asked for either.
    """

    by_job: str | None = None
    awaited: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()


def copy_turns(spec: FlinkJobSpec | None, savepoints: tuple[FlinkSavepoint, ...], now: datetime) -> CopyTurns:
    """Whose turn it is.

    Copies to one place are made one after the other in the order of their snapshots, whoever asks for them, so that the
    highest number is the newest state. What a FlinkJob asks for is tried for ever: after a failure it lets others go first,
    since what is newer makes it needless.

    Args:
        spec: of the FlinkJob; None where there is none.
        savepoints: as they are without their copies.
    """
    queues = _own_queues(savepoints)
    waiting = to_be_copied(spec, savepoints)
    head = _begun(waiting) or next(iter(waiting), None)
    if head is not None and spec is not None and spec.savepoints.sync_to is not None:
        queues.setdefault(place_of(spec.savepoints.sync_to), []).append(head)
    later: set[str] = set()
    for queue in queues.values():
        queue.sort(key=lambda one: (_rank(one), age_of(one)))
        behind = 0 if len(queue) > 1 and _rank(queue[0]) and _undecided(queue[0], queue[1], now) else 1
        later.update(one.meta.uid for one in queue[behind:])
    turn = _turn(waiting, now)
    if turn in later and head is not None and head.status.sync is None:
        turn = None  # it has not begun: nothing is to be said of it yet
    return CopyTurns(by_job=turn, awaited=uids(waiting), later=frozenset(later))


def _own_queues(savepoints: tuple[FlinkSavepoint, ...]) -> dict[str, list[FlinkSavepoint]]:
    """Those with a `syncTo` of their own that are to be copied or are being copied, by their places."""
    queues: dict[str, list[FlinkSavepoint]] = {}
    for savepoint in savepoints:
        spec, status = savepoint.spec, savepoint.status
        if spec is None or spec.sync_to is None or status.phase is not SavepointPhase.COMPLETED:
            continue
        over = status.sync is not None and status.sync.end_time is not None
        if savepoint.meta.deletion_time is None and status.location is not None and not over:
            queues.setdefault(place_of(spec.sync_to), []).append(savepoint)
    return queues


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


def _undecided(one: FlinkSavepoint, other: FlinkSavepoint, now: datetime) -> bool:
    """Whether Flink has yet to report which of the two was taken first."""
    same = (one.status.end_time, one.status.submission) == (other.status.end_time, other.status.submission)
    known = one.status.checkpoint_id is not None and other.status.checkpoint_id is not None
    age = (now - one.status.end_time).total_seconds() if one.status.end_time is not None else SIZE_WAIT
    return same and not known and age < SIZE_WAIT
