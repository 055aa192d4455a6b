"""Stops whose savepoint takes too long, in the model: the job is replaced all the same, from its newest state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flinkjob.core.job import fallback
from flinkjob.kube.kinds import Kind
from tests.model.plant import Plant, plant

SPEC = {
    "cluster": {"url": "http://flink-a"},
    "jar": {"uri": "http://jars/v1.jar"},
    "checkpoint": {"interval": "1s"},
    "upgrade": {"timeout": "5s"},
    "savepoints": {"timeout": "5s"},
}


@pytest.fixture(autouse=True)
def _not_ended_by_flink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stop count as too long before the simulated Flink, as a healthy one does, ends its savepoint itself."""
    monkeypatch.setattr(fallback, "MARGIN", -598.0)


def _hang(world: Plant) -> None:
    """From now on no snapshot of the running job completes for an hour."""
    (job_id,) = world.live("a")
    job = world.sims["flink-a"].jobs[job_id]
    job.program = replace(job.program, snapshot_seconds=3600.0)


def _change(world: Plant, fallback_to: str, **fields: object) -> None:
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"upgrade": {"timeout": "5s", "fallback": fallback_to}} | fields)


def _told(world: Plant) -> int:
    return sum(event.reason == "Timeout" for event in world.events.told)


@pytest.mark.report("stop-too-long")
@pytest.mark.parametrize("crash", [False, True])
def test_an_upgrade_goes_on_from_the_newest_checkpoint(tmp_path: Path, crash: bool) -> None:
    with plant(tmp_path) as world:
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
        world.pass_time(5)
        _hang(world)
        _change(world, "LastState", args=["--rate", "5"])
        world.pass_time(3)
        assert len(world.sims["flink-a"].runs) == 1
        assert _told(world) == 0
        if crash:
            world.restart()
        world.pass_time(10)
        runs = world.sims["flink-a"].runs
        assert [run.ended for run in runs] == ["CANCELED", None]
        assert runs[1].restored_from == runs[0].snapshots[-1]
        assert _told(world) == 1
        world.witness.check()


@pytest.mark.report("stop-too-long")
def test_a_suspension_goes_on_too(tmp_path: Path) -> None:
    with plant(tmp_path) as world:
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
        world.pass_time(5)
        _hang(world)
        _change(world, "LastState", state="Suspended")
        world.pass_time(13)
        assert world.live("a") == []
        _change(world, "LastState", state="Running")
        world.pass_time(5)
        runs = world.sims["flink-a"].runs
        assert runs[1].restored_from == runs[0].snapshots[-1]
        world.witness.check()


@pytest.mark.report("stop-too-long")
def test_with_fallback_wait_the_stop_is_waited_for(tmp_path: Path) -> None:
    with plant(tmp_path) as world:
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
        world.pass_time(5)
        _hang(world)
        _change(world, "Wait", args=["--rate", "5"])
        world.pass_time(60)
        assert [run.ended for run in world.sims["flink-a"].runs] == [None]
        assert _told(world) == 1
        world.witness.check()
