"""An API server with FlinkJobs, and the pages over it, as a browser of the same machine asks for them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web

from flinkjob.kube.kubecontext import KubeContext
from flinkjob.kube.user import UserClient
from flinkjob.ui.app import Direct, application
from flinkjob.ui.guard import Gate, cookie_name
from flinkjob.ui.objects import Objects
from tests.unit.kube.apiserver import ApiServer, Collection, Seen, api_server

TOKEN = "token-of-this-server"
BASE = "http://127.0.0.1:4711"


@dataclass
class World:
    """The pages, and what the API server was asked."""

    browser: httpx.AsyncClient
    api: ApiServer
    gate: Gate
    objects: Objects

    async def page(self, path: str, status: int = 200) -> str:
        """A page."""
        found = await self.browser.get(path)
        assert found.status_code == status, found.text
        return found.text

    async def post(self, path: str, **fields: str) -> httpx.Response:
        """A form of a page of this server."""
        return await self.browser.post(path, data={"csrf": self.gate.csrf, **fields})

    @property
    def changes(self) -> list[Seen]:
        """What was asked of the API server that is no read."""
        return [each for each in self.api.seen if each.method != "GET"]


def answers(jobs: Sequence[Mapping[str, Any]], savepoints: Sequence[Mapping[str, Any]], events: Sequence[Any]) -> Any:
    """What an API server with these objects answers."""

    lists = {"flinkjobs": Collection(jobs), "flinksavepoints": Collection(savepoints)}

    async def answer(request: web.Request) -> web.StreamResponse:
        path = request.path
        if request.method == "GET" and (found := lists.get(path.rpartition("/")[2])) is not None:
            return await found(request)
        if path.endswith("/events"):
            return web.json_response({"items": list(events)})
        if "/flinkjobs/" in path:
            named = [each for each in jobs if each["metadata"]["name"] == path.rsplit("/", 1)[-1]]
            if named:
                return web.json_response(named[0])
        if path == "/apis/flinkjob.dev/v1alpha1":
            return web.json_response({})
        if request.method == "POST":
            return web.json_response(await request.json())
        body = {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not found"}
        return web.json_response(body, status=404)

    return answer


@asynccontextmanager
async def world(
    directory: Path,
    jobs: Sequence[Mapping[str, Any]] = (),
    savepoints: Sequence[Mapping[str, Any]] = (),
    events: Sequence[Any] = (),
    *,
    gate: Gate | None = None,
    namespaces: Sequence[str] = (),
    direct: Direct | None = None,
) -> AsyncIterator[World]:
    """The pages over these objects, for somebody who has the cookie."""
    gate = gate or Gate(token=TOKEN, hosts=frozenset({"127.0.0.1", "localhost"}), changes=True)
    async with (
        api_server(answers(jobs, savepoints, events)) as api,
        await UserClient.connect(KubeContext(kubeconfig=api.kubeconfig(directory), namespace="shop")) as kube,
    ):
        objects = Objects(kube, namespaces)
        transport = httpx.ASGITransport(application(objects, gate, direct))
        cookies = {cookie_name("127.0.0.1:4711"): TOKEN}
        async with httpx.AsyncClient(transport=transport, base_url=BASE, cookies=cookies) as browser:
            yield World(browser, api, gate, objects)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def tags(page: str, tag: str) -> list[dict[str, str | None]]:
    """The attributes of each tag of this name."""
    reader = _Reader()
    reader.feed(page)
    return [attributes for name, attributes in reader.tags if name == tag]


def every_tag(page: str) -> list[tuple[str, dict[str, str | None]]]:
    """All tags."""
    reader = _Reader()
    reader.feed(page)
    return reader.tags


def words(page: str) -> str:
    """What a person reads, white space folded."""
    reader = _Reader()
    reader.feed(page)
    return re.sub(r"\s+", " ", " ".join(reader.words))
