"""Another parallelism: in place where the scheduler can, else by replacing the job; and where slots are missing."""

from __future__ import annotations

import pytest

from tests.support.integration import Lab, Refused, condition, conditions, restores, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]


def at(lab: Lab, name: str, parallelism: int, number: int = 1) -> dict[str, object]:
    """The job runs with this parallelism, as this submission; returns its submission."""
    lab.wait(name, lambda job: submission(job).get("parallelism") == parallelism, f"at {parallelism}", 60)
    found = lab.running(name, number)
    run = submission(found)
    lab.runs_with(run["jobId"], parallelism, parallelism)
    assert found["status"]["parallelism"] == parallelism
    assert found["status"]["job"]["parallelism"] == parallelism
    return run


@pytest.mark.behaviour(80)
def test_in_place(spare_lab: Lab) -> None:
    """The same job goes on, up and down, through the field and through the scale subresource."""
    lab = spare_lab
    manifest = lab.start("grows")
    old = submission(lab.get("grows"))
    lab.checkpointed(old["jobId"])
    lab.edit(manifest, parallelism=3)
    assert at(lab, "grows", 3)["jobId"] == old["jobId"]
    answer = lab.kube.scale(lab.namespace, "grows", 2)
    assert answer["status"]["selector"] == "flinkjob.dev/name=grows"
    assert at(lab, "grows", 2)["jobId"] == old["jobId"]
    lab.checkpointed(old["jobId"], 2)
    lab.exactly_once("grows")
    assert lab.started_fresh("grows") == 1
    assert lab.savepoints_on_disk("grows") == []
    lab.told_exactly("grows", Rescaled=2, Submitted=1)
    assert {start.parallelism for start in restores(lab.out("grows"))} == {1, 2, 3}


def test_an_upgrade_after_a_rescale_keeps_both(spare_lab: Lab) -> None:
    lab = spare_lab
    manifest = lab.start("both")
    lab.checkpointed(submission(lab.get("both"))["jobId"])
    lab.edit(manifest, parallelism=2, restartNonce=1)
    run = at(lab, "both", 2, number=2)
    assert run["restoredFrom"]
    lab.checkpointed(str(run["jobId"]), 2)
    lab.exactly_once("both")


@pytest.mark.behaviour(80)
@pytest.mark.fault("flink-no-slots")
def test_without_the_slots_the_job_runs_on(spare_lab: Lab) -> None:
    lab = spare_lab
    manifest = lab.start("greedy")
    (job,) = lab.flink_jobs("greedy")
    lab.edit(manifest, parallelism=100)
    found = lab.wait("greedy", lambda each: condition(each, "Ready")["reason"] == "NotEnoughSlots", "told")
    assert "needs as many slots" in condition(found, "Ready")["message"]
    assert conditions(found)["Healthy"] == "True"
    lab.runs_with(job["jid"], 1, 1)
    lab.edit(manifest, parallelism=2)
    assert at(lab, "greedy", 2)["jobId"] == job["jid"]


def test_the_operator_is_killed_meanwhile(spare_lab: Lab) -> None:
    lab = spare_lab
    manifest = lab.start("cut")
    (job,) = lab.flink_jobs("cut")
    lab.edit(manifest, parallelism=2)
    lab.wait("cut", lambda each: "operation" in each["status"], "rescaling")
    lab.operator.restart(kill=True)
    assert at(lab, "cut", 2)["jobId"] == job["jid"]
    assert lab.reasons("cut").count("Rescaled") <= 1, "told once, or not when it was killed first"


@pytest.mark.behaviour(80)
def test_where_the_scheduler_cannot_the_job_is_replaced(lab: Lab) -> None:
    manifest = lab.start("replaced")
    old = submission(lab.get("replaced"))
    lab.checkpointed(old["jobId"])
    lab.edit(manifest, parallelism=2)
    run = at(lab, "replaced", 2, number=2)
    assert len(lab.savepoints_on_disk("replaced")) == 1
    assert run["restoredFrom"]
    assert run["revision"] == old["revision"], "the parallelism is no part of the revision"
    lab.checkpointed(str(run["jobId"]), 2)
    lab.exactly_once("replaced")
    assert lab.started_fresh("replaced") == 1


@pytest.mark.fault("people-autoscaler")
def test_a_suspended_job_is_scaled_when_it_resumes(lab: Lab) -> None:
    manifest = lab.start("rests-small")
    manifest = lab.edit(manifest, state="Suspended")
    lab.phase("rests-small", "Suspended")
    lab.kube.scale(lab.namespace, "rests-small", 2)
    found = lab.phase("rests-small", "Suspended")
    assert found["status"]["parallelism"] == 2
    assert lab.live_jobs("rests-small") == []
    lab.kube.patch("FlinkJob", lab.namespace, "rests-small", {"spec": {"state": "Running"}})
    at(lab, "rests-small", 2, number=2)


def test_a_parallelism_that_is_none_is_refused(lab: Lab) -> None:
    lab.apply(lab.job("refused", state="Suspended"))
    with pytest.raises(Refused, match="parallelism"):
        lab.kube.scale(lab.namespace, "refused", 0)
