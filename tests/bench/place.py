"""A place for very many FlinkJobs: a real API server, simulated clusters, and an operator whose loop is watched.

Used by `test_scale.py`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from deploy.local import plainhttp
from deploy.local.controlplane import ControlPlane
from tests.bench.measure import Meter, until
from tests.bench.report import Cost
from tests.support.kube import PATHS, Kube, Object
from tests.support.operator import OperatorProcess
from tests.support.simfleet import SimFleet

NAMESPACE, OTHER = "scale", "bare"
PAGE = 500


@dataclass(frozen=True)
class Size:
    """How many FlinkJobs, on how many clusters."""

    jobs: int
    clusters: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """`1000x10`."""
        jobs, _, clusters = text.partition("x")
        return cls(int(jobs), int(clusters))

    def __str__(self) -> str:
        return f"{self.jobs}x{self.clusters}"

    @property
    def patience(self) -> float:
        """Seconds that anything may take."""
        return 120.0 + 0.5 * self.jobs

    @property
    def pause(self) -> float:
        """Seconds between two looks at everything, so that looking costs little."""
        return 0.1 + self.jobs / 2000


@dataclass
class ScalePlace:
    """The place.

    Attributes:
        costs: of the steps so far, by name.
    """

    size: Size
    control_plane: ControlPlane
    kube: Kube
    fleet: SimFleet
    operator: OperatorProcess
    meter: Meter
    costs: list[Cost] = field(default_factory=list)

    @contextmanager
    def step(self, name: str, *, restarts: bool = False) -> Iterator[list[Cost]]:
        """Measures a step; the list has its cost afterwards."""
        made: list[Cost] = []
        with self.meter.step(name, made, restarts=restarts):
            yield made
        self.costs += made

    def jobs(self) -> Iterator[Object]:
        """All FlinkJobs, by pages, as the API server keeps them in memory."""
        yield from listed(self.http, NAMESPACE)

    @property
    def http(self) -> httpx.Client:
        """The API server as administrator."""
        return self.kube._http

    def apply(self, numbers: Iterable[int], namespace: str = NAMESPACE, **spec: Any) -> None:
        """FlinkJobs with these numbers."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: self.kube.apply(self.fleet.job(namespace, number, **spec)), numbers))

    def wait_running(self, number: int, submission: int = 1) -> None:
        """Until so many FlinkJobs say that all tasks of this submission run."""

        def attempt() -> bool:
            status = (job.get("status", {}) for job in self.jobs())
            good = [s for s in status if s.get("phase") == "Running" and s["submission"]["number"] == submission]
            return len(good) >= number

        until(attempt, f"{number} running", timeout=self.size.patience, pause=self.size.pause)

    def settled(self) -> None:
        """Until each job's first checkpoint is written and the queue is empty."""

        def attempt() -> bool:
            return all("lastCheckpoint" in job.get("status", {}) for job in self.jobs())

        until(attempt, "first checkpoints", timeout=self.size.patience, pause=1.0)

    def wait_seen(self) -> None:
        """Until the operator has looked at every FlinkJob since its start."""

        def attempt() -> bool:
            found = self.operator.metrics()
            rounds = sum(value for name, value in found.items() if name.startswith("flinkjob_reconcile_total{"))
            return bool(rounds >= self.size.jobs and found["flinkjob_queue_depth"] == 0)

        until(attempt, "all seen", timeout=self.size.patience, pause=self.size.pause)

    def versions(self) -> dict[str, str]:
        """The resourceVersion of each FlinkJob."""
        return {job["metadata"]["name"]: job["metadata"]["resourceVersion"] for job in self.jobs()}


def listed(http: httpx.Client, namespace: str) -> Iterator[Object]:
    """All FlinkJobs of a namespace, by pages, by bare calls."""
    more: dict[str, str] = {}
    while True:
        answer = http.get(PATHS["FlinkJob"].format(namespace=namespace), params={"limit": str(PAGE), **more})
        page = answer.raise_for_status().json()
        yield from page["items"]
        if not page["metadata"].get("continue"):
            return
        more = {"continue": page["metadata"]["continue"]}


