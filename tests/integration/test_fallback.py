"""Upgrades of jobs of which no savepoint can be had: what `upgrade.fallback` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.integration import Lab, condition, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]


def unsavable(lab: Lab, name: str, fallback: str) -> tuple[dict[str, object], Path]:
    """A running job with a checkpoint whose snapshots fail from now on, by the flag; returns its manifest and the flag."""
    flag = lab.directory / "failing"
    arguments = ("--snapshot-fail-while", str(flag))
    configuration = {
        "execution.checkpointing.tolerable-failed-checkpoints": "1000",
        "restart-strategy.type": "fixed-delay",  # a stop that fails restarts the job, by default after ever longer pauses
        "restart-strategy.fixed-delay.attempts": "10000",
        "restart-strategy.fixed-delay.delay": "500 ms",
    }
    manifest = lab.start(name, *arguments, upgrade={"fallback": fallback}, flinkConfiguration=configuration)
    lab.checkpointed(submission(lab.get(name))["jobId"])
    flag.touch()
    return manifest, flag


@pytest.mark.behaviour(23)
@pytest.mark.fault("flink-checkpoint-declined")
def test_last_state(lab: Lab) -> None:
    manifest, flag = unsavable(lab, "falls", "LastState")
    lab.edit(manifest, restartNonce=1)
    found = lab.wait("falls", lambda job: submission(job)["number"] == 2, "replaced")
    flag.unlink()
    assert "/chk-" in submission(found)["restoredFrom"]
    assert found["status"]["history"][0]["result"] == "Cancelled"
    lab.told("SavepointFailed", name="falls")
    found = lab.running("falls", 2)
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("falls")
    assert lab.started_fresh("falls") == 1


@pytest.mark.behaviour(23, 44)
def test_fail(lab: Lab) -> None:
    manifest, flag = unsavable(lab, "fails-up", "Fail")
    (job,) = lab.live_jobs("fails-up")
    manifest = lab.edit(manifest, restartNonce=1)
    found = lab.stalled("fails-up", "SavepointFailed")
    assert condition(found, "Stalled")["message"]
    assert [each["jid"] for each in lab.live_jobs("fails-up")] == [job["jid"]]
    tried = submission(found)["operations"]
    lab.start("meanwhile")
    assert submission(lab.stalled("fails-up", "SavepointFailed"))["operations"] == tried, "it is not stopped again"
    flag.unlink()
    lab.edit(manifest, restartNonce=2)
    found = lab.running("fails-up", 2, deadline=120)
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("fails-up")


@pytest.mark.behaviour(23)
def test_wait(lab: Lab) -> None:
    manifest, flag = unsavable(lab, "waits", "Wait")
    lab.edit(manifest, restartNonce=1)
    lab.wait("waits", lambda job: job["status"].get("plan", {}).get("attempts", 0) >= 2, "tried twice")
    flag.unlink()
    found = lab.running("waits", 2, deadline=120)
    assert str(lab.directory / "waits" / "savepoints") in submission(found)["restoredFrom"]
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("waits")


def test_suspending_such_a_job(lab: Lab) -> None:
    manifest, flag = unsavable(lab, "rests-so", "LastState")
    manifest = lab.edit(manifest, state="Suspended")
    found = lab.phase("rests-so", "Suspended")
    assert "/chk-" in submission(found)["end"]["snapshot"]
    flag.unlink()
    lab.edit(manifest, state="Running")
    found = lab.running("rests-so", 2)
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("rests-so")


@pytest.mark.invariant(13)
def test_last_state_waits_for_a_first_checkpoint(lab: Lab) -> None:
    """Nothing is cancelled before there is state to go on from."""
    manifest = lab.start("young", "--snapshot-ms", "8000", upgrade={"strategy": "LastState"})
    (job,) = lab.flink_jobs("young")
    lab.edit(manifest, restartNonce=1)
    lab.wait("young", lambda each: each["status"].get("plan", {}).get("reason") == "WaitingForCheckpoint", "waiting")
    assert [each["state"] for each in lab.flink_jobs("young")] == ["RUNNING"]
    found = lab.running("young", 2)
    assert f"{job['jid']}/chk-" in submission(found)["restoredFrom"]
