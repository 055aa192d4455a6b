"""Overviews of very many jobs are compared some jobs at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from flinkjob.core.flinkmodel import FlinkJobState, JobOverview, TaskCounts
from flinkjob.core.identity import prefix_of
from flinkjob.runtime.failure_reads import FailureReads
from flinkjob.runtime.overview import AT_ONCE, Overview, compare

MANY = 10 * AT_ONCE + 1


def _job(number: int, state: FlinkJobState = FlinkJobState.RUNNING, running: int = 1) -> JobOverview:
    tasks = TaskCounts(total=1, running=running)
    return JobOverview(job_id=f"{number:032x}"[::-1], name="a", state=state, tasks=tasks)


@asynccontextmanager
async def turns() -> AsyncIterator[list[int]]:
    """Something else that wants to go on; whoever works adds to the last number, a new one of which each turn brings."""
    found, over = [0], asyncio.Event()

    async def others() -> None:
        while not over.is_set():
            found.append(0)
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    yield found
    over.set()
    await waiting


class Counted(Sequence[JobOverview]):
    """Jobs, of which is counted how many are taken in each turn."""

    def __init__(self, jobs: Sequence[JobOverview], found: list[int]) -> None:
        self._jobs, self._found = jobs, found

    def __len__(self) -> int:
        return len(self._jobs)

    def __getitem__(self, at: slice) -> Sequence[JobOverview]:  # type: ignore[override]
        taken = self._jobs[at]
        self._found[-1] += len(taken)
        return taken


@pytest.mark.invariant(12)
@pytest.mark.threat("too-large", "too-slow")
async def test_very_many_jobs_are_compared_some_at_a_time() -> None:
    """Measured before: 56 to 147 milliseconds for 31,000 jobs, in which nothing else went on."""
    jobs = [_job(number) for number in range(MANY)]
    async with turns() as found:
        overview = await compare(Overview(), Counted(jobs, found), 5.0)
    assert list(overview.jobs.values()) == jobs
    assert max(found) == AT_ONCE
    assert sum(found) == MANY


@pytest.mark.invariant(12)
@pytest.mark.threat("too-large", "too-slow")
async def test_how_steadily_very_many_jobs_run_is_seen_some_at_a_time() -> None:
    overview = await compare(Overview(), [_job(number) for number in range(MANY)], 5.0)

    async def read(_: str) -> None:
        return None

    async with turns() as found:

        def watched(_: str) -> bool:
            found[-1] += 1
            return True

        restarts = FailureReads(read, lambda _: None, name="c")
        await restarts.look({}, overview.jobs, watched, refresh=1.0)
    assert max(found) == AT_ONCE
    assert sum(found) == MANY
    assert all(restarts.steady_for(job_id) > 0 for job_id in overview.jobs)


async def test_what_came_went_or_changed_is_told() -> None:
    before = await compare(Overview(), [_job(1), _job(2), _job(3), _job(4), _job(5, FlinkJobState.FINISHED)], 5.0)
    ended = _job(2, FlinkJobState.FAILED)
    now = await compare(before, [_job(1), ended, _job(3, running=0), _job(5, FlinkJobState.FINISHED), _job(6)], 7.0)
    changed = [ended, _job(3), _job(4), _job(6)]
    assert now.changed == {prefix_of(job.job_id) for job in changed}
    assert now.terminal == {ended.job_id: 7.0, _job(5).job_id: 5.0}
    assert now.by_prefix[prefix_of(ended.job_id)] == [ended]
    assert _job(4).job_id not in now.jobs
