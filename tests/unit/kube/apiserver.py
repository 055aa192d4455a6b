"""A stand-in for the API server that gives the answers it is told to, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Seen:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    token: str | None
    content_type: str
    body: Any
    agent: str = ""


@dataclass
class ApiServer:
    """Answers are taken from `script` one after another; the last one is repeated."""

    url: str = ""
    script: list[Answer] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.seen.append(
            Seen(
                request.method,
                request.raw_path.split("?")[0],
                dict(request.query),
                request.headers.get("Authorization"),
                request.content_type,
                body,
                request.headers.get("User-Agent", ""),
            )
        )
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return await answer(request)

    def kubeconfig(self, directory: Path, user: dict[str, str] | None = None) -> Path:
        path = directory / "kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "c",
                    "clusters": [{"name": "c", "cluster": {"server": self.url}}],
                    "users": [{"name": "u", "user": user or {"token": "t0"}}],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                }
            )
        )
        return path


def says(body: Any = None, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """A JSON answer."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({} if body is None else body, status=status, headers=headers)

    return answer


def refuses(status: int, reason: str, message: str = "no", **details: Any) -> Answer:
    """A `meta/v1 Status`."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": status,
        "reason": reason,
        "message": message,
    }
    return says({**body, "details": details}, status)


async def cuts_off(request: web.Request) -> web.StreamResponse:
    """Promises more than it sends."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"half":')
    assert request.transport is not None
    request.transport.close()
    return response


async def hangs(request: web.Request) -> web.StreamResponse:
    """Never answers."""
    await asyncio.Event().wait()
    raise AssertionError


@asynccontextmanager
async def api_server(*script: Answer) -> AsyncIterator[ApiServer]:
    state = ApiServer(script=list(script))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", state.handle)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        state.url = str(server.make_url("/")).rstrip("/")
        yield state


class Collection:
    """Objects that can be listed and watched; whoever changes one gives it another resourceVersion.

    Attributes:
        objects: as they are now.
        more: lines that a watch says besides.
        cut: ends the watches that are there.
        watching: how many there are.
    """

    def __init__(self, objects: Sequence[Mapping[str, Any]], version: str = "1") -> None:
        self.objects, self.version = objects, version
        self.more: list[bytes] = []
        self.cut = asyncio.Event()
        self.watching = 0
        self._listed: dict[tuple[str, str], Mapping[str, Any]] = {}

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(request)
        self._listed = self._now()
        return web.json_response({"metadata": {"resourceVersion": self.version}, "items": list(self.objects)})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        self.watching += 1
        try:
            while not self.cut.is_set():
                before, self._listed = self._listed, self._now()
                for key in before.keys() | self._listed.keys():
                    if before.get(key) != self._listed.get(key):
                        await response.write(said(before.get(key), self._listed.get(key)))
                while self.more:
                    await response.write(self.more.pop(0).rstrip() + b"\n")
                await asyncio.sleep(0.005)
            self.cut.clear()
        finally:
            self.watching -= 1
        return response

    def _now(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        return {
            (each["metadata"].get("namespace", ""), each["metadata"]["name"]): json.loads(json.dumps(each))
            for each in self.objects
        }


def said(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> bytes:
    """The line of a watch about an object that became another one."""
    if after is not None:
        kind, obj = "ADDED" if before is None else "MODIFIED", after
    else:
        meta = (before or {})["metadata"]
        gone = {**meta, "resourceVersion": f"{meta['resourceVersion']}0"}  # a deletion has a version of its own
        kind, obj = "DELETED", {**(before or {}), "metadata": gone}
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"
