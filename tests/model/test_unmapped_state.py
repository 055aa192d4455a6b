"""State that the new program lacks is named before the job is stopped, and what cannot be found out holds up nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flinkjob.kube.kinds import Kind
from tests.flinksim import FaultKind
from tests.model.plant import Plant, plant

SPEC = {
    "cluster": {"url": "http://flink-a"},
    "jar": {"uri": "http://jars/v1.jar"},
    "checkpoint": {"interval": "1s"},
    "restart": {"initialDelay": "1s"},
}
DETAILS = "/jobs/[0-9a-f]+/checkpoints/details/.*"
VERTICES = "/jobs/[0-9a-f]+"
OTHER_UID = {"args": ["--uid", "another"]}
EARLIER = ("Submitted", "Upgrading", "StateNotMapped", "RestoreFailed")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Plant]:
    """One FlinkJob `a`, running, with checkpoints."""
    with plant(tmp_path) as world:
        world.sims["flink-a"].config["cluster.intercept-user-system-exit"] = "THROW"
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
        world.pass_time(6)
        yield world
        world.witness.check()


def _told(world: Plant) -> list[str]:
    return [event.reason for event in world.events.told if event.reason in EARLIER]


def _asked(world: Plant, part: str) -> int:
    return len([path for method, path in world.sims["flink-a"].requests if method == "GET" and part in path])


def _plan(world: Plant) -> dict[str, Any]:
    job = world.job("a")
    assert job is not None
    plan: dict[str, Any] = job["status"]["plan"]
    return plan


def test_it_is_said_once_before_the_upgrade_which_then_fails_as_foretold(world: Plant) -> None:
    assert _asked(world, "/checkpoints/details/") == 0
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | OTHER_UID)
    world.pass_time(60)
    assert _told(world) == ["Submitted", "StateNotMapped", "Upgrading", "Submitted", "RestoreFailed"]
    (warning,) = (event for event in world.events.told if event.reason == "StateNotMapped")
    assert "run 1 has state in what the new program lacks: count (900)" in warning.message
    assert _plan(world)["reason"] == "RestoreFailed"
    assert _asked(world, "/checkpoints/details/") == 1


def test_an_upgrade_that_keeps_its_state_asks_once_and_says_nothing(world: Plant) -> None:
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"args": ["--rate", "5"]})
    world.pass_time(60)
    assert _told(world) == ["Submitted", "Upgrading", "Submitted"]
    assert len(world.live("a")) == 1
    assert _asked(world, "/checkpoints/details/") == 1


@pytest.mark.parametrize(
    ("kind", "path"),
    [(FaultKind.ERROR, DETAILS), (FaultKind.HANG, DETAILS), (FaultKind.HTML, VERTICES)],
    ids=["details-error", "details-hang", "vertices-html"],
)
def test_what_flink_does_not_answer_holds_up_nothing(world: Plant, kind: FaultKind, path: str) -> None:
    world.sims["flink-a"].faults.add(kind, path, times=None)
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | OTHER_UID)
    world.pass_time(120)
    assert _told(world) == ["Submitted", "Upgrading", "Submitted", "RestoreFailed"]


@pytest.mark.parametrize("point", ["before:job-status", "before:stop"])
def test_it_is_said_once_although_the_operator_dies(world: Plant, point: str) -> None:
    world.operator.faults.kill_at(point)
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | OTHER_UID)
    world.pass_time(120)
    assert world.crashes == 1
    assert _told(world).count("StateNotMapped") == 1
    assert _told(world)[-1] == "RestoreFailed"
    assert len(world.sims["flink-a"].runs) == 2
