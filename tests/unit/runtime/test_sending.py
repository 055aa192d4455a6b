"""A Lease that was lost after the gate: nothing that changes something at Flink is sent any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from flinkjob.app import _hooks
from flinkjob.core.access.hosts import HostRules
from flinkjob.core.errors import Transient
from flinkjob.core.flinkmodel import RunRequest
from flinkjob.flink.client import FlinkClient
from flinkjob.observability.metrics import Metrics
from flinkjob.runtime.connections import Connections
from flinkjob.runtime.sending import before_sending

JOB = "0" * 32


class Flink:
    """A cluster that notes what reaches it, and a Lease that is lost at some moment of a call."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.got: list[str] = []
        self.leads = True
        self.asked = 0
        self.lost_at = 0

    def require(self) -> None:
        self.asked += 1
        if not self.leads or self.asked == self.lost_at:
            raise Transient("not-leading", "another replica may lead")

    async def answer(self, request: web.Request) -> web.Response:
        self.got.append(request.method)
        await request.read()
        return web.json_response({"jobid": JOB, "jobs": []})


@pytest.fixture
async def flink() -> AsyncIterator[Flink]:
    made = Flink("")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    async with TestServer(app) as server:
        made.url = str(server.make_url("")).rstrip("/")
        yield made


@asynccontextmanager
async def client(flink: Flink, hosts: HostRules | None = None) -> AsyncIterator[FlinkClient]:
    """As the operator makes it."""
    nobody: Any = None
    check = (hosts or HostRules(loopback=True)).check_address
    hooks = _hooks(Metrics(CollectorRegistry()), flink.require)
    connections = Connections(nobody, check, most=16, hooks=hooks)
    yield connections.connect(flink.url, None)
    await connections.close()


@pytest.mark.fault("operator-lease-lost")
@pytest.mark.threat("frozen-replica")
async def test_a_lease_that_is_lost_while_the_connection_is_made(flink: Flink) -> None:
    class Slow(HostRules):
        """The connection is being made when its address is checked."""

        def check_address(self, text: str) -> None:
            flink.leads = False

    async with client(flink, Slow(loopback=True)) as cluster:
        for call in (
            lambda: cluster.run_jar("j", RunRequest(job_id=JOB)),
            lambda: cluster.cancel(JOB),
            lambda: cluster.delete_jar("j"),
        ):
            flink.leads = True
            with pytest.raises(Transient, match="another replica"):
                await call()
    assert flink.got == []


@pytest.mark.fault("operator-lease-lost")
async def test_a_lease_that_is_lost_on_a_connection_that_was_kept(flink: Flink) -> None:
    async with client(flink) as cluster:
        await cluster.cancel(JOB)
        flink.leads = False
        with pytest.raises(Transient, match="another replica"):
            await cluster.cancel(JOB)
        assert await cluster.overview_jobs() == (), "whoever reads needs no Lease"
    assert flink.got == ["PATCH", "GET"]


@pytest.mark.fault("operator-lease-lost")
async def test_a_lease_that_is_lost_before_the_body(flink: Flink) -> None:
    """The process was frozen between the two: Flink does not act on half of a request."""
    flink.lost_at = 2
    async with client(flink) as cluster:
        with pytest.raises(Transient, match="another replica"):
            await cluster.run_jar("j", RunRequest(job_id=JOB))
        flink.lost_at = 0
        assert await cluster.overview_jobs() == ()


async def test_reads_are_not_asked_for() -> None:
    def never() -> None:
        raise AssertionError

    request = httpx.Request("GET", "http://flink.example:8081/jobs/overview")
    await before_sending(never)(request)
    assert "trace" not in request.extensions
