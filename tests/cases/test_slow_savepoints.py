"""Jobs whose savepoints take longer than people and schedules have patience."""

from __future__ import annotations

import pytest

from tests.support.integration import NO_CHECKPOINT, Lab, submission, wait_until

pytestmark = [pytest.mark.kube, pytest.mark.flink]


@pytest.mark.report("slow-savepoints")
@pytest.mark.behaviour(56)
def test_savepoints_that_take_longer_than_their_interval_pile_up(lab: Lab) -> None:
    manifest = lab.start("slow-saves", "--snapshot-ms", "1200", checkpoint=NO_CHECKPOINT)
    (job,) = lab.flink_jobs("slow-saves")
    savepoints = {"directory": lab.savepoint_directory("slow-saves"), "interval": "1s"}
    lab.edit(manifest, savepoints=savepoints)
    most = 0

    def three() -> bool:
        nonlocal most
        found = lab.savepoints_of("slow-saves")
        phases = [each.get("status", {}).get("phase") for each in found]
        most = max(most, phases.count("InProgress"))
        return phases.count("Completed") >= 3

    wait_until(three, timeout=45, what="three savepoints")
    assert most == 1
    origins = {each["metadata"]["labels"]["flinkjob.dev/origin"] for each in lab.savepoints_of("slow-saves")}
    assert origins == {"Periodic"}
    lab.edit(manifest, savepoints=savepoints | {"suspend": True})
    found = lab.wait("slow-saves", lambda each: "nextTime" not in each["status"]["periodic"], "paused")
    assert [each["jid"] for each in lab.live_jobs("slow-saves")] == [job["jid"]]
    assert found["status"]["periodic"]["lastTime"]


@pytest.mark.report("slow-savepoints")
@pytest.mark.behaviour(33)
def test_an_upgrade_makes_a_slow_savepoint_fail(lab: Lab) -> None:
    manifest = lab.start("waits-upgrade", "--snapshot-ms", "2500", checkpoint=NO_CHECKPOINT)
    lab.apply(lab.savepoint("waits-1", "waits-upgrade"))
    lab.savepoint_phase("waits-1", "InProgress")
    lab.edit(manifest, restartNonce=1)
    lab.savepoint_phase("waits-1", "Completed")
    lab.running("waits-upgrade", 2)
    assert len(lab.savepoints_on_disk("waits-upgrade")) == 2


@pytest.mark.report("slow-savepoints")
@pytest.mark.behaviour(40)
@pytest.mark.fault("people-edit-during-an-upgrade")
def test_an_upgrade_that_is_reverted_during_its_slow_savepoint_leaves_the_job_down(lab: Lab) -> None:
    manifest = lab.start("revert", "--snapshot-ms", "2500", checkpoint=NO_CHECKPOINT)
    lab.edit(manifest, restartNonce=1)
    lab.wait("revert", lambda job: "operation" in job["status"], "being stopped")
    lab.edit(manifest)
    found = lab.running("revert", 2)
    assert submission(found)["restoredFrom"]
    assert len(lab.live_jobs("revert")) == 1


@pytest.mark.report("slow-savepoints")
@pytest.mark.fault("people-edit-during-an-upgrade")
def test_every_edit_during_a_slow_savepoint_takes_another_savepoint(lab: Lab) -> None:
    """One stop, and then the spec of that moment; no record is lost or doubled."""
    manifest = lab.start("impatient", "--snapshot-ms", "1500", checkpoint=NO_CHECKPOINT)
    lab.edit(manifest, restartNonce=1)
    lab.wait("impatient", lambda job: "operation" in job["status"], "being stopped")
    for nonce in (2, 3, 4):
        lab.edit(
            manifest, args=lab.job("impatient")["spec"]["args"], checkpoint={"interval": "200ms"}, restartNonce=nonce
        )
    found = lab.running("impatient", 2)
    assert submission(found)["restoredFrom"]
    assert len(lab.savepoints_begun("impatient")) == 1
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("impatient")
    assert lab.started_fresh("impatient") == 1
