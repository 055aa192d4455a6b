"""What is outside of a node when it ends: two nodes run side by side, and one ends with the process that started it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.environment import REPOSITORY
from deploy.local.nodecgroup import sweep
from deploy.local.nodecheck import CGROUPS
from deploy.local.processes import wait_until
from tests.node.world import DEADLINE, World
from tests.support.children import child

pytestmark = [pytest.mark.node, pytest.mark.slow]
PROGRAM = """
import sys
from pathlib import Path
from deploy.local.node import Node
with Node(Path(sys.argv[1])) as node:
    print(*(process.pid for process in node.processes), flush=True)
    sys.stdin.read()
"""


@pytest.mark.everything("a second node beside the first one")
def test_a_second_node_ends_with_its_parent_and_the_first_one_does_not_notice(world: World, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    pipe = subprocess.PIPE
    with child(command, cwd=REPOSITORY, stdin=pipe, stdout=pipe, text=True) as parent:
        assert parent.stdout is not None
        pids = parent.stdout.readline().split()
    assert len(pids) > 8
    wait_until(
        lambda: not any(Path("/proc", pid).exists() for pid in pids), timeout=DEADLINE, what="no process is left"
    )
    groups = f"*/flinkjob-node-{parent.pid}-*"

    def swept() -> bool:
        sweep()
        return not list(CGROUPS.glob(groups))

    wait_until(swept, timeout=DEADLINE, what="no control group is left")
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    assert "Ready" in world.node.kubectl("get", "nodes")
