"""Programs that fail again and again: a wrong password, topic or query, which Flink itself restarts for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.integration import Lab, Object, condition, submission, wait_until

pytestmark = [pytest.mark.kube, pytest.mark.flink]

CAUSE = "IllegalStateException: fails on purpose after 60 records"
FOR_EVER = ("--restart", "100000")


def crashing(lab: Lab, name: str, **spec: Any) -> dict[str, Any]:
    """A job that Flink restarts again and again and that never completes a checkpoint; it has run, and crashed, once."""
    flag = lab.directory / "no-snapshots"
    flag.touch()
    manifest = lab.job(name, "--fail-after", "80", *FOR_EVER, "--snapshot-fail-while", str(flag), **spec)
    manifest["spec"]["flinkConfiguration"] = {"execution.checkpointing.tolerable-failed-checkpoints": "100000"}
    lab.apply(manifest)
    lab.wait(name, lambda job: submission(job).get("running"), "seen with all tasks running")
    job_id = submission(lab.get(name))["jobId"]
    wait_until(lambda: lab.state_in_flink(job_id) == "RESTARTING", timeout=60, what="a crash")
    return manifest


def reason(job: Object, kind: str = "Ready") -> str:
    return str(condition(job, kind).get("reason"))


def ready_during(lab: Lab, name: str, *, crashes: int) -> set[str]:
    """What condition Ready was while the job crashed so often."""
    path = f"/jobs/{submission(lab.get(name))['jobId']}/exceptions?maxExceptions=1"
    times: set[int] = set()
    ready: set[str] = set()

    def enough() -> bool:
        times.add(lab.rest(path)["exceptionHistory"]["entries"][0]["timestamp"])
        ready.add(condition(lab.get(name), "Ready")["status"])
        return len(times) > crashes

    wait_until(enough, timeout=60, what=f"{crashes} crashes")
    return ready


@pytest.mark.report("crash-loop")
@pytest.mark.every_flink
def test_corrected_arguments_of_a_crash_looping_job_are_never_deployed(lab: Lab) -> None:
    manifest = crashing(lab, "corrected")
    lab.edit(manifest, args=lab.job("corrected")["spec"]["args"])
    found = lab.running("corrected", 2)
    assert "restoredFrom" not in submission(found)
    assert found["status"]["history"][0]["result"] == "Cancelled"
    lab.told_once("SavepointSkipped", "corrected")
    assert lab.savepoints_begun("corrected") == [], "no stop was tried"
    lab.checkpointed(submission(found)["jobId"])
    assert len(lab.live_jobs("corrected")) == 1


@pytest.mark.report("crash-loop")
@pytest.mark.every_flink
def test_a_crash_looping_job_cannot_be_suspended(lab: Lab) -> None:
    manifest = crashing(lab, "put-aside")
    manifest = lab.edit(manifest, state="Suspended")
    lab.phase("put-aside", "Suspended")
    assert lab.live_jobs("put-aside") == []
    lab.edit(manifest, state="Running", args=lab.job("put-aside")["spec"]["args"])
    lab.running("put-aside", 2)


@pytest.mark.report("crash-loop")
@pytest.mark.every_flink
def test_kubectl_delete_of_a_crash_looping_job_hangs(lab: Lab) -> None:
    crashing(lab, "given-up")
    lab.delete("given-up")
    lab.gone("given-up")
    assert lab.live_jobs("given-up") == []
    assert lab.savepoints_on_disk("given-up") == []
    assert "LeftBehind" not in lab.kube.reasons(lab.namespace, "given-up")


@pytest.mark.report("crash-loop-with-state")
@pytest.mark.behaviour(23)
@pytest.mark.fault("flink-job-fails-in-a-loop")
def test_a_job_that_crashes_after_its_first_checkpoint_is_never_upgraded(lab: Lab, tmp_path: Path) -> None:
    """It is not running on all tasks for long: after a while its newest checkpoint is taken, and the mended program runs."""
    broken = tmp_path / "mended"
    manifest = lab.start("loops", *("--fail-after", "300", "--restart", "10000", "--fail-until", str(broken)))
    lab.checkpointed(submission(lab.get("loops"))["jobId"])
    arguments = [*lab.job("loops")["spec"]["args"]]
    lab.edit(manifest, args=arguments)
    found = lab.running("loops", 2)
    assert submission(found)["restoredFrom"]
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("loops")
    assert len(lab.live_jobs("loops")) == 1


@pytest.mark.behaviour(51)
@pytest.mark.report("why-it-restarts")
@pytest.mark.every_flink
def test_ready_flaps_while_the_job_crashes_and_nothing_says_why(lab: Lab) -> None:
    lab.apply(lab.job("crashing", "--fail-after", "60", *FOR_EVER))
    first = lab.wait("crashing", lambda job: "lastFailure" in job["status"], "a cause")
    failure = first["status"]["lastFailure"]
    assert failure["rootCause"] == CAUSE
    assert "count" in failure["task"]
    assert "execution" not in failure["task"]
    assert failure["taskManager"]
    assert condition(first, "Healthy")["status"] == "False"
    assert CAUSE in condition(first, "Healthy")["message"]
    lab.wait("crashing", lambda job: reason(job) == "CrashLooping", "CrashLooping")
    lab.told_exactly("crashing", Restarting=1, CrashLooping=1)
    assert ready_during(lab, "crashing", crashes=4) == {"False"}, "never between two crashes"
    assert lab.get("crashing")["status"]["job"]["restarts"] >= 3


@pytest.mark.report("why-it-restarts")
def test_a_job_that_crashed_once_never_gets_ready_again(lab: Lab) -> None:
    healed = lab.directory / "once"
    lab.apply(lab.job("crashed", "--fail-after", "60", "--fail-until", str(healed), *FOR_EVER))
    lab.wait("crashed", lambda job: "lastFailure" in job["status"], "a cause")
    healed.touch()
    found = lab.wait("crashed", lambda job: condition(job, "Ready")["status"] == "True", "Ready")
    assert found["status"]["lastFailure"]["recoveredTime"]
    assert submission(found)["number"] == 1


@pytest.mark.report("crash-loop-not-retained")
def test_a_crash_loop_without_retained_checkpoints_is_neither_upgraded_nor_deleted(lab: Lab) -> None:
    """Nothing of it would be lost, since no checkpoint is complete: that counts once it has failed three times."""
    dropped = {"interval": "200ms", "retention": "DeleteOnCancellation"}
    manifest = crashing(lab, "not-retained", checkpoint=dropped)
    crashing(lab, "dropped-too", checkpoint=dropped)
    lab.edit(manifest, args=lab.job("not-retained")["spec"]["args"])
    lab.delete("dropped-too")
    found = lab.running("not-retained", 2)
    assert "restoredFrom" not in submission(found)
    assert found["status"]["history"][0]["result"] == "Cancelled"
    lab.told_once("SavepointSkipped", "not-retained")
    lab.gone("dropped-too")
    assert lab.live_jobs("dropped-too") == []
    assert "LeftBehind" not in lab.kube.reasons(lab.namespace, "dropped-too")
    lab.checkpointed(submission(found)["jobId"])
    lab.exactly_once("not-retained")
