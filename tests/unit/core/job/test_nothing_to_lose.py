"""A job that never got healthy, or that is bounded, can always be changed, suspended and deleted: a cancel loses nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flinkjob.api.enums import OperationKind
from flinkjob.api.failure_status import FailureInfo
from flinkjob.api.flinkjob_status import FlinkJobStatus, Plan
from flinkjob.core.errors import SavepointFailure
from flinkjob.core.flinkmodel import (
    CheckpointConfig,
    CheckpointKind,
    CheckpointStats,
    FlinkJobState,
    RestoredCheckpoint,
    TriggerState,
)
from flinkjob.core.model import JobDecision
from flinkjob.core.seen import JobSeen
from tests.support.inputs import (
    RUNNING,
    acts,
    ago,
    chk,
    decide,
    deleted,
    flink_id,
    job,
    operation,
    plan_of,
    present,
    run,
    seen,
    spec,
    stats,
    told,
    triggered,
)
from tests.support.tables import table

KEPT = CheckpointConfig(interval_ms=1000, retained=True, retained_on_cancellation=True)
DROPPED = CheckpointConfig(interval_ms=1000)
OFF = CheckpointConfig()
START = "file:///state/savepoints/savepoint-1"
FROM_START = RestoredCheckpoint(checkpoint_id=7, external_path="file:/state/savepoints/savepoint-1", is_savepoint=True)
FROM_ITS_OWN = RestoredCheckpoint(checkpoint_id=9, external_path="file:/state/checkpoints/chk-9")
CORRECTED: dict[str, Any] = {"args": ["--password", "right"]}
WISHES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "corrected": (spec(**CORRECTED), {}),
    "moved by last state": (spec(**CORRECTED, upgrade={"strategy": "LastState"}), {}),
    "suspended": (spec(state="Suspended"), {}),
    "deleted": (spec(), deleted()),
}

wishes = pytest.mark.parametrize(("wanted", "meta"), WISHES.values(), ids=WISHES)


def looped(
    wanted: dict[str, Any],
    meta: dict[str, Any],
    found: JobSeen,
    statistics: CheckpointStats,
    config: CheckpointConfig = KEPT,
    **fields: Any,
) -> JobDecision:
    """The decision about a job that ran once and started from a savepoint; `fields` change its run."""
    status = FlinkJobStatus(submission=run(restored_from=START, **fields))
    return decide(job(wanted, status, **meta), seen(found, checkpoints=statistics, checkpoint_config=config))


@wishes
@table(
    ("found", "statistics", "config"),
    "its tasks restart, nothing is complete",
    (present(FlinkJobState.RESTARTING), stats(), KEPT),
    "half of its tasks run, and it was restored from its own start",
    (present(tasks=1), stats(restored=FROM_START), KEPT),
    "it never checkpoints",
    (present(FlinkJobState.RESTARTING), stats(), OFF),
)
def test_it_is_cancelled_at_once(
    wanted: dict[str, Any], meta: dict[str, Any], found: JobSeen, statistics: CheckpointStats, config: CheckpointConfig
) -> None:
    decision = looped(wanted, meta, found, statistics, config)
    assert acts(decision) == ["CancelJob"]
    assert decision.status.operation is not None
    assert decision.status.operation.kind is OperationKind.CANCEL
    assert ("SavepointSkipped" in told(decision)) == (wanted.get("upgrade", {}).get("strategy") != "LastState")


@wishes
@table(
    ("found", "statistics", "config"),
    "a checkpoint is complete",
    (present(FlinkJobState.RESTARTING), stats(chk(8)), replace(KEPT, retained_on_cancellation=False)),
    "a savepoint is complete",
    (present(tasks=1), stats(chk(8, CheckpointKind.SAVEPOINT)), replace(KEPT, retained_on_cancellation=False)),
    "a new JobManager restored a checkpoint of its own",
    (present(tasks=1), stats(restored=FROM_ITS_OWN), KEPT),
    "a new JobManager has not restored yet",
    (present(FlinkJobState.CREATED), stats(), KEPT),
    "a checkpoint that completes meanwhile would be lost",
    (present(FlinkJobState.RESTARTING), stats(), DROPPED),
)
def test_what_may_have_state_is_not_cancelled(
    wanted: dict[str, Any], meta: dict[str, Any], found: JobSeen, statistics: CheckpointStats, config: CheckpointConfig
) -> None:
    assert acts(looped(wanted, meta, found, statistics, config)) == []


LOOP = FailureInfo(time=ago(1), job_id=flink_id(), root_cause="IllegalStateException: wrong password", recent=3)
MISSING = Plan(step="Stop", reason="WaitingForTasks", since=ago(11))


@pytest.mark.report("crash-loop-not-retained")
@wishes
@table(
    ("failure", "plan", "statistics", "cancelled"),
    "it failed for the third time",
    (LOOP, None, stats(), True),
    "its tasks are away for long",
    (None, MISSING, stats(), True),
    "it failed for the second time",
    (replace(LOOP, recent=2), None, stats(), False),
    "it has run well since",
    (replace(LOOP, recovered_time=ago(300)), None, stats(), False),
    "an earlier run has failed so often",
    (replace(LOOP, job_id=flink_id(7)), None, stats(), False),
    "a checkpoint is complete",
    (LOOP, MISSING, stats(chk(8)), False),
)
def test_whose_checkpoints_are_not_retained_is_cancelled_once_that_is_no_accident(
    wanted: dict[str, Any],
    meta: dict[str, Any],
    failure: FailureInfo | None,
    plan: Plan | None,
    statistics: CheckpointStats,
    cancelled: bool,
) -> None:
    status = FlinkJobStatus(submission=run(restored_from=START), last_failure=failure, plan=plan)
    found = seen(present(FlinkJobState.RESTARTING), checkpoints=statistics, checkpoint_config=DROPPED)
    decision = decide(job(wanted, status, **meta), found)
    by_last_state = wanted.get("upgrade", {}).get("strategy") == "LastState"
    assert acts(decision) == (["CancelJob"] if cancelled else [])
    assert ("SavepointSkipped" in told(decision)) == (cancelled and not by_last_state)


@pytest.mark.parametrize("name", ["corrected", "suspended"])
def test_whose_checkpoints_are_not_kept_waits_for_its_tasks_and_names_the_ways_out(name: str) -> None:
    status = FlinkJobStatus(submission=run(), last_failure=LOOP, plan=MISSING)
    found = seen(present(FlinkJobState.RESTARTING), checkpoints=stats(chk(8)), checkpoint_config=DROPPED)
    decision = decide(job(WISHES[name][0], status), found)
    assert plan_of(decision) == ("Stop", "WaitingForTasks")
    assert decision.status.plan is not None
    message = decision.status.plan.message or ""
    for words in ("upgrade.strategy", "state Cancelled", "initialState.nonce", "wrong password"):
        assert words in message


def test_a_deletion_that_waits_for_tasks_says_until_when_and_how_to_end_it() -> None:
    status = FlinkJobStatus(submission=run(), last_failure=LOOP, plan=MISSING)
    found = seen(present(FlinkJobState.RESTARTING), checkpoints=stats(chk(8)), checkpoint_config=DROPPED)
    decision = decide(job(spec(savepoints={"timeout": "5m"}), status, **deleted()), found)
    assert plan_of(decision) == ("Stop", "WaitingForTasks")
    assert decision.status.plan is not None
    message = decision.status.plan.message or ""
    assert "cancelled at 12:05:59 UTC" in message
    assert 'flinkjob.dev/force-delete: "true"' in message


def test_a_drain_is_not_cut_short_by_a_restart() -> None:
    assert acts(looped(spec(state="Drained"), {}, present(tasks=1), stats())) == []


@wishes
def test_a_bounded_job_is_cancelled_while_its_tasks_run(wanted: dict[str, Any], meta: dict[str, Any]) -> None:
    assert acts(looped(wanted, meta, present(), stats(), OFF, bounded=True)) == ["CancelJob"]


@pytest.mark.parametrize(
    ("wanted", "meta", "by"), [(spec(**CORRECTED), {}, "Upgrade"), (spec(), deleted(), "Deletion")]
)
def test_that_it_is_bounded_is_known_from_the_first_stop(wanted: dict[str, Any], meta: dict[str, Any], by: str) -> None:
    failed = triggered(
        TriggerState.FAILED, failure="Job is not a streaming job.", failure_kind=SavepointFailure.NOT_STREAMING
    )
    status = FlinkJobStatus(submission=run(), operation=operation(OperationKind.STOP, by))
    first = decide(job(wanted, status, **meta), seen(present(), trigger=failed, checkpoint_config=OFF))
    assert first.status.submission is not None
    assert first.status.submission.bounded
    second = decide(job(wanted, first.status, **meta), seen(present(), checkpoint_config=OFF))
    assert acts(second) == ["CancelJob"]


@table(
    ("plan", "history", "actions"),
    "one stop has failed: it is tried again",
    (Plan(step="Stop", reason="SavepointFailed", since=ago(9), attempts=1), (chk(8),), ["StopJob"]),
    "two stops have failed: the checkpoint keeps the state",
    (Plan(step="Stop", reason="SavepointFailed", since=ago(9), attempts=2), (chk(8),), ["CancelJob"]),
    "two stops have failed, and nothing is kept: it is tried until the deadline",
    (Plan(step="Stop", reason="SavepointFailed", since=ago(9), attempts=2), (), ["StopJob"]),
    "tasks were missing for long: the checkpoint keeps the state",
    (Plan(step="Stop", reason="WaitingForTasks", since=ago(11)), (chk(8),), ["CancelJob"]),
    "tasks were missing for a moment: the stop goes on",
    (Plan(step="Stop", reason="WaitingForTasks", since=ago(5)), (chk(8),), ["StopJob"]),
)
def test_a_deletion_falls_back_to_a_retained_checkpoint(
    plan: Plan, history: tuple[Any, ...], actions: list[str]
) -> None:
    status = replace(RUNNING, plan=plan)
    observation = seen(present(), checkpoints=stats(*history), checkpoint_config=KEPT)
    assert acts(decide(job(spec(), status, **deleted()), observation)) == actions


def test_failed_stops_are_counted_over_missing_tasks() -> None:
    before = Plan(step="Stop", reason="SavepointFailed", since=ago(9), attempts=1)
    observation = seen(present(tasks=1), checkpoints=stats(chk(8)), checkpoint_config=KEPT)
    decision = decide(job(spec(), replace(RUNNING, plan=before), **deleted()), observation)
    assert plan_of(decision) == ("Stop", "WaitingForTasks")
    assert decision.status.plan is not None
    assert decision.status.plan.attempts == 1


def test_a_job_that_must_wait_names_the_ways_out() -> None:
    before = Plan(step="Stop", reason="Upgrading", since=ago(9), attempts=2)
    status = FlinkJobStatus(submission=run(), operation=operation(), plan=before)
    failed = triggered(TriggerState.FAILED, failure="the disk is full")
    decision = decide(job(spec(**CORRECTED), status), seen(present(), trigger=failed, checkpoint_config=KEPT))
    assert decision.status.plan is not None
    message = decision.status.plan.message or ""
    for way in ("upgrade.strategy", "state Cancelled", "initialState.nonce", "force-delete", "the disk is full"):
        assert way in message
