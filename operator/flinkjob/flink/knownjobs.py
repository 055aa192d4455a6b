"""The jobs of the last overview of a cluster, so that those that have not changed are not understood anew.

Kept by whoever asks again and again, and given to `JobCalls.overview_jobs`. Invariant: a job is taken for unchanged where all
that is read of it is the same; its duration, which always changes, is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from flinkjob.core.flinkmodel import JobOverview

_READ = ("jid", "name", "state", "start-time", "end-time", "last-modification", "schedulerType", "tasks")
"""What `wire.Job` reads of an entry."""


@dataclass(frozen=True, slots=True)
class _Overview:
    """What the jobs of an overview were made of, as JSON, and what was made of it, by id.

    Two tables of plain values: Python's collector, which stops everything, would look through anything else.
    """

    rows: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, JobOverview] = field(default_factory=dict)


class KnownJobs:
    """Of one cluster."""

    def __init__(self) -> None:
        self._last = _Overview()
        self._next = _Overview()

    def begin(self) -> None:
        """A new overview is read."""
        self._next = _Overview()

    def end(self) -> None:
        """It was read to its end: what it does not have is forgotten."""
        self._last, self._next = self._next, _Overview()

    def understand(
        self, entries: Sequence[Any], parse: Callable[[Sequence[Any]], Iterable[JobOverview]]
    ) -> list[JobOverview]:
        """The jobs of some entries of the overview.

        Args:
            parse: understands those that are not known.
        """
        rows = [_row(entry) for entry in entries]
        known = [
            self._last.jobs[entry["jid"]] if row is not None and self._last.rows.get(entry["jid"]) == row else None
            for entry, row in zip(entries, rows, strict=True)
        ]
        new = iter(parse([entry for entry, job in zip(entries, known, strict=True) if job is None]))
        jobs = [job if job is not None else next(new) for job in known]
        for row, job in zip(rows, jobs, strict=True):
            if row is not None:
                self._next.rows[job.job_id], self._next.jobs[job.job_id] = row, job
        return jobs


def _row(entry: Any) -> bytes | None:
    """What is read of an entry; None where that is not as Flink writes it."""
    if not isinstance(entry, dict) or not isinstance(entry.get("jid"), str):
        return None
    written = orjson.dumps([entry.get(name) for name in _READ])
    return bytes(memoryview(written))  # a copy of its own size: what orjson gives out takes 4 KiB, however short it is
