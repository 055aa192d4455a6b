"""Where the first run's state comes from, and when that is read again."""

from __future__ import annotations

import pytest

from tests.support.lab import Lab, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]


def donor(lab: Lab, name: str) -> str:
    """A savepoint of a running job; returns its location."""
    lab.start(name)
    lab.checkpointed(lab.flink_jobs(name)[0]["jid"])
    lab.apply(lab.savepoint(f"{name}-1", name))
    return str(lab.savepoint_phase(f"{name}-1", "Completed")["status"]["location"])


@pytest.mark.behaviour(9)
@pytest.mark.every_flink
def test_from_a_location(lab: Lab) -> None:
    location = donor(lab, "from")
    lab.start("into", initialState={"strategy": "Custom", "location": location})
    run = submission(lab.get("into"))
    assert run["restoredFrom"] == location
    restored = lab.checkpoints(run["jobId"])["latest"]["restored"]
    assert restored["external_path"].replace("///", "/") == location.replace("///", "/")
    assert lab.started_fresh("into") == 0


@pytest.mark.behaviour(9)
def test_from_a_savepoint_reference(lab: Lab) -> None:
    location = donor(lab, "origin")
    lab.start("fork", initialState={"strategy": "Custom", "savepointRef": {"name": "origin-1"}})
    assert submission(lab.get("fork"))["restoredFrom"] == location


def test_latest_is_the_newest_completed_savepoint_of_the_job(lab: Lab) -> None:
    manifest = lab.start("latest")
    for number in (1, 2):
        lab.apply(lab.savepoint(f"latest-{number}", "latest"))
        saved = lab.savepoint_phase(f"latest-{number}", "Completed")
    lab.kube.patch("FlinkJob", lab.namespace, "latest", {"spec": {"deletion": {"policy": "Cancel"}}})
    lab.delete("latest")
    lab.gone("latest")
    lab.apply(manifest)
    found = lab.running("latest", 1)
    assert submission(found)["restoredFrom"] == saved["status"]["location"]


def test_latest_of_nothing_is_empty(lab: Lab) -> None:
    lab.start("first", initialState={"strategy": "Latest"})
    assert "restoredFrom" not in submission(lab.get("first"))


def test_none_ignores_savepoints(lab: Lab) -> None:
    lab.start("blank")
    lab.apply(lab.savepoint("blank-1", "blank"))
    lab.savepoint_phase("blank-1", "Completed")
    lab.kube.patch("FlinkJob", lab.namespace, "blank", {"spec": {"deletion": {"policy": "Cancel"}}})
    lab.delete("blank")
    lab.gone("blank")
    lab.apply(lab.job("blank", initialState={"strategy": "None"}))
    assert "restoredFrom" not in submission(lab.running("blank", 1))


@pytest.mark.behaviour(11, 25, 36)
def test_read_again_only_with_a_new_nonce(lab: Lab) -> None:
    location = donor(lab, "base")
    state = {"strategy": "Custom", "location": location, "nonce": 1}
    manifest = lab.start("redeploy", initialState=state)
    lab.checkpointed(submission(lab.get("redeploy"))["jobId"])
    manifest = lab.edit(manifest, restartNonce=1)
    found = lab.running("redeploy", 2)
    assert submission(found)["restoredFrom"] != location, "an upgrade continues its own lineage"
    lab.edit(manifest, initialState=state | {"nonce": 2})
    found = lab.running("redeploy", 3)
    assert submission(found)["restoredFrom"] == location
    assert submission(found)["reason"] == "Redeploy"
