"""Which module calls which FlinkJob what: a run fails where two modules use a name in the namespace that they share.

Flink, Events and metrics remember a name. Which modules one worker runs, and in what order, differs from run to run, so that
a shared name would fail only now and then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest


class Names:
    """A plugin of every process of a run; `workeroutput` brings a worker's names to the process that compares them."""

    def __init__(self) -> None:
        self._users: dict[str, set[str]] = {}

    def note(self, namespace: str, names: Iterable[str], module: str) -> None:
        """A test of the module used the names in a namespace that it shares."""
        for name in names:
            self._users.setdefault(f"{namespace}/{name}", set()).add(module)

    def shared(self) -> dict[str, list[str]]:
        """The modules of each name that several use."""
        return {name: sorted(users) for name, users in sorted(self._users.items()) if len(users) > 1}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        output: Mapping[str, Any] = getattr(node, "workeroutput", None) or {}
        for name, users in output.get("names", {}).items():
            self._users.setdefault(name, set()).update(users)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["names"] = {name: sorted(users) for name, users in self._users.items()}
        elif self.shared() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for name, users in self.shared().items():
            terminalreporter.write_line(
                f"ERROR: {name} is used by {' and '.join(users)}: give each test names of its own"
            )
