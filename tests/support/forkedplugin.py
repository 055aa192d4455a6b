"""`kubectl flinkjob` without the start of Python for each call: the same program, forked from a process that has imported it.

Used where a test calls it often. `ForkedPlugin` puts a program `kubectl-flinkjob` into a directory, which kubectl finds where
that is on the PATH; run as a program, this file is the process that forks.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Self

from deploy.local.environment import REPOSITORY
from deploy.local.processes import Process

LONGEST = 1 << 20
"""Bytes of a call: its arguments and the environment."""
_CALL = """#!{python} -IS
import json, os, socket, sys
there = socket.socket(socket.AF_UNIX)
there.connect({at!r})
call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(there, [call], [0, 1, 2])
sys.exit(int(there.recv(16) or b"1"))
"""


class ForkedPlugin:
    """The process that forks; a context manager.

    Args:
        directory: for the program, which the path of must be short.
    """

    def __init__(self, directory: Path) -> None:
        self._at = directory / "plugin.socket"
        program = directory / "kubectl-flinkjob"
        program.write_text(_CALL.format(python=sys.executable, at=str(self._at)))
        program.chmod(0o755)
        self._process = Process(
            "plugin",
            [sys.executable, "-m", "tests.support.forkedplugin", str(self._at)],
            log=directory / "plugin.log",
            env={"PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}"},
            cwd=REPOSITORY,
        )

    def __enter__(self) -> Self:
        self._process.wait_ready(self._at.exists, timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop(grace=0)


def serve(at: Path) -> None:
    """Fork for each call, until the process is ended."""
    import flinkjob.cli.main
    import flinkjob.flink.view
    import flinkjob.kube.following  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"{at}.new")
    listening.listen(8)
    Path(f"{at}.new").rename(at)
    while True:
        there, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            there.sendall(str(_called(there)).encode())
            os._exit(0)
        there.close()


def _called(there: socket.socket) -> int:
    """Run a call with the caller's streams; returns its exit code."""
    from flinkjob import plugin

    call, streams, _, _ = socket.recv_fds(there, LONGEST, 3)
    arguments, directory, environment = json.loads(call)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    sys.stdin, sys.stdout, sys.stderr = open(0, encoding="utf-8"), open(1, "w"), open(2, "w")  # noqa: SIM115
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["kubectl-flinkjob", *arguments]
    try:
        plugin.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    except Exception:  # noqa: BLE001  (as Python does at the end of a program)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 1


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
