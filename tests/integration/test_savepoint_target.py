"""FlinkSavepoints as backups: of any Flink job by address and id, of what exists already, and what becomes of their data."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support.byhand import run_by_hand
from tests.support.integration import NO_CHECKPOINT, FlinkProxy, Lab, Object, Refused, submission, wait_until

pytestmark = [pytest.mark.kube, pytest.mark.flink]


def path_of(found: Object) -> Path:
    return Path(found["status"]["location"].removeprefix("file:"))


def error(found: Object) -> str:
    return str(found["status"]["error"]["errorCode"])


def gone(lab: Lab, name: str) -> None:
    lab.delete(name, "FlinkSavepoint")
    lab.kube.wait_gone("FlinkSavepoint", lab.namespace, name)


# a job by address and id


@pytest.mark.every_flink
@pytest.mark.parametrize(("mode", "after"), [("Trigger", "RUNNING"), ("Stop", "FINISHED"), ("Cancel", "CANCELED")])
def test_a_job_that_no_flinkjob_has(lab: Lab, mode: str, after: str) -> None:
    flink_job = run_by_hand(lab, "--rate", "100")
    name = f"by-id-{mode.lower()}-{lab.flink.version.replace('.', '-')}"
    lab.apply(lab.target(name, flink_job, mode=mode))
    found = lab.savepoint_phase(name, "Completed")
    assert lab.savepoints_on_disk(name) == [path_of(found)]
    assert lab.state_in_flink(flink_job) == after
    status = found["status"]
    assert (status["jobId"], status["jobState"], status["flinkVersion"]) == (flink_job, after, lab.flink.version)
    assert status["clusterUrl"] == lab.cluster_url
    assert "submission" not in status
    sized = lab.kube.wait_for(
        "FlinkSavepoint", lab.namespace, name, lambda each: each["status"].get("sizeBytes"), what="sized"
    )
    assert sized["status"]["duration"]
    lab.cancel_in_flink(flink_job)


@pytest.mark.copying("by-job-id")
def test_without_permission_an_operator_does_not_act_on_jobs_of_nobody(own_lab: Lab) -> None:
    flink_job = run_by_hand(own_lab, "--rate", "100")
    own_lab.apply(own_lab.target("nobodys", flink_job, mode="Stop"))
    found = own_lab.savepoint_phase("nobodys", "Failed")
    assert error(found) == "OwnedByOther"
    assert "allow-unmarked-jobs" in found["status"]["error"]["message"]
    assert own_lab.state_in_flink(flink_job) == "RUNNING"
    manifest = own_lab.start("ours")
    own_job = submission(own_lab.get("ours"))["jobId"]
    own_lab.apply(own_lab.target("own", own_job))
    own_lab.savepoint_phase("own", "Completed")
    own_lab.edit(manifest, deletion={"policy": "Orphan"})
    own_lab.delete("ours")
    own_lab.gone("ours")
    own_lab.apply(own_lab.target("left-behind", own_job, mode="Cancel"))
    own_lab.savepoint_phase("left-behind", "Completed")
    assert own_lab.state_in_flink(own_job) == "CANCELED"
    own_lab.cancel_in_flink(flink_job)


def test_its_cluster_is_left_alone_afterwards(lab: Lab, proxy: FlinkProxy) -> None:
    flink_job = run_by_hand(lab, "--rate", "100")
    lab.cluster_url = proxy.url
    lab.apply(lab.target("quiet", flink_job))
    lab.savepoint_phase("quiet", "Completed")
    assert proxy.count("GET", "/jobs/overview")
    lab.kube.wait_for(
        "FlinkSavepoint", lab.namespace, "quiet", lambda each: each["status"].get("sizeBytes"), what="sized"
    )

    def is_left_alone() -> bool:
        """For ten checkpoints. The operator forgets the cluster a moment after it has written the size."""
        before = proxy.count("GET", "/jobs/overview")
        lab.checkpointed(flink_job, 10)
        return proxy.count("GET", "/jobs/overview") == before

    wait_until(is_left_alone, timeout=60, what="a cluster that nobody asks")
    lab.cancel_in_flink(flink_job)


@pytest.mark.fault("people-two-stops")
def test_two_stops_of_one_job(lab: Lab) -> None:
    flink_job = run_by_hand(lab, "--rate", "100")
    for number in (1, 2):
        lab.apply(lab.target(f"both-{number}", flink_job, mode="Stop"))
    phases = []
    for number in (1, 2):
        found = lab.kube.wait_for(
            "FlinkSavepoint",
            lab.namespace,
            f"both-{number}",
            lambda each: each.get("status", {}).get("phase") in ("Completed", "Failed"),
            what="finished",
        )
        phases.append(found["status"]["phase"])
        if found["status"]["phase"] == "Failed":
            assert error(found) == "JobNotRunning"
    assert sorted(phases) == ["Completed", "Failed"]
    assert lab.state_in_flink(flink_job) == "FINISHED"


def test_the_current_job_of_a_flinkjob_is_treated_as_its_reference(lab: Lab) -> None:
    lab.start("named")
    flink_job = submission(lab.get("named"))["jobId"]
    lab.apply(lab.target("named-by-id", flink_job, mode="Stop"))
    saved = lab.savepoint_phase("named-by-id", "Completed")
    assert lab.stalled("named", "SavepointStop")["status"]["hold"]["location"] == saved["status"]["location"]
    assert saved["status"]["submission"] == 1


@pytest.mark.parametrize("mode", ["Trigger", "Stop", "Existing"])
def test_a_job_of_another_owner_is_left_alone(lab: Lab, mode: str) -> None:
    owner = f"flinkjob.dev/owner:{lab.operator.identity}/elsewhere/clicks"
    mark = f"{owner},flinkjob.dev/uid:u,flinkjob.dev/submission:1,flinkjob.dev/digest:d"
    flink_job = run_by_hand(lab, "--rate", "100", mark=mark)
    name = f"foreign-{mode.lower()}"
    lab.apply(lab.target(name, flink_job, mode=mode))
    found = lab.savepoint_phase(name, "Failed")
    assert error(found) == "OwnedByOther"
    assert lab.state_in_flink(flink_job) == "RUNNING"
    assert lab.savepoints_begun(name) == []
    lab.cancel_in_flink(flink_job)


@pytest.mark.report("own-parameters")
@pytest.mark.threat("foreign-job")
def test_a_program_that_erases_the_mark_gives_its_job_to_nobody(lab: Lab, own_lab: Lab) -> None:
    """Another namespace and operator, whatever it is allowed of jobs of nobody, neither stops nor adopts it."""
    own_lab.start("secret", "--own-parameters", "mine")
    flink_job = submission(own_lab.get("secret"))["jobId"]
    assert own_lab.rest(f"/jobs/{flink_job}/config")["execution-config"]["user-config"] == {"own": "mine"}
    for mode in ("Stop", "Cancel"):
        lab.apply(lab.target(f"secret-{mode.lower()}", flink_job, mode=mode))
        assert error(lab.savepoint_phase(f"secret-{mode.lower()}", "Failed")) == "OwnedByOther"
    manifest = lab.job("thieves")
    manifest["metadata"]["annotations"] = {"flinkjob.dev/adopt": flink_job}
    lab.apply(manifest)
    lab.stalled("thieves", "OwnedByOther")
    assert lab.state_in_flink(flink_job) == "RUNNING"
    own_lab.apply(own_lab.target("own", flink_job))
    own_lab.savepoint_phase("own", "Completed")


def test_what_is_not_there(lab: Lab, proxy: FlinkProxy) -> None:
    lab.apply(lab.target("no-job", uuid.uuid4().hex))
    assert error(lab.savepoint_phase("no-job", "Failed")) == "UnknownJob"
    proxy.refuse()
    lab.cluster_url = proxy.url
    lab.apply(lab.target("no-cluster", uuid.uuid4().hex, timeout="2s"))
    assert error(lab.savepoint_phase("no-cluster", "Failed")) == "ClusterUnreachable"
    lab.cluster_url = "http://metadata.google.internal"
    lab.apply(lab.target("no-entry", uuid.uuid4().hex))
    found = lab.savepoint_phase("no-entry", "Failed")
    assert "is not allowed" in found["status"]["error"]["message"]


TARGET: dict[str, Any] = {"cluster": {"url": "http://flink:8081"}, "jobId": "0" * 32}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"target": TARGET}, "jobRef"),
        ({"jobRef": None}, "jobRef"),
        ({"jobRef": None, "target": TARGET | {"cluster": {}}}, "target.cluster"),
        ({"jobRef": None, "target": TARGET | {"jobId": "x"}}, "target.jobId"),
        ({"jobRef": None, "target": TARGET, "mode": "Stop", "submission": 1}, "submission"),
        ({"location": "file:/s"}, "location"),
        ({"mode": "Existing", "directory": "file:/s"}, "mode"),
        ({"mode": "Stop", "ttlSecondsAfterFinished": 1}, "ttlSecondsAfterFinished"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(lab: Lab, spec: dict[str, Any], field: str) -> None:
    manifest = lab.savepoint("contradiction", "nobody", **spec)
    manifest["spec"] = {name: value for name, value in manifest["spec"].items() if value is not None}
    with pytest.raises(Refused, match=field):
        lab.kube.apply(manifest)


# what exists already


@pytest.mark.behaviour(59)
def test_the_newest_checkpoint_is_registered_and_started_from(lab: Lab) -> None:
    lab.start("sourced")
    flink_job = submission(lab.get("sourced"))["jobId"]
    lab.checkpointed(flink_job)
    lab.kube.patch("FlinkJob", lab.namespace, "sourced", {"spec": {"state": "Suspended"}})
    kept = lab.phase("sourced", "Suspended")["status"]["submission"]["end"]["snapshot"]
    lab.apply(lab.savepoint("by-reference", "sourced", mode="Existing"))
    lab.apply(lab.target("by-address", flink_job, mode="Existing"))
    lab.apply(lab.savepoint("by-place", "sourced", mode="Existing", location=kept))
    for name in ("by-reference", "by-address", "by-place"):
        assert lab.savepoint_phase(name, "Completed")["status"]["location"] == kept
    lab.start("branch", initialState={"strategy": "Custom", "savepointRef": {"name": "by-reference"}})
    assert submission(lab.get("branch"))["restoredFrom"] == kept
    gone(lab, "by-place")
    assert Path(kept.removeprefix("file:")).exists()
    with pytest.raises(Refused, match="immutable"):
        lab.kube.apply(lab.savepoint("by-reference", "sourced", mode="Existing", location="file:/else"))


def test_a_checkpoint_of_a_running_job_and_none(lab: Lab) -> None:
    lab.start("registers")
    flink_job = submission(lab.get("registers"))["jobId"]
    lab.checkpointed(flink_job)
    lab.apply(lab.savepoint("registers-1", "registers", mode="Existing", deletion={"policy": "Delete"}))
    found = lab.savepoint_phase("registers-1", "Completed")
    assert f"/{flink_job}/chk-{found['status']['checkpointId']}" in found["status"]["location"]
    assert found["status"]["sizeBytes"]
    gone(lab, "registers-1")
    lab.checkpointed(flink_job)
    lab.start("stateless-yet", "--snapshot-ms", "30000")  # the first checkpoint is not complete for long
    lab.apply(lab.savepoint("nothing-yet", "stateless-yet", mode="Existing"))
    assert error(lab.savepoint_phase("nothing-yet", "Failed")) == "NoSnapshot"


# what becomes of the data and of the object


@pytest.mark.behaviour(64)
@pytest.mark.fault("people-delete-a-savepoint")
def test_deleted_with_its_data_while_it_is_written(lab: Lab) -> None:
    lab.start("unwanted", "--snapshot-ms", "2500", checkpoint={"interval": "500ms"})
    lab.apply(lab.savepoint("unwanted-1", "unwanted", deletion={"policy": "Delete"}))
    lab.savepoint_phase("unwanted-1", "InProgress")
    gone(lab, "unwanted-1")
    assert lab.savepoints_on_disk("unwanted") == []
    lab.told("SnapshotDeleted", name="unwanted-1")


@pytest.mark.behaviour(64)
def test_deleted_with_its_data_when_its_job_is_gone(lab: Lab) -> None:
    lab.start("gone-before", deletion={"policy": "Cancel"})
    for name in ("left-1", "left-2"):
        lab.apply(lab.savepoint(name, "gone-before", deletion={"policy": "Delete"}))
    first, second = (lab.savepoint_phase(name, "Completed") for name in ("left-1", "left-2"))
    lab.delete("gone-before")
    lab.gone("gone-before")
    for part in path_of(second).iterdir():
        part.unlink()
    path_of(second).rmdir()
    for name in ("left-1", "left-2"):
        gone(lab, name)
        lab.told("SnapshotDeleted", name=name)
    assert not path_of(first).exists()


@pytest.mark.invariant(7)
def test_the_newest_state_of_a_running_job_stays(lab: Lab) -> None:
    lab.start("newest", checkpoint=NO_CHECKPOINT)
    for name, timeout in (("newest-1", "60s"), ("newest-2", "3s")):
        lab.apply(lab.savepoint(name, "newest", deletion={"policy": "Delete", "timeout": timeout}))
        lab.savepoint_phase(name, "Completed")
    saved = {name: lab.savepoint_phase(name, "Completed") for name in ("newest-1", "newest-2")}
    for name in saved:
        gone(lab, name)
    assert not path_of(saved["newest-1"]).exists()
    assert path_of(saved["newest-2"]).exists()
    lab.told("SnapshotKept", name="newest-2")


def test_its_time_to_live(lab: Lab) -> None:
    lab.start("short")
    lab.apply(lab.savepoint("short-1", "short", ttlSecondsAfterFinished=0, deletion={"policy": "Delete"}))
    lab.kube.wait_gone("FlinkSavepoint", lab.namespace, "short-1")
    assert lab.savepoints_on_disk("short") == []
    owned = lab.savepoint("short-2", "short", ttlSecondsAfterFinished=0)
    owned["metadata"]["labels"] = {"kustomize.toolkit.fluxcd.io/name": "apps"}
    lab.apply(owned)
    lab.savepoint_phase("short-2", "Completed")
    lab.kube.wait_for(
        "FlinkSavepoint",
        lab.namespace,
        "short-2",
        lambda each: "TTLIgnored" in lab.reasons("short-2", "FlinkSavepoint"),
        what="ignored",
    )


def test_one_that_is_completed_after_its_timeout(lab: Lab) -> None:
    lab.start("tardy", "--snapshot-ms", "8000", checkpoint=NO_CHECKPOINT)
    lab.apply(lab.savepoint("tardy-1", "tardy", timeout="4s"))
    assert error(lab.savepoint_phase("tardy-1", "Failed")) == "Timeout"
    found = lab.kube.wait_for(
        "FlinkSavepoint", lab.namespace, "tardy-1", lambda each: each["status"].get("location"), what="noted"
    )
    assert found["status"]["phase"] == "Failed"
    assert lab.savepoints_on_disk("tardy") == [path_of(found)]


def test_savepoints_of_upgrades_tell_their_size(lab: Lab) -> None:
    manifest = lab.start("measured")
    lab.edit(manifest, restartNonce=1)
    lab.running("measured", 2)
    (saved,) = lab.savepoints_of("measured")
    found = lab.kube.wait_for(
        "FlinkSavepoint",
        lab.namespace,
        saved["metadata"]["name"],
        lambda each: each.get("status", {}).get("sizeBytes"),
        what="sized",
    )
    assert found["status"]["duration"]
    assert found["status"]["checkpointId"]
