"""Where a run's state comes from: what the last run left, or what `initialState` says for a first run.

Called by the job decision. Invariant: an older snapshot is never taken where a newer one of the same lineage is known to
have completed; then the answer is `Missing`, which names both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from flinkjob.api.codec import FlinkSavepoint
from flinkjob.api.common import duration_seconds
from flinkjob.api.enums import (
    Claim,
    InitialStateStrategy,
    OnMissing,
    SavepointMode,
    SavepointPhase,
    SnapshotKind,
    SnapshotType,
    UpgradeStrategy,
)
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import RunEnd, Submission
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.reasons import Reason
from flinkjob.api.sync import RestoredCopy
from flinkjob.core.facts import Copy
from flinkjob.core.flinkmodel import Checkpoint, CheckpointKind, CheckpointStats, is_checkpoint_place
from flinkjob.core.job import rollback
from flinkjob.core.job.draft import Draft
from flinkjob.core.model import JobInput
from flinkjob.core.seen import CopySearch

COPY_PAUSE = 30.0
"""Seconds after which stores are looked into again that had no copy."""


@dataclass(frozen=True, kw_only=True)
class FinalState:
    """What a run left to continue from."""

    kind: SnapshotKind
    location: str | None = None
    message: str | None = None
    time: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class StartFrom:
    """Start from this snapshot; None = empty. `why` goes into the Event. `fresh`: state was expected but not found.

    Attributes:
        copy: the snapshot is this copy in an object store.
    """

    location: str | None
    why: str
    claim: bool = False
    fresh: bool = False
    copy: RestoredCopy | None = None


@dataclass(frozen=True, kw_only=True)
class Missing:
    """There must be state but it cannot be used.

    Attributes:
        again: seconds after which it is looked for again; None: when something changes.
        searching: it is being looked for at this moment.
    """

    reason: Reason
    message: str
    requeue_after: float | None = None
    searching: bool = False


def final_state(stats: CheckpointStats | None, restored_from: str | None, *, other: str | None = None) -> FinalState:
    """What an ended run left, by its checkpoint statistics read after its end.

    Args:
        stats: the statistics; None when the cluster no longer has them.
        restored_from: what the run itself was started from.
        other: a savepoint known from elsewhere (a failed stop that made one), taken when no later checkpoint completed.
    """
    newest = stats.newest_completed() if stats is not None else None
    restored = stats.restored if stats is not None else None
    if other is not None and (newest is None or newest.kind is not CheckpointKind.CHECKPOINT):
        return FinalState(kind=SnapshotKind.SAVEPOINT, location=other)
    if (
        restored is not None
        and restored.external_path
        and (newest is None or restored.checkpoint_id > newest.checkpoint_id)
    ):
        return FinalState(
            kind=SnapshotKind.SAVEPOINT if restored.is_savepoint else SnapshotKind.CHECKPOINT,
            location=restored.external_path,
            time=restored.restore_time,
        )
    if newest is None:
        kind = SnapshotKind.RESTORED if restored_from else SnapshotKind.EMPTY
        return FinalState(kind=kind, location=restored_from)
    return _of(newest)


def _of(newest: Checkpoint) -> FinalState:
    if newest.is_usable:
        kind = SnapshotKind.SAVEPOINT if newest.is_savepoint else SnapshotKind.CHECKPOINT
        return FinalState(kind=kind, location=newest.external_path, time=newest.latest_ack_time or newest.trigger_time)
    return FinalState(
        kind=SnapshotKind.MISSING,
        message=f"checkpoint {newest.checkpoint_id} was the newest, and it was not retained",
    )


def redeploys(spec: FlinkJobSpec, last: Submission) -> bool:
    """Whether the nonce asks to start from what `initialState` says; taking the nonce away asks for nothing."""
    return spec.initial_state.nonce not in (None, last.nonce)


def start_of_next(draft: Draft, spec: FlinkJobSpec) -> StartFrom | Missing:
    """Where the next run starts from, `restore.onMissing` applied."""
    last = draft.run
    if last is None or redeploys(spec, last):
        return find_copy(draft, spec) if spec.initial_state.copies else _initial(spec, draft.given)
    assert last.end is not None
    if rollback.is_bad(draft, last):
        return StartFrom(location=last.restored_from, why=f"{last.restored_from}, from which run {last.number} started")
    if spec.upgrade.strategy is UpgradeStrategy.STATELESS and draft.digest != last.run_digest:
        return StartFrom(location=None, why="empty, as upgrade.strategy Stateless asks")
    found = _from_end(spec, last, last.end)
    if isinstance(found, Missing) and spec.restore.on_missing is OnMissing.FRESH:
        return StartFrom(location=None, why=f"empty, as restore.onMissing says: {found.message}", fresh=True)
    return found


def find_copy(draft: Draft, spec: FlinkJobSpec) -> StartFrom | Missing:
    """The copy in an object store that a first run starts from, always as it is (NoClaim)."""
    copies = spec.initial_state.copies
    found = draft.need(Copy(copies))
    match found.phase:
        case CopySearch.WORKING:
            message = f"looking into {len(copies)} places of initialState.copies"
            return Missing(reason=Reason.LookingForCopy, message=message, requeue_after=0.5, searching=True)
        case CopySearch.NONE:
            return Missing(reason=Reason.CopyNotFound, message=found.message, requeue_after=COPY_PAUSE)
        case CopySearch.FOUND:
            assert found.copy is not None
            passed = f"; passed over: {found.message}" if found.message else ""
            of = f"{found.copy.namespace}/{found.copy.job}, made by operator {found.copy.identity}"
            why = f"copy {found.copy.sequence_number} of {of}{passed}"
            return StartFrom(location=found.location, why=why, copy=found.copy)


def _from_end(spec: FlinkJobSpec, last: Submission, end: RunEnd) -> StartFrom | Missing:
    match end.snapshot_kind:
        case SnapshotKind.SAVEPOINT | SnapshotKind.CHECKPOINT:
            if _too_old(spec, end):
                message = f"{end.snapshot} is older than restore.maxAge {spec.restore.max_age}"
                return Missing(reason=Reason.StateMissing, message=message)
            return StartFrom(location=end.snapshot, why=f"{end.snapshot_kind.lower()} {end.snapshot}")
        case SnapshotKind.RESTORED:
            return StartFrom(
                location=end.snapshot, why=f"{end.snapshot}, since run {last.number} completed nothing newer"
            )
        case SnapshotKind.EMPTY:
            return StartFrom(location=None, why=f"empty, since run {last.number} left no state")
        case SnapshotKind.MISSING | None:
            return Missing(
                reason=Reason.StateMissing,
                message=f"run {last.number} must have left state, but {end.message or 'none is known'}; "
                "give initialState with a new nonce to say where to start from",
            )


def _too_old(spec: FlinkJobSpec, end: RunEnd) -> bool:
    if spec.restore.max_age is None or end.snapshot_time is None or end.time is None:
        return False
    return (end.time - end.snapshot_time).total_seconds() > duration_seconds(spec.restore.max_age)


def _initial(spec: FlinkJobSpec, given: JobInput) -> StartFrom | Missing:
    initial = spec.initial_state
    match initial.strategy:
        case InitialStateStrategy.NONE:
            return StartFrom(location=None, why="empty, as initialState asks")
        case InitialStateStrategy.LATEST | InitialStateStrategy.EARLIEST:
            known = completed_in_order(given.savepoints)
            if not known:
                return StartFrom(location=None, why="empty: no completed FlinkSavepoint of this job")
            chosen = known[-1] if initial.strategy is InitialStateStrategy.LATEST else known[0]
            return StartFrom(location=chosen.status.location, why=f"FlinkSavepoint {chosen.meta.name}")
        case InitialStateStrategy.CUSTOM:
            if initial.location is not None:
                claim = spec.restore.claim_mode is Claim.CLAIM
                return StartFrom(
                    location=initial.location, why=f"{initial.location}, as initialState says", claim=claim
                )
            name = initial.savepoint_ref.name if initial.savepoint_ref else ""
            found = given.named.get(name)
            if found is not None and found.status.deleting:
                message = f"spec.initialState.savepointRef: the data of FlinkSavepoint {name} are being deleted"
                return Missing(reason=Reason.SavepointNotFound, message=message)
            if found is None or found.status.phase is not SavepointPhase.COMPLETED or not found.status.location:
                state = "does not exist" if found is None else "has not completed"
                return Missing(
                    reason=Reason.SavepointNotFound,
                    message=f"spec.initialState.savepointRef: FlinkSavepoint {name} {state}",
                )
            return StartFrom(location=found.status.location, why=f"FlinkSavepoint {name}")


def _is_kept(spec: FlinkSavepointSpec, location: str) -> bool:
    """Whether the snapshot does not belong to Flink: a checkpoint counts only when a person named its place."""
    if spec.mode is SavepointMode.EXISTING and spec.location is None:
        return not is_checkpoint_place(location)
    return spec.type is SnapshotType.SAVEPOINT


def completed_in_order(savepoints: tuple[FlinkSavepoint, ...]) -> list[FlinkSavepoint]:
    """The completed savepoints of the job, oldest first: by end time, then submission and checkpoint id."""
    completed = [
        savepoint
        for savepoint in savepoints
        if savepoint.status.phase is SavepointPhase.COMPLETED
        and savepoint.status.location
        and not savepoint.status.deleting
        and (savepoint.spec is None or _is_kept(savepoint.spec, savepoint.status.location))
    ]
    return sorted(completed, key=age_of)


def age_of(savepoint: FlinkSavepoint) -> tuple[float, int, float, str]:
    """What sorts FlinkSavepoints of a job by age, oldest first."""
    status = savepoint.status
    ended = status.end_time.timestamp() if status.end_time is not None else 0.0
    number = float(status.checkpoint_id) if status.checkpoint_id is not None else math.inf  # a stop's is the last one
    return ended, status.submission or 0, number, savepoint.meta.name
