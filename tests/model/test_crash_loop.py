"""A job that Flink restarts again and again, in the model: its status says why, is seldom written, and gets well again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

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


@pytest.mark.report("why-it-restarts")
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


@pytest.mark.report("crash-loop-not-retained")
def test_a_loop_without_retained_checkpoints_is_replaced_suspended_and_deleted(tmp_path: Path) -> None:
    """Its stops fail whenever its tasks run for a moment, and nothing of it would be left by a cancel."""
    with plant(tmp_path) as world:
        failing = tmp_path / "no-snapshots"
        failing.touch()
        crashing = [*CRASHING, "--snapshot-fail-while", str(failing)]
        spec = SPEC | {"checkpoint": {"interval": "1s", "retention": "DeleteOnCancellation"}, "args": crashing}
        world.kube.apply(Kind.FLINK_JOB, "a", spec)
        world.pass_time(30)
        assert _ready(world) == ("False", "CrashLooping")
        world.kube.apply(Kind.FLINK_JOB, "a", spec | {"args": ["--rate", "10"]})
        world.pass_time(10)
        assert (_status(world)["submission"]["number"], _status(world)["phase"]) == (2, "Running")
        assert "restoredFrom" not in _status(world)["submission"]
        world.kube.apply(Kind.FLINK_JOB, "a", spec)
        world.pass_time(60)
        assert _ready(world) == ("False", "CrashLooping")
        world.kube.apply(Kind.FLINK_JOB, "a", spec | {"state": "Suspended"})
        world.pass_time(10)
        assert _status(world)["phase"] == "Suspended"
        world.kube.apply(Kind.FLINK_JOB, "a", spec)
        world.pass_time(60)
        assert _ready(world) == ("False", "CrashLooping")
        world.kube.delete(Kind.FLINK_JOB, "a")
        world.pass_time(5)
        assert world.job("a") is None
        assert world.live("a") == []
        world.witness.check()


WISHES = {
    "corrected": {"args": ["--rate", "10"]},
    "corrected by last state": {"args": ["--rate", "10"], "upgrade": {"strategy": "LastState"}},
    "suspended": {"state": "Suspended"},
    "deleted": None,
}
WAITS = ("upgrade.strategy", "flinkjob.dev/force-delete")
"""Who must wait is told how to go on without."""


@pytest.mark.report("crash-loop", "crash-loop-not-retained", "crash-loop-with-state")
@given(
    wish=st.sampled_from(sorted(WISHES)),
    records=st.sampled_from((2, 15, 40)),
    snapshots=st.booleans(),
    retained=st.booleans(),
    moment=st.floats(2, 40),
)
@settings(max_examples=40, phases=(Phase.generate,))
def test_whatever_the_loop_a_wish_comes_true_or_its_ways_out_are_named(
    wish: str, records: int, snapshots: bool, retained: bool, moment: float
) -> None:
    """No state is lost for it in silence. The loop fails after so many records, ten a second."""
    with tempfile.TemporaryDirectory() as directory, plant(Path(directory)) as world:
        failing = Path(directory) / "no-snapshots"
        if not snapshots:
            failing.touch()
        loop = ["--fail-after", str(records), "--restart", "100000", "--snapshot-fail-while", str(failing)]
        kept = "RetainOnCancellation" if retained else "DeleteOnCancellation"
        spec = SPEC | {"checkpoint": {"interval": "1s", "retention": kept}, "args": ["--rate", "10", *loop]}
        world.kube.apply(Kind.FLINK_JOB, "a", spec)
        world.pass_time(moment)
        change = WISHES[wish]
        if change is None:
            world.kube.delete(Kind.FLINK_JOB, "a")
        else:
            world.kube.apply(Kind.FLINK_JOB, "a", spec | change)
        world.pass_time(60)
        world.witness.check()
        found = world.job("a")
        if found is None:
            assert (wish, world.live("a")) == ("deleted", [])
            return
        status = found["status"]
        wanted = "Suspended" if wish == "suspended" else "Running"
        done = change is not None and status["phase"] == wanted and (wanted == "Suspended" or "plan" not in status)
        message = status.get("plan", {}).get("message", "")
        stalled = any(each["type"] == "Stalled" and each["status"] == "True" for each in status["conditions"])
        assert done or stalled or any(words in message for words in WAITS), status
        if retained or not snapshots:
            assert done, f"nothing would have been lost: {status}"
