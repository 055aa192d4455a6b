"""One poller for each cluster: what it knows, whom it wakes, when a job counts as absent, how often it asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from flinkjob.core.errors import FlinkJobError, Unreachable
from flinkjob.core.flinkmodel import (
    Checkpoint,
    CheckpointKind,
    CheckpointStats,
    CheckpointStatus,
    FlinkJobState,
    JobOverview,
)
from flinkjob.core.seen import ClusterSeen, JobSeen, Presence
from flinkjob.net.permits import Permits, on_account
from flinkjob.runtime.access import Access
from flinkjob.runtime.checkpoint_reads import AFTER_FAILURE, READ_AT_LEAST, READ_EVERY
from flinkjob.runtime.cluster import Cluster
from flinkjob.runtime.clusters import Clusters
from flinkjob.runtime.pace import MOST_QUICK, Pace
from flinkjob.runtime.queue import Key
from tests.unit.runtime.conftest import World
from tests.unit.runtime.stubs import StubFlink, job_overview

KEY, OTHER = ("ns", "a"), ("ns", "b")
PREFIX = "a" * 16
JOB, STRANGER = PREFIX + "1" * 16, "b" * 32
URL = "http://flink.example:8081"


class Site:
    """One cluster and who is woken."""

    def __init__(self, world: World, *, fast: float = 0.5, slow: float = 5.0, quick: float | None = None) -> None:
        self.world = world
        self.flink = StubFlink()
        self.woken: list[Key] = []
        self.released: list[str] = []
        self.looks: list[float] = []
        client: Any = self.flink

        async def release(url: str, access: Access | None) -> None:
            self.released.append(url)

        pace, wake, note = Pace(fast, slow, quick), self.woken.append, self.looks.append
        self.clusters = Clusters(lambda url, access: client, pace, wake, release=release, polled=note)
        self.cluster = self.ask(lambda: _ready(self.clusters.at(URL, ("ns", "a"))))

    def ask(self, what: Callable[[], Awaitable[Any]]) -> Any:
        async def asked() -> Any:
            return await what()

        return self.world.run(asked())

    def watch(self, key: Key = KEY, *, moving: bool = False) -> None:
        async def watch() -> None:
            self.clusters.watch(key, URL, frozenset({PREFIX}), moving=moving)

        self.world.run(watch())

    def job(self, job_id: str = JOB, *, expected: bool = True) -> JobSeen:
        seen: JobSeen = self.ask(lambda: self.cluster.job(job_id, expected=expected))
        return seen

    def seen(self) -> ClusterSeen:
        seen: ClusterSeen = self.ask(self.cluster.seen)
        return seen


async def _ready(cluster: Cluster) -> Cluster:
    await cluster.seen()
    return cluster


@pytest.fixture
def site(world: World) -> Site:
    return Site(world)


def test_the_first_answer_is_waited_for(site: Site) -> None:
    seen = site.seen()
    assert (seen.reachable, seen.incarnation, seen.flink_version, seen.refresh_interval) == (True, "jm-1", "2.3.0", 1.5)


def test_every_look_is_timed_answered_or_not(site: Site) -> None:
    looks = len(site.looks)
    assert looks > 0
    site.ask(site.cluster.poll)
    site.flink.down = True
    site.ask(site.cluster.poll)
    assert len(site.looks) == looks + 2
    assert min(site.looks) >= 0


def test_a_cluster_that_never_answers_is_waited_for_a_moment_only(world: World) -> None:
    flink = StubFlink()
    flink.down = True
    client: Any = flink
    begun = world.now()

    async def first() -> ClusterSeen:
        return await Clusters(lambda *_: client, Pace(), lambda _: None).at(URL, ("ns", "a")).seen()

    seen = world.run(first())
    assert (seen.reachable, seen.error) == (False, "connection refused")
    assert world.now() - begun <= 0.6


# presence


def test_a_job_of_the_overview_is_present(site: Site) -> None:
    site.flink.jobs[JOB] = job_overview(JOB)
    seen = site.job()
    assert (seen.presence, seen.overview) == (Presence.PRESENT, site.flink.jobs[JOB])


def test_only_not_found_is_absent_and_it_counts_from_the_first_time(site: Site) -> None:
    first = site.job()
    assert (first.presence, first.absent_for) == (Presence.ABSENT, 0.0)
    site.world.pass_time(7)
    assert site.job().absent_for == pytest.approx(7.0)


def test_a_job_that_the_overview_leaves_out_is_not_absent(site: Site) -> None:
    site.flink.jobs[JOB] = job_overview(JOB)
    site.flink.omitted.add(JOB)
    assert site.job().presence is Presence.UNKNOWN
    site.world.pass_time(60)
    assert site.job().presence is Presence.UNKNOWN


def test_an_answer_in_between_starts_the_count_again(site: Site) -> None:
    site.job()
    site.world.pass_time(4)
    site.flink.jobs[JOB] = job_overview(JOB)
    site.flink.omitted.add(JOB)
    assert site.job().presence is Presence.UNKNOWN
    del site.flink.jobs[JOB]
    site.world.pass_time(4)
    assert site.job().absent_for == 0.0


def test_absence_counts_for_one_jobmanager_only(site: Site) -> None:
    site.job()
    site.world.pass_time(4)
    site.flink.manager = "jm-2"
    assert site.job().absent_for == 0.0
    assert site.seen().incarnation == "jm-2"
    site.world.pass_time(6)
    assert site.job().absent_for == pytest.approx(6.0)


def test_where_absence_is_the_normal_case_one_look_is_enough(site: Site) -> None:
    seen = site.job(expected=False)
    assert (seen.presence, seen.absent_for) == (Presence.ABSENT, 0.0)
    assert "status" not in site.flink.calls


@pytest.mark.parametrize("call", ["manager", "status"])
def test_a_question_without_an_answer_is_not_absence(site: Site, call: str) -> None:
    site.flink.errors[call] = Unreachable("timeout", "timed out")
    with pytest.raises(FlinkJobError):
        site.job()


def test_an_unreachable_cluster_changes_nothing_that_is_known(site: Site) -> None:
    site.flink.jobs[JOB] = job_overview(JOB)
    site.watch()
    site.world.pass_time(10)
    site.flink.down = True
    site.world.pass_time(30)
    assert site.job().presence is Presence.UNKNOWN
    assert site.cluster.known(JOB) == site.flink.jobs[JOB]
    seen = site.seen()
    assert not seen.reachable
    assert seen.unreachable_for == pytest.approx(30, abs=6)
    assert seen.incarnation == "jm-1"
    site.flink.down = False
    site.world.pass_time(10)
    assert site.seen().reachable
    assert site.seen().unreachable_for == 0.0
    assert site.job().presence is Presence.PRESENT


def test_how_long_a_job_has_been_terminal(site: Site) -> None:
    site.flink.jobs[JOB] = job_overview(JOB)
    site.watch()
    site.world.pass_time(10)
    site.flink.change(JOB, state=FlinkJobState.FINISHED)
    site.world.pass_time(5.1)
    since = site.job().terminal_for
    site.world.pass_time(3)
    assert site.job().terminal_for == pytest.approx(since + 3)


# waking


def test_a_key_is_woken_when_its_job_changes_and_only_then(site: Site) -> None:
    site.flink.jobs = {JOB: job_overview(JOB), STRANGER: job_overview(STRANGER)}
    site.watch()
    site.world.pass_time(20)
    site.woken.clear()
    site.world.pass_time(100)
    site.flink.change(STRANGER, state=FlinkJobState.FAILED)
    site.world.pass_time(20)
    assert site.woken == []
    for change in (
        {"state": FlinkJobState.RESTARTING},
        {"tasks": job_overview(JOB, running=0).tasks},
        {"state": FlinkJobState.FAILED},
    ):
        site.flink.change(JOB, **change)
        site.world.pass_time(10)
        assert site.woken == [KEY]
        site.woken.clear()
    del site.flink.jobs[JOB]
    site.world.pass_time(10)
    assert site.woken == [KEY]


def test_a_silence_and_its_end_wake_everybody_once(site: Site) -> None:
    site.watch()
    site.world.pass_time(10)
    site.woken.clear()
    site.flink.down = True
    site.world.pass_time(60)
    assert site.woken == [KEY]
    site.flink.down = False
    site.world.pass_time(10)
    assert site.woken == [KEY, KEY]


def test_a_look_that_fails_in_the_operator_itself_is_silence_and_not_the_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Secret that is rotated to something that no header can hold, for example."""
    site.watch()
    site.world.pass_time(10)

    async def broken(_: Any) -> None:
        raise UnicodeError("label too long")

    with monkeypatch.context() as patched:
        patched.setattr(site.cluster.client, "overview_jobs", broken)
        site.world.pass_time(60)
        assert not site.seen().reachable
    site.world.pass_time(60)
    assert site.seen().reachable


