"""Real processes that end with the Python process that started them, even when that one is killed with SIGKILL.

Called by every component of the local environment. Each process is started through `supervisor.py`, has a log file in
the environment's directory, and is known by its process id, so that tests can send it signals.
"""

import collections
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

T = TypeVar("T")
SUPERVISOR = Path(__file__).with_name("supervisor.py")


class ProcessFailed(Exception):
    """A process could not be started, ended too early or did not become ready; the message names its log file."""


class Component:
    """Something that runs for the time of a `with` block; what a failing start had begun is ended too."""

    def start(self) -> None:
        """Starts it and waits until it is ready."""
        raise NotImplementedError

    def stop(self) -> None:
        """Ends it; harmless when it does not run."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log file, or nothing when there is none."""
    if not log.exists():
        return ""
    with log.open(errors="replace") as file:
        return "".join(collections.deque(file, lines))


def wait_until(
    attempt: Callable[[], T | None], *, timeout: float, what: str, log: Path | None = None, interval: float = 0.05
) -> T:
    """Calls `attempt` until it returns something true.

    Args:
        attempt: returns None or another false value for "not yet".
        timeout: seconds.
        what: what is waited for, used in the error.
        log: the log file whose end is part of the error.
        interval: seconds between the first attempts; after a longer wait a twentieth of it, up to 0.2 s.

    Raises:
        ProcessFailed: the time is over.
    """
    started = time.monotonic()
    while not (result := attempt()):
        waited = time.monotonic() - started
        if waited > timeout:
            end = f"; {log}:\n{tail(log)}" if log else ""
            raise ProcessFailed(f"{what}: not so after {timeout:.0f} s{end}")
        time.sleep(max(interval, min(waited / 20, 0.2)))
    return result


class Process:
    """One running command.

    Args:
        name: short name, used in messages.
        command: program and arguments.
        log: file that receives standard output and error; appended to.
        env: added to the environment of this process.
        cwd: working directory.

    Raises:
        ProcessFailed: the program does not exist or cannot be run.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._supervisor = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SUPERVISOR), str(log), *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
        assert self._supervisor.stdout is not None
        said = self._supervisor.stdout.readline().strip()
        if not said:
            _, error = self._supervisor.communicate()
            raise ProcessFailed(f"{name}: {(error.strip().splitlines() or ['could not be started'])[-1]}")
        self.pid = int(said)

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._supervisor.poll() is None

    @property
    def supervisor_pid(self) -> int:
        """The process id of the supervisor, for tests of the supervision itself."""
        return self._supervisor.pid

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process alone; nothing happens when it has ended."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, timeout: float = 30.0) -> int:
        """Waits for the end; returns the exit code (128 + n for signal n)."""
        try:
            code = self._supervisor.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ProcessFailed(f"{self.name}: still running after {timeout:.0f} s") from None
        self._close_pipes()
        return code

    def kill(self) -> None:
        """SIGKILL, and waits for the end."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self, grace: float = 10.0) -> None:
        """SIGTERM, SIGKILL after `grace` seconds (at once when 0), and waits for the end. Can be repeated."""
        if self.running and self._supervisor.stdin is not None:
            with contextlib.suppress(BrokenPipeError, ValueError):
                self._supervisor.stdin.write(f"{grace}\n")
                self._supervisor.stdin.flush()
        self.wait(grace + 60)

    def wait_ready(self, attempt: Callable[[], T | None], *, timeout: float, what: str = "ready") -> T:
        """`wait_until` that fails at once when the process ends."""

        def checked() -> T | None:
            if not self.running:
                code = self.wait()
                raise ProcessFailed(f"{self.name}: ended with {code}; {self.log}:\n{tail(self.log)}")
            return attempt()

        return wait_until(checked, timeout=timeout, what=f"{self.name} {what}", log=self.log)

    def _close_pipes(self) -> None:
        for pipe in (self._supervisor.stdin, self._supervisor.stdout, self._supervisor.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


class OneProcess(Component):
    """A component of one process, which is ended at once; what it has written to its directory stays.

    `start` sets `_process`.
    """

    _process: Process | None = None

    def stop(self) -> None:
        """Ends it; harmless when it does not run."""
        if self._process is not None:
            self._process.kill()

    @property
    def processes(self) -> tuple[Process, ...]:
        """The process that was started, if any."""
        return (self._process,) if self._process else ()
