"""What a cluster must offer before anything is submitted, and what its configuration endangers."""

from __future__ import annotations

import pytest

from tests.support.integration import Lab, Refused, condition, conditions, submission, wait_until

pytestmark = [pytest.mark.kube, pytest.mark.flink]


def test_what_is_required_and_missing_forbids_the_submission(lab: Lab) -> None:
    needs = ["HighAvailability"]
    manifest = lab.job("demanding", cluster={"url": lab.cluster_url, "require": needs})
    lab.apply(manifest)
    found = lab.stalled("demanding", "Unsuitable")
    assert conditions(found)["ClusterSuitable"] == "False"
    assert "HighAvailability" in condition(found, "ClusterSuitable")["message"]
    assert lab.flink_jobs("demanding") == []
    lab.told_once("ClusterUnsuitable", "demanding")
    lab.edit(manifest, cluster={"url": lab.cluster_url})
    found = lab.running("demanding", 1)
    assert conditions(found)["ClusterSuitable"] == "True"


def test_retained_checkpoints(lab: Lab) -> None:
    demand = {"url": lab.cluster_url, "require": ["RetainedCheckpoints", "SavepointDirectory"]}
    dropped = {"interval": "200ms", "retention": "DeleteOnCancellation"}
    manifest = lab.job("retains", cluster=demand, checkpoint=dropped)
    lab.apply(manifest)
    found = lab.stalled("retains", "Unsuitable")
    message = condition(found, "Stalled")["message"]
    assert "RetainedCheckpoints" in message
    assert "SavepointDirectory" not in message
    lab.edit(manifest, checkpoint={"interval": "200ms"})
    lab.running("retains", 1)


def test_a_requirement_added_later_leaves_the_running_job_alone(lab: Lab) -> None:
    manifest = lab.start("demands-later")
    (job,) = lab.flink_jobs("demands-later")
    demand = {"url": lab.cluster_url, "require": ["HighAvailability"]}
    manifest = lab.edit(manifest, cluster=demand)
    found = lab.wait("demands-later", lambda each: conditions(each)["ClusterSuitable"] == "False", "told")
    assert conditions(found)["Healthy"] == "True"
    lab.edit(manifest, restartNonce=1)
    lab.stalled("demands-later", "Unsuitable")
    assert [each["jid"] for each in lab.live_jobs("demands-later")] == [job["jid"]]
    lab.edit(manifest, restartNonce=1, cluster={"url": lab.cluster_url})
    assert submission(lab.running("demands-later", 2))["restoredFrom"]


@pytest.mark.behaviour(52)
def test_risks_are_told_once_for_all_jobs_of_a_cluster(lab: Lab) -> None:
    lab.start("risky")
    lab.start("risky-too")
    found = lab.running("risky-too", 1)
    said = condition(found, "ClusterSuitable")
    assert said["status"] == "True"
    assert said["reason"] == "Risky"
    assert "no high availability" in said["message"]
    assert "System.exit" not in said["message"], "this cluster intercepts it"

    def about() -> list[str]:
        """The names of the jobs that told it, of all those that ever ran here."""
        told = lab.kube.all("Event", lab.namespace, reason="ClusterUnsuitable")
        return [each["involvedObject"]["name"] for each in told if each["message"] == said["message"]]

    wait_until(about, timeout=30, what="an Event about the cluster")
    assert len({"risky", "risky-too"} & set(about())) <= 1


def test_a_requirement_that_does_not_exist_is_refused(lab: Lab) -> None:
    with pytest.raises(Refused, match="require"):
        lab.kube.apply(lab.job("nonsense", cluster={"url": lab.cluster_url, "require": ["Luck"]}))
