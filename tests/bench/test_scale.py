"""Hundreds and thousands of FlinkJobs on simulated clusters below a real API server.

Sizes: `SCALE="100x1 1000x10"` (FlinkJobs and clusters); 10000x10 takes half an hour. The tests of a size are steps, each of
which goes on from the one before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.bench.conftest import reported
from tests.bench.measure import SMALL, Usage, import_libraries, pass_time, stopwatch, until
from tests.bench.place import NAMESPACE, BareClient, ScalePlace, Size, by_resource, scale_place
from tests.bench.report import Figure, Goal, Report
from tests.support.lab import observed
from tests.support.operator import USER

SIZES = [Size.parse(text) for text in (os.environ.get("SCALE") or ("20x2" if SMALL else "100x1 1000x10")).split()]
IDLE_SECONDS = 10.0 if SMALL else 45.0
PROBES = 3 if SMALL else 10
MEMORY_GOALS = {100: 92.0, 1000: 120.0, 10000: 300.0}
WRITES = ("create", "update", "patch", "delete")

pytestmark = [pytest.mark.kube, pytest.mark.slow]


def most(value: float) -> Goal:
    """By itself."""
    return Goal(kind="most", value=value)


@pytest.fixture(scope="module", params=SIZES, ids=str)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScalePlace]:
    with scale_place(request.param, tmp_path_factory.mktemp("scale")) as made:
        yield made


@pytest.fixture(scope="module")
def report(place: ScalePlace) -> Iterator[Report]:
    with reported(f"scale-{place.size}") as made:
        yield made
        made.costs += place.costs


@pytest.fixture(scope="module")
def bare(place: ScalePlace) -> Iterator[BareClient]:
    client = BareClient(place)
    yield client
    client.close()


def test_converge(place: ScalePlace, bare: BareClient, report: Report) -> None:
    """All exist before the operator starts."""
    jobs = place.size.jobs
    limit = bare.converge()
    place.apply(range(jobs))
    offset = place.control_plane.audit_log.stat().st_size
    with place.step("converge from nothing", restarts=True) as cost:
        place.operator.start().wait_ready()
        place.fleet.all_run(jobs, place.size.patience)
        place.wait_running(jobs)
    by = by_resource(place.control_plane, USER, offset)
    dropped = place.operator.metrics()["flinkjob_events_dropped_total"]
    goal = most(30.0) if place.size == Size(1000, 10) else None
    report.add(
        Figure(name="converge: CPU", unit="s", value=cost[0].cpu, limit=limit * jobs, goal=goal, grain=1.0),
        Figure(
            name="status PATCHes for each job until it is said to run",
            unit="",
            value=by["patch flinkjobs/status"] / jobs,
            goal=most(3),
        ),
        Figure(
            name="all Kubernetes requests for each job until then",
            unit="",
            value=sum(by.values()) / jobs,
        ),
        Figure(name="Events lost", unit="", value=dropped, goal=most(0)),
    )


def test_idle(place: ScalePlace, bare: BareClient, report: Report) -> None:
    place.settled()
    pass_time(5.0)
    polls = 30 * bare.poll()
    with place.step("left alone") as cost:
        pass_time(IDLE_SECONDS)
    found, minutes = cost[0], cost[0].seconds / 60
    writes = sum(found.kubernetes.get(verb, 0) for verb in WRITES)
    assert found.stop is not None
    report.add(
        Figure(name="CPU of an idle minute", unit="s", value=found.cpu / minutes, limit=polls, grain=0.5),
        Figure(
            name="Flink requests a minute and cluster, idle",
            unit="",
            value=found.flink / minutes / place.size.clusters,
            goal=most(30),
            grain=2,
        ),
        Figure(name="Kubernetes writes a minute, idle", unit="", value=writes / minutes, goal=most(1), grain=1),
        Figure(
            name="longest stop of the event loop, idle", unit="ms", value=found.stop * 1000, goal=most(50), grain=20
        ),
    )


def test_scrape(place: ScalePlace, report: Report) -> None:
    with place.step("5 scrapes of the metrics") as cost:
        for _ in range(5):
            place.operator.metrics()
    rss = Usage.of(place.operator.process.pid).rss
    goal = MEMORY_GOALS.get(place.size.jobs)
    report.add(
        Figure(name="CPU of a scrape", unit="ms", value=cost[0].cpu * 1000 / 5),
        Figure(name="memory", unit="MiB", value=rss, goal=most(goal) if goal else None, grain=5),
    )


def test_restart(place: ScalePlace, bare: BareClient, report: Report) -> None:
    before = place.versions()
    cpu, wall = (sum(both) for both in zip(bare.look(), import_libraries(), strict=True))
    place.operator.stop()
    with place.step("restart until all are seen", restarts=True) as cost:
        place.operator.start().wait_ready()
        place.wait_seen()
    changed = sum(version != before[name] for name, version in place.versions().items())
    goal = most(15.0) if place.size.jobs == 10000 else None
    report.add(
        Figure(name="restart → all seen", unit="s", value=cost[0].seconds, limit=wall, goal=goal, grain=2.0),
        Figure(name="restart → all seen, CPU", unit="s", value=cost[0].cpu, limit=cpu, grain=1.0),
        Figure(name="statuses written by it", unit="", value=changed, goal=most(0), grain=2),
    )


def test_a_tenth_changes(place: ScalePlace, report: Report) -> None:
    changed = range(0, place.size.jobs, 10)
    with place.step("a tenth upgraded at once") as cost:
        place.apply(changed, args=["--rate", "1", "--name", "next"])
        place.wait_running(len(changed), 2)
    report.add(
        Figure(name="a tenth upgraded at once: CPU for each", unit="ms", value=cost[0].cpu * 1000 / len(changed))
    )


def test_a_dead_cluster(place: ScalePlace, report: Report) -> None:
    """What it costs the jobs of other clusters that one takes requests and does not answer."""
    if place.size.clusters == 1:
        pytest.skip("there is no other cluster")
    before = _reaction(place, 11)
    place.fleet.silence(0)
    place.apply([0], args=["--rate", "1", "--name", "waits"])
    until(lambda: place.operator.metrics()["flinkjob_clusters_unreachable"] == 1, "one is dead", pause=1.0)
    with place.step("one cluster is dead"):
        after = _reaction(place, 11 + PROBES)
    place.fleet.wake(0)
    report.add(
        Figure.of(
            "edit of others → in status, one cluster dead", after, before, Goal(kind="times", value=1.5), grain=0.05
        )
    )


def _reaction(place: ScalePlace, begin: int) -> list[float]:
    """Seconds until an edit that changes no run is in the status, of jobs of other clusters than the first."""
    others = [number for number in range(place.size.jobs) if number % place.size.clusters and number % 10]
    taken: list[float] = []
    for number in range(begin, begin + PROBES):
        job = others[number % len(others)]
        with stopwatch(taken):
            place.apply([job], revisionHistoryLimit=number)
            until(lambda: observed(place.kube.get("FlinkJob", NAMESPACE, f"job-{job}") or {}), "observed")  # noqa: B023
    return taken
