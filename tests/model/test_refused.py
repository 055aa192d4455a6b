"""FlinkSavepoints that a policy lets nobody write: their FlinkJob and all the others go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flinkjob.kube.kinds import Kind
from tests.model.plant import Plant, plant

SPEC: dict[str, Any] = {
    "cluster": {"url": "http://flink-a"},
    "jar": {"uri": "http://jars/v1.jar"},
    "checkpoint": {"interval": "1s"},
    "savepoints": {"directory": "file:/sp"},
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Plant]:
    """One FlinkJob `a`, running, with two FlinkSavepoints `denied-…` that the operator may not write."""
    with plant(tmp_path) as world:
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
        world.pass_time(3)
        world.kube.refused.add("denied-*")
        _ask(world, "denied-1")
        _ask(world, "denied-2", mode="Stop")
        world.pass_time(3)
        yield world


def _ask(world: Plant, name: str, mode: str = "Trigger") -> None:
    world.kube.apply(Kind.FLINK_SAVEPOINT, name, {"jobRef": {"name": "a"}, "mode": mode})


def _status(world: Plant, kind: Kind = Kind.FLINK_JOB, name: str = "a") -> dict[str, Any]:
    found = world.kube.find(kind, name)
    assert found is not None
    status: dict[str, Any] = found.get("status") or {}
    return status


@pytest.mark.fault("api-refuses-a-savepoint")
def test_the_job_is_upgraded(world: Plant) -> None:
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"args": ["--rate", "5"]})
    world.pass_time(30)
    assert _status(world)["submission"]["number"] == 2
    assert _status(world)["phase"] == "Running"


@pytest.mark.fault("api-refuses-a-savepoint")
@pytest.mark.parametrize("mode", ["Trigger", "Stop"])
def test_one_that_is_refused_half_way_is_not_waited_for(tmp_path: Path, mode: str) -> None:
    with plant(tmp_path) as world:
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"args": ["--snapshot-ms", "2000"]})
        world.pass_time(3)
        _ask(world, "denied-1", mode=mode)
        world.pass_time(1)
        assert _status(world, Kind.FLINK_SAVEPOINT, "denied-1")["phase"] == "InProgress"
        world.kube.refused.add("denied-*")
        for rate in ("5", "6"):
            world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"args": ["--rate", rate]})
            world.pass_time(150)
        status = _status(world)
        assert status["phase"] == "Running"
        assert status["submission"]["number"] == 3
        assert _status(world, Kind.FLINK_SAVEPOINT, "denied-1")["phase"] == "InProgress"


@pytest.mark.fault("api-refuses-a-savepoint")
def test_others_are_taken_and_these_when_they_may_be(world: Plant) -> None:
    _ask(world, "allowed")
    world.pass_time(10)
    assert _status(world, Kind.FLINK_SAVEPOINT, "allowed")["phase"] == "Completed"
    assert _status(world, Kind.FLINK_SAVEPOINT, "denied-1") == {}
    world.kube.refused.clear()
    world.pass_time(70)
    assert _status(world, Kind.FLINK_SAVEPOINT, "denied-1")["phase"] == "Completed"
    assert _status(world, Kind.FLINK_SAVEPOINT, "denied-2")["phase"] == "Completed"


def test_none_is_tried_often(world: Plant) -> None:
    asked = []
    admit = world.kube._admit
    world.kube._admit = lambda name: (asked.append(name), admit(name))[1]  # type: ignore[method-assign]
    world.pass_time(300)
    assert 2 <= asked.count("denied-1") <= 20


def test_the_job_is_deleted(world: Plant) -> None:
    world.kube.delete(Kind.FLINK_JOB, "a")
    world.pass_time(15)
    assert world.job("a") is None
    assert world.live("a") == []


@pytest.mark.fault("api-refuses-a-savepoint")
def test_records_that_cannot_be_made_hold_nothing_up(world: Plant) -> None:
    world.kube.refused.add("a-*")
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"state": "Suspended"})
    world.pass_time(15)
    status = _status(world)
    assert status["phase"] == "Suspended"
    said = [event.message for event in world.events.told if event.reason == "SavepointFailed"]
    assert any(message.startswith("no FlinkSavepoint for savepoint file:/sp/") for message in said)
    assert len(said) == 1


def test_outdated_savepoints_that_may_not_be_deleted_hold_nothing_up(world: Plant) -> None:
    spec = {"directory": "file:/sp", "interval": "10s", "retention": {"minCount": 1, "minAge": "1s"}}
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"savepoints": spec})
    world.pass_time(25)
    world.kube.refused.add("a-*")
    world.pass_time(60)
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"savepoints": spec, "state": "Suspended"})
    world.pass_time(15)
    assert _status(world)["phase"] == "Suspended"
