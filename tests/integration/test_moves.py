"""Another cluster: the job is stopped where it is and goes on there, once; or only its address changes."""

from __future__ import annotations

import pytest

from tests.support.integration import TERMINAL, FlinkCluster, FlinkProxy, Lab, condition, conditions, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]


def states(cluster: FlinkCluster, job_id: str) -> list[str]:
    """What the cluster says of a job; empty when it does not know it."""
    with cluster.http() as http:
        jobs = http.get("/jobs/overview").raise_for_status().json()["jobs"]
    return [job["state"] for job in jobs if job["jid"] == job_id]


def proved(lab: Lab, name: str, cluster: FlinkCluster) -> None:
    """The job counts on at the cluster, with nothing lost or doubled."""
    job_id = submission(lab.get(name))["jobId"]
    there = Lab(lab.kube, cluster, lab.operator, lab.namespace, lab.jar, lab.directory)
    there.checkpointed(job_id, 2)
    there.close()
    lab.exactly_once(name)
    assert lab.started_fresh(name) == 1


def cancel(cluster: FlinkCluster, job_id: str) -> None:
    with cluster.http() as http:
        http.patch(f"/jobs/{job_id}", params={"mode": "cancel"})


@pytest.mark.behaviour(26)
@pytest.mark.parametrize("strategy", ["Savepoint", "LastState"])
def test_to_another_cluster_and_back(lab: Lab, spare_flink: FlinkCluster, strategy: str) -> None:
    name = f"moves-{strategy.lower()}"
    manifest = lab.start(name, upgrade={"strategy": strategy})
    old = submission(lab.get(name))
    lab.checkpointed(old["jobId"])
    lab.edit(manifest, cluster={"url": spare_flink.url})
    found = lab.running(name, 2)
    run = submission(found)
    assert (run["reason"], run["clusterUrl"]) == ("Move", spare_flink.url)
    assert run["restoredFrom"]
    assert states(lab.flink, old["jobId"])[0] in TERMINAL
    assert states(spare_flink, run["jobId"]) == ["RUNNING"]
    proved(lab, name, spare_flink)
    lab.edit(manifest)
    found = lab.running(name, 3)
    assert submission(found)["clusterUrl"] == lab.flink.url
    proved(lab, name, lab.flink)


def test_with_another_spec_at_the_same_time(lab: Lab, spare_flink: FlinkCluster) -> None:
    manifest = lab.start("moves-changed")
    lab.checkpointed(submission(lab.get("moves-changed"))["jobId"])
    lab.edit(manifest, cluster={"url": spare_flink.url}, restartNonce=1, parallelism=2)
    lab.running("moves-changed", 2)
    proved(lab, "moves-changed", spare_flink)


def test_another_name_of_the_same_cluster(lab: Lab) -> None:
    manifest = lab.start("renamed")
    (job,) = lab.flink_jobs("renamed")
    other = lab.flink.url.replace("localhost", "127.0.0.1")
    lab.edit(manifest, cluster={"url": other})
    found = lab.wait("renamed", lambda each: submission(each).get("clusterUrl") == other, "renamed")
    found = lab.running("renamed", 1)
    assert submission(found)["jobId"] == job["jid"]
    assert [each["jid"] for each in lab.flink_jobs("renamed")] == [job["jid"]]


def test_while_it_is_suspended(lab: Lab, spare_flink: FlinkCluster) -> None:
    manifest = lab.start("sleeps")
    lab.checkpointed(submission(lab.get("sleeps"))["jobId"])
    lab.edit(manifest, state="Suspended")
    lab.phase("sleeps", "Suspended")
    lab.edit(manifest, cluster={"url": spare_flink.url}, state="Suspended")
    lab.phase("sleeps", "Suspended")
    lab.edit(manifest, cluster={"url": spare_flink.url}, state="Running")
    found = lab.running("sleeps", 2)
    assert submission(found)["clusterUrl"] == spare_flink.url
    proved(lab, "sleeps", spare_flink)


@pytest.mark.behaviour(1)
def test_a_new_cluster_that_does_not_answer(lab: Lab) -> None:
    manifest = lab.start("stays")
    (job,) = lab.flink_jobs("stays")
    lab.edit(manifest, cluster={"url": "http://127.0.0.1:9"})
    found = lab.wait("stays", lambda each: each["status"].get("plan", {}).get("reason") == "ClusterUnreachable", "told")
    assert submission(found)["jobId"] == job["jid"]
    assert [each["state"] for each in lab.flink_jobs("stays")] == ["RUNNING"]
    lab.edit(manifest)
    found = lab.running("stays", 1)
    assert conditions(found)["Ready"] == "True"


def test_an_old_cluster_that_does_not_answer(lab: Lab, spare_flink: FlinkCluster, proxy: FlinkProxy) -> None:
    """Nothing is started elsewhere while the job may be running there, unless a person says so."""
    lab.cluster_url = proxy.url
    manifest = lab.start("stuck")
    (job,) = lab.flink_jobs("stuck")
    lab.checkpointed(job["jid"])
    lab.apply(lab.savepoint("stuck-1", "stuck"))
    saved = lab.savepoint_phase("stuck-1", "Completed")["status"]["location"]
    proxy.refuse()
    lab.wait("stuck", lambda each: condition(each, "ClusterReachable").get("status") == "False", "silent")
    manifest = lab.edit(manifest, cluster={"url": spare_flink.url})
    found = lab.stalled("stuck", "OldClusterUnreachable")
    assert job["jid"] in condition(found, "Stalled")["message"]
    wrong = {"metadata": {"annotations": {"flinkjob.dev/abandon": "0" * 32}}}
    lab.kube.patch("FlinkJob", lab.namespace, "stuck", wrong)
    lab.stalled("stuck", "OldClusterUnreachable")
    assert submission(lab.get("stuck"))["number"] == 1

    right = {"metadata": {"annotations": {"flinkjob.dev/abandon": job["jid"]}}}
    lab.kube.patch("FlinkJob", lab.namespace, "stuck", right)
    found = lab.wait("stuck", lambda each: "end" in submission(each), "given up")
    assert submission(found)["end"]["result"] == "Lost"
    lab.told_once("LeftBehind", "stuck")
    lab.stalled("stuck", "JobLost")
    cancel(lab.flink, job["jid"])
    lab.edit(manifest, initialState={"strategy": "Custom", "location": saved, "nonce": 1})
    found = lab.running("stuck", 2)
    assert submission(found)["clusterUrl"] == spare_flink.url
    assert submission(found)["restoredFrom"] == saved
    proxy.accept()


@pytest.mark.behaviour(75)
def test_the_operator_is_killed_meanwhile(own_lab: Lab, spare_flink: FlinkCluster) -> None:
    manifest = own_lab.start("carried")
    own_lab.checkpointed(submission(own_lab.get("carried"))["jobId"])
    own_lab.operator.stop()
    own_lab.operator.fault_kill_at = "before:run"
    own_lab.operator.start().wait_ready()
    own_lab.edit(manifest, cluster={"url": spare_flink.url})
    own_lab.operator.wait_killed()
    own_lab.operator.restart()
    found = own_lab.running("carried", 2)
    assert submission(found)["clusterUrl"] == spare_flink.url
    proved(own_lab, "carried", spare_flink)
