"""How busy jobs are is read while somebody asks, in turns, and never for those who do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from flinkjob.core.errors import Unreachable
from flinkjob.core.jobload import JobLoad, JobTimes, SourceLag, VertexTimes
from flinkjob.runtime.load_reads import NAMES_EVERY, READ_RATE, TOO_OLD, LoadReads
from tests.unit.runtime.conftest import World

JOB = "a" * 32


class Loaded:
    """A cluster whose jobs are busy for a quarter of the time since `began`, with one source of which 5 records wait."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.began = clock()
        self.calls: list[str] = []
        self.fails: Exception | None = None
        self.names: tuple[str, ...] | None = ("Source.pendingRecords",)

    async def job_times(self, job_id: str) -> JobTimes | None:
        self.calls.append(job_id)
        if self.fails is not None:
            raise self.fails
        lasted = 1000 * (self.clock() - self.began)
        return JobTimes({"v": VertexTimes(busy=lasted / 4, idle=lasted / 2, backpressured=lasted / 4)}, ("v",))

    async def lag_metrics(self, job_id: str, vertex: str) -> tuple[str, ...] | None:
        self.calls.append("names")
        return self.names

    async def source_lag(self, job_id: str, vertex: str, names: Sequence[str]) -> SourceLag:
        self.calls.append("lag")
        return SourceLag(pending=5)


class Site:
    def __init__(self, world: World) -> None:
        self.world = world
        self.flink = Loaded(world.now)
        self.reads = LoadReads(self.flink, lambda: ("ns",))

    def ask(self, *jobs: str) -> list[JobLoad | None]:
        async def asked() -> Any:
            return [self.reads.latest(job_id) for job_id in jobs]

        found: list[JobLoad | None] = self.world.run(asked())
        return found


@pytest.fixture
def site(world: World) -> Site:
    return Site(world)


def scrape(site: Site, *jobs: str, times: int) -> list[JobLoad | None]:
    found: list[JobLoad | None] = []
    for _ in range(times):
        found = site.ask(*jobs)
        site.world.pass_time(30)
    return found


def test_the_third_scrape_knows_how_busy_a_job_is(site: Site) -> None:
    assert scrape(site, JOB, times=1) == [None]
    assert scrape(site, JOB, times=1) == [JobLoad(lag=SourceLag(pending=5))]
    (found,) = scrape(site, JOB, times=1)
    assert found == JobLoad(busy=pytest.approx(0.25), backpressured=pytest.approx(0.25), lag=SourceLag(pending=5))


def test_a_scrape_costs_one_read_and_nothing_is_read_without_one(site: Site) -> None:
    scrape(site, JOB, times=10)
    assert site.flink.calls.count("names") == 1
    assert site.flink.calls.count(JOB) == 10
    before = len(site.flink.calls)
    site.world.pass_time(1000)
    assert len(site.flink.calls) == before
    assert site.ask(JOB) == [None], "what is too old is not given out"


def test_many_who_ask_at_once_share_so_many_reads_a_second(site: Site) -> None:
    jobs = [f"{number:032x}" for number in range(60)]
    for _ in range(20):
        site.ask(*jobs)
        before = len([each for each in site.flink.calls if len(each) == 32])
        site.world.pass_time(5)
        assert len([each for each in site.flink.calls if len(each) == 32]) - before <= 5 * READ_RATE + 1
    assert all(each is not None for each in site.ask(*jobs)), "each has had its turn"


def test_tasks_that_began_again_are_not_busy_by_what_they_did_before(site: Site) -> None:
    scrape(site, JOB, times=3)
    site.flink.began = site.world.now()
    assert scrape(site, JOB, times=2)[0] == JobLoad(lag=SourceLag(pending=5))


def test_where_flink_has_no_newer_numbers_the_last_ones_stay(site: Site) -> None:
    (before,) = scrape(site, JOB, times=3)
    stopped = site.world.now()
    site.flink.clock = lambda: stopped
    found = scrape(site, JOB, times=3)
    assert before is not None
    assert found == [before]


def test_a_read_that_fails_is_tried_at_the_next_scrape(site: Site) -> None:
    for error in (Unreachable("timeout", "no answer in time"), RuntimeError("a bug")):
        site.flink.fails = error
        assert scrape(site, JOB, times=1) == [None]
    site.flink.fails = None
    assert scrape(site, JOB, times=2) != [None]


def test_a_source_that_measures_nothing_is_asked_again_after_a_while(site: Site) -> None:
    site.flink.names = ()
    assert scrape(site, JOB, times=int(NAMES_EVERY / 30) - 1)[0] is not None
    assert (site.flink.calls.count("names"), site.flink.calls.count("lag")) == (1, 0)
    scrape(site, JOB, times=4)
    assert site.flink.calls.count("names") == 2


def test_a_source_of_which_flink_has_no_metrics_yet_is_asked_at_the_next_scrape(site: Site) -> None:
    site.flink.names = None
    assert scrape(site, JOB, times=2) == [JobLoad()]
    site.flink.names = ("Source.pendingRecords",)
    (found,) = scrape(site, JOB, times=2)
    assert found is not None
    assert found.lag == SourceLag(pending=5)


def test_what_is_not_running_is_forgotten(site: Site) -> None:
    assert scrape(site, JOB, times=2) != [None]
    site.reads.retain(lambda job_id: job_id != JOB)
    assert site.ask(JOB) == [None]
    site.reads.retain(lambda _: False)
    before = len(site.flink.calls)
    site.world.pass_time(TOO_OLD)
    assert len(site.flink.calls) == before