@contextmanager
def scale_place(size: Size, directory: Path) -> Iterator[ScalePlace]:
    """Starts everything; the operator is not started yet."""
    slots = 2 * -(-size.jobs // size.clusters) + 100
    loop = directory / "loop.json"
    with (
        ControlPlane(directory / "controlplane", controllers=False) as control_plane,
        SimFleet(directory / "fleet", clusters=size.clusters, slots=slots) as fleet,
        Kube(control_plane.kubeconfig) as kube,
    ):
        control_plane.apply_crds(Path(__file__).parents[2] / "crds")
        for namespace in (NAMESPACE, OTHER):
            kube.create_namespace(namespace)
        operator = OperatorProcess(
            control_plane,
            directory / "operator",
            namespaces=[NAMESPACE],
            artifact_dirs=[fleet.jar.parent],
            options={"workers": 64, "log-level": "warning"},
            module="tests.bench.watched",
            environment={"FLINKJOB_BENCH_LOOP": str(loop)},
        )
        try:
            yield ScalePlace(size, control_plane, kube, fleet, operator, Meter(operator, control_plane, fleet, loop))
        finally:
            operator.kill()


class BareClient:
    """The fewest calls that do what the operator does, by a client that knows nothing: its CPU is the limit."""

    JOBS = 40

    def __init__(self, place: ScalePlace) -> None:
        config = yaml.safe_load(place.control_plane.kubeconfig.read_text())
        headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}
        server = config["clusters"][0]["cluster"]["server"]
        self._place = place
        self._kube = plainhttp.client(base_url=server, headers=headers, timeout=60)
        self._flink = [plainhttp.client(base_url=url, timeout=60) for url in place.fleet.urls]

    def close(self) -> None:
        """Ends its connections."""
        for client in (self._kube, *self._flink):
            client.close()

    def converge(self) -> float:
        """CPU seconds for each new FlinkJob: three writes of a status, one call that runs it; one upload for all."""
        self._place.apply(range(self.JOBS), OTHER)
        path = PATHS["FlinkJob"].format(namespace=OTHER)
        flink, begun = self._flink[0], time.process_time()
        with self._place.fleet.jar.open("rb") as jar:
            uploaded = flink.post("/jars/upload", files={"jarfile": ("job.jar", jar)}).raise_for_status().json()
        run = f"/jars/{uploaded['filename'].rpartition('/')[2]}/run"
        started = []
        for number in range(self.JOBS):
            for write in range(3):
                self._kube.patch(
                    f"{path}/job-{number}/status",
                    json={"status": self._status(write)},
                    headers={"Content-Type": "application/merge-patch+json"},
                ).raise_for_status()
            started.append(
                flink.post(run, json={"programArgsList": ["--rate", "1"]}).raise_for_status().json()["jobid"]
            )
        taken = (time.process_time() - begun) / self.JOBS
        for job in started:
            flink.patch(f"/jobs/{job}").raise_for_status()
        return taken

    def look(self) -> tuple[float, float]:
        """CPU and wall seconds to list all FlinkJobs and the jobs of all clusters."""
        cpu, wall = time.process_time(), time.monotonic()
        assert sum(1 for _ in listed(self._kube, NAMESPACE)) == self._place.size.jobs
        self.poll()
        return time.process_time() - cpu, time.monotonic() - wall

    def poll(self) -> float:
        """CPU seconds to list the jobs of all clusters once."""
        begun = time.process_time()
        for flink in self._flink:
            flink.get("/jobs/overview").raise_for_status().json()
        return time.process_time() - begun

    def _status(self, write: int) -> dict[str, Any]:
        """One of usual size, which each write changes."""
        condition = {"status": "True", "reason": "Running", "message": f"write {write}: " + 200 * "x"}
        moment = {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
        kinds = ("Ready", "Reconciling", "Stalled")
        return {"phase": "Running", "conditions": [{"type": kind} | condition | moment for kind in kinds]}


def by_resource(control_plane: ControlPlane, user: str, offset: int) -> Counter[str]:
    """Requests of a user by verb and resource since that byte of the audit log."""
    events = control_plane.audit_events(offset)
    return Counter(f"{event.verb} {event.resource}" for event in events if event.user == user)
