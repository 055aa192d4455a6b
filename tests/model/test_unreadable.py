"""A status that cannot be read, as another version or a person leaves it: nothing is done, but every deletion ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flinkjob.api.constants import ANNOTATION_FORCE_DELETE
from flinkjob.kube.kinds import Kind
from tests.flinksim import FaultKind
from tests.model.plant import Plant, plant

SPEC: dict[str, Any] = {
    "cluster": {"url": "http://flink-a"},
    "jar": {"uri": "http://jars/v1.jar"},
    "checkpoint": {"interval": "1s"},
    "deletion": {"timeout": "60s"},
    "savepoints": {"timeout": "1s"},
}
DEADLINE = 61
"""Seconds: what the above comes to, one minute more than the savepoint's own."""
PHASE = {"phase": "Dancing"}
REASON = {"submission": {"reason": "Whim"}}
ALL = {"phase": "Dancing", "submission": {"number": "three", "jobId": 7}, "operation": {"kind": "Juggling"}}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Plant]:
    with plant(tmp_path) as world:
        yield world


def _run(world: Plant, **changes: Any) -> str:
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | changes)
    world.pass_time(3)
    (job_id,) = world.live("a")
    return job_id


def _spoil(world: Plant, status: dict[str, Any], kind: Kind = Kind.FLINK_JOB, name: str = "a") -> None:
    world.kube.change_status(kind, name, status)
    world.pass_time(1)


def _told(world: Plant, reason: str) -> list[str]:
    return [event.message for event in world.events.told if event.reason == reason]


def _savepoint(world: Plant, name: str, policy: str = "Delete") -> dict[str, Any]:
    spec = {"jobRef": {"name": "a"}, "directory": "file:/sp", "deletion": {"policy": policy, "timeout": "30s"}}
    world.kube.apply(Kind.FLINK_SAVEPOINT, name, spec)
    world.pass_time(3)
    found = world.kube.find(Kind.FLINK_SAVEPOINT, name)
    assert found is not None
    assert found["status"]["phase"] == "Completed"
    status: dict[str, Any] = found["status"]
    return status


def _gone(world: Plant, kind: Kind, name: str) -> bool:
    return world.kube.find(kind, name) is None


@pytest.mark.fault("api-status-of-others")
def test_nothing_is_done_and_it_is_told_once(world: Plant) -> None:
    job_id = _run(world)
    _spoil(world, PHASE)
    for args in (["--rate", "5"], ["--rate", "6"]):
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"args": args})
        world.pass_time(5)
    assert world.live("a") == [job_id]
    (message,) = _told(world, "StatusUnreadable")
    assert message.startswith("status.phase: ")
    job = world.job("a")
    assert job is not None
    assert job["status"]["phase"] == "Dancing"


def test_another_version_finds_all_as_it_was(world: Plant) -> None:
    _run(world)
    _spoil(world, PHASE)
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"args": ["--rate", "5"]})
    world.pass_time(5)
    _spoil(world, {"phase": "Running"})
    world.pass_time(5)
    job = world.job("a")
    assert job is not None
    assert job["status"]["submission"]["number"] == 2


@pytest.mark.fault("api-unreadable-status-deleted")
@pytest.mark.parametrize("status", [PHASE, REASON, ALL], ids=["phase", "reason", "all"])
def test_a_deleted_job_is_stopped_with_a_savepoint(world: Plant, status: dict[str, Any]) -> None:
    _run(world)
    _spoil(world, status)
    world.kube.delete(Kind.FLINK_JOB, "a")
    world.pass_time(10)
    assert _gone(world, Kind.FLINK_JOB, "a")
    assert world.live("a") == []
    found = [obj for kind, obj in world.kube.everything() if kind is Kind.FLINK_SAVEPOINT]
    assert [obj["metadata"]["labels"]["flinkjob.dev/origin"] for obj in found] == ["Deletion"]
    assert _told(world, "LeftBehind") == []


@pytest.mark.fault("api-unreadable-status-deleted")
@pytest.mark.parametrize("status", [PHASE, REASON], ids=["phase", "reason"])
def test_without_an_answer_it_ends_at_the_deadline(world: Plant, status: dict[str, Any]) -> None:
    job_id = _run(world)
    _spoil(world, status)
    world.sims["flink-a"].faults.add(FaultKind.REFUSE, times=None)
    world.kube.delete(Kind.FLINK_JOB, "a")
    world.pass_time(DEADLINE - 10)
    assert not _gone(world, Kind.FLINK_JOB, "a")
    world.pass_time(20)
    assert _gone(world, Kind.FLINK_JOB, "a")
    (message,) = _told(world, "LeftBehind")
    assert job_id in message


def test_without_an_answer_and_a_readable_run_it_ends_too(world: Plant) -> None:
    _run(world)
    _spoil(world, ALL)
    world.sims["flink-a"].faults.add(FaultKind.REFUSE, times=None)
    world.kube.delete(Kind.FLINK_JOB, "a")
    world.pass_time(DEADLINE + 10)
    assert _gone(world, Kind.FLINK_JOB, "a")
    (message,) = _told(world, "LeftBehind")
    assert "http://flink-a" in message


def test_by_force_it_ends_soon(world: Plant) -> None:
    _run(world)
    _spoil(world, ALL)
    world.sims["flink-a"].faults.add(FaultKind.REFUSE, times=None)
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC, annotations={ANNOTATION_FORCE_DELETE: "true"})
    world.kube.delete(Kind.FLINK_JOB, "a")
    world.pass_time(20)
    assert _gone(world, Kind.FLINK_JOB, "a")


@pytest.mark.parametrize("status", [PHASE, ALL], ids=["phase", "all"])
def test_an_orphan_is_let_go_at_once(world: Plant, status: dict[str, Any]) -> None:
    job_id = _run(world, deletion={"policy": "Orphan"})
    _spoil(world, status)
    world.sims["flink-a"].faults.add(FaultKind.REFUSE, times=None)
    world.kube.delete(Kind.FLINK_JOB, "a")
    world.pass_time(5)
    assert _gone(world, Kind.FLINK_JOB, "a")
    assert world.live("a") == [job_id]
    assert _told(world, "Orphaned") + _told(world, "LeftBehind")


@pytest.mark.fault("api-unreadable-status-deleted")
def test_a_savepoint_with_such_a_status_goes_at_its_deadline_and_its_data_stay(world: Plant) -> None:
    _run(world)
    location = _savepoint(world, "s")["location"]
    _savepoint(world, "newer")
    _spoil(world, PHASE, Kind.FLINK_SAVEPOINT, "s")
    world.kube.delete(Kind.FLINK_SAVEPOINT, "s")
    world.pass_time(20)
    assert not _gone(world, Kind.FLINK_SAVEPOINT, "s")
    world.pass_time(20)
    assert _gone(world, Kind.FLINK_SAVEPOINT, "s")
    (message,) = _told(world, "SnapshotKept")
    assert location in message
    assert "status.phase" in message


def test_a_deleted_savepoint_of_a_job_with_such_a_status_goes_too(world: Plant) -> None:
    _run(world)
    _savepoint(world, "s")
    _savepoint(world, "kept", "Retain")
    _spoil(world, PHASE)
    world.kube.delete(Kind.FLINK_SAVEPOINT, "s")
    world.kube.delete(Kind.FLINK_SAVEPOINT, "kept")
    world.pass_time(5)
    assert _gone(world, Kind.FLINK_SAVEPOINT, "kept")
    world.pass_time(40)
    assert _gone(world, Kind.FLINK_SAVEPOINT, "s")
    assert len(_told(world, "SnapshotKept")) == 1
