"""Snapshots that no job can start from, and programs of which only a part can run: named, with what to do; not repeated."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.integration import Lab, ProcessFailed, conditions, submission, wait_until

pytestmark = [pytest.mark.kube, pytest.mark.flink]

SOON = {"initialDelay": "200ms", "maxDelay": "300ms"}
ROCKS = {"state.backend.type": "rocksdb", "execution.checkpointing.data-inline-threshold": "0"}


def not_repeated(lab: Lab, name: str, runs: int) -> None:
    """Nothing more is started in a time in which a failed job is started several times."""
    with pytest.raises(ProcessFailed):
        wait_until(lambda: len(lab.flink_jobs(name)) > runs, timeout=2, what="another run")
    assert len(lab.flink_jobs(name)) == runs


def stopped(lab: Lab, name: str) -> Path:
    """The savepoint of a job that was suspended."""
    manifest = lab.start(name)
    lab.checkpointed(submission(lab.get(name))["jobId"])
    lab.edit(manifest, state="Suspended")
    return Path(submission(lab.phase(name, "Suspended"))["end"]["snapshot"].removeprefix("file:"))


def _empty(place: Path) -> None:
    (place / "_metadata").unlink()


def _damaged(place: Path) -> None:
    (place / "_metadata").write_bytes((place / "_metadata").read_bytes()[:-30])


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("without-metadata", _empty, "there is no complete snapshot"),
        ("damaged", _damaged, "its _metadata cannot be read"),
    ],
    ids=["no-metadata", "damaged"],
)
def test_an_initial_snapshot_that_cannot_be_read(
    lab: Lab, name: str, damage: Callable[[Path], None], says: str
) -> None:
    saved = stopped(lab, f"{name}-donor")
    place = lab.directory / "copied"
    shutil.copytree(saved, place)
    damage(place)
    state = {"strategy": "Custom", "location": f"file://{place}", "nonce": 1}
    manifest = lab.job(name, initialState=state, restart=SOON)
    lab.apply(manifest)
    found = lab.stalled(name, "RestoreFailed")
    message = found["status"]["plan"]["message"]
    assert says in message
    assert "name another snapshot in initialState with a new nonce" in message
    lab.told_once("RestoreFailed", name)
    not_repeated(lab, name, 1)
    lab.edit(manifest, initialState=state | {"location": f"file://{saved}", "nonce": 2})
    lab.running(name, 2)


def test_an_upgrade_whose_state_does_not_map_goes_back_with_its_spec(lab: Lab) -> None:
    manifest = lab.start("relabelled", restart=SOON)
    lab.checkpointed(submission(lab.get("relabelled"))["jobId"])
    before = manifest["spec"]["args"]
    manifest = lab.edit(manifest, args=[*before, "--uid", "another"])
    found = lab.stalled("relabelled", "RestoreFailed")
    message = found["status"]["plan"]["message"]
    assert (
        "set restore.allowNonRestoredState to leave state behind, or revert the spec (the snapshot is kept)" in message
    )
    assert "--allowNonRestoredState" not in message
    not_repeated(lab, "relabelled", 2)
    lab.edit(manifest, args=before)
    lab.running("relabelled", 3)
    assert lab.started_fresh("relabelled") == 1


def test_tasks_that_cannot_read_their_state_are_named_while_flink_tries_again(lab: Lab) -> None:
    """Another state backend; and then files that are gone, in one job: each is a loop inside of Flink."""
    manifest = lab.job("rocks", restart=SOON)
    manifest["spec"]["flinkConfiguration"] = ROCKS
    manifest["spec"]["savepoints"]["formatType"] = "Native"
    lab.apply(manifest)
    lab.running("rocks", 1)
    lab.checkpointed(submission(lab.get("rocks"))["jobId"])
    manifest = lab.edit(manifest, flinkConfiguration={"state.backend.type": "hashmap"})
    found = lab.stalled("rocks", "RestoreFailed")
    assert "it was made with another state backend" in found["status"]["plan"]["message"]
    assert "revert the spec (the snapshot is kept)" in found["status"]["plan"]["message"]
    not_repeated(lab, "rocks", 2)
    saved = Path(submission(found)["restoredFrom"].removeprefix("file:"))
    kept = lab.directory / "kept"
    shutil.copytree(saved, kept)
    for file in [file for file in saved.iterdir() if file.name != "_metadata"]:
        file.unlink()
    manifest = lab.edit(manifest, flinkConfiguration=ROCKS)
    found = lab.stalled("rocks", "RestoreFailed")
    assert submission(found)["number"] == 3
    assert "files that it refers to are gone" in found["status"]["plan"]["message"]
    for file in kept.iterdir():
        shutil.copy(file, saved)
    lab.running("rocks", 3)
    assert conditions(lab.get("rocks"))["Stalled"] == "False"


def test_a_program_with_two_jobs_is_named_and_its_first_job_left_alone(lab: Lab) -> None:
    manifest = lab.start("double", restart=SOON)
    lab.edit(manifest, args=[*manifest["spec"]["args"], "--executes", "2"])
    found = lab.stalled("double", "MultipleJobs")
    job_id = submission(found)["jobId"]
    lab.told_once("MultipleJobs", "double")
    not_repeated(lab, "double", 2)
    assert [job["jid"] for job in lab.live_jobs("double")] == [job_id]
    lab.edit(manifest, args=manifest["spec"]["args"])
    lab.running("double", 3)
    assert conditions(lab.get("double"))["Stalled"] == "False"
