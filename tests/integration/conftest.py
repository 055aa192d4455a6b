"""One operator for all tests that do not end it: it watches one namespace, where every test uses names of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.controlplane import ControlPlane
from deploy.local.flink import FlinkCluster
from tests.support.kube import Kube
from tests.support.lab import Lab
from tests.support.operator import OperatorProcess

SHARED = "shared"
OPTIONS = {"poll-fast-ms": 100, "poll-slow-ms": 1000}


@pytest.fixture(scope="session")
def kube(controlplane: Path) -> Iterator[Kube]:
    """The API server, as administrator."""
    with Kube(controlplane) as client:
        yield client


@pytest.fixture(scope="session")
def shared_operator(
    control_plane: ControlPlane, kube: Kube, demo_jar: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """The operator of the shared namespace; it must not have complained at the end."""
    kube.create_namespace(SHARED)
    directory = tmp_path_factory.mktemp("operator")
    with OperatorProcess(
        control_plane,
        directory,
        namespaces=[SHARED],
        identity="shared",
        artifact_dirs=[demo_jar.parents[1], tmp_path_factory.getbasetemp()],
        options=OPTIONS,
    ) as operator:
        yield operator
        assert operator.stop() == 0
    assert operator.complaints() == []


@pytest.fixture
def lab(
    kube: Kube, flink: FlinkCluster, shared_operator: OperatorProcess, demo_jar: Path, tmp_path: Path
) -> Iterator[Lab]:
    """A place of work below the shared operator; what the test made is deleted after it."""
    place = Lab(kube, flink, shared_operator, SHARED, demo_jar, tmp_path)
    yield place
    place.clean()
    place.close()


@pytest.fixture
def own_lab(
    kube: Kube,
    control_plane: ControlPlane,
    flink: FlinkCluster,
    demo_jar: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Lab]:
    """A place of work with a namespace and an operator of its own, which the test may kill and start again."""
    namespace = own_namespace(kube, request.node.name)
    operator = OperatorProcess(
        control_plane,
        tmp_path / "operator",
        namespaces=[namespace],
        identity=namespace,
        artifact_dirs=[demo_jar.parents[1], tmp_path],
        options=OPTIONS,
    )
    with operator:
        place = Lab(kube, flink, operator, namespace, demo_jar, tmp_path)
        yield place
    place.clean()
    place.close()
    assert operator.complaints() == []


def own_namespace(kube: Kube, test: str) -> str:
    """A new namespace, named after the test."""
    short = "".join(c if c.isalnum() else "-" for c in test.removeprefix("test_").lower()).strip("-")[:40].strip("-")
    name = f"t-{short}"
    kube.create_namespace(name)
    return name
