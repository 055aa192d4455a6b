"""What each suite costs: time, CPU of all its processes, and how many Java processes it starts.

Kept by the process that runs the tests (a worker, or pytest itself without workers), by group.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.parallel.groups import group_of

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Account:
    """Of one group: seconds of the clock, seconds of CPU, starts of Java."""

    seconds: float = 0.0
    cpu: float = 0.0
    java: int = 0


class Accounts:
    """A plugin; `workeroutput` brings what it counted to the process that prints it."""

    def __init__(self) -> None:
        self.groups: dict[str, Account] = {}
        self._current = ""
        self._java = 0
        sys.addaudithook(self._audit)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        group = group_of(item.nodeid)
        account = self.groups.setdefault(group, Account())
        if group != self._current:
            account.cpu -= cpu_seconds()
            self._current = group
        started, java = time.monotonic(), self._java
        result = yield
        account.seconds += time.monotonic() - started
        account.java += self._java - java
        if nextitem is None or group_of(nextitem.nodeid) != group:
            account.cpu += cpu_seconds()
            self._current = ""
        return result

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["accounts"] = {group: asdict(account) for group, account in self.groups.items()}

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and "java" in (arguments[1] or ()):
            self._java += 1


def cpu_seconds() -> float:
    """CPU of this process and of all its descendants, ended ones included."""
    own = os.times()
    return own.user + own.system + own.children_user + own.children_system + _descendants(os.getpid())


def _descendants(root: int) -> float:
    """CPU of the living descendants, with what their own ended children used."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            used[int(entry.name)] = sum(map(int, fields[11:15])) / _TICKS
    return sum(seconds for pid, seconds in used.items() if pid != root and _descends(pid, root, parents))


def _descends(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid in parents and pid != root:
        pid = parents[pid]
    return pid == root
