"""What a life costs: each change is written once, and what never changes of a Flink job is asked once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flinkjob.kube.kinds import Kind
from tests.model.plant import Plant, plant

SPEC = {
    "cluster": {"url": "http://flink-a"},
    "jar": {"uri": "http://jars/v1.jar"},
    "checkpoint": {"interval": "5s"},
    "savepoints": {"directory": "file:/savepoints"},
    "upgrade": {"rollback": {"policy": "Enabled", "healthyAfter": "1s"}},
}
_SETTINGS = re.compile(r"/jobs/(\w+)/checkpoints/config")


def _writes(world: Plant, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Kind, Mapping[str, Any]]]:
    """The status writes from now on, as kind and patch."""
    found: list[tuple[Kind, Mapping[str, Any]]] = []
    write = world.kube.patch_status

    async def noting(kind: Kind, namespace: str, name: str, patch: Mapping[str, Any], version: str) -> Any:
        found.append((kind, patch))
        return await write(kind, namespace, name, patch, version)

    monkeypatch.setattr(world.kube, "patch_status", noting)
    return found


def test_a_recorded_savepoint_is_written_once_with_all_that_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with plant(tmp_path) as world:
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
        world.pass_time(20)
        writes = _writes(world, monkeypatch)
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"args": ["--rate", "5"]})
        world.pass_time(20)
        (saved,) = [patch for kind, patch in writes if kind is Kind.FLINK_SAVEPOINT]
        assert (saved["phase"], saved["size"]) == ("Completed", "1000")
        assert isinstance(saved["checkpointId"], int)


def test_how_a_job_checkpoints_is_asked_once_in_its_life(tmp_path: Path) -> None:
    """Its proof of health waits for a checkpoint, and so does an upgrade that begins before there is one."""
    with plant(tmp_path) as world:
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
        world.pass_time(20)
        slow = SPEC | {"checkpoint": {"interval": "30s"}, "upgrade": {"strategy": "LastState"}}
        world.kube.apply(Kind.FLINK_JOB, "a", slow)
        world.pass_time(10)
        world.kube.apply(Kind.FLINK_JOB, "a", slow | {"args": ["--rate", "5"]})
        world.pass_time(60)
        paths = [path for _, path in world.sims["flink-a"].requests]
        asked = Counter(match[1] for path in paths if (match := _SETTINGS.fullmatch(path)))
        assert set(asked.values()) == {1}
        assert len(asked) == 3
