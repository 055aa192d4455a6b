"""Runs a function in a process of its own and says how much memory it took."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.attacks.cgroup import JOIN, MemoryGroup, join

MIB = 1024 * 1024


def peak_of(module: str, function: str, *arguments: str) -> tuple[Any, float]:
    """What `module.function(*arguments)` returns, and by how many MiB it made the process grow."""
    done = run_child(module, function, *arguments)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    return result["returned"], result["mib"]


def run_child(
    module: str, function: str, *arguments: str, group: MemoryGroup | None = None
) -> subprocess.CompletedProcess[str]:
    """How the process ended that ran the function; within a control group, if there is one."""
    call = [sys.executable, "-m", "tests.attacks.child", module, function, *arguments]
    environment = {**os.environ, JOIN: str(group.path) if group is not None else ""}
    return subprocess.run(
        call,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
        env=environment,
    )


def _main(module: str, function: str, *arguments: str) -> None:
    code = getattr(__import__(module, fromlist=[function]), function)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    returned = code(*arguments)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / MIB
    print(json.dumps({"returned": returned, "mib": grown}))


if __name__ == "__main__":
    join()
    _main(*sys.argv[1:])
