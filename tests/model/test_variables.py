"""A Secret whose values are also parts of addresses, names and directories changes nothing that is done."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from flinkjob.kube.kinds import Kind
from tests.model.plant import Plant, plant

VALUES = {"host": "flink", "name": "clicks", "place": "savepoints", "number": "chk-", "jar": "jars", "port": "8081"}
SPEC = {
    "cluster": {"url": "http://flink-a"},
    "jar": {"uri": "http://jars/v1.jar"},
    "checkpoint": {"interval": "1s"},
    "savepoints": {"directory": "file:/savepoints"},
    "args": [f"--{name}=$({name})" for name in VALUES],
    "variablesFrom": [{"secretRef": {"name": "words"}}],
    "deletion": {"policy": "Savepoint", "timeout": "20s"},
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Plant]:
    """One FlinkJob `clicks`, running, with checkpoints."""
    with plant(tmp_path) as world:
        data = {name: base64.b64encode(value.encode()).decode() for name, value in VALUES.items()}
        use = {"annotations": {"flinkjob.dev/use": "variables"}}
        world.kube.secrets["words"] = {"metadata": use, "data": data}
        world.sims["flink-a"].config["cluster.intercept-user-system-exit"] = "THROW"
        world.kube.apply(Kind.FLINK_JOB, "clicks", SPEC)
        world.pass_time(8)
        yield world
        world.witness.check()


@pytest.mark.parametrize("restart", [False, True])
def test_a_job_lives_as_without_it(world: Plant, restart: bool) -> None:
    if restart:
        world.restart()
        world.pass_time(5)
    world.kube.apply(Kind.FLINK_JOB, "clicks", SPEC | {"args": ["--rate", "5", "--host=$(host)"]})
    world.pass_time(20)
    job = world.job("clicks")
    assert job is not None
    run = job["status"]["submission"]
    assert (run["number"], len(world.live("clicks"))) == (2, 1)
    assert run["restoredFrom"].startswith("file:/savepoints/")
    assert run["clusterUrl"].startswith("http://flink-a")
    assert job["status"]["lastCheckpoint"]["location"].rpartition("/")[2].startswith("chk-")
    world.kube.delete(Kind.FLINK_JOB, "clicks")
    world.pass_time(20)
    assert world.job("clicks") is None
    assert world.live("clicks") == []


def test_a_flinkjob_that_is_created_again_runs_with_what_its_secret_says_by_then(world: Plant) -> None:
    world.kube.delete(Kind.FLINK_JOB, "clicks")
    world.pass_time(2)
    assert world.job("clicks") is None
    world.kube.secrets["words"]["data"]["name"] = base64.b64encode(b"others").decode()
    world.kube.apply(Kind.FLINK_JOB, "clicks", SPEC)
    world.pass_time(10)
    assert "--name=others" in world.sims["flink-a"].runs[-1].arguments
