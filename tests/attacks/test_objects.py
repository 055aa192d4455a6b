"""What people write into objects, and what a policy refuses, holds up neither another object nor the end of a deletion."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flinkjob.api.constants import ANNOTATION_RESULT
from flinkjob.core.identity import Owner, job_id, number_of
from flinkjob.kube.kinds import Kind
from tests.model.plant import Plant, plant

SPEC: dict[str, Any] = {
    "cluster": {"url": "http://flink-a"},
    "jar": {"uri": "http://jars/v1.jar"},
    "checkpoint": {"interval": "1s"},
    "savepoints": {"directory": "file:/sp"},
    "deletion": {"policy": "Cancel", "timeout": "60s"},
}
MARKS = {
    "deep": "[" * 100_000,
    "deep object": '{"a":' * 50_000,
    "a number": "5",
    "a location that is a number": '{"location": 5}',
    "a location that is a list": '{"location": ["file:/x"]}',
    "a long location": json.dumps({"location": "file:/" + "x" * 2000}),
    "a large number": json.dumps({"location": "file:/x", "checkpointId": 2**64 - 1, "sizeBytes": 10**30}),
    "a negative number": '{"location": "file:/x", "submission": -1}',
    "an endless number": '{"location": "file:/x", "sizeBytes": 1e999}',
    "many digits": '{"location": "file:/x", "sizeBytes": ' + "9" * 3000 + "}",
    "no text": "\x00",
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Plant]:
    with plant(tmp_path) as world:
        yield world


def _status(world: Plant, kind: Kind, name: str) -> dict[str, Any]:
    found = world.kube.find(kind, name)
    assert found is not None
    status: dict[str, Any] = found.get("status") or {}
    return status


@pytest.mark.invariant(12)
@pytest.mark.parametrize("mark", sorted(MARKS))
def test_a_result_that_somebody_wrote_holds_up_no_job(world: Plant, mark: str) -> None:
    spec = {"jobRef": {"name": "a"}, "mode": "Trigger"}
    world.kube.apply(Kind.FLINK_SAVEPOINT, "bad", spec, annotations={ANNOTATION_RESULT: MARKS[mark]})
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
    world.pass_time(5)
    assert _status(world, Kind.FLINK_JOB, "a")["phase"] == "Running"
    bad = _status(world, Kind.FLINK_SAVEPOINT, "bad")
    assert bad["phase"] == "Failed"
    assert "cannot be read" in bad["error"]["message"]
    world.kube.apply(Kind.FLINK_SAVEPOINT, "good", spec)
    world.pass_time(5)
    assert _status(world, Kind.FLINK_SAVEPOINT, "good")["phase"] == "Completed"


@pytest.mark.parametrize("mark", [*MARKS.values(), '{"number": 1e999, "digest": 5}', '{"number": "1", "digest": "x"}'])
def test_the_same_of_a_job(world: Plant, mark: str) -> None:
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC, annotations={ANNOTATION_RESULT: mark})
    world.pass_time(5)
    assert _status(world, Kind.FLINK_JOB, "a")["phase"] == "Running"


@pytest.mark.invariant(8)
def test_a_deletion_ends_whatever_a_policy_refuses(world: Plant) -> None:
    """Nothing can be noted, so nothing is done to the job; at the deadline the object goes, and an Event says so."""
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
    world.kube.apply(Kind.FLINK_JOB, "b", SPEC)
    world.pass_time(5)
    world.kube.refused.add("a")
    world.kube.delete(Kind.FLINK_JOB, "a")
    world.pass_time(50)
    assert world.job("a") is not None
    world.kube.apply(Kind.FLINK_JOB, "b", SPEC | {"args": ["--rate", "5"]})
    world.pass_time(10)
    assert _status(world, Kind.FLINK_JOB, "b")["submission"]["number"] == 2
    world.pass_time(120)
    assert world.job("a") is None
    assert [told.reason for told in world.events.told if told.name == "a"][-1] == "LeftBehind"


def test_a_status_that_is_refused_is_tried_again_later_and_less_often(world: Plant) -> None:
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
    world.pass_time(5)
    world.kube.refused.add("a")
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"args": ["--rate", "5"]})
    asked = world.kube.refusals
    world.pass_time(120)
    assert 2 <= world.kube.refusals - asked <= 12
    assert len(world.live("a")) == 1
    world.kube.refused.clear()
    world.pass_time(70)
    assert _status(world, Kind.FLINK_JOB, "a")["submission"]["number"] == 2


@pytest.mark.threat("too-large")
def test_the_numbers_of_very_many_jobs_cost_little() -> None:
    """Measured before: 134 seconds for 10,000 terminal jobs with the prefix of one FlinkJob."""
    owner = Owner("default", "ns", "a")
    forged = [owner.prefix + f"{number:016x}" for number in range(10_000)]
    begun = time.process_time()
    assert not [one for one in forged if number_of(one, owner, "uid") is not None]
    assert number_of(job_id(owner, "uid", 4096), owner, "uid") == 4096
    assert time.process_time() - begun < 0.5
