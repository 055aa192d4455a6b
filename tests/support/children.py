"""Processes that a test starts and ends itself."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def child(command: Sequence[str | Path], **how: Any) -> Iterator[subprocess.Popen[Any]]:
    """A process, with the arguments of Popen. One that the test has not ended is killed: a failure never waits for it.

    Ctrl-C reaches it also where whatever started the tests ignores that.
    """

    def obey() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen([*command], preexec_fn=obey, **how) as process:
        try:
            yield process
        finally:
            process.kill()
