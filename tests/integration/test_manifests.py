"""The generated CRDs, the examples and wrong manifests against a real kube-apiserver."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.binaries import control_plane_binary
from flinkjob.api.codec import dump_status, parse_job, parse_savepoint
from flinkjob.api.failure_status import FailureInfo
from flinkjob.api.flinkjob_status import FlinkJobStatus, Plan
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from tests.unit.api.objects import filled

pytestmark = pytest.mark.kube

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "deploy" / "examples").glob("*.yaml"))
BAD = sorted((ROOT / "tests" / "data" / "manifests" / "bad").glob("*.yaml"))


class Kubectl:
    """kubectl in one namespace."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._command = [str(control_plane_binary("kubectl")), f"--kubeconfig={kubeconfig}", f"--namespace={namespace}"]
        self.namespace = namespace

    def run(self, *arguments: str | Path, stdin: Any = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command, *map(str, arguments)],
            input=None if stdin is None else json.dumps(stdin),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def ok(self, *arguments: str | Path, stdin: Any = None) -> str:
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: str | Path, stdin: Any = None) -> str:
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return dict(json.loads(self.ok("get", kind, name, "--output=json")))

    def patch_status(self, kind: str, name: str, status: dict[str, Any]) -> None:
        body = json.dumps({"status": status})
        self.ok("patch", kind, name, "--subresource=status", "--type=merge", f"--patch={body}")


@pytest.fixture(scope="module")
def kubectl(controlplane: Path) -> Iterator[Kubectl]:
    kubectl = Kubectl(controlplane, "manifests")
    kubectl.ok("create", "namespace", "manifests")
    yield kubectl
    kubectl.ok("delete", "namespace", "manifests", "--wait=false")


def job(name: str, **spec: Any) -> dict[str, Any]:
    base = {"cluster": {"url": "http://flink:8081"}, "jar": {"uri": "https://repo.example.com/demo.jar"}}
    return {
        "apiVersion": "flinkjob.dev/v1alpha1",
        "kind": "FlinkJob",
        "metadata": {"name": name},
        "spec": base | spec,
    }


def savepoint(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "flinkjob.dev/v1alpha1",
        "kind": "FlinkSavepoint",
        "metadata": {"name": name},
        "spec": {"jobRef": {"name": "clicks"}} | spec,
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_accepted_and_does_not_drift(kubectl: Kubectl, path: Path) -> None:
    apply = ("apply", "--validate=strict", "--output=json", "--filename", path)
    first, again, by_server = (
        json.loads(kubectl.ok(*apply, *more))["metadata"]
        for more in ((), (), ("--server-side", "--force-conflicts", "--field-manager=gitops"))
    )
    assert again["resourceVersion"] == first["resourceVersion"]
    assert by_server["generation"] == first["generation"]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_wrong_manifest_is_refused_with_a_message_that_names_the_field(kubectl: Kubectl, path: Path) -> None:
    expected = path.read_text().splitlines()[0].removeprefix("# expect: ")
    assert expected in kubectl.refused("create", "--validate=strict", "--filename", path)


def test_there_are_many_wrong_manifests_and_each_has_one_fault() -> None:
    assert len(BAD) >= 35
    assert all(path.read_text().startswith("# expect: ") for path in BAD)


def test_each_example_says_what_it_is_for() -> None:
    for path in EXAMPLES:
        lines = path.read_text().splitlines()
        assert lines[0].startswith("# "), path
        rest = next(line for line in lines if not line.startswith("#"))
        assert rest.startswith("apiVersion:"), path


CHANGES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"jobRef": {"name": "other"}}, "spec.jobRef"),
    ({}, {"jobRef": {"jobId": "a" * 32}}, "spec.jobRef"),
    ({"jobRef": {"name": "clicks", "jobId": "a" * 32}}, {"jobRef": {"jobId": None}}, "spec.jobRef"),
    ({}, {"mode": "Stop"}, "spec.mode"),
    ({}, {"type": "Checkpoint"}, "spec.type"),
    ({"type": "Checkpoint"}, {"checkpointType": "Full"}, "spec.checkpointType"),
    ({"type": "Checkpoint", "checkpointType": "Full"}, {"checkpointType": None}, "spec.checkpointType"),
    ({}, {"directory": "file:///a"}, "spec.directory"),
    ({"directory": "file:///a"}, {"directory": "file:///b"}, "spec.directory"),
    ({"directory": "file:///a"}, {"directory": None}, "spec.directory"),
    ({}, {"formatType": "Native"}, "spec.formatType"),
    ({"mode": "Stop"}, {"drain": True}, "spec.drain"),
    ({"mode": "Stop", "submission": 1}, {"submission": 2}, "spec.submission"),
    ({"mode": "Stop", "submission": 1}, {"submission": None}, "spec.submission"),
    ({"mode": "Stop"}, {"submission": 1}, "spec.submission"),
    ({}, {"timeout": "1m"}, "spec.timeout"),
    ({}, {"backoffLimit": 5}, "spec.backoffLimit"),
]


