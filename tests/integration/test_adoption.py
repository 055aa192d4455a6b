"""Running jobs that are taken over without a restart, those that are not, and strays."""

from __future__ import annotations

from typing import Any

import pytest

from flinkjob.core.identity import Owner, job_id
from tests.support.byhand import run_by_hand
from tests.support.integration import Lab, condition, submission, wait_until

pytestmark = [pytest.mark.kube, pytest.mark.flink]


def with_note(manifest: dict[str, Any], flink_job: str) -> dict[str, Any]:
    """The manifest with the annotation that asks for the adoption."""
    return manifest | {"metadata": manifest["metadata"] | {"annotations": {"flinkjob.dev/adopt": flink_job}}}


def test_a_job_that_somebody_started(lab: Lab) -> None:
    manifest = lab.job("adopts")
    flink_job = run_by_hand(lab, *manifest["spec"]["args"])
    lab.checkpointed(flink_job)
    lab.apply(with_note(manifest, flink_job))
    found = lab.running("adopts", 1)
    assert submission(found)["jobId"] == flink_job
    assert submission(found)["reason"] == "Adopted"
    lab.told_once("Adopted", "adopts")
    assert lab.flink_jobs("adopts") == [], "nothing was submitted"
    assert found["metadata"]["finalizers"]

    lab.edit(with_note(manifest, flink_job), restartNonce=1)
    found = lab.running("adopts", 2)
    assert lab.state_in_flink(flink_job) == "FINISHED"
    assert submission(found)["restoredFrom"]
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("adopts")
    assert lab.started_fresh("adopts") == 1


@pytest.mark.behaviour(8)
@pytest.mark.threat("foreign-job")
def test_a_job_of_another_flinkjob_is_not_taken(lab: Lab) -> None:
    lab.start("rightful")
    (job,) = lab.flink_jobs("rightful")
    lab.apply(with_note(lab.job("thief"), job["jid"]))
    found = lab.stalled("thief", "OwnedByOther")
    assert "shared/rightful" in condition(found, "Stalled")["message"]
    assert lab.state_in_flink(job["jid"]) == "RUNNING"
    assert lab.flink_jobs("thief") == []
    lab.running("rightful", 1)


@pytest.mark.threat("foreign-job")
def test_a_status_that_somebody_wrote_moves_no_job_of_others(lab: Lab, own_lab: Lab) -> None:
    own_lab.start("victim")
    (job,) = own_lab.flink_jobs("victim")
    manifest = lab.start("forger")
    (own,) = lab.flink_jobs("forger")
    lab.kube.patch("FlinkJob", lab.namespace, "forger", {"status": {"submission": {"jobId": job["jid"]}}}, status=True)
    lab.edit(manifest, restartNonce=1)
    lab.stalled("forger", "OwnedByOther")
    lab.delete("forger")
    lab.gone("forger")
    assert lab.state_in_flink(job["jid"]) == "RUNNING"
    lab.cancel_in_flink(own["jid"])


@pytest.mark.threat("foreign-job")
def test_a_job_of_the_same_name_of_another_operator(lab: Lab) -> None:
    """Nothing is started beside it, and it is never touched; when it is gone, the job starts."""
    owner = {"owner": "blue/shared/both", "uid": "u-blue", "submission": "4", "digest": "0"}
    mark = ",".join(f"flinkjob.dev/{field}:{value}" for field, value in owner.items())
    theirs = run_by_hand(lab, "--rate", "10", mark=mark)
    lab.apply(lab.job("both"))
    found = lab.stalled("both", "OwnedByOther")
    assert theirs in condition(found, "Stalled")["message"]
    assert "blue" in condition(found, "Stalled")["message"]
    assert (lab.flink_jobs("both"), lab.state_in_flink(theirs)) == ([], "RUNNING")
    lab.cancel_in_flink(theirs)
    assert submission(lab.running("both", 1))["reason"] == "Initial"


def test_a_job_that_does_not_exist(lab: Lab) -> None:
    """The annotation names nothing: a first run is started as without it."""
    lab.apply(with_note(lab.job("vain"), "0" * 32))
    found = lab.running("vain", 1)
    assert submission(found)["reason"] == "Initial"


@pytest.mark.fault("api-status-of-others")
def test_a_backup_restored_without_status_takes_the_newest_run(lab: Lab) -> None:
    manifest = lab.start("restored")
    lab.edit(manifest, restartNonce=1)
    found = lab.running("restored", 2)
    run = submission(found)
    lab.kube.replace_status("FlinkJob", lab.namespace, "restored", {})
    found = lab.wait("restored", lambda each: submission(each).get("reason") == "Adopted", "adopted")
    assert (submission(found)["jobId"], submission(found)["number"]) == (run["jobId"], 2)
    lab.running("restored", 2)
    assert len(lab.live_jobs("restored")) == 1


