"""What a person sees while the suites run side by side: counts, what runs now, the time that is left; a table at the end.

Used by the controlling process of pytest-xdist. A test that fails is named at once, its report comes at the end.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.parallel.accounts import Account
from tests.parallel.groups import SECONDS_FILE, group_of, seconds_of, suite_of

QUIET_SECONDS = 30.0
"""Between two lines; a third of it on a terminal."""
FIGURES = Path(__file__).parents[2] / ".local" / "tests.json"


class Progress:
    """A plugin of the controlling process."""

    def __init__(self, config: pytest.Config) -> None:
        self._terminal: Any = config.pluginmanager.getplugin("terminalreporter")
        self._write_seconds: bool = config.getoption("--write-seconds")
        self._workers: int = 1
        self._started = time.monotonic()
        self._all: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._running: dict[str, None] = {}
        self._accounts: dict[str, Account] = {}
        self._left_out: dict[str, int] = {}
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)

    # What pytest and pytest-xdist tell

    def pytest_xdist_node_collection_finished(self, ids: Iterable[str]) -> None:
        if not self._all:
            self._all.update(map(group_of, ids))
            self._ticker.start()

    def pytest_testnodeready(self) -> None:
        self._workers = max(self._workers, len(self._terminal.config.option.tx))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._running[nodeid] = None

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._running.pop(nodeid, None)
        self._ended[group_of(nodeid)] += 1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed[suite_of(report.nodeid)] += 1
            self._line(f"FAILED in {report.when}: {report.nodeid}")

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No dot for a test that passes."""
        return ("passed", "", "") if report.passed and report.when == "call" else None

    def pytest_testnodedown(self, node: Any) -> None:
        output: Mapping[str, Any] = getattr(node, "workeroutput", None) or {}
        for group, figures in output.get("accounts", {}).items():
            self._accounts[group] = Account(**figures)
        self._left_out = output.get("left_out", self._left_out)

    def pytest_sessionfinish(self) -> None:
        self._over.set()

    def pytest_terminal_summary(self) -> None:
        suites = self._by_suite()
        self._terminal.write_sep("-", "suites")
        head = f"{'suite':<14}{'tests':>7}{'failed':>8}{'worker s':>10}{'CPU s':>8}{'Java starts':>13}"
        self._terminal.write_line(head)
        for suite, (tests, account) in sorted(suites.items(), key=lambda each: -each[1][1].seconds):
            figures = f"{account.seconds:>10.0f}{account.cpu:>8.0f}{account.java:>13}"
            self._terminal.write_line(f"{suite:<14}{tests:>7}{self._failed[suite]:>8}{figures}")
        for reason, number in self._left_out.items():
            self._terminal.write_line(f"left out, see make test-all: {number:>5} {reason}")
        self._write()

    # Inside

    def _tick(self) -> None:
        while not self._over.wait(QUIET_SECONDS / 3 if sys.stderr.isatty() else QUIET_SECONDS):
            self._line(self._now())

    def _now(self) -> str:
        elapsed = time.monotonic() - self._started
        running = sorted({group_of(nodeid) for nodeid in list(self._running)})
        counts = f"{sum(self._ended.values())} of {sum(self._all.values())} tests"
        failed = f", {sum(self._failed.values())} FAILED" if self._failed else ""
        return f"{elapsed / 60:4.1f} min  {counts}{failed}, about {self._left():.0f} min left  [{', '.join(running)}]"

    def _left(self) -> float:
        """Minutes: what is not done yet, spread over the workers, but at least the longest group."""
        rest = [
            seconds_of(group, number) * (1 - self._ended[group] / number)
            for group, number in self._all.items()
            if self._ended[group] < number
        ]
        return max([sum(rest) / self._workers, *rest]) / 60 if rest else 0

    def _line(self, text: str) -> None:
        self._terminal.write_line(text, flush=True)

    def _by_suite(self) -> dict[str, tuple[int, Account]]:
        suites: dict[str, tuple[int, Account]] = {}
        for group, number in self._all.items():
            suite = group.partition("/")[0].partition(":")[0]
            tests, sum_ = suites.get(suite, (0, Account()))
            one = self._accounts.get(group, Account())
            added = Account(sum_.seconds + one.seconds, sum_.cpu + one.cpu, sum_.java + one.java)
            suites[suite] = (tests + number, added)
        return suites

    def _write(self) -> None:
        groups = {g: [a.seconds, a.cpu, a.java] for g, a in sorted(self._accounts.items())}
        FIGURES.parent.mkdir(exist_ok=True)
        FIGURES.write_text(json.dumps({"seconds": time.monotonic() - self._started, "groups": groups}, indent=1))
        if self._write_seconds:
            seconds = {group: round(account.seconds, 1) for group, account in sorted(self._accounts.items())}
            SECONDS_FILE.write_text(json.dumps(seconds, indent=1) + "\n")
