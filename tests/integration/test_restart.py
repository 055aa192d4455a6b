"""Failed jobs: pauses that grow, attempts that are counted, what ends them, and what trying again cannot help."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.integration import Lab, Object, condition, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]

FAILING = ("--fail-after", "60", "--restart", "none")


def attempts(job: Object) -> int:
    return int(job["status"].get("restart", {}).get("attempts", 0))


@pytest.mark.behaviour(38)
@pytest.mark.fault("flink-job-fails-in-a-loop")
def test_attempts_are_used_up_and_an_edit_starts_again(lab: Lab, tmp_path: Path) -> None:
    healed = tmp_path / "healed"
    restart = {"initialDelay": "200ms", "maxDelay": "300ms", "maxAttempts": 2}
    manifest = lab.job("limited", *FAILING, "--fail-until", str(healed), restart=restart)
    lab.apply(manifest)
    found = lab.stalled("limited", "AttemptsUsedUp", deadline=60)
    assert submission(found)["number"] == 3, "one run and two restarts"
    assert found["status"]["hold"]["reason"] == "AttemptsUsedUp"
    assert found["status"]["phase"] == "Failed"
    message = condition(found, "Stalled")["message"]
    assert message.startswith("tried 2 times: "), message
    assert "fails on purpose" in message
    assert len(lab.flink_jobs("limited")) == 3
    healed.touch()
    lab.edit(manifest, restartNonce=1)
    found = lab.running("limited", 4)
    assert "hold" not in found["status"]
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("limited")


@pytest.mark.behaviour(37, 49, 52)
def test_never(lab: Lab, tmp_path: Path) -> None:
    healed = tmp_path / "healed"
    healed.touch()
    arguments = ("--fail-after", "150", "--fail-until", str(healed), "--restart", "none")
    manifest = lab.start("never-again", *arguments, restart={"policy": "Never"})
    lab.checkpointed(lab.flink_jobs("never-again")[0]["jid"])
    healed.unlink()
    found = lab.stalled("never-again", "JobFailed")
    assert found["status"]["phase"] == "Failed"
    assert submission(found)["number"] == 1
    lab.told_once("JobFailed", "never-again")
    manifest = lab.edit(manifest, state="Suspended")
    lab.phase("never-again", "Suspended")
    lab.edit(manifest, state="Running")
    found = lab.wait("never-again", lambda job: submission(job)["number"] == 2, "started by its state")
    assert submission(found).get("restoredFrom"), "from what the failed run left"


def test_the_pause_survives_the_operator(own_lab: Lab, tmp_path: Path) -> None:
    healed = tmp_path / "healed"
    arguments = (*FAILING, "--fail-until", str(healed))
    own_lab.apply(own_lab.job("pausing", *arguments, restart={"initialDelay": "8s", "maxDelay": "8s"}))
    found = own_lab.wait("pausing", lambda job: attempts(job) == 1, "pausing")
    healed.touch()
    due = found["status"]["restart"]["nextTime"]
    own_lab.operator.restart(kill=True)
    found = own_lab.wait("pausing", lambda job: submission(job)["number"] == 2, "restarted")
    assert found["status"]["restart"]["nextTime"] == due, "the pause did not begin anew"
    assert attempts(found) == 1
    intent = datetime.fromisoformat(submission(found)["intentTime"])
    assert intent >= datetime.fromisoformat(due).astimezone(UTC).replace(microsecond=0)
    assert own_lab.reasons("pausing").count("BackOff") <= 1, "told once, or not when it was killed first"
    own_lab.running("pausing", 2)
    healed.unlink()
    own_lab.wait("pausing", lambda job: attempts(job) == 2, "failed once more")


def test_a_run_that_was_up_long_enough_makes_earlier_attempts_forgotten(lab: Lab, tmp_path: Path) -> None:
    healed = tmp_path / "healed"
    lab.apply(
        lab.job(
            "heals",
            *(*FAILING, "--fail-until", str(healed)),
            restart={"initialDelay": "500ms", "maxDelay": "500ms", "resetAfter": "2s"},
        )
    )
    lab.wait("heals", lambda job: attempts(job) >= 1, "restarting")
    healed.touch()
    found = lab.wait("heals", lambda job: job["status"]["phase"] == "Running" and attempts(job) == 0, "forgotten")
    assert submission(found)["number"] > 1


@pytest.mark.behaviour(38)
def test_a_snapshot_that_is_missing_is_not_tried_again(lab: Lab, tmp_path: Path) -> None:
    nowhere = {"strategy": "Custom", "location": f"file://{tmp_path}/none"}
    lab.apply(lab.job("hopeless", initialState=nowhere, restart={"initialDelay": "100ms", "maxDelay": "100ms"}))
    lab.stalled("hopeless", "RestoreFailed")
    found = lab.wait("hopeless", lambda job: "finalizers" not in job["metadata"], "let go")
    assert str(tmp_path) in condition(found, "Stalled")["message"]
    before = found["metadata"]["resourceVersion"]
    lab.start("hopeful")
    assert lab.get("hopeless")["metadata"]["resourceVersion"] == before
    assert submission(lab.get("hopeless"))["number"] == 1


@pytest.mark.fault("flink-cancelled-by-hand")
def test_a_job_cancelled_by_hand_is_held_where_that_is_wanted(lab: Lab) -> None:
    manifest = lab.start("let", restart={"onExternalCancel": "Hold"})
    (job,) = lab.flink_jobs("let")
    lab.checkpointed(job["jid"])
    lab.cancel_in_flink(job["jid"])
    found = lab.stalled("let", "JobHeld")
    assert found["status"]["hold"]["reason"] == "CancelledExternally"
    assert lab.live_jobs("let") == []
    lab.edit(manifest, restartNonce=1)
    found = lab.running("let", 2)
    assert "/chk-" in submission(found)["restoredFrom"]
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("let")
