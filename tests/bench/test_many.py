"""Many jobs: how long they take at once, and what the operator costs while nothing happens to them."""

from __future__ import annotations

import time

import pytest

from deploy.local.controlplane import ControlPlane
from deploy.local.restdriver import RestDriver
from tests.bench.measure import SMALL, Figure, Report, Usage, stopwatch, until
from tests.support.lab import Lab
from tests.support.operator import USER
from tests.support.proxy import FlinkProxy

JOBS = 10 if SMALL else 50
IDLE_SECONDS = 20.0 if SMALL else 60.0
WRITES = frozenset({"create", "update", "patch", "delete"})

pytestmark = [pytest.mark.kube, pytest.mark.flink, pytest.mark.slow]


def _pass(seconds: float) -> None:
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end, "the time to pass")


def _phases(lab: Lab, prefix: str) -> list[str]:
    jobs = lab.kube.all("FlinkJob", lab.namespace)
    return [str(j.get("status", {}).get("phase")) for j in jobs if j["metadata"]["name"].startswith(prefix)]


def _noted(lab: Lab) -> int:
    return sum("lastCheckpoint" in j.get("status", {}) for j in lab.kube.all("FlinkJob", lab.namespace))


@pytest.mark.invariant(12)
@pytest.mark.fault("operator-many-resources")
def test_many_jobs(lab: Lab, rest: RestDriver, control_plane: ControlPlane, proxy: FlinkProxy, report: Report) -> None:
    bare: list[float] = []
    jar = rest.upload(lab.jar)
    ids: list[str] = []
    with stopwatch(bare):
        for number in range(JOBS):
            arguments = ["--rate", "1", "--out", str(lab.out(f"bare-many-{number}"))]
            ids.append(rest.run(jar, *arguments, config={"execution.checkpointing.interval": "10s"}))
        for job in ids:
            rest.wait_state(job, ["RUNNING"], 120)
    for job in ids:
        rest.cancel(job)

    lab.cluster_url = proxy.url
    names = [f"many-{number}" for number in range(JOBS)]
    manifests = [
        lab.job(name, checkpoint={"interval": "10s"}, args=["--rate", "1", "--out", str(lab.out(name))])
        for name in names
    ]
    together: list[float] = []
    with stopwatch(together):
        for manifest in manifests:
            lab.apply(manifest)
        until(lambda: _phases(lab, "many-") == ["Running"] * JOBS, "all Running")
    report.add(Figure.of(f"{JOBS} jobs at once → all run, in status", together, bare))

    until(lambda: _noted(lab) == JOBS, "the first checkpoint of each noted")
    _idle(lab, control_plane, proxy, report)

    gone: list[float] = []
    with stopwatch(gone):
        for name in names:
            lab.delete(name)
        until(lambda: not _phases(lab, "many-"), "all gone")
    report.add(Figure(name=f"{JOBS} jobs deleted at once, each with a savepoint", unit="s", value=gone[0]))
    assert not [job for name in names for job in lab.live_jobs(name)]
    assert [len(lab.savepoints_of(name)) for name in names] == [1] * JOBS


def _idle(lab: Lab, control_plane: ControlPlane, proxy: FlinkProxy, report: Report) -> None:
    pid = lab.operator.process.pid
    offset = control_plane.audit_log.stat().st_size
    proxy.reset()
    before, started = Usage.of(pid), time.monotonic()
    _pass(IDLE_SECONDS)
    after, minutes = Usage.of(pid), (time.monotonic() - started) / 60
    writes = [e for e in control_plane.audit_events(offset) if e.user == USER and e.verb in WRITES]
    about = [event for event in writes if event.resource != "leases"]
    requests = proxy.requests()
    idle = f"{JOBS} idle jobs"
    report.add(Figure(name=f"{idle}: memory", unit="MiB", value=after.rss))
    cpu = (after.cpu - before.cpu) / minutes / 60 * 100
    report.add(Figure(name=f"{idle}: CPU, of one core", unit="%", value=cpu))
    report.add(Figure(name=f"{idle}: Flink requests", unit="/min", value=requests.total() / minutes))
    overview = requests[("GET", "/jobs/overview")]
    report.add(Figure(name=f"{idle}: … of which /jobs/overview", unit="/min", value=overview / minutes))
    report.add(Figure(name=f"{idle}: Kubernetes writes", unit="/min", value=len(about) / minutes, goal=1.0))
    assert len(about) <= minutes + 1, about[:5]
