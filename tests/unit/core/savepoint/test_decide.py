"""A FlinkSavepoint: by mode, phase and what Flink says; once finished it is never touched again."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flinkjob.api.enums import HoldReason, OperationKind, RunResult, SavepointPhase
from flinkjob.api.flinkjob_status import FlinkJobStatus, Hold
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.core.actions import TakeCheckpoint, TakeSavepoint
from flinkjob.core.errors import SavepointFailure
from flinkjob.core.flinkmodel import CheckpointKind, CheckpointStatus, FlinkJobState, TriggerState
from flinkjob.core.identity import attempt_directory, trigger_id
from flinkjob.core.job.restore_point import completed_in_order
from flinkjob.core.model import OperationOutcome
from flinkjob.core.seen import JobSeen
from tests.support.inputs import (
    NAMESPACE,
    NOW,
    RUNNING,
    SAVEPOINTS,
    UNKNOWN,
    absent,
    acts,
    ago,
    chk,
    cluster,
    conditions,
    decide_sp,
    ended,
    error_of,
    flink_id,
    job,
    operation,
    present,
    run,
    savepoint,
    seen,
    silent,
    spec,
    stats,
    triggered,
    unseen,
)
from tests.support.tables import table

STOP: dict[str, Any] = {"mode": "Stop"}
CANCEL: dict[str, Any] = {"mode": "Cancel"}
HELD: dict[str, Any] = {"finalizers": ["flinkjob.dev/job-cleanup"]}


def _where(attempt: int = 1) -> str:
    return attempt_directory(
        SAVEPOINTS, namespace=NAMESPACE, name="sp", uid="u-sp", submission=1, kind="savepoint", attempt=attempt
    )


MADE = f"{_where()}/savepoint-911e-1"
WRITING = FlinkSavepointStatus(
    phase=SavepointPhase.IN_PROGRESS,
    trigger_id=trigger_id("u-sp", 1, "Savepoint", 1),
    directory=_where(),
    attempt=1,
    job_id=flink_id(),
    submission=1,
    start_time=ago(30),
    cluster_url="http://flink.example:8081",
)


# waiting for the job


@table("mode", "Trigger", {}, "Stop", STOP, "Cancel", CANCEL)
@table(
    ("status", "missing", "reason", "code"),
    "there is no FlinkJob",
    (FlinkJobStatus(), True, "UnknownJob", "UnknownJob"),
    "the FlinkJob has never run",
    (FlinkJobStatus(), False, "JobNotRunning", "JobNotRunning"),
    "the run was never seen",
    (FlinkJobStatus(submission=unseen()), False, "JobNotRunning", "JobNotRunning"),
    "the run has stopped",
    (FlinkJobStatus(submission=ended(RunResult.STOPPED, "file:/s")), False, "JobNotRunning", "JobNotRunning"),
)
def test_a_job_that_does_not_run_is_waited_for_until_the_timeout(
    mode: dict[str, Any], status: FlinkJobStatus, missing: bool, reason: str, code: str
) -> None:
    new = savepoint(meta={"creationTimestamp": "2026-01-01T11:55:00Z"}, **mode)
    decision = decide_sp(new, status, seen(UNKNOWN), without_job=missing)
    assert (decision.status.phase, conditions(decision)) == (SavepointPhase.PENDING, "Reconciling")
    assert decision.status.conditions[0].reason == reason
    assert decision.requeue_after == pytest.approx(300.5)
    late = savepoint(meta={"creationTimestamp": "2026-01-01T11:49:59Z"}, **mode)
    failed = decide_sp(late, status, seen(UNKNOWN), without_job=missing)
    assert (failed.status.phase, error_of(failed), conditions(failed)) == (SavepointPhase.FAILED, code, "Stalled")


@table("mode", "Stop", STOP, "Cancel", CANCEL)
def test_another_run_than_the_one_that_was_named(mode: dict[str, Any]) -> None:
    assert error_of(decide_sp(savepoint(**mode, submission=2), RUNNING)) == "JobChanged"
    by_id = savepoint(**mode, jobRef={"name": "clicks", "jobId": "0" * 32})
    assert error_of(decide_sp(by_id, RUNNING)) == "JobChanged"
    assert error_of(decide_sp(savepoint(**mode, submission=1), RUNNING)) is None


# mode Trigger


def test_the_intent_of_a_savepoint_is_in_the_status_of_its_own_attempt() -> None:
    decision = decide_sp(savepoint(), RUNNING)
    (take,) = [action for action in decision.actions if isinstance(action, TakeSavepoint)]
    status = decision.status
    assert (take.trigger_id, take.directory, take.cancel) == (status.trigger_id, status.directory, False)
    assert (status.trigger_id, status.directory, status.attempt) == (WRITING.trigger_id, _where(), 1)
    assert (status.phase, status.submission, status.job_id) == (SavepointPhase.IN_PROGRESS, 1, flink_id())
    retry = decide_sp(
        savepoint(status=FlinkSavepointStatus(phase=SavepointPhase.PENDING, attempt=1, failures=1)), RUNNING
    )
    assert (retry.status.attempt, retry.status.directory) == (2, _where(2))
    assert retry.status.trigger_id != status.trigger_id


def test_a_checkpoint_has_no_directory() -> None:
    for kind in ("Full", "Configured"):
        decision = decide_sp(savepoint(type="Checkpoint", checkpointType=kind), RUNNING)
        (take,) = [action for action in decision.actions if isinstance(action, TakeCheckpoint)]
        assert take.checkpoint_type == kind.upper()
        assert decision.status.directory is None


@table(
    ("status", "observation", "reason"),
    "while the job is being stopped",
    (replace(RUNNING, operation=operation()), seen(present()), "Pending"),
    "while not all tasks run",
    (RUNNING, seen(present(tasks=1)), "WaitingForTasks"),
    "while the job restarts",
    (RUNNING, seen(present(FlinkJobState.RESTARTING)), "WaitingForTasks"),
    "while the cluster is silent",
    (RUNNING, seen(UNKNOWN, cluster=silent(9)), "WaitingForTasks"),
)
def test_a_savepoint_waits_its_turn(status: FlinkJobStatus, observation: Any, reason: str) -> None:
    decision = decide_sp(savepoint(), status, observation)
    assert acts(decision) == []
    assert decision.status.conditions[0].reason == reason


def test_without_a_directory_there_is_no_savepoint() -> None:
    nowhere = seen(present(), cluster=cluster(savepoint_directory=None))
    for mode in ({}, STOP, CANCEL):
        assert error_of(decide_sp(savepoint(**mode), RUNNING, nowhere)) == "NoSavepointDirectory"
    own = job(spec(savepoints={"directory": "file:///own"}), RUNNING)
    assert acts(decide_sp(savepoint(), RUNNING, nowhere, owner=own)) == ["TakeSavepoint"]
    assert acts(decide_sp(savepoint(directory="file:///sp"), RUNNING, nowhere)) == ["TakeSavepoint"]


DONE = chk(5, CheckpointKind.SAVEPOINT, MADE, state_bytes=3 * 1024**2)
LATE: dict[str, Any] = {"timeout": "10s"}


@table(
    ("trigger", "fields", "phase", "actions", "code"),
    "in progress: it waits",
    (triggered(TriggerState.IN_PROGRESS), {}, SavepointPhase.IN_PROGRESS, [], None),
    "in progress after the timeout: it has failed",
    (triggered(TriggerState.IN_PROGRESS), LATE, SavepointPhase.FAILED, [], "Timeout"),
    "completed: it is complete",
    (triggered(TriggerState.COMPLETED, MADE), {}, SavepointPhase.COMPLETED, [], None),
    "completed after the timeout: it is complete",
    (triggered(TriggerState.COMPLETED, MADE), LATE, SavepointPhase.COMPLETED, [], None),
    "declined: it is tried again",
    (triggered(TriggerState.FAILED, failure="declined"), {}, SavepointPhase.PENDING, [], None),
    "declined after the timeout: it has failed",
    (triggered(TriggerState.FAILED, failure="declined"), LATE, SavepointPhase.FAILED, [], "SavepointFailed"),
    "declined with no attempts left: it has failed",
    (
        triggered(TriggerState.FAILED, failure="declined"),
        {"backoffLimit": 0},
        SavepointPhase.FAILED,
        [],
        "SavepointFailed",
    ),
    "no directory can be made: it has failed",
    (
        triggered(TriggerState.FAILED, failure="denied", failure_kind=SavepointFailure.PERMANENT),
        {},
        SavepointPhase.FAILED,
        [],
        "SavepointFailed",
    ),
    "Flink does not know the job: it has failed",
    (
        triggered(TriggerState.FAILED, failure="unknown", failure_kind=SavepointFailure.JOB_NOT_FOUND),
        {},
        SavepointPhase.FAILED,
        [],
        "JobNotRunning",
    ),
    "forgotten: it is sent again",
    (triggered(TriggerState.FORGOTTEN), {}, SavepointPhase.IN_PROGRESS, ["TakeSavepoint"], None),
    "forgotten after the timeout: it has failed",
    (triggered(TriggerState.FORGOTTEN), LATE, SavepointPhase.FAILED, [], "Timeout"),
)
def test_a_savepoint_in_progress(
    trigger: Any, fields: dict[str, Any], phase: SavepointPhase, actions: list[str], code: str | None
) -> None:
    decision = decide_sp(savepoint(status=WRITING, **fields), RUNNING, seen(present(), trigger=trigger))
    assert decision.status.phase == phase
    assert acts(decision) == actions
    assert error_of(decision) == code
    if phase is SavepointPhase.COMPLETED:
        assert decision.status.location == MADE
        assert decision.result_mark is not None
        assert json.loads(decision.result_mark)["location"] == MADE
    if phase is SavepointPhase.PENDING:
        assert decision.status.retry_time is not None
        assert (decision.status.failures, decision.status.trigger_id) == (1, None)
        waiting = decide_sp(savepoint(status=decision.status), RUNNING)
        assert acts(waiting) == []


def test_of_two_that_end_in_the_same_second_the_later_one_is_the_newest() -> None:
    """Also where Flink has told the number of the first and not yet that of the second, and its job is gone by then."""
    done = replace(
        WRITING,
        phase=SavepointPhase.COMPLETED,
        location="file:/first",
        checkpoint_id=9,
        end_time=NOW.replace(microsecond=0),
    )
    first = savepoint("first", status=done)
    observation = seen(present(), trigger=triggered(TriggerState.COMPLETED, MADE))
    for others in ((first,), (savepoint("zero", status=replace(done, location="file:/zero")), first)):
        second = decide_sp(savepoint("second", status=WRITING), RUNNING, observation, others=others).status
        known = completed_in_order((savepoint("second", status=second), *others))
        assert known[-1].status.location == MADE
    elsewhere = replace(done, job_id="0" * 32)
    alone = decide_sp(savepoint("second", status=WRITING), RUNNING, observation, others=(savepoint(status=elsewhere),))
    assert alone.status.end_time == NOW


@table(
    ("known", "history", "status", "phase", "actions"),
    "it is in the history of a running job: complete",
    (present(), (DONE,), RUNNING, SavepointPhase.COMPLETED, []),
    "it is in the history of a failed job: complete",
    (present(FlinkJobState.FAILED), (DONE,), RUNNING, SavepointPhase.COMPLETED, []),
    "others are in the history: it is sent again",
    (
        present(),
        (chk(6), chk(5, CheckpointKind.SAVEPOINT, "file:/other")),
        RUNNING,
        SavepointPhase.IN_PROGRESS,
        ["TakeSavepoint"],
    ),
    "the job failed: it has failed",
    (present(FlinkJobState.FAILED), (), RUNNING, SavepointPhase.FAILED, []),
    "nothing is known of the job: it waits",
    (UNKNOWN, (), RUNNING, SavepointPhase.IN_PROGRESS, []),
    "the job has just vanished: it waits",
    (absent(1.0), (), RUNNING, SavepointPhase.IN_PROGRESS, []),
    "the job is lost: it has failed",
    (absent(), (), FlinkJobStatus(submission=ended(RunResult.LOST)), SavepointPhase.FAILED, []),
    "another run is there: it has failed",
    (present(number=2), (), FlinkJobStatus(submission=run(2, job_id=flink_id(2))), SavepointPhase.FAILED, []),
)
def test_a_forgotten_trigger_is_looked_for_before_it_is_sent_again(
    known: JobSeen, history: tuple[Any, ...], status: FlinkJobStatus, phase: SavepointPhase, actions: list[str]
) -> None:
    observation = seen(known, trigger=triggered(TriggerState.FORGOTTEN), checkpoints=stats(*history))
    decision = decide_sp(savepoint(status=WRITING), status, observation)
    assert decision.status.phase == phase
    assert acts(decision) == actions
    for action in decision.actions:
        if isinstance(action, TakeSavepoint):
            assert (action.trigger_id, action.directory) == (WRITING.trigger_id, WRITING.directory)


def test_a_job_that_does_not_answer_is_not_asked_for_a_forgotten_trigger_ten_times_a_second() -> None:
    observation = seen(UNKNOWN, trigger=triggered(TriggerState.FORGOTTEN))
    assert decide_sp(savepoint(status=WRITING), RUNNING, observation).requeue_after == 1.0


@pytest.mark.copying("never-answered")
@table(
    ("ended_for", "history", "phase"),
    "the job ended seconds ago: it waits",
    (8.0, (), SavepointPhase.IN_PROGRESS),
    "the job ended a minute ago without it: it has failed",
    (60.0, (), SavepointPhase.FAILED),
    "the job ended a minute ago and it is in the history: complete",
    (60.0, (DONE,), SavepointPhase.COMPLETED),
)
def test_a_result_that_stays_in_progress_after_the_end_of_the_job(
    ended_for: float, history: tuple[Any, ...], phase: SavepointPhase
) -> None:
    ended_job = present(FlinkJobState.FINISHED, terminal_for=ended_for)
    observation = seen(ended_job, trigger=triggered(TriggerState.IN_PROGRESS), checkpoints=stats(*history))
    decision = decide_sp(savepoint(status=WRITING), RUNNING, observation)
    assert (decision.status.phase, acts(decision)) == (phase, [])
    assert error_of(decision) == ("JobNotRunning" if phase is SavepointPhase.FAILED else None)


def test_it_is_not_sent_again_while_one_is_written() -> None:
    writing = chk(6, CheckpointKind.SAVEPOINT, None, status=CheckpointStatus.IN_PROGRESS)
    observation = seen(present(), trigger=triggered(TriggerState.FORGOTTEN), checkpoints=stats(writing, in_progress=1))
    assert acts(decide_sp(savepoint(status=WRITING), RUNNING, observation)) == []


@table(("fields", "code"), "before the timeout", ({}, None), "after the timeout", (LATE, "Timeout"))
def test_a_silent_cluster_changes_nothing_before_the_timeout(fields: dict[str, Any], code: str | None) -> None:
    decision = decide_sp(savepoint(status=WRITING, **fields), RUNNING, seen(UNKNOWN, cluster=silent(99)))
    assert error_of(decision) == code
    assert decision.status.phase == (SavepointPhase.FAILED if code else SavepointPhase.IN_PROGRESS)
    assert acts(decision) == []


# completed


def test_size_and_id_follow_when_the_statistics_show_them() -> None:
    at_once = decide_sp(
        savepoint(status=WRITING), RUNNING, seen(present(), trigger=triggered(TriggerState.COMPLETED, MADE))
    )
    assert (at_once.status.size, at_once.status.checkpoint_id) == (None, None)
    done = savepoint(status=at_once.status)
    waiting = decide_sp(done, RUNNING, seen(present()))
    assert waiting.requeue_after == 1.0
    shown = decide_sp(done, RUNNING, seen(present(), checkpoints=stats(DONE)))
    assert (shown.status.size, shown.status.checkpoint_id, shown.status.location) == ("3.0Mi", 5, MADE)
    late = decide_sp(done, RUNNING, seen(present(), checkpoints=stats(DONE), now=NOW + timedelta(seconds=60)))
    assert late.requeue_after is None


ASKED = replace(WRITING, directory=None, trigger_id=trigger_id("u-sp", 1, "Checkpoint", 1))
ANONYMOUS = replace(chk(8), external_path=None)
MEMORY = chk(8, CheckpointKind.SAVEPOINT, "file:/elsewhere/savepoint-1")


@pytest.mark.behaviour(63)
@table(
    ("known", "history", "fields", "phase", "place", "code"),
    "nothing is in the history: it waits",
    (present(), (), {}, SavepointPhase.IN_PROGRESS, None, None),
    "an older one is in the history: it waits",
    (present(), (chk(7),), {}, SavepointPhase.IN_PROGRESS, None, None),
    "it is in the history: complete",
    (present(), (chk(8),), {}, SavepointPhase.COMPLETED, "chk-8", None),
    "it is in the history after the timeout: complete",
    (present(), (chk(9), chk(8)), LATE, SavepointPhase.COMPLETED, "chk-8", None),
    "it is in the history of a failed job: complete",
    (present(FlinkJobState.FAILED), (chk(8),), {}, SavepointPhase.COMPLETED, "chk-8", None),
    "newer ones have driven it out of the history: complete",
    (present(), tuple(chk(number) for number in range(19, 9, -1)), {}, SavepointPhase.COMPLETED, "chk-8", None),
    "a newer savepoint elsewhere is in the history: it waits",
    (present(), (replace(MEMORY, checkpoint_id=9),), {}, SavepointPhase.IN_PROGRESS, None, None),
    "it is in the history without a place: it has failed",
    (present(), (ANONYMOUS,), {}, SavepointPhase.FAILED, None, "NoSnapshot"),
    "it is in the history and in progress: it waits",
    (present(), (replace(ANONYMOUS, status=CheckpointStatus.IN_PROGRESS),), {}, SavepointPhase.IN_PROGRESS, None, None),
    "nothing is known of the job: it waits",
    (UNKNOWN, (), {}, SavepointPhase.IN_PROGRESS, None, None),
    "nothing is known of the job after the timeout: it has failed",
    (UNKNOWN, (), LATE, SavepointPhase.FAILED, None, "NoSnapshot"),
    "nothing is in the history after the timeout: it has failed",
    (present(), (), LATE, SavepointPhase.FAILED, None, "NoSnapshot"),
    "the job is gone: it has failed",
    (absent(), (), {}, SavepointPhase.FAILED, None, "NoSnapshot"),
)
def test_a_checkpoint_completes_with_its_place(
    known: JobSeen,
    history: tuple[Any, ...],
    fields: dict[str, Any],
    phase: SavepointPhase,
    place: str | None,
    code: str | None,
) -> None:
    """Its id, told by the trigger, is kept, so that the trigger need not be asked again."""
    first = seen(present(), trigger=triggered(TriggerState.COMPLETED, checkpoint_id=8))
    noted = decide_sp(savepoint(status=ASKED, type="Checkpoint"), RUNNING, first)
    assert (noted.status.phase, noted.status.checkpoint_id, noted.requeue_after) == (SavepointPhase.IN_PROGRESS, 8, 0.5)
    later = seen(known, checkpoints=stats(*history), trigger=triggered(TriggerState.FORGOTTEN))
    decision = decide_sp(savepoint(status=noted.status, type="Checkpoint", **fields), RUNNING, later)
    assert (decision.status.phase, error_of(decision), acts(decision)) == (phase, code, [])
    assert (decision.status.location or "").rpartition("/")[2] == (place or "")
    assert (decision.result_mark is None) == (phase is not SavepointPhase.COMPLETED)


@pytest.mark.parametrize("phase", [SavepointPhase.COMPLETED, SavepointPhase.FAILED])
@table("mode", "Trigger", {}, "Stop", STOP, "Cancel", CANCEL)
@table("status", "the job runs", RUNNING, "the job has never run", FlinkJobStatus())
def test_what_is_finished_is_never_touched_again(
    phase: SavepointPhase, mode: dict[str, Any], status: FlinkJobStatus
) -> None:
    before = replace(WRITING, phase=phase, location=MADE, end_time=ago(3600))
    meta = {"annotations": {"flinkjob.dev/result": "{}"}}
    first = decide_sp(savepoint(status=before, meta=meta, **mode), status)
    assert acts(first) == []
    assert first.requeue_after is None
    again = decide_sp(savepoint(status=first.status, meta=meta, **mode), status)
    assert savepoint(status=again.status).status == savepoint(status=first.status).status


@pytest.mark.parametrize(("ahead", "phase"), [(30.0, SavepointPhase.PENDING), (86400.0, SavepointPhase.FAILED)])
def test_its_timeout_passes_though_the_clock_was_ahead_when_it_was_created(ahead: float, phase: SavepointPhase) -> None:
    about = savepoint(meta={"creationTimestamp": ago(-ahead).strftime("%Y-%m-%dT%H:%M:%SZ")})
    assert decide_sp(about, FlinkJobStatus()).status.phase is phase


@table("mode", "Trigger", {}, "Stop", STOP, "Cancel", CANCEL)
def test_what_is_restored_with_its_mark_is_done_already(mode: dict[str, Any]) -> None:
    known = {"location": MADE, "jobId": flink_id(), "checkpointId": 5, "submission": 1}
    mark = json.dumps(known | {"endTime": "2025-12-01T00:00:00Z"})
    decision = decide_sp(savepoint(meta={"annotations": {"flinkjob.dev/result": mark}}, **mode), RUNNING)
    assert decision.status.end_time == datetime(2025, 12, 1, tzinfo=UTC)
    assert (decision.status.phase, decision.status.location, decision.status.checkpoint_id) == (
        SavepointPhase.COMPLETED,
        MADE,
        5,
    )
    assert acts(decision) == []
    damaged = decide_sp(savepoint(meta={"annotations": {"flinkjob.dev/result": "{"}}, **mode), RUNNING)
    assert damaged.status.phase is SavepointPhase.FAILED
    assert acts(damaged) == []


# modes Stop and Cancel


@pytest.mark.copying("intent-before-stop")
@table("mode", "Stop", STOP, "Cancel", CANCEL)
def test_the_flinkjob_stops_and_the_flinksavepoint_mirrors_it(mode: dict[str, Any]) -> None:
    pending = decide_sp(savepoint(**mode), RUNNING)
    assert acts(pending) == []
    assert pending.status.phase is SavepointPhase.PENDING
    kind = OperationKind.STOP if mode is STOP else OperationKind.SAVEPOINT_AND_CANCEL
    stopping = replace(RUNNING, operation=operation(kind, "FlinkSavepoint/sp"))
    mirrored = decide_sp(savepoint(status=pending.status, **mode), stopping)
    assert stopping.operation is not None
    not_yet = decide_sp(savepoint(status=pending.status, **mode), stopping, owner=job(status=RUNNING))
    assert not_yet.status.phase is SavepointPhase.PENDING, (
        "an edit from now on releases the hold: first the FlinkJob must know"
    )
    assert mirrored.status.phase is SavepointPhase.IN_PROGRESS
    assert mirrored.status.trigger_id == stopping.operation.trigger_id
    assert acts(mirrored) == []
    outcome = OperationOutcome(by="FlinkSavepoint/sp", location=MADE, message="")
    stopped = FlinkJobStatus(submission=ended(RunResult.STOPPED, MADE))
    done = decide_sp(
        savepoint(status=mirrored.status, **mode), stopped, seen(present(FlinkJobState.FINISHED)), outcome=outcome
    )
    assert (done.status.phase, done.status.location) == (SavepointPhase.COMPLETED, MADE)


def test_a_stop_that_is_over_before_it_was_shown_says_of_which_job_it_was() -> None:
    stopping = replace(RUNNING, operation=operation(OperationKind.STOP, "FlinkSavepoint/sp"))
    stopped = FlinkJobStatus(submission=ended(RunResult.STOPPED, MADE))
    pending = decide_sp(savepoint(**STOP), RUNNING).status
    outcome = OperationOutcome(by="FlinkSavepoint/sp", location=MADE, message="")
    there = seen(present(FlinkJobState.FINISHED))
    at_once = decide_sp(
        savepoint(status=pending, **STOP), stopped, there, owner=job(status=stopping), outcome=outcome
    ).status
    assert stopping.operation is not None
    assert stopping.submission is not None
    assert (at_once.phase, at_once.location) == (SavepointPhase.COMPLETED, MADE)
    assert (at_once.job_id, at_once.trigger_id) == (stopping.operation.job_id, stopping.operation.trigger_id)
    held = replace(stopped, hold=Hold(reason=HoldReason.STOPPED, by="sp", since=ago(5), location=MADE))
    later = decide_sp(savepoint(status=pending, **STOP), held, there).status
    assert (later.phase, later.location) == (SavepointPhase.COMPLETED, MADE)
    assert (later.job_id, later.submission) == (stopping.submission.job_id, stopping.submission.number)


@pytest.mark.parametrize(
    ("failure", "phase"),
    [(SavepointFailure.OTHER, SavepointPhase.PENDING), (SavepointFailure.PERMANENT, SavepointPhase.FAILED)],
)
def test_a_stop_that_failed_is_tried_again_unless_it_would_fail_again(
    failure: SavepointFailure, phase: SavepointPhase
) -> None:
    outcome = OperationOutcome(by="FlinkSavepoint/sp", location=None, message="declined", failure=failure)
    decision = decide_sp(savepoint(status=WRITING, **STOP), RUNNING, outcome=outcome)
    assert decision.status.phase == phase


def test_a_hold_tells_the_result_after_a_crash() -> None:
    hold = Hold(reason=HoldReason.STOPPED, by="sp", since=ago(5), location=MADE)
    held = FlinkJobStatus(submission=ended(RunResult.STOPPED, MADE), hold=hold)
    decision = decide_sp(savepoint(status=WRITING, **STOP), held)
    assert (decision.status.phase, decision.status.location) == (SavepointPhase.COMPLETED, MADE)


def test_the_outcome_of_another_one_is_none_of_its_business() -> None:
    outcome = OperationOutcome(by="FlinkSavepoint/other", location=MADE, message="")
    decision = decide_sp(savepoint(**STOP), RUNNING, outcome=outcome)
    assert decision.status.phase is SavepointPhase.PENDING


def test_a_bad_spec_fails() -> None:
    decision = decide_sp(savepoint(mode="Nonsense"), RUNNING)
    assert decision.status.phase is SavepointPhase.FAILED
    assert "spec.mode" in (decision.status.error.message if decision.status.error else "")


def test_the_origin_is_a_word_of_the_list() -> None:
    labelled = savepoint(meta={"labels": {"flinkjob.dev/origin": "Periodic"}})
    assert decide_sp(labelled, RUNNING, seen(present())).status.origin == "Periodic"
    other = savepoint(meta={"labels": {"flinkjob.dev/origin": "x"}})
    assert decide_sp(other, RUNNING).status.origin == "Manual"
