"""The plugin as Krew installs it: the real Krew, the archive and manifest of a release, the first call and the second."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import httpx
import pytest

from deploy.local import plainhttp
from deploy.local.binaries import tool_binary
from deploy.local.processes import wait_until
from deploy.local.release import build_packages, build_plugin, release
from tests.support.children import child
from tests.unit.kube.apiserver import ApiServer

pytestmark = pytest.mark.slow
OFFLINE = ("Connection", "Max retries", "Temporary failure", "CERTIFICATE_VERIFY_FAILED")


@pytest.mark.everything("the plugin installed by Krew, with its Python packages")
def test_krew_installs_the_plugin_of_a_release(tmp_path: Path) -> None:
    of = release(tmp_path)
    build_packages(of)
    build_plugin(of)
    environment = {**os.environ, "KREW_ROOT": str(tmp_path / "krew")}
    environment["PATH"] = f"{tmp_path}/krew/bin:{environment['PATH']}"

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)

    done = run(tool_binary("krew"), "install", f"--manifest={of.krew}", f"--archive={of.plugin}")
    assert done.returncode == 0, done.stderr
    plugin = tmp_path / "krew" / "bin" / "kubectl-flinkjob"
    first = run(plugin, "--help")
    if first.returncode and any(word in first.stderr for word in OFFLINE):
        pytest.skip(f"NO PACKAGE INDEX HERE: {first.stderr.strip().splitlines()[-1]}")
    assert first.returncode == 0, first.stderr
    assert "installing its Python packages (once)" in first.stderr
    second = run(plugin, "validate", "--help")
    assert second.returncode == 0, second.stderr
    assert second.stderr == ""
    assert "does not answer" in first_page(plugin, tmp_path)
    (store,) = (tmp_path / "krew" / "store" / "flinkjob").iterdir()
    assert [path.name for path in store.glob("making*")] == []


def first_page(plugin: Path, directory: Path) -> str:
    """What a browser gets of `kubectl flinkjob ui`, where no API server is."""
    kubeconfig = ApiServer(url="http://127.0.0.1:9").kubeconfig(directory)
    with child([plugin, "ui", "--kubeconfig", kubeconfig], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with plainhttp.client(follow_redirects=True, timeout=60) as browser:
            return str(wait_until(lambda: page(browser, address), timeout=60, what="the page"))


def page(browser: httpx.Client, address: str) -> str:
    """What an address shows; "" before it is served."""
    try:
        return browser.get(address).text
    except httpx.TransportError:
        return ""
