"""Twenty idle jobs in virtual time: what is shown is as old as documented, and next to nothing is written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from flinkjob.kube.kinds import Kind
from flinkjob.observability.jobmetrics import oldest_checkpoint_age
from tests.model.plant import Plant, plant

JOBS = 20
SPEC = {"cluster": {"url": "http://flink-a"}, "jar": {"uri": "http://jars/v1.jar"}, "checkpoint": {"interval": "10s"}}
RESYNC = 300.0


@pytest.mark.invariant(9)
@pytest.mark.behaviour(83)
def test_what_ticks_is_never_older_than_documented_and_costs_a_write_a_minute(tmp_path: Path) -> None:
    with plant(tmp_path) as world:
        world.sims["flink-a"].set_slots(JOBS)
        for number in range(JOBS):
            world.kube.apply(Kind.FLINK_JOB, f"job-{number}", SPEC)
        world.pass_time(60)
        versions = _versions(world)
        written = 0
        for minute in range(45):
            if minute % 5 == 0:
                world.run(_look_at_all(world))
            world.pass_time(60)
            seen = world.operator.clusters.newest_checkpoints()
            assert oldest_checkpoint_age(world.operator.cache.jobs(), seen, world.clock.date()) <= 300
            ages = [_observed(world, number) for number in range(JOBS)]
            assert max(ages) <= RESYNC + (JOBS + 1) * 60 + 60
            now = _versions(world)
            changed = [name for name in now if now[name] != versions[name]]
            written += len(changed)
            versions = now
            assert len(changed) <= 2
        assert JOBS <= written <= 46


async def _look_at_all(world: Plant) -> None:
    for key in sorted(world.operator.cache.keys()):
        world.operator.queue.add(key)


def _versions(world: Plant) -> dict[str, str]:
    return {obj["metadata"]["name"]: obj["metadata"]["resourceVersion"] for _, obj in world.kube.everything()}


def _observed(world: Plant, number: int) -> float:
    """How long ago Flink said what the status says, in seconds."""
    job = world.job(f"job-{number}")
    assert job is not None
    known = job["status"]["lastCheckpoint"]
    observed = datetime.fromisoformat(known["observedTime"])
    assert 0 <= (observed - datetime.fromisoformat(known["time"])).total_seconds() <= 11, "it was the newest then"
    return (world.clock.date().astimezone(UTC) - observed).total_seconds()
