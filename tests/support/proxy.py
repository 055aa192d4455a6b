"""An HTTP proxy in front of Flink that counts requests and makes them fail in every way that a network can.

Used by the integration suite: a FlinkJob names the proxy's address as its cluster. Runs in a thread of the test; its methods
may be called from any thread.
"""

from __future__ import annotations

import asyncio
import io
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

import aiohttp
from aiohttp import web

from deploy.local.ports import free_port
from tests.support.connections import end_connections

_ID = re.compile(r"/[0-9a-f]{32}(?=/|$)")
_JAR = re.compile(r"/jars/[^/]*\.jar(?=/|$)")
_DROPPED = {"transfer-encoding", "content-length", "content-encoding", "connection", "host"}
_BIGGEST = 1 << 30


class Fault(StrEnum):
    """What happens to a request."""

    DELAY = "delay"
    """It is passed on after `seconds`."""
    CUT_BEFORE = "cut-before"
    """The connection ends; Flink never hears of it."""
    CUT_AFTER = "cut-after"
    """Flink does it, but the connection ends before the answer."""
    UNAVAILABLE = "unavailable"
    """503, as while a leader is elected; Flink never hears of it."""
    HTML = "html"
    """A page of some gateway, with 200; Flink never hears of it."""


@dataclass
class Rule:
    """One fault.

    Attributes:
        fault: what happens.
        method, path: which requests; `path` is a regular expression for the normalised path.
        times: how often; -1 without end.
        seconds: of a delay.
        hits: how often it happened.
    """

    fault: Fault
    method: str = ".*"
    path: str = ".*"
    times: int = -1
    seconds: float = 0.0
    hits: int = field(default=0, init=False)

    def takes(self, method: str, path: str) -> bool:
        """Whether this request meets it; counts it."""
        if self.hits == self.times or not (re.fullmatch(self.method, method) and re.fullmatch(self.path, path)):
            return False
        self.hits += 1
        return True


class FlinkProxy:
    """The proxy; a context manager.

    Args:
        upstream: the address of Flink.

    Attributes:
        url: of the proxy, the same over `refuse` and `accept`.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream.rstrip("/")
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._rules: list[Rule] = []
        self._seen: list[tuple[str, str]] = []
        self._sent = 0
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="flink proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # faults

    def add(self, fault: Fault, *, method: str = ".*", path: str = ".*", times: int = -1, seconds: float = 0.0) -> Rule:
        """A fault from now on; the newest rule that takes a request wins."""
        rule = Rule(fault, method, path, times, seconds)
        with self._lock:
            self._rules.insert(0, rule)
        return rule

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self._rules.clear()

    def refuse(self) -> None:
        """Connections are refused, open ones end."""
        self._call(end_connections(self._runner))

    def accept(self) -> None:
        """Connections are accepted again, at the same address."""
        self._call(self._listen())

    def point_to(self, upstream: str) -> None:
        """Requests go to another cluster from now on."""
        self._upstream = upstream.rstrip("/")

    # counts

    def requests(self) -> Counter[tuple[str, str]]:
        """How many requests came, by method and path; ids are written `:id`, jars `:jar`."""
        with self._lock:
            return Counter(self._seen)

    def count(self, method: str, path: str) -> int:
        """How many requests came with this method and a path that matches the regular expression."""
        return sum(n for (verb, where), n in self.requests().items() if verb == method and re.fullmatch(path, where))

    def sent(self) -> int:
        """How many bytes Flink has answered, since the start."""
        return self._sent

    def reset(self) -> None:
        """Counts requests from 0 again."""
        with self._lock:
            self._seen.clear()

    # inside

    def _call(self, work: object) -> None:
        assert asyncio.iscoroutine(work)
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _open(self) -> None:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        await self._listen()

    async def _listen(self) -> None:
        app = web.Application(client_max_size=_BIGGEST)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()

    async def _close(self) -> None:
        await end_connections(self._runner)
        delayed = asyncio.all_tasks() - {asyncio.current_task()}
        for task in delayed:
            task.cancel()
        await asyncio.gather(*delayed, return_exceptions=True)
        await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = _JAR.sub("/jars/:jar", _ID.sub("/:id", request.path))
        with self._lock:
            self._seen.append((request.method, path))
            rule = next((rule for rule in self._rules if rule.takes(request.method, path)), None)
        match rule.fault if rule else None:
            case Fault.UNAVAILABLE:
                return web.json_response(
                    {"errors": ["Service temporarily unavailable due to an ongoing leader election."]}, status=503
                )
            case Fault.HTML:
                return web.Response(text="<html><body>Bad gateway</body></html>", content_type="text/html")
            case Fault.CUT_BEFORE:
                return self._cut(request)
            case Fault.DELAY:
                assert rule is not None
                await asyncio.sleep(rule.seconds)
            case _:
                pass
        answer = await self._forward(request)
        return self._cut(request) if rule and rule.fault is Fault.CUT_AFTER else answer

    async def _forward(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _DROPPED}
        url = self._upstream + request.raw_path
        try:
            data = io.BytesIO(body) if body else None  # of large bytes as they are the library warns
            async with self._session.request(request.method, url, data=data, headers=headers) as upstream:
                content = await upstream.read()
                self._sent += len(content)
                kept = {k: v for k, v in upstream.headers.items() if k.lower() not in _DROPPED}
                return web.Response(body=content, status=upstream.status, headers=kept)
        except aiohttp.ClientError as error:
            return self._cut(request, str(error))

    @staticmethod
    def _cut(request: web.Request, why: str = "") -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=502, text=why)
