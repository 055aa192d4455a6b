"""The base manifests on a real API server: they apply, the Pod is acceptable, and the operator may do what it must only.

What it must do is done for real in `test_kube_client.py`, with the same ServiceAccount.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local import plainhttp
from flinkjob.kube.client import KubeClient
from flinkjob.settings import load
from tests.support.integration import ControlPlane, operator_kubeconfig
from tests.support.rbac import BASE, NAMESPACE

pytestmark = pytest.mark.kube

GRANTED = {
    "flinkjob.dev/flinkjobs": {"get", "list", "watch", "patch", "delete"},
    "flinkjob.dev/flinkjobs/status": {"patch"},
    "flinkjob.dev/flinksavepoints": {"get", "list", "watch", "patch", "create", "delete"},
    "flinkjob.dev/flinksavepoints/status": {"patch"},
    "apps/controllerrevisions": {"get", "list", "create", "delete"},
    "/events": {"create"},
    "/namespaces": {"get"},
    "/secrets": {"get"},
    "/configmaps": {"get"},
    "/services": {"get"},
}
EVERYBODY = ("authentication.k8s.io/", "authorization.k8s.io/", "certificates.k8s.io/clustertrustbundles")
"""Reviews of one's own identity and rights, and public certificates: Kubernetes grants them to every ServiceAccount."""


@pytest.fixture(scope="module")
def kubeconfig(control_plane: ControlPlane) -> Path:
    return operator_kubeconfig(control_plane)


@pytest.fixture(scope="module")
def deployment(control_plane: ControlPlane, kubeconfig: Path) -> dict[str, Any]:
    text = control_plane.kubectl("get", "deployment", "flinkjob-operator", "--namespace", NAMESPACE, "-o", "yaml")
    found = yaml.safe_load(text)
    assert isinstance(found, dict)
    return found


@pytest.mark.threat("misused-account")
def test_exactly_what_is_needed_is_granted(control_plane: ControlPlane, kubeconfig: Path) -> None:
    token = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"]
    answer = plainhttp.post(
        f"{control_plane.url}/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        headers={"Authorization": f"Bearer {token}"},
        json={"spec": {"namespace": "default"}},
        timeout=60,
    )
    status = answer.raise_for_status().json()["status"]
    assert not status["incomplete"]
    granted: dict[str, set[str]] = {}
    for rule in status["resourceRules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                granted.setdefault(f"{group}/{resource}", set()).update(rule["verbs"])
    assert {what: verbs for what, verbs in granted.items() if not what.startswith(EVERYBODY)} == GRANTED


@pytest.mark.threat("foreign-secret")
@pytest.mark.parametrize(
    "forbidden",
    [
        ("list", "secrets"),
        ("watch", "secrets"),
        ("get", "leases.coordination.k8s.io"),
        ("list", "configmaps"),
        ("create", "flinkjobs.flinkjob.dev"),
        ("deletecollection", "flinkjobs.flinkjob.dev"),
        ("update", "flinkjobs.flinkjob.dev"),
        ("deletecollection", "flinksavepoints.flinkjob.dev"),
        ("patch", "controllerrevisions.apps"),
        ("list", "pods"),
        ("create", "pods/exec"),
        ("list", "namespaces"),
        ("get", "events"),
        ("list", "customresourcedefinitions.apiextensions.k8s.io"),
        ("impersonate", "users"),
        ("escalate", "clusterroles.rbac.authorization.k8s.io"),
    ],
    ids=" ".join,
)
def test_nothing_else_is(control_plane: ControlPlane, kubeconfig: Path, forbidden: tuple[str, str]) -> None:
    verb, resource = forbidden
    operator = "system:serviceaccount:flinkjob-system:flinkjob-operator"
    allowed = control_plane.kubectl(
        "create", "-o", "jsonpath={.status.allowed}", "-f", "-", stdin=_review(operator, verb, resource)
    )
    assert allowed == "false"


@pytest.mark.threat("misused-account")
@pytest.mark.parametrize(
    ("name", "allowed"), [("flinkjob-operator-default", "true"), ("of-another", "false"), ("", "false")]
)
def test_only_its_own_lease_is(control_plane: ControlPlane, kubeconfig: Path, name: str, allowed: str) -> None:
    operator = "system:serviceaccount:flinkjob-system:flinkjob-operator"
    about = _review(operator, "update", "leases.coordination.k8s.io", "flinkjob-system", name)
    found = control_plane.kubectl("create", "-o", "jsonpath={.status.allowed}", "-f", "-", stdin=about)
    assert found == allowed


@pytest.mark.threat("foreign-secret")
async def test_secrets_are_read_by_name_only(kubeconfig: Path) -> None:
    async with await KubeClient.connect(kubeconfig) as client:
        assert await client.read_secret("default", "no-such-secret") is None


@pytest.mark.threat("container-escape")
def test_the_pod_passes_the_restricted_standard(control_plane: ControlPlane, deployment: dict[str, Any]) -> None:
    namespace = control_plane.kubectl("get", "namespace", NAMESPACE, "-o", "yaml")
    assert yaml.safe_load(namespace)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    template = deployment["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "try", "namespace": NAMESPACE},
        "spec": template["spec"],
    }
    made = control_plane.kubectl("create", "--dry-run=server", "-o", "yaml", "-f", "-", stdin=yaml.safe_dump(pod))
    container = yaml.safe_load(made)["spec"]["containers"][0]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_arguments_are_understood(deployment: dict[str, Any]) -> None:
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert [variable["name"] for variable in container["env"]] == ["POD_NAMESPACE"]
    settings = load([argument.replace("$(POD_NAMESPACE)", NAMESPACE) for argument in container["args"]])
    assert [port["containerPort"] for port in container["ports"]] == [settings.health_port]
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volume = next(v for v in pod["volumes"] if v["name"] == mounted[str(settings.cache_dir)])
    gibibytes = int(volume["emptyDir"]["sizeLimit"].removesuffix("Gi"))
    assert gibibytes * 1024 > settings.max_cache_mb
    assert settings.lease_namespace == NAMESPACE
    assert deployment["spec"]["replicas"] == 2


def test_every_manifest_is_listed() -> None:
    listed = set(yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"])
    assert {path.name for path in BASE.glob("*.yaml")} - {"kustomization.yaml"} == listed - {"../../../crds"}


def test_the_definitions_are_all_part_of_it() -> None:
    crds = BASE.parents[2] / "crds"
    listed = yaml.safe_load((crds / "Kustomization").read_text())["resources"]
    assert sorted(listed) == sorted(path.name for path in crds.glob("*.yaml"))


def _review(user: str, verb: str, resource: str, namespace: str = "default", name: str = "") -> str:
    kind, _, group = resource.partition(".")
    kind, _, subresource = kind.partition("/")
    attributes = {"verb": verb, "resource": kind, "group": group, "subresource": subresource}
    attributes |= {"namespace": namespace, "name": name}
    return yaml.safe_dump(
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "groups": ["system:serviceaccounts"], "resourceAttributes": attributes},
        }
    )
