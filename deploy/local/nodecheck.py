"""Whether a node can run on this machine: the programs, the rights and the kernel that it needs.

Used by `node.py` before anything is started, by the tests (which are skipped with the reason) and by continuous
integration. Nothing stays changed: what is tried is tried in namespaces that are gone afterwards.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PROGRAMS = {
    "buildah": "buildah",
    "runc": "runc",
    "containerd": "containerd",
    "ctr": "containerd",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "gcc": "gcc libc6-dev",
    "go": "golang-go",
    "openssl": "openssl",
}
CNI_DIRECTORIES = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
CGROUPS = Path("/sys/fs/cgroup")
_PLUGINS = ("bridge", "host-local", "loopback")
MEMORY = 5 * 2**30
"""Bytes that have to be free: the node needs 1 GiB, Flink's Pods 3."""
DISK = 6 * 2**30
"""Bytes that have to be free for images and containers."""
TRIAL_SECONDS = 60
_TRIAL = """
mount -t tmpfs tmpfs /run && mkdir /run/upper /run/work
mount -t overlay overlay -o lowerdir=/var/log,upperdir=/run/upper,workdir=/run/work /var/log
mount -t overlay overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" "$1/lower"
ip link set lo up && ip link add node0 type bridge && ip link add one type veth peer name two
iptables -w -t nat -L -n > /run/nat
"""


def cni_directory() -> Path | None:
    """Where the CNI plugins are; None when they are nowhere."""
    return next((each for each in CNI_DIRECTORIES if all((each / name).exists() for name in _PLUGINS)), None)


def missing_packages() -> list[str]:
    """The Debian packages that have to be installed, sorted."""
    packages = {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    if cni_directory() is None:
        packages.add("containernetworking-plugins")
    return sorted(packages)


def obstacle() -> str | None:
    """Why no node can run here, in one line; None when one can."""
    if os.geteuid():
        return "not root"
    if packages := missing_packages():
        return f"packages are missing: apt-get install -y --no-install-recommends {' '.join(packages)}"
    if (free := _free_memory()) < MEMORY:
        return f"{free / 2**30:.1f} GiB of memory are free, {MEMORY / 2**30:.0f} are needed"
    if (free := shutil.disk_usage(tempfile.gettempdir()).free) < DISK:
        return f"{free / 2**30:.1f} GiB of disk are free in {tempfile.gettempdir()}, {DISK / 2**30:.0f} are needed"
    if not os.access(CGROUPS, os.W_OK):
        return f"{CGROUPS} cannot be written"
    command = [
        "unshare",
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--propagation",
        "private",
    ]
    with tempfile.TemporaryDirectory(prefix="node-") as directory:
        for name in ("lower", "upper", "work"):
            Path(directory, name).mkdir()
        trial = [*command, "bash", "-ec", _TRIAL, "trial", directory]
        try:
            done = subprocess.run(trial, capture_output=True, text=True, check=False, timeout=TRIAL_SECONDS)
        except subprocess.TimeoutExpired:
            return f"namespaces could not be made within {TRIAL_SECONDS} s"
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return f"namespaces, an overlay file system, a bridge or iptables cannot be had: {said}"
    return None


def _free_memory() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
