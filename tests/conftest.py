"""Fixtures that start real things: a control plane, a Flink cluster, the demo jar.

They live as long as the test session (one of each per worker process of pytest-xdist), start only when a test asks for
them, and end with the session even when it is killed. Tests share them, so every test uses names of its own; a test that
kills or restarts something starts its own `FlinkCluster` or `ControlPlane`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from deploy.local.controlplane import ControlPlane
from deploy.local.demojob import demo_jar as build_demo_jar
from deploy.local.environment import CRDS
from deploy.local.flink import FlinkCluster
from deploy.local.flinkdist import DEFAULT_VERSION, full_version

pytest_plugins = ["tests.parallel.plugin", "tests.places"]

# Examples are the same in every run, and a machine that is busy fails none.
hypothesis.settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("steady")


@pytest.fixture(scope="session")
def flink_version() -> str:
    """Full version of Flink under test: `FLINKJOB_TEST_FLINK_VERSION` or the default."""
    return full_version(os.environ.get("FLINKJOB_TEST_FLINK_VERSION") or DEFAULT_VERSION)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A running control plane with the CRDs."""
    with ControlPlane(tmp_path_factory.mktemp("controlplane")) as started:
        started.apply_crds(CRDS)
        yield started


@pytest.fixture(scope="session")
def controlplane(control_plane: ControlPlane) -> Path:
    """The administrator's kubeconfig of a running control plane with the CRDs."""
    return control_plane.kubeconfig


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory, flink_version: str) -> Iterator[FlinkCluster]:
    """A running session cluster of 16 slots; its statistics are at most 200 ms old."""
    config = {"web.refresh-interval": "200"}
    with FlinkCluster(tmp_path_factory.mktemp("flink"), version=flink_version, config=config) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def demo_jar(flink_version: str) -> Path:
    """The demo job for the Flink version under test."""
    return build_demo_jar(flink_version)
