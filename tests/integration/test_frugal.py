"""What 100 FlinkJobs cost, as far as it does not depend on how fast the machine is: requests, writes, Events, memory.

On simulated clusters; `make bench` measures the same and much more, and compares it with what no operator can do without.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.integration import USER, ControlPlane, Kube, OperatorProcess, ProcessFailed, wait_until
from tests.support.simfleet import SimFleet

pytestmark = [pytest.mark.kube, pytest.mark.slow]

NAMESPACE = "frugal"
JOBS, CLUSTERS = 100, 10
IDLE_SECONDS = 20.0
REQUESTS_A_MINUTE = 30
"""To each cluster: one look at all of its jobs every two seconds."""
MOST_MEMORY, MOST_FOR_JOBS = 100, 22
"""MiB, in all and beyond what it has before the first FlinkJob."""
READS = {"get", "list", "watch"}


@dataclass(frozen=True)
class Hundred:
    """100 FlinkJobs that an operator has brought up.

    Attributes:
        patches: how often each FlinkJob was written until all ran, and how often each status.
        memory: of the operator before the first FlinkJob, MiB.
    """

    kube: Kube
    control_plane: ControlPlane
    fleet: SimFleet
    operator: OperatorProcess
    patches: Counter[str]
    statuses: Counter[str]
    memory: float

    def writes(self, offset: int) -> list[str]:
        """What the operator has written since that byte of the audit log."""
        return [
            f"{event.verb} {event.resource} {event.name}"
            for event in self.control_plane.audit_events(offset)
            if event.user == USER and event.namespace == NAMESPACE and event.verb not in READS
        ]

    def statuses_now(self) -> dict[str, dict[str, object]]:
        """The status of each FlinkJob."""
        return {job["metadata"]["name"]: job.get("status", {}) for job in self.kube.all("FlinkJob", NAMESPACE)}


@pytest.fixture(scope="module")
def hundred(control_plane: ControlPlane, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hundred]:
    directory = tmp_path_factory.mktemp("frugal")
    kube.create_namespace(NAMESPACE)
    with SimFleet(directory, clusters=CLUSTERS, slots=JOBS) as fleet:
        operator = OperatorProcess(
            control_plane,
            directory / "operator",
            namespaces=[NAMESPACE],
            identity=NAMESPACE,
            artifact_dirs=[fleet.jar.parent],
            options={"workers": 64},
        )
        with operator:
            memory, offset = resident(operator.process.pid), control_plane.audit_log.stat().st_size
            for number in range(JOBS):
                kube.apply(fleet.job(NAMESPACE, number, checkpoint={"interval": "1000h"}))
            wait_until(lambda: _running(kube) == JOBS, timeout=120, what="all Running", interval=0.2)
            patched = [
                event
                for event in control_plane.audit_events(offset)
                if event.user == USER and event.verb == "patch" and event.namespace == NAMESPACE
            ]
            yield Hundred(
                kube,
                control_plane,
                fleet,
                operator,
                Counter(event.name for event in patched),
                Counter(event.name for event in patched if event.resource == "flinkjobs/status"),
                memory,
            )
        assert operator.complaints() == []


@pytest.mark.everything("writes until a job runs, which grow where the machine is busy for seconds")
def test_writes_until_a_job_runs(hundred: Hundred) -> None:
    """The finalizer, the intent, and that it runs; between the last two one more for each three seconds that pass."""
    assert len(hundred.patches) == JOBS
    assert statistics.median(hundred.patches.values()) <= 4
    for job in hundred.kube.all("FlinkJob", NAMESPACE):
        name, run = job["metadata"]["name"], job["status"]["submission"]
        created = datetime.fromisoformat(job["metadata"]["creationTimestamp"])
        took = datetime.fromisoformat(run["startedTime"]) - created
        assert hundred.statuses[name] <= 3 + (took.total_seconds() + 1) / 3, (name, took)
    assert hundred.operator.metrics()["flinkjob_events_dropped_total"] == 0


def test_one_upload_for_each_cluster_and_one_run_for_each_job(hundred: Hundred) -> None:
    requests = hundred.fleet.requests()
    assert requests["POST /jars/upload"] == CLUSTERS
    assert requests["POST /jars/:jar/run"] == JOBS


@pytest.mark.invariant(9)
@pytest.mark.behaviour(3)
def test_an_idle_minute(hundred: Hundred) -> None:
    wait_until(
        lambda: all("lastCheckpoint" in status for status in hundred.statuses_now().values()),
        timeout=120,
        what="the first checkpoint of each",
        interval=0.5,
    )
    offset, before, begun = hundred.control_plane.audit_log.stat().st_size, hundred.fleet.requests(), time.monotonic()
    with pytest.raises(ProcessFailed):
        wait_until(lambda: len(hundred.writes(offset)) > 1, timeout=IDLE_SECONDS, what="two writes", interval=1.0)
    assert len(hundred.writes(offset)) <= 1
    asked, minutes = hundred.fleet.requests() - before, (time.monotonic() - begun) / 60
    assert asked["GET /jobs/overview"] <= CLUSTERS * (REQUESTS_A_MINUTE * minutes + 2), asked
    assert asked.total() - asked["GET /jobs/overview"] <= 2, asked
    memory = resident(hundred.operator.process.pid)
    assert memory <= MOST_MEMORY
    assert memory - hundred.memory <= MOST_FOR_JOBS


def _running(kube: Kube) -> int:
    return sum(job.get("status", {}).get("phase") == "Running" for job in kube.all("FlinkJob", NAMESPACE))


def resident(pid: int) -> float:
    """MiB that a process has in memory."""
    line = next(each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
