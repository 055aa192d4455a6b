"""`make test-all`: what `make test` leaves out, each stage as a process of its own, and a table of how long it took.

All stories at all fault points and every supported Flink, long random histories of the model, random foreign input, ten
minutes of chaos, the benchmarks' small cases. Goes on after a stage that fails; the exit code is 0 only when all passed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PYTEST = (str(Path(sys.executable).parent / "pytest"),)


@dataclass(frozen=True)
class Stage:
    """A command with more environment variables."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


STAGES = (
    Stage(
        "every test, every story, every Flink",
        (*PYTEST, "tests", "--ignore", "tests/bench", "-n", "auto", "--everything"),
        {"FLINKJOB_CONTRACT_VERSIONS": "all"},
    ),
    Stage(
        "random histories of the model",
        (*PYTEST, "-q", "tests/model/test_model.py"),
        {"FLINKJOB_MODEL_STEPS": "100000", "FLINKJOB_MODEL_RANDOM": "1"},
    ),
    Stage(
        "random foreign input, a minute for each reader",
        (*PYTEST, "-q", "tests/fuzz", "-n", "2"),
        {"FLINKJOB_FUZZ_SECONDS": "60"},
    ),
    Stage("chaos for ten minutes", (sys.executable, "-m", "tests.chaos", "--seconds", "600")),
    Stage("small benchmarks", (*PYTEST, "tests/bench"), {"FLINKJOB_BENCH": "small"}),
)


def main() -> int:
    """Returns the exit code."""
    rows: list[tuple[str, int, float]] = []
    for number, stage in enumerate(STAGES, 1):
        print(f"=== {number} of {len(STAGES)}: {stage.name}", flush=True)
        started = time.monotonic()
        done = subprocess.run(stage.command, cwd=REPOSITORY, env={**os.environ, **stage.environment}, check=False)
        rows.append((stage.name, done.returncode, time.monotonic() - started))
    print("=== make test-all")
    for name, code, seconds in rows:
        print(f"{name:40} {'passed' if code == 0 else 'FAILED':8} {seconds / 60:6.1f} min")
    return int(any(code for _, code, _ in rows))


if __name__ == "__main__":
    sys.exit(main())
