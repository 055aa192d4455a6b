"""Lists that are followed: what is asked of the API server, and what its neighbours can make that cost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from flinkjob.kube import pages, watching
from flinkjob.kube.errors import Forbidden, Gone, KubeUnavailable
from flinkjob.kube.following import FollowingClient
from flinkjob.kube.kinds import Kind
from flinkjob.kube.kubecontext import KubeContext
from flinkjob.kube.user import UserClient
from flinkjob.kube.watching import Followed
from tests.unit.kube.apiserver import Answer, ApiServer, Collection, api_server, cuts_off, refuses, said, says

SOON = 0.02
Object = dict[str, Any]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PAUSE_SECONDS", SOON)


def job(name: str, version: str = "1", **more: Any) -> Object:
    """A FlinkJob."""
    return {"metadata": {"namespace": "shop", "name": name, "resourceVersion": version}, **more}


@dataclass
class Followers:
    """A list that is followed, and what is behind it."""

    api: ApiServer
    there: Collection
    kube: UserClient
    jobs: Followed[str]
    parsed: list[str] = field(default_factory=list)

    @property
    def asked(self) -> list[str]:
        """The version that each watch began with; "list" for a list."""
        return [each.query["resourceVersion"] if "watch" in each.query else "list" for each in self.api.seen]

    async def until(self, good: Callable[[], Any]) -> None:
        """Wait, as somebody who looks again and again."""
        async with asyncio.timeout(10):
            while not good():
                await self.jobs.version()
                await asyncio.sleep(0.005)

    async def shows(self, *wanted: str) -> None:
        """Wait until these are the objects."""
        async with asyncio.timeout(10):
            while await self.jobs.now() != list(wanted):
                await asyncio.sleep(0.005)


@asynccontextmanager
async def followers(
    directory: Path, objects: list[Object], meddle: Callable[[web.Request], Answer | None] = lambda _: None
) -> AsyncIterator[Followers]:
    """FlinkJobs that are followed; `meddle` gives another answer than the API server's."""
    there = Collection(objects)

    async def answer(request: web.Request) -> web.StreamResponse:
        return await (meddle(request) or there)(request)

    parsed: list[str] = []

    def keep(raw: Object) -> str:
        assert raw["kind"] == "FlinkJob"
        parsed.append(f"{raw['metadata']['name']} {raw['metadata']['resourceVersion']}")
        return parsed[-1]

    async with (
        api_server(answer) as api,
        await UserClient.connect(KubeContext(kubeconfig=api.kubeconfig(directory), namespace="shop")) as kube,
    ):
        yield Followers(api, there, kube, kube.follow(Kind.FLINK_JOB, None, keep), parsed)


async def test_what_comes_changes_and_goes_is_seen_after_one_list(tmp_path: Path) -> None:
    objects = [job("b"), job("c")]
    async with followers(tmp_path, objects) as those:
        await those.shows("b 1", "c 1")
        first = await those.jobs.version()
        objects.insert(0, job("a", "2"))
        objects[1]["metadata"]["resourceVersion"] = "3"
        del objects[2]
        await those.shows("a 2", "b 3")
        assert first != await those.jobs.version()
        assert those.asked == ["list", "1"]


async def test_a_watch_that_ends_goes_on_where_it_was(tmp_path: Path) -> None:
    objects = [job("a")]
    async with followers(tmp_path, objects) as those:
        await those.shows("a 1")
        those.there.more.append(
            json.dumps({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}).encode()
        )
        await those.until(lambda: not those.there.more)
        before = await those.jobs.version()
        await asyncio.sleep(2 * SOON)  # one that ends at once is of no use
        those.there.cut.set()
        await those.until(lambda: those.asked == ["list", "1", "7"])
        assert await those.jobs.version() == before, "nothing has changed"


@pytest.mark.parametrize("code", [410, 500])
async def test_a_watch_that_knows_its_version_no_more_begins_with_a_list(tmp_path: Path, code: int) -> None:
    async with followers(tmp_path, [job("a")]) as those:
        await those.shows("a 1")
        those.there.version = "9"
        status = {"kind": "Status", "metadata": {}, "code": code}
        those.there.more.append(json.dumps({"type": "ERROR", "object": status}).encode())
        await those.until(lambda: those.asked == ["list", "1", "list", "9"])
        assert those.parsed == ["a 1"], "what did not change is not parsed again"


async def test_a_watch_that_is_too_old_from_the_start_begins_with_a_list(tmp_path: Path) -> None:
    answers = [refuses(410, "Expired")]
    async with followers(
        tmp_path, [job("a")], lambda request: answers.pop() if "watch" in request.query and answers else None
    ) as those:
        await those.until(lambda: those.asked == ["list", "1", "list", "1"])


