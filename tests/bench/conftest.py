"""A cluster, an operator with its default settings, and the report that every benchmark adds to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.controlplane import ControlPlane
from deploy.local.environment import CRDS, REPOSITORY
from deploy.local.flink import FlinkCluster
from deploy.local.restdriver import RestDriver
from tests.bench.measure import Report
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


@pytest.fixture(scope="session")
def report() -> Iterator[Report]:
    """The figures; shown and written to `.local/bench.json` at the end."""
    made = Report()
    yield made
    made.show()
    made.write(REPOSITORY / ".local" / "bench.json")


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
    """A place of work whose jobs reach Flink through a proxy that counts."""
    directory = tmp_path_factory.mktemp("bench")
    operator = OperatorProcess(
        control_plane, directory / "operator", namespaces=[NAMESPACE], artifact_dirs=[demo_jar.parents[1], directory]
    )
    with Kube(control_plane.kubeconfig) as kube:
        kube.create_namespace(NAMESPACE)
        with operator:
            place = Lab(kube, flink, operator, NAMESPACE, demo_jar, directory)
            yield place
            place.close()
    assert operator.complaints() == []


@pytest.fixture(scope="session")
def proxy(flink: FlinkCluster) -> Iterator[FlinkProxy]:
    """Counts the requests to the cluster."""
    with FlinkProxy(flink.url) as started:
        yield started


@pytest.fixture(scope="session")
def rest(flink: FlinkCluster) -> Iterator[RestDriver]:
    """Bare REST calls."""
    with flink.http() as http:
        yield RestDriver(http)
