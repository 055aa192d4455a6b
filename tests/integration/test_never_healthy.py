"""Programs that crash from their first minute on, and batch programs, can be corrected, suspended and deleted at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.integration import Lab, submission, wait_until

pytestmark = [pytest.mark.kube, pytest.mark.flink, pytest.mark.every_flink]

BATCH = ["--count", "100000", "--rate", "20"]


def crashing(lab: Lab, name: str) -> dict[str, Any]:
    """A job that Flink restarts again and again and that never completes a checkpoint; it has run, and crashed, once."""
    flag = lab.directory / "no-snapshots"
    flag.touch()
    manifest = lab.job(name, "--fail-after", "80", "--restart", "100000", "--snapshot-fail-while", str(flag))
    manifest["spec"]["flinkConfiguration"] = {"execution.checkpointing.tolerable-failed-checkpoints": "100000"}
    lab.apply(manifest)
    lab.wait(name, lambda job: submission(job).get("running"), "seen with all tasks running")
    job_id = submission(lab.get(name))["jobId"]
    wait_until(lambda: lab.rest(f"/jobs/{job_id}")["state"] == "RESTARTING", timeout=60, what="a crash")
    return manifest


def batch(lab: Lab, name: str) -> dict[str, Any]:
    """A batch job that runs for long."""
    manifest = lab.job(name)
    manifest["spec"] |= {"args": BATCH, "flinkConfiguration": {"execution.runtime-mode": "BATCH"}}
    lab.apply(manifest)
    lab.running(name)
    return manifest


def test_a_crash_loop_with_corrected_arguments(lab: Lab, version: str) -> None:
    manifest = crashing(lab, "corrected")
    lab.edit(manifest, args=lab.job("corrected")["spec"]["args"])
    found = lab.running("corrected", 2)
    assert "restoredFrom" not in submission(found)
    assert found["status"]["history"][0]["result"] == "Cancelled"
    lab.told_once("SavepointSkipped", "corrected")
    lab.checkpointed(submission(found)["jobId"])
    assert len(lab.live_jobs("corrected")) == 1


def test_a_crash_loop_that_is_suspended_and_resumed(lab: Lab, version: str) -> None:
    manifest = crashing(lab, "put-aside")
    manifest = lab.edit(manifest, state="Suspended")
    lab.phase("put-aside", "Suspended")
    assert lab.live_jobs("put-aside") == []
    lab.edit(manifest, state="Running", args=lab.job("put-aside")["spec"]["args"])
    lab.running("put-aside", 2)


def test_a_crash_loop_that_is_deleted(lab: Lab, version: str) -> None:
    crashing(lab, "given-up")
    lab.delete("given-up")
    lab.gone("given-up")
    assert lab.live_jobs("given-up") == []
    assert lab.savepoints_on_disk("given-up") == []
    assert "LeftBehind" not in lab.kube.reasons(lab.namespace, "given-up")


def test_a_batch_job_that_is_changed_and_deleted(lab: Lab, version: str) -> None:
    manifest = batch(lab, "bounded")
    lab.edit(manifest, args=[*BATCH, "--uid", "other"])
    found = lab.running("bounded", 2)
    assert found["status"]["history"][0]["result"] == "Cancelled"
    lab.told_once("SavepointSkipped", "bounded")
    lab.delete("bounded")
    lab.gone("bounded")
    assert lab.live_jobs("bounded") == []
