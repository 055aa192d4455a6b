"""How things look: the table of conditions of the API, the closed list of phases, what ticks."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flinkjob.api.flinkjob_status import FlinkJobStatus, Hold, RestartInfo
from flinkjob.api.words import HoldReason, OperationKind, RunResult
from flinkjob.core.flinkmodel import FlinkJobState, TriggerState
from flinkjob.core.model import ClusterSeen, JobDecision, JobSeen, Observation
from tests.support.inputs import (
    NOW,
    absent,
    ago,
    cluster,
    conditions,
    decide,
    deleted,
    digest,
    ended,
    flink_id,
    job,
    operation,
    present,
    run,
    seen,
    silent,
    spec,
    stats,
    triggered,
    unseen,
)

RUNNING = FlinkJobStatus(submission=run())
FOLLOWED = {"trigger": triggered(TriggerState.IN_PROGRESS)}
HOLD = Hold(reason=HoldReason.FAILED, since=ago(5), run_digest=digest())
WAITING = RestartInfo(attempts=1, next_time=NOW + timedelta(seconds=30), submission=1)


def _operation(kind: OperationKind, by: str) -> FlinkJobStatus:
    return replace(RUNNING, operation=operation(kind, by, parallelism=2))


@pytest.mark.parametrize(
    ("wanted", "status", "observation", "phase", "row"),
    [
        (spec(), FlinkJobStatus(submission=unseen()), seen(absent(0.1)), "Submitting", "Reconciling, health unknown"),
        (
            spec(),
            FlinkJobStatus(submission=run(running=False)),
            seen(present(tasks=0)),
            "Submitting",
            "Reconciling, health unknown",
        ),
        (
            spec(),
            _operation(OperationKind.STOP, "Upgrade"),
            seen(present(), **FOLLOWED),
            "Upgrading",
            "Reconciling, health unknown",
        ),
        (
            spec(),
            _operation(OperationKind.CANCEL, "Rollback"),
            seen(present()),
            "Upgrading",
            "Reconciling, health unknown",
        ),
        (
            spec(),
            _operation(OperationKind.STOP, "Move"),
            seen(present(), **FOLLOWED),
            "Moving",
            "Reconciling, health unknown",
        ),
        (spec(parallelism=2), _operation(OperationKind.RESCALE, "Scale"), seen(present()), None, None),
        (
            spec(state="Suspended"),
            _operation(OperationKind.STOP, "Suspend"),
            seen(present(), **FOLLOWED),
            "Suspending",
            "Reconciling, health unknown",
        ),
        (
            spec(),
            _operation(OperationKind.STOP, "FlinkSavepoint/x"),
            seen(present(), **FOLLOWED),
            "Suspending",
            "Reconciling, health unknown",
        ),
        (
            spec(state="Drained"),
            _operation(OperationKind.STOP, "Drain"),
            seen(present(), **FOLLOWED),
            "Draining",
            "Reconciling, health unknown",
        ),
        (
            spec(state="Cancelled"),
            _operation(OperationKind.CANCEL, "Cancel"),
            seen(present()),
            "Cancelling",
            "Reconciling, health unknown",
        ),
        (spec(), RUNNING, seen(present()), "Running", "Ready, healthy"),
        (spec(), RUNNING, seen(present(FlinkJobState.RESTARTING)), "Restarting", "Reconciling, unhealthy"),
        (spec(), RUNNING, seen(present(FlinkJobState.FAILING)), "Restarting", "Reconciling, unhealthy"),
        (spec(), RUNNING, seen(present(tasks=1)), "Restarting", "Reconciling, unhealthy"),
        (spec(), RUNNING, seen(JobSeen(), cluster=silent(5)), "Running", "Ready, healthy"),
        (spec(), RUNNING, seen(JobSeen(), cluster=silent(61)), "Unknown", "Ready unknown, health unknown"),
        (
            spec(),
            FlinkJobStatus(submission=ended(RunResult.FAILED, "file:/s"), restart=WAITING),
            seen(),
            "Restarting",
            "Reconciling, unhealthy",
        ),
        (
            spec(),
            FlinkJobStatus(submission=ended(RunResult.FAILED, "file:/s"), hold=HOLD),
            seen(),
            "Failed",
            "Stalled, unhealthy",
        ),
        (
            spec(),
            FlinkJobStatus(submission=ended(RunResult.STOPPED, "file:/s"), hold=HOLD),
            seen(),
            "Held",
            "Stalled, unhealthy",
        ),
        (
            spec(restart={"policy": "Never"}),
            FlinkJobStatus(submission=ended(RunResult.FAILED)),
            seen(),
            "Failed",
            "Stalled, unhealthy",
        ),
        ({"jar": {}}, RUNNING, seen(present()), "Running", "Stalled, healthy"),
        (
            spec(state="Suspended"),
            FlinkJobStatus(submission=ended(RunResult.STOPPED, "file:/s")),
            seen(),
            "Suspended",
            "Ready, health unknown",
        ),
        (
            spec(state="Cancelled"),
            FlinkJobStatus(submission=ended(RunResult.CANCELLED)),
            seen(),
            "Cancelled",
            "Ready, health unknown",
        ),
        (
            spec(state="Drained"),
            FlinkJobStatus(submission=ended(RunResult.DRAINED, "file:/s")),
            seen(),
            "Drained",
            "Ready, health unknown",
        ),
        (spec(), FlinkJobStatus(submission=ended(RunResult.FINISHED)), seen(), "Finished", "Ready, health unknown"),
        (spec(), FlinkJobStatus(), seen(cluster=silent(900)), "Pending", "Reconciling, health unknown"),
    ],
)
def test_the_table_of_conditions(
    wanted: dict[str, Any], status: FlinkJobStatus, observation: Observation, phase: str | None, row: str | None
) -> None:
    if phase is None:
        observation, phase, row = replace(observation, requirements={}), "Rescaling", "Reconciling, health unknown"
    decision = decide(job(wanted, status), observation)
    assert (decision.status.phase, conditions(decision)) == (phase, row)


@pytest.mark.parametrize("observation", [seen(present()), seen(JobSeen(), cluster=silent(900))])
def test_what_is_being_deleted_is_deleting(observation: Observation) -> None:
    decision = decide(job(status=RUNNING, **deleted()), observation)
    assert decision.status.phase == "Deleting"
    assert conditions(decision).partition(", ")[0] == "Reconciling"


def _reachable(decision: JobDecision) -> tuple[str, str]:
    condition = next(c for c in decision.status.conditions if c.type == "ClusterReachable")
    return condition.status, condition.message


def test_a_blip_is_not_written_and_a_silence_is() -> None:
    well = decide(job(status=RUNNING), seen(present()))
    assert _reachable(well) == ("True", "")
    blip = decide(job(status=well.status), seen(JobSeen(), cluster=silent(0.0)))
    assert _reachable(blip) == ("True", "")
    gone = decide(job(status=well.status), seen(JobSeen(), cluster=silent(3.0)))
    assert _reachable(gone) == ("False", "connection refused")
    other_words = cluster(reachable=False, error="timed out", unreachable_for=9.0)
    assert _reachable(decide(job(status=gone.status), seen(JobSeen(), cluster=other_words))) == (
        "False",
        "connection refused",
    )


@pytest.mark.parametrize(("silence", "again"), [(0.0, 2.0), (10.0, 10.0), (900.0, 30.0)])
def test_a_silent_cluster_is_looked_at_less_and_less_often(silence: float, again: float) -> None:
    assert decide(job(status=RUNNING), seen(JobSeen(), cluster=silent(silence))).requeue_after == again


def test_flinks_word_and_its_time_stay_while_nobody_answers() -> None:
    first = decide(job(status=RUNNING), seen(present()))
    later = decide(job(status=first.status), seen(JobSeen(), cluster=silent(90), now=NOW + timedelta(seconds=90)))
    assert later.status.job is not None
    assert (later.status.job.state, later.status.job.observed_time) == ("RUNNING", NOW)


def test_a_transition_has_its_time_once() -> None:
    first = decide(job(status=RUNNING), seen(present()))
    later = decide(job(status=first.status), seen(present(), now=NOW + timedelta(hours=1)))
    assert {c.last_transition_time for c in later.status.conditions} == {NOW}
    broken = decide(job(status=first.status), seen(present(FlinkJobState.RESTARTING), now=NOW + timedelta(hours=1)))
    changed = {c.type for c in broken.status.conditions if c.last_transition_time != NOW}
    assert changed == {"Ready", "Reconciling", "Healthy"}


def _suitable(there: ClusterSeen, wanted: dict[str, Any] | None = None) -> tuple[str, str]:
    decision = decide(job(wanted, RUNNING), seen(present(), cluster=there))
    condition = next(c for c in decision.status.conditions if c.type == "ClusterSuitable")
    return condition.status, condition.message


def test_advice_warns_and_requirements_forbid() -> None:
    assert _suitable(cluster(high_availability=True)) == ("True", "")
    assert "System.exit" in _suitable(cluster(high_availability=True, intercepts_exit=False))[1]
    assert "restart of the JobManager" in _suitable(cluster())[1]
    assert "checkpoint directory" in _suitable(cluster(checkpoint_directory=None))[1]
    own = spec(checkpoint={"directory": "file:///c"}, savepoints={"directory": "file:///s"})
    assert _suitable(cluster(high_availability=True, checkpoint_directory=None, savepoint_directory=None), own)[1] == ""
    needs = spec(cluster={"url": "http://flink:8081", "require": ["HighAvailability", "SavepointDirectory"]})
    state, message = _suitable(cluster(savepoint_directory=None), needs)
    assert state == "False"
    assert "HighAvailability" in message
    assert "SavepointDirectory" in message
    dropped = spec(
        cluster={"url": "http://flink:8081", "require": ["RetainedCheckpoints"]},
        checkpoint={"retention": "DeleteOnCancellation"},
    )
    assert _suitable(cluster(), dropped)[0] == "False"
    assert _suitable(cluster(allows_submission=False))[0] == "False"


def test_what_scale_needs_is_there() -> None:
    decision = decide(job(spec(parallelism=4), FlinkJobStatus(submission=run(parallelism=4))), seen(present()))
    assert (decision.status.parallelism, decision.status.selector) == (4, "flinkjob.dev/name=clicks")
    assert decision.status.cluster is not None
    assert decision.status.cluster.flink_version == "2.3.0"
    assert decision.status.job is not None
    assert decision.status.job.ui_url == f"http://flink:8081/#/job/{flink_id()}"


def test_a_message_of_any_length_is_one_line() -> None:
    trigger = triggered(TriggerState.FAILED, failure="boom\n" * 1000)
    status = replace(RUNNING, operation=operation(OperationKind.STOP, "Suspend"))
    decision = decide(job(spec(state="Suspended"), status), seen(present(), trigger=trigger, checkpoints=stats()))
    for condition in decision.status.conditions:
        assert "\n" not in condition.message
        assert len(condition.message) <= 512
