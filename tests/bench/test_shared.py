"""Three replicas that share the clusters out: what each costs, and how soon the work of one that is killed is taken over.

On simulated clusters and a real API server. Sizes: `SHARED="10000x24"` (FlinkJobs and clusters), which takes half an hour.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from deploy.local.controlplane import ControlPlane
from tests.bench.conftest import reported
from tests.bench.measure import SMALL, Usage, pass_time, until
from tests.bench.place import NAMESPACE, Size, listed
from tests.bench.report import Figure, Goal, Report
from tests.support.kube import Kube
from tests.support.lab import observed
from tests.support.operator import OperatorProcess
from tests.support.simfleet import SimFleet

SIZE = Size.parse(os.environ.get("SHARED") or ("24x6" if SMALL else "1000x12"))
REPLICAS, SHARDS = 3, 12
IDLE_SECONDS = 10.0 if SMALL else 45.0
LEASES = "flinkjob-system"

pytestmark = [pytest.mark.kube, pytest.mark.slow]


class Shared:
    """Three replicas, not started yet, and FlinkJobs for them."""

    def __init__(self, control_plane: ControlPlane, kube: Kube, fleet: SimFleet, directory: Path) -> None:
        self.kube, self.fleet = kube, fleet
        self.replicas = [
            OperatorProcess(
                control_plane,
                directory / f"operator-{number}",
                namespaces=[NAMESPACE],
                artifact_dirs=[fleet.jar.parent],
                options={"workers": 64, "log-level": "warning", "lease-namespace": LEASES, "shards": SHARDS},
            )
            for number in range(REPLICAS)
        ]

    def usage(self) -> list[Usage]:
        """Of those that live."""
        return [Usage.of(one.process.pid) for one in self.replicas if one.running]

    def shared(self) -> bool:
        """Whether all shards are held, by as many replicas as live, all alike."""
        name = f"flinkjob-operator-default-{SHARDS}-shard-"
        found = [self.kube.get("Lease", LEASES, f"{name}{number}") for number in range(SHARDS)]
        holders = [lease["spec"]["holderIdentity"] for lease in found if lease is not None]
        return len(holders) == SHARDS and len({*holders}) == len(self.usage()) and "" not in holders

    def statuses(self) -> list[dict[str, object]]:
        return [job.get("status", {}) for job in listed(self.kube._http, NAMESPACE)]

    def running(self) -> bool:
        """Whether all are. An API server that has no time for a list, as three replicas begin, is asked again."""
        try:
            statuses = self.statuses()
        except httpx.HTTPStatusError as error:
            if error.response.status_code != HTTPStatus.GATEWAY_TIMEOUT:
                raise
            return False
        return sum(status.get("phase") == "Running" for status in statuses) == SIZE.jobs

    def has(self, replica: OperatorProcess) -> float:
        """How many FlinkJobs it works on."""
        return sum(value for name, value in replica.metrics().items() if name.startswith("flinkjob_jobs{"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    directory = tmp_path_factory.mktemp("shared")
    slots = 2 * -(-SIZE.jobs // SIZE.clusters) + 100
    with ExitStack() as stack:
        control_plane = stack.enter_context(ControlPlane(directory / "controlplane", controllers=False))
        fleet = stack.enter_context(SimFleet(directory / "fleet", clusters=SIZE.clusters, slots=slots))
        kube = stack.enter_context(Kube(control_plane.kubeconfig))
        control_plane.apply_crds(Path(__file__).parents[2] / "crds")
        kube.create_namespace(NAMESPACE)
        made = Shared(control_plane, kube, fleet, directory)
        for one in made.replicas:
            stack.callback(one.kill)
        yield made


@pytest.fixture(scope="module")
def report() -> Iterator[Report]:
    with reported(f"shared-{SIZE}") as made:
        yield made


def _each(report: Report, name: str, unit: str, values: list[float]) -> None:
    report.add(
        Figure(name=f"{name}, the most of one replica", unit=unit, value=max(values)),
        Figure(name=f"{name}, all replicas", unit=unit, value=sum(values)),
    )


def test_converge(place: Shared, report: Report) -> None:
    for number in range(SIZE.jobs):
        place.kube.apply(place.fleet.job(NAMESPACE, number))
    begun = time.monotonic()
    for one in place.replicas:
        one.start()
    for one in place.replicas:
        one.wait_ready(SIZE.patience)
    place.fleet.all_run(SIZE.jobs, SIZE.patience)
    until(place.running, "all running", timeout=SIZE.patience, pause=SIZE.pause)
    report.add(Figure(name="converge from nothing", unit="s", value=time.monotonic() - begun))
    until(place.shared, "shared out", pause=0.5)
    _each(report, "converge: CPU", "s", [usage.cpu for usage in place.usage()])
    runs = place.fleet.requests()["POST /jars/:jar/run"]
    report.add(Figure(name="run calls beyond one for each job", unit="", value=runs - SIZE.jobs))


def test_idle(place: Shared, report: Report) -> None:
    until(
        lambda: all("lastCheckpoint" in status for status in place.statuses()),
        "settled",
        timeout=SIZE.patience,
        pause=2.0,
    )
    pass_time(5.0)
    before = [usage.cpu for usage in place.usage()]
    pass_time(IDLE_SECONDS)
    used = [(now.cpu - then) / IDLE_SECONDS * 100 for now, then in zip(place.usage(), before, strict=True)]
    _each(report, "idle: CPU of one core", "%", used)
    _each(report, "memory", "MiB", [usage.rss for usage in place.usage()])
    _each(report, "FlinkJobs", "", [place.has(one) for one in place.replicas])


def test_one_is_killed(place: Shared, report: Report) -> None:
    """Until an edit of one FlinkJob of each cluster is seen, made when one replica was killed."""
    ends = place.replicas[0]
    runs = place.fleet.requests()["POST /jars/:jar/run"]
    ends.kill()
    begun = time.monotonic()
    waiting = list(range(SIZE.clusters))
    for number in waiting:
        place.kube.apply(place.fleet.job(NAMESPACE, number, revisionHistoryLimit=4))

    def all_seen() -> bool:
        waiting[:] = [n for n in waiting if not observed(place.kube.get("FlinkJob", NAMESPACE, f"job-{n}") or {})]
        return not waiting

    until(all_seen, "taken over", pause=0.1)
    taken = time.monotonic() - begun
    again = place.fleet.requests()["POST /jars/:jar/run"] - runs
    report.add(
        Figure(
            name="one killed → an edit on each of its clusters is seen",
            unit="s",
            value=taken,
            goal=Goal(kind="most", value=20.0),
            grain=4.0,
        ),
        Figure(name="run calls for that", unit="", value=again),
    )
    _each(report, "memory, two replicas", "MiB", [usage.rss for usage in place.usage()])
