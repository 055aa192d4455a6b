"""A job that Flink restarts again and again, in the model: its status says why, is seldom written, and gets well again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flinkjob.kube.kinds import Kind
from tests.model.plant import Plant, plant

CRASHING = ["--rate", "10", "--fail-after", "15", "--restart", "100000"]
SPEC = {
    "cluster": {"url": "http://flink-a"},
    "jar": {"uri": "http://jars/v1.jar"},
    "checkpoint": {"interval": "1s"},
}


def _status(world: Plant) -> dict[str, Any]:
    job = world.job("a")
    assert job is not None
    status: dict[str, Any] = job["status"]
    return status


def _ready(world: Plant) -> tuple[str, str]:
    found = next(each for each in _status(world)["conditions"] if each["type"] == "Ready")
    return found["status"], found["reason"]


def _told(world: Plant, reason: str) -> int:
    return sum(event.reason == reason for event in world.events.told)


def test_from_the_first_crash_to_the_last(tmp_path: Path) -> None:
    with plant(tmp_path) as world:
        healed = tmp_path / "healed"
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"args": [*CRASHING, "--fail-until", str(healed)]})
        seen = set()
        for _ in range(60):
            world.pass_time(0.5)
            if "lastFailure" in _status(world):
                seen.add(_ready(world)[0])
        assert seen == {"False"}, "it never counts as ready between two crashes"
        assert _ready(world) == ("False", "CrashLooping")
        failure = _status(world)["lastFailure"]
        assert failure["rootCause"] == "IllegalStateException: fails on purpose after 15 records"
        assert _status(world)["job"]["restarts"] >= 3
        version = int(world.job("a")["metadata"]["resourceVersion"])  # type: ignore[index]
        world.pass_time(600)
        written = int(world.job("a")["metadata"]["resourceVersion"]) - version  # type: ignore[index]
        assert written <= 11
        assert (_told(world, "Restarting"), _told(world, "CrashLooping")) == (1, 1)
        world.restart()
        world.pass_time(60)
        assert _ready(world) == ("False", "CrashLooping")
        healed.touch()
        world.pass_time(60)
        assert _ready(world) == ("False", "CrashLooping")
        world.pass_time(120)
        assert _ready(world) == ("True", "Running")
        assert (_told(world, "Restarting"), _told(world, "CrashLooping")) == (1, 1)
        assert len(world.sims["flink-a"].runs) == 1
        world.witness.check()
