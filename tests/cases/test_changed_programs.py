"""Programs whose change makes the state of the run before unusable: another uid, another max parallelism."""

from __future__ import annotations

import pytest

from tests.support.integration import Lab, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]

REVERT = "revert the spec (the snapshot is kept)"


@pytest.mark.report("state-does-not-fit")
@pytest.mark.parametrize(
    ("name", "change", "says", "lost"),
    [
        (
            "relabelled",
            ("--uid", "another"),
            f"{REVERT}, or set restore.allowNonRestoredState to leave state behind",
            1,
        ),
        ("regrouped", ("--max-parallelism", "64"), REVERT, 0),
    ],
    ids=["uid", "max-parallelism"],
)
def test_after_an_upgrade_that_cannot_read_the_state_not_even_the_old_spec_starts(
    lab: Lab, name: str, change: tuple[str, str], says: str, lost: int
) -> None:
    """It is named with the next step and not repeated, and the old spec goes on from the same snapshot.

    Operators that are missing are named before the job is stopped.
    """
    manifest = lab.start(name, restart={"initialDelay": "200ms", "maxDelay": "300ms"})
    lab.checkpointed(submission(lab.get(name))["jobId"])
    before = manifest["spec"]["args"]
    manifest = lab.edit(manifest, args=[*before, *change])
    found = lab.stalled(name, "RestoreFailed")
    message = found["status"]["plan"]["message"]
    assert says in message
    assert "--allowNonRestoredState" not in message
    told = lab.reasons(name)
    assert told.count("StateNotMapped") == lost
    if lost:
        assert told.index("StateNotMapped") < told.index("Upgrading"), "before anything is done to the job"
        assert any("the new program lacks: count" in each["message"] for each in lab.kube.events(lab.namespace, name))
    lab.only_runs(name, 2)
    lab.edit(manifest, args=before)
    found = lab.running(name, 3)
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once(name)
    assert lab.started_fresh(name) == 1
