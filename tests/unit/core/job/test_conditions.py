"""How things look: the table of conditions of the API, the closed list of phases, what ticks."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flinkjob.api.enums import HoldReason, OperationKind, RunResult, SnapshotKind
from flinkjob.api.failure_status import RestartInfo
from flinkjob.api.flinkjob_status import FlinkJobStatus, Hold, Submission
from flinkjob.core.flinkmodel import FlinkJobState, TriggerState
from flinkjob.core.identity import digest_of
from flinkjob.core.model import JobDecision
from flinkjob.core.seen import JobSeen
from tests.support.inputs import (
    NOW,
    RUNNING,
    UNKNOWN,
    World,
    absent,
    ago,
    cluster,
    conditions,
    decide,
    deleted,
    digest,
    ended,
    flink_id,
    graph,
    job,
    operation,
    present,
    run,
    seen,
    silent,
    spec,
    stats,
    told,
    triggered,
    unseen,
)
from tests.support.tables import table

STOPPING = seen(present(), trigger=triggered(TriggerState.IN_PROGRESS))
SAVEPOINT = "file:/s"
HOLD = Hold(reason=HoldReason.FAILED, since=ago(5), run_digest=digest())
WAITING = RestartInfo(attempts=1, next_time=NOW + timedelta(seconds=30), submission=1)


def _run(submission: Submission, **fields: Any) -> FlinkJobStatus:
    return FlinkJobStatus(submission=submission, **fields)


def _operation(kind: OperationKind, by: str, **fields: Any) -> FlinkJobStatus:
    return replace(RUNNING, operation=operation(kind, by, parallelism=2, **fields))


@table(
    ("wanted", "status", "observation", "phase", "said"),
    "submitted and not seen yet: Submitting",
    (spec(), _run(unseen()), seen(absent(0.1)), "Submitting", "Reconciling, health unknown"),
    "not all tasks have run yet: Submitting",
    (spec(), _run(run(running=False)), seen(present(tasks=0)), "Submitting", "Reconciling, health unknown"),
    "stopped for an upgrade: Upgrading",
    (spec(), _operation(OperationKind.STOP, "Upgrade"), STOPPING, "Upgrading", "Reconciling, health unknown"),
    "cancelled for a rollback: Upgrading",
    (spec(), _operation(OperationKind.CANCEL, "Rollback"), seen(present()), "Upgrading", "Reconciling, health unknown"),
    "stopped for a move: Moving",
    (spec(), _operation(OperationKind.STOP, "Move"), STOPPING, "Moving", "Reconciling, health unknown"),
    "scaled in place: Rescaling",
    (
        spec(parallelism=2),
        _operation(OperationKind.RESCALE, "Scale", numbers=digest_of(graph(2).numbers)),
        seen(present(), running_graph=graph(2)),
        "Rescaling",
        "Reconciling, health unknown",
    ),
    "stopped to be suspended: Suspending",
    (
        spec(state="Suspended"),
        _operation(OperationKind.STOP, "Suspend"),
        STOPPING,
        "Suspending",
        "Reconciling, health unknown",
    ),
    "stopped by a FlinkSavepoint: Suspending",
    (spec(), _operation(OperationKind.STOP, "FlinkSavepoint/x"), STOPPING, "Suspending", "Reconciling, health unknown"),
    "stopped to be drained: Draining",
    (
        spec(state="Drained"),
        _operation(OperationKind.STOP, "Drain"),
        STOPPING,
        "Draining",
        "Reconciling, health unknown",
    ),
    "cancelled on demand: Cancelling",
    (
        spec(state="Cancelled"),
        _operation(OperationKind.CANCEL, "Cancel"),
        seen(present()),
        "Cancelling",
        "Reconciling, health unknown",
    ),
    "all tasks run: Running",
    (spec(), RUNNING, seen(present()), "Running", "Ready, healthy"),
    "restarted by Flink: Restarting",
    (spec(), RUNNING, seen(present(FlinkJobState.RESTARTING)), "Restarting", "Reconciling, unhealthy"),
    "failing: Restarting",
    (spec(), RUNNING, seen(present(FlinkJobState.FAILING)), "Restarting", "Reconciling, unhealthy"),
    "not all tasks run any more: Restarting",
    (spec(), RUNNING, seen(present(tasks=1)), "Restarting", "Reconciling, unhealthy"),
    "the cluster is silent for seconds: Running",
    (spec(), RUNNING, seen(JobSeen(), cluster=silent(5)), "Running", "Ready, healthy"),
    "the cluster is silent for a minute: Unknown",
    (spec(), RUNNING, seen(JobSeen(), cluster=silent(61)), "Unknown", "Ready unknown, health unknown"),
    "a failed run with attempts left: Restarting",
    (spec(), _run(ended(RunResult.FAILED, SAVEPOINT), restart=WAITING), seen(), "Restarting", "Reconciling, unhealthy"),
    "a failed run that is held: Failed",
    (spec(), _run(ended(RunResult.FAILED, SAVEPOINT), hold=HOLD), seen(), "Failed", "Stalled, unhealthy"),
    "a stopped run that is held: Held",
    (spec(), _run(ended(RunResult.STOPPED, SAVEPOINT), hold=HOLD), seen(), "Held", "Stalled, unhealthy"),
    "a run that somebody else cancelled, and that is held: Held",
    (
        spec(restart={"onExternalCancel": "Hold"}),
        _run(ended(RunResult.CANCELLED_EXTERNALLY)),
        seen(),
        "Held",
        "Stalled, unhealthy",
    ),
    "a failed run without restarts: Failed",
    (spec(restart={"policy": "Never"}), _run(ended(RunResult.FAILED)), seen(), "Failed", "Stalled, unhealthy"),
    "a running job with a bad spec: Running",
    ({"jar": {}}, RUNNING, seen(present()), "Running", "Stalled, healthy"),
    "a suspended job: Suspended",
    (spec(state="Suspended"), _run(ended(RunResult.STOPPED, SAVEPOINT)), seen(), "Suspended", "Ready, health unknown"),
    "a cancelled job: Cancelled",
    (spec(state="Cancelled"), _run(ended(RunResult.CANCELLED)), seen(), "Cancelled", "Ready, health unknown"),
    "a drained job: Drained",
    (spec(state="Drained"), _run(ended(RunResult.DRAINED, SAVEPOINT)), seen(), "Drained", "Ready, health unknown"),
    "a finished job: Finished",
    (spec(), _run(ended(RunResult.FINISHED)), seen(), "Finished", "Ready, health unknown"),
    "never submitted to a silent cluster: Pending",
    (spec(), FlinkJobStatus(), seen(cluster=silent(900)), "Pending", "Reconciling, health unknown"),
)
def test_the_table_of_conditions(
    wanted: dict[str, Any], status: FlinkJobStatus, observation: World, phase: str, said: str
) -> None:
    decision = decide(job(wanted, status), observation)
    assert (decision.status.phase, conditions(decision)) == (phase, said)


@table("observation", "the job runs", seen(present()), "the cluster is silent", seen(JobSeen(), cluster=silent(900)))
def test_what_is_being_deleted_is_deleting(observation: World) -> None:
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


def _told_of_the_cluster(decision: JobDecision) -> list[str]:
    return [reason for reason in told(decision) if reason in ("ClusterUnreachable", "ClusterReachable")]


@pytest.mark.report("cluster-away-and-back")
def test_a_cluster_that_is_away_for_a_minute_and_back_is_told_once_each() -> None:
    status, events = RUNNING, []
    for seconds in (0.0, 5.0, 59.0, 60.0, 61.0, 900.0):
        decision = decide(job(status=status), seen(JobSeen(), cluster=silent(seconds)))
        status = decision.status
        events.append(_told_of_the_cluster(decision))
    assert events == [[], [], [], ["ClusterUnreachable"], [], []]
    back = decide(job(status=status), seen(present()))
    assert _told_of_the_cluster(back) == ["ClusterReachable"]
    assert _told_of_the_cluster(decide(job(status=back.status), seen(present()))) == []


def test_a_blip_is_told_neither_when_it_begins_nor_when_it_is_over() -> None:
    gone = decide(job(status=RUNNING), seen(JobSeen(), cluster=silent(5.0)))
    assert _told_of_the_cluster(gone) == []
    assert _told_of_the_cluster(decide(job(status=gone.status), seen(present()))) == []


def test_a_cluster_that_a_first_start_waits_for_is_told_at_once() -> None:
    decision = decide(job(held=False), seen(cluster=silent(0.1)))
    assert _told_of_the_cluster(decision) == ["ClusterUnreachable"]
    assert _told_of_the_cluster(decide(job(status=decision.status, held=False), seen(cluster=silent(30)))) == []


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


def test_what_scale_needs_is_there() -> None:
    decision = decide(job(spec(parallelism=4), FlinkJobStatus(submission=run(parallelism=4))), seen(present()))
    assert (decision.status.parallelism, decision.status.selector) == (4, "flinkjob.dev/name=clicks")
    assert decision.status.cluster is not None
    assert decision.status.cluster.flink_version == "2.3.0"
    assert decision.status.job is not None
    assert decision.status.job.ui_url == f"http://flink.example:8081/#/job/{flink_id()}"


def test_a_message_of_any_length_is_one_line() -> None:
    trigger = triggered(TriggerState.FAILED, failure="boom\n" * 1000)
    status = replace(RUNNING, operation=operation(OperationKind.STOP, "Suspend"))
    decision = decide(job(spec(state="Suspended"), status), seen(present(), trigger=trigger, checkpoints=stats()))
    for condition in decision.status.conditions:
        assert "\n" not in condition.message
        assert len(condition.message) <= 512


@table(
    ("last", "message"),
    "stopped with a savepoint: the savepoint",
    (ended(RunResult.STOPPED, "file:/s"), "savepoint file:/s"),
    "cancelled with a checkpoint: the checkpoint, and why there is no savepoint",
    (
        ended(
            RunResult.CANCELLED,
            "file:/c/chk-5",
            SnapshotKind.CHECKPOINT,
            savepoint_failure="IOException: no permission",
        ),
        "checkpoint file:/c/chk-5; no savepoint could be taken: IOException: no permission",
    ),
    "cancelled before it made anything: what it had started from",
    (ended(RunResult.CANCELLED, "file:/r", SnapshotKind.RESTORED), "it resumes from file:/r, where it had started"),
    "cancelled before it made anything, from nothing: no state",
    (ended(RunResult.CANCELLED, None, SnapshotKind.EMPTY), "it resumes without state"),
)
def test_a_suspended_job_says_what_it_resumes_from(last: Submission, message: str) -> None:
    decision = decide(job(spec(state="Suspended"), _run(last)), seen())
    ready = next(each for each in decision.status.conditions if each.type == "Ready")
    assert (decision.status.phase, ready.message) == ("Suspended", message)


def test_an_upgrade_that_is_tried_again_is_an_upgrade_and_one_that_needs_a_person_leaves_the_job_running() -> None:
    failed = triggered(TriggerState.FAILED, failure="IOException: try again")
    status = _operation(OperationKind.STOP, "Upgrade")
    trying = decide(job(spec(args=["new"]), status), seen(present(), trigger=failed))
    assert (trying.status.phase, conditions(trying)) == ("Upgrading", "Reconciling, healthy")
    assert trying.status.submission is not None
    assert trying.status.submission.savepoint_failure == "IOException: try again"
    refused = decide(job({"jar": {}}, RUNNING), seen(present()))
    assert refused.status.phase == "Running"
    ready = next(each for each in refused.status.conditions if each.type == "Ready")
    assert ready.message.startswith("the job runs on as it is: spec.")


@table(
    ("wanted", "phase"),
    "a spec that cannot be read needs a person",
    ({"jar": {}}, "Held"),
    "a cluster that does not answer is tried again",
    (spec(), "Pending"),
)
def test_a_dead_end_before_the_first_run_is_not_pending(wanted: dict[str, Any], phase: str) -> None:
    assert decide(job(wanted, held=False), seen(cluster=silent(5))).status.phase == phase


def test_a_job_that_is_gone_has_no_state() -> None:
    shown = decide(job(status=RUNNING), seen(present())).status
    assert shown.job is not None
    assert shown.job.state == "RUNNING"
    gone = decide(job(status=shown), seen(absent(60), cluster=cluster(incarnation="jm-2")))
    assert gone.status.submission is not None
    assert gone.status.submission.end is not None
    assert gone.status.job is not None
    assert (gone.status.job.state, gone.status.job.tasks_running, gone.status.job.id) == (None, None, flink_id())


@table("known", "a job that runs", present(), "one that Flink restarts", present(FlinkJobState.RESTARTING))
def test_an_operator_that_has_just_started_changes_nothing_before_it_has_heard_of_the_job(known: JobSeen) -> None:
    written = decide(job(status=RUNNING), seen(known)).status
    assert decide(job(status=written), seen(JobSeen())).status == written


@pytest.mark.parametrize(
    ("wanted", "phase"),
    [({"args": ["new"]}, "Upgrading"), ({"state": "Suspended"}, "Suspending"), ({}, "Running")],
)
def test_what_waits_for_a_cluster_that_does_not_answer_is_not_ready(wanted: dict[str, Any], phase: str) -> None:
    """An edit that nothing was done about yet is not taken for done."""
    decision = decide(job(spec(**wanted), RUNNING), seen(UNKNOWN, cluster=silent(1.0)))
    assert decision.status.phase == phase
    assert ("Ready" in conditions(decision).split(", ")) == (phase == "Running")