def test_a_job_that_nobody_watches_is_a_stranger(site: Site) -> None:
    gone = "c" * 32
    site.flink.jobs = {
        JOB: job_overview(JOB),
        STRANGER: job_overview(STRANGER),
        gone: job_overview(gone, FlinkJobState.FINISHED),
    }
    site.watch()
    site.world.pass_time(10)
    assert [job.job_id for job in site.cluster.unknown_jobs()] == [STRANGER]
    assert [job.job_id for job in site.cluster.owned_jobs((PREFIX, "e" * 16))] == [JOB]


def test_a_stranger_is_asked_once_whose_it_is(site: Site) -> None:
    marked, plain, late = STRANGER, "d" * 32, "e" * 32
    mark = {"flinkjob.dev/owner": "i/ns/n", "flinkjob.dev/uid": "u", "flinkjob.dev/submission": "3"}
    site.flink.jobs = {each: job_overview(each) for each in (JOB, marked, plain)}
    site.flink.user_configs = {marked: mark, plain: {}}
    site.watch()
    site.world.pass_time(10)
    assert site.ask(lambda: site.cluster.marks(1)) is None, "one was asked, the other was not yet"
    found = site.ask(lambda: site.cluster.marks(1))
    read = {job_id: each and (each.owner, each.number) for job_id, each in found.items()}
    assert read == {marked: ("i/ns/n", 3), plain: None}
    site.flink.jobs[late] = job_overview(late)
    site.flink.user_configs[late] = {}
    site.world.pass_time(10)
    assert site.ask(lambda: site.cluster.marks(5)) == found | {late: None}
    assert site.ask(lambda: site.cluster.mark(marked)) == found[marked]
    assert sorted(site.flink.asked_configs) == [marked, plain, late]


