"""Deleting a FlinkJob: by policy, by force, at its deadline, with its namespace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.integration import NO_CHECKPOINT, ControlPlane, FlinkProxy, Kube, Lab, OperatorProcess, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]


@pytest.mark.behaviour(70)
@pytest.mark.invariant(8)
@pytest.mark.every_flink
def test_with_a_savepoint_that_stays(lab: Lab) -> None:
    lab.start("saved")
    lab.delete("saved")
    lab.gone("saved")
    assert [job["state"] for job in lab.flink_jobs("saved")] == ["FINISHED"]
    (path,) = lab.savepoints_on_disk("saved")
    (record,) = lab.savepoints_of("saved")
    record = lab.savepoint_phase(record["metadata"]["name"], "Completed")
    assert record["status"]["location"] == f"file:{path}"
    assert record["metadata"]["labels"]["flinkjob.dev/origin"] == "Deletion"
    assert "ownerReferences" not in record["metadata"]
    lab.exactly_once("saved")
    revisions = lab.kube.all("ControllerRevision", lab.namespace)
    assert all(r["metadata"]["ownerReferences"][0]["kind"] == "FlinkJob" for r in revisions)


@pytest.mark.behaviour(69)
def test_by_cancel(lab: Lab) -> None:
    lab.start("cancelled", deletion={"policy": "Cancel"})
    lab.delete("cancelled")
    lab.gone("cancelled")
    assert [job["state"] for job in lab.flink_jobs("cancelled")] == ["CANCELED"]
    assert lab.savepoints_of("cancelled") == []


@pytest.mark.behaviour(72)
def test_one_whose_cluster_may_not_be_spoken_to_any_more_is_let_go(
    own_lab: Lab, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """As when the operator's flags, or what a Service allows, have changed under a running job."""
    own_lab.start("shut-out", deletion={"policy": "Cancel", "timeout": "3s"})
    (job,) = own_lab.flink_jobs("shut-out")
    own_lab.operator.stop()
    options = {"allow-loopback": "false"}
    namespace = own_lab.namespace
    with OperatorProcess(
        control_plane, tmp_path / "later", namespaces=[namespace], identity=namespace, options=options
    ):
        own_lab.delete("shut-out")
        own_lab.gone("shut-out")
        own_lab.told("LeftBehind", name="shut-out")
    assert [each["state"] for each in own_lab.flink_jobs("shut-out")] == ["RUNNING"]
    own_lab.cancel_in_flink(job["jid"])
    own_lab.operator.start().wait_ready()


def test_orphan_and_apply_again(lab: Lab) -> None:
    manifest = lab.start("orphan", deletion={"policy": "Orphan"})
    (job,) = lab.flink_jobs("orphan")
    lab.delete("orphan")
    lab.gone("orphan")
    assert [each["jid"] for each in lab.live_jobs("orphan")] == [job["jid"]]
    lab.told("Orphaned", name="orphan")
    lab.apply(manifest)
    found = lab.running("orphan")
    assert submission(found)["jobId"] == job["jid"]
    lab.told("Adopted", name="orphan")
    assert len(lab.flink_jobs("orphan")) == 1
    lab.edit(manifest, restartNonce=1)
    found = lab.wait("orphan", lambda each: submission(each)["jobId"] != job["jid"], "upgraded")
    lab.running("orphan")
    assert submission(found)["restoredFrom"]
    assert len(lab.live_jobs("orphan")) == 1


@pytest.mark.behaviour(72)
def test_by_force(lab: Lab, tmp_path: Path) -> None:
    flag = tmp_path / "failing"
    lab.start("forced", "--snapshot-fail-while", str(flag), checkpoint=NO_CHECKPOINT)
    flag.touch()
    lab.delete("forced")
    lab.wait("forced", lambda job: job["status"]["phase"] == "Deleting", "deleting")
    note = {"metadata": {"annotations": {"flinkjob.dev/force-delete": "true"}}}
    lab.kube.patch("FlinkJob", lab.namespace, "forced", note)
    lab.gone("forced")
    assert lab.live_jobs("forced") == []


@pytest.mark.fault("people-delete-during-an-upgrade")
def test_while_it_is_being_upgraded(lab: Lab) -> None:
    manifest = lab.start("mid", "--snapshot-ms", "2500", checkpoint=NO_CHECKPOINT)
    lab.edit(manifest, restartNonce=1)
    lab.wait("mid", lambda job: "operation" in job["status"], "being stopped")
    lab.delete("mid")
    lab.gone("mid")
    assert lab.live_jobs("mid") == []
    assert len(lab.savepoints_on_disk("mid")) == 1, "it joined the stop in flight"


@pytest.mark.behaviour(68, 71)
def test_before_anything_ran(lab: Lab) -> None:
    lab.apply(lab.job("never", state="Suspended"))
    lab.phase("never", "Suspended")
    lab.delete("never")
    lab.gone("never")


@pytest.mark.behaviour(69, 72)
@pytest.mark.invariant(8)
def test_where_no_cluster_answers_it_ends_at_the_deadline(lab: Lab, proxy: FlinkProxy) -> None:
    lab.cluster_url = proxy.url
    lab.start("left", deletion={"policy": "Cancel", "timeout": "1s"})
    (job,) = lab.flink_jobs("left")
    proxy.refuse()
    lab.delete("left")
    lab.told("LeftBehind", name="left")
    lab.gone("left")
    (event,) = [e for e in lab.kube.events(lab.namespace, "left") if e["reason"] == "LeftBehind"]
    assert event["type"] == "Warning"
    assert job["jid"] in event["message"]
    assert [each["jid"] for each in lab.live_jobs("left")] == [job["jid"]]
    lab.cancel_in_flink(job["jid"])
    proxy.accept()


@pytest.mark.invariant(8)
def test_with_its_namespace(own_lab: Lab, kube: Kube) -> None:
    own_lab.start("inside")
    own_lab.apply(own_lab.savepoint("inside-1", "inside"))
    own_lab.savepoint_phase("inside-1", "Completed")
    kube.delete("Namespace", "", own_lab.namespace)
    kube.wait_gone("Namespace", "", own_lab.namespace, deadline=60)
    assert own_lab.live_jobs("inside") == []
    assert not re.search(r"Traceback", own_lab.operator.said())
