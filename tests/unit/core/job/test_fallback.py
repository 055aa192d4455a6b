"""A stop that takes too long: when its time is up, how that is told, and what is done about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flinkjob.api.enums import OperationKind, RunResult
from flinkjob.api.flinkjob_status import FlinkJobStatus, Operation
from flinkjob.core.actions import CancelJob
from flinkjob.core.flinkmodel import CheckpointConfig, CheckpointKind, CheckpointStatus, FlinkJobState, TriggerState
from flinkjob.core.model import JobDecision
from tests.support.inputs import (
    acts,
    ago,
    chk,
    decide,
    directory,
    job,
    operation,
    present,
    run,
    seen,
    spec,
    stats,
    triggered,
)
from tests.support.inputs import told as events

RETAINED = CheckpointConfig(timeout_ms=600_000, retained_on_cancellation=True)
QUICK = replace(RETAINED, timeout_ms=30_000)
WRITING = triggered(TriggerState.IN_PROGRESS)
MINUTE = {"upgrade": {"timeout": "1m"}, "savepoints": {"timeout": "1m"}}


def _round(
    wanted: dict[str, Any], stop: Operation, config: CheckpointConfig | None = QUICK, **fields: Any
) -> JobDecision:
    fields = {"trigger": WRITING, "checkpoints": stats(chk(8))} | fields
    status = FlinkJobStatus(submission=run(), operation=stop)
    return decide(job(spec(**wanted), status), seen(present(), checkpoint_config=config, **fields))


def _stop(seconds: float, by: str = "Upgrade", **fields: Any) -> Operation:
    return operation(OperationKind.STOP, by, since=ago(seconds), **fields)


@pytest.mark.parametrize(
    ("by", "seconds", "wanted", "config", "late"),
    [
        ("Upgrade", 599.0, {}, QUICK, False),  # the default is ten minutes
        ("Upgrade", 601.0, {}, QUICK, True),
        ("Upgrade", 601.0, {}, RETAINED, False),  # at least the job's checkpoint timeout and a minute
        ("Upgrade", 661.0, {}, RETAINED, True),
        ("Upgrade", 601.0, {}, None, False),  # not known: Flink's default
        ("Upgrade", 661.0, {}, None, True),
        ("Move", 91.0, MINUTE, QUICK, True),
        ("Upgrade", 89.0, MINUTE, QUICK, False),
        ("Upgrade", 91.0, {"savepoints": {"timeout": "1m"}}, QUICK, False),
        ("Suspend", 91.0, {"savepoints": {"timeout": "1m"}}, QUICK, True),
        ("Drain", 91.0, {"savepoints": {"timeout": "1m"}}, QUICK, True),
        ("Suspend", 91.0, {"upgrade": {"timeout": "1m"}}, QUICK, False),
        ("FlinkSavepoint/s", 9999.0, MINUTE, QUICK, False),  # its own timeout counts
    ],
)
def test_when_the_time_of_a_stop_is_up(
    by: str, seconds: float, wanted: dict[str, Any], config: CheckpointConfig | None, late: bool
) -> None:
    decision = _round(wanted, _stop(seconds, by), config)
    assert ("Timeout" in events(decision)) == late
    assert decision.status.operation is not None
    assert decision.status.operation.overdue is late
    assert "CancelJob" not in acts(decision)  # the status is written first


def test_it_is_told_once_and_shown_as_long_as_it_lasts() -> None:
    wanted = MINUTE | {"upgrade": {"timeout": "1m", "fallback": "Wait"}}
    first = _round(wanted, _stop(91.0))
    assert first.status.operation is not None
    second = _round(wanted, first.status.operation)
    assert events(second) == []
    for decision in (first, second):
        assert decision.status.plan is not None
        assert decision.status.plan.reason == "Timeout"
        assert "Flink may still complete it" in (decision.status.plan.message or "")


@pytest.mark.parametrize(
    ("by", "fallback", "fields", "cancels"),
    [
        ("Upgrade", "LastState", {}, True),
        ("Move", "LastState", {}, True),
        ("Suspend", "LastState", {}, True),
        ("Drain", "LastState", {}, False),  # a drain without its savepoint is none
        ("Upgrade", "Wait", {}, False),
        ("Upgrade", "Fail", {}, False),
        ("Upgrade", "LastState", {"checkpoints": stats()}, False),
        ("Upgrade", "LastState", {"config": replace(QUICK, retained_on_cancellation=False)}, False),
    ],
)
@pytest.mark.parametrize("forgotten", [False, True])
def test_what_is_done_about_it(by: str, fallback: str, fields: dict[str, Any], cancels: bool, forgotten: bool) -> None:
    """Also where Flink has forgotten the trigger and the savepoint is still being written."""
    if forgotten:
        writing = chk(9, CheckpointKind.SYNC_SAVEPOINT, f"{directory()}/s", status=CheckpointStatus.IN_PROGRESS)
        known = fields.get("checkpoints", stats(chk(8))).history
        fields = fields | {"trigger": triggered(TriggerState.FORGOTTEN), "checkpoints": stats(writing, *known)}
    decision = _round({"upgrade": {"fallback": fallback}}, _stop(700.0, by, overdue=True), **fields)
    assert any(isinstance(action, CancelJob) for action in decision.actions) is cancels
    assert decision.status.operation is not None
    assert decision.status.operation.kind is (OperationKind.CANCEL if cancels else OperationKind.STOP)
    assert decision.status.operation.by == by


@pytest.mark.parametrize("state", [FlinkJobState.CANCELED, FlinkJobState.FINISHED])
def test_a_savepoint_that_completes_before_the_cancel_is_the_state(state: FlinkJobState) -> None:
    made = chk(9, CheckpointKind.SYNC_SAVEPOINT, f"{directory()}/savepoint-1")
    status = FlinkJobStatus(submission=run(), operation=operation(OperationKind.CANCEL, "Upgrade"))
    decision = decide(
        job(spec(args=["2"]), status), seen(present(state, terminal_for=8.0), checkpoints=stats(made, chk(8)))
    )
    assert decision.status.history[0].result is RunResult.CANCELLED
    assert decision.status.submission is not None
    assert (decision.status.submission.number, decision.status.submission.restored_from) == (2, made.external_path)


def test_with_fallback_fail_a_stop_that_took_too_long_is_not_repeated() -> None:
    wanted = spec(args=["2"], **MINUTE | {"upgrade": {"timeout": "1m", "fallback": "Fail"}})
    there = {"checkpoint_config": QUICK, "checkpoints": stats(chk(8))}
    before = job(wanted, FlinkJobStatus(submission=run(), operation=_stop(91.0)))
    late = decide(before, seen(present(), trigger=WRITING, **there))
    failed = decide(
        replace(before, status=late.status), seen(present(), trigger=triggered(TriggerState.FAILED), **there)
    )
    assert failed.status.operation is None
    rest = decide(replace(before, status=failed.status), seen(present(), now=ago(-60), **there))
    assert acts(rest) == []
    assert rest.status.plan is not None
    assert (rest.status.plan.step, rest.status.plan.reason) == ("Hold", "SavepointFailed")