async def test_who_may_not_watch_gets_lists_and_hears_only_of_changes(tmp_path: Path) -> None:
    objects = [job("a")]
    no = refuses(403, "Forbidden", "you may not watch")
    async with followers(tmp_path, objects, lambda request: no if "watch" in request.query else None) as those:
        before = await those.jobs.version()
        those.there.version = "5"  # of something else in the cluster
        await those.until(lambda: those.asked.count("list") > 3)
        assert await those.jobs.version() == before
        objects[0]["metadata"]["resourceVersion"] = "6"
        await those.shows("a 6")
        assert await those.jobs.version() != before
        assert [each for each in those.asked if each != "list"] == ["1"]


async def test_nobody_who_asks_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with followers(tmp_path, [job("a")]) as those:
        await those.shows("a 1")
        await those.until(lambda: those.there.watching)
        monkeypatch.setattr(watching, "IDLE_SECONDS", 0.1)
        await those.jobs.version()
        async with asyncio.timeout(10):
            while those.there.watching:
                await asyncio.sleep(0.01)
        asked = len(those.asked)
        await asyncio.sleep(5 * SOON)
        assert len(those.asked) == asked == 2
        await those.shows("a 1")
        await those.until(lambda: those.asked == ["list", "1"] * 2)


async def test_the_last_one_that_goes_while_nobody_asks_is_seen(tmp_path: Path) -> None:
    objects = [job("a")]
    async with followers(tmp_path, objects) as those:
        await those.shows("a 1")
        before = await those.jobs.version()
        await those.jobs.end()
        objects.clear()
        those.there.version = "2"
        assert await those.jobs.version() != before
        assert await those.jobs.now() == []


async def test_who_waits_for_a_slow_list_counts_as_somebody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "IDLE_SECONDS", 0.02)
    open_, slow = asyncio.Event(), True

    def held(request: web.Request) -> Answer | None:
        async def answer(asked: web.Request) -> web.StreamResponse:
            await open_.wait()
            return await those.there(asked)

        return answer if slow else None

    async with followers(tmp_path, [job("a")], held) as those:
        waiting = asyncio.create_task(those.jobs.now())
        await asyncio.sleep(0.1)
        open_.set()
        assert await asyncio.wait_for(waiting, 5) == ["a 1"]


async def test_what_nobody_reads_is_not_parsed_nor_kept_when_it_is_gone(tmp_path: Path) -> None:
    """A neighbour makes and deletes objects, and changes one again and again, while a page of another kind is open."""
    async with followers(tmp_path, [job("a")]) as those:
        await those.shows("a 1")
        for number in range(2, 200):
            brief = job(f"brief-{number}", str(number))
            those.there.more += [said(None, brief), said(brief, None), said(brief, job("a", str(number)))]
        those.there.more.append(said(None, job("last", "200")))
        await those.until(lambda: those.jobs._version == "200")
        assert those.parsed == ["a 1"]
        assert sorted(those.jobs._changed) == [("shop", "a"), ("shop", "last")]
        assert await those.jobs.now() == ["a 199", "last 200"]


async def test_more_changes_than_a_list_is_worth_are_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = [job("a")]
    monkeypatch.setattr(watching, "PAUSE_SECONDS", 0.3)
    monkeypatch.setattr(watching, "MOST_CHANGES", 100_000)
    async with followers(tmp_path, objects) as those:
        await those.shows("a 1")
        for number in range(2, 1000):
            those.there.more.append(said(None, job("a", str(number), spec={"x": "y" * 1000})))
        await those.until(lambda: those.asked.count("list") == 2)
        await those.shows("a 1")  # as the list has it, which is newer


@pytest.mark.parametrize(
    "line",
    [
        b"no JSON",
        b"[]",
        b"7",
        b'{"type": "MODIFIED"}',
        b'{"type": "MODIFIED", "object": {"metadata": {}}}',
        b'{"type": "MODIFIED", "object": {"metadata": {"resourceVersion": "8"}}}',
        b'{"type": "MODIFIED", "object": 1}',
        b'{"type": "MODIFIED", "object": {"metadata": "a"}}',
        b"x" * 3000,
    ],
)
async def test_what_cannot_be_read_is_listed(tmp_path: Path, line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_LINE", 2000)
    async with followers(tmp_path, [job("a")]) as those:
        await those.shows("a 1")
        those.there.more.append(line)
        await those.until(lambda: those.asked == ["list", "1", "list", "1"])
        await those.shows("a 1")


async def test_a_watch_that_is_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "SILENT_SECONDS", 0.2)
    async with followers(tmp_path, [job("a")]) as those:
        await those.until(lambda: those.asked[:4] == ["list", "1", "list", "1"])


