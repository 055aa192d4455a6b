"""The texts of ConfigMaps: how often they are read, and what is said where they cannot be."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any

import pytest

from flinkjob.api.codec import FlinkJob, parse_job
from flinkjob.api.program_spec import MOST_SCRIPT_BYTES
from flinkjob.core.job.scripts import places
from flinkjob.core.seen import TextPlace
from flinkjob.kube.errors import Forbidden, KubeUnavailable
from flinkjob.runtime.configmaps import FRESH_SECONDS, PAUSE_SECONDS, READ_SECONDS, ConfigMaps
from flinkjob.runtime.queue import Key
from tests.unit.runtime.conftest import World

KEY = ("shop", "orders")
MAIN, OTHER = TextPlace("sql", "main"), TextPlace("sql", "other")


class Desk:
    """An API server with one ConfigMap, and one FlinkJob that names it."""

    def __init__(self) -> None:
        self.data: dict[str, str] | None = {"main": "INSERT 1", "other": "x"}
        self.binary: dict[str, str] = {}
        self.error: Exception | None = None
        self.failing: set[str] = set()  # names that get no answer
        self.answer = asyncio.Event()  # whether reads that were begun may end
        self.answer.set()
        self.reads: list[Key] = []
        self.woken: list[Key] = []
        self.now = 1000.0
        self.jobs = [job("orders", "main")]
        self.hangs = False
        self.maps = ConfigMaps(self, lambda: self.jobs, self.woken.append, clock=lambda: self.now)

    async def read_configmap(self, namespace: str, name: str) -> dict[str, Any] | None:
        self.reads.append((namespace, name))
        if self.error is not None:
            raise self.error
        if name in self.failing:
            raise KubeUnavailable("timeout", "no answer")
        if self.hangs:
            await asyncio.Event().wait()
        data = self.data
        await self.answer.wait()
        return {"data": data, "binaryData": self.binary} if data is not None else None

    async def text(self, *places: TextPlace, generation: int = 1) -> str:
        """The texts, or what is wrong."""
        self.now += 0.001
        seen = await self.maps.texts(KEY, places or (MAIN,), generation)
        return seen.problem or " ".join(seen.texts[place] for place in places or (MAIN,))


def job(name: str, key: str, namespace: str = "shop", config_map: str = "sql") -> FlinkJob:
    sql = {"configMapKeyRef": {"name": config_map, "key": key}}
    spec = {"cluster": {"url": "http://flink:8081"}, "sql": sql}
    return parse_job({"metadata": {"namespace": namespace, "name": name, "uid": name}, "spec": spec})


def jar_job(name: str) -> FlinkJob:
    jar = {"configMapKeyRef": {"name": "sql", "key": "a.jar"}}
    spec = {"cluster": {"url": "http://flink:8081"}, "jar": jar}
    return parse_job({"metadata": {"namespace": "shop", "name": name, "uid": name}, "spec": spec})


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_rounds_that_follow_each_other_read_it_once(desk: Desk) -> None:
    assert [await desk.text() for _ in range(3)] == ["INSERT 1"] * 3
    assert desk.reads == [("shop", "sql")]
    desk.now += FRESH_SECONDS
    desk.data = {"main": "INSERT 2"}
    assert await desk.text() == "INSERT 2"


async def test_an_edited_job_and_another_key_are_read_anew(desk: Desk) -> None:
    await desk.text()
    desk.data = {"main": "INSERT 2", "other": "y"}
    assert await desk.text() == "INSERT 1"
    assert await desk.text(generation=2) == "INSERT 2"
    desk.data = {"main": "INSERT 3", "other": "z"}
    assert await desk.text(MAIN, OTHER, generation=2) == "INSERT 3 z"
    assert await desk.text(generation=2) == "INSERT 3", "both keys stay known"


async def test_an_edit_wakes_up_those_that_name_it_and_nobody_else(desk: Desk) -> None:
    desk.jobs += [job("too", "main"), job("orders", "main", namespace="other")]
    await desk.text()
    desk.now += 1
    await desk.maps.look(("shop", "sql"))
    assert desk.woken == []
    desk.data = {"main": "INSERT 1", "other": "a key that nobody names"}
    desk.now += 1
    await desk.maps.look(("shop", "sql"))
    assert desk.woken == []
    desk.data = {"main": "INSERT 2"}
    desk.now += 1
    await desk.maps.look(("shop", "sql"))
    assert desk.woken == [("shop", "orders"), ("shop", "too")]
    desk.data = None
    desk.now += 1
    await desk.maps.look(("shop", "sql"))
    assert len(desk.woken) == 4


async def test_what_a_round_of_one_job_reads_wakes_up_the_others_that_name_it(desk: Desk) -> None:
    desk.jobs.append(job("too", "main"))
    await desk.text()
    desk.data = {"main": "INSERT 2"}
    assert await desk.text(generation=2) == "INSERT 2"
    assert ("shop", "too") in desk.woken
    desk.woken.clear()
    desk.now += 1
    await desk.maps.look(("shop", "sql"))
    assert desk.woken == []


async def test_what_is_not_asked_for_is_not_read(desk: Desk) -> None:
    await desk.maps.look(("shop", "sql"))
    assert desk.reads == []


async def test_an_older_answer_that_comes_late_does_not_count(desk: Desk) -> None:
    await desk.text()
    desk.now += FRESH_SECONDS
    at_once, desk.answer = desk.answer, asyncio.Event()
    slow = asyncio.create_task(desk.maps.look(("shop", "sql")))
    while len(desk.reads) < 2:
        await asyncio.sleep(0)
    desk.data = {"main": "INSERT 2"}
    held, desk.answer = desk.answer, at_once
    assert await desk.text(generation=2) == "INSERT 2"
    held.set()
    await slow
    assert await desk.text(generation=2) == "INSERT 2"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "ConfigMap sql does not exist"),
        ({}, "ConfigMap sql has no text under the key main"),
    ],
)
async def test_what_is_missing(desk: Desk, data: dict[str, str] | None, says: str) -> None:
    desk.data = data
    assert await desk.text() == says


async def test_a_right_that_is_missing_is_said(desk: Desk) -> None:
    desk.error = Forbidden(403, "configmaps is forbidden")
    assert await desk.text() == "configmaps is forbidden"


async def test_while_the_api_server_is_silent_the_last_text_counts(desk: Desk) -> None:
    desk.error = KubeUnavailable("timeout", "no answer")
    assert await desk.text() == "no answer"
    desk.error = None
    desk.now += FRESH_SECONDS
    assert await desk.text() == "INSERT 1"
    desk.error = KubeUnavailable("timeout", "no answer")
    desk.now += FRESH_SECONDS
    assert await desk.text() == "INSERT 1"
    await desk.maps.look(("shop", "sql"))
    assert desk.woken == []


async def test_after_an_edit_of_the_job_the_last_text_does_not_count(desk: Desk) -> None:
    await desk.text()
    desk.data = {"main": "INSERT 2"}
    desk.error = KubeUnavailable("timeout", "no answer")
    assert [await desk.text(generation=2) for _ in range(2)] == ["no answer"] * 2
    desk.error = None
    assert await desk.text(generation=2) == "INSERT 2"
    desk.error = KubeUnavailable("timeout", "no answer")
    desk.now += FRESH_SECONDS
    assert await desk.text(generation=2) == "INSERT 2", "from now on it is the text of this edit"


async def test_an_edit_counts_as_read_when_every_config_map_was(desk: Desk) -> None:
    first = TextPlace("tables", "main")
    await desk.text(first, MAIN)
    desk.data = {"main": "INSERT 2"}
    desk.failing = {"sql"}
    assert await desk.text(first, MAIN, generation=2) == "no answer"
    desk.failing = set()
    assert await desk.text(first, MAIN, generation=2) == "INSERT 2 INSERT 2"


async def test_of_a_long_text_no_more_is_kept_than_shows_that_it_is_too_long(desk: Desk) -> None:
    desk.data = {"main": "x" * (MOST_SCRIPT_BYTES + 1000), "other": "é" * MOST_SCRIPT_BYTES}
    assert await desk.text() == "x" * (MOST_SCRIPT_BYTES + 1)
    assert await desk.text(OTHER) == desk.data["other"]


async def test_namespaces_are_looked_at_in_turn_however_many_names_one_has(desk: Desk) -> None:
    desk.jobs = [job(f"j{number}", "main", "big", f"m{number}") for number in range(300)]
    desk.jobs += [job("small", "main", "small"), job("two", "main", "two")]
    for one in desk.jobs:
        assert one.spec is not None
        await desk.maps.texts((one.meta.namespace, one.meta.name), places(one.spec), 1)
    desk.reads.clear()
    for _ in range(600):
        await desk.maps.turn()
        desk.now += PAUSE_SECONDS
    assert len([name for name in desk.reads if name == ("small", "sql")]) >= 10, "in two minutes"
    assert len([name for name in desk.reads if name == ("two", "sql")]) >= 10
    assert len({name for name in desk.reads if name[0] == "big"}) == 300
    desk.jobs = [job("new", "main", "small")]
    desk.now += FRESH_SECONDS
    desk.reads.clear()
    waits = [await desk.maps.turn() for _ in range(5)]
    assert desk.reads == [("small", "sql")]
    assert 0 < waits[-1] <= FRESH_SECONDS, "nothing is due before then"


def test_a_read_that_hangs_is_given_up(world: World) -> None:
    desk = Desk()
    world.run(desk.text())
    desk.hangs = True
    desk.now += FRESH_SECONDS
    started = world.now()
    assert world.run(desk.text()) == "INSERT 1"
    assert world.now() - started <= READ_SECONDS + 1
    says = f"the API server has not given ConfigMap sql within {READ_SECONDS:g} s"
    assert world.run(desk.text(generation=2)) == says


async def test_what_nobody_names_any_more_is_forgotten(desk: Desk) -> None:
    await desk.text()
    desk.jobs = []
    desk.maps.forget(KEY)
    await desk.maps.look(("shop", "sql"))
    assert desk.maps.named() == {}
    desk.jobs = [job("orders", "main")]
    desk.data = {"main": "INSERT 9"}
    assert await desk.text() == "INSERT 9"


async def test_all_of_a_config_map(desk: Desk) -> None:
    whole = TextPlace("sql")
    desk.now += 0.001
    seen = await desk.maps.texts(KEY, (whole,), 1)
    assert seen.texts == {MAIN: "INSERT 1", OTHER: "x"}
    desk.jobs = [python_job("orders")]
    desk.now += 1
    await desk.maps.look(("shop", "sql"))
    assert desk.woken == []
    desk.data = {"main": "INSERT 1", "other": "x", "third": ""}
    desk.now += 1
    await desk.maps.look(("shop", "sql"))
    assert desk.woken == [KEY]
    assert (await desk.maps.texts(KEY, (whole,), 1)).texts[TextPlace("sql", "third")] == ""
    desk.data = {}
    desk.now += FRESH_SECONDS
    assert (await desk.maps.texts(KEY, (whole,), 1)).problem == "ConfigMap sql has no text"


def python_job(name: str) -> FlinkJob:
    python = {"module": "main", "files": [{"configMapRef": {"name": "sql"}}]}
    spec = {"cluster": {"url": "http://flink:8081"}, "python": python}
    return parse_job({"metadata": {"namespace": "shop", "name": name, "uid": name}, "spec": spec})


async def test_of_a_jar_the_digest_is_known_and_another_jar_wakes_its_job(desk: Desk) -> None:
    desk.jobs = [jar_job("packed")]
    place = TextPlace("sql", "a.jar", binary=True)
    assert await desk.text(place) == "ConfigMap sql has no binaryData under the key a.jar"
    desk.binary = {"a.jar": base64.b64encode(b"first").decode()}
    desk.now += FRESH_SECONDS
    assert await desk.text(place) == hashlib.sha256(b"first").hexdigest()
    desk.woken.clear()
    desk.binary = {"a.jar": base64.b64encode(b"second").decode()}
    desk.now += FRESH_SECONDS
    await desk.maps.look(("shop", "sql"))
    assert desk.woken == [("shop", "packed")]
    assert await desk.text(place) == hashlib.sha256(b"second").hexdigest()


async def test_a_jar_is_no_script(desk: Desk) -> None:
    desk.binary = {"main.bin": base64.b64encode(b"first").decode()}
    assert await desk.text(TextPlace("sql", "main.bin")) == "ConfigMap sql has no text under the key main.bin"
