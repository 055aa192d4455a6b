"""Random histories of a machine, with a number of steps in all."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

AT_ONCE = 50
"""Steps of a history."""


def run_histories(machine: type[RuleBasedStateMachine], steps: int) -> None:
    """Run histories until so many steps are tried: the same in each run, unless `FLINKJOB_MODEL_RANDOM` is set."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(steps // AT_ONCE, 1),
            stateful_step_count=AT_ONCE,
            deadline=None,
            derandomize="FLINKJOB_MODEL_RANDOM" not in os.environ,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
