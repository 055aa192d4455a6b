"""What the benchmarks measure with, and the table and the file in which the figures end up.

Used by the modules beside it. A figure of the operator is always compared with bare REST calls that do the same in the same
run, taken in turns, so that a busy machine slows both.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from deploy.local.processes import wait_until

POLL_SECONDS = 0.01
DEADLINE = 120.0
SMALL = os.environ.get("FLINKJOB_BENCH") == "small"
"""Few rounds and few jobs, to see that everything works; the figures then say little."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table.

    Attributes:
        name: what was measured.
        unit: of the numbers.
        value: of the operator; a median where it was measured several times.
        bare: the same by bare REST calls, or None.
        goal: the most that `value - bare` (or `value`) may be, or None.
        samples: all values of the operator; `bare_samples` those of the bare calls.
    """

    name: str
    unit: str
    value: float
    bare: float | None = None
    goal: float | None = None
    samples: tuple[float, ...] = ()
    bare_samples: tuple[float, ...] = ()

    @classmethod
    def of(cls, name: str, samples: Sequence[float], bare: Sequence[float], goal: float | None = None) -> Figure:
        """From seconds measured in turns."""
        return cls(
            name=name,
            unit="s",
            value=statistics.median(samples),
            bare=statistics.median(bare),
            goal=goal,
            samples=tuple(samples),
            bare_samples=tuple(bare),
        )

    @property
    def over(self) -> float:
        """What the operator adds."""
        return self.value - (self.bare or 0.0)

    @property
    def met(self) -> bool:
        """Whether the goal is met; true when there is none."""
        return self.goal is None or self.over <= self.goal


@dataclass
class Report:
    """All figures of a session."""

    figures: list[Figure] = field(default_factory=list)
    started: float = field(default_factory=time.time)

    def add(self, figure: Figure) -> Figure:
        """Keeps it and returns it."""
        self.figures.append(figure)
        return figure

    def write(self, path: Path) -> None:
        """As JSON, with what is needed to compare two machines."""
        path.parent.mkdir(parents=True, exist_ok=True)
        figures = [asdict(figure) | {"over": figure.over, "met": figure.met} for figure in self.figures]
        machine = {"cpus": os.cpu_count(), "load": os.getloadavg()}
        path.write_text(json.dumps({"started": self.started, "machine": machine, "figures": figures}, indent=1))

    def show(self) -> None:
        """As a table on standard output."""
        table = Table(title=f"{os.cpu_count()} CPUs, load {os.getloadavg()[1]:.1f}")
        for column in ("figure", "n", "operator", "bare REST", "ratio", "over", "goal", ""):
            table.add_column(column, justify="left" if column in ("figure", "") else "right")
        for each in self.figures:
            bare = "" if each.bare is None else f"{each.bare:.2f} {each.unit}"
            ratio = f"{each.value / each.bare:.2f}" if each.bare else ""
            over = "" if each.bare is None else f"{each.over:+.2f} {each.unit}"
            goal = "" if each.goal is None else f"≤ {each.goal:g} {each.unit}"
            verdict = "" if each.goal is None else "met" if each.met else "MISSED"
            count = str(len(each.samples) or 1)
            table.add_row(each.name, count, f"{each.value:.2f} {each.unit}", bare, ratio, over, goal, verdict)
        Console(width=150).print(table)


@contextmanager
def stopwatch(into: list[float]) -> Iterator[None]:
    """Appends the seconds that the block took."""
    started = time.perf_counter()
    yield
    into.append(time.perf_counter() - started)


def until(attempt: Callable[[], object], what: str) -> None:
    """Waits with short pauses. Raises ProcessFailed."""
    wait_until(lambda: bool(attempt()), timeout=DEADLINE, what=what, interval=POLL_SECONDS)


def first_all_running(http: httpx.Client, job_id: str) -> float:
    """When Flink saw the last task of the job begin to run, in epoch seconds (read once its statistics are fresh)."""

    def attempt() -> float | None:
        vertices = http.get(f"/jobs/{job_id}").raise_for_status().json()["vertices"]
        urls = [f"/jobs/{job_id}/vertices/{vertex['id']}/subtasktimes" for vertex in vertices]
        answers = [http.get(url).raise_for_status().json() for url in urls]
        times = [task["timestamps"]["RUNNING"] for answer in answers for task in answer["subtasks"]]
        return max(times) / 1000 if times and min(times) > 0 else None

    return wait_until(attempt, timeout=DEADLINE, what="start times of the tasks")


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a process has used so far: CPU seconds, and resident memory now, in MiB."""

    cpu: float
    rss: float

    @classmethod
    def of(cls, pid: int) -> Usage:
        """From /proc."""
        numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        cpu = (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return cls(cpu=cpu, rss=pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


@contextmanager
def most_memory(pid: int, into: list[float]) -> Iterator[None]:
    """Appends the most resident memory (MiB) that a process had during the block, as the kernel counted it."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # forget the peak until now
    yield
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:"))
    into.append(int(line.split()[1]) / 1024)


def lower_priority(pid: int) -> None:
    """Have a process, with all its threads, give way to all others."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), 19)
