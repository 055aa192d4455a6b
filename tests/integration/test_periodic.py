"""Savepoints that the operator takes of its own accord: when, how many are kept, and what is never deleted."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.integration import Lab, Object, Refused, condition, submission, wait_until

pytestmark = [pytest.mark.kube, pytest.mark.flink]


EACH = 3
"""Seconds between two savepoints."""


def wishes(lab: Lab, name: str, **more: Any) -> dict[str, Any]:
    return {"directory": lab.savepoint_directory(name), **more}


def complete(lab: Lab, name: str) -> list[Object]:
    return [each for each in lab.savepoints_of(name) if each.get("status", {}).get("phase") == "Completed"]


def path_of(savepoint: Object) -> Path:
    return Path(savepoint["status"]["location"].removeprefix("file:"))


def taken(lab: Lab, name: str, count: int) -> list[Object]:
    """Waits until so many are complete."""
    return wait_until(
        lambda: found if len(found := complete(lab, name)) >= count else None, timeout=45, what=f"{count} savepoints"
    )


@pytest.mark.behaviour(56)
def test_missed_times_are_not_made_up_for(own_lab: Lab) -> None:
    own_lab.start("missed", savepoints=wishes(own_lab, "missed", interval=f"{EACH}s"))
    taken(own_lab, "missed", 1)
    own_lab.operator.kill()
    before = {s["metadata"]["name"] for s in own_lab.savepoints_of("missed")}
    job = own_lab.get("missed")
    begun = len(own_lab.savepoints_begun("missed"))
    own_lab.checkpointed(submission(job)["jobId"], 35, deadline=60)
    assert len(own_lab.savepoints_begun("missed")) == begun
    back = time.monotonic()
    own_lab.operator.restart()
    found = taken(own_lab, "missed", len(before) + 1)
    came = (time.monotonic() - back) / EACH
    assert len(found) <= len(before) + 1 + came, "one for now, none for each time that was missed"


@pytest.mark.behaviour(66)
@pytest.mark.invariant(7)
def test_retention_keeps_what_is_in_use(lab: Lab) -> None:
    keep = {"minCount": 1, "minAge": "1s"}
    lab.start("keeps", savepoints=wishes(lab, "keeps", interval="2s", retention=keep))
    first = taken(lab, "keeps", 1)[0]
    where = first["status"]["location"]
    user = {"strategy": "Custom", "savepointRef": {"name": first["metadata"]["name"]}}
    lab.start("user", initialState=user)
    assert submission(lab.get("user"))["restoredFrom"] == where
    gone: list[Object] = []

    def another_went() -> bool:
        there = {s["metadata"]["name"] for s in lab.savepoints_of("keeps")}
        for each in complete(lab, "keeps"):
            if each["metadata"]["name"] not in {g["metadata"]["name"] for g in gone}:
                gone.append(each)
        return any(g["metadata"]["name"] not in there and not path_of(g).exists() for g in gone)

    wait_until(another_went, timeout=60, what="an older one gone with its data")
    assert path_of(first).exists(), "the other job was started from it"
    kept = lab.kube.get("FlinkSavepoint", lab.namespace, first["metadata"]["name"])
    assert kept is not None
    assert "deletionTimestamp" not in kept["metadata"]
    assert complete(lab, "keeps")


@pytest.mark.behaviour(66)
def test_a_savepoint_of_a_person_is_never_deleted(lab: Lab) -> None:
    keep = {"minCount": 1, "minAge": "1s"}
    lab.start("mine")
    lab.apply(lab.savepoint("mine-1", "mine"))
    own = lab.savepoint_phase("mine-1", "Completed")
    manifest = lab.job("mine", savepoints=wishes(lab, "mine", interval="1s", retention=keep))
    lab.kube.apply(manifest)
    names = {s["metadata"]["name"] for s in taken(lab, "mine", 3)}
    wait_until(
        lambda: names - {s["metadata"]["name"] for s in lab.savepoints_of("mine")}, timeout=45, what="one deleted"
    )
    assert lab.kube.get("FlinkSavepoint", lab.namespace, "mine-1") is not None
    assert path_of(own).exists()


@pytest.mark.behaviour(64)
@pytest.mark.invariant(7)
def test_deletion_of_the_object(lab: Lab) -> None:
    """`deletion.policy` of a FlinkSavepoint: kept, disposed of, and kept since it is in use."""
    lab.start("source")
    for name, deletion in {
        "stays": {"policy": "Retain"},
        "goes": {"policy": "Delete"},
        "used": {"policy": "Delete", "timeout": "2s"},
    }.items():
        lab.apply(lab.savepoint(name, "source", deletion=deletion))
    saved = {name: lab.savepoint_phase(name, "Completed") for name in ("stays", "goes", "used")}
    location = saved["used"]["status"]["location"]
    lab.start("reader", initialState={"strategy": "Custom", "location": location})
    for name in saved:
        lab.delete(name, "FlinkSavepoint")
    for name in saved:
        lab.kube.wait_gone("FlinkSavepoint", lab.namespace, name)
    assert path_of(saved["stays"]).exists()
    assert not path_of(saved["goes"]).exists()
    assert path_of(saved["used"]).exists()
    lab.told("SnapshotDeleted", name="goes")
    lab.told("SnapshotKept", name="used")


@pytest.mark.behaviour(56)
def test_a_schedule(lab: Lab) -> None:
    """By cron, in a time zone; the next time is in the status."""
    lab.start("cron", savepoints=wishes(lab, "cron", schedule="30 4 * * *", timeZone="Europe/Berlin"))
    found = lab.wait("cron", lambda job: "nextTime" in job["status"].get("periodic", {}), "planned")
    assert found["status"]["periodic"]["nextTime"][11:13] in ("02", "03"), found["status"]["periodic"]
    assert lab.savepoints_of("cron") == []


@pytest.mark.behaviour(56)
@pytest.mark.parametrize(
    "schedule",
    [{"schedule": "61 4 * * *"}, {"schedule": "0 4 * * *", "timeZone": "Mars/Base"}, {"schedule": "0 0 31 2 *"}],
    ids=["minute", "zone", "never"],
)
def test_a_schedule_that_cannot_be(lab: Lab, schedule: dict[str, str]) -> None:
    """Either the API server refuses it, or the operator says so and the job runs on."""
    name = "cron-" + "-".join("".join(c if c.isalnum() else "x" for c in text).lower() for text in schedule.values())
    manifest = lab.start(name)
    (job,) = lab.flink_jobs(name)
    try:
        lab.edit(manifest, savepoints=wishes(lab, name, **schedule))
    except Refused as refusal:
        assert "savepoints" in str(refusal)  # noqa: PT017
        return
    found = lab.stalled(name, "InvalidSpec")
    assert condition(found, "Stalled")["message"].startswith("the job runs on as it is: spec.savepoints")
    assert condition(found, "Healthy")["status"] == "True"
    assert [each["jid"] for each in lab.live_jobs(name)] == [job["jid"]]
    lab.edit(manifest)
    assert condition(lab.running(name, 1), "Stalled")["status"] == "False"


@pytest.mark.parametrize(
    "wrong", [{"interval": "0s"}, {"interval": "often"}, {"interval": "1m", "schedule": "0 4 * * *"}]
)
def test_an_interval_that_cannot_be_is_refused(lab: Lab, wrong: dict[str, str]) -> None:
    with pytest.raises(Refused, match="savepoints"):
        lab.kube.apply(lab.job("refused-interval", savepoints=wishes(lab, "refused-interval", **wrong)))
