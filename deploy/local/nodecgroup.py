"""The control groups of one node's Pods, a root of its own for each node, so that several nodes do not meet.

Used by `node.py` alone. They are all that a node leaves outside of its namespaces, so they are removed at its end; those
of a node that was killed are removed by the next one.
"""

import contextlib
import os
import re
from pathlib import Path

from deploy.local.nodecheck import CGROUPS
from deploy.local.processes import wait_until

_NAME = re.compile(r"flinkjob-node-(\d+)-\d+")


def _hierarchies() -> list[Path]:
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [each for each in CGROUPS.iterdir() if (each / "cgroup.procs").exists() and not each.is_symlink()]


def make_cgroup(number: int) -> str:
    """Makes the root of a node that this process owns, `number` telling its nodes apart; returns its name."""
    name = f"flinkjob-node-{os.getpid()}-{number}"
    for hierarchy in _hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):  # version 1: empty ones take no process
            if (group / file).exists() and (hierarchy / file).exists():
                (group / file).write_text((hierarchy / file).read_text())
    return name


def remove_cgroup(name: str, timeout: float = 20.0) -> None:
    """Removes it with all that is below, as soon as the kernel lets its processes go. Raises ProcessFailed."""
    wait_until(lambda: _removed(name), timeout=timeout, what=f"control group {name} empty")


def sweep() -> None:
    """Removes the roots of nodes whose owner has ended without removing them."""
    for name in {found.name for hierarchy in _hierarchies() for found in hierarchy.glob("flinkjob-node-*")}:
        owner = _NAME.fullmatch(name)
        if owner and not Path("/proc", owner[1]).exists():
            _removed(name)


def _removed(name: str) -> bool:
    for hierarchy in _hierarchies():
        for directory, _, _ in os.walk(hierarchy / name, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
    return not any((hierarchy / name).exists() for hierarchy in _hierarchies())
