"""A run that cannot start from its snapshot, or fails before all its tasks run: tried again, or not, and what is said."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flinkjob.api.enums import EndCause, RunResult, SnapshotKind, SubmissionReason
from flinkjob.api.failure_status import RestartInfo
from flinkjob.api.flinkjob_status import FlinkJobStatus, Submission
from flinkjob.core.actions import PostEvent
from flinkjob.core.errors import RestoreFailure
from flinkjob.core.flinkmodel import FlinkJobState, JobException
from flinkjob.core.identity import digest_of_cause
from flinkjob.core.jobfailures import JobFailures
from flinkjob.core.model import JobDecision
from flinkjob.core.seen import JobSeen
from tests.support.inputs import (
    NOW,
    acts,
    conditions,
    decide,
    digest,
    ended,
    job,
    plan_of,
    present,
    run,
    seen,
    spec,
    stats,
    told,
)

SP = "file:/sp/1"
NONCE = "name another snapshot in initialState with a new nonce"
REVERT = "revert the spec (the snapshot is kept)"
ALLOW = "set restore.allowNonRestoredState to leave state behind"
CAUSE = "FileNotFoundException: it is not there"


def failed_to_restore(restore: RestoreFailure | None, **fields: Any) -> JobException:
    """How Flink tells it."""
    return JobException(time=None, name="x", root_cause=CAUSE, restore=restore, **fields)


def starting(**fields: Any) -> FlinkJobStatus:
    """A run from a savepoint whose tasks have not all run yet."""
    before = run(running=False, healthy=False, started_time=None, restored_from=SP, reason=SubmissionReason.UPGRADE)
    return FlinkJobStatus(submission=replace(before, **fields))


def end_of(status: FlinkJobStatus, exception: JobException) -> JobDecision:
    """The decision that latches the end."""
    facts = {"checkpoints": stats(), "exception": exception}
    return decide(job(status=status), seen(present(FlinkJobState.FAILED), **facts))


@pytest.mark.parametrize(
    ("restore", "cause", "steps"),
    [
        (RestoreFailure.MISSING, EndCause.RESTORE_FAILED, NONCE),
        (RestoreFailure.DAMAGED, EndCause.RESTORE_FAILED, NONCE),
        (RestoreFailure.FILES_GONE, EndCause.RESTORE_FAILED, NONCE),
        (RestoreFailure.NO_FILE_SYSTEM, EndCause.RESTORE_FAILED, NONCE),
        (RestoreFailure.NOT_MAPPED, EndCause.STATE_NOT_MAPPED, f"{REVERT}, or {ALLOW}, or {NONCE}"),
        (RestoreFailure.INCOMPATIBLE, EndCause.STATE_INCOMPATIBLE, f"{REVERT}, or {NONCE}"),
        (RestoreFailure.OTHER_BACKEND, EndCause.STATE_INCOMPATIBLE, f"{REVERT}, or {NONCE}"),
    ],
)
def test_what_cannot_succeed_is_not_repeated_and_says_the_next_step(
    restore: RestoreFailure, cause: EndCause, steps: str
) -> None:
    ending = end_of(starting(), failed_to_restore(restore))
    assert ending.status.submission is not None
    assert ending.status.submission.end is not None
    assert ending.status.submission.end.cause is cause
    assert told(ending) == ["RestoreFailed"]
    decision = decide(job(status=ending.status, held=False), seen(now=NOW + timedelta(hours=1)))
    assert acts(decision) == []
    assert conditions(decision) == "Stalled, unhealthy"
    assert plan_of(decision) == ("Hold", "RestoreFailed")
    assert decision.status.plan is not None
    assert decision.status.plan.message is not None
    assert decision.status.plan.message.startswith(f"run 1 cannot start from {SP}: ")
    assert decision.status.plan.message.endswith(f"{CAUSE}; {steps}")


def test_a_first_run_has_no_spec_to_go_back_to() -> None:
    status = starting(reason=SubmissionReason.INITIAL)
    ending = end_of(status, failed_to_restore(RestoreFailure.OTHER_BACKEND))
    message = next(action.message for action in ending.actions if isinstance(action, PostEvent))
    assert REVERT not in message
    assert NONCE in message


@pytest.mark.parametrize(
    "change",
    [
        {"args": ["other"]},
        {"restore": {"allowNonRestoredState": True}},
        {"initialState": {"strategy": "Custom", "nonce": 2, "location": "file:/sp/2"}},
    ],
)
def test_each_next_step_starts_it_again(change: dict[str, Any]) -> None:
    ending = end_of(starting(), failed_to_restore(RestoreFailure.NOT_MAPPED))
    decision = decide(job(spec(**change), ending.status, held=False), seen())
    later = decide(job(spec(**change), decision.status, held=False), seen(now=NOW + timedelta(seconds=30)))
    assert "RunJob" in acts(decision) + acts(later)


@pytest.mark.parametrize(
    ("status", "exception"),
    [
        (starting(), failed_to_restore(RestoreFailure.UNREACHABLE, not_initialized=False)),
        (starting(running=True), failed_to_restore(RestoreFailure.FILES_GONE)),
        (starting(running=True), failed_to_restore(None, not_initialized=True)),
        (starting(restored_from=None), failed_to_restore(RestoreFailure.NO_FILE_SYSTEM)),
        (starting(), failed_to_restore(None)),
    ],
    ids=["store away", "it had run", "it had run once", "from no snapshot", "another failure"],
)
def test_what_may_go_away_is_tried_again_for_ever(status: FlinkJobStatus, exception: JobException) -> None:
    for _ in range(3):
        ending = end_of(status, exception)
        assert told(ending) == ["JobFailed", "BackOff"]
        pausing = decide(job(status=ending.status, held=False), seen())
        assert plan_of(pausing) == ("Restart", "JobFailed")
        assert pausing.status.submission is not None
        assert status.submission is not None
        again = replace(status.submission, number=status.submission.number + 1)
        status = replace(pausing.status, submission=again)


@pytest.mark.parametrize(
    ("exception", "restored_from", "reason"),
    [
        (failed_to_restore(RestoreFailure.OTHER), SP, "RestoreFailed"),
        (failed_to_restore(None, not_initialized=True), SP, "RestoreFailed"),
        (failed_to_restore(None, not_initialized=True), None, "JobFailed"),
    ],
)
def test_what_is_not_known_is_tried_once_more(exception: JobException, restored_from: str | None, reason: str) -> None:
    first = end_of(starting(restored_from=restored_from), exception)
    assert told(first) == ["JobFailed", "BackOff"]
    pausing = decide(job(status=first.status, held=False), seen())
    assert plan_of(pausing) == ("Restart", "JobFailed")
    started = decide(job(status=pausing.status, held=False), seen(now=NOW + timedelta(seconds=30)))
    assert "RunJob" in acts(started)
    second = _ended_again(pausing.status, exception.root_cause.replace("it", "17"), number=2)
    assert plan_of(decide(job(status=second, held=False), seen())) == ("Restart", "JobFailed"), "another cause"
    second = _ended_again(pausing.status, _message(pausing), number=2)
    decision = decide(job(status=second, held=False), seen())
    assert acts(decision) == []
    assert plan_of(decision) == ("Hold", reason)
    assert conditions(decision) == "Stalled, unhealthy"
    changed = decide(job(spec(restartNonce=5), second, held=False), seen())
    assert "RunJob" in acts(changed)


def _message(decision: JobDecision) -> str:
    submission = decision.status.submission
    assert submission is not None
    assert submission.end is not None
    return submission.end.message or ""


def _ended_again(status: FlinkJobStatus, message: str, *, number: int) -> FlinkJobStatus:
    before = status.submission
    assert before is not None
    run_again: Submission = ended(
        RunResult.FAILED,
        before.restored_from,
        SnapshotKind.RESTORED if before.restored_from else SnapshotKind.EMPTY,
        number=number,
        running=False,
        restored_from=before.restored_from,
        cause=EndCause.NOT_STARTED,
        message=message,
    )
    return replace(status, submission=run_again)


def test_ids_and_numbers_do_not_make_another_cause() -> None:
    before = digest_of_cause("Job 0a1b2c3d4e5f60718293a4b5c6d7e8f9 failed on port 6123")
    first = RestartInfo(attempts=1, submission=1, not_started=before)
    status = _ended_again(starting(), "Job ffffffffffffffffffffffffffff07ff failed on port 7000", number=2)
    decision = decide(job(status=replace(status, restart=first), held=False), seen())
    assert plan_of(decision) == ("Hold", "RestoreFailed")


def test_of_a_long_cause_the_way_out_is_not_cut() -> None:
    cause = "Caused by: " + "x" * 480
    first = RestartInfo(attempts=1, submission=1, not_started=digest_of_cause(cause))
    decision = decide(job(status=replace(_ended_again(starting(), cause, number=2), restart=first), held=False), seen())
    assert decision.status.plan is not None
    message = decision.status.plan.message or ""
    assert message.startswith("run 2 failed before all its tasks ran, as the run before did: Caused by: xxx")
    assert message.endswith("change the spec, restartNonce or initialState with a new nonce to try again")


# while Flink itself tries again and again


def restarting(status: FlinkJobStatus, restore: RestoreFailure | None, **wanted: Any) -> JobDecision:
    return decide(job(spec(**wanted), status), seen(trying_again(restore)))


def trying_again(restore: RestoreFailure | None, number: int = 1) -> JobSeen:
    """What is seen of a job whose tasks Flink starts again and again."""
    failures = JobFailures(newest=replace(failed_to_restore(restore), time=NOW), times=(NOW,))
    return replace(present(FlinkJobState.RESTARTING, number=number), failures=failures)


def test_a_job_whose_tasks_cannot_read_their_state_is_named_at_once_and_left_alone() -> None:
    decision = restarting(starting(), RestoreFailure.FILES_GONE)
    assert acts(decision) == []
    assert told(decision) == ["Restarting", "RestoreFailed"]
    assert conditions(decision) == "Stalled, unhealthy"
    assert plan_of(decision) == ("Hold", "RestoreFailed")
    again = decide(job(status=decision.status), seen(present(tasks=1)))
    assert (acts(again), again.status.plan) == ([], decision.status.plan)
    again = restarting(decision.status, RestoreFailure.FILES_GONE)
    assert (acts(again), told(again), again.status.plan) == ([], [], decision.status.plan)
    other = restarting(decision.status, None)
    assert plan_of(other) == ("Submit", "Restarting"), "by now something else keeps it from running"
    running = decide(job(status=decision.status), seen(replace(present(), steady_for=60.0)))
    assert conditions(running) == "Ready, healthy"


@pytest.mark.parametrize(
    ("status", "restore"),
    [
        (starting(), None),
        (starting(), RestoreFailure.OTHER),
        (starting(), RestoreFailure.UNREACHABLE),
        (starting(restored_from=None), RestoreFailure.FILES_GONE),
    ],
)
def test_other_failures_of_the_tasks_are_none_of_its_snapshot(
    status: FlinkJobStatus, restore: RestoreFailure | None
) -> None:
    assert plan_of(restarting(status, restore)) == ("Submit", "Restarting")


def test_an_upgrade_that_cannot_be_restored_is_taken_back_without_waiting_for_the_deadline() -> None:
    status = replace(
        starting(number=2, revision="clicks-bad", run_digest=digest(args=["new"]), job_id=run(2).job_id),
        healthy_revision="clicks-good",
    )
    wanted = {"args": ["new"], "upgrade": {"rollback": {"policy": "Enabled"}}}
    about = job(spec(**wanted), status)
    kept = {"clicks-good": job(spec(args=["old"])).spec}
    decision = decide(about, seen(trying_again(RestoreFailure.INCOMPATIBLE, number=2), revisions=kept))
    assert told(decision) == ["Restarting", "RolledBack"]
    assert decision.status.rollback is not None
