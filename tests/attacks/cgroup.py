"""A control group with a limit of memory, where this machine lets one be made: whoever exceeds it is killed, as in a Pod."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
JOIN = "FLINKJOB_TEST_CGROUP"
"""The variable that tells a child process which group to join before it does anything else."""


class NoCgroup(Exception):
    """None can be made here."""


@dataclass(frozen=True)
class MemoryGroup:
    """A group with a limit.

    Attributes:
        path: its directory.
        events: the file in which the kernel counts whom it has killed.
    """

    path: Path
    events: Path

    @property
    def killed(self) -> int:
        """How many of its processes were killed for memory."""
        found = [line.split()[1] for line in self.events.read_text().splitlines() if line.startswith("oom_kill ")]
        return int(found[0])


@contextmanager
def memory_group(limit: int) -> Iterator[MemoryGroup]:
    """A group for at most so many bytes, without swap; it is removed at the end, when its processes have ended.

    Raises:
        NoCgroup: not root, no control of memory, or the kernel does not say whom it has killed.
    """
    whole = (ROOT / "cgroup.controllers").is_file()
    parent = ROOT if whole else ROOT / "memory"
    group = parent / f"flinkjob-attack-{os.getpid()}"
    try:
        if whole and "memory" not in (ROOT / "cgroup.subtree_control").read_text().split():
            (ROOT / "cgroup.subtree_control").write_text("+memory")
        group.mkdir()
    except OSError as error:
        raise NoCgroup(f"{group}: {error.strerror}") from error
    try:
        (group / ("memory.max" if whole else "memory.limit_in_bytes")).write_text(str(limit))
        swap = group / ("memory.swap.max" if whole else "memory.memsw.limit_in_bytes")
        if swap.exists():
            swap.write_text("0" if whole else str(limit))
        made = MemoryGroup(group, group / ("memory.events" if whole else "memory.oom_control"))
        if "oom_kill " not in made.events.read_text():
            raise NoCgroup(f"{made.events} does not count")
        yield made
    except OSError as error:
        raise NoCgroup(f"{group}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()


def join() -> None:
    """Called first in a child process: be in the group that the environment names, if it does."""
    if group := os.environ.get(JOIN):
        (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
