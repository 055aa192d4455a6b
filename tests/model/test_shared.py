"""Random people, clusters and crashes against two replicas that share the clusters out: the invariants hold as with one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flinkjob.core import shards
from flinkjob.core.model import JobDecision
from flinkjob.kube.kinds import Kind
from flinkjob.runtime import sharing
from tests.model.histories import run_histories
from tests.model.plant import SPEC, plant
from tests.model.shared import SharedMachine, SharedPlant

STEPS = int(os.environ.get("FLINKJOB_MODEL_STEPS", "500"))


@pytest.mark.invariant(1, 2)
def test_the_invariants_hold() -> None:
    run_histories(SharedMachine, STEPS)


def test_a_job_that_moves_is_handed_over_when_it_runs_there(tmp_path: Path) -> None:
    with plant(tmp_path, of=SharedPlant) as world:
        first, second = world.operator, world.other
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
        world.pass_time(8)
        assert (first.sharing.keys(), second.sharing.keys()) == ({("ns", "a")}, set())
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"cluster": {"url": "http://flink-b"}})
        world.pass_time(15)
        assert (first.sharing.keys(), second.sharing.keys()) == (set(), {("ns", "a")})
        assert not first.clusters.all()
        assert [job.job_id for job in world.sims["flink-b"].live_jobs()] == world.live("a")
        world.kube.delete(Kind.FLINK_JOB, "a")
        world.pass_time(15)
        assert world.job("a") is None
        assert not second.clusters.all()


def test_a_handover_in_the_middle_of_a_submission_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What holds a FlinkJob back until its run was seen is needed: without it both replicas send the run call."""

    def at_once(job: object, decision: JobDecision, number: int) -> JobDecision:
        return decision

    def runs() -> int:
        with plant(tmp_path, of=SharedPlant) as world:
            world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
            world.pass_time(8)
            spec = SPEC | {"cluster": {"url": "http://flink-b"}, "args": ["--main-ms", "3000"]}
            world.kube.apply(Kind.FLINK_JOB, "a", spec)
            world.pass_time(30)
            sent = [path for method, path in world.sims["flink-b"].requests if method == "POST"]
            return sum(path.endswith("/run") for path in sent)

    assert runs() == 1
    monkeypatch.setattr(sharing, "staying", at_once)
    assert shards.staying is not at_once
    assert runs() > 1
