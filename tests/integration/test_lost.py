"""Jobs that their cluster no longer knows: lost with the JobManager, forgotten after their end, or kept by HA."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import RESTARTABLE, SPARE
from tests.support.integration import (
    FlinkCluster,
    FlinkProxy,
    Kube,
    Lab,
    OperatorProcess,
    build_demo_jar,
    check_exactly_once,
    condition,
    restores,
    submission,
    wait_until,
)

pytestmark = [pytest.mark.kube, pytest.mark.flink]

SOON = {"initialDelay": "1s", "maxDelay": "1s"}
LONG = 90.0


def begin(lab: Lab, name: str, *args: str, **spec: object) -> dict[str, object]:
    """A running job with a checkpoint; returns its manifest."""
    manifest = lab.start(name, *args, **{"restart": SOON, **spec})
    lab.checkpointed(submission(lab.get(name))["jobId"])
    return manifest


def goes_on(lab: Lab, name: str, number: int = 2) -> dict[str, object]:
    """The job runs as that submission and has counted every record once; returns its submission."""
    run = submission(lab.running(name, number, deadline=LONG))
    lab.checkpointed(run["jobId"], 2)
    lab.exactly_once(name)
    assert lab.started_fresh(name) == 1
    assert len(lab.live_jobs(name)) == 1
    return run


@pytest.mark.behaviour(21, 47)
@pytest.mark.fault("jobmanager-killed")
def test_a_jobmanager_without_ha_is_killed(spare_lab: Lab) -> None:
    """One restart, three jobs: one is restored, one is held as it asks, of one the state cannot be read."""
    lab = spare_lab
    with tempfile.TemporaryDirectory(prefix="unread-", ignore_cleanup_errors=True) as unread:
        begin(lab, "restored")
        held = begin(lab, "held", restart={"onLost": "Hold", **SOON})
        far = begin(lab, "far", checkpoint={"interval": "200ms", "directory": f"file://{unread}"})
        before = submission(lab.get("restored"))
        lab.flink.restart_jobmanager(kill=True)

        run = goes_on(lab, "restored")
        assert run["incarnation"] != before["incarnation"]
        assert run["reason"] == "Restart"
        assert f"{before['jobId']}/chk-" in str(run["restoredFrom"])
        assert lab.get("restored")["status"]["history"][0]["result"] == "Lost"
        lab.told_once("JobLost", "restored")

        found = lab.stalled("held", "JobLost", deadline=LONG)
        assert "/chk-" in submission(found)["end"]["snapshot"]
        assert found["status"]["phase"] == "Held"
        lab.edit(held, restartNonce=1)
        goes_on(lab, "held")

        found = lab.stalled("far", "JobLost", deadline=LONG)
        message = condition(found, "Stalled")["message"]
        assert "state-dirs" in message
        assert "\n" not in message
        assert lab.flink_jobs("far") == []
        newest = max(
            Path(unread).glob("*/chk-*/_metadata"), key=lambda path: int(path.parent.name.removeprefix("chk-"))
        )
        told = {"strategy": "Custom", "location": f"file://{newest.parent}", "nonce": 1}
        lab.edit(far, initialState=told)
        assert goes_on(lab, "far")["restoredFrom"] == told["location"]


@pytest.mark.fault("operator-down")
def test_lost_while_the_operator_is_down(spare_lab: Lab) -> None:
    lab = spare_lab
    begin(lab, "unwatched")
    lab.operator.kill()
    lab.flink.restart_jobmanager(kill=True)
    lab.operator.restart()
    assert "/chk-" in str(goes_on(lab, "unwatched")["restoredFrom"])


@pytest.mark.behaviour(21, 47)
@pytest.mark.invariant(2)
@pytest.mark.fault("jobmanager-ended")
def test_an_orderly_restart_of_the_jobmanager(spare_lab: Lab) -> None:
    """A job whose checkpoints go with it is lost, not finished: it is held, never started empty."""
    lab = spare_lab
    begin(lab, "kept")
    dropped = begin(lab, "dropped", checkpoint={"interval": "200ms", "retention": "DeleteOnCancellation"})
    lab.flink.restart_jobmanager()
    goes_on(lab, "kept")
    found = lab.wait("dropped", lambda job: "end" in submission(job) or submission(job)["number"] > 1, "lost", LONG)
    if submission(found)["number"] == 1:
        assert submission(found)["end"]["result"] == "Lost"
        assert "Finished" not in lab.reasons("dropped")
        if "snapshot" not in submission(found)["end"]:
            lab.stalled("dropped", "JobLost")
            lab.edit(dropped, initialState={"strategy": "None", "nonce": 1})
            assert "restoredFrom" not in submission(lab.running("dropped", 2))
            return
    lab.running("dropped", 2, deadline=LONG)
    assert lab.started_fresh("dropped") == 1, (restores(lab.out("dropped")), lab.get("dropped")["status"])


@pytest.mark.invariant(2)
@pytest.mark.fault("jobmanager-killed-during-a-stop")
def test_killed_during_a_stop(spare_lab: Lab) -> None:
    """The stop is known to have made nothing, so its newest checkpoint counts; then the upgrade is done."""
    lab = spare_lab
    manifest = begin(lab, "stopping", "--snapshot-ms", "1500")
    lab.wait("stopping", lambda job: "lastCheckpoint" in job["status"], "its checkpoint noted")
    lab.edit(manifest, restartNonce=1)
    lab.wait("stopping", lambda job: job["status"].get("operation", {}).get("kind") == "Stop", "being stopped")
    lab.flink.restart_jobmanager(kill=True)
    found = lab.running("stopping", 2, deadline=LONG)
    where = submission(found)["restoredFrom"]
    saved = [f"file:{path}" for path in lab.savepoints_on_disk("stopping")]
    assert where in saved if saved else "/chk-" in where, "what the stop made counts if it made something"
    goes_on(lab, "stopping")


@pytest.mark.invariant(6)
@pytest.mark.fault("operator-down", "flink-job-store-expired")
def test_ended_and_forgotten_while_the_operator_is_down(spare_lab: Lab) -> None:
    """Nobody saw how it ended: it is neither run again nor called lost, until somebody says so."""
    lab = spare_lab
    manifest = lab.start("over", "--count", "3000", restart=SOON)
    lab.operator.kill()
    (job,) = lab.flink_jobs("over")
    wait_until(lambda: lab.flink_jobs("over") == [], timeout=LONG, what=f"{job['jid']} forgotten", interval=0.3)
    lab.operator.restart()
    found = lab.wait("over", lambda each: "end" in submission(each), "its end noted", LONG)
    assert submission(found)["end"]["result"] in ("Finished", "EndedUnseen")
    if submission(found)["end"]["result"] == "EndedUnseen":
        lab.stalled("over", "JobEndedUnseen")
    assert submission(lab.get("over"))["number"] == 1
    assert check_exactly_once(lab.out("over"), upto=3000).ok
    lab.edit(manifest, initialState={"strategy": "None", "nonce": 1}, args=["--rate", "10"])
    lab.running("over", 2)


@pytest.mark.invariant(6)
@pytest.mark.fault("flink-job-store-expired")
def test_cancelled_and_forgotten_while_the_operator_is_down(spare_lab: Lab) -> None:
    lab = spare_lab
    begin(lab, "taken")
    (job,) = lab.flink_jobs("taken")
    lab.operator.kill()
    lab.cancel_in_flink(job["jid"])
    wait_until(lambda: lab.flink_jobs("taken") == [], timeout=LONG, what="forgotten", interval=0.3)
    lab.operator.restart()
    assert "/chk-" in str(goes_on(lab, "taken")["restoredFrom"])


@pytest.mark.invariant(5)
def test_two_jobmanagers_at_one_address(lab: Lab, spare_flink: FlinkCluster) -> None:
    with FlinkProxy(lab.flink.url) as proxy:
        lab.cluster_url = proxy.url
        lab.start("between", restart={"onLost": "Hold"})
        (job,) = lab.flink_jobs("between")
        lab.checkpointed(job["jid"])
        proxy.point_to(spare_flink.url)
        lab.stalled("between", "JobLost")
        proxy.point_to(lab.flink.url)
        lab.stalled("between", "AddressNotUnique")
        assert [each["jid"] for each in lab.live_jobs("between")] == [job["jid"]]
        lab.kube.patch("FlinkJob", lab.namespace, "between", {"spec": {"restartNonce": 1}})
        lab.wait("between", lambda each: each["status"]["observedGeneration"] == 2, "generation 2 seen")
        assert [each["jid"] for each in lab.flink_jobs("between")] == [job["jid"]], "nothing is done meanwhile"


@pytest.fixture
def safe_lab(kube: Kube, spare_operator: OperatorProcess, flink_version: str, tmp_path: Path) -> Iterator[Lab]:
    """A place of work on a cluster with high availability."""
    with FlinkCluster(tmp_path / "ha", version=flink_version, config=RESTARTABLE, high_availability=True) as cluster:
        place = Lab(kube, cluster, spare_operator, SPARE, build_demo_jar(flink_version), tmp_path)
        yield place
        place.clean()
        place.close()


@pytest.mark.behaviour(74)
@pytest.mark.fault("jobmanager-killed-with-ha")
def test_with_ha_the_same_job_comes_back(safe_lab: Lab) -> None:
    """Nothing is done about it; and `cluster.require` is met."""
    lab = safe_lab
    needs = ["HighAvailability", "RetainedCheckpoints", "SavepointDirectory"]
    manifest = begin(lab, "safe", cluster={"url": lab.cluster_url, "require": needs})
    (job,) = lab.flink_jobs("safe")
    lab.flink.restart_jobmanager(kill=True)
    wait_until(
        lambda: [each["state"] for each in lab.flink_jobs("safe")] == ["RUNNING"], timeout=LONG, what="running again"
    )
    lab.checkpointed(job["jid"], 2, deadline=LONG)
    found = lab.running("safe", 1, deadline=LONG)
    assert submission(found)["jobId"] == job["jid"]
    assert not {"JobLost", "Restarting", "JobFailed"} & set(lab.reasons("safe"))
    lab.told_once("Submitted", "safe")
    lab.edit(manifest, restartNonce=1)
    assert goes_on(lab, "safe")["restoredFrom"]
