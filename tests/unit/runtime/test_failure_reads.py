"""Whose failures are read, how soon, and how often: beside the poller and within a budget that puts off and drops nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flinkjob.core.errors import Unreachable
from flinkjob.core.flinkmodel import FlinkJobState, JobException
from flinkjob.core.jobfailures import JobFailures
from flinkjob.core.steadiness import READ_AGAIN
from flinkjob.runtime.failure_reads import READS_A_SECOND
from tests.unit.runtime.conftest import World
from tests.unit.runtime.stubs import job_overview
from tests.unit.runtime.test_clusters import JOB, KEY, PREFIX, STRANGER, Site

START = datetime(2026, 1, 1, tzinfo=UTC)


def failures(*seconds: int) -> JobFailures:
    times = tuple(START + timedelta(seconds=each) for each in sorted(seconds, reverse=True))
    return JobFailures(newest=JobException(time=times[0], name="x", root_cause="x"), times=times)


@pytest.fixture
def site(world: World) -> Site:
    """A cluster on which a job runs, watched by one key."""
    site = Site(world, fast=0.2, slow=1.0)
    site.flink.jobs[JOB] = job_overview(JOB)
    site.watch()
    world.pass_time(10)
    site.woken.clear()
    return site


def asked(site: Site) -> int:
    return site.flink.calls.count("failures")


def restart(site: Site, second: int, job_id: str = JOB) -> None:
    """Flink restarts the job between two looks: only the time of its last change tells."""
    site.flink.change(job_id, last_modification=START + timedelta(seconds=second))
    site.flink.failed[job_id] = failures(*range(second + 1))


def test_a_steady_job_is_never_asked(site: Site) -> None:
    site.world.pass_time(3600)
    assert asked(site) == 0
    assert site.job().steady_for == pytest.approx(3609, abs=3)
    assert site.job().short_for == 0.0


def test_a_restart_between_two_looks_is_noticed_and_wakes_the_key(site: Site) -> None:
    restart(site, 1)
    site.world.pass_time(1.1)
    seen = site.job()
    assert seen.failures == failures(0, 1)
    assert seen.steady_for < 1.1
    assert site.woken == [KEY]


def test_it_is_read_once_more_when_flinks_own_cache_has_expired_and_then_no_more(site: Site) -> None:
    restart(site, 1)
    site.flink.failed.clear()  # as the cache has it
    site.world.pass_time(1.1)
    assert asked(site) == 1
    restart_is_known = failures(1)
    site.flink.failed[JOB] = restart_is_known
    site.world.pass_time(60)
    assert site.job().failures == restart_is_known
    assert asked(site) == 2


def test_a_job_that_stays_down_is_asked_again_and_again_but_seldom(site: Site) -> None:
    site.flink.change(JOB, state=FlinkJobState.RESTARTING, tasks=job_overview(JOB, running=0).tasks)
    site.world.pass_time(600)
    assert asked(site) <= 600 / READ_AGAIN + 5
    assert asked(site) >= 600 / READ_AGAIN / 2
    assert site.job().short_for == pytest.approx(600, abs=2)
    assert site.job().steady_for == 0.0


def test_a_job_that_never_gets_all_its_tasks_is_asked_though_nothing_changes(site: Site) -> None:
    late = PREFIX + "2" * 16
    site.flink.jobs[late] = job_overview(late, running=0)
    site.world.pass_time(2)
    assert asked(site) == 0, "every job begins like that"
    site.world.pass_time(4)
    assert site.flink.asked_failures == [late]


def test_a_job_that_starts_well_is_not_asked(site: Site) -> None:
    late = PREFIX + "2" * 16
    site.flink.jobs[late] = job_overview(late, running=0)
    site.world.pass_time(1.5)
    site.flink.change(late, tasks=job_overview(late).tasks, last_modification=START)
    site.world.pass_time(60)
    assert asked(site) == 0


def test_a_crash_loop_is_asked_eagerly_first_and_then_seldom(site: Site) -> None:
    for second in range(1, 300):
        restart(site, second)
        site.world.pass_time(1)
    assert asked(site) <= 300 / READ_AGAIN + 6
    seen = site.job().failures
    assert seen is not None
    assert seen.times[0] >= START + timedelta(seconds=285)


def test_many_that_fail_at_once_have_their_turn_within_the_budget(site: Site) -> None:
    jobs = [f"{PREFIX}{number:016x}" for number in range(40)]
    site.flink.jobs |= {job_id: job_overview(job_id) for job_id in jobs}
    site.world.pass_time(5)
    for job_id in jobs:
        restart(site, 1, job_id)
    for _ in range(11):
        before = asked(site)
        site.world.pass_time(2)
        assert asked(site) - before <= 2 * READS_A_SECOND + 1
    assert set(jobs) == set(site.flink.asked_failures), "nobody's turn is lost"
    site.world.pass_time(60)
    assert max(site.flink.asked_failures.count(job_id) for job_id in jobs) == 2


def test_a_read_that_fails_is_made_up_for_and_holds_up_no_look(site: Site) -> None:
    site.flink.errors["failures"] = Unreachable("timeout", "timed out")
    restart(site, 1)
    site.world.pass_time(10)
    assert site.job().failures == failures(0, 1)
    site.flink.errors["failures"] = RuntimeError("a bug")
    restart(site, 2)
    site.world.pass_time(10)
    assert site.job().failures == failures(0, 1, 2)
    assert site.seen().reachable


def test_jobs_that_nobody_watches_or_that_have_ended_are_not_asked(site: Site) -> None:
    site.flink.jobs[STRANGER] = job_overview(STRANGER)
    site.world.pass_time(3)
    restart(site, 1, STRANGER)
    site.flink.change(JOB, state=FlinkJobState.FAILED)
    site.world.pass_time(60)
    assert asked(site) == 0


def test_what_was_read_goes_with_the_job(site: Site) -> None:
    restart(site, 1)
    site.world.pass_time(5)
    gone = site.flink.jobs.pop(JOB)
    site.world.pass_time(5)
    site.flink.jobs[JOB] = gone
    site.world.pass_time(2)
    assert site.job().failures is None
