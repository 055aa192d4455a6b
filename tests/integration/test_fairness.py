"""A cluster that never answers, a main() that does not return and a flood of jobs delay nobody else."""

from __future__ import annotations

import pytest

from tests.support.integration import Fault, FileServer, FlinkProxy, Lab, free_port, submission

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