async def test_an_api_server_that_is_away_is_said_and_asked_again(tmp_path: Path) -> None:
    away = False
    async with followers(tmp_path, [job("a")], lambda _: cuts_off if away else None) as those:
        await those.shows("a 1")
        away = True
        those.there.cut.set()
        with pytest.raises(KubeUnavailable):
            await those.until(lambda: False)
        away = False
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await those.jobs.now() == ["a 1"]
                    break
                except KubeUnavailable:
                    await asyncio.sleep(0.01)


async def test_what_is_refused_is_asked_for_seldom(tmp_path: Path) -> None:
    async with followers(tmp_path, [], lambda _: refuses(403, "Forbidden", "you may not")) as those:
        for _ in range(20):
            with pytest.raises(Forbidden, match="you may not"):
                await those.jobs.now()
            await asyncio.sleep(SOON / 2)
        assert those.asked == ["list"]


async def test_who_may_read_one_but_list_none_sees_it_all_the_same(tmp_path: Path) -> None:
    def one_by_one(request: web.Request) -> Answer:
        if request.path.endswith("/namespaces/shop/flinkjobs/a"):
            return says(job("a"))
        return refuses(403, "Forbidden", "you may not list")

    async with followers(tmp_path, [], one_by_one) as those:
        following = FollowingClient(those.kube)
        for _ in range(2):
            assert (await following.get(Kind.FLINK_JOB, "shop", "a"))["metadata"]["name"] == "a"
        with pytest.raises(Forbidden):
            await following.all(Kind.FLINK_JOB, "shop")


async def test_one_that_is_not_there_is_gone_for_who_follows(tmp_path: Path) -> None:
    async with followers(tmp_path, []) as those:
        following = FollowingClient(those.kube)
        for _ in range(5):
            with pytest.raises(Gone):
                await following.get(Kind.FLINK_JOB, "shop", "a")
        assert await following.events("shop", "a") == []
        fields = [each.query["fieldSelector"] for each in those.api.seen if "watch" not in each.query]
        assert fields == ["metadata.name=a", "involvedObject.name=a"]


async def test_a_mistake_of_ours_is_not_hidden(tmp_path: Path) -> None:
    def mistaken(_: Object) -> str:
        raise ZeroDivisionError

    async with followers(tmp_path, [job("a")]) as those:
        wrong = those.kube.follow(Kind.FLINK_JOB, None, mistaken)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(wrong.now(), 5)


async def test_after_a_mistake_of_ours_it_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "REFUSED_SECONDS", 0.2)
    mistakes = [ZeroDivisionError()]

    def mistaken(_: Object) -> str:
        if mistakes:
            raise mistakes.pop()
        return "read"

    async with followers(tmp_path, [job("a")]) as those:
        once_wrong = those.kube.follow(Kind.FLINK_JOB, None, mistaken)
        for _ in range(20):
            with pytest.raises(ZeroDivisionError):
                await once_wrong.now()
        assert those.asked == ["list"], "who asks often costs no more lists"
        await asyncio.sleep(0.3)
        assert await asyncio.wait_for(once_wrong.now(), 5) == ["read"]


async def test_a_client_follows_only_so_many_lists_by_watches(tmp_path: Path) -> None:
    async with followers(tmp_path, [job("a")]) as those:
        lists = [those.kube.follow(Kind.FLINK_JOB, f"n{number}", dict) for number in range(40)]
        await asyncio.gather(*(each.now() for each in lists))
        await those.until(lambda: those.there.watching == 32)
        assert await asyncio.gather(*(each.now() for each in lists))


async def test_all_is_closed_where_the_end_is_asked_for_meanwhile(tmp_path: Path) -> None:
    """As by Ctrl-C, which arrives at the first thing that is waited for."""
    async with followers(tmp_path, [job("a")]) as those:
        await those.shows("a 1")
        kube = UserClient(those.kube._api, "shop")

        async def leaves() -> None:
            async with kube:
                await kube.follow(Kind.FLINK_JOB, None, str).now()
                current = asyncio.current_task()
                assert current is not None
                current.cancel()

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(leaves())
        (followed,) = kube._followed
        assert followed._task is None
        with pytest.raises(RuntimeError, match="closed"):
            await kube.get(Kind.FLINK_JOB, "shop", "a")
