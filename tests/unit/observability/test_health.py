"""The probes answer at once, whatever the checks do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import CollectorRegistry

from deploy.local import plainhttp
from flinkjob.observability.health import HealthServer
from flinkjob.observability.metrics import Metrics


class Checks:
    live: str | None = None
    ready: str | None = "the kinds are not listed yet"


@pytest.fixture
def checks() -> Checks:
    return Checks()


@pytest.fixture
async def http(checks: Checks) -> AsyncIterator[httpx.AsyncClient]:
    registry = CollectorRegistry()
    Metrics(registry).kube_request("get", "flinkjobs", "200")

    def live() -> str | None:
        if checks.live == "raise":
            raise RuntimeError("boom")
        return checks.live

    async with (
        HealthServer(0, registry, live, lambda: checks.ready) as server,
        plainhttp.async_client(base_url=f"http://127.0.0.1:{server.port}") as client,
    ):
        yield client


@pytest.mark.behaviour(79)
async def test_live_and_not_ready(http: httpx.AsyncClient, checks: Checks) -> None:
    assert (await http.get("/healthz")).status_code == 200
    answer = await http.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "the kinds are not listed yet\n")
    checks.ready = None
    assert (await http.get("/readyz")).text == "ok\n"


async def test_a_check_that_raises_is_a_failure(
    http: httpx.AsyncClient, checks: Checks, caplog: pytest.LogCaptureFixture
) -> None:
    checks.live = "raise"
    answer = await http.get("/healthz")
    assert (answer.status_code, answer.text) == (503, "the check failed: RuntimeError\n")
    assert "boom" in caplog.text


async def test_metrics(http: httpx.AsyncClient) -> None:
    answer = await http.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "flinkjob_kube_requests_total{" in answer.text


async def test_the_port_is_known_only_while_it_is_bound() -> None:
    server = HealthServer(0, CollectorRegistry(), lambda: None, lambda: None)
    with pytest.raises(RuntimeError):
        _ = server.port
    async with server as started:
        assert started.port > 0
