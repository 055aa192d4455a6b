"""The pages for users on a real API server and a real Flink: the manifests of all, and the quick start from end to end."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.local.binaries import control_plane_binary
from deploy.local.environment import REPOSITORY
from tests.support import pages
from tests.support.integration import Lab

pytestmark = [pytest.mark.kube, pytest.mark.flink]

QUICK_START = REPOSITORY / "docs" / "quickstart.md"
OURS = "flinkjob.dev/"


def test_the_api_server_accepts_every_manifest(lab: Lab) -> None:
    found = [body for each in pages.manifests() for body in pages.documents(each)]
    ours = [body for body in found if str(body.get("apiVersion", "")).startswith(OURS)]
    assert len(ours) >= 17
    done = kubectl(lab, "create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump_all(ours))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(server dry run)") == len(ours)


def test_the_quick_start_ends_with_a_savepoint(lab: Lab, tmp_path: Path) -> None:
    """As the page says, with the cluster and the operator of the tests in place of those that it installs."""
    wrapper = tmp_path / "kubectl"
    real = control_plane_binary("kubectl")
    wrapper.write_text(f'#!/bin/sh\nexec {real} --kubeconfig={lab.kube.kubeconfig} -n {lab.namespace} "$@"\n')
    wrapper.chmod(0o755)
    script = "".join(re.findall(r"^```\n(.*?)^```", QUICK_START.read_text(), re.MULTILINE | re.DOTALL))
    assert script.count("helm ") == script.count(" -k ") == 2
    script = "".join(line for line in script.splitlines(True) if not re.match(r"helm |kubectl \w+ -k ", line))
    manifest = tmp_path / "sql.yaml"
    example = (REPOSITORY / "deploy" / "examples" / "flinkjob-sql.yaml").read_text()
    manifest.write_text(own(example.replace("http://flink-jobmanager:8081", lab.cluster_url)))
    script = own(script).replace("deploy/examples/flinkjob-sql.yaml", str(manifest))
    script = script.replace("fsp --all", "fsp pages-first")  # the namespace is shared by the tests
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "flinkjob.flinkjob.dev/pages-sql condition met" in done.stdout
    assert "flinksavepoint.flinkjob.dev/pages-first condition met" in done.stdout
    assert lab.live_jobs("pages-sql") == []


def own(text: str) -> str:
    """With names of this module."""
    return re.sub(r"(fj[/ ]|name: )sql\b(?!-)", r"\1pages-sql", text).replace("sql-first", "pages-first")


def kubectl(lab: Lab, *arguments: str, stdin: str) -> subprocess.CompletedProcess[str]:
    """kubectl in the namespace of the tests."""
    command = [str(control_plane_binary("kubectl")), f"--kubeconfig={lab.kube.kubeconfig}", "-n", lab.namespace]
    return subprocess.run([*command, *arguments], input=stdin, capture_output=True, text=True, check=False)
