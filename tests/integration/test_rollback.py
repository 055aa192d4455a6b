"""Upgrades that do not get healthy are taken back to the last healthy revision, from the state before them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.integration import Lab, condition, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]

UPGRADE = {"rollback": {"policy": "Enabled", "healthyAfter": "500ms", "deadline": "120s"}}
LATER = pytest.mark.everything("an operator killed before or at the start of a run that is taken back")
SOON = {"rollback": UPGRADE["rollback"] | {"deadline": "5s"}}


def healthy(lab: Lab, name: str, **spec: object) -> dict[str, object]:
    """A job that has proved healthy; returns its manifest."""
    manifest = lab.start(name, **{"upgrade": UPGRADE, **spec})
    lab.wait(name, lambda job: job["status"].get("healthyRevision"), "healthy")
    return manifest


def taken_back(lab: Lab, name: str, *, killed: bool = False) -> dict[str, object]:
    """The job runs once more as it did before the second run, from where that one started; returns its submission."""

    def good(job: dict[str, object]) -> bool:
        status = job["status"]
        assert isinstance(status, dict)
        return "rollback" in status and bool(submission(job).get("running")) and submission(job)["number"] == 3

    found = lab.wait(name, good, "taken back", 60)
    found = lab.stalled(name, "RolledBack")
    run = submission(found)
    assert run["reason"] == "Rollback"
    assert run["revision"] == found["status"]["healthyRevision"]
    history = found["status"]["history"]
    assert run["restoredFrom"] == history[0]["from"] == history[1]["to"], "the state before the upgrade"
    assert {c["type"]: c["status"] for c in found["status"]["conditions"]}["Healthy"] == "True"
    if killed:
        assert lab.reasons(name).count("RolledBack") <= 1, "told once, or not when it was killed first"
    else:
        lab.told_once("RolledBack", name)
    lab.checkpointed(run["jobId"], 2)
    assert len(lab.live_jobs(name)) == 1
    assert lab.started_fresh(name) == 1
    return run


def test_an_upgrade_that_fails(lab: Lab) -> None:
    manifest = healthy(lab, "breaks")
    old = submission(lab.get("breaks"))
    arguments = manifest["spec"]["args"]  # type: ignore[index]
    bad = lab.edit(manifest, args=[*arguments, "--fail-after", "0", "--restart", "none"])
    run = taken_back(lab, "breaks")
    assert run["revision"] == old["revision"]
    assert "fails on purpose" in condition(lab.get("breaks"), "Stalled")["message"]
    lab.exactly_once("breaks")

    before = [job["jid"] for job in lab.flink_jobs("breaks")]
    lab.edit(bad, revisionHistoryLimit=4)
    lab.stalled("breaks", "RolledBack")
    assert [job["jid"] for job in lab.flink_jobs("breaks")] == before, (
        "a field that the run does not see changes nothing"
    )
    lab.edit(manifest, restartNonce=1)
    found = lab.running("breaks", 4)
    assert "rollback" not in found["status"]
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("breaks")


def test_an_upgrade_that_is_not_healthy_by_the_deadline(lab: Lab, tmp_path: Path) -> None:
    flag = tmp_path / "failing"
    flag.touch()
    manifest = healthy(lab, "sickens", upgrade=SOON)
    arguments = manifest["spec"]["args"]  # type: ignore[index]
    lab.edit(manifest, args=[*arguments, "--snapshot-fail-while", str(flag)])
    taken_back(lab, "sickens")
    assert "not healthy within 5s" in condition(lab.get("sickens"), "Stalled")["message"]
    lab.exactly_once("sickens")


def test_state_that_does_not_fit(lab: Lab) -> None:
    manifest = healthy(lab, "renames")
    arguments = manifest["spec"]["args"]  # type: ignore[index]
    lab.edit(manifest, args=[*arguments, "--uid", "other"])
    taken_back(lab, "renames")
    lab.exactly_once("renames")


def test_reverted_by_the_user_meanwhile(lab: Lab) -> None:
    """Who goes back to the old spec gets it without a second restart's worth of state lost."""
    manifest = healthy(lab, "undone")
    arguments = manifest["spec"]["args"]  # type: ignore[index]
    lab.edit(manifest, args=[*arguments, "--fail-after", "0", "--restart", "none"])
    taken_back(lab, "undone")
    lab.edit(manifest)
    found = lab.running("undone", 3)
    assert "rollback" not in found["status"]
    assert condition(found, "Stalled")["status"] == "False"


def test_a_first_run_has_nothing_to_go_back_to(lab: Lab) -> None:
    restart = {"initialDelay": "200ms", "maxDelay": "200ms", "maxAttempts": 1}
    lab.apply(lab.job("firstborn", "--fail-after", "0", "--restart", "none", upgrade=UPGRADE, restart=restart))
    found = lab.stalled("firstborn", "AttemptsUsedUp")
    assert "rollback" not in found["status"]
    assert "RolledBack" not in lab.reasons("firstborn")


@pytest.mark.behaviour(75)
@pytest.mark.parametrize(
    "point",
    [
        pytest.param("after:job-status#5", marks=LATER),
        pytest.param("before:run#2", marks=LATER),
        "after:run#2",
    ],
)
def test_the_operator_is_killed_meanwhile(own_lab: Lab, point: str) -> None:
    manifest = healthy(own_lab, "mended")
    arguments = manifest["spec"]["args"]  # type: ignore[index]
    own_lab.operator.stop()
    own_lab.operator.fault_kill_at = point
    own_lab.operator.start().wait_ready()
    own_lab.edit(manifest, args=[*arguments, "--fail-after", "0", "--restart", "none"])
    own_lab.operator.wait_killed()
    own_lab.operator.restart()
    taken_back(own_lab, "mended", killed=True)
    own_lab.exactly_once("mended")