def test_a_job_that_is_being_initialised_is_asked_again(site: Site) -> None:
    mark = {"flinkjob.dev/owner": "i/ns/n", "flinkjob.dev/uid": "u", "flinkjob.dev/submission": "3"}
    site.flink.jobs[STRANGER] = job_overview(STRANGER, FlinkJobState.INITIALIZING)
    site.flink.user_configs[STRANGER] = {}
    site.world.pass_time(10)
    assert site.ask(lambda: site.cluster.marks(5)) == {STRANGER: None}
    site.flink.jobs[STRANGER] = job_overview(STRANGER)
    site.flink.user_configs[STRANGER] = mark
    site.world.pass_time(10)
    assert site.ask(lambda: site.cluster.mark(STRANGER)).owner == "i/ns/n"


def test_another_job_under_the_same_id_is_asked_again(site: Site) -> None:
    site.flink.jobs[STRANGER] = job_overview(STRANGER)
    site.flink.user_configs[STRANGER] = {}
    site.world.pass_time(10)
    assert site.ask(lambda: site.cluster.mark(STRANGER)) is None
    again = datetime(2026, 1, 2, tzinfo=UTC)
    site.flink.jobs[STRANGER] = replace(job_overview(STRANGER), start_time=again)
    site.flink.user_configs[STRANGER] = {
        "flinkjob.dev/owner": "i/ns/n",
        "flinkjob.dev/uid": "u",
        "flinkjob.dev/submission": "3",
    }
    site.world.pass_time(10)
    assert site.ask(lambda: site.cluster.mark(STRANGER)).owner == "i/ns/n"


