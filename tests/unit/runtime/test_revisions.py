"""The spec of a ControllerRevision is read once for rounds that follow each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flinkjob.api.codec import FlinkJob, parse_job
from flinkjob.runtime.queue import Key
from flinkjob.runtime.revisions import BELIEVED_SECONDS, MOST, Revisions
from tests.unit.api import objects

KEY = ("default", "demo")


class Server:
    """Has the specs by name, and counts what is asked."""

    def __init__(self) -> None:
        self.urls = {"demo-1": "http://one:8081", "demo-2": "http://two:8081"}
        self.asked: list[str] = []
        self.now = 0.0
        self.revisions = Revisions(self, lambda: self.now)

    async def get_revision(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        self.asked.append(name)
        spec = {"cluster": {"url": self.urls.get(name)}, "jar": {"uri": "https://jars.example/a.jar"}}
        return {"data": {"spec": spec}} if name in self.urls else None

    async def url(self, name: str, uid: str = "u-1", key: Key = KEY) -> str | None:
        spec = await self.revisions.spec(key, job(uid), name)
        return spec.cluster.url if spec is not None else None


def job(uid: str) -> FlinkJob:
    return parse_job(objects.job({}, {}, uid=uid))


async def test_it_is_read_once_for_a_while() -> None:
    server = Server()
    assert [await server.url("demo-1") for _ in range(3)] == ["http://one:8081"] * 3
    assert server.asked == ["demo-1"]
    server.urls["demo-1"] = "http://other:8081"
    server.now = BELIEVED_SECONDS
    assert await server.url("demo-1") == "http://other:8081"


async def test_another_name_and_another_object_are_read() -> None:
    server = Server()
    assert (await server.url("demo-1"), await server.url("demo-2")) == ("http://one:8081", "http://two:8081")
    await server.url("demo-2", uid="u-2")
    server.revisions.forget(KEY)
    await server.url("demo-2", uid="u-2")
    assert server.asked == ["demo-1", "demo-2", "demo-2", "demo-2"]


async def test_not_more_than_so_many_are_kept() -> None:
    server = Server()
    for number in range(MOST + 1):
        await server.url("demo-1", key=("default", f"j{number}"))
    await server.url("demo-1", key=("default", f"j{MOST}"))
    assert len(server.asked) == MOST + 1
    await server.url("demo-1", key=("default", "j0"))
    assert len(server.asked) == MOST + 2


async def test_what_is_gone_is_looked_for_again() -> None:
    server = Server()
    assert await server.url("demo-3") is None
    server.urls["demo-3"] = "http://three:8081"
    assert await server.url("demo-3") == "http://three:8081"
    assert await server.revisions.spec(KEY, None, "demo-3") is None