@pytest.mark.parametrize(("before", "change", "field"), CHANGES)
def test_a_savepoint_cannot_be_changed_set_or_unset(
    kubectl: Kubectl, before: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    kubectl.ok("delete", "fsp", "fixed", "--ignore-not-found")
    kubectl.ok("create", "--filename=-", stdin=savepoint("fixed", **before))
    message = kubectl.refused("patch", "fsp", "fixed", "--type=merge", f"--patch={json.dumps({'spec': change})}")
    assert f"{field} is immutable; create a new object" in message


def test_metadata_and_status_of_a_savepoint_can_be_changed(kubectl: Kubectl) -> None:
    kubectl.ok("create", "--filename=-", stdin=savepoint("noted"))
    kubectl.ok("label", "fsp", "noted", "flinkjob.dev/origin=Manual")
    kubectl.patch_status("fsp", "noted", {"phase": "InProgress"})
    assert kubectl.get("fsp", "noted")["status"] == {"observedGeneration": 0, "phase": "InProgress"}


def test_the_scale_subresource_works_without_a_value(kubectl: Kubectl) -> None:
    kubectl.ok("create", "--filename=-", stdin=job("scaled"))
    path = f"/apis/flinkjob.dev/v1alpha1/namespaces/{kubectl.namespace}/flinkjobs/scaled/scale"
    assert json.loads(kubectl.ok("get", "--raw", path))["spec"] == {"replicas": 1}
    kubectl.ok("scale", "fj/scaled", "--replicas=3")
    kubectl.patch_status("fj", "scaled", {"parallelism": 3, "selector": "flinkjob.dev/name=scaled"})
    assert json.loads(kubectl.ok("get", "--raw", path))["status"] == {
        "replicas": 3,
        "selector": "flinkjob.dev/name=scaled",
    }
    assert "spec.parallelism" in kubectl.refused("scale", "fj/scaled", "--replicas=0")


def test_an_apply_without_parallelism_keeps_what_an_autoscaler_set(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "--server-side", "--filename=-", stdin=job("autoscaled"))
    kubectl.ok("scale", "fj/autoscaled", "--replicas=5")
    kubectl.ok("apply", "--server-side", "--filename=-", stdin=job("autoscaled", state="Suspended"))
    assert kubectl.get("fj", "autoscaled")["spec"]["parallelism"] == 5


def test_the_columns_of_a_job(kubectl: Kubectl) -> None:
    kubectl.ok("create", "--filename=-", stdin=job("columns", parallelism=7))
    kubectl.patch_status(
        "fj",
        "columns",
        {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "reason": "Running", "message": "all tasks run"}],
            "job": {"id": "a" * 32, "state": "RUNNING", "restarts": 4},
            "lastSavepoint": {"time": "2020-01-01T00:00:00Z"},
            "cluster": {"flinkVersion": "2.3.0", "url": "http://flink:8081"},
        },
    )
    head, row = kubectl.ok("get", "fj", "columns").splitlines()
    assert head.split() == ["NAME", "READY", "PHASE", "STATE", "PARALLELISM", "SAVEPOINT", "AGE", "RESTARTS", "AGE"]
    cells = row.split()
    assert cells[:5] == ["columns", "True", "Running", "RUNNING", "7"]
    assert cells[5].endswith("d") or "y" in cells[5]
    assert cells[6] == "4"
    wide = kubectl.ok("get", "fj", "columns", "--output=wide")
    for text in ("JOB ID", "CLUSTER", "VERSION", "MESSAGE", "a" * 32, "http://flink:8081", "2.3.0", "all tasks run"):
        assert text in wide


