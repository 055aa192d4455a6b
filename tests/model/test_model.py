"""Random people, clusters and crashes against the real reconciler; whatever they do, the invariants hold."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Machine

STEPS = int(os.environ.get("FLINKJOB_MODEL_STEPS", "5000"))
"""How many steps are tried in all; `make soak` asks for more."""
AT_ONCE = 50


@pytest.mark.invariant(1, 2)
def test_the_invariants_hold() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=max(STEPS // AT_ONCE, 1),
            stateful_step_count=AT_ONCE,
            deadline=None,
            derandomize="FLINKJOB_MODEL_RANDOM" not in os.environ,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
