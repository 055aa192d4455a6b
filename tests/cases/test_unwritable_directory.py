"""Savepoint directories that nobody can write to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.integration import Lab, condition, conditions, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]

FAILED = {"Ready": "False", "Reconciling": "False", "Stalled": "True"}


@pytest.fixture
def unwritable(tmp_path: Path) -> str:
    """A directory that cannot be made, as a URI."""
    (tmp_path / "file").write_text("in the way")
    return f"file://{tmp_path}/file"


@pytest.mark.report("unwritable-directory")
@pytest.mark.behaviour(44)
@pytest.mark.fault("flink-directory-not-writable")
@pytest.mark.every_flink
def test_a_savepoint_is_tried_for_ever_though_nobody_can_write_it(lab: Lab, unwritable: str) -> None:
    lab.start("blocked")
    lab.apply(lab.savepoint("blocked-1", "blocked", directory=unwritable, backoffLimit=5))
    found = lab.savepoint_phase("blocked-1", "Failed")
    assert found["status"]["error"]["errorCode"] == "SavepointFailed"
    assert found["status"]["failures"] == 1, "it would fail again, so it is not tried again"
    assert conditions(found) == FAILED
    assert "\n" not in condition(found, "Stalled")["message"]
    lab.apply(lab.savepoint("blocked-2", "blocked", directory=unwritable, mode="Stop"))
    found = lab.savepoint_phase("blocked-2", "Failed")
    assert found["status"]["error"]["errorCode"] == "SavepointFailed"
    assert lab.live_jobs("blocked"), "the job runs on"
    assert lab.running("blocked", 1)["status"].get("hold") is None


@pytest.mark.report("unwritable-directory")
@pytest.mark.behaviour(23)
@pytest.mark.fault("flink-directory-not-writable")
def test_a_job_with_an_unwritable_savepoint_directory_can_neither_be_upgraded_nor_deleted(
    lab: Lab, unwritable: str
) -> None:
    """It goes on from its newest retained checkpoint after one attempt, and what is wrong is told."""
    manifest = lab.start("unwritable", savepoints={"directory": unwritable})
    lab.checkpointed(submission(lab.get("unwritable"))["jobId"])
    lab.edit(manifest, restartNonce=1)
    found = lab.running("unwritable", 2)
    assert "/chk-" in submission(found)["restoredFrom"]
    lab.told_exactly("unwritable", SavepointFailed=1, SavepointSkipped=1)
    told = {each["reason"]: each["message"] for each in lab.kube.events(lab.namespace, "unwritable")}
    assert unwritable.removeprefix("file://") in told["SavepointSkipped"]
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("unwritable")
    lab.delete("unwritable")
    lab.gone("unwritable")
    assert lab.live_jobs("unwritable") == []
