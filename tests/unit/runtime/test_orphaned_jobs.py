"""Jobs that nobody claims: who hears of them, and that a mark which somebody wrote reaches nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from flinkjob.core.identity import Owner, job_id
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.clusters import Clusters
from flinkjob.runtime.orphaned_jobs import OrphanedJobs
from flinkjob.runtime.pace import Pace
from tests.unit.api import objects
from tests.unit.runtime.conftest import World
from tests.unit.runtime.stubs import StubFlink, job_overview

SHARED, OWN = "http://shared.example:8081", "http://of-a-tenant.example:8081"
JOB_ID = "f" * 32


class Watch:
    """Clusters with their watchers, and the Events that were posted."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.flinks = {SHARED: StubFlink(), OWN: StubFlink()}
        self.told: list[tuple[str, str, str]] = []
        self.cache = ObjectCache()
        connect: Any = lambda url, _: self.flinks[url]  # noqa: E731 - a stub for a client
        self.clusters = Clusters(connect, Pace(0.5, 1.0), lambda _: None)
        events: Any = self
        self.orphaned = OrphanedJobs(identity="id", clusters=self.clusters, cache=self.cache, events=events)

    def post(self, ref: Any, *, type: str, reason: str, message: str) -> bool:
        self.told.append((ref.namespace, ref.name, message))
        return True

    def watch(self, namespace: str, url: str) -> None:
        """An object of the namespace has a job there."""
        key = (namespace, f"beside-{url}")

        async def watch() -> None:
            self.clusters.watch(key, url, frozenset({f"{namespace:x<16}"}), moving=False)

        self.world.run(watch())

    def runs(self, url: str, owner: str, job_id: str = JOB_ID) -> None:
        """A job runs there with a mark."""
        self.flinks[url].jobs[job_id] = job_overview(job_id)
        mark = {"flinkjob.dev/owner": owner, "flinkjob.dev/uid": "u", "flinkjob.dev/submission": "1"}
        self.flinks[url].user_configs[job_id] = mark

    def scan(self) -> list[tuple[str, str]]:
        """Whom the Events of a scan are about."""
        self.world.pass_time(3)
        self.told.clear()
        self.world.run(self.orphaned.scan())
        return sorted((namespace, name) for namespace, name, _ in self.told)


@pytest.fixture
def watch(world: World) -> Watch:
    return Watch(world)


def test_a_job_that_is_left_is_told_once_in_its_namespace(watch: Watch) -> None:
    watch.watch("team", SHARED)
    watch.runs(SHARED, "id/team/left")
    assert watch.scan() == [("team", "left")]
    assert watch.scan() == []
    assert watch.orphaned.count() == 1
    watch.cache.put_job(objects.job(name="left", namespace="team", resourceVersion="1"))
    assert watch.scan() == []
    assert watch.orphaned.count() == 0


def test_a_job_without_a_mark_is_known_by_its_id(watch: Watch) -> None:
    """It is counted and logged; which namespace it was of, nobody can tell."""
    watch.watch("team", SHARED)
    for operator, name in (("id", "left"), ("id", "kept"), ("other", "left")):
        left = job_id(Owner(operator, "team", name), "u", 1)
        watch.flinks[SHARED].jobs[left] = job_overview(left)
        watch.flinks[SHARED].user_configs[left] = {}
    watch.cache.put_job(objects.job(name="kept", namespace="team", resourceVersion="1"))
    assert watch.scan() == []
    assert watch.orphaned.count() == 1


@pytest.mark.isolation("job-of-nobody")
@pytest.mark.threat("forged-owner-mark")
@pytest.mark.parametrize("owner", ["id/victim/demo", "id/kube-system/x", "id//x"])
def test_a_forged_mark_posts_nothing_in_another_namespace(watch: Watch, owner: str) -> None:
    watch.watch("tenant", OWN)
    watch.watch("victim", SHARED)
    watch.runs(OWN, owner)
    assert watch.scan() == []
    assert watch.orphaned.count() == 1


@pytest.mark.isolation("job-of-nobody")
def test_a_namespace_that_comes_to_the_cluster_later_hears_of_it_then(watch: Watch) -> None:
    watch.watch("tenant", SHARED)
    watch.runs(SHARED, "id/team/left")
    assert watch.scan() == []
    watch.watch("team", SHARED)
    assert watch.scan() == [("team", "left")]
    assert watch.scan() == []


@pytest.mark.isolation("job-of-nobody")
def test_the_same_job_id_on_a_tenants_own_cluster_hides_nothing(watch: Watch) -> None:
    watch.watch("tenant", OWN)
    watch.watch("team", SHARED)
    watch.runs(OWN, "id/team/left")
    assert watch.scan() == []
    watch.runs(SHARED, "id/team/left")
    assert watch.scan() == [("team", "left")]
    assert watch.orphaned.count() == 1


def test_marks_of_others_are_nobodys_business(watch: Watch) -> None:
    watch.watch("team", SHARED)
    watch.runs(SHARED, "another/team/left")
    watch.runs(SHARED, "id/team", "e" * 32)
    assert watch.scan() == []
    assert watch.orphaned.count() == 0
