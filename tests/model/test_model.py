"""Random people, clusters and crashes against the real reconciler; whatever they do, the invariants hold."""

from __future__ import annotations

import os

import pytest

from tests.model.histories import run_histories
from tests.model.machine import Machine

STEPS = int(os.environ.get("FLINKJOB_MODEL_STEPS", "5000"))
"""How many steps are tried in all; `make soak` asks for more."""


@pytest.mark.invariant(1, 2)
def test_the_invariants_hold() -> None:
    run_histories(Machine, STEPS)
