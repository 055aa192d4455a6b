"""Three replicas share the clusters out: each works on its own, and what one leaves the others take, with nothing done twice.

On simulated clusters and a real API server.
"""

from __future__ import annotations

import re
import signal
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle

import pytest

from flinkjob.core.shards import shard_of
from tests.support.integration import ControlPlane, Kube, Object, OperatorProcess, wait_until
from tests.support.lab import observed
from tests.support.simfleet import SimFleet

pytestmark = [pytest.mark.kube, pytest.mark.slow]

NAMESPACE, LEASES = "sharing", "flinkjob-system"
JOBS, CLUSTERS, SHARDS, REPLICAS = 36, 12, 6, 3
CANDIDATES = 96
"""Clusters of which `CLUSTERS` are taken."""
HANDED_OVER = 20.0
LOADED = 5.0
"""Seconds that a loaded machine may add."""
QUIET = 4.0
RUN = "POST /jars/:jar/run"
ENDS = ("the Lease was lost", "has taken the seat of this one", "are not this replica's any more")
"""What a replica says that ends because others have what it had."""


@dataclass
class Place:
    """Replicas that share 12 clusters out, with three FlinkJobs on each."""

    kube: Kube
    fleet: SimFleet
    replicas: list[OperatorProcess]
    specs: dict[int, Object] = field(default_factory=dict)

    def living(self) -> list[OperatorProcess]:
        return [one for one in self.replicas if one.running]

    def holders(self) -> dict[int, str]:
        """Whose each shard is."""
        name = f"flinkjob-operator-{NAMESPACE}-{SHARDS}"
        found = {number: self.kube.get("Lease", LEASES, f"{name}-shard-{number}") for number in range(SHARDS)}
        return {number: lease["spec"]["holderIdentity"] for number, lease in found.items() if lease is not None}

    def names(self) -> dict[str, OperatorProcess]:
        """Those that live, by the name that they have in Leases."""
        found = [(re.findall(r"(\S+) has the seat", one.said()), one) for one in self.living()]
        return {said[-1]: one for said, one in found if said}

    def shared(self) -> bool:
        """Whether every shard is one's that lives, two each for three."""
        counts = Counter(self.holders().values())
        living = self.names()
        return sum(counts.values()) == SHARDS and set(counts) == set(living) and _even(counts)

    def edit(self, number: int, **spec: object) -> None:
        """Apply a FlinkJob with these changes; without checkpoints, which would be written."""
        known = self.specs.setdefault(number, {"checkpoint": {"interval": "1000h"}})
        known.update(spec)
        self.kube.apply(self.fleet.job(NAMESPACE, number, **known))

    def versions(self) -> dict[str, str]:
        """The resourceVersion of each FlinkJob."""
        found = self.kube.all("FlinkJob", NAMESPACE)
        return {job["metadata"]["name"]: job["metadata"]["resourceVersion"] for job in found}

    def settled(self) -> dict[str, str]:
        """Their versions, once nothing was written for a while."""
        seen, since = self.versions(), time.monotonic()

        def quiet() -> bool:
            nonlocal seen, since
            if (now := self.versions()) != seen:
                seen, since = now, time.monotonic()
            return time.monotonic() - since > QUIET

        wait_until(quiet, timeout=60, what="nothing written")
        return seen

    def job(self, number: int) -> Object:
        found = self.kube.get("FlinkJob", NAMESPACE, f"job-{number}")
        assert found is not None
        return found

    def seen(self, number: int) -> bool:
        return bool(observed(self.job(number)))

    def running(self, submission: int = 1) -> int:
        status = [job.get("status", {}) for job in self.kube.all("FlinkJob", NAMESPACE)]
        return sum(s.get("phase") == "Running" and s["submission"]["number"] == submission for s in status)

    def on(self, numbers: range | list[int], holder: str) -> list[int]:
        """Those of these FlinkJobs that a replica has."""
        holders = self.holders()
        return [number for number in numbers if holders[self.shard(number)] == holder]

    def shard(self, number: int) -> int:
        return shard_of(self.fleet.urls[number % CLUSTERS], SHARDS)


