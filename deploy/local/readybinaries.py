"""Programs of a Kubernetes control plane that are there already, so that nothing has to be built.

They are looked for in `KUBEBUILDER_ASSETS`, then where setup-envtest keeps them. Those places hold etcd, kube-apiserver and
kubectl; a kube-controller-manager only when somebody put one there.
"""

import functools
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deploy.local.progress import say

Version = tuple[int, int, int]
_STORED = re.compile(r"(\d+)\.(\d+)\.(\d+)-linux-(\w+)")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def asset_directory(oldest: Version, wanted: Version) -> Path | None:
    """The directory whose programs are used; None when there is none that is new enough, which is then said in one line.

    Args:
        oldest: version of Kubernetes that is just new enough.
        wanted: the version that would be built; of several in the store the nearest one is taken.
    """
    if given := os.environ.get("KUBEBUILDER_ASSETS"):
        version = _asked(Path(given))
        if version is None or version >= oldest:
            return Path(given)
        _say_once(_too_old(f"KUBEBUILDER_ASSETS ({given})", version, oldest, wanted))
    found = stored()
    good = [version for version in found if version >= oldest]
    if good:
        return found[min(good, key=lambda version: (abs(version[1] - wanted[1]), [-part for part in version]))]
    if found:
        _say_once(_too_old(f"setup-envtest ({store()})", max(found), oldest, wanted))
    return None


def store() -> Path:
    """Where setup-envtest keeps what it downloads."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "kubebuilder-envtest" / "k8s"


def stored() -> Mapping[Version, Path]:
    """The directories of the store that are for this machine, by version of Kubernetes."""
    found: dict[Version, Path] = {}
    for directory in store().glob("*-linux-*"):
        parts = _STORED.fullmatch(directory.name)
        if parts and parts[4] == _ARCHITECTURES.get(platform.machine(), platform.machine()):
            found[int(parts[1]), int(parts[2]), int(parts[3])] = directory
    return found


def _too_old(where: str, version: Version, oldest: Version, wanted: Version) -> str:
    dotted = ".".join(map(str, version))
    return (
        f"{where} has Kubernetes {dotted}, which is too old: not used, {oldest[0]}.{oldest[1]} or newer is "
        f"(setup-envtest use {wanted[0]}.{wanted[1]})"
    )


@functools.cache
def _asked(directory: Path) -> Version | None:
    """The version that the kube-apiserver of a directory says it has; None when it does not say."""
    try:
        done = subprocess.run(
            [directory / "kube-apiserver", "--version"], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = re.search(r"v(\d+)\.(\d+)\.(\d+)", done.stdout)
    return (int(said[1]), int(said[2]), int(said[3])) if said else None


@functools.cache
def _say_once(text: str) -> None:
    say(text)
