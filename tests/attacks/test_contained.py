"""The attacks on memory once more, on a process that has what the operator has and no more than the chart's limit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

import flinkjob.app  # noqa: F401 what the operator has in memory
from deploy.local import plainhttp
from flinkjob.artifacts.cache import ArtifactCache
from flinkjob.artifacts.http import HttpSource
from flinkjob.artifacts.jarfile import Sort, check_is_jar
from flinkjob.core.errors import FlinkJobError
from flinkjob.flink.client import FlinkClient
from tests.attacks import test_answers, test_apart, test_objects, test_stores
from tests.attacks.cgroup import MemoryGroup, NoCgroup, memory_group
from tests.attacks.child import MIB, run_child
from tests.attacks.hostile import hostile
from tests.support.snapshots import write_snapshot

VALUES = Path(__file__).parents[2] / "deploy" / "chart" / "values.yaml"


@pytest.fixture
def group() -> Iterator[MemoryGroup]:
    """A control group with the chart's limit; skips where none can be made: the peaks are measured by the other tests."""
    limit = yaml.safe_load(VALUES.read_text())["resources"]["limits"]["memory"]
    try:
        with memory_group(int(limit.removesuffix("Mi")) * MIB) as made:
            yield made
    except NoCgroup as error:
        pytest.skip(f"no control group can be made here: {error}")


def read_encoded() -> list[str]:
    """In a child: what is said of 275 bytes that would become 256 MiB, by a Flink and by an artifact server."""

    async def asked() -> list[str]:
        said = []
        async with (
            hostile([test_answers.bomb()], headers=test_answers.ENCODED) as url,
            plainhttp.async_client() as http,
        ):
            with TemporaryDirectory() as directory:
                source = HttpSource(
                    http,
                    ArtifactCache(Path(directory), max_bytes=MIB),
                    sort=Sort(MIB, check_is_jar),
                    timeout_seconds=60,
                    check_url=lambda _: None,
                )
                for ask in (FlinkClient(http, url).overview_jobs(), source.fetch(f"{url}/job.jar", None, "ns")):
                    try:
                        await ask
                    except FlinkJobError as error:
                        said.append(error.message)
        return said

    return asyncio.run(asked())


def read_metadata() -> list[str]:
    """In a child: why each is refused."""
    return [test_stores.read_hostile(kind).partition(" ")[2] for kind in ("files", "subtasks")]


def read_stores() -> list[str]:
    """In a child: what is said of stores without an end, which processes of its own have asked."""
    with TemporaryDirectory() as directory:
        snapshot = write_snapshot(Path(directory) / "savepoint-1", {"a": 1000})
        found = [test_apart.work_on_endless(name, "find", str(snapshot)) for name in sorted(test_apart.BODIES)]
    return [str(each["said"]) for each in found]


def keep_objects() -> list[str]:
    """In a child: objects of nearly a MiB each."""
    return ["known"] * test_objects.keep_large_objects()


def read_wrong() -> list[str]:
    """In a child: why each answer that is none of Flink's is refused."""
    return list(test_answers.read_all_wrong().values())


def take_too_much() -> list[str]:
    """In a child: more than the limit."""
    return ["x"] * (600 * MIB // 8)


ATTACKS: dict[str, Callable[[], list[str]]] = {
    "encoded answers": read_encoded,
    "wrong answers": read_wrong,
    "snapshots": read_metadata,
    "stores": read_stores,
    "objects": keep_objects,
}


@pytest.mark.threat("too-large", "greedy-copy")
@pytest.mark.parametrize("attack", sorted(ATTACKS))
def test_an_attack_within_the_limit_of_the_chart(group: MemoryGroup, attack: str) -> None:
    """Measured before: killed for memory within two seconds by the first one."""
    done = run_child("tests.attacks.test_contained", ATTACKS[attack].__name__, group=group)
    assert (done.returncode, group.killed) == (0, 0), done.stderr[-2000:]
    said: list[Any] = json.loads(done.stdout.splitlines()[-1])["returned"]
    assert said
    assert all(said)


def test_whoever_takes_more_is_killed(group: MemoryGroup) -> None:
    """The test above says something only where this one passes."""
    done = run_child("tests.attacks.test_contained", take_too_much.__name__, group=group)
    assert done.returncode == -9
    assert group.killed == 1
