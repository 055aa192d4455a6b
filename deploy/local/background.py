"""What keeps running after the command that started it: `make local-up`, `make node-up`, and their `-down`.

A process of its own (the holder) owns it and waits for SIGTERM. It holds a lock file as long as it lives,
so "is it running" is never guessed from a process id alone. Everything lies below one directory (`.local/`, `.local/node/`):
`env` (what `make run` and people source), `holder.log`, `holder.pid`, `processes`, `lock`, `environment/`.
"""

import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from deploy.local.environment import REPOSITORY
from deploy.local.processes import Process, ProcessFailed, tail, wait_until

START_TIMEOUT = 1_800.0
STOP_TIMEOUT = 30.0


class Held(Protocol):
    """What can be held: it runs for the time of a `with` block."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> Any: ...

    def variables(self) -> Mapping[str, str]:
        """What a person or a script needs to use it."""

    @property
    def processes(self) -> Sequence[Process]:
        """All that were started."""


@contextlib.contextmanager
def _holder_lock(root: Path) -> Iterator[bool]:
    """Tries to take the holder's lock; yields whether it was free."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def is_running(root: Path) -> bool:
    """Whether a holder lives, ready or not."""
    if not (root / "lock").exists():
        return False
    with _holder_lock(root) as free:
        return not free


def hold(root: Path, build: Callable[[Path], Held]) -> None:
    """Runs what `build` makes until SIGTERM or SIGINT: the body of the holder process.

    Raises:
        ProcessFailed: another holder lives.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with _holder_lock(root) as free:
        if not free:
            raise ProcessFailed(f"something runs already in {root}")
        (root / "holder.pid").write_text(str(os.getpid()))
        shutil.rmtree(root / "environment", ignore_errors=True)
        with build(root / "environment") as environment:
            lines = (f"{name}={shlex.quote(value)}\n" for name, value in environment.variables().items())
            processes = (f"{p.name} {p.pid} {p.log}\n" for p in environment.processes)
            (root / "processes").write_text("".join(processes))
            (root / "env.new").write_text("".join(lines))
            (root / "env.new").rename(root / "env")
            ended.wait()
        (root / "env").unlink(missing_ok=True)


def start(root: Path, arguments: Sequence[str], command: str = "hold") -> None:
    """Starts a holder in the background, passes its progress on, and returns when the environment is ready.

    Args:
        root: usually `.local/` of the checkout.
        arguments: of `python -m deploy.local` after the command.
        command: `hold` or `node-hold`.

    Raises:
        ProcessFailed: it ended or was not ready in time; the message holds the end of its log.
    """
    root.mkdir(parents=True, exist_ok=True)
    (root / "env").unlink(missing_ok=True)
    log = root / "holder.log"
    with log.open("wb") as output:
        holder = subprocess.Popen(
            [sys.executable, "-m", "deploy.local", command, "--root", str(root), *arguments],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    shown = 0

    def ready() -> bool:
        nonlocal shown
        text = log.read_text(errors="replace")
        sys.stderr.write(text[shown:])
        shown = len(text)
        if holder.poll() is not None:
            raise ProcessFailed(tail(log, 1).strip() or "the environment could not be started")
        return (root / "env").exists()

    try:
        wait_until(ready, timeout=START_TIMEOUT, what="environment", log=log)
    except BaseException:
        holder.terminate()
        raise


def stop(root: Path) -> bool:
    """Ends the holder and everything it started; returns whether there was one."""
    if not is_running(root):
        return False
    pid = int((root / "holder.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    while is_running(root):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            deadline += STOP_TIMEOUT
        time.sleep(0.05)
    (root / "env").unlink(missing_ok=True)
    return True


def process_table(root: Path) -> list[tuple[str, int, bool, str]]:
    """Name, process id, whether it runs, and log file of each process of the running environment."""
    if not (root / "processes").exists():
        return []
    rows = [line.split(" ", 2) for line in (root / "processes").read_text().splitlines()]
    return [(name, int(pid), _alive(int(pid)), log) for name, pid, log in rows]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
