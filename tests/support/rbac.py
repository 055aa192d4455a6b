"""The operator's own credentials on a test control plane: exactly what the manifests grant, and nothing more.

Every test that runs the operator uses these, so that a missing permission is found by the test that needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from deploy.local.controlplane import ControlPlane
from flinkjob.core.shards import LeaseNames

BASE = Path(__file__).resolve().parents[2] / "deploy" / "kustomize" / "base"
NAMESPACE = "flinkjob-system"
SERVICE_ACCOUNT = "flinkjob-operator"


def apply_base(control_plane: ControlPlane) -> None:
    """Applies the base manifests, as a user would, and waits until the CRDs are served."""
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", BASE)
    control_plane.apply_crds(BASE.parents[2] / "crds")


def operator_kubeconfig(control_plane: ControlPlane) -> Path:
    """A kubeconfig of the operator's ServiceAccount, with a token of one hour; made once for a control plane."""
    path = control_plane.directory / "operator.kubeconfig"
    if not path.exists():
        apply_base(control_plane)
        control_plane.service_account_kubeconfig(NAMESPACE, SERVICE_ACCOUNT, path)
    return path


def allow_lease(control_plane: ControlPlane, namespace: str, identity: str, shards: int = 1) -> None:
    """The rights on the Leases of an identity that the manifests do not have, which name them in the Role."""
    name = f"flinkjob-operator-{identity}"
    meta = {"name": f"lease-{identity}", "namespace": namespace}
    rule: dict[str, Any] = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    rules = [rule | {"resourceNames": LeaseNames(name, shards).all(), "verbs": ["get", "update"]}]
    rules += [rule | {"verbs": ["list"]}] if shards > 1 else []
    account = {"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": NAMESPACE}
    rbac = "rbac.authorization.k8s.io"
    reference = {"apiGroup": rbac, "kind": "Role", "name": meta["name"]}
    made: list[dict[str, Any]] = [
        {"kind": "Role", "rules": rules},
        {"kind": "RoleBinding", "roleRef": reference, "subjects": [account]},
    ]
    for each in made:
        text = yaml.safe_dump({"apiVersion": f"{rbac}/v1", "metadata": meta} | each)
        control_plane.kubectl("apply", "--server-side", "-f", "-", stdin=text)
