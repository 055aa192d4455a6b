"""A real HTTP server of jars that can misbehave in every way a server can."""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

from flinkjob.api.references import NamedKey
from flinkjob.artifacts.stores import ObjectWanted
from flinkjob.core.errors import Rejected, Transient


def jar(content: str = "clicks", padding: int = 0) -> bytes:
    """A small jar; `padding` bytes that do not compress make it larger."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("META-INF/MANIFEST.MF"), f"Manifest-Version: 1.0\nContent: {content}\n")
        archive.writestr(zipfile.ZipInfo("padding"), b"\0" * padding)
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Keys:
    """What namespaces send to servers: the name of each Secret is its value, and `stale` has been changed to `nexus`."""

    async def headers(self, namespace: str, secret: str, url: str, *, fresh: bool = False) -> Mapping[str, str]:
        secret = "nexus" if fresh and secret == "stale" else secret
        return {"Authorization": f"Bearer {namespace}-{secret}"}

    async def get_object(self, wanted: ObjectWanted) -> tuple[str | None, bool]:
        raise Rejected(404, "the store has no such thing", permanent=True)

    async def read_key(self, namespace: str, key: NamedKey) -> bytes:
        """Each namespace has its own jar in each ConfigMap, but none under `none.jar`."""
        if key.key == "none.jar":
            raise Transient("configmap", "nothing there")
        return jar(f"{namespace}-{key.name}") if key.key.endswith(".jar") else b"no archive"


@dataclass
class JarServer:
    """`/clicks.jar` and its troublesome neighbours."""

    content: bytes = field(default_factory=jar)
    url: str = ""
    seen: list[web.Request] = field(default_factory=list)
    validators: bool = True
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def clicks(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        etag = f'"{sha256(self.content)[:12]}"'
        headers = {"ETag": etag} if self.validators else {}
        if self.validators and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304)
        return web.Response(body=self.content, headers=headers)

    async def gated(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        await self.gate.wait()
        return web.Response(body=self.content)

    async def half(self, request: web.Request) -> web.StreamResponse:
        """Its first half, and the rest when the gate is open; without a length where one asks so."""
        known = {} if "unknown" in request.query else {"Content-Length": str(len(self.content))}
        response = web.StreamResponse(headers=known)
        await response.prepare(request)
        half = len(self.content) // 2
        await response.write(self.content[:half])
        await self.gate.wait()
        await response.write(self.content[half:])
        return response

    async def status(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        return web.Response(status=int(request.match_info["code"]), text="<html>")

    async def redirect(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        return web.Response(status=302, headers={"Location": request.query.get("to", "/circle")})

    async def cut(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(self.content))})
        await response.prepare(request)
        await response.write(self.content[:-30])
        assert request.transport is not None
        request.transport.close()
        return response

    async def cut_without_length(self, request: web.Request) -> web.StreamResponse:
        response = web.Response(body=self.content[:-30])
        response.force_close()
        return response

    async def endless(self, request: web.Request) -> web.StreamResponse:
        """More and more, without saying how much."""
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"PK\x03\x04" + b"\0" * 2**16)

    async def private(self, request: web.Request) -> web.StreamResponse:
        """For those who send `Bearer shop-nexus`."""
        if request.headers.get("Authorization") != "Bearer shop-nexus":
            self.seen.append(request)
            return web.Response(status=401)
        return await self.clicks(request)

    async def page(self, _: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>please log in</html>", content_type="text/html")


@asynccontextmanager
async def jar_server() -> AsyncIterator[JarServer]:
    state = JarServer()
    app = web.Application()
    app.router.add_get("/clicks.jar", state.clicks)
    app.router.add_get("/gated.jar", state.gated)
    app.router.add_get("/half.jar", state.half)
    app.router.add_get("/status/{code}/clicks.jar", state.status)
    app.router.add_get("/redirect", state.redirect)
    app.router.add_get("/circle", state.redirect)
    app.router.add_get("/cut.jar", state.cut)
    app.router.add_get("/cut-without-length.jar", state.cut_without_length)
    app.router.add_get("/endless.jar", state.endless)
    app.router.add_get("/page.jar", state.page)
    app.router.add_get("/private.jar", state.private)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        state.url = str(server.make_url("/")).rstrip("/")
        yield state
        state.gate.set()
