"""Programs that call `env.getConfig().setGlobalJobParameters(…)`, as Flink's own examples do."""

from __future__ import annotations

import pytest

from tests.support.integration import Lab, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]


@pytest.mark.report("own-parameters")
@pytest.mark.every_flink
def test_an_old_program_runs_on_when_its_flinkjob_is_created_again_with_other_arguments(lab: Lab) -> None:
    """Its id shows whose it is, and nothing shows which spec it runs: the one that is wanted now runs afterwards."""
    name = f"erases-{lab.flink.version.replace('.', '-')}"
    manifest = lab.start(name, "--own-parameters", "first", deletion={"policy": "Orphan"})
    (before,) = lab.flink_jobs(name)
    lab.checkpointed(before["jid"])
    lab.delete(name)
    lab.gone(name)
    assert lab.state_in_flink(before["jid"]) == "RUNNING"
    manifest["spec"]["args"][-1] = "second"
    lab.apply(manifest)
    found = lab.running(name, 2)
    assert submission(found)["restoredFrom"]
    assert lab.state_in_flink(before["jid"]) == "FINISHED"
    config = lab.rest(f"/jobs/{submission(found)['jobId']}/config")
    assert config["execution-config"]["user-config"] == {"own": "second"}
    messages = [each["message"] for each in lab.kube.events(lab.namespace, name) if each["reason"] == "Adopted"]
    assert ["erased the owner mark" in each for each in messages] == [True]
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once(name)
    assert lab.started_fresh(name) == 1
