"""Install, upgrade with another CRD, rollback and uninstall: the real helm against a real API server.

There is no node, so the test does what a kubelet would do with the Job of the pre-delete hook: it runs its command, with
the token of its ServiceAccount, and writes its result.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.controlplane import ControlPlane
from deploy.local.environment import REPOSITORY
from deploy.local.helm import CHART, NAMESPACE, RELEASE, Helm
from deploy.local.processes import ProcessFailed, wait_until
from flinkjob.api.constants import FINALIZER
from tests.support.charts import write_later_chart

pytestmark = pytest.mark.kube
HOOK = f"{RELEASE}-uninstall"


class HookRunner(threading.Thread):
    """Runs the hook's Job once it is there."""

    def __init__(self, control_plane: ControlPlane, directory: Path) -> None:
        super().__init__(daemon=True)
        self._control_plane, self._directory = control_plane, directory
        self.said = ""

    def run(self) -> None:
        job = wait_until(self._job, timeout=60, what="Job of the hook")
        kubeconfig = self._directory / "hook.kubeconfig"
        pod = job["spec"]["template"]["spec"]
        self._control_plane.service_account_kubeconfig(NAMESPACE, pod["serviceAccountName"], kubeconfig)
        (container,) = pod["containers"]
        assert container["command"] == ["flinkjob-uninstall"]
        done = subprocess.run(
            [sys.executable, "-m", "flinkjob.uninstall", f"--kubeconfig={kubeconfig}", *container["args"]],
            env={"PYTHONPATH": str(REPOSITORY / "operator"), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        self.said = done.stdout + done.stderr
        moment = job["metadata"]["creationTimestamp"]
        ok = done.returncode == 0
        names = ("SuccessCriteriaMet", "Complete") if ok else ("FailureTarget", "Failed")
        conditions = [{"type": name, "status": "True", "lastTransitionTime": moment} for name in names]
        status: dict[str, Any] = {"startTime": moment, "conditions": conditions}
        status |= {"completionTime": moment, "succeeded": 1} if ok else {"failed": 1}
        body = json.dumps({"status": status})
        self._control_plane.kubectl(
            *("patch", "job", HOOK, "-n", NAMESPACE, "--subresource=status", "--type=merge", f"--patch={body}")
        )

    def _job(self) -> dict[str, Any] | None:
        text = self._control_plane.kubectl("get", "job", HOOK, "-n", NAMESPACE, "--ignore-not-found", "-o", "json")
        return dict(json.loads(text)) if text.strip() else None


def held_job(control_plane: ControlPlane, namespace: str, name: str) -> None:
    body = {
        "apiVersion": "flinkjob.dev/v1alpha1",
        "kind": "FlinkJob",
        "metadata": {"name": name, "namespace": namespace, "finalizers": [FINALIZER, "example.com/other"]},
        "spec": {"cluster": {"url": "http://flink:8081"}, "jar": {"uri": "https://repo.example.com/demo.jar"}},
    }
    control_plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(body))


def held_savepoint(control_plane: ControlPlane, namespace: str, name: str) -> None:
    body = {
        "apiVersion": "flinkjob.dev/v1alpha1",
        "kind": "FlinkSavepoint",
        "metadata": {"name": name, "namespace": namespace, "finalizers": [FINALIZER]},
        "spec": {"jobRef": {"name": "clicks"}},
    }
    control_plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(body))


def rights_of_the_hook(helm: Helm) -> set[tuple[str, str]]:
    """Verb and resource of everything that the pre-delete hook is granted."""
    roles = [each for each in helm.template() if each["kind"] in ("Role", "ClusterRole")]
    rules = [rule for role in roles if role["metadata"]["name"].startswith(HOOK) for rule in role["rules"]]
    assert rules
    return {(verb, resource) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}


def finalizers(control_plane: ControlPlane, namespace: str, name: str) -> list[str]:
    text = control_plane.kubectl("get", "flinkjob", name, "-n", namespace, "-o", "jsonpath={.metadata.finalizers}")
    return list(json.loads(text or "[]"))


@pytest.fixture
def changed_chart(tmp_path: Path) -> Path:
    """The chart of a later version, whose definition has one more column."""
    return write_later_chart(tmp_path / "chart")


@pytest.fixture
def clean(bare: ControlPlane) -> Iterator[None]:
    yield
    for name in ("flinkjobs.flinkjob.dev", "flinksavepoints.flinkjob.dev"):
        bare.kubectl("delete", "crd", name, "--ignore-not-found", "--timeout=180s")


def columns(control_plane: ControlPlane) -> str:
    path = "jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}"
    return control_plane.kubectl("get", "crd", "flinkjobs.flinkjob.dev", "-o", path)


