"""Programs written in Go that the local environment runs: ready ones (`readybinaries.py`), else built once into the cache.

The versions are pinned by `go.mod` and `go.sum` of `controlplane/` (etcd, Kubernetes) and of the small programs, and by
constants here (the tools that `go install` makes).
"""

import functools
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from deploy.local.cache import cache_root, cached, cached_files
from deploy.local.gobuild import go_build, go_install, go_module_files, program_name
from deploy.local.plan import Step
from deploy.local.readybinaries import Version, asset_directory

MODULE = Path(__file__).with_name("controlplane")
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
}
"""The programs of Kubernetes in the order of need, with their packages."""
OLDEST: Version = (1, 31, 0)
"""The oldest Kubernetes that serves the CRDs as they are: its ready programs do where nothing newer has to work with them."""
TOOLS = {
    "actionlint": ("github.com/rhysd/actionlint/cmd/actionlint", "v1.7.12"),
    "fake-gcs-server": ("github.com/fsouza/fake-gcs-server", "v1.56.1"),
    "helm": ("helm.sh/helm/v4/cmd/helm", "v4.3.1"),
    "krew": ("sigs.k8s.io/krew/cmd/krew", "v0.4.3"),
    "kubeconform": ("github.com/yannh/kubeconform/cmd/kubeconform", "v0.8.0"),
    "promtool": ("github.com/prometheus/prometheus/cmd/promtool", "v0.316.0"),
    "versitygw": ("github.com/versity/versitygw/cmd/versitygw", "v1.8.0"),
}
"""Programs that `go install` makes: package and version."""
RARE = frozenset({"actionlint", "krew"})
"""Those that only `make test-all` runs: they are built when it comes to that."""
TAGS = {"promtool": "remove_all_sd"}
"""Their build tags: promtool without the clients of every cloud, which take minutes to compile."""
PROGRAMS = {"coredns": MODULE.with_name("coredns"), "gitops": MODULE.with_name("gitops")}
"""Small programs of this repository, each a Go module of its own."""


@functools.cache
def _module_version(module: str) -> str:
    found = re.search(rf"^\s*{re.escape(module)} v(\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE)
    assert found, f"{module} is not required by go.mod"
    return found[1]


def _kubernetes() -> str:
    return _module_version("k8s.io/kubernetes")


def _etcd() -> str:
    return _module_version("go.etcd.io/etcd/server/v3")


def _group() -> str:
    return f"controlplane-{_kubernetes()}-etcd-{_etcd()}"


def control_plane_binary(name: str) -> Path:
    """The path of one of `PACKAGES`. Raises as `control_plane_binaries`."""
    return control_plane_binaries([name])[name]


def control_plane_binaries(names: Sequence[str], oldest: Version | None = None) -> dict[str, Path]:
    """The paths of some of `PACKAGES`; those that are neither ready nor built are built in one go, in the order given.

    Args:
        names: of the programs.
        oldest: the oldest version of Kubernetes that may be used when it is ready; None: the minor version that is built,
            since programs that are built must not be newer than the kube-apiserver.

    Raises:
        MissingPrerequisite: something has to be built and Go is not installed.
        StepFailed: the build failed.
    """
    ready = _ready(names, oldest)
    wanted = [name for name in names if name not in ready]

    def build(target: Path, missing: Sequence[str]) -> None:
        major, minor, _ = _kubernetes().split(".", 2)
        version = "k8s.io/component-base/version"
        go_build(
            _building(missing),
            [PACKAGES[name] for name in missing],
            target,
            module=MODULE,
            linker=f"-X {version}.gitVersion=v{_kubernetes()} -X {version}.gitMajor={major} -X {version}.gitMinor={minor}",
            fetching=_fetching(),
        )
        for name in missing:
            (target / program_name(PACKAGES[name])).rename(target / name)

    return {**ready, **cached_files(_group(), wanted, build)}


def _ready(names: Sequence[str], oldest: Version | None) -> dict[str, Path]:
    """Those of the programs that need not be built here. What was built already comes before a store, after the variable."""
    if not os.environ.get("KUBEBUILDER_ASSETS") and not _missing(names):
        return {}
    major, minor, patch = map(int, _kubernetes().split("."))
    assets = asset_directory(oldest or (major, minor, 0), (major, minor, patch))
    return {name: assets / name for name in names if assets and os.access(assets / name, os.X_OK)}


def _missing(names: Sequence[str]) -> list[str]:
    return [name for name in names if not (cache_root() / _group() / name).exists()]


def _building(names: Sequence[str]) -> str:
    versions = (f"{name} {_etcd() if name == 'etcd' else _kubernetes()}" for name in names)
    return f"building {', '.join(versions)} (once)"


def _fetching() -> str:
    return f"fetching the sources of Kubernetes {_kubernetes()}"


def control_plane_steps(names: Sequence[str], oldest: Version | None = None) -> list[Step]:
    """What `control_plane_binaries` would do."""
    ready = _ready(names, oldest)
    missing = _missing([name for name in names if name not in ready])
    if not missing:
        return []
    return [Step(label, lambda: bool(_missing(missing))) for label in (_fetching(), _building(missing))]


def tool_binary(name: str) -> Path:
    """The path of one of `TOOLS`; builds it when there is none. Raises as `control_plane_binaries`."""
    package, version = TOOLS[name]

    def build(target: Path) -> None:
        go_install(
            f"building {name} {version} (once)", f"{package}@{version}", target.parent / "bin", tags=TAGS.get(name, "")
        )
        (target.parent / "bin" / name).rename(target)

    return cached(f"{name}-{version}/{name}", build)


def program_binary(name: str) -> Path:
    """The path of one of `PROGRAMS`; builds it when there is none. Raises as `control_plane_binaries`."""
    module = PROGRAMS[name]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(module.glob("*")))).hexdigest()[:16]

    def build(target: Path) -> None:
        go_build(f"building {name} (once)", ["."], target.parent / "bin", module=module)
        (built,) = (target.parent / "bin").iterdir()
        built.rename(target)

    return cached(f"{name}-{digest}/{name}", build)


def module_files(module: str, version: str, inner: str) -> Path:
    """A directory of the sources of a Go module, for files that it holds beside code. Raises as `control_plane_binaries`."""
    base = re.sub(r"/v\d+$", "", module).rpartition("/")[2]
    name = f"{base}-{version}/{inner.replace('/', '-')}"
    return cached(
        name, lambda target: go_module_files(f"fetching {module} {version}", f"{module}@{version}", inner, target)
    )
