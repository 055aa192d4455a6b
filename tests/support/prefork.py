"""Starts operators by forking a process that has imported everything already: in a tenth of a second, and the same program.

Used by the suites that start many operators. `Prefork` is the test's side; run as a program, this file is the process that
forks. Every operator is a process of its own that can be killed; it ends with the process that forks, which ends with the
test.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

from deploy.local.processes import Process, ProcessFailed, tail, wait_until

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1


class Prefork:
    """The process that forks; a context manager.

    Args:
        directory: for its socket and its log; the path must be short.
        repository: the working directory of all operators.
    """

    def __init__(self, directory: Path, repository: Path) -> None:
        self._socket = directory / "fork"
        self._process = Process(
            "prefork",
            [sys.executable, "-m", "tests.support.prefork", str(self._socket)],
            log=directory / "prefork.log",
            env={"PYTHONPATH": f"{repository / 'operator'}:{repository}"},
            cwd=repository,
        )

    def __enter__(self) -> Self:
        self._process.wait_ready(self._socket.exists, timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop(grace=0)

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Forked:
        """A new operator with these flags."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(self._socket))
        wish = {"arguments": list(arguments), "environment": dict(environment), "log": str(log)}
        connection.sendall(json.dumps(wish).encode() + b"\n")
        return Forked(connection, log)


class Forked:
    """One operator; the same methods as `deploy.local.processes.Process` where they are needed."""

    def __init__(self, connection: socket.socket, log: Path) -> None:
        self.log = log
        self._connection = connection
        self._answers = connection.makefile()
        self.pid = int(self._answers.readline())
        self._code: int | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name=f"operator {self.pid}", daemon=True).start()

    def _watch(self) -> None:
        said = self._answers.readline()
        self._code = int(said) if said else 128 + signal.SIGKILL
        self._answers.close()
        self._connection.close()
        self._ended.set()

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return not self._ended.is_set()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal; nothing happens when it has ended."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, timeout: float = 30.0) -> int:
        """Waits for the end; returns the exit code (128 + n for signal n). Raises ProcessFailed."""
        if not self._ended.wait(timeout):
            raise ProcessFailed(f"operator: still running after {timeout:.0f} s; {self.log}:\n{tail(self.log)}")
        assert self._code is not None
        return self._code

    def kill(self) -> None:
        """SIGKILL, and waits for the end."""
        self.signal(signal.SIGKILL)
        self.wait()

    def wait_ready(self, attempt: Callable[[], T | None], *, timeout: float) -> T:
        """Waits until `attempt` returns something true; fails at once when the process ends."""

        def checked() -> T | None:
            if not self.running:
                raise ProcessFailed(f"operator: ended with {self.wait()}; {self.log}:\n{tail(self.log)}")
            return attempt()

        return wait_until(checked, timeout=timeout, what="operator ready", log=self.log, interval=0.02)


def main(path: str) -> None:
    """Import the operator, then fork one for each connection."""
    from flinkjob.__main__ import main as operator

    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path + ".new")
    server.listen(16)
    os.rename(path + ".new", path)
    own = os.getpid()
    watched: dict[int, tuple[int, socket.socket]] = {}
    wanted = select.poll()
    wanted.register(server, select.POLLIN)
    while True:
        for ready, _ in wanted.poll():
            if ready != server.fileno():
                wanted.unregister(ready)
                _tell(ready, *watched.pop(ready))
                continue
            connection, _ = server.accept()
            with connection.makefile() as lines:
                wish = json.loads(lines.readline())
            pid = os.fork()
            if pid == 0:
                ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != own:
                    os._exit(1)
                server.close()
                connection.close()
                for other, (_, its_connection) in watched.items():
                    os.close(other)
                    its_connection.close()
                _become(wish, operator)
            end = os.pidfd_open(pid)
            watched[end] = pid, connection
            wanted.register(end, select.POLLIN)
            with contextlib.suppress(OSError):
                connection.sendall(f"{pid}\n".encode())


def _tell(end: int, pid: int, connection: socket.socket) -> None:
    """Tell the test with which code a process ended."""
    os.close(end)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(OSError):
        connection.sendall(f"{code if code >= 0 else 128 - code}\n".encode())
    connection.close()


def _become(wish: dict[str, object], operator: Callable[[], None]) -> None:
    arguments, environment = wish["arguments"], wish["environment"]
    assert isinstance(arguments, list)
    assert isinstance(environment, dict)
    log = os.open(str(wish["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(environment)
    sys.argv[1:] = arguments
    code = 0
    try:
        operator()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1])
