"""A changed spec replaces the running job, with no record lost or doubled; a bad one leaves it alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.integration import Lab, build_demo_jar, condition, conditions, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]


@pytest.mark.behaviour(7, 19, 22, 52)
@pytest.mark.invariant(2)
@pytest.mark.every_flink
def test_by_savepoint(lab: Lab) -> None:
    manifest = lab.start("up")
    old = submission(lab.get("up"))
    lab.checkpointed(old["jobId"])
    lab.edit(manifest, args=[*manifest["spec"]["args"], "--name", "x"], parallelism=2)
    found = lab.running("up", 2)
    new = submission(found)
    (saved,) = lab.savepoints_of("up")
    saved = lab.savepoint_phase(saved["metadata"]["name"], "Completed")
    assert saved["metadata"]["labels"]["flinkjob.dev/origin"] == "Upgrade"
    assert new["restoredFrom"] == saved["status"]["location"] == found["status"]["history"][0]["to"]
    assert lab.checkpoints(new["jobId"])["latest"]["restored"]["external_path"] == new["restoredFrom"]
    assert found["status"]["history"][0]["result"] == "Stopped"
    assert float(found["status"]["history"][0]["downtime"].removesuffix("s")) < 60
    assert new["revision"] != old["revision"]
    assert {job["state"] for job in lab.flink_jobs("up")} == {"FINISHED", "RUNNING"}
    lab.checkpointed(new["jobId"], 2)
    lab.exactly_once("up")
    assert lab.started_fresh("up") == 1
    lab.told_exactly("up", Upgrading=1, Upgraded=1, Submitted=2)


@pytest.mark.behaviour(20, 22)
@pytest.mark.every_flink
def test_by_last_state(lab: Lab) -> None:
    manifest = lab.start("last", upgrade={"strategy": "LastState"})
    lab.checkpointed(submission(lab.get("last"))["jobId"])
    lab.edit(manifest, restartNonce=1)
    found = lab.running("last", 2)
    assert "/chk-" in submission(found)["restoredFrom"]
    assert found["status"]["history"][0]["result"] == "Cancelled"
    assert lab.savepoints_of("last") == []
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("last")
    assert lab.started_fresh("last") == 1


@pytest.mark.invariant(13)
def test_last_state_without_retained_checkpoints_touches_nothing(lab: Lab) -> None:
    manifest = lab.start(
        "unretained",
        upgrade={"strategy": "LastState"},
        checkpoint={"interval": "200ms", "retention": "DeleteOnCancellation"},
    )
    lab.edit(manifest, restartNonce=1)
    found = lab.stalled("unretained", "NotRetained")
    assert conditions(found)["Healthy"] == "True"
    assert [job["state"] for job in lab.flink_jobs("unretained")] == ["RUNNING"]


@pytest.mark.behaviour(18)
@pytest.mark.every_flink
def test_stateless(lab: Lab) -> None:
    manifest = lab.start("empty", upgrade={"strategy": "Stateless"})
    lab.checkpointed(submission(lab.get("empty"))["jobId"])
    lab.edit(manifest, restartNonce=1)
    found = lab.running("empty", 2)
    assert "restoredFrom" not in submission(found)
    assert lab.started_fresh("empty") == 2


def test_a_new_jar(lab: Lab, version: str) -> None:
    manifest = lab.start("jars")
    before = submission(lab.get("jars"))["artifactDigest"]
    lab.edit(manifest, jar={"uri": f"file://{build_demo_jar(version, variant='second')}"})
    after = submission(lab.running("jars", 2))["artifactDigest"]
    assert after != before
    assert any(after in jar["name"] for jar in lab.jars())


@pytest.mark.behaviour(30, 39)
@pytest.mark.every_flink
def test_a_bad_jar_leaves_the_job_alone(lab: Lab, tmp_path: Path) -> None:
    manifest = lab.start("bad")
    before = lab.flink_jobs("bad")
    (tmp_path / "not.jar").write_text("this is no archive")
    lab.edit(manifest, jar={"uri": f"file://{tmp_path}/not.jar"})
    found = lab.stalled("bad", "ArtifactFailed")
    assert conditions(found)["Healthy"] == "True"
    assert conditions(found)["Ready"] == "False"
    assert condition(found, "Stalled")["message"].startswith("the job runs on as it is: jar: ")
    lab.edit(manifest)
    found = lab.running("bad", 1)
    assert conditions(found)["Stalled"] == "False"
    assert conditions(found)["Ready"] == "True"
    assert [job["jid"] for job in lab.flink_jobs("bad")] == [job["jid"] for job in before]


@pytest.mark.behaviour(30)
@pytest.mark.invariant(10)
def test_a_program_that_does_not_compile_leaves_the_job_alone(lab: Lab) -> None:
    manifest = lab.start("plan")
    lab.edit(manifest, args=["--main-throw", "no such topic"])
    found = lab.stalled("plan", "PreflightFailed")
    assert "no such topic" in condition(found, "Stalled")["message"]
    assert [job["state"] for job in lab.flink_jobs("plan")] == ["RUNNING"]
    lab.edit(manifest)
    lab.running("plan", 1)


@pytest.mark.behaviour(27)
@pytest.mark.fault("people-edit-during-an-upgrade")
def test_many_edits_in_a_row(lab: Lab) -> None:
    manifest = lab.start("busy")
    for nonce in range(1, 8):
        lab.edit(manifest, restartNonce=nonce)
    found = lab.running("busy")
    assert submission(found)["runDigest"]
    lab.checkpointed(submission(found)["jobId"], 2)
    assert len(lab.live_jobs("busy")) == 1
    lab.exactly_once("busy")
    assert lab.started_fresh("busy") == 1


@pytest.mark.behaviour(22, 28, 29, 31)
def test_a_live_field_touches_nothing(lab: Lab) -> None:
    manifest = lab.start("live")
    lab.edit(manifest, deletion={"policy": "Cancel"}, upgrade={"strategy": "LastState"}, revisionHistoryLimit=3)
    lab.running("live", 1)
    assert len(lab.flink_jobs("live")) == 1


@pytest.mark.behaviour(27)
def test_the_restart_annotation(lab: Lab) -> None:
    lab.start("again")
    note = {"metadata": {"annotations": {"flinkjob.dev/restartedAt": "2026-01-01T00:00:00Z"}}}
    lab.kube.patch("FlinkJob", lab.namespace, "again", note)
    lab.wait("again", lambda job: submission(job)["number"] == 2, "restarted")
    assert submission(lab.running("again", 2))["restoredFrom"]
