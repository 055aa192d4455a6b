"""Snapshots that no job can start from: named, with what to do; not repeated."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.integration import Lab, conditions, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]

SOON = {"initialDelay": "200ms", "maxDelay": "300ms"}
ROCKS = {"state.backend.type": "rocksdb", "execution.checkpointing.data-inline-threshold": "0"}


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


@pytest.mark.report("snapshot-unusable")
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
    lab.only_runs(name, 1)
    lab.edit(manifest, initialState=state | {"location": f"file://{saved}", "nonce": 2})
    lab.running(name, 2)


@pytest.mark.report("snapshot-unusable")
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
    lab.only_runs("rocks", 2)
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
