"""A cluster, an operator with its default settings, and the report that every stage makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local.controlplane import ControlPlane
from deploy.local.environment import CRDS
from deploy.local.flink import FlinkCluster
from deploy.local.restdriver import RestDriver
from tests.bench import report as reports
from tests.bench.measure import SMALL
from tests.support.kube import Kube
from tests.support.lab import Lab
from tests.support.operator import OperatorProcess
from tests.support.proxy import FlinkProxy

NAMESPACE = "bench"
SLOTS = 64
MEMORY = {
    "taskmanager.memory.process.size": "2200m",
    "taskmanager.memory.network.min": "512m",
    "taskmanager.memory.network.max": "512m",
}


@contextmanager
def reported(stage: str) -> Iterator[reports.Report]:
    """The report of a stage: shown, written, and compared with what is committed, at the end."""
    made = reports.Report(stage)
    yield made
    made.show()
    if not SMALL:
        made.write()
        assert made.worse(reports.baseline()) == []


@pytest.fixture(scope="module")
def report(request: pytest.FixtureRequest) -> Iterator[reports.Report]:
    """The report of a module, whose stage has its name."""
    with reported(request.module.__name__.rpartition("test_")[2]) as made:
        yield made


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane whose garbage collector knows the kinds from the start."""
    with ControlPlane(tmp_path_factory.mktemp("controlplane"), CRDS) as started:
        yield started


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory, flink_version: str) -> Iterator[FlinkCluster]:
    """A session cluster with room for many small jobs; Flink's own refresh interval, as in production."""
    directory = tmp_path_factory.mktemp("flink")
    with FlinkCluster(directory, version=flink_version, slots=SLOTS, config=MEMORY) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def lab(
    control_plane: ControlPlane, flink: FlinkCluster, demo_jar: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """A place of work with an operator of its own."""
    directory = tmp_path_factory.mktemp("bench")
    operator = OperatorProcess(
        control_plane,
        directory / "operator",
        namespaces=[NAMESPACE],
        artifact_dirs=[demo_jar.parents[1], directory],
        options={"workers": 64},  # the default
    )
    with Kube(control_plane.kubeconfig) as kube:
        kube.create_namespace(NAMESPACE)
        with operator:
            place = Lab(kube, flink, operator, NAMESPACE, demo_jar, directory)
            yield place
            place.close()
    assert operator.complaints() == []


class Proxied:
    """A real cluster behind a proxy that counts; its CPU is that of the JobManager."""

    def __init__(self, flink: FlinkCluster, proxy: FlinkProxy) -> None:
        self._proxy = proxy
        self.pid = flink.jobmanager.pid

    def requests(self) -> Counter[str]:
        """By method and path."""
        return Counter({f"{method} {path}": count for (method, path), count in self._proxy.requests().items()})

    def sent(self) -> int:
        """Bytes of answers."""
        return self._proxy.sent()


@pytest.fixture(scope="session")
def proxy(flink: FlinkCluster) -> Iterator[FlinkProxy]:
    """Counts the requests to the cluster."""
    with FlinkProxy(flink.url) as started:
        yield started


@pytest.fixture(scope="session")
def proxied(flink: FlinkCluster, proxy: FlinkProxy) -> Proxied:
    """What the meter needs of them."""
    return Proxied(flink, proxy)


@pytest.fixture(scope="session")
def rest(flink: FlinkCluster) -> Iterator[RestDriver]:
    """Bare REST calls."""
    with flink.http() as http:
        yield RestDriver(http)