@pytest.mark.fault("people-backup-without-status")
def test_a_wiped_status_of_a_job_that_is_down(lab: Lab) -> None:
    """What the last run left is found on the cluster."""
    manifest = lab.start("downed")
    lab.checkpointed(submission(lab.get("downed"))["jobId"])
    manifest = lab.edit(manifest, state="Suspended")
    saved = submission(lab.phase("downed", "Suspended"))["end"]["snapshot"]
    lab.kube.replace_status("FlinkJob", lab.namespace, "downed", {})
    lab.phase("downed", "Suspended")
    lab.edit(manifest, state="Running")
    found = lab.wait("downed", lambda each: submission(each).get("number") == 2, "started", 30)
    assert submission(found)["restoredFrom"] == saved
    lab.running("downed", 2)
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("downed")
    assert lab.started_fresh("downed") == 1


@pytest.mark.invariant(1)
def test_nothing_is_submitted_beside_a_stray(lab: Lab) -> None:
    manifest = lab.start("haunted")
    manifest = lab.edit(manifest, state="Suspended")
    found = lab.phase("haunted", "Suspended")
    stray = job_id(Owner("shared", "shared", "haunted"), found["metadata"]["uid"], 9)
    run_by_hand(lab, "--rate", "10", with_id=stray)
    lab.start("by-then", parallelism=1)  # the operator has looked at the cluster once more
    lab.edit(manifest, state="Running")
    found = lab.stalled("haunted", "StrayJob")
    assert stray in condition(found, "Stalled")["message"]
    assert lab.state_in_flink(stray) == "RUNNING", "what cannot be known is told, not touched"
    assert submission(found)["number"] == 1
    lab.cancel_in_flink(stray)
    found = lab.running("haunted", 2)
    assert submission(found)["restoredFrom"]
    assert len(lab.live_jobs("haunted")) == 1


def test_a_stray_beside_a_live_run(lab: Lab) -> None:
    """An older run is cancelled, as one that a restored backup brings back; what is not known is told."""
    manifest = lab.start("beside")
    lab.edit(manifest, restartNonce=1)
    found = lab.running("beside", 2)
    current, uid = submission(found)["jobId"], found["metadata"]["uid"]
    lab.kube.patch("FlinkJob", lab.namespace, "beside", {"status": {"submission": {"number": 5}}}, status=True)
    owner = Owner("shared", "shared", "beside")
    older = run_by_hand(lab, "--rate", "10", with_id=job_id(owner, uid, 4))
    wait_until(lambda: lab.state_in_flink(older) == "CANCELED", timeout=30, what="the older run cancelled")
    lab.running("beside", 5)
    newer = run_by_hand(lab, "--rate", "10", with_id=job_id(owner, uid, 9))
    found = lab.stalled("beside", "StrayJob")
    assert condition(found, "Healthy")["status"] == "True"
    assert lab.state_in_flink(newer) == "RUNNING"
    lab.cancel_in_flink(newer)
    found = lab.running("beside", 5)
    assert submission(found)["jobId"] == current
    assert lab.state_in_flink(current) == "RUNNING"
    lab.told_exactly("beside", StrayJob=2)


@pytest.mark.invariant(1)
def test_several_live_jobs_and_no_status(lab: Lab) -> None:
    lab.start("twice")
    found = lab.get("twice")
    first = submission(found)["jobId"]
    second = job_id(Owner("shared", "shared", "twice"), found["metadata"]["uid"], 2)
    run_by_hand(lab, "--rate", "10", with_id=second)
    lab.stalled("twice", "StrayJob")
    lab.kube.replace_status("FlinkJob", lab.namespace, "twice", {})
    found = lab.stalled("twice", "StrayJob")
    assert second in condition(found, "Stalled")["message"]
    assert len(lab.live_jobs("twice")) == 2
    lab.cancel_in_flink(second)
    found = lab.running("twice")
    assert submission(found)["reason"] == "Adopted"
    assert submission(found)["jobId"] == first
    assert submission(found)["number"] == 2, "no number that was ever used is used again"


@pytest.mark.slow
def test_a_job_that_no_flinkjob_claims_is_told(own_lab: Lab) -> None:
    own_lab.start("left-alone", deletion={"policy": "Orphan"})
    own_lab.start("watched")
    (job,) = own_lab.flink_jobs("left-alone")
    own_lab.delete("left-alone")
    own_lab.gone("left-alone")
    wait_until(lambda: own_lab.operator.metrics()["flinkjob_unclaimed_jobs"] == 1, timeout=75, what="counted")
    wait_until(
        lambda: any(
            event["reason"] == "UnclaimedJob" and job["jid"] in event["message"]
            for event in own_lab.kube.events(own_lab.namespace, "left-alone")
        ),
        timeout=30,
        what="told",
    )
    assert own_lab.state_in_flink(job["jid"]) == "RUNNING"
    own_lab.cancel_in_flink(job["jid"])
    own_lab.names.remove("left-alone")
