"""Programs that call `execute()` twice, of which Flink runs the first job only."""

from __future__ import annotations

import pytest

from tests.support.integration import Lab, condition, conditions, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]


@pytest.mark.report("two-executes")
def test_half_of_a_new_program_does_not_run_and_the_job_is_ready(lab: Lab) -> None:
    lab.apply(lab.job("half", "--executes", "2"))
    found = lab.stalled("half", "MultipleJobs")
    assert conditions(found)["Ready"] == "False"
    assert "one FlinkJob for each job" in condition(found, "Ready")["message"]
    lab.told_once("MultipleJobs", "half")


@pytest.mark.report("two-executes")
def test_an_upgrade_to_two_executes_drops_the_second_one_silently(lab: Lab) -> None:
    """It is named, and the first job left alone."""
    manifest = lab.start("double", restart={"initialDelay": "200ms", "maxDelay": "300ms"})
    lab.edit(manifest, args=[*manifest["spec"]["args"], "--executes", "2"])
    found = lab.stalled("double", "MultipleJobs")
    job_id = submission(found)["jobId"]
    lab.told_once("MultipleJobs", "double")
    lab.only_runs("double", 2)
    assert [job["jid"] for job in lab.live_jobs("double")] == [job_id]
    lab.edit(manifest, args=manifest["spec"]["args"])
    lab.running("double", 3)
    assert conditions(lab.get("double"))["Stalled"] == "False"
