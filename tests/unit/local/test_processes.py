"""Processes of the local environment end with whoever started them, and say how they ended."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.environment import REPOSITORY
from deploy.local.processes import Process, ProcessFailed, wait_until
from tests.support.children import child

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]
PARENT = """
import signal, sys
from pathlib import Path
from deploy.local.processes import Process
started = [Process(f"sleep{i}", ["sleep", "600"], log=Path(sys.argv[1]) / f"{i}.log") for i in range(2)]
print(*(p.pid for p in started), *(p.supervisor_pid for p in started), flush=True)
signal.pause()
"""


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"


def test_the_exit_code_and_the_output_are_kept(tmp_path: Path) -> None:
    process = Process("talk", [sys.executable, "-c", "print('hello'); raise SystemExit(7)"], log=tmp_path / "log")
    assert process.wait() == 7
    assert (tmp_path / "log").read_text() == "hello\n"
    assert not process.running


def test_a_signal_is_told_as_128_plus_its_number(tmp_path: Path) -> None:
    process = Process("sleep", SLEEP, log=tmp_path / "log")
    process.signal(signal.SIGINT)
    process.kill()
    assert process.wait() in (128 + signal.SIGINT, 128 + signal.SIGKILL)


def test_stop_kills_a_process_that_ignores_sigterm(tmp_path: Path) -> None:
    process = Process("stubborn", STUBBORN, log=tmp_path / "log")
    process.wait_ready(lambda: (tmp_path / "log").read_text(), timeout=10)
    process.stop(grace=0.2)
    assert process.wait() == 128 + signal.SIGKILL
    process.stop()


def test_a_program_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match=r"^nothing: .*No such file.*$"):
        Process("nothing", ["/does/not/exist"], log=tmp_path / "log")


def test_waiting_fails_at_once_when_the_process_has_ended(tmp_path: Path) -> None:
    process = Process("short", [sys.executable, "-c", "print('last words')"], log=tmp_path / "log")
    with pytest.raises(ProcessFailed, match="last words"):
        process.wait_ready(lambda: None, timeout=60)


def test_all_end_when_the_parent_is_killed(tmp_path: Path) -> None:
    with child([sys.executable, "-c", PARENT, tmp_path], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 4
        assert not any(map(gone, pids))
        parent.kill()
        wait_until(lambda: all(map(gone, pids)), timeout=10, what=f"end of {pids}")


def test_it_ends_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    process = Process("sleep", SLEEP, log=tmp_path / "log")
    os.kill(process.supervisor_pid, signal.SIGKILL)
    wait_until(lambda: gone(process.pid), timeout=10, what="end of the process")
    process.stop()
