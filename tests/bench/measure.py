"""What the benchmarks measure with: clocks, processes, and all that one step of a stage costs.

Used by the modules beside it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from deploy.local.controlplane import ControlPlane
from deploy.local.processes import wait_until
from tests.bench.report import Cost
from tests.support.operator import USER, OperatorProcess

POLL_SECONDS = 0.01
DEADLINE = 120.0
LIBRARIES = "import httpx, kopf, kubernetes.aio.client, prometheus_client, pydantic"
SMALL = os.environ.get("FLINKJOB_BENCH") == "small"
"""Few rounds and few jobs, to see that everything works; the figures then say little."""


@contextmanager
def stopwatch(into: list[float]) -> Iterator[None]:
    """Appends the seconds that the block took."""
    started = time.perf_counter()
    yield
    into.append(time.perf_counter() - started)


def until(attempt: Callable[[], object], what: str, *, timeout: float = DEADLINE, pause: float = POLL_SECONDS) -> None:
    """Waits with short pauses. Raises ProcessFailed."""
    wait_until(lambda: bool(attempt()), timeout=timeout, what=what, interval=pause)


def pass_time(seconds: float) -> None:
    """Lets a window of time pass in which is counted what happens."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end, "the time to pass", timeout=seconds + 1, pause=0.2)


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
    into.append(_peak(pid))


def lower_priority(pid: int) -> None:
    """Have a process, with all its threads, give way to all others."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), 19)


def import_libraries() -> tuple[float, float]:
    """CPU and wall seconds of a Python that imports the operator's libraries and ends: no start can be quicker."""
    program = f"{LIBRARIES}\nimport time\nprint(time.process_time())"
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return float(done.stdout), time.monotonic() - begun


class FlinkCounts(Protocol):
    """Whoever counts what reaches Flink, and has its process."""

    @property
    def pid(self) -> int: ...
    def requests(self) -> Counter[str]: ...
    def sent(self) -> int: ...


class Meter:
    """Measures what steps cost an operator; the same process or, after a restart, the next one.

    Args:
        loop: the file that `watched.py` writes, or None where nobody looks at the loop.
    """

    def __init__(
        self, operator: OperatorProcess, control_plane: ControlPlane, flink: FlinkCounts, loop: Path | None = None
    ) -> None:
        self._operator, self._control_plane, self._flink, self._loop = operator, control_plane, flink, loop

    @contextmanager
    def step(self, name: str, into: list[Cost], *, restarts: bool = False) -> Iterator[None]:
        """Appends the cost of the block.

        Args:
            restarts: the block starts the operator, whose whole life until the end of the block is counted.
        """
        pid = None if restarts else self._operator.process.pid
        if pid is not None:
            self.longest_stop()
        before = Usage.of(pid).cpu if pid is not None else 0.0
        cpu_kubernetes, cpu_flink = self._kubernetes(), Usage.of(self._flink.pid).cpu
        offset = self._control_plane.audit_log.stat().st_size
        requests, sent = self._flink.requests().total(), self._flink.sent()
        started = time.monotonic()
        if pid is not None:
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        yield
        seconds, pid = time.monotonic() - started, self._operator.process.pid
        cpu = Usage.of(pid).cpu - before
        stop, stops = self.longest_stop()
        into.append(
            Cost(
                step=name,
                seconds=seconds,
                cpu=cpu,
                cpu_kubernetes=self._kubernetes() - cpu_kubernetes,
                cpu_flink=Usage.of(self._flink.pid).cpu - cpu_flink,
                peak=_peak(pid),
                flink=self._flink.requests().total() - requests,
                flink_bytes=self._flink.sent() - sent,
                kubernetes=dict(self.kubernetes(offset)),
                stop=stop,
                stops=stops,
            )
        )

    def kubernetes(self, offset: int) -> Counter[str]:
        """Requests of the operator by verb since that byte of the audit log; its Lease does not count."""
        events = self._control_plane.audit_events(offset)
        return Counter(each.verb for each in events if each.user == USER and each.resource != "leases")

    def longest_stop(self) -> tuple[float | None, float | None]:
        """The longest and the sum of the long stops since the last call, in CPU seconds."""
        if self._loop is None:
            return None, None
        self._loop.unlink(missing_ok=True)
        self._operator.process.signal(signal.SIGUSR2)
        until(self._loop.exists, "what the loop says")
        said = json.loads(self._loop.read_text())
        return said["longest"], said["long"]

    def _kubernetes(self) -> float:
        (server,) = (each for each in self._control_plane.processes if each.name == "kube-apiserver")
        return Usage.of(server.pid).cpu


def _peak(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
