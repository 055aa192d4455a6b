"""Targets of the contract suite: the simulator in two versions, and real clusters.

Real clusters live for the session and are started one kind and version after the other.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from deploy.local.demojob import demo_jar
from deploy.local.flink import FlinkCluster
from deploy.local.flinkdist import DEFAULT_VERSION, DIGESTS, full_version
from tests.contract.target import CAPACITY, REFRESH, STORE_DURATION, Real, Simulated, Target
from tests.flinksim import FlinkSim, SimSettings, SimTransport, VirtualClock, make_jar

_SIMULATED = ("2.3.0", "1.20.5")
_LEFT_OUT = pytest.mark.everything("contract tests of a real Flink other than the default, beyond those marked oldest")
_CONFIG = {
    "web.refresh-interval": str(int(REFRESH * 1000)),
    "rest.async.store-duration": f"{int(STORE_DURATION)}s",
    "jobstore.max-capacity": str(CAPACITY),
    "execution.checkpointing.data-inline-threshold": "0",
}
_ADAPTIVE = {
    "jobmanager.scheduler": "adaptive",
    "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling": "1s",
    "jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout": "1s",
    "jobmanager.adaptive-scheduler.scaling-interval.min": "1s",
}


def _real_versions(among: Sequence[str] = tuple(DIGESTS)) -> tuple[str, ...]:
    asked = os.environ.get("FLINKJOB_CONTRACT_VERSIONS", "2.3.0,1.20.5")
    if asked == "all":
        return tuple(among)
    versions = () if asked == "none" else tuple(full_version(version.strip()) for version in asked.split(","))
    return tuple(version for version in versions if version in among)


def _parameters(kind: str, versions: Sequence[str], *, oldest: bool, simulated: bool) -> list[Any]:
    """The targets of a test: every simulated Flink and the default real one; another real one where it is `oldest`.

    Args:
        versions: of a real Flink on which it can run.
    """
    suffix = "" if kind == "plain" else f"-{kind}"
    virtual = [pytest.param((kind, "sim", each), id=f"sim-{each}{suffix}") for each in _SIMULATED if simulated]
    marks = (pytest.mark.flink, pytest.mark.slow)
    real = [
        pytest.param(
            (kind, "real", each),
            id=f"flink-{each}{suffix}",
            marks=marks if oldest or each == full_version(DEFAULT_VERSION) else (*marks, _LEFT_OUT),
        )
        for each in _real_versions(versions)
    ]
    return virtual + real


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test its targets: a plain cluster unless it is marked otherwise."""
    if "target" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("cluster_kind")
        kind = marker.args[0] if marker else "plain"
        oldest = metafunc.definition.get_closest_marker("oldest") is not None
        simulated = metafunc.definition.get_closest_marker("not_simulated") is None
        versions = metafunc.definition.get_closest_marker("versions")
        among = versions.args if versions else tuple(DIGESTS)
        parameters = _parameters(kind, among, oldest=oldest, simulated=simulated)
        metafunc.parametrize("cluster", parameters, indirect=True, scope="package")


@pytest.fixture(scope="package")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real cluster, or how to make a simulated one; ended with the last test that needs it, for idle ones cost CPU."""
    kind, sort, version = request.param
    if sort == "sim":
        yield SimSettings(
            version=version,
            high_availability=kind == "ha",
            scheduler="Adaptive" if kind == "adaptive" else "Default",
            refresh=REFRESH,
            store_duration=STORE_DURATION,
            job_capacity=CAPACITY,
            cooldown=1.0,
            config={"cluster.intercept-user-system-exit": "THROW"},
        )
        return
    config = _CONFIG | (_ADAPTIVE if kind == "adaptive" else {})
    directory = tmp_path_factory.mktemp(f"flink-{version}-{kind}")
    with FlinkCluster(directory, version=version, high_availability=kind == "ha", config=config) as started:
        yield started


@pytest.fixture
async def target(cluster: FlinkCluster | SimSettings, tmp_path: Path) -> AsyncIterator[Target]:
    """The cluster with a client; everything is cancelled after the test."""
    backend: Simulated | Real
    running: asyncio.Task[None] | None = None
    if isinstance(cluster, SimSettings):
        sim = FlinkSim(VirtualClock(auto=False), cluster)
        backend = Simulated(sim, SimTransport(sim))
        running = asyncio.create_task(backend.run_time())
        jar = tmp_path / "demo.jar"
        jar.write_bytes(make_jar())
    else:
        backend = Real(cluster)
        jar = demo_jar(cluster.version)
    async with backend.http() as http:
        made = Target(backend, http, tmp_path, jar)
        yield made
        await made.end()
    if running is not None:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
