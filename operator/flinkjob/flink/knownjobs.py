"""The jobs of the last overview of a cluster, so that those that have not changed are not understood anew.

Kept by whoever asks again and again, and given to `JobCalls.overview_jobs`. Invariant: a job is taken for unchanged where all
that is read of it is the same; its duration, which always changes, is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flinkjob.core.flinkmodel import JobOverview

_READ = ("jid", "name", "state", "start-time", "end-time", "last-modification", "schedulerType", "tasks")
"""What `wire.Job` reads of an entry."""
Row = tuple[Any, ...]


class KnownJobs:
    """Of one cluster."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[Row, JobOverview]] = {}
        self._next: dict[str, tuple[Row, JobOverview]] = {}

    def begin(self) -> None:
        """A new overview is read."""
        self._next = {}

    def end(self) -> None:
        """It was read to its end: what it does not have is forgotten."""
        self._last, self._next = self._next, {}

    def understand(
        self, entries: Sequence[Any], parse: Callable[[Sequence[Any]], Iterable[JobOverview]]
    ) -> list[JobOverview]:
        """The jobs of some entries of the overview.

        Args:
            parse: understands those that are not known.
        """
        rows = [_row(entry) for entry in entries]
        known = [self._unchanged(row) for row in rows]
        new = iter(parse([entry for entry, job in zip(entries, known, strict=True) if job is None]))
        jobs = [job if job is not None else next(new) for job in known]
        self._next.update((job.job_id, (row, job)) for row, job in zip(rows, jobs, strict=True) if row is not None)
        return jobs

    def _unchanged(self, row: Row | None) -> JobOverview | None:
        before = self._last.get(row[0]) if row is not None else None
        return before[1] if before is not None and before[0] == row else None


def _row(entry: Any) -> Row | None:
    """What is read of an entry; None where that is not as Flink writes it."""
    if not isinstance(entry, dict) or not isinstance(entry.get("jid"), str):
        return None
    return tuple(map(entry.get, _READ))
