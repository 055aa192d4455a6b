"""Which tests stay together in one worker, what they need there, and how long they take.

Pure but for reading the test files and `seconds.json`. A group is the unit of work of a worker: its tests share what is
expensive to start, so a group is never split. Nothing here changes what a test proves; a wrong figure costs time alone.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
SECONDS_FILE = Path(__file__).with_name("seconds.json")
"""Group → seconds it took in one worker; written by `make test PYTEST=--write-seconds`."""
_TARGET = re.compile(r"\bflink-\d+\.\d+\.\d+(-ha|-adaptive)?|\bsim-")
_WHOLE = ("chart", "crash", "gitops", "node")
"""Suites whose tests all share one expensive thing."""
_LABS = ("integration/", "cases/")
"""The suites of `tests.places.py`."""
_STARTED_FOR = {"spare_lab": "spare", "spare_flink": "spare", "every_flink": "oldest", "oldest_flink": "oldest"}
"""A word in a test file → the Flink cluster that its worker then starts besides its own."""
_GUESS = {"unit": 0.05, "model": 1.0}
"""Seconds of a test in a group that was never timed; elsewhere two."""


def suite_of(nodeid: str) -> str:
    """The folder of a test below `tests/`."""
    parts = nodeid.partition("::")[0].split("/")
    return parts[1] if len(parts) > 2 else parts[-1]


def group_of(nodeid: str) -> str:
    """The name of the group of a test."""
    path, _, test = nodeid.partition("::")
    suite = suite_of(nodeid)
    if suite in _WHOLE:
        return suite
    if suite == "static":
        return f"static: {test}"
    if suite == "contract" and (target := _TARGET.search(test)):
        return "contract: simulator" if target[0] == "sim-" else f"contract: {target[0]}"
    if suite == "unit":
        return path.rpartition("/")[0].removeprefix("tests/")
    return path.removeprefix("tests/")


@functools.cache
def needs_of(group: str) -> frozenset[str]:
    """The expensive things that a worker starts for a group and keeps to its end."""
    if group.startswith(_LABS):
        text = (TESTS / group).read_text()
        return frozenset(["lab", *(thing for word, thing in _STARTED_FOR.items() if word in text)])
    return frozenset(["crash"] if group == "crash" else ())


def seconds_of(group: str, tests: int) -> float:
    """How long a group of so many tests takes, in seconds."""
    known = _measured().get(group)
    return known if known is not None else tests * _GUESS.get(group.partition("/")[0], 2.0)


@functools.cache
def _measured() -> dict[str, float]:
    return dict(json.loads(SECONDS_FILE.read_text())) if SECONDS_FILE.exists() else {}
