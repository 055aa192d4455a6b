"""Builds programs from Go sources, with caches of its own that are removed afterwards.

Kubernetes needs 5 GB of sources and compiled packages, which nobody needs again once the programs are there. So they lie
below `build/` in the cache directory while something is built; the caches of the user are never written to, and what the
user's module cache holds already is not downloaded again.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploy.local.cache import cache_root
from deploy.local.prerequisites import require
from deploy.local.progress import run_step

KEEP = "FLINKJOB_KEEP_BUILD_CACHE"
"""Environment variable: `1` keeps the caches for the next build."""
_LINKER = "-s -w"
_NO_DEBUGGING = "-gcflags=all=-dwarf=false"
"""The linker drops what debuggers need anyway; an eighth of the compiler's work, and a quarter of the space."""
_VERSION_PART = re.compile(r"v\d+")


@contextlib.contextmanager
def build_caches() -> Iterator[Path]:
    """The directory of the build caches, for the time of a `with` block; nested and side by side they share it.

    Who leaves last removes it. It stays when the block fails, so that the next try goes on where this one ended, and when
    `FLINKJOB_KEEP_BUILD_CACHE` says so.
    """
    root = cache_root() / "build"
    root.parent.mkdir(parents=True, exist_ok=True)
    with root.with_suffix(".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        root.mkdir(exist_ok=True)
        yield root
        if os.environ.get(KEEP, "") not in ("", "0"):
            return
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(root)


def _remove(root: Path) -> None:
    for directory, _, _ in os.walk(root):
        os.chmod(directory, 0o700)  # Go makes the directories of modules read-only
    shutil.rmtree(root, ignore_errors=True)


def go_environment(root: Path, flags: str = "") -> dict[str, str]:
    """The environment for `go` with the caches below `root`.

    Args:
        root: from `build_caches`.
        flags: for GOFLAGS.

    Raises:
        MissingPrerequisite: Go is not installed.
    """
    asked = subprocess.run(
        [require("go", "it builds programs from source"), "env", "-json", "GOMODCACHE", "GOPROXY"],
        env={**os.environ, "GOTOOLCHAIN": "local"},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = json.loads(asked.stdout)
    downloaded = Path(theirs["GOMODCACHE"]) / "cache" / "download"
    proxies = [downloaded.as_uri()] if downloaded.is_dir() else []
    return {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOCACHE": str(root / "packages"),
        "GOMODCACHE": str(root / "modules"),
        "GOPROXY": ",".join([*proxies, theirs["GOPROXY"]]),
        "GOFLAGS": f"-modcacherw {flags}".strip(),
    }


def go_build(
    label: str, packages: Sequence[str], target: Path, *, module: Path, linker: str = "", fetching: str = ""
) -> None:
    """Builds programs into the directory `target`, all in one go, so that what they share is compiled once.

    Args:
        label: of the step.
        packages: import paths, in the order of need.
        target: made when missing.
        module: directory with the `go.mod` that pins them.
        linker: further flags of the linker.
        fetching: label of the step that downloads the sources.

    Raises:
        MissingPrerequisite: Go is not installed.
        StepFailed: the build failed.
    """
    go = require("go", f"{label} from source")
    target.mkdir(parents=True, exist_ok=True)
    with build_caches() as root:
        environment = go_environment(root, "-mod=readonly")
        listed = run_step(
            fetching or f"fetching sources for {label}", [go, "list", "-deps", *packages], env=environment, cwd=module
        )
        count = sum(not line.startswith("go: ") for line in listed.splitlines())
        run_step(
            label,
            [
                go,
                "build",
                "-v",
                "-trimpath",
                _NO_DEBUGGING,
                "-ldflags",
                f"{_LINKER} {linker}".strip(),
                "-o",
                f"{target}/",
                *packages,
            ],
            env=environment,
            cwd=module,
            packages=count,
        )


def go_install(label: str, package: str, target: Path, *, tags: str = "") -> None:
    """Builds a program of a module by its version (`package@version`) into the directory `target`. Raises as `go_build`."""
    go = require("go", f"{label} from source")
    with build_caches() as root:
        run_step(
            label,
            [go, "install", "-trimpath", _NO_DEBUGGING, "-ldflags", _LINKER, "-tags", tags, package],
            env={**go_environment(root), "GOBIN": str(target)},
            cwd=target.parent,
        )


def go_module_files(label: str, module: str, inner: str, target: Path) -> None:
    """Copies a directory of a module's sources (`module@version`) to `target`. Raises as `go_build`."""
    go = require("go", f"{module} is a Go module")
    with build_caches() as root:
        answer = run_step(label, [go, "mod", "download", "-json", module], env=go_environment(root), cwd=target.parent)
        shutil.copytree(Path(json.loads(answer[answer.index("{") :])["Dir"]) / inner, target)


def program_name(package: str) -> str:
    """The name that Go gives to the program of a package: the last part of its path that is no version."""
    *_, before, last = package.split("/")
    return before if _VERSION_PART.fullmatch(last) else last
