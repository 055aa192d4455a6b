"""Runs one command and ends it when the process that asked for it is gone.

Started by `deploy.local.processes` as a script (not as a module: it must start in a few milliseconds and import
nothing else). Its standard input is a pipe held by the asking process and by nobody else, so the end of the pipe means
that process has ended, for whatever reason, SIGKILL included.

Invariants: the command never outlives this process (parent-death signal, Linux) nor the asking process (the pipe);
the first line on standard output is the command's process id; the exit code is the command's, 128 + n for signal n.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading

DEFAULT_GRACE_SECONDS = 3.0
PR_SET_PDEATHSIG = 1


def _die_with_supervisor() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(child: "subprocess.Popen[bytes]", grace: float) -> None:
    with contextlib.suppress(ProcessLookupError):
        if grace > 0:
            os.killpg(child.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(grace)
        os.killpg(child.pid, signal.SIGKILL)


def _watch(child: "subprocess.Popen[bytes]") -> None:
    """Waits for the end of the pipe; the last line before it, if any, is the grace time in seconds."""
    said = sys.stdin.readline().strip()
    _end(child, float(said) if said else DEFAULT_GRACE_SECONDS)


def main() -> None:
    """Arguments: the log file, then the command."""
    log_path, *command = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with open(log_path, "ab") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            restore_signals=True,
            preexec_fn=_child_setup,
        )
    print(child.pid, flush=True)
    threading.Thread(target=_watch, args=(child,), daemon=True).start()
    code = child.wait()
    os._exit(code if code >= 0 else 128 - code)


def _child_setup() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    _die_with_supervisor()


if __name__ == "__main__":
    main()
