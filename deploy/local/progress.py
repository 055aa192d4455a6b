"""Progress lines on standard error for whatever takes longer than a few seconds.

On a terminal one line is written over and over; elsewhere (a log, continuous integration) there is a new one each 30 s.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from deploy.local.plan import Plan

ON_TERMINAL = 5.0
"""Seconds between two states of a step on a terminal; a shorter step is not worth a line."""
ELSEWHERE = 30.0
"""Seconds between two lines of a step where there is no terminal."""

plan = Plan()
"""What this process still has to make; commands fill it before they begin."""
_writing = threading.Lock()


class StepFailed(Exception):
    """A command of the preparation failed; the message holds the end of its output."""


def say(text: str) -> None:
    """One line for the person who waits; on a terminal it takes the place of the state of a running step."""
    _write(f"[local] {text}\n")


def _write(text: str) -> None:
    with _writing:
        sys.stderr.write(f"\r\x1b[K{text}" if sys.stderr.isatty() else text)
        sys.stderr.flush()


def _show(text: str) -> None:
    if sys.stderr.isatty():
        _write(f"[local] {text}"[: shutil.get_terminal_size().columns - 1])
    else:
        say(text)


def run_step(
    label: str,
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    packages: int = 0,
) -> str:
    """Runs a command to its end, saying now and then how long it has taken and what comes next; returns its output.

    Args:
        label: what it does; the label of its step in `plan` when it is planned.
        command: program and arguments.
        env: its environment; None: that of this process.
        cwd: its directory.
        packages: how many lines it will print, one for each package that it compiles; 0: unknown.

    Raises:
        StepFailed: the exit code is not 0.
    """
    plan.begin(label)
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(
            list(map(str, command)),
            env=dict(env) if env is not None else None,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process:
            try:
                _wait(process, label, started, output, packages)
            except BaseException:
                process.kill()
                raise
        said = _content(output).decode(errors="replace")
    elapsed = time.monotonic() - started
    if process.returncode:
        _write("")
        raise StepFailed(f"{label}: exit code {process.returncode}\n{said[-2000:]}")
    if elapsed > ON_TERMINAL:
        say(plan.line(label, f"done in {elapsed:.0f} s"))
    return said


def _wait(process: subprocess.Popen[bytes], label: str, started: float, output: IO[bytes], packages: int) -> None:
    every = ON_TERMINAL if sys.stderr.isatty() else ELSEWHERE
    while True:
        try:
            process.wait(timeout=every)
            return
        except subprocess.TimeoutExpired:
            detail = f"{time.monotonic() - started:.0f} s"
            if packages:
                made = _content(output).count(b"\n")
                detail += f", {made} of {packages} packages"
            _show(plan.line(label, detail))


def _content(output: IO[bytes]) -> bytes:
    """What was written so far, without moving the position, which the command shares."""
    return os.pread(output.fileno(), os.fstat(output.fileno()).st_size, 0)
