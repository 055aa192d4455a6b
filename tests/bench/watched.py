"""`python -m tests.bench.watched FLAGS`: the operator, whose event loop says how long it stood still.

Started by `place.py`. The file named by FLINKJOB_BENCH_LOOP is written anew at each SIGUSR2, and the count begins anew. What
is counted is the processor time between two looks at the timers: a busy machine does not lengthen it, and it is the time in
which the loop served nobody else. What looks is a timer of 20 ms, 0.1 % of a core.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import flinkjob.__main__ as program
from flinkjob.net.resolver import ResolvingLoop

TICK = 0.02
LONG = 0.05


class WatchedLoop(ResolvingLoop):
    """An event loop with such a timer."""

    _looks = False

    def run_forever(self) -> None:
        """Begins to look, once."""
        if not self._looks:
            self._looks = True
            self._begin()
        super().run_forever()

    def _begin(self) -> None:
        self._begin_anew()
        self.add_signal_handler(signal.SIGUSR2, self._say)
        self._last = time.thread_time()
        self.call_later(TICK, self._look)

    def _begin_anew(self) -> None:
        self._longest = self._sum = 0.0

    def _look(self) -> None:
        now = time.thread_time()
        busy, self._last = now - self._last, now
        self._longest = max(self._longest, busy)
        self._sum += busy if busy > LONG else 0.0
        self.call_later(TICK, self._look)

    def _say(self) -> None:
        file = Path(os.environ["FLINKJOB_BENCH_LOOP"])
        new = file.with_suffix(".new")
        new.write_text(json.dumps({"longest": self._longest, "long": self._sum}))
        new.rename(file)
        self._begin_anew()


if __name__ == "__main__":
    setattr(program, "ResolvingLoop", WatchedLoop)  # noqa: B010 - the type checker is right in general
    sys.argv[0] = "flinkjob"
    program.main()
