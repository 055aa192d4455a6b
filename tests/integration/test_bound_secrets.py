"""The installation without a right to Secrets: the operator reads those of a namespace only once that has bound the role."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.controlplane import ControlPlane
from deploy.local.ports import free_port
from tests.support.kube import condition, secret
from tests.support.operator import operator_kubeconfig
from tests.support.rbac import BASE, NAMESPACE
from tests.support.site import Site

pytestmark = pytest.mark.kube

ACCOUNT = "flinkjob-bound"
OVERLAY = BASE.parent / "overlays" / "bound-secrets"


@pytest.fixture
def kubeconfig(control_plane: ControlPlane, tmp_path: Path) -> Path:
    """Of a ServiceAccount with the rights of the overlay, under a name of its own."""
    operator_kubeconfig(control_plane)  # the definitions and the namespace
    text = control_plane.kubectl("kustomize", OVERLAY, "--load-restrictor=LoadRestrictionsNone")
    objects = [
        each
        for each in yaml.safe_load_all(text.replace("flinkjob-operator", ACCOUNT))
        if each["kind"] in ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    ]
    control_plane.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(objects))
    path = tmp_path / "kubeconfig"
    control_plane.service_account_kubeconfig(NAMESPACE, ACCOUNT, path)
    return path


def _guarded(namespace: str) -> dict[str, Any]:
    """A FlinkJob whose cluster, which is not there, is asked with the credentials of a Secret."""
    cluster = {"url": f"https://127.0.0.1:{free_port()}", "authSecretRef": {"name": "flink"}}
    return {
        "apiVersion": "flinkjob.dev/v1alpha1",
        "kind": "FlinkJob",
        "metadata": {"namespace": namespace, "name": "guarded"},
        "spec": {"cluster": cluster, "jar": {"uri": "https://127.0.0.1:1/a.jar"}},
    }


def _ready(job: dict[str, Any]) -> str:
    return str(condition(job, "Ready").get("message", ""))


@pytest.mark.threat("misused-account", "foreign-secret", "borrowed-secret")
def test_a_namespace_lets_its_secrets_be_read(site: Site, control_plane: ControlPlane, kubeconfig: Path) -> None:
    """Without the binding the FlinkJob says the command that makes it; with it the credentials are used."""
    operator = site.operator("t-bound", "t-unbound", kubeconfig=str(kubeconfig))
    role = f"{ACCOUNT}-secrets"
    binding = f"create rolebinding {role} -n {{}} --clusterrole={role} --serviceaccount={NAMESPACE}:{ACCOUNT}"
    control_plane.kubectl(*binding.format("t-bound").split())
    for namespace in ("t-bound", "t-unbound"):
        site.kube.apply(secret(namespace, "flink", use="cluster", token="token"))
    with operator:
        for namespace in ("t-bound", "t-unbound"):
            site.kube.apply(_guarded(namespace))
        site.kube.wait_for("FlinkJob", "t-bound", "guarded", lambda job: "Connect call failed" in _ready(job))
        refused = site.kube.wait_for(
            "FlinkJob", "t-unbound", "guarded", lambda job: "Secret" in _ready(job), what="without the Secret"
        )
        said = _ready(refused)
        assert "Secret t-unbound/flink cannot be read" in said
        assert said.endswith(f"kubectl {binding.format('t-unbound')}")
        control_plane.kubectl(*shlex.split(said.partition("kubectl ")[2]))
        site.kube.wait_for("FlinkJob", "t-unbound", "guarded", lambda job: "Connect call failed" in _ready(job))
        for namespace in ("t-bound", "t-unbound"):
            site.kube.delete("FlinkJob", namespace, "guarded")
            site.kube.wait_gone("FlinkJob", namespace, "guarded")
