"""Periodic savepoints, and which savepoints of the operator are old enough to go.

Called by the job decision while the job runs steadily. Invariants: never two at once; a missed time is not made up for; the
last time is in the status, so the operator's restart changes nothing; a savepoint is deleted only beyond both limits, never
the newest of its sort, never one that is in use anywhere.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from flinkjob.api.codec import FlinkSavepoint
from flinkjob.api.common import duration_seconds
from flinkjob.api.constants import LABEL_ORIGIN
from flinkjob.api.enums import SavepointOrigin, SavepointPhase
from flinkjob.api.flinkjob_spec import FlinkJobSpec, RetentionSpec, SavepointsSpec
from flinkjob.api.flinkjob_status import PeriodicInfo, Submission
from flinkjob.core.actions import CreateSavepoint, DeleteSavepoint
from flinkjob.core.facts import InUse
from flinkjob.core.flinkmodel import normalise_location
from flinkjob.core.job import copies_status
from flinkjob.core.job.draft import Draft, Halt

JITTER_SHARE, JITTER_MOST = 0.1, 30.0
"""Each savepoint is late by up to a tenth of its period, at most so many seconds: many jobs do not start at once."""
LONGEST_SLEEP = 300.0
_OWN = (
    frozenset({SavepointOrigin.PERIODIC}),
    frozenset({SavepointOrigin.UPGRADE, SavepointOrigin.SUSPEND}),
)
"""The operator's own savepoints: each sort is counted separately, so that many upgrades cost no periodic one."""


def step(draft: Draft, spec: FlinkJobSpec, run: Submission) -> Halt | None:
    """Take the savepoint that is due; sleep until the next one otherwise. Halts where the schedule cannot be used."""
    wanted = spec.savepoints
    if wanted.suspend or (wanted.interval is None and wanted.schedule is None):
        if draft.status.periodic is not None and draft.status.periodic.next_time is not None:
            draft.status = replace(draft.status, periodic=replace(draft.status.periodic, next_time=None))
        return None
    known = draft.status.periodic or PeriodicInfo()
    begun = run.started_time if run.started_time is not None and run.started_time <= draft.now else None
    noted = known.last_time or begun
    if noted is None or noted > draft.now:  # the clock was ahead
        known = replace(known, last_time=draft.now)
    last = max(time for time in (known.last_time, begun) if time is not None)
    try:
        due = next_time(wanted, last, seed=draft.job.meta.uid)
    except (CronSimError, ValueError) as error:
        return draft.refuse(f"spec.savepoints.schedule: {error}")
    if draft.now < due:
        if known.next_time is None or abs((known.next_time - due).total_seconds()) >= 1:
            draft.status = replace(draft.status, periodic=replace(known, next_time=due))
        draft.requeue_after(min((due - draft.now).total_seconds() + 0.05, LONGEST_SLEEP))
        return None
    if any(_unfinished(savepoint) and not _lost(savepoint, draft) for savepoint in draft.given.savepoints):
        draft.requeue_after(5.0)
        return None
    name = f"{draft.job.meta.name}-periodic-{int(due.timestamp())}"
    draft.act(
        CreateSavepoint(
            name=name,
            origin=SavepointOrigin.PERIODIC,
            delete_data=wanted.retention is not None,
            timeout=wanted.timeout,
        )
    )
    following = next_time(wanted, draft.now, seed=draft.job.meta.uid)
    draft.status = replace(draft.status, periodic=PeriodicInfo(last_time=draft.now, next_time=following))
    draft.requeue_after(min((following - draft.now).total_seconds() + 0.05, LONGEST_SLEEP))
    return None


def next_time(wanted: SavepointsSpec, after: datetime, *, seed: str) -> datetime:
    """When the next savepoint is due after a time, jitter included.

    Raises:
        CronSimError, ValueError: the schedule or the time zone cannot be used.
    """
    if wanted.interval is not None:
        period = duration_seconds(wanted.interval)
        due = after + timedelta(seconds=period)
    else:
        zone = ZoneInfo(wanted.time_zone or "UTC")
        times = CronSim(wanted.schedule or "", after.astimezone(zone))
        due = next(times).astimezone(UTC)
        period = (due - after).total_seconds()
    share = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") / 2**32
    return due + timedelta(seconds=share * min(period * JITTER_SHARE, JITTER_MOST))


def retain(draft: Draft, spec: FlinkJobSpec) -> None:
    """Delete the savepoints of the operator that are beyond both limits, not in use, and copied if they are to be."""
    limits = spec.savepoints.retention
    if limits is None:
        return
    awaited = copies_status.awaited(spec, draft.given.savepoints)
    for origins in _OWN:
        _retain_of(draft, limits, origins, awaited)


def _retain_of(
    draft: Draft, limits: RetentionSpec, origins: frozenset[SavepointOrigin], awaited: frozenset[str]
) -> None:
    mine = [savepoint for savepoint in draft.given.savepoints if _kept_by_operator(savepoint, origins)]
    mine.sort(key=lambda savepoint: savepoint.status.end_time or draft.now, reverse=True)
    oldest = draft.now - timedelta(seconds=duration_seconds(limits.min_age))
    beyond = [
        (normalise_location(savepoint.status.location or ""), savepoint)
        for savepoint in mine[max(limits.min_count, 1) :]
        if (savepoint.status.end_time or draft.now) < oldest
        and savepoint.meta.uid not in awaited
        and savepoint.meta.deletion_time is None
    ]
    used = draft.need(InUse(frozenset(place for place, _ in beyond))) if beyond else frozenset()
    for place, savepoint in beyond:
        if place not in used:
            draft.act(DeleteSavepoint(name=savepoint.meta.name, uid=savepoint.meta.uid))
    if len(mine) > limits.min_count:
        draft.requeue_after(LONGEST_SLEEP)


def _unfinished(savepoint: FlinkSavepoint) -> bool:
    return savepoint.status.phase not in (SavepointPhase.COMPLETED, SavepointPhase.FAILED)


def _lost(savepoint: FlinkSavepoint, draft: Draft) -> bool:
    """Whether it may never finish, since it cannot be written; of the operator's own ones there is one at most."""
    own = savepoint.meta.labels.get(LABEL_ORIGIN) == SavepointOrigin.PERIODIC
    return savepoint.meta.uid in draft.given.refused and not own


def _kept_by_operator(savepoint: FlinkSavepoint, origins: frozenset[SavepointOrigin]) -> bool:
    origin = savepoint.meta.labels.get(LABEL_ORIGIN)
    return origin in origins and savepoint.status.phase is SavepointPhase.COMPLETED and bool(savepoint.status.location)