def test_the_columns_of_a_savepoint(kubectl: Kubectl) -> None:
    kubectl.ok("create", "--filename=-", stdin=savepoint("columns"))
    status = {"phase": "Completed", "location": "file:/s/1", "size": "1.2Gi", "duration": "1m1s"}
    kubectl.patch_status("fsp", "columns", status)
    head, row = kubectl.ok("get", "fsp", "columns").splitlines()
    assert head.split() == ["NAME", "JOB", "MODE", "PHASE", "LOCATION", "SIZE", "DURATION", "AGE"]
    assert row.split()[:7] == ["columns", "clicks", "Trigger", "Completed", "file:/s/1", "1.2Gi", "1m1s"]


def test_field_selectors(kubectl: Kubectl) -> None:
    kubectl.ok("create", "--filename=-", stdin=job("selected"))
    kubectl.patch_status("fj", "selected", {"phase": "Moving"})
    assert kubectl.ok("get", "fj", "--field-selector=status.phase=Moving", "--output=name").split() == [
        "flinkjob.flinkjob.dev/selected"
    ]
    kubectl.ok("create", "--filename=-", stdin=savepoint("selected", jobRef={"name": "unique"}))
    assert kubectl.ok("get", "fsp", "--field-selector=spec.jobRef.name=unique", "--output=name").split() == [
        "flinksavepoint.flinkjob.dev/selected"
    ]


def test_both_kinds_are_in_the_category(kubectl: Kubectl) -> None:
    kubectl.ok("create", "--filename=-", stdin=job("category"))
    kubectl.ok("create", "--filename=-", stdin=savepoint("category"))
    names = kubectl.ok("get", "flink", "--output=name").split()
    assert {"flinkjob.flinkjob.dev/category", "flinksavepoint.flinkjob.dev/category"} <= set(names)


def test_a_spec_write_does_not_touch_status_nor_the_other_way_round(kubectl: Kubectl) -> None:
    created = job("apart") | {"status": {"phase": "Running"}}
    kubectl.ok("create", "--filename=-", stdin=created)
    assert kubectl.get("fj", "apart")["status"] == {"observedGeneration": 0}
    body = json.dumps({"spec": {"parallelism": 9}, "status": {"phase": "Pending"}})
    kubectl.ok("patch", "fj", "apart", "--subresource=status", "--type=merge", f"--patch={body}")
    assert kubectl.get("fj", "apart")["spec"]["parallelism"] == 1


def test_kubectl_explain_describes_fields(kubectl: Kubectl) -> None:
    assert "stop with a savepoint" in kubectl.ok("explain", "flinkjob.spec.upgrade.strategy")


def test_the_api_server_reports_no_problem_with_the_schemas(kubectl: Kubectl) -> None:
    for name in ("flinkjobs.flinkjob.dev", "flinksavepoints.flinkjob.dev"):
        conditions = {each["type"]: each for each in kubectl.get("crd", name)["status"]["conditions"]}
        assert conditions["Established"]["status"] == "True"
        assert "NonStructuralSchema" not in conditions


def test_the_whole_status_that_the_models_can_write_is_kept(kubectl: Kubectl) -> None:
    """Whatever the CRD does not know is pruned in silence: every field of the models must survive."""
    kubectl.ok("create", "--filename=-", stdin=job("full"))
    dumped = dump_status(filled(FlinkJobStatus))
    kubectl.patch_status("fj", "full", dumped)
    assert dump_status(parse_job(kubectl.get("fj", "full")).status) == dumped
    kubectl.ok("create", "--filename=-", stdin=savepoint("full"))
    dumped = dump_status(filled(FlinkSavepointStatus))
    kubectl.patch_status("fsp", "full", dumped)
    assert dump_status(parse_savepoint(kubectl.get("fsp", "full")).status) == dumped


def test_a_status_at_every_limit_is_accepted(kubectl: Kubectl) -> None:
    kubectl.ok("create", "--filename=-", stdin=job("limits"))
    status = FlinkJobStatus(
        plan=Plan(message="é" * 4000), last_failure=FailureInfo(exception="x" * 999, root_cause="a\n" * 4000)
    )
    kubectl.patch_status("fj", "limits", dump_status(status))


def test_the_examples_are_one_document_each() -> None:
    for path in EXAMPLES:
        assert len(list(yaml.safe_load_all(path.read_text()))) == 1
