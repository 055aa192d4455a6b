"""Jobs of which no task ever starts: too few slots, a cluster that no name leads to."""

from __future__ import annotations

import pytest

from tests.support.integration import Lab, condition

pytestmark = [pytest.mark.kube, pytest.mark.flink]


@pytest.mark.report("no-slots")
@pytest.mark.every_flink
def test_a_job_without_slots_waits_and_nothing_says_for_what(lab: Lab) -> None:
    manifest = lab.job("too-wide", parallelism=40)
    lab.apply(manifest)
    waiting = lab.wait(
        "too-wide", lambda job: condition(job, "Ready").get("reason") == "WaitingForSlots", "WaitingForSlots"
    )
    assert condition(waiting, "Ready")["message"].startswith("needs 40 slots, ")
    assert " free of 16, 1 TaskManager" in condition(waiting, "Ready")["message"]
    lab.edit(manifest, parallelism=1)
    lab.running("too-wide")


@pytest.mark.report("no-such-host")
def test_the_name_of_the_clusters_service_is_not_found(lab: Lab) -> None:
    """A host without dots is a Service of the FlinkJob's own namespace, wherever the operator runs."""
    lab.apply(lab.job("unresolved", cluster={"url": "http://flink-nowhere:8081"}))
    lab.told_once("ClusterUnreachable", "unresolved")
    message = condition(lab.get("unresolved"), "Ready")["message"]
    assert message.startswith(f"http://flink-nowhere.{lab.namespace}.svc:8081: host flink-nowhere.{lab.namespace}.svc ")
    assert message.endswith(f"is there a Service flink-nowhere in namespace {lab.namespace}?")
    assert lab.get("unresolved")["status"]["phase"] == "Pending"
