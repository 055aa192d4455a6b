"""The start of the operator, and what it takes while it has nothing to do."""

from __future__ import annotations

import pytest

from deploy.local.controlplane import ControlPlane
from tests.bench.measure import SMALL, Usage, import_libraries, pass_time, stopwatch
from tests.bench.report import Figure, Goal, Report
from tests.support.operator import OperatorProcess

STARTS = 2 if SMALL else 7
IDLE_SECONDS = 5.0 if SMALL else 30.0

pytestmark = [pytest.mark.kube, pytest.mark.slow]


def test_start(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory, report: Report) -> None:
    """Without FlinkJobs. The limit is a Python that imports the same libraries and ends."""
    operator = OperatorProcess(
        control_plane, tmp_path_factory.mktemp("start"), namespaces=["default"], options={"workers": 64}
    )
    ready: list[float] = []
    imports: list[float] = []
    cpu: list[float] = []
    imports_cpu: list[float] = []
    for _ in range(STARTS):
        for into, seconds in zip((imports_cpu, imports), import_libraries(), strict=True):
            into.append(seconds)
        with stopwatch(ready):
            operator.start().wait_ready()
        cpu.append(Usage.of(operator.process.pid).cpu)
        if len(ready) < STARTS:
            operator.stop()
    pid = operator.process.pid
    pass_time(3.0)
    before = Usage.of(pid)
    pass_time(IDLE_SECONDS)
    after = Usage.of(pid)
    operator.stop()
    report.add(
        Figure.of("start → ready", ready, imports),
        Figure.of("start → ready, CPU", cpu, imports_cpu, Goal(kind="most", value=1.5)),
        Figure(name="memory, no jobs", unit="MiB", value=after.rss, goal=Goal(kind="most", value=85), grain=3),
        Figure(
            name="CPU of one core, no jobs",
            unit="%",
            value=(after.cpu - before.cpu) / IDLE_SECONDS * 100,
        ),
    )