@pytest.mark.isolation("job-of-nobody")
def test_who_watches_the_job_of_another_takes_nothing_from_its_waking(site: Site) -> None:
    site.flink.jobs[JOB] = job_overview(JOB)
    site.watch(KEY)
    site.watch(OTHER)
    site.world.pass_time(10)
    site.woken.clear()
    site.flink.jobs[JOB] = job_overview(JOB, FlinkJobState.FINISHED)
    site.world.pass_time(10)
    assert sorted(site.woken) == [KEY, OTHER]
    site.world.run(site.clusters.forget(OTHER))
    site.woken.clear()
    del site.flink.jobs[JOB]
    site.world.pass_time(10)
    assert site.woken == [KEY]


@pytest.mark.isolation("job-of-nobody")
def test_a_visitor_has_the_cluster_polled_and_is_woken_by_no_job(site: Site) -> None:
    async def visit() -> None:
        site.clusters.visit(OTHER, URL)

    site.flink.jobs[JOB] = job_overview(JOB)
    site.world.run(visit())
    before = site.flink.calls.count("overview")
    site.world.pass_time(10)
    assert site.flink.calls.count("overview") > before
    site.woken.clear()
    site.flink.jobs[JOB] = job_overview(JOB, FlinkJobState.FINISHED)
    site.world.pass_time(10)
    assert site.woken == []
    assert site.cluster.namespaces == frozenset()
    site.watch(OTHER)
    site.world.run(visit())
    site.flink.jobs[JOB] = job_overview(JOB)
    site.world.pass_time(10)
    assert site.woken == [OTHER], "a visit takes nothing back"


# pace


def _polls(site: Site, seconds: float) -> int:
    before = site.flink.calls.count("overview")
    site.world.pass_time(seconds)
    return site.flink.calls.count("overview") - before


def test_it_asks_fast_while_something_moves_and_slowly_otherwise(site: Site) -> None:
    site.watch()
    assert 9 <= _polls(site, 50) <= 11
    site.watch(moving=True)
    assert 99 <= _polls(site, 50) <= 102
    site.watch()
    assert 9 <= _polls(site, 50) <= 12


def test_it_asks_quickly_right_after_something_has_begun_to_move(world: World) -> None:
    site = Site(world, quick=0.02)
    site.watch()
    site.world.pass_time(6)
    site.watch(moving=True)
    first, second, third = (_polls(site, seconds) for seconds in (0.35, 0.35, 0.3))
    assert 12 < first < 18
    assert first > 1.5 * second > 2 * third, "more seldom by and by"
    assert 19 <= _polls(site, 10) <= 22, "fast, no longer quickly"


def test_it_asks_quickly_after_a_look_of_somebody_else_that_found_a_change(world: World) -> None:
    """As when a run call is answered, and its job is looked for."""
    site = Site(world, quick=0.01)
    site.watch(moving=True)
    site.world.pass_time(20)
    assert _polls(site, 0.51) == 1
    site.flink.jobs[JOB] = job_overview(JOB)
    site.ask(site.cluster.poll)
    assert _polls(site, 0.06) >= 4
    site.world.pass_time(20)
    site.ask(site.cluster.poll)
    assert _polls(site, 0.45) == 0, "it has just been looked at"


def test_it_asks_quickly_right_after_something_has_changed(world: World) -> None:
    site = Site(world, quick=0.1)
    site.watch(moving=True)
    site.world.pass_time(20)
    site.flink.jobs[JOB] = job_overview(JOB)
    assert 8 <= _polls(site, 1.5) <= 12


def test_where_a_look_takes_long_none_is_quick(world: World) -> None:
    site = Site(world, quick=0.1)
    site.flink.lasts = 0.2
    site.watch()
    site.world.pass_time(6)
    site.watch(moving=True)
    assert _polls(site, 2) <= 4


def test_where_many_move_none_is_quick(world: World) -> None:
    site = Site(world, quick=0.1)
    site.watch()
    site.world.pass_time(6)
    for number in range(MOST_QUICK + 1):
        site.watch(("ns", f"j{number}"), moving=True)
    assert 4 <= _polls(site, 2) <= 5
    site.flink.lasts = 0.2
    assert 4 <= _polls(site, 10) <= 6, "fewer where a look takes long"


def test_what_begins_to_move_is_looked_at_at_once(site: Site) -> None:
    site.watch()
    site.world.pass_time(5.2)
    begun = site.flink.calls.count("overview")
    site.watch(moving=True)
    site.world.pass_time(0.01)
    assert site.flink.calls.count("overview") == begun + 1


