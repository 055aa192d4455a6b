"""FlinkSavepoints: taken once, reported fully, failing with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.integration import NO_CHECKPOINT, Lab, conditions, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]

MARK = "flinkjob.dev/result"
DONE = {"Ready": "True", "Reconciling": "False", "Stalled": "False"}


@pytest.mark.behaviour(43, 54, 58)
@pytest.mark.every_flink
@pytest.mark.parametrize("format_type", ["Canonical", "Native"])
def test_a_savepoint_of_a_running_job(lab: Lab, format_type: str) -> None:
    name = f"sp-{format_type.lower()}"
    lab.start(name)
    lab.apply(lab.savepoint(f"{name}-1", name, formatType=format_type))
    found = lab.savepoint_phase(f"{name}-1", "Completed")
    status = found["status"]
    assert conditions(found) == DONE
    (path,) = lab.savepoints_on_disk(name)
    assert status["location"] == f"file:{path}"
    assert f"/{found['metadata']['uid']}/" in status["location"], "a directory of its own"
    assert status["jobId"] == submission(lab.get(name))["jobId"]
    assert (status["submission"], status["origin"], status["formatType"]) == (1, "Manual", format_type)
    assert status["flinkVersion"] == lab.flink.version
    assert lab.live_jobs(name)
    found = lab.kube.wait_for(
        "FlinkSavepoint",
        lab.namespace,
        f"{name}-1",
        lambda each: each["status"].get("sizeBytes") and MARK in each["metadata"].get("annotations", {}),
        what="sized and marked",
    )
    assert found["status"]["checkpointId"] >= 1
    assert '"location"' in found["metadata"]["annotations"][MARK]
    lab.told_once("SavepointCompleted", f"{name}-1", "FlinkSavepoint")


@pytest.mark.behaviour(58, 63)
@pytest.mark.every_flink
@pytest.mark.parametrize("kind", ["Full", "Configured"])
def test_a_checkpoint(lab: Lab, kind: str) -> None:
    name = f"cp-{kind.lower()}"
    lab.start(name, checkpoint=NO_CHECKPOINT)
    lab.apply(lab.savepoint(f"{name}-1", name, type="Checkpoint", checkpointType=kind))
    lab.savepoint_phase(f"{name}-1", "Completed")
    job_id = submission(lab.get(name))["jobId"]
    found = lab.kube.wait_for(
        "FlinkSavepoint", lab.namespace, f"{name}-1", lambda each: each["status"].get("location"), what="located"
    )
    number = found["status"]["checkpointId"]
    assert f"/{job_id}/chk-{number}" in found["status"]["location"]
    (entry,) = [each for each in lab.checkpoints(job_id)["history"] if each["id"] == number]
    assert (entry["status"], entry["is_savepoint"]) == ("COMPLETED", False)


@pytest.mark.every_flink
@pytest.mark.parametrize("mode", ["Stop", "Cancel"])
def test_a_stop_holds_the_job(lab: Lab, mode: str) -> None:
    name = f"hold-{mode.lower()}"
    manifest = lab.start(name)
    lab.apply(lab.savepoint(f"{name}-1", name, mode=mode, submission=1))
    saved = lab.savepoint_phase(f"{name}-1", "Completed")
    found = lab.stalled(name, "SavepointStop")
    assert found["status"]["phase"] == "Held"
    assert conditions(found).items() >= {"Ready": "False", "Reconciling": "False", "Healthy": "False"}.items()
    hold = found["status"]["hold"]
    assert (hold["by"], hold["location"]) == (f"{name}-1", saved["status"]["location"])
    assert [job["state"] for job in lab.flink_jobs(name)] == ["FINISHED" if mode == "Stop" else "CANCELED"]

    manifest = lab.edit(manifest, parallelism=2, deletion={"policy": "Cancel"})
    found = lab.stalled(name, "SavepointStop")
    assert submission(found)["number"] == 1, "neither parallelism nor Live fields release a hold"
    lab.delete(f"{name}-1", "FlinkSavepoint")
    lab.kube.wait_gone("FlinkSavepoint", lab.namespace, f"{name}-1")
    assert lab.get(name)["status"]["hold"]["location"] == saved["status"]["location"]

    lab.edit(manifest, restartNonce=1)
    found = lab.running(name, 2)
    assert submission(found)["restoredFrom"] == saved["status"]["location"]
    assert "hold" not in found["status"]
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once(name)
    assert lab.started_fresh(name) == 1


def test_a_hold_is_released_by_state(lab: Lab) -> None:
    manifest = lab.start("released")
    lab.apply(lab.savepoint("released-1", "released", mode="Stop"))
    saved = lab.savepoint_phase("released-1", "Completed")
    manifest = lab.edit(manifest, state="Suspended")
    lab.phase("released", "Suspended")
    lab.edit(manifest, state="Running")
    found = lab.running("released", 2)
    assert submission(found)["restoredFrom"] == saved["status"]["location"]


@pytest.mark.copying("intent-before-stop")
@pytest.mark.fault("people-edit-during-a-savepoint")
def test_an_edit_during_the_stop_lifts_the_hold(lab: Lab) -> None:
    manifest = lab.start("lifted", "--snapshot-ms", "2500", checkpoint=NO_CHECKPOINT)
    lab.apply(lab.savepoint("lifted-1", "lifted", mode="Stop"))
    lab.savepoint_phase("lifted-1", "InProgress")
    lab.edit(manifest, restartNonce=1)
    saved = lab.savepoint_phase("lifted-1", "Completed")
    found = lab.running("lifted", 2)
    assert submission(found)["restoredFrom"] == saved["status"]["location"]


@pytest.mark.fault("people-two-stops")
def test_wishes_join_the_stop_in_flight(lab: Lab) -> None:
    manifest = lab.start("joined", "--snapshot-ms", "2500", checkpoint=NO_CHECKPOINT)
    lab.apply(lab.savepoint("joined-1", "joined", mode="Stop"))
    lab.wait("joined", lambda job: "operation" in job["status"], "being stopped")
    lab.edit(manifest, state="Suspended")
    lab.delete("joined")
    lab.gone("joined")
    assert len(lab.savepoints_on_disk("joined")) == 1
    saved = lab.savepoint_phase("joined-1", "Completed")
    assert lab.savepoints_on_disk("joined") == [Path(saved["status"]["location"].removeprefix("file:"))]
    assert lab.live_jobs("joined") == []


@pytest.mark.fault("people-two-stops")
def test_two_stops_at_once(lab: Lab) -> None:
    lab.start("stopped-twice", "--snapshot-ms", "300")
    for number in (1, 2):
        lab.apply(lab.savepoint(f"twice-{number}", "stopped-twice", mode="Stop", timeout="40s"))
    first = lab.savepoint_phase("twice-1", "Completed")
    second = lab.savepoint_phase("twice-2", "Failed")
    assert second["status"]["error"]["errorCode"] == "JobNotRunning"
    assert lab.get("stopped-twice")["status"]["hold"]["location"] == first["status"]["location"]
    assert len(lab.savepoints_on_disk("stopped-twice")) == 1


@pytest.mark.behaviour(64)
@pytest.mark.fault("people-delete-a-savepoint")
def test_deleted_while_in_progress(lab: Lab) -> None:
    lab.start("dropped", "--snapshot-ms", "2500", checkpoint=NO_CHECKPOINT)
    lab.apply(lab.savepoint("dropped-1", "dropped"))
    lab.savepoint_phase("dropped-1", "InProgress")
    lab.delete("dropped-1", "FlinkSavepoint")
    lab.kube.wait_gone("FlinkSavepoint", lab.namespace, "dropped-1")
    lab.running("dropped", 1)
    lab.apply(lab.savepoint("dropped-2", "dropped"))
    lab.savepoint_phase("dropped-2", "Completed")


@pytest.mark.behaviour(64)
def test_a_stop_goes_on_when_its_object_is_deleted(lab: Lab) -> None:
    lab.start("goes-on", "--snapshot-ms", "2500", checkpoint=NO_CHECKPOINT)
    lab.apply(lab.savepoint("goes-on-1", "goes-on", mode="Stop"))
    lab.savepoint_phase("goes-on-1", "InProgress")
    lab.delete("goes-on-1", "FlinkSavepoint")
    found = lab.stalled("goes-on", "SavepointStop")
    assert found["status"]["hold"]["by"] == "goes-on-1"
    assert found["status"]["hold"]["location"]


@pytest.mark.behaviour(57, 60)
@pytest.mark.fault("flink-checkpoint-declined")
def test_a_savepoint_that_fails_is_tried_again(lab: Lab, tmp_path: Path) -> None:
    flag = tmp_path / "failing"
    lab.start("flaky", "--snapshot-fail-while", str(flag), checkpoint=NO_CHECKPOINT)
    flag.touch()
    lab.apply(lab.savepoint("flaky-1", "flaky", backoffLimit=0))
    found = lab.savepoint_phase("flaky-1", "Failed")
    assert found["status"]["error"]["errorCode"] == "SavepointFailed"
    assert found["status"]["error"]["message"]
    lab.running("flaky", 1)
    lab.apply(lab.savepoint("flaky-2", "flaky", backoffLimit=4))
    lab.kube.wait_for(
        "FlinkSavepoint", lab.namespace, "flaky-2", lambda each: each.get("status", {}).get("failures"), what="failed"
    )
    flag.unlink()
    found = lab.savepoint_phase("flaky-2", "Completed")
    assert found["status"]["failures"] >= 1


@pytest.mark.behaviour(61)
def test_an_unknown_job(lab: Lab) -> None:
    lab.kube.apply(lab.savepoint("nobody-1", "nobody", timeout="1s"))
    found = lab.savepoint_phase("nobody-1", "Failed")
    assert found["status"]["error"]["errorCode"] == "UnknownJob"
    lab.delete("nobody-1", "FlinkSavepoint")


@pytest.mark.behaviour(54)
@pytest.mark.fault("people-wrong-order")
def test_a_job_that_is_not_running_yet_is_waited_for(lab: Lab) -> None:
    lab.kube.apply(lab.savepoint("early-1", "early"))
    lab.savepoint_phase("early-1", "Pending")
    lab.start("early")
    lab.savepoint_phase("early-1", "Completed")


@pytest.mark.behaviour(61)
def test_another_job_by_now(lab: Lab) -> None:
    lab.start("changed")
    lab.apply(lab.savepoint("changed-1", "changed", jobRef={"name": "changed", "jobId": "0" * 32}))
    lab.apply(lab.savepoint("changed-2", "changed", mode="Stop", submission=7))
    for name in ("changed-1", "changed-2"):
        found = lab.savepoint_phase(name, "Failed")
        assert found["status"]["error"]["errorCode"] == "JobChanged"
    assert lab.live_jobs("changed")


@pytest.mark.behaviour(59)
def test_created_again_with_its_result(lab: Lab) -> None:
    lab.start("created-again")
    lab.apply(lab.savepoint("restored-1", "created-again", mode="Stop"))
    lab.savepoint_phase("restored-1", "Completed")
    manifest = lab.get("created-again")
    lab.kube.patch("FlinkJob", lab.namespace, "created-again", {"spec": {"restartNonce": 1}})
    lab.running("created-again", 2)
    saved = lab.kube.wait_for(
        "FlinkSavepoint",
        lab.namespace,
        "restored-1",
        lambda each: MARK in each["metadata"].get("annotations", {}),
        what="marked",
    )
    lab.delete("restored-1", "FlinkSavepoint")
    lab.kube.wait_gone("FlinkSavepoint", lab.namespace, "restored-1")
    again = lab.savepoint("restored-1", "created-again", mode="Stop")
    mark = saved["metadata"]["annotations"][MARK]
    again["metadata"]["annotations"] = {MARK: mark}
    lab.apply(again)
    found = lab.savepoint_phase("restored-1", "Completed")
    assert found["status"]["location"] == saved["status"]["location"]
    assert submission(lab.running("created-again", 2))["jobId"] != manifest["status"]["submission"]["jobId"]
    assert lab.live_jobs("created-again")
