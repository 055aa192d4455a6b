"""Which snapshots are in use, so that their data are not deleted, and which are recorded elsewhere.

Called by `runtime/cache.py` with each object that changes. Invariant: a snapshot that a FlinkJob was started from, would
start from, or whose copy goes on, is in use.
"""

from __future__ import annotations

from collections.abc import Callable

from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.api.enums import InitialStateStrategy, SavepointPhase
from flinkjob.core.copies.savepoint_copy import is_being_copied, snapshot_view
from flinkjob.core.flinkmodel import normalise_location
from flinkjob.core.job.restore_point import completed_in_order, redeploys


def places_of(job: FlinkJob, named: FlinkSavepoint | None, own: Callable[[], tuple[FlinkSavepoint, ...]]) -> set[str]:
    """Normalised places of the snapshots that a FlinkJob was started from or would start from.

    The newest savepoint of a job that runs is not among them: whether it is needed, its checkpoints say.

    Args:
        named: the FlinkSavepoint that the spec names in `initialState`.
        own: gives those of the job.
    """
    run, hold, spec = job.status.submission, job.status.hold, job.spec
    places = [hold.location if hold is not None else None, named.status.location if named is not None else None]
    if run is not None:
        places += [run.restored_from, run.end.snapshot if run.end is not None else None]
    if spec is not None:
        places.append(spec.initial_state.location)
        if run is None or redeploys(spec, run):
            places.append(_initial(spec.initial_state.strategy, own))
    return {normalise_location(place) for place in places if place}


def _initial(strategy: InitialStateStrategy, own: Callable[[], tuple[FlinkSavepoint, ...]]) -> str | None:
    """The snapshot that a first run would start from."""
    if strategy not in (InitialStateStrategy.LATEST, InitialStateStrategy.EARLIEST):
        return None
    known = completed_in_order(tuple(map(snapshot_view, own())))
    if not known:
        return None
    return known[-1 if strategy is InitialStateStrategy.LATEST else 0].status.location


def copied_place(savepoint: FlinkSavepoint) -> str | None:
    """The normalised place of the snapshot while its copy goes on."""
    location = savepoint.status.location
    if not location or savepoint.meta.deletion_time is not None or not is_being_copied(savepoint):
        return None
    return normalise_location(location)


def recorded_place(savepoint: FlinkSavepoint) -> str | None:
    """The normalised place of the snapshot that a FlinkSavepoint, which stays, has."""
    location = savepoint.status.location
    if not location or savepoint.meta.deletion_time is not None:
        return None
    if savepoint.status_error is None and snapshot_view(savepoint).status.phase is not SavepointPhase.COMPLETED:
        return None
    return normalise_location(location)