def _evenly(urls: list[str]) -> list[str]:
    """As many clusters of each shard: the shard follows from the port, which is another one in each run."""
    each = CLUSTERS // SHARDS
    of = [[url for url in urls if shard_of(url, SHARDS) == number][:each] for number in range(SHARDS)]
    assert all(len(found) == each for found in of)
    return [found[place] for place in range(each) for found in of]


def _even(counts: Counter[str]) -> bool:
    return max(counts.values()) - min(counts.values()) <= 1


@pytest.fixture(scope="module")
def place(control_plane: ControlPlane, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("sharing")
    kube.create_namespace(NAMESPACE)
    with SimFleet(directory, clusters=CANDIDATES, slots=2 * JOBS) as fleet:
        fleet.urls = _evenly(fleet.urls)
        replicas = [
            OperatorProcess(
                control_plane,
                directory / f"operator-{number}",
                namespaces=[NAMESPACE],
                identity=NAMESPACE,
                artifact_dirs=[fleet.jar.parent],
                options={"lease-namespace": LEASES, "shards": SHARDS},
            )
            for number in range(REPLICAS)
        ]
        made = Place(kube, fleet, replicas)
        try:
            for one in replicas:
                one.start()
            for one in replicas:
                one.wait_ready()
            wait_until(made.shared, timeout=40, what="shards shared out")
            for number in range(JOBS):
                made.edit(number)
            wait_until(lambda: made.running() == JOBS, timeout=90, what="all running")
            yield made
        finally:
            for one in replicas:
                one.kill()


@pytest.fixture(autouse=True)
def nothing_else(place: Place) -> Iterator[None]:
    """No replica complains, whatever is done."""
    yield
    said = [line for one in place.replicas for line in one.complaints()]
    assert [line for line in said if not any(end in line for end in ENDS)] == []


def test_each_works_on_its_own(place: Place) -> None:
    counts = [one.metrics()['flinkjob_jobs{phase="Running"}'] for one in place.replicas]
    assert sum(counts) == JOBS
    holders = Counter(place.holders()[place.shard(number)] for number in range(JOBS))
    assert sorted(counts) == sorted(holders.values())
    assert place.fleet.requests()[RUN] == JOBS
    said = [re.findall(r"Submitted: run", one.said()) for one in place.replicas]
    assert sum(map(len, said)) == JOBS
    assert all(len(each) == count for each, count in zip(said, counts, strict=True))


def test_a_job_that_moves_to_another_replicas_cluster_is_run_there_once(place: Place) -> None:
    mover = 0
    target = next(n for n in range(CLUSTERS) if place.holders()[place.shard(n)] != place.holders()[place.shard(mover)])
    runs, there = place.fleet.requests()[RUN], {"url": place.fleet.urls[target]}
    place.edit(mover, cluster=there)
    wait_until(lambda: place.running(2) == 1, timeout=30, what="moved")
    takes = place.names()[place.holders()[place.shard(target)]]
    gives = place.names()[place.holders()[place.shard(mover)]]

    def handed_over() -> bool:
        status = place.job(mover)["status"]
        return bool(status["cluster"]["url"] == there["url"])

    wait_until(handed_over, timeout=15, what="handed over")
    place.edit(mover, cluster=there, revisionHistoryLimit=3)
    wait_until(lambda: place.seen(mover), timeout=10, what="the edit seen")
    assert place.fleet.requests()[RUN] == runs + 1
    counted = sum(one.metrics()['flinkjob_jobs{phase="Running"}'] for one in place.replicas)
    assert counted == JOBS
    before = len(re.findall(r"job-0\b.*Submitted: run", takes.said() + gives.said()))
    place.edit(mover, cluster=there, revisionHistoryLimit=3, args=["--rate", "2"])
    wait_until(lambda: place.running(3) == 1, timeout=30, what="upgraded where it is")
    assert place.fleet.requests()[RUN] == runs + 2
    assert len(re.findall(r"job-0\b.*Submitted: run", takes.said())) >= 1
    assert len(re.findall(r"job-0\b.*Submitted: run", takes.said() + gives.said())) == before + 1
    place.edit(mover, cluster={"url": place.fleet.urls[mover]})
    wait_until(lambda: place.running(4) == 1, timeout=30, what="moved back")


@pytest.mark.invariant(1)
def test_the_clusters_of_a_killed_replica_are_taken_and_the_others_are_not_disturbed(place: Place) -> None:
    names, runs = place.names(), place.fleet.requests()[RUN]
    killed = place.holders()[place.shard(0)]
    its = place.on(range(JOBS), killed)
    others = [number for number in range(JOBS) if number not in its]
    before = place.settled()
    names[killed].kill()
    at = time.monotonic()
    probes, edited, waited = cycle(others), set[int](), list[float]()
    first = its[0]
    place.edit(first, revisionHistoryLimit=4)
    while not place.seen(first):
        assert time.monotonic() - at < HANDED_OVER + LOADED, "the jobs of the killed one are not looked at"
        edited.add(probe := next(probes))
        place.edit(probe, revisionHistoryLimit=4 + place.specs[probe].get("revisionHistoryLimit", 0))
        asked = time.monotonic()
        wait_until(lambda: place.seen(probe), timeout=HANDED_OVER + LOADED, what="others seen")
        waited.append(time.monotonic() - asked)
    taken = time.monotonic() - at
    assert statistics.median(waited) < 2 + LOADED / 2
    assert edited
    assert taken > 10, "before its seat was given up"
    after = place.versions()
    untouched = {f"job-{number}" for number in range(JOBS)} - {f"job-{number}" for number in [first, *edited]}
    assert [name for name in untouched if before[name] != after[name]] == []
    assert place.fleet.requests()[RUN] == runs
    for number in its:
        place.edit(number, revisionHistoryLimit=4, args=["--rate", "3"])
    wait_until(lambda: place.fleet.requests()[RUN] >= runs + len(its), timeout=60, what="upgraded")
    wait_until(lambda: all(place.job(n)["status"]["phase"] == "Running" for n in its), timeout=60, what="up")
    assert place.fleet.requests()[RUN] == runs + len(its)


def test_a_replica_that_joins_gets_its_part_and_nothing_is_written_for_that(place: Place) -> None:
    dead = next(one for one in place.replicas if not one.running)
    runs = place.fleet.requests()[RUN]
    before = place.settled()
    dead.start().wait_ready()
    wait_until(place.shared, timeout=30, what="shards shared out again")
    its = place.on(range(JOBS), next(name for name, one in place.names().items() if one is dead))
    assert its
    after = place.versions()
    assert after == before
    place.edit(its[0], revisionHistoryLimit=5)
    wait_until(lambda: place.seen(its[0]), timeout=10, what="the edit seen")
    assert place.fleet.requests()[RUN] == runs


@pytest.mark.fault("operator-sigterm")
def test_a_replica_that_ends_hands_over_at_once(place: Place) -> None:
    ends = place.names()[place.holders()[place.shard(0)]]
    assert ends.stop() == 0
    at = time.monotonic()
    place.edit(0, revisionHistoryLimit=6)
    wait_until(lambda: place.seen(0), timeout=4 + LOADED, what="the edit seen")
    assert time.monotonic() - at < 4 + LOADED


@pytest.mark.invariant(3)
@pytest.mark.fault("operator-frozen-leader")
@pytest.mark.threat("frozen-replica")
def test_a_replica_that_was_frozen_until_its_clusters_were_taken_ends_without_an_effect(place: Place) -> None:
    place.settled()
    frozen = place.living()[0]
    name = next(name for name, one in place.names().items() if one is frozen)
    number = place.on(range(JOBS), name)[0]
    runs = place.fleet.requests()[RUN]
    frozen.process.signal(signal.SIGSTOP)
    place.edit(number, revisionHistoryLimit=7, args=["--rate", "7"])
    wait_until(lambda: place.fleet.requests()[RUN] > runs, timeout=HANDED_OVER + 30, what="taken over and upgraded")
    did = frozen.said()
    frozen.process.signal(signal.SIGCONT)
    frozen.process.wait(60)
    assert "executor" not in frozen.said().removeprefix(did)
    wait_until(lambda: place.job(number)["status"]["phase"] == "Running", timeout=30, what="up")
    assert place.fleet.requests()[RUN] == runs + 1
