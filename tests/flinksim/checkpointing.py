"""Checkpoints and savepoints of one simulated job: making them, counting them, what is retained.

Used by: `job.py`, whose job it belongs to. Invariants: ids only grow; snapshots are made one after the other; the counter
of a snapshot is that of the moment when it begins.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flinkjob.core.flinkmodel import CheckpointKind
from tests.flinksim.javaerrors import JavaError, expired, suspending
from tests.flinksim.settings import TIMEOUT, duration
from tests.flinksim.snapshots import SnapshotRecord

if TYPE_CHECKING:
    from tests.flinksim.job import SimJob

HISTORY = 10
Done = Callable[["Entry"], None]


@dataclass(kw_only=True, slots=True)
class Entry:
    """A snapshot in the statistics of its job."""

    id: int
    kind: CheckpointKind
    triggered: float
    location: str
    counter: int
    done: Done
    format: str | None = None
    status: str = "IN_PROGRESS"
    ended: float | None = None
    discarded: bool = False
    failure: JavaError | None = None
    record: SnapshotRecord | None = None


class Checkpointing:
    """Makes the snapshots of a job."""

    def __init__(self, job: "SimJob", first_id: int = 1) -> None:
        self._job = job
        self._busy_until = 0.0
        self.next_id = first_id
        self.history: list[Entry] = []
        self.pending: list[Entry] = []
        self.completed = 0
        self.failed = 0
        self.latest: dict[str, Entry] = {}

    @property
    def last_checkpoint(self) -> SnapshotRecord | None:
        """What a restart continues from: the last checkpoint (savepoints do not count)."""
        return self._job.last_checkpoint

    def begin(
        self, kind: CheckpointKind, directory: str, done: Done, *, format: str | None = None, hangs: bool = False
    ) -> Entry:
        """Start a snapshot; `done` is called when it is complete or has failed.

        Args:
            directory: of savepoints; checkpoints have their own below it.
            hangs: the tasks never take part, so that only the time limit of checkpoints ends it.
        """
        job, events = self._job, self._job.events
        number = self.next_id
        self.next_id += 1
        name = f"savepoint-{job.job_id[:6]}-{job.unique()}" if format else f"{job.job_id}/chk-{number}"
        location = _respelled(f"{directory.rstrip('/')}/{name}")
        entry = Entry(
            id=number,
            kind=kind,
            triggered=events.now,
            location=location,
            counter=job.counter,
            done=done,
            format=format,
        )
        self.pending.append(entry)
        self.history.insert(0, entry)
        del self.history[HISTORY:]
        start = max(events.now, self._busy_until)
        takes = job.settings.snapshot_seconds + job.program.snapshot_seconds
        limit = duration(job.config[TIMEOUT])
        if not hangs:
            self._busy_until = start + takes
        if hangs or self._busy_until - events.now > limit:
            events.after(limit, lambda: self._expire(entry))
        else:
            events.after(self._busy_until - events.now, lambda: self._end(entry))
        return entry

    def _end(self, entry: Entry) -> None:
        if entry not in self.pending:
            return
        if self._job.program.snapshots_fail:
            self._job.task_failed("java.io.IOException", "snapshot fails on purpose")
            return
        self.complete(entry)

    def _expire(self, entry: Entry) -> None:
        if entry not in self.pending:
            return
        self.fail(entry, expired())
        if entry.kind is not CheckpointKind.SAVEPOINT:
            self._job.snapshot_expired(entry)

    def complete(self, entry: Entry) -> None:
        """The snapshot is made."""
        job = self._job
        self.pending.remove(entry)
        record = SnapshotRecord(
            location=entry.location,
            job_id=job.job_id,
            run=job.run.number,
            checkpoint_id=entry.id,
            kind=entry.kind,
            counter=entry.counter,
            uid=job.program.uid,
            time=job.events.now,
            ancestry=job.run.ancestry,
        )
        entry.status, entry.ended, entry.record = "COMPLETED", job.events.now, record
        self.completed += 1
        self.latest["savepoint" if entry.format else "completed"] = entry
        job.store.write(record)
        job.run.snapshots.append(record)
        if not entry.format:
            self._subsume(entry)
            job.last_checkpoint = record
            job.newer_checkpoint()
        entry.done(entry)

    def _subsume(self, newest: Entry) -> None:
        """One checkpoint is retained: older ones are deleted."""
        for old in self.history:
            if old is not newest and not old.format and old.status == "COMPLETED":
                self.discard(old)

    def discard(self, entry: Entry) -> None:
        """Delete the files of a checkpoint."""
        entry.discarded = True
        self._job.store.delete(entry.location)

    def abort(self, failure: JavaError | None = None) -> None:
        """All snapshots under way fail."""
        for entry in tuple(self.pending):
            if entry in self.pending:
                self.fail(entry, failure or suspending())

    def fail(self, entry: Entry, failure: JavaError) -> None:
        """One snapshot fails."""
        self.pending.remove(entry)
        entry.status, entry.ended, entry.failure = "FAILED", self._job.events.now, failure
        self.failed += 1
        self.latest["failed"] = entry
        entry.done(entry)

    def discard_checkpoints(self) -> None:
        """Delete what is not to outlive the job."""
        for entry in self.history:
            if not entry.format and entry.status == "COMPLETED" and not entry.discarded:
                self.discard(entry)


def _respelled(location: str) -> str:
    """Flink answers `file:/x` for `file:///x`."""
    return "file:/" + location[len("file:///") :] if location.startswith("file:///") else location
