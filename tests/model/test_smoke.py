"""The world of the model test itself: a job runs, upgrades and goes, in virtual time."""

from __future__ import annotations

from pathlib import Path

from flinkjob.kube.kinds import Kind
from tests.model.plant import plant

SPEC = {"cluster": {"url": "http://flink-a"}, "jar": {"uri": "http://jars/v1.jar"}, "checkpoint": {"interval": "1s"}}


def test_the_life_of_a_job(tmp_path: Path) -> None:
    with plant(tmp_path) as world:
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
        world.pass_time(3)
        job = world.job("a")
        assert job is not None
        assert job["status"]["phase"] == "Running"
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"args": ["--rate", "5"]})
        world.pass_time(3)
        job = world.job("a")
        assert job is not None
        assert job["status"]["submission"]["number"] == 2
        assert job["status"]["phase"] == "Running"
        world.kube.delete(Kind.FLINK_JOB, "a")
        world.pass_time(3)
        assert world.job("a") is None
        assert world.live("a") == []
        assert not world.sims["flink-a"].lossy_runs()


def test_a_write_is_followed_by_what_it_makes_possible(tmp_path: Path) -> None:
    """No watch wakes for the operator's own writes: that a job runs is written, then its first checkpoint is looked for."""
    with plant(tmp_path) as world:
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
        world.pass_time(6)
        job = world.job("a")
        assert job is not None
        assert job["status"]["phase"] == "Running"
        assert "lastCheckpoint" in job["status"]
