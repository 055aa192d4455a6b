"""The state that simulated jobs leave behind: which snapshot holds what, and who came from whom.

Used by: `job.py` writes, tests read. Invariant: a record is never changed; whether its files still exist is the store's
knowledge.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from flinkjob.core.flinkmodel import CheckpointKind, normalise_location
from flinkjob.core.identity import prefix_of


class Damage(StrEnum):
    """Why no job can start from a snapshot although it is there."""

    NO_METADATA = "its directory has no _metadata"
    METADATA = "its _metadata is damaged"
    FILES = "files that it refers to are gone"
    BACKEND = "another state backend made it"

    @property
    def at_once(self) -> bool:
        """True where the job fails before any of its tasks is deployed, false where its tasks do."""
        return self in (Damage.NO_METADATA, Damage.METADATA)


@dataclass(frozen=True, kw_only=True, slots=True)
class SnapshotRecord:
    """A completed checkpoint or savepoint.

    Attributes:
        run: number of the run (`RunRecord.number`) that made it.
        counter: records counted in all runs of the lineage up to it: the state.
        ancestry: places of the snapshots that its run and the runs before were started from, newest first.
    """

    location: str
    job_id: str
    run: int
    checkpoint_id: int
    kind: CheckpointKind
    counter: int
    uid: str
    time: float
    ancestry: tuple[str, ...] = ()


@dataclass(kw_only=True, slots=True)
class RunRecord:
    """One submission that Flink accepted, for the test to look at.

    Attributes:
        incarnation: of the JobManager that accepted it.
        restored_from: the snapshot it was started from, as the submission named it.
        restores: what it was restored from at each later restart (None: from nothing).
        snapshots: those it completed, oldest first.
        ended: its terminal state, or LOST when its JobManager went away.
        newest_before: the newest snapshot that existed then of runs with the same owner, as their ids show.
        live_before: jobs of the same owner that were not terminal then.
    """

    number: int
    job_id: str
    incarnation: str
    submitted: float
    arguments: tuple[str, ...]
    configuration: dict[str, str]
    parallelism: int
    restored_from: SnapshotRecord | None = None
    restores: list[SnapshotRecord | None] = field(default_factory=list)
    snapshots: list[SnapshotRecord] = field(default_factory=list)
    ended: str | None = None
    counter: int = 0
    newest_before: SnapshotRecord | None = None
    live_before: tuple[str, ...] = ()

    @property
    def owner(self) -> str:
        """The part of the job id that shows the owner."""
        return prefix_of(self.job_id)

    @property
    def loses_state(self) -> bool:
        """True when it was started from something older than the newest state of its owner."""
        return self.newest_before is not None and self.restored_from != self.newest_before

    @property
    def ancestry(self) -> tuple[str, ...]:
        """Permits of the snapshots this run comes from, newest first."""
        origin = self.restored_from
        return () if origin is None else (origin.location, *origin.ancestry)

    @property
    def newest_snapshot(self) -> SnapshotRecord | None:
        """The newest state of this run: its last snapshot, else what it was started from."""
        return max(self.snapshots, key=lambda each: each.checkpoint_id, default=self.restored_from)


class SnapshotStore:
    """All snapshots whose files exist, by normalised place."""

    def __init__(self) -> None:
        self._files: dict[str, SnapshotRecord] = {}
        self._damaged: dict[str, Damage] = {}

    def damage(self, location: str, how: Damage) -> None:
        """From now on no job can start from it."""
        self._damaged[normalise_location(location)] = how

    def damage_of(self, location: str) -> Damage | None:
        """What is wrong with a snapshot; None: nothing."""
        return self._damaged.get(normalise_location(location))

    def write(self, record: SnapshotRecord) -> None:
        """The files of a snapshot were written."""
        self._files[normalise_location(record.location)] = record

    def find(self, location: str) -> SnapshotRecord | None:
        """What a path leads to; None when there is nothing."""
        return self._files.get(normalise_location(location))

    def delete(self, location: str) -> bool:
        """Delete the files; False when there were none."""
        return self._files.pop(normalise_location(location), None) is not None

    def all(self) -> tuple[SnapshotRecord, ...]:
        """Everything that exists, oldest first."""
        return tuple(sorted(self._files.values(), key=lambda record: (record.run, record.checkpoint_id)))
