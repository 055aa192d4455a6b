"""The catalogue of savepoints: age, size, copies, who uses one, and what a deletion would do. Pure.

What a deletion would do is said as far as the objects show it; the operator also asks the cluster, and keeps what is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.api.enums import SavepointMode, SavepointPhase, SnapshotDeletion
from flinkjob.cli.texts import NOTHING, since
from flinkjob.core.errors import visible
from flinkjob.core.flinkmodel import is_checkpoint_place, normalise_location

PAGE: Final = 100
_LONG_AGO: Final = datetime.fromtimestamp(0, UTC)
_TONES: Final = {SavepointPhase.COMPLETED: "good", SavepointPhase.FAILED: "bad"}


@dataclass(frozen=True, kw_only=True)
class SavepointRow:
    """A FlinkSavepoint in the catalogue; all texts are as a person reads them.

    Attributes:
        users: who started from its data, or would.
        deletion: what a deletion of the object would do.
    """

    namespace: str
    name: str
    job: str
    phase: str
    tone: str
    origin: str
    age: str
    size: str
    copy: str
    location: str
    users: Sequence[str]
    deletion: str
    error: str


def catalogue(savepoints: Sequence[FlinkSavepoint], jobs: Sequence[FlinkJob], now: datetime) -> list[SavepointRow]:
    """All of them, the newest first."""
    users = _users(jobs)
    ordered = sorted(savepoints, key=lambda each: (each.meta.namespace, each.meta.name))
    ordered.sort(key=lambda each: each.status.end_time or each.meta.creation_time or _LONG_AGO, reverse=True)
    return [savepoint_row(each, users, now) for each in ordered]


def savepoint_row(
    savepoint: FlinkSavepoint, users: Mapping[tuple[str, str], Sequence[str]], now: datetime
) -> SavepointRow:
    """One of them."""
    status, spec = savepoint.status, savepoint.spec
    place = (savepoint.meta.namespace, normalise_location(status.location or ""))
    using = list(dict.fromkeys(users.get(place, ()))) if status.location else []
    return SavepointRow(
        namespace=savepoint.meta.namespace,
        name=savepoint.meta.name,
        job=spec.job_ref.name if spec is not None and spec.job_ref is not None else NOTHING,
        phase=str(status.phase or SavepointPhase.PENDING),
        tone=_TONES.get(status.phase, "busy") if status.phase is not None else "busy",
        origin=str(status.origin or NOTHING),
        age=since(status.end_time or savepoint.meta.creation_time, now),
        size=status.size or NOTHING,
        copy=visible(_copy(savepoint)),
        location=visible(status.location or NOTHING),
        users=using,
        deletion=visible(deletion(savepoint, using)),
        error=visible(f"{status.error.error_code}: {status.error.message}") if status.error is not None else "",
    )


def deletion(savepoint: FlinkSavepoint, users: Sequence[str]) -> str:
    """What would become of the data if somebody deleted the object."""
    spec, location = savepoint.spec, savepoint.status.location
    if spec is None:
        return "Only the object goes: its spec cannot be used."
    if savepoint.status.phase is SavepointPhase.IN_PROGRESS:
        return "The operator waits until the savepoint has ended."
    if spec.deletion.policy is SnapshotDeletion.RETAIN:
        return "Only the object goes; the data stay." if location else "Only the object goes; it has no data."
    if location is None:
        return "Only the object goes; it has no data."
    if spec.mode is SavepointMode.EXISTING and is_checkpoint_place(location):
        return "Only the object goes: a checkpoint of Flink's own stays."
    if users:
        return f"The data are in use ({users[0]}): after {spec.deletion.timeout} the object goes and they stay."
    copy = " Its copy stays." if savepoint.status.sync is not None else ""
    return f"Flink deletes the data, unless they are the newest state of a job.{copy}"


def _copy(savepoint: FlinkSavepoint) -> str:
    copy = savepoint.status.sync
    if copy is None:
        return NOTHING
    number = copy.sequence_number if copy.sequence_number is not None else NOTHING
    if copy.error is not None:
        return f"copy {number} failed: {copy.error.message}"
    if copy.end_time is None:
        return f"copy {number}: {copy.objects} of {copy.objects_total or NOTHING} files"
    return f"copy {number} {copy.uri or ''}".strip()


def _users(jobs: Sequence[FlinkJob]) -> dict[tuple[str, str], list[str]]:
    """Who uses the data at a place, by namespace and place."""
    found: dict[tuple[str, str], list[str]] = {}

    def uses(job: FlinkJob, location: str | None, words: str) -> None:
        if location:
            key = (job.meta.namespace, normalise_location(location))
            found.setdefault(key, []).append(f"{job.meta.name}: {words}")

    for job in jobs:
        run, newest = job.status.submission, job.status.last_savepoint
        if run is not None:
            uses(job, run.restored_from, f"run {run.number} started from it")
            uses(job, run.end.snapshot if run.end is not None else None, f"run {run.number} left it to go on from")
        if newest is not None:
            uses(job, newest.location, "its newest savepoint")
    return found
