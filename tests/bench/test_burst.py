"""Many jobs of a real cluster at once: started, upgraded, left alone, deleted.

The limit is the same by bare REST calls, with as many at a time as is quickest on this machine.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.local.controlplane import ControlPlane
from deploy.local.restdriver import RestDriver
from tests.bench.conftest import Proxied
from tests.bench.measure import SMALL, Meter, Usage, pass_time, stopwatch, until
from tests.bench.report import Cost, Figure, Goal, Report
from tests.support.kube import Object
from tests.support.lab import Lab, observed
from tests.support.proxy import FlinkProxy

JOBS = 10 if SMALL else 50
AT_ONCE = (4,) if SMALL else (2, 4, 8)
IDLE_SECONDS = 20.0 if SMALL else 60.0
WRITES = ("create", "update", "patch", "delete")
RATE = ("--rate", "1")

pytestmark = [pytest.mark.kube, pytest.mark.flink, pytest.mark.slow]


class Bare:
    """The same jobs by bare REST calls."""

    def __init__(self, lab: Lab, rest: RestDriver) -> None:
        self._lab, self._rest, self._jar = lab, rest, rest.upload(lab.jar)
        self._jobs: list[str] = []
        self.started: dict[int, float] = {}
        self.upgraded: dict[int, float] = {}
        self.stopped: dict[int, float] = {}

    def measure(self, at_once: int) -> None:
        """Starts, upgrades and stops all of them, so many at a time."""
        self._jobs.clear()
        with ThreadPoolExecutor(at_once) as pool:
            self.started[at_once] = self._time(pool, range(JOBS), self._start)
            self.upgraded[at_once] = self._time(pool, list(self._jobs), self._upgrade)
            self.stopped[at_once] = self._time(pool, list(self._jobs), self._rest.stop)

    def _time(self, pool: ThreadPoolExecutor, of: Sequence[object], each: Callable[..., object]) -> float:
        taken: list[float] = []
        with stopwatch(taken):
            list(pool.map(each, of))
            if each != self._rest.stop:
                until(self._all_run, "all bare jobs")
        return taken[0]

    def _all_run(self) -> bool:
        jobs = {job["jid"]: job for job in self._lab.rest("/jobs/overview")["jobs"]}
        found = [jobs[job]["tasks"] for job in self._jobs[-JOBS:]]
        return all(tasks["total"] and tasks["running"] == tasks["total"] for tasks in found)

    def _start(self, number: int) -> None:
        self._jobs.append(self._run(f"bare-many-{number}"))

    def _upgrade(self, job: str) -> None:
        saved = self._rest.stop(job)
        self._jobs.remove(job)
        self._jobs.append(self._run(f"bare-many-{job}", saved))

    def _run(self, name: str, savepoint: str | None = None) -> str:
        arguments = (*RATE, "--out", str(self._lab.out(name)))
        config = {
            "execution.checkpointing.interval": "10s",
            "execution.checkpointing.savepoint-dir": self._lab.savepoint_directory(name),
        }
        return self._rest.run(self._jar, *arguments, savepoint=savepoint, config=config, job_id=uuid.uuid4().hex)


def _phases(lab: Lab, number: int) -> list[str]:
    """Of the FlinkJobs whose status speaks of the present spec and of this submission."""
    jobs = [job for job in lab.kube.all("FlinkJob", lab.namespace) if observed(job)]
    return [
        str(job["status"].get("phase"))
        for job in jobs
        if job["metadata"]["name"].startswith("many-") and job["status"].get("submission", {}).get("number") == number
    ]


def _noted(lab: Lab) -> int:
    return sum("lastCheckpoint" in j.get("status", {}) for j in lab.kube.all("FlinkJob", lab.namespace))


@pytest.mark.invariant(12)
@pytest.mark.fault("operator-many-resources")
def test_many_jobs(
    lab: Lab, rest: RestDriver, control_plane: ControlPlane, proxy: FlinkProxy, proxied: Proxied, report: Report
) -> None:
    bare = Bare(lab, rest)
    for at_once in AT_ONCE:
        bare.measure(at_once)
    lab.cluster_url = proxy.url
    meter, names = Meter(lab.operator, control_plane, proxied), [f"many-{number}" for number in range(JOBS)]
    manifests = [_manifest(lab, name) for name in names]
    with meter.step(f"{JOBS} created", report.costs):
        for manifest in manifests:
            lab.apply(manifest)
        until(lambda: _phases(lab, 1) == ["Running"] * JOBS, "all Running", pause=0.1)
    until(lambda: _noted(lab) == JOBS, "the first checkpoint of each noted", pause=0.5)

    with meter.step(f"{JOBS} left alone", report.costs):
        pass_time(IDLE_SECONDS)
    rss = Usage.of(lab.operator.process.pid).rss

    with meter.step(f"{JOBS} upgraded", report.costs):
        for manifest in manifests:
            lab.edit(manifest, args=[*manifest["spec"]["args"], "--name", "next"])
        until(lambda: _phases(lab, 2) == ["Running"] * JOBS, "all upgraded", pause=0.1)
    with meter.step(f"{JOBS} deleted", report.costs):
        for name in names:
            lab.delete(name)
        until(lambda: not any(_exists(job) for job in lab.kube.all("FlinkJob", lab.namespace)), "all gone", pause=0.1)
    assert not [job for name in names for job in lab.live_jobs(name)]
    assert {len(lab.savepoints_of(name)) for name in names} == {2}, "one of the upgrade, one of the deletion"
    bare.measure(min(bare.started, key=bare.started.__getitem__))
    report.add(*_figures(report.costs, bare, rss, lab.operator.metrics()["flinkjob_events_dropped_total"]))


def _manifest(lab: Lab, name: str) -> Object:
    return lab.job(name, checkpoint={"interval": "10s"}, args=[*RATE, "--out", str(lab.out(name))])


def _exists(job: Object) -> bool:
    return str(job["metadata"]["name"]).startswith("many-")


def _figures(costs: Sequence[Cost], bare: Bare, rss: float, dropped: float) -> list[Figure]:
    created, idle, upgraded, deleted = costs
    minutes = idle.seconds / 60
    writes = sum(idle.kubernetes.get(verb, 0) for verb in WRITES)
    return [
        Figure(
            name=f"{JOBS} at once → all run, in status",
            unit="s",
            value=created.seconds,
            limit=min(bare.started.values()),
            goal=Goal(kind="times", value=1.25),
            grain=2.0,
        ),
        Figure(
            name=f"{JOBS} upgraded at once, each with a savepoint",
            unit="s",
            value=upgraded.seconds,
            limit=min(bare.upgraded.values()),
            grain=2.0,
        ),
        Figure(
            name=f"{JOBS} deleted at once, each with a savepoint",
            unit="s",
            value=deleted.seconds,
            limit=min(bare.stopped.values()),
            grain=2.0,
        ),
        Figure(
            name=f"Flink requests a minute, {JOBS} idle jobs",
            unit="",
            value=idle.flink / minutes,
            goal=Goal(kind="most", value=30),
            grain=2,
        ),
        Figure(
            name=f"Kubernetes writes a minute, {JOBS} idle jobs",
            unit="",
            value=writes / minutes,
            goal=Goal(kind="most", value=1),
            grain=1,
        ),
        Figure(
            name=f"CPU of one core, {JOBS} idle jobs",
            unit="%",
            value=idle.cpu / idle.seconds * 100,
            goal=Goal(kind="most", value=0.4),
            grain=0.3,
        ),
        Figure(name=f"memory, {JOBS} idle jobs", unit="MiB", value=rss, goal=Goal(kind="most", value=92), grain=5),
        Figure(name="Events lost", unit="", value=dropped, goal=Goal(kind="most", value=0)),
    ]
