"""SQL scripts and Python programs live as jars do, and what is theirs alone holds: uploads, images, state by statement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flinkjob.kube.kinds import Kind
from tests.model.machine import FIRST, PROGRAMS
from tests.model.plant import Plant, plant


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Plant]:
    with plant(tmp_path) as world:
        for sim in world.sims.values():
            sim.config["cluster.intercept-user-system-exit"] = "THROW"
        yield world
        world.witness.check()


def apply(world: Plant, kind: str, program: str, **changes: Any) -> None:
    world.kube.apply(Kind.FLINK_JOB, "a", FIRST | {kind: PROGRAMS[kind][program]} | changes)


def status(world: Plant) -> dict[str, Any]:
    job = world.job("a")
    assert job is not None
    found: dict[str, Any] = job["status"]
    return found


@pytest.mark.parametrize("kind", sorted(PROGRAMS))
def test_a_life(world: Plant, kind: str) -> None:
    apply(world, kind, "v1")
    world.pass_time(10)
    first = status(world)["submission"]
    assert first["artifactDigest"].startswith(f"{kind}-1-")
    apply(world, kind, "v2")
    world.pass_time(15)
    second = status(world)["submission"]
    assert (second["number"], status(world)["phase"]) == (2, "Running")
    assert second["restoredFrom"]
    world.restart()
    world.sims["flink-a"].restart_jobmanager(downtime=2.0)
    world.pass_time(30)
    third = status(world)["submission"]
    assert (third["number"], third["artifactDigest"]) == (3, second["artifactDigest"])
    assert "/chk-" in third["restoredFrom"]


@pytest.mark.parametrize(
    ("kind", "program", "says"),
    [
        ("sql", "wrong", "statement 2 (line 2): SQL validation failed. From line 1, column 6 to line 1, column 11: Object"),
        ("sql", "unclosed", "sql: line 2: a ' is not closed"),
        ("sql", "idle", "there is no INSERT in the script"),
        ("python", "throws", "job.py, line 1: ValueError: 'no'"),
        ("python", "exits", "job.py, line 1: SystemExit: 3"),
        ("python", "lacks", "job.py, line 1: ModuleNotFoundError: No module named 'nosuch'; add it to spec.python.files"),
    ],
)  # fmt: skip
def test_one_that_cannot_run_touches_nothing(world: Plant, kind: str, program: str, says: str) -> None:
    apply(world, kind, "v1")
    world.pass_time(10)
    live = world.live("a")
    apply(world, kind, program)
    world.pass_time(30)
    assert says in status(world)["plan"]["message"]
    assert (world.live("a"), len(live)) == (live, 1)
    assert status(world)["job"]["state"] == "RUNNING"


def test_another_statement_has_other_state(world: Plant) -> None:
    apply(world, "sql", "v1")
    world.pass_time(10)
    live = world.live("a")
    apply(world, "sql", "other")
    world.pass_time(20)
    assert status(world)["plan"]["reason"] == "StateNotMapped"
    assert world.live("a") == live


def test_an_image_without_python(world: Plant) -> None:
    world.sims["flink-a"].python = ""
    apply(world, "python", "v1")
    world.pass_time(60)
    assert 'Cannot run program "python"' in status(world)["plan"]["message"]
    assert world.live("a") == []
    world.sims["flink-a"].python = "python"
    apply(world, "python", "v1", restartNonce=1)
    world.pass_time(60)
    assert status(world)["phase"] == "Running"


def test_what_a_jobmanager_has_lost_is_uploaded_again_and_found_where_it_is_then(world: Plant) -> None:
    sim = world.sims["flink-a"]
    del sim.config["web.upload.dir"]
    apply(world, "python", "v1")
    world.pass_time(10)
    names, before = {jar.name for jar in sim.jars.values()}, sim.upload_place
    assert len(names) == 2
    assert sim.runs[-1].configuration["python.files"].startswith(before)
    sim.restart_jobmanager(downtime=2.0)
    assert sim.jars == {}
    world.pass_time(40)
    assert (status(world)["submission"]["number"], status(world)["phase"]) == (2, "Running")
    assert {jar.name for jar in sim.jars.values()} == names
    options = sim.runs[-1].configuration
    assert before != sim.upload_place
    assert [options[key].startswith(sim.upload_place) for key in ("python.files", "python.requirements")] == [True] * 2
