"""From apply to running, the settings that reach Flink, and the desired states."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.demojob import ENTRY_CLASS
from flinkjob.core.identity import Owner
from tests.support.integration import (
    Lab,
    Object,
    build_demo_jar,
    check_exactly_once,
    condition,
    conditions,
    restores,
    submission,
)

pytestmark = [pytest.mark.kube, pytest.mark.flink]

RUNNING = {
    "Ready": "True",
    "Reconciling": "False",
    "Stalled": "False",
    "Healthy": "True",
    "ClusterReachable": "True",
    "ClusterSuitable": "True",
}
AT_REST = {"Ready": "True", "Reconciling": "False", "Stalled": "False", "Healthy": "Unknown"}


@pytest.mark.behaviour(3)
@pytest.mark.every_flink
def test_a_job_is_submitted_once(lab: Lab) -> None:
    lab.start("once")
    found = lab.get("once")
    (job,) = lab.flink_jobs("once")
    run = submission(found)
    assert job["jid"] == run["jobId"] == found["status"]["job"]["id"]
    assert run["number"] == 1
    assert "restoredFrom" not in run
    assert conditions(found) == RUNNING
    assert all(c["observedGeneration"] == 1 for c in found["status"]["conditions"])
    assert found["metadata"]["finalizers"] == ["flinkjob.dev/job-cleanup"]
    assert found["status"]["cluster"]["flinkVersion"] == lab.flink.version
    assert lab.kube.get("ControllerRevision", lab.namespace, run["revision"]) is not None
    lab.told_once("Submitted", "once")
    lab.told_once("Running", "once")
    exchanges = lab.operator.metrics()
    assert exchanges[next(name for name in exchanges if "flink" in name and "/run" in name and "count" in name)] >= 1


@pytest.mark.behaviour(14)
@pytest.mark.every_flink
def test_settings_reach_flink(lab: Lab, version: str) -> None:
    lab.start(
        "settings",
        jar={"uri": f"file://{build_demo_jar(version, manifest=False)}", "entryClass": ENTRY_CLASS},
        parallelism=2,
        checkpoint={"interval": "1500ms", "mode": "AtLeastOnce"},
        flinkConfiguration={"pipeline.object-reuse": "true", "pipeline.global-job-parameters": "team:blue"},
    )
    (job,) = lab.flink_jobs("settings")
    config = lab.rest(f"/jobs/{job['jid']}/config")["execution-config"]
    assert config["job-parallelism"] == 2
    assert config["object-reuse-mode"] is True
    mark = config["user-config"]
    assert mark["team"] == "blue"
    assert mark["flinkjob.dev/owner"] == str(Owner("shared", "shared", "settings"))
    assert mark["flinkjob.dev/uid"] == lab.get("settings")["metadata"]["uid"]
    assert mark["flinkjob.dev/submission"] == "1"
    checkpointing = lab.rest(f"/jobs/{job['jid']}/checkpoints/config")
    assert checkpointing["interval"] == 1500
    assert checkpointing["mode"] == "at_least_once"
    assert checkpointing["externalization"] == {"enabled": True, "delete_on_cancellation": False}
    assert restores(lab.out("settings"))[0].parallelism == 2
    assert lab.get("settings")["status"]["job"]["parallelism"] == 2


@pytest.mark.behaviour(34, 67)
@pytest.mark.every_flink
def test_suspend_and_resume(lab: Lab) -> None:
    manifest = lab.start("rests")
    manifest = lab.edit(manifest, state="Suspended")
    found = lab.phase("rests", "Suspended")
    assert conditions(found).items() >= AT_REST.items()
    end = submission(found)["end"]
    assert end["result"] == "Stopped"
    assert [job["state"] for job in lab.flink_jobs("rests")] == ["FINISHED"]
    lab.wait("rests", lambda job: "finalizers" not in job["metadata"], "without finalizer, since nothing runs")
    (saved,) = lab.savepoints_of("rests")
    saved = lab.savepoint_phase(saved["metadata"]["name"], "Completed")
    assert saved["status"]["location"] == end["snapshot"] == found["status"]["lastSavepoint"]["location"]
    assert saved["metadata"]["labels"]["flinkjob.dev/origin"] == "Suspend"
    assert [f"file:{path}" for path in lab.savepoints_on_disk("rests")] == [end["snapshot"].replace("///", "/")]

    lab.edit(manifest, state="Running")
    resumed = lab.running("rests", 2)
    assert submission(resumed)["restoredFrom"] == end["snapshot"]
    assert lab.started_fresh("rests") == 1
    lab.checkpointed(submission(resumed)["jobId"], 2)
    lab.exactly_once("rests")
    lab.told_exactly("rests", Submitted=2, Suspended=1, Running=2)


@pytest.mark.behaviour(48)
def test_cancel_and_run_again(lab: Lab) -> None:
    manifest = lab.start("cancels")
    lab.checkpointed(lab.flink_jobs("cancels")[0]["jid"])
    manifest = lab.edit(manifest, state="Cancelled")
    found = lab.phase("cancels", "Cancelled")
    assert conditions(found).items() >= AT_REST.items()
    assert submission(found)["end"]["result"] == "Cancelled"
    assert lab.savepoints_on_disk("cancels") == []
    lab.edit(manifest, state="Running")
    found = lab.running("cancels", 2)
    assert "/chk-" in submission(found)["restoredFrom"]
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("cancels")


@pytest.mark.behaviour(42)
def test_a_drained_job_runs_again_only_with_a_new_nonce(lab: Lab) -> None:
    manifest = lab.start("drains")
    manifest = lab.edit(manifest, state="Drained")
    found = lab.phase("drains", "Drained")
    assert conditions(found).items() >= AT_REST.items()
    assert submission(found)["end"]["result"] == "Drained"
    manifest = lab.edit(manifest, state="Running")
    lab.stalled("drains", "Drained")
    assert len(lab.flink_jobs("drains")) == 1
    lab.edit(manifest, initialState={"strategy": "None", "nonce": 1})
    assert "restoredFrom" not in submission(lab.running("drains", 2))


@pytest.mark.fault("people-suspend-and-resume")
def test_suspended_and_resumed_at_once(lab: Lab) -> None:
    manifest = lab.start("hasty")
    manifest = lab.edit(manifest, state="Suspended")
    lab.wait("hasty", lambda job: "operation" in job["status"] or "end" in submission(job), "stopping")
    lab.edit(manifest, state="Running")
    found = lab.running("hasty", 2)
    assert submission(found)["restoredFrom"]
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("hasty")
    assert len(lab.live_jobs("hasty")) == 1


@pytest.mark.behaviour(35)
def test_created_suspended(lab: Lab) -> None:
    manifest = lab.job("later", state="Suspended")
    lab.apply(manifest)
    found = lab.phase("later", "Suspended")
    assert conditions(found).items() >= AT_REST.items()
    assert lab.flink_jobs("later") == []
    lab.edit(manifest, state="Running")
    lab.running("later", 1)


@pytest.mark.behaviour(1)
def test_created_suspended_where_no_cluster_answers(lab: Lab) -> None:
    lab.apply(lab.job("nowhere", state="Suspended", cluster={"url": "http://127.0.0.1:9"}))
    found = lab.phase("nowhere", "Suspended")
    assert conditions(found)["Ready"] == "True"


@pytest.mark.behaviour(31, 50)
@pytest.mark.every_flink
def test_finished_stays_finished(lab: Lab) -> None:
    manifest = lab.job("ends", "--count", "400")
    lab.apply(manifest)
    found = lab.phase("ends", "Finished")
    assert conditions(found).items() >= AT_REST.items()
    assert check_exactly_once(lab.out("ends"), upto=400).ok
    lab.edit(manifest, parallelism=2)
    lab.wait("ends", lambda job: job["status"]["observedGeneration"] == 2, "generation 2 seen")
    found = lab.phase("ends", "Finished")
    assert submission(found)["number"] == 1
    lab.told_once("Finished", "ends")
    lab.edit(manifest, args=["--count", "100"], restartNonce=1)
    lab.wait("ends", lambda job: submission(job)["number"] == 2, "run once more")


def test_finished_is_not_run_again_by_a_restarted_operator(own_lab: Lab) -> None:
    own_lab.apply(own_lab.job("ended", "--count", "100"))
    before = own_lab.phase("ended", "Finished")
    own_lab.operator.restart(kill=True)
    own_lab.start("other")
    after = own_lab.phase("ended", "Finished")
    assert submission(after) == submission(before)
    assert condition(after, "Ready") == condition(before, "Ready")
    assert len(own_lab.flink_jobs("ended")) == 1


@pytest.mark.behaviour(37, 49)
@pytest.mark.every_flink
def test_a_failed_job_is_restarted_from_its_state(lab: Lab, tmp_path: Path) -> None:
    healed = tmp_path / "healed"
    healed.touch()
    arguments = ("--fail-after", "150", "--fail-until", str(healed), "--restart", "none")
    lab.start("fails", *arguments, restart={"initialDelay": "5s", "maxDelay": "5s"})
    lab.checkpointed(lab.flink_jobs("fails")[0]["jid"])
    healed.unlink()

    def is_failed(job: Object) -> bool:
        """Flink's exception may be known a moment before its job is FAILED."""
        return "lastFailure" in job["status"] and condition(job, "Ready")["reason"] == "JobFailed"

    found = lab.wait("fails", is_failed, "failed")
    assert found["status"]["phase"] == "Restarting"
    assert conditions(found).items() >= {"Ready": "False", "Reconciling": "True", "Healthy": "False"}.items()
    failure = found["status"]["lastFailure"]
    assert "fails on purpose after 150 records" in failure["rootCause"]
    assert "\n" not in failure["rootCause"]
    lab.wait("fails", lambda _: "JobFailed" in lab.reasons("fails"), "told")
    healed.touch()
    found = lab.wait("fails", lambda job: job["status"].get("phase") == "Running" and submission(job)["number"] > 1, "")
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("fails")
    assert lab.started_fresh("fails") == 1


@pytest.mark.fault("flink-cancelled-by-hand")
def test_a_job_cancelled_by_somebody_else_is_started_again(lab: Lab) -> None:
    lab.start("taken", restart={"initialDelay": "500ms"})
    (job,) = lab.flink_jobs("taken")
    lab.checkpointed(job["jid"])
    lab.cancel_in_flink(job["jid"])
    found = lab.running("taken", 2)
    assert "/chk-" in submission(found)["restoredFrom"]
    lab.told_once("JobCancelledExternally", "taken")
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("taken")
