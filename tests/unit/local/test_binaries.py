"""What is built for what, in which order, and what is not built because it is there."""

import platform
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.local import binaries
from deploy.local.binaries import OLDEST, control_plane_binaries, control_plane_binary, control_plane_steps
from deploy.local.controlplane import ControlPlane
from deploy.local.demo import make_environment
from deploy.local.demojob import demo_jar_steps
from deploy.local.demostory import owned_by_alone
from deploy.local.environment import Environment
from deploy.local.gobuild import program_name
from deploy.local.node import BINARIES

DEMO = ["etcd", "kube-apiserver", "kubectl"]
GROUP = "controlplane-1.37.2-etcd-3.7.0"


class Go:
    """What `go_build` was asked for; writes files instead of programs."""

    def __init__(self) -> None:
        self.builds: list[list[str]] = []

    def build(self, label: str, packages: Sequence[str], target: Path, **_: object) -> None:
        self.builds.append([package.rpartition("/")[2] for package in packages])
        target.mkdir(exist_ok=True)
        for package in packages:
            (target / program_name(package)).write_text(f"built {label}")


@pytest.fixture(autouse=True)
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Go:
    """No program is ready and none is built."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    go = Go()
    monkeypatch.setattr(binaries, "go_build", go.build)
    return go


def envtest(tmp_path: Path, version: str, *names: str) -> Path:
    """What setup-envtest would have downloaded."""
    directory = tmp_path / "data" / "kubebuilder-envtest" / "k8s" / f"{version}-linux-amd64"
    directory.mkdir(parents=True)
    for name in names or DEMO:
        (directory / name).touch(0o755)
    return directory


def test_what_is_missing_is_built_together_and_once(go: Go, tmp_path: Path) -> None:
    found = control_plane_binaries(DEMO)
    assert go.builds == [["v3", "kube-apiserver", "kubectl"]]
    assert found == {name: tmp_path / "cache" / "flinkjob-operator" / GROUP / name for name in DEMO}
    assert all(
        path.read_text().startswith("built building etcd 3.7.0, kube-apiserver 1.37.2") for path in found.values()
    )
    assert control_plane_binaries(DEMO) == found
    assert control_plane_binaries([*DEMO, "kube-controller-manager"]).keys() == {*DEMO, "kube-controller-manager"}
    assert go.builds[1:] == [["kube-controller-manager"]]


def test_a_node_gets_everything_in_the_order_of_need(go: Go) -> None:
    control_plane_binaries(BINARIES)
    control_plane = ["v3", "kube-apiserver", "kubectl", "kube-controller-manager"]
    assert go.builds == [[*control_plane, "kube-scheduler", "kubelet", "kube-proxy"]]


def test_only_with_controllers_a_control_plane_wants_the_controller_manager(tmp_path: Path) -> None:
    (_, without) = ControlPlane(tmp_path, controllers=False).steps()
    (_, whole) = ControlPlane(tmp_path).steps()
    assert without.label == "building etcd 3.7.0, kube-apiserver 1.37.2, kubectl 1.37.2 (once)"
    assert whole.label == without.label.replace(" (once)", ", kube-controller-manager 1.37.2 (once)")


def test_ready_programs_are_used_and_only_the_missing_one_is_built(go: Go, tmp_path: Path) -> None:
    ready = envtest(tmp_path, "1.37.0")
    assert control_plane_binaries(DEMO) == {name: ready / name for name in DEMO}
    assert go.builds == []
    found = control_plane_binaries([*DEMO, "kube-controller-manager"])
    assert go.builds == [["kube-controller-manager"]]
    assert [found[name].parent for name in DEMO] == [ready] * 3


def test_a_control_plane_that_is_older_than_what_is_built_serves_the_demo_alone(go: Go, tmp_path: Path) -> None:
    ready = envtest(tmp_path, "1.33.0")
    assert control_plane_binaries(DEMO, OLDEST) == {name: ready / name for name in DEMO}
    assert control_plane_steps(DEMO, OLDEST) == []
    assert go.builds == []
    assert ready not in [path.parent for path in control_plane_binaries([*DEMO, "kube-controller-manager"]).values()]
    assert len(go.builds[0]) == 4


def test_what_was_built_comes_before_the_store_but_not_before_the_variable(
    go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = control_plane_binary("kubectl")
    ready = envtest(tmp_path, "1.37.1")
    assert control_plane_binary("kubectl") == built
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(ready))
    assert control_plane_binary("kubectl") == ready / "kubectl"


def test_a_ready_program_that_cannot_be_run_is_built(go: Go, tmp_path: Path) -> None:
    (envtest(tmp_path, "1.37.0") / "kubectl").chmod(0o644)
    control_plane_binaries(DEMO)
    assert go.builds == [["kubectl"]]


def test_the_steps_are_in_the_order_of_need_and_end_when_the_files_are_there(go: Go, tmp_path: Path) -> None:
    steps = [*ControlPlane(tmp_path, controllers=False).steps(), *demo_jar_steps("2.3")]
    assert [step.label for step in steps] == [
        "fetching the sources of Kubernetes 1.37.2",
        "building etcd 3.7.0, kube-apiserver 1.37.2, kubectl 1.37.2 (once)",
        "installing Flink 2.3.0 (once)",
        "compiling the demo job for Flink 2.3.0",
    ]
    assert [step.missing() for step in steps] == [True] * 4
    control_plane_binaries(DEMO)
    assert [step.missing() for step in steps] == [False, False, True, True]


def test_the_demo_builds_no_controller_manager(tmp_path: Path) -> None:
    assert make_environment(tmp_path).controlplane.steps()[1].label == (
        "building etcd 3.7.0, kube-apiserver 1.37.2, kubectl 1.37.2 (once)"
    )
    assert "kube-controller-manager" in Environment(tmp_path).controlplane.steps()[1].label


@pytest.mark.parametrize(
    ("owners", "alone"),
    [(["mine"], True), (["mine", "mine"], True), (["mine", "other"], False), (["other"], False), ([], False)],
)
def test_only_what_belongs_to_the_deleted_job_alone_is_left_to_the_garbage_collector(
    owners: list[str], alone: bool
) -> None:
    found = {"metadata": {"ownerReferences": [{"uid": uid} for uid in owners]} if owners else {}}
    assert owned_by_alone(found, "mine") == alone
