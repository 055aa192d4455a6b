"""The steps of deploy/SECURITY.md for tenants who do not trust each other: accepted as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from deploy.local.controlplane import ControlPlane
from deploy.local.helm import CHART, NAMESPACE, Helm

pytestmark = pytest.mark.kube

PAGE = CHART.parent / "SECURITY.md"
STEPS = PAGE.read_text().split("\n## How to install it for tenants")[1].split("\n## ")[0]
OURS, THEIRS = "tenant-a", "tenant-b"
"""Whose steps are applied, which the page calls team-a, and somebody else's."""
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:flinkjob-operator"


def blocks(language: str) -> list[str]:
    """The code of the steps, in their order."""
    return re.findall(rf"```{language}\n(.*?)```", STEPS, re.DOTALL)


def may_read_secrets(plane: ControlPlane, namespace: str) -> bool:
    """Whether the operator's account may read a Secret there."""
    about = {"verb": "get", "resource": "secrets", "namespace": namespace, "name": "flink"}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
    text = yaml.safe_dump(review | {"spec": {"user": ACCOUNT, "resourceAttributes": about}})
    return plane.kubectl("create", "-o", "jsonpath={.status.allowed}", "-f", "-", stdin=text) == "true"


@pytest.mark.threat("foreign-secret", "misused-account", "metadata-service")
def test_the_steps_do_what_they_say(bare: ControlPlane, helm: Helm, tmp_path: Path) -> None:
    values, *pages = blocks("yaml")
    manifests = [page.replace("team-a", OURS) for page in pages]
    assert yaml.safe_load(values) == yaml.safe_load((CHART / "ci" / "tenants-values.yaml").read_text())
    (tmp_path / "values.yaml").write_text(values)
    roles = [each for each in helm.template("--values", tmp_path / "values.yaml") if "rbac" in each["apiVersion"]]
    made = [yaml.safe_dump_all(roles), *manifests]
    try:
        for text in made:
            bare.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin=text)
        bare.kubectl("create", "namespace", THEIRS)
        bare.kubectl("create", "secret", "generic", "flink", "-n", OURS, "--from-literal=token=x")
        assert not may_read_secrets(bare, OURS)
        (commands,) = blocks("sh")
        for command in commands.splitlines():
            program, *arguments = shlex.split(command.replace("team-a", OURS))
            assert program == "kubectl"
            bare.kubectl(*arguments)
        assert may_read_secrets(bare, OURS)
        assert not may_read_secrets(bare, THEIRS)
        found = bare.kubectl("get", "secret", "flink", "-n", OURS, "-o", "yaml")
        assert yaml.safe_load(found)["metadata"]["annotations"]["flinkjob.dev/use"] == "cluster"
    finally:
        bare.kubectl("delete", "namespace", OURS, THEIRS, "--ignore-not-found", "--wait=false")
        bare.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=made[0])


def test_what_is_left_off_is_off_by_default() -> None:
    named = re.findall(r"`operator\.(\w+)`", STEPS.split("**6.")[1])
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())["operator"]
    assert {name: defaults[name] for name in named} == {
        "allowUnmarkedJobs": False,
        "credentialsOverHttp": False,
        "artifactDirs": [],
        "storeGrants": [],
    }
