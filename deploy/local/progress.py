"""Progress lines on standard error for whatever takes longer than a few seconds."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_EVERY_SECONDS = 5.0


class StepFailed(Exception):
    """A command of the preparation failed; the message holds the end of its output."""


def say(text: str) -> None:
    """One line for the person who waits."""
    print(f"[local] {text}", file=sys.stderr, flush=True)


def run_step(
    label: str, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """Runs a command to its end, printing `label` and the elapsed seconds now and then; returns its output.

    Raises:
        StepFailed: the exit code is not 0.
    """
    started = time.monotonic()
    last: str | None = None
    with subprocess.Popen(
        list(map(str, command)),
        env=dict(env) if env is not None else None,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            while last is None:
                try:
                    last, _ = process.communicate(timeout=_EVERY_SECONDS)
                except subprocess.TimeoutExpired:
                    say(f"{label} … {time.monotonic() - started:.0f} s")
        except BaseException:
            process.kill()
            raise
    elapsed = time.monotonic() - started
    if process.returncode:
        raise StepFailed(f"{label}: exit code {process.returncode}\n{last[-2000:]}")
    if elapsed > _EVERY_SECONDS:
        say(f"{label}: done in {elapsed:.0f} s")
    return last