@pytest.mark.threat("misused-account")
def test_the_life_of_a_release(
    bare: ControlPlane, helm: Helm, changed_chart: Path, tmp_path: Path, clean: None
) -> None:
    helm.run("install", RELEASE, CHART, "--set", "crds.keep=false")
    bare.wait_established("crd/flinkjobs.flinkjob.dev")
    held_job(bare, "team-a", "clicks")
    assert "Plan" not in columns(bare)

    helm.run("upgrade", RELEASE, changed_chart, "--set", "crds.keep=false,replicas=3")
    assert "Plan" in columns(bare)
    replicas = ("get", "deployment", RELEASE, "-n", NAMESPACE, "-o", "jsonpath={.spec.replicas}")
    assert bare.kubectl(*replicas) == "3"

    helm.run("rollback", RELEASE, "1")
    assert "Plan" not in columns(bare)
    assert bare.kubectl(*replicas) == "2"
    assert finalizers(bare, "team-a", "clicks") == [FINALIZER, "example.com/other"], "the FlinkJob was touched"
    remove = json.dumps({"metadata": {"finalizers": [FINALIZER]}})
    bare.kubectl("patch", "flinkjob", "clicks", "-n", "team-a", "--type=merge", f"--patch={remove}")

    held_savepoint(bare, "team-a", "saved")
    hook = HookRunner(bare, tmp_path)
    hook.start()
    begin = bare.audit_log.stat().st_size
    helm.run("uninstall", RELEASE, "--timeout", "120s")
    hook.join(30)
    assert "2 finalizers taken" in hook.said, hook.said
    user = f"system:serviceaccount:{NAMESPACE}:{HOOK}"
    used = {(event.verb, event.resource) for event in bare.audit_events(begin) if event.user == user}
    assert rights_of_the_hook(helm) - used == set(), "a right that the hook does not use"
    for kind in ("deployment", "role", "rolebinding", "pdb", "networkpolicy", "job", "lease"):
        assert not bare.kubectl("get", kind, "-n", NAMESPACE, "-o", "name").strip(), kind
    left = bare.kubectl("get", "clusterrole,clusterrolebinding", "-o", "name")
    assert "flinkjob-operator" not in left
    wait_until(
        lambda: "flinkjob" not in bare.kubectl("get", "crd", "-o", "name"), timeout=60, what="CRDs without a finalizer"
    )


def test_uninstalling_keeps_the_definitions_and_frees_only_our_finalizer(
    bare: ControlPlane, helm: Helm, tmp_path: Path, clean: None
) -> None:
    helm.run("install", RELEASE, CHART, "--set", "namespaces={team-a}", "--set", "operator.identity=teams")
    bare.wait_established("crd/flinkjobs.flinkjob.dev")
    for namespace in ("team-a", "team-b"):
        held_job(bare, namespace, "clicks")
    hook = HookRunner(bare, tmp_path)
    hook.start()
    helm.run("uninstall", RELEASE, "--timeout", "120s")
    hook.join(30)
    assert finalizers(bare, "team-a", "clicks") == ["example.com/other"], hook.said
    assert finalizers(bare, "team-b", "clicks") == [FINALIZER, "example.com/other"], "a namespace that is not ours"
    for namespace in ("team-a", "team-b"):
        empty = json.dumps({"metadata": {"finalizers": []}})
        bare.kubectl("patch", "flinkjob", "clicks", "-n", namespace, "--type=merge", f"--patch={empty}")


def test_a_hook_that_may_not_says_so(bare: ControlPlane, tmp_path: Path) -> None:
    bare.kubectl("create", "serviceaccount", "nobody", "-n", "team-b")
    kubeconfig = bare.service_account_kubeconfig("team-b", "nobody", tmp_path / "kubeconfig")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "flinkjob.uninstall", f"--kubeconfig={kubeconfig}"),
            f"--deployment={NAMESPACE}/none",
        ],
        env={"PYTHONPATH": str(REPOSITORY / "operator"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "forbidden" in done.stdout + done.stderr


def test_separate_definitions(bare: ControlPlane, helm: Helm, clean: None) -> None:
    """kubectl applies them first; the chart leaves them alone, or takes them over when it is told to."""
    bare.apply_crds(REPOSITORY / "crds")
    helm.run("install", RELEASE, CHART, "--set", "crds.install=false,uninstall.freeFinalizers=false")
    with pytest.raises(ProcessFailed, match="invalid ownership metadata"):
        helm.run("upgrade", RELEASE, CHART, "--set", "crds.install=true")
    helm.run("upgrade", RELEASE, CHART, "--take-ownership", "--set", "uninstall.freeFinalizers=false")
    helm.run("uninstall", RELEASE, "--no-hooks")
    assert "flinkjobs.flinkjob.dev" in bare.kubectl("get", "crd", "-o", "name")
