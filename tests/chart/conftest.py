"""A control plane without the CRDs, for charts that bring their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.controlplane import ControlPlane
from deploy.local.helm import NAMESPACE, Helm, monitoring_crds, write_schemas

RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane with the kinds of the Prometheus operator and a namespace that enforces `restricted`."""
    with ControlPlane(tmp_path_factory.mktemp("chart")) as started:
        for definition in monitoring_crds():
            started.kubectl("apply", "--server-side", "-f", definition)
            started.wait_established(f"--filename={definition}")
        for name in (NAMESPACE, "team-a", "team-b"):
            started.kubectl("create", "namespace", name)
            started.kubectl("label", "namespace", name, RESTRICTED)
        yield started


@pytest.fixture(scope="session")
def helm(bare: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tmp_path_factory.mktemp("helm"), bare.kubeconfig)


@pytest.fixture(scope="session")
def schemas(bare: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_schemas(bare, tmp_path_factory.mktemp("schemas"))
