"""Where a run's state comes from: what the last run left, or what `initialState` says for a first run.

Called by the job decision. Invariant: an older snapshot is never taken where a newer one of the same lineage is known to
have completed; then the answer is `Missing`, which names both.
"""

from __future__ import annotations

from dataclasses import dataclass

from flinkjob.api.codec import FlinkSavepoint
from flinkjob.api.common import InitialStateStrategy, SavepointPhase, SnapshotKind, SnapshotType, UpgradeStrategy
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import Submission
from flinkjob.core.flinkmodel import Checkpoint, CheckpointKind, CheckpointStats
from flinkjob.core.model import JobInput
from flinkjob.core.reasons import Reason


@dataclass(frozen=True, kw_only=True)
class LeftState:
    """What a run left to continue from."""

    kind: SnapshotKind
    location: str | None = None
    message: str | None = None


@dataclass(frozen=True, kw_only=True)
class StartFrom:
    """Start from this snapshot; None = empty. `why` goes into the Event."""

    location: str | None
    why: str


@dataclass(frozen=True, kw_only=True)
class Missing:
    """There must be state but it cannot be used."""

    reason: Reason
    message: str


def left_state(stats: CheckpointStats | None, restored_from: str | None, *, other: str | None = None) -> LeftState:
    """What an ended run left, by its checkpoint statistics read after its end.

    Args:
        stats: the statistics; None when the cluster no longer has them.
        restored_from: what the run itself was started from.
        other: a savepoint known from elsewhere (a failed stop that made one), taken when no later checkpoint completed.
    """
    newest = stats.newest_completed() if stats is not None else None
    restored = stats.restored if stats is not None else None
    if other is not None and (newest is None or newest.kind is not CheckpointKind.CHECKPOINT):
        return LeftState(kind=SnapshotKind.SAVEPOINT, location=other)
    if (
        restored is not None
        and restored.external_path
        and (newest is None or restored.checkpoint_id > newest.checkpoint_id)
    ):
        return LeftState(
            kind=SnapshotKind.SAVEPOINT if restored.is_savepoint else SnapshotKind.CHECKPOINT,
            location=restored.external_path,
        )
    if newest is None:
        kind = SnapshotKind.RESTORED if restored_from else SnapshotKind.EMPTY
        return LeftState(kind=kind, location=restored_from)
    return _of(newest)


def _of(newest: Checkpoint) -> LeftState:
    if newest.is_usable:
        kind = SnapshotKind.SAVEPOINT if newest.is_savepoint else SnapshotKind.CHECKPOINT
        return LeftState(kind=kind, location=newest.external_path)
    return LeftState(
        kind=SnapshotKind.MISSING,
        message=f"checkpoint {newest.checkpoint_id} was the newest, and it was not retained",
    )


def start_of_next(spec: FlinkJobSpec, digest: str, last: Submission | None, given: JobInput) -> StartFrom | Missing:
    """Where the next run starts from."""
    if last is None or spec.initial_state.nonce != last.nonce:
        return _initial(spec, given)
    end = last.end
    assert end is not None
    if spec.upgrade.strategy is UpgradeStrategy.STATELESS and digest != last.run_digest:
        return StartFrom(location=None, why="empty, as upgrade.strategy Stateless asks")
    match end.snapshot_kind:
        case SnapshotKind.SAVEPOINT | SnapshotKind.CHECKPOINT:
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


def _initial(spec: FlinkJobSpec, given: JobInput) -> StartFrom | Missing:
    initial = spec.initial_state
    match initial.strategy:
        case InitialStateStrategy.NONE:
            return StartFrom(location=None, why="empty, as initialState asks")
        case InitialStateStrategy.LATEST:
            newest = _newest_completed(given.savepoints)
            if newest is None:
                return StartFrom(location=None, why="empty: no completed FlinkSavepoint of this job")
            return StartFrom(location=newest.status.location, why=f"FlinkSavepoint {newest.meta.name}")
        case InitialStateStrategy.CUSTOM:
            if initial.location is not None:
                return StartFrom(location=initial.location, why=f"{initial.location}, as initialState says")
            name = initial.savepoint_ref.name if initial.savepoint_ref else ""
            found = given.named.get(name)
            if found is None or found.status.phase is not SavepointPhase.COMPLETED or not found.status.location:
                state = "does not exist" if found is None else "has not completed"
                return Missing(
                    reason=Reason.SavepointNotFound,
                    message=f"spec.initialState.savepointRef: FlinkSavepoint {name} {state}",
                )
            return StartFrom(location=found.status.location, why=f"FlinkSavepoint {name}")


def _newest_completed(savepoints: tuple[FlinkSavepoint, ...]) -> FlinkSavepoint | None:
    """The newest completed savepoint of the job: by submission, then checkpoint id, then end time."""
    completed = [
        savepoint
        for savepoint in savepoints
        if savepoint.status.phase is SavepointPhase.COMPLETED
        and savepoint.status.location
        and (savepoint.spec is None or savepoint.spec.type is SnapshotType.SAVEPOINT)
    ]
    return max(
        completed,
        key=lambda savepoint: (
            savepoint.status.end_time.timestamp() if savepoint.status.end_time else 0.0,
            savepoint.status.submission or 0,
            savepoint.status.checkpoint_id or 0,
        ),
        default=None,
    )