def test_a_silent_cluster_is_asked_less_and_less_often(site: Site) -> None:
    site.watch(moving=True)
    site.flink.down = True
    assert _polls(site, 120) <= 30


def test_many_who_ask_at_once_share_one_answer(site: Site) -> None:
    async def many() -> None:
        await asyncio.gather(*(site.cluster.poll() for _ in range(20)))

    site.world.pass_time(1)
    site.flink.lasts = 0.1
    before = site.flink.calls.count("overview")
    site.world.run(many())
    assert site.flink.calls.count("overview") - before <= 2


class Checkpointing(StubFlink):
    """A cluster whose jobs complete a checkpoint every ten seconds."""

    def __init__(self, clock: Callable[[], float], jobs: list[str]) -> None:
        super().__init__()
        self.clock = clock
        self.jobs = {job_id: job_overview(job_id) for job_id in jobs}

    async def checkpoints(self, job_id: str) -> CheckpointStats | None:
        self._answer("checkpoints")
        number = int(self.clock() // 10)
        at = datetime.fromtimestamp(number * 10, UTC)
        kind, status = CheckpointKind.CHECKPOINT, CheckpointStatus.COMPLETED
        done = Checkpoint(checkpoint_id=number, status=status, kind=kind, latest_ack_time=at)
        return CheckpointStats(completed=number, latest_completed=done, history=(done,))


def test_of_many_jobs_that_are_all_asked_for_at_once_none_is_forgotten(world: World) -> None:
    """A budget that is used up puts off: whatever rounds there are, nothing that is known is older than five minutes."""
    jobs = [f"{number:016x}" + "1" * 16 for number in range(20)]
    site = Site(world)
    site.flink = Checkpointing(world.now, jobs)
    client: Any = site.flink
    news: list[Key] = []
    clusters = Clusters(lambda url, access: client, Pace(0.5, 5.0), site.woken.append, news=news.append)
    cluster = site.ask(lambda: _ready(clusters.at(URL, ("ns", "a"))))

    async def resync() -> None:
        for job_id in jobs:
            cluster.checkpoints.latest(("ns", job_id), job_id)

    for second in range(0, 3600, 10):
        if second % 300 == 0:
            site.ask(resync)
        world.pass_time(10)
        known = clusters.newest_checkpoints()
        assert set(known) == set(jobs)
        assert world.now() - min(known.values()).timestamp() <= 300
    assert sorted(site.woken) == sorted(("ns", job_id) for job_id in jobs), "each is woken for its first checkpoint"
    assert set(news) == {("ns", job_id) for job_id in jobs}
    assert site.flink.calls.count("checkpoints") <= 3600 / READ_EVERY * len(jobs) + len(jobs)
    del site.flink.jobs[jobs[0]]
    site.flink.jobs[jobs[1]] = job_overview(jobs[1], FlinkJobState.CANCELED)
    world.pass_time(6)
    assert set(clusters.newest_checkpoints()) == set(jobs[2:]), "what is not running is forgotten"
    site.ask(clusters.close)


def test_of_very_many_jobs_each_is_read_less_often_and_none_is_forgotten(world: World) -> None:
    """A thousand jobs get fewer reads than looks, not ten times as many; each is known as of twenty minutes ago."""
    jobs = [f"{number:016x}" + "1" * 16 for number in range(1000)]
    site = Site(world)
    site.flink = Checkpointing(world.now, jobs)
    client: Any = site.flink
    clusters = Clusters(lambda url, access: client, Pace(0.5, 5.0), lambda _: None)
    cluster = site.ask(lambda: _ready(clusters.at(URL, ("ns", "a"))))

    async def ask() -> None:
        for job_id in jobs:
            cluster.checkpoints.latest(("ns", job_id), job_id)

    site.ask(ask)
    world.pass_time(len(jobs) / 2 + 10)
    assert len(clusters.newest_checkpoints()) == len(jobs)
    before = site.flink.calls.count("checkpoints")
    world.pass_time(3600)
    assert world.now() - min(clusters.newest_checkpoints().values()).timestamp() <= READ_AT_LEAST + 60
    assert 2 * len(jobs) <= site.flink.calls.count("checkpoints") - before <= 4 * len(jobs)
    site.ask(clusters.close)


@pytest.mark.report("turns")
def test_reads_of_statistics_are_budgeted(world: World) -> None:
    site = Site(world)
    jobs = [f"{PREFIX}{number:016x}" for number in range(60)]
    site.flink.jobs = {job_id: job_overview(job_id) for job_id in jobs}

    async def ask() -> None:
        for job_id in jobs:
            site.cluster.checkpoints.latest(KEY, job_id)

    world.pass_time(6)
    for _ in range(10):
        site.ask(ask)
        before = site.flink.calls.count("checkpoints")
        world.pass_time(10)
        assert 18 <= site.flink.calls.count("checkpoints") - before <= 21


def test_a_read_without_an_answer_is_tried_again(world: World) -> None:
    site = Site(world)
    site.flink = Checkpointing(world.now, [JOB])
    client: Any = site.flink
    clusters = Clusters(lambda url, access: client, Pace(0.5, 5.0), site.woken.append)
    cluster = site.ask(lambda: _ready(clusters.at(URL, ("ns", "a"))))

    async def ask() -> Any:
        return cluster.checkpoints.latest(KEY, JOB)

    site.flink.errors["checkpoints"] = Unreachable("timeout", "no answer in time")
    assert site.ask(ask) is None
    world.pass_time(AFTER_FAILURE + 1)
    assert JOB in clusters.newest_checkpoints()
    known = site.ask(ask)
    assert world.now() - known.at <= 2
    site.ask(clusters.close)


# which JobManager


def test_another_jobmanager_is_noticed_and_asked_for_its_configuration(site: Site) -> None:
    site.watch()
    site.flink.manager, site.flink.version = "jm-2", "2.4.0"
    site.flink.config = {"execution.checkpointing.savepoint-dir": "s3://b/sp"}
    site.flink.down = True
    site.world.pass_time(6)
    site.flink.down = False
    site.world.pass_time(6)
    seen = site.seen()
    assert (seen.incarnation, seen.flink_version, seen.savepoint_directory) == ("jm-2", "2.4.0", "s3://b/sp")
    assert not seen.several_managers


def test_an_earlier_jobmanager_that_answers_again_shares_the_address(site: Site) -> None:
    for manager, several in (("jm-2", False), ("jm-1", True), ("jm-2", True)):
        site.flink.manager = manager
        site.ask(site.cluster.identify)
        assert site.seen().several_managers == several
    site.world.pass_time(200)
    site.ask(site.cluster.identify)
    assert not site.seen().several_managers


# who watches what


def test_a_cluster_that_nobody_watches_is_let_go(site: Site) -> None:
    site.watch()
    site.watch(OTHER)
    site.ask(lambda: site.clusters.forget(KEY))
    assert site.clusters.all() == (site.cluster,)
    site.ask(lambda: site.clusters.forget(OTHER))
    assert site.clusters.all() == ()
    assert site.released == [URL]
    assert _polls(site, 60) == 0


def test_a_cluster_that_a_key_asks_is_kept_whoever_else_is_forgotten(site: Site) -> None:
    """A key in its first round watches nothing yet; and where it shall move to it asks before it is there."""
    third = ("other", "c")

    async def live() -> None:
        site.clusters.need(KEY, URL, "http://other")
        site.clusters.at("http://other", ("ns", "a"))
        site.clusters.need(third, URL)
        await site.clusters.forget(OTHER)
        assert [cluster.url for cluster in site.clusters.all()] == [URL, "http://other"]
        site.clusters.need(KEY, "http://other")
        await site.clusters.forget(third)
        assert [cluster.url for cluster in site.clusters.all()] == ["http://other"]
        await site.clusters.forget(KEY)
        assert site.clusters.all() == ()

    site.world.run(live())
    assert site.released == [URL, "http://other"]


def test_several_keys_are_forgotten_at_once(site: Site) -> None:
    """While one cluster is let go another key lets the others go."""

    async def forget() -> None:
        for number in range(4):
            site.clusters.at(f"http://other-{number}", ("ns", "a"))
        await asyncio.gather(*(site.clusters.forget(("ns", str(number))) for number in range(3)))

    site.world.run(forget())
    assert site.clusters.all() == ()
    assert sorted(site.released) == [URL, *(f"http://other-{number}" for number in range(4))]


@pytest.mark.invariant(12)
def test_a_cluster_of_several_namespaces_is_looked_at_on_the_account_that_has_room(world: World) -> None:
    """Whoever has taken all of his share may watch it too."""
    places = Permits(8, each=1)

    class Connecting(StubFlink):
        """Takes a connection for each look."""

        async def overview_jobs(self, known: Any = None) -> tuple[JobOverview, ...]:
            async with places.hold():
                return await super().overview_jobs(known)

        async def checkpoints(self, job_id: str) -> CheckpointStats | None:
            async with places.hold():
                return await super().checkpoints(job_id)

    flink: Any = Connecting()
    flink.jobs[JOB] = job_overview(JOB)

    async def watch() -> Cluster:
        with on_account(("bad",)):
            await places.take()
            clusters = Clusters(lambda url, access: flink, Pace(0.5, 5.0), lambda _: None)
            cluster = clusters.at(URL, ("bad", "a"))
            clusters.watch(("bad", "x"), URL, frozenset(), moving=False)
        clusters.watch(("good", "y"), URL, frozenset({PREFIX}), moving=False)
        await cluster.seen()
        cluster.checkpoints.latest(("good", "y"), JOB)
        return cluster

    cluster = world.run(watch())
    world.pass_time(20)
    assert cluster.known(JOB) is not None
    assert flink.calls.count("overview") >= 4
    assert "checkpoints" in flink.calls
    world.run(cluster.close())


def test_a_key_follows_one_cluster(site: Site) -> None:
    site.watch()

    async def move() -> None:
        site.clusters.watch(KEY, "http://other", frozenset({PREFIX}), moving=False)
        await site.clusters.close_unwatched()

    site.world.run(move())
    assert [cluster.url for cluster in site.clusters.all()] == ["http://other"]
    assert site.clusters.unreachable() == 0


@pytest.mark.threat("borrowed-secret")
def test_what_one_object_says_of_an_address_is_not_said_by_another(site: Site) -> None:
    """Not of the same namespace either: neither do its credentials go along, nor does their lack stop anybody else."""
    clusters, access = site.clusters, Access("ns", "secret")

    async def ask() -> tuple[Cluster, ...]:
        clusters.reach(KEY, URL, access)
        clusters.reach(OTHER, URL, None)
        clusters.lend(OTHER, URL, access)
        return tuple(clusters.at(URL, key) for key in (KEY, OTHER, ("ns", "c"), ("elsewhere", "a")))

    secret, *plain = site.world.run(ask())
    assert len({id(cluster) for cluster in plain}) == 1
    assert secret is not plain[0]
    site.ask(clusters.close)
    assert clusters.all() == ()


def test_a_cluster_that_an_object_has_left_is_reached_as_before(site: Site) -> None:
    clusters, access = site.clusters, Access("ns", "secret")

    async def ask() -> tuple[Cluster, ...]:
        clusters.reach(KEY, URL, access)
        before = clusters.at(URL, KEY)
        clusters.lend(KEY, URL, None)
        after = clusters.at(URL, KEY)
        await clusters.forget(KEY)
        return before, after, clusters.at(URL, KEY)

    before, after, again = site.world.run(ask())
    assert before is after
    assert again is not before
    site.ask(clusters.close)


def test_a_borrowed_connection_is_not_polled_and_released_when_nobody_has_it(site: Site) -> None:
    """Also where the cluster's poller ends, or begins, meanwhile."""
    other = "http://other.example:8081"

    async def borrow() -> None:
        async with site.clusters.borrow(other, ("ns", "a")), site.clusters.borrow(other, ("ns", "a")):
            assert site.released == []
        assert site.released == [other]
        async with site.clusters.borrow(URL, ("ns", "a")):
            await site.clusters.close_unwatched()
            assert site.clusters.all() == ()
            assert site.released == [other]
        assert site.released == [other, URL]
        async with site.clusters.borrow(other, ("ns", "a")):
            site.clusters.at(other, ("ns", "a"))
        assert site.released == [other, URL]

    site.world.run(borrow())
    assert [cluster.url for cluster in site.clusters.all()] == [other]
