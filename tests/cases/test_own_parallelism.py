"""Programs that set the parallelism themselves, of all operators or of one."""

from __future__ import annotations

import pytest

from tests.support.integration import Lab, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]


def at_run(lab: Lab, name: str, number: int) -> str:
    """The job of a run that runs."""
    return str(submission(lab.running(name, number))["jobId"])


@pytest.mark.report("own-parallelism")
@pytest.mark.behaviour(80)
def test_the_job_is_reported_at_a_parallelism_that_its_program_does_not_have(spare_lab: Lab) -> None:
    """A program that sets its parallelism is left alone: that is said once, and the status shows what Flink runs."""
    lab = spare_lab
    manifest = lab.start("stubborn", "--own-parallelism", "2")
    before = submission(lab.get("stubborn"))["jobId"]
    lab.runs_with(before, 2, 2)
    lab.edit(manifest, parallelism=3)
    found = lab.wait("stubborn", lambda job: submission(job).get("parallelism") == 3, "noted", 60)
    assert (submission(found)["jobId"], found["status"]["job"]["parallelism"]) == (before, 2)
    lab.runs_with(before, 2, 2)
    lab.told_exactly("stubborn", ParallelismFixed=1, Rescaled=0, Submitted=1)
    assert lab.savepoints_on_disk("stubborn") == []


@pytest.mark.report("own-parallelism")
@pytest.mark.behaviour(80)
def test_an_operator_that_is_pinned_to_one_task_runs_three_times_after_kubectl_scale(spare_lab: Lab) -> None:
    """From 1 on the chains change, so the job is replaced; from 2 on they stay, and it is rescaled in place."""
    lab = spare_lab
    lab.start("pinned", "--pin-count", "1")
    lab.runs_with(at_run(lab, "pinned", 1), 1, 1)
    lab.checkpointed(at_run(lab, "pinned", 1))
    lab.kube.scale(lab.namespace, "pinned", 2)
    second = at_run(lab, "pinned", 2)
    lab.runs_with(second, 1, 2, 2)
    lab.checkpointed(second)
    lab.kube.scale(lab.namespace, "pinned", 3)
    lab.wait("pinned", lambda job: submission(job).get("parallelism") == 3, "rescaled", 60)
    assert at_run(lab, "pinned", 2) == second
    lab.runs_with(second, 1, 3, 3)
    lab.checkpointed(second, 2)
    lab.told_exactly("pinned", Rescaled=1, Submitted=2)
    assert any("1 to 3" in each["message"] for each in lab.kube.events(lab.namespace, "pinned"))
    assert lab.started_fresh("pinned") == 1
