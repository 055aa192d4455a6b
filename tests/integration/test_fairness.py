"""A cluster that never answers, a main() that does not return and a flood of jobs delay nobody else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.integration import (
    Fault,
    FileServer,
    FlinkCluster,
    FlinkProxy,
    Lab,
    Site,
    free_port,
    submission,
    wait_until,
)

pytestmark = [pytest.mark.kube, pytest.mark.flink, pytest.mark.slow]

FLOOD = 40
HANGING = 12
"""More than the operator has workers."""


@pytest.mark.invariant(12)
def test_others_are_not_delayed(own_lab: Lab, proxy: FlinkProxy, web: FileServer) -> None:
    lab = own_lab
    proxy.add(Fault.DELAY, seconds=300)
    for number in range(HANGING):
        lab.apply(lab.job(f"hangs-{number}", cluster={"url": proxy.url}))
    refusing = f"http://127.0.0.1:{free_port()}"
    for number in range(FLOOD):
        lab.apply(lab.job(f"flood-{number}", cluster={"url": refusing}, jar={"uri": f"{web.url}/none.jar"}))
    lab.apply(lab.job("endless-main", "--main-ms", "120000", "--count", "10"))
    lab.wait("endless-main", lambda job: submission(job).get("number") == 1, "sent")

    manifest = lab.start("quick")
    lab.apply(lab.savepoint("quick-saved", "quick"))
    lab.savepoint_phase("quick-saved", "Completed")
    lab.edit(manifest, state="Suspended")
    lab.phase("quick", "Suspended")
    lab.delete("quick")
    lab.gone("quick")

    lab.kube.patch(
        "FlinkJob", lab.namespace, "hangs-0", {"metadata": {"annotations": {"flinkjob.dev/force-delete": "true"}}}
    )
    lab.delete("hangs-0")
    lab.gone("hangs-0")
    assert "endless-main" in {job["metadata"]["name"] for job in lab.kube.all("FlinkJob", lab.namespace)}
    proxy.clear()


ATTACK = 60
"""More than a namespace may have of workers and of calls."""
ATTEMPTS = 8
"""The machine may be busy; whoever is held up is so each time."""


@pytest.mark.invariant(12)
@pytest.mark.isolation("shares")
@pytest.mark.threat("too-slow")
def test_a_namespace_delays_no_other(site: Site, flink: FlinkCluster, proxy: FlinkProxy, tmp_path: Path) -> None:
    """Its cluster takes its time for each answer but the overview, and its run calls never return."""
    namespace, bad = f"fair-{int(time.time())}", f"unfair-{int(time.time())}"
    proxy.add(Fault.DELAY, path="(?!/jobs/overview).*", seconds=2)
    sent = proxy.add(Fault.DELAY, method="POST", path="/jars/[^/]*/run", seconds=600)
    operator = site.operator(namespace, bad, workers=16, workers_per_namespace=8, max_long_calls=16)
    with operator, site.lab(operator, flink, tmp_path) as lab:
        alone = _started_within(lab, "alone")
        for number in range(ATTACK):
            job = lab.job(f"slow-{number}", cluster={"url": proxy.url})
            job["metadata"]["namespace"] = bad
            lab.kube.apply(job)
        wait_until(lambda: sent.hits > 0, timeout=120, what="a run call that does not return")
        during = []
        while len(during) < ATTEMPTS and min(during, default=float("inf")) > 1.5 * alone + 1:
            during.append(_started_within(lab, f"during-{len(during)}"))
        print(f"a job of another namespace runs after {alone:.1f} s undisturbed, {min(during):.1f} s during the attack")
        assert min(during) <= 1.5 * alone + 1, during
        wait_until(lambda: operator.metrics()["flinkjob_queue_depth"] > 0, timeout=60, what="the attack goes on")
    proxy.clear()


def _started_within(lab: Lab, name: str) -> float:
    begun = time.monotonic()
    lab.start(name)
    return time.monotonic() - begun
