"""Two overviews of a cluster compared, some jobs at a time: a cluster with very many jobs holds up nothing else.

Used by `cluster` and `failure_reads`. Invariant: what was known stays as it is until all of the new one is understood.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from flinkjob.core.flinkmodel import JobOverview
from flinkjob.core.identity import prefix_of

AT_ONCE: Final = 1000
"""So many jobs are looked at before something else has its turn; it takes some milliseconds."""

T = TypeVar("T")


@dataclass(frozen=True)
class Overview:
    """The jobs of a cluster.

    Attributes:
        jobs: by id.
        by_prefix: by the prefix of their ids.
        terminal: since when each terminal job is known to be so (monotonic seconds).
        changed: the prefixes of the jobs that came, went, or are in another state than before.
    """

    jobs: dict[str, JobOverview] = field(default_factory=dict)
    by_prefix: dict[str, list[JobOverview]] = field(default_factory=dict)
    terminal: dict[str, float] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)


async def some_at_a_time(items: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    """Parts of a sequence, after each of which the event loop goes on."""
    for start in range(0, len(items), AT_ONCE):
        yield items[start : start + AT_ONCE]
        await asyncio.sleep(0)


async def compare(before: Overview, seen: Sequence[JobOverview], now: float) -> Overview:
    """The overview that was seen now, after another one."""
    found = Overview()
    async for some in some_at_a_time(seen):
        for job in some:
            prefix = prefix_of(job.job_id)
            found.jobs[job.job_id] = job
            found.by_prefix.setdefault(prefix, []).append(job)
            if job.state.is_terminal:
                found.terminal[job.job_id] = before.terminal.get(job.job_id, now)
            if _differs(before.jobs.get(job.job_id), job):
                found.changed.add(prefix)
    async for ids in some_at_a_time(tuple(before.jobs)):
        found.changed.update(prefix_of(job_id) for job_id in ids if job_id not in found.jobs)
    return found


def _differs(before: JobOverview | None, now: JobOverview) -> bool:
    return before is None or before.state is not now.state or before.tasks != now.tasks
