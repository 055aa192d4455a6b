"""What needs no test to run: style, types, layers, dead code, generated files. `make check` runs it with the unit tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
CHECKS: dict[str, Sequence[str | Path]] = {
    "style": (BIN / "ruff", "check", "."),
    "format": (BIN / "ruff", "format", "--check", "."),
    "types": (BIN / "mypy",),
    "layers": (BIN / "lint-imports",),
    "crds": (sys.executable, "-m", "flinkjob.api.crd", "--check"),
    "generated": (sys.executable, "-m", "deploy.local.generated", "--check"),
}


@pytest.mark.parametrize("command", CHECKS.values(), ids=CHECKS)
def test_static(command: Sequence[str | Path]) -> None:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
