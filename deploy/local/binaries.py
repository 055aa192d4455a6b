"""Programs written in Go that the local environment runs: from `KUBEBUILDER_ASSETS`, else built once into the cache.

The versions are pinned by `go.mod` and `go.sum` of `controlplane/` (etcd, Kubernetes) and of the small programs, and by
constants here (the tools that `go install` makes).
"""

import hashlib
import json
import os
import re
from pathlib import Path

from deploy.local.cache import cached
from deploy.local.prerequisites import require
from deploy.local.progress import run_step

MODULE = Path(__file__).with_name("controlplane")
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
}
S3_SERVER = "github.com/versity/versitygw/cmd/versitygw"
S3_SERVER_VERSION = "v1.8.0"
TOOLS = {
    "helm": ("helm.sh/helm/v4/cmd/helm", "v4.3.1"),
    "kubeconform": ("github.com/yannh/kubeconform/cmd/kubeconform", "v0.8.0"),
    "promtool": ("github.com/prometheus/prometheus/cmd/promtool", "v0.316.0"),
    "versitygw": (S3_SERVER, S3_SERVER_VERSION),
}
"""Programs that `go install` makes: package and version."""
TAGS = {"promtool": "remove_all_sd"}
"""Their build tags: promtool without the clients of every cloud, which take minutes to compile."""
PROGRAMS = {"coredns": MODULE.with_name("coredns"), "gitops": MODULE.with_name("gitops")}
"""Small programs of this repository, each a Go module of its own."""


def _module_version(module: str) -> str:
    found = re.search(rf"^\s*{re.escape(module)} v(\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE)
    assert found, f"{module} is not required by go.mod"
    return found[1]


def control_plane_binary(name: str) -> Path:
    """The path of one of `PACKAGES`; builds it when there is none.

    Raises:
        MissingPrerequisite: it has to be built and Go is not installed.
        StepFailed: the build failed.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and (given := Path(assets) / name).is_file():
        return given
    kubernetes = _module_version("k8s.io/kubernetes")
    etcd = _module_version("go.etcd.io/etcd/server/v3")
    major, minor, _ = kubernetes.split(".", 2)
    version = "k8s.io/component-base/version"
    linker = f"-s -w -X {version}.gitVersion=v{kubernetes} -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"

    def build(target: Path) -> None:
        go = require("go", f"{name} {kubernetes} is built from source")
        run_step(
            f"building {name} {etcd if name == 'etcd' else kubernetes} (once, takes minutes)",
            [go, "build", "-trimpath", "-ldflags", linker, "-o", target, PACKAGES[name]],
            env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"},
            cwd=MODULE,
        )

    return cached(f"controlplane-{kubernetes}-etcd-{etcd}/{name}", build)


def s3_server_binary() -> Path:
    """The path of the S3 server (versitygw); builds it when there is none. Raises as `control_plane_binary`."""
    return tool_binary("versitygw")


def tool_binary(name: str) -> Path:
    """The path of one of `TOOLS`; builds it when there is none. Raises as `control_plane_binary`."""
    package, version = TOOLS[name]

    def build(target: Path) -> None:
        go = require("go", f"{name} is built from source")
        run_step(
            f"building {name} {version} (once)",
            [go, "install", "-trimpath", "-ldflags", "-s -w", "-tags", TAGS.get(name, ""), f"{package}@{version}"],
            env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOBIN": str(target.parent / "bin")},
            cwd=target.parent,
        )
        (target.parent / "bin" / name).rename(target)

    return cached(f"{name}-{version}/{name}", build)


def program_binary(name: str) -> Path:
    """The path of one of `PROGRAMS`; builds it when there is none. Raises as `control_plane_binary`."""
    module = PROGRAMS[name]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(module.glob("*")))).hexdigest()[:16]

    def build(target: Path) -> None:
        go = require("go", f"{name} is built from source")
        run_step(
            f"building {name} (once)",
            [go, "build", "-trimpath", "-ldflags", "-s -w", "-o", target, "."],
            env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"},
            cwd=module,
        )

    return cached(f"{name}-{digest}/{name}", build)


def module_directory(module: str, version: str) -> Path:
    """The unpacked source of a Go module, for files that it holds beside code. Raises as `control_plane_binary`."""
    go = require("go", f"{module} is a Go module")
    answer = run_step(
        f"downloading {module} {version}",
        [go, "mod", "download", "-json", f"{module}@{version}"],
        env={**os.environ, "GOFLAGS": ""},
        cwd=Path("/"),
    )
    return Path(json.loads(answer[answer.index("{") :])["Dir"])
