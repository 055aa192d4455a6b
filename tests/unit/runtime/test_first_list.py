"""All that exists is known before anything is decided; what goes between two lists is noticed."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from flinkjob.core.errors import Transient
from flinkjob.handlers.registry import build_registry
from flinkjob.kube.kinds import Kind
from flinkjob.runtime import first_list
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.first_list import FirstList
from flinkjob.runtime.queue import Key

Raw = dict[str, Any]
API_VERSION = "flinkjob.dev/v1alpha1"


def raw_job(name: str) -> Raw:
    spec = {"cluster": {"url": "http://flink:8081"}, "jar": {"uri": "https://repo/job.jar"}}
    return {"apiVersion": API_VERSION, "kind": "FlinkJob", "metadata": _meta(name), "spec": spec}


def raw_savepoint(name: str, job: str) -> Raw:
    spec = {"jobRef": {"name": job}}
    return {"apiVersion": API_VERSION, "kind": "FlinkSavepoint", "metadata": _meta(name), "spec": spec}


def _meta(name: str) -> Raw:
    return {"namespace": "apps", "name": name, "uid": f"uid-{name}", "resourceVersion": "5", "generation": 1}


class Server:
    """An API server with these objects."""

    def __init__(self, *objects: Raw) -> None:
        self.objects = {(each["kind"], each["metadata"]["name"]): each for each in objects}
        self.gets = 0
        self.away = 0

    async def pages(self, kind: Kind, namespaces: Sequence[str] | None = None) -> AsyncIterator[list[Raw]]:
        for (named, _), each in self.objects.items():
            if named == kind.kind and (namespaces is None or each["metadata"]["namespace"] in namespaces):
                yield [copy.deepcopy(each)]

    async def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        self.gets += 1
        if self.away:
            self.away -= 1
            raise Transient("api-server", "no answer")
        return self.objects.get((kind.kind, name))


class World:
    def __init__(self, *objects: Raw, namespaces: Sequence[str] | None = None) -> None:
        self.server, self.cache, self.queued = Server(*objects), ObjectCache(), list[Key]()
        self.first = FirstList(self.server, self.cache, self.queued.append, namespaces)
        registry = build_registry(self.cache, self.first, self.queued.append, lambda plural: None)
        self._handlers = {handler.id: handler.fn for handler in registry._watching.get_all_handlers()}

    async def watch_says(self, what: str | None, raw: Raw) -> list[Key]:
        self.queued.clear()
        handler: Any = self._handlers["job" if raw["kind"] == "FlinkJob" else "savepoint"]
        await handler(event={"type": what, "object": raw})
        return list(self.queued)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_list, "CONFIRM_SECONDS", 0.01)


async def test_both_kinds_are_there_before_the_first_key_is() -> None:
    world = World(raw_job("a"), raw_job("b"), raw_savepoint("s", "a"), raw_savepoint("t", "of-nobody"))
    await world.first.fill()
    assert world.queued == [("apps", "a"), ("apps", "b"), ("apps", "of-nobody")]
    assert [each.meta.name for each in world.cache.savepoints_of(("apps", "a"))] == ["s"]


async def test_only_the_watched_namespaces_are_listed() -> None:
    world = World(raw_job("a"), namespaces=["others"])
    await world.first.fill()
    assert world.queued == []


async def test_what_kopf_lists_once_more_is_no_news_but_what_has_changed_is() -> None:
    same, changed = raw_job("a"), raw_job("b")
    world = World(same, changed)
    await world.first.fill()
    assert await world.watch_says(None, copy.deepcopy(same)) == []
    later = copy.deepcopy(changed)
    later["metadata"]["resourceVersion"] = "99"
    assert await world.watch_says(None, later) == [("apps", "b")]
    same["metadata"]["resourceVersion"] = "100"
    assert await world.watch_says("MODIFIED", copy.deepcopy(same)) == [("apps", "a")]
    assert await world.watch_says("MODIFIED", copy.deepcopy(same)) == [], "what is known already, as after a write"
    assert await world.watch_says(None, raw_job("new")) == [("apps", "new")]


async def test_a_deletion_is_news_whatever_the_version() -> None:
    gone = raw_job("a")
    world = World(gone)
    await world.first.fill()
    assert await world.watch_says("DELETED", copy.deepcopy(gone)) == [("apps", "a")]
    assert world.cache.job(("apps", "a")) is None


async def test_what_was_deleted_between_the_lists_leaves_the_cache() -> None:
    kept, gone, replaced = raw_job("kept"), raw_job("gone"), raw_job("replaced")
    mark = raw_savepoint("mark", "kept")
    world = World(kept, gone, replaced, mark)
    await world.first.fill()
    await world.watch_says(None, copy.deepcopy(kept))
    del world.server.objects["FlinkJob", "gone"], world.server.objects["FlinkSavepoint", "mark"]
    world.server.objects["FlinkJob", "replaced"]["metadata"]["uid"] = "another"
    world.server.away = 1
    world.queued.clear()
    await asyncio.wait_for(world.first.confirm(), 10)
    assert sorted(world.queued) == [("apps", "gone"), ("apps", "kept"), ("apps", "replaced")]
    assert [each.meta.name for each in world.cache.jobs()] == ["kept"]
    assert world.cache.savepoints_of(("apps", "kept")) == ()


async def test_what_exists_and_was_not_shown_stays() -> None:
    world = World(raw_job("slow"))
    await world.first.fill()
    await asyncio.wait_for(world.first.confirm(), 10)
    assert [each.meta.name for each in world.cache.jobs()] == ["slow"]


async def test_all_that_was_shown_is_not_asked_for() -> None:
    world = World(raw_job("a"))
    await world.first.fill()
    await world.watch_says(None, raw_job("a"))
    await asyncio.wait_for(world.first.confirm(), 10)
    assert world.server.gets == 0


async def test_what_was_written_meanwhile_is_known_before_any_watch_shows_it() -> None:
    same, written, made = raw_job("same"), raw_job("written"), raw_job("made")
    world = World(same, written)
    await world.first.fill()
    before = world.cache.job(("apps", "same"))
    written["metadata"]["resourceVersion"] = "77"
    world.server.objects["FlinkJob", "made"] = made
    world.queued.clear()
    await world.first.refresh()
    known = world.cache.job(("apps", "written"))
    assert known is not None
    assert known.meta.resource_version == "77"
    assert world.cache.job(("apps", "made")) is not None
    assert world.cache.job(("apps", "same")) is before
    assert world.queued == [("apps", "written"), ("apps", "made")], "the watch that shows them later is no news"
    assert await world.watch_says("MODIFIED", copy.deepcopy(written)) == []


async def test_what_a_later_list_brings_back_although_it_was_deleted_leaves_the_cache_again() -> None:
    world = World(raw_job("gone"))
    await world.first.fill()
    await world.watch_says(None, raw_job("gone"))
    confirming = asyncio.create_task(world.first.keep_confirming())
    await asyncio.sleep(0.05)
    await world.watch_says("DELETED", raw_job("gone"))
    await world.first.refresh()  # as it was a moment before
    assert world.cache.job(("apps", "gone")) is not None
    del world.server.objects["FlinkJob", "gone"]
    async with asyncio.timeout(10):
        while world.cache.job(("apps", "gone")) is not None:
            await asyncio.sleep(0.01)
    confirming.cancel()
