"""No run is live: whether the next one starts, when, from what, and why not."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flinkjob.api.enums import EndCause, HoldReason, RunResult, SnapshotKind
from flinkjob.api.failure_status import RestartInfo
from flinkjob.api.flinkjob_status import FlinkJobStatus, Hold, Submission
from flinkjob.core.actions import RunJob
from flinkjob.core.flinkmodel import ClaimMode, FlinkJobState
from flinkjob.core.model import JobDecision
from tests.support.inputs import (
    NOW,
    acts,
    ago,
    cluster,
    conditions,
    decide,
    digest,
    ended,
    flink_id,
    job,
    overview,
    seen,
    spec,
    told,
)
from tests.support.tables import table

SP = "file:/sp/1"
GIVEN_UP: dict[str, Any] = {"maxAttempts": 1}


def _status(submission: Submission, **fields: Any) -> FlinkJobStatus:
    return FlinkJobStatus(submission=submission, **fields)


def _restored(decision: JobDecision) -> str | None:
    run = next(action for action in decision.actions if isinstance(action, RunJob))
    return run.request.savepoint_path


STARTS, PAUSES, RESTS = "starts", "pauses", "rests"


@table(
    ("result", "snapshot", "restart", "outcome", "reason"),
    "a finished job rests",
    (RunResult.FINISHED, None, {}, RESTS, None),
    "a stopped job resumes from its savepoint",
    (RunResult.STOPPED, SP, {}, STARTS, "Resume"),
    "a cancelled job resumes from what it left",
    (RunResult.CANCELLED, SP, {}, STARTS, "Resume"),
    "a drained job rests",
    (RunResult.DRAINED, SP, {}, RESTS, "Drained"),
    "a failed job is started again after a pause",
    (RunResult.FAILED, SP, {}, PAUSES, "JobFailed"),
    "a failed job rests where restarts are not wanted",
    (RunResult.FAILED, SP, {"policy": "Never"}, RESTS, "JobFailed"),
    "a lost job is started again after a pause",
    (RunResult.LOST, SP, {}, PAUSES, "JobLost"),
    "a lost job rests where it shall be held",
    (RunResult.LOST, SP, {"onLost": "Hold"}, RESTS, "JobLost"),
    "a lost job without state rests",
    (RunResult.LOST, None, {}, RESTS, "JobLost"),
    "a job that somebody cancelled is started again after a pause",
    (RunResult.CANCELLED_EXTERNALLY, SP, {}, PAUSES, "JobCancelledExternally"),
    "a job that somebody cancelled rests where it shall be held",
    (RunResult.CANCELLED_EXTERNALLY, SP, {"onExternalCancel": "Hold"}, RESTS, "JobHeld"),
    "a job that ended unseen without state rests",
    (RunResult.ENDED_UNSEEN, None, {}, RESTS, "JobEndedUnseen"),
    "a job whose savepoint is unknown rests",
    (RunResult.SAVEPOINT_UNKNOWN, None, {}, RESTS, "SavepointUnknown"),
)
def test_the_same_spec_after_an_end(
    result: RunResult, snapshot: str | None, restart: dict[str, Any], outcome: str, reason: str | None
) -> None:
    kind = SnapshotKind.EMPTY if result is RunResult.FINISHED else None
    about = job(spec(restart=restart), _status(ended(result, snapshot, kind)), held=False)
    decision = decide(about, seen())
    assert ("RunJob" in acts(decision)) == (outcome == STARTS)
    assert decision.status.submission is not None
    if outcome == STARTS:
        assert decision.status.submission.reason == reason
        assert _restored(decision) == snapshot
        return
    assert decision.status.submission.number == 1
    if reason is not None:
        assert decision.status.plan is not None
        assert decision.status.plan.reason == reason
    expected = {RESTS: "Stalled, unhealthy", PAUSES: "Reconciling, unhealthy"}[outcome]
    assert conditions(decision) == ("Ready, health unknown" if result is RunResult.FINISHED else expected)
    assert conditions(decide(job(spec(restart=restart), decision.status, held=False), seen())) == conditions(decision)


@pytest.mark.parametrize("rejected", [True, False])
@pytest.mark.parametrize("unanswered", [True, False])
@pytest.mark.parametrize("manager", ["jm-1", "jm-2"])
def test_a_run_that_never_started_is_succeeded_only_when_it_cannot_appear_any_more(
    rejected: bool, unanswered: bool, manager: str
) -> None:
    last = ended(RunResult.NEVER_STARTED, SP, SnapshotKind.RESTORED, rejected=rejected, unanswered=unanswered)
    decision = decide(job(status=_status(last)), seen(cluster=cluster(incarnation=manager)))
    assert decision.status.submission is not None
    if manager == "jm-2" or (rejected and not unanswered):
        assert (decision.status.submission.number, _restored(decision)) == (2, SP)
    else:
        assert (decision.status.submission.number, decision.status.submission.end) == (1, None)
        assert acts(decision) == []


@pytest.mark.parametrize(
    "result", [result for result in RunResult if result not in (RunResult.DRAINED, RunResult.NEVER_STARTED)]
)
@table("change", "other arguments", {"args": ["new"]}, "a new nonce", {"restartNonce": 2})
def test_a_change_of_what_runs_releases_every_latch(result: RunResult, change: dict[str, Any]) -> None:
    hold = Hold(reason=HoldReason.LOST, since=ago(5), run_digest=digest())
    decision = decide(job(spec(**change), _status(ended(result, SP), hold=hold)), seen())
    assert "RunJob" in acts(decision)
    assert _restored(decision) == SP
    assert decision.status.hold is None


@table(
    "change",
    "another parallelism",
    {"parallelism": 4},
    "another time for savepoints",
    {"savepoints": {"timeout": "5m"}},
    "another number of revisions",
    {"revisionHistoryLimit": 3},
    "another time for upgrades",
    {"upgrade": {"timeout": "1h"}},
)
@pytest.mark.parametrize("reason", [HoldReason.STOPPED, HoldReason.ATTEMPTS_USED_UP, HoldReason.SAVEPOINT_UNKNOWN])
def test_a_change_that_is_none_of_the_run_releases_no_hold(change: dict[str, Any], reason: HoldReason) -> None:
    hold = Hold(reason=reason, since=ago(5), run_digest=digest(), by="bye", location=SP)
    decision = decide(job(spec(**change), _status(ended(RunResult.STOPPED, SP), hold=hold), held=False), seen())
    assert acts(decision) == []
    assert decision.status.hold == hold


def test_state_releases_holds_when_it_leaves_running() -> None:
    hold = Hold(reason=HoldReason.STOPPED, since=ago(5), run_digest=digest(), by="bye", location=SP)
    before = _status(ended(RunResult.STOPPED, SP), hold=hold)
    down = decide(job(spec(state="Suspended"), before), seen())
    assert down.status.hold is None
    assert conditions(down) == "Ready, health unknown"
    up = decide(job(status=down.status), seen())
    assert _restored(up) == SP


@pytest.mark.parametrize("state", ["Suspended", "Cancelled", "Drained"])
@pytest.mark.parametrize("result", list(RunResult))
def test_what_is_not_wanted_does_not_run(state: str, result: RunResult) -> None:
    decision = decide(job(spec(state=state), _status(ended(result, SP)), held=False), seen())
    assert acts(decision) == []
    assert decision.status.phase == state
    assert conditions(decision) == "Ready, health unknown"


@table(
    ("kind", "snapshot", "restore", "start"),
    "from its savepoint",
    (SnapshotKind.SAVEPOINT, SP, {}, SP),
    "from its checkpoint",
    (SnapshotKind.CHECKPOINT, SP, {}, SP),
    "from what the run itself started from",
    (SnapshotKind.RESTORED, SP, {}, SP),
    "empty where the run left nothing",
    (SnapshotKind.EMPTY, None, {}, None),
    "not at all where state is missing",
    (SnapshotKind.MISSING, None, {}, "Stalled"),
    "empty where state is missing and that is wanted",
    (SnapshotKind.MISSING, None, {"onMissing": "Fresh"}, None),
    "not at all where state is older than allowed",
    (SnapshotKind.SAVEPOINT, SP, {"maxAge": "5s"}, "Stalled"),
    "from state that is younger than allowed",
    (SnapshotKind.SAVEPOINT, SP, {"maxAge": "1h"}, SP),
    "empty where state is older than allowed and that is wanted",
    (SnapshotKind.SAVEPOINT, SP, {"maxAge": "5s", "onMissing": "Fresh"}, None),
)
def test_where_the_next_run_starts_from(
    kind: SnapshotKind, snapshot: str | None, restore: dict[str, Any], start: str | None
) -> None:
    submission = ended(RunResult.CANCELLED, snapshot, kind)
    assert submission.end is not None
    submission = replace(submission, end=replace(submission.end, snapshot_time=ago(60)))
    decision = decide(job(spec(restore=restore), _status(submission)), seen())
    if start == "Stalled":
        assert acts(decision) == ["RemoveFinalizer"]
        assert decision.status.plan is not None
        assert decision.status.plan.reason == "StateMissing"
        assert conditions(decision) == "Stalled, unhealthy"
    else:
        assert _restored(decision) == start
    assert ("StartingFresh" in told(decision)) == (restore.get("onMissing") == "Fresh")


@pytest.mark.parametrize("changed", [False, True])
def test_stateless_starts_empty_only_for_another_spec(changed: bool) -> None:
    wanted = spec(upgrade={"strategy": "Stateless"}, args=["new"] if changed else [])
    decision = decide(job(wanted, _status(ended(RunResult.CANCELLED, SP))), seen())
    assert _restored(decision) == (None if changed else SP)


def test_a_new_nonce_starts_from_what_the_initial_state_says() -> None:
    initial = {"strategy": "Custom", "location": "file:/other", "nonce": 1}
    about = job(spec(initialState=initial, restore={"claimMode": "Claim"}), _status(ended(RunResult.DRAINED, SP)))
    decision = decide(about, seen())
    assert _restored(decision) == "file:/other"
    run = next(action for action in decision.actions if isinstance(action, RunJob))
    assert run.request.claim_mode is ClaimMode.CLAIM
    assert decision.status.submission is not None
    assert (decision.status.submission.reason, decision.status.submission.nonce) == ("Redeploy", 1)


# restarts


def test_a_restart_waits_once_and_then_starts() -> None:
    first = decide(job(status=_status(ended(RunResult.FAILED, SP)), held=False), seen())
    assert first.status.restart is not None
    assert first.status.restart.attempts == 1
    assert told(first) == ["BackOff"]
    again = decide(job(status=first.status, held=False), seen(now=NOW + timedelta(seconds=1)))
    assert again.status.restart == _read(first).restart
    assert (acts(again), told(again)) == ([], [])
    later = decide(job(status=first.status, held=False), seen(now=NOW + timedelta(seconds=10)))
    assert _restored(later) == SP


def _read(decision: JobDecision) -> FlinkJobStatus:
    return job(status=decision.status).status


@pytest.mark.parametrize("skew", [-30.0, 30.0])
@pytest.mark.parametrize("delay", ["100ms", "5s"])
def test_an_end_counts_as_one_failure_whatever_the_clocks(skew: float, delay: str) -> None:
    """Flink's clock says when the job ended, the operator's when the next attempt is due, in whole seconds."""
    status = _status(ended(RunResult.FAILED, SP, at=NOW + timedelta(seconds=skew)))
    wanted = spec(restart={"initialDelay": delay, "maxAttempts": 3})
    for step in range(100):
        decision = decide(job(wanted, status, held=False), seen(now=NOW + timedelta(seconds=step * 0.1)))
        status = decision.status
        assert status.restart is not None
        assert status.restart.attempts == 1, f"after {step} looks"
        if "RunJob" in acts(decision):
            return
    raise AssertionError("never started again")


def test_a_pause_that_was_noted_while_the_clock_was_ahead_is_over() -> None:
    failed = ended(RunResult.FAILED, SP)
    for pause, actions in ((301.0, ["RunJob"]), (299.0, [])):
        restart = RestartInfo(attempts=1, next_time=NOW + timedelta(seconds=pause), submission=1)
        decision = decide(job(status=_status(failed, restart=restart)), seen())
        assert [act for act in acts(decision) if act == "RunJob"] == actions


def test_attempts_are_counted_over_runs_and_used_up() -> None:
    wanted = spec(restart=GIVEN_UP | {"maxAttempts": 2})
    status = _status(
        ended(RunResult.FAILED, SP, started_time=ago(20)), restart=RestartInfo(attempts=2, next_time=ago(30))
    )
    decision = decide(job(wanted, status, held=False), seen())
    assert decision.status.hold is not None
    assert decision.status.hold.reason is HoldReason.ATTEMPTS_USED_UP
    assert conditions(decision) == "Stalled, unhealthy"
    assert decision.status.phase == "Failed"


def test_a_run_that_lived_long_starts_the_count_again() -> None:
    status = _status(
        ended(RunResult.FAILED, SP, started_time=ago(3600)), restart=RestartInfo(attempts=7, next_time=ago(3700))
    )
    decision = decide(job(status=status, held=False), seen())
    assert decision.status.restart is not None
    assert decision.status.restart.attempts == 1


def test_a_run_that_could_not_be_restored_is_not_tried_again() -> None:
    submission = ended(
        RunResult.FAILED, SP, SnapshotKind.RESTORED, cause=EndCause.RESTORE_FAILED, restored_from=SP, running=False
    )
    decision = decide(job(status=_status(submission), held=False), seen())
    assert acts(decision) == []
    assert decision.status.plan is not None
    assert decision.status.plan.reason == "RestoreFailed"
    assert conditions(decision) == "Stalled, unhealthy"


def test_it_is_tried_again_when_state_may_be_left_behind() -> None:
    submission = ended(
        RunResult.FAILED, SP, SnapshotKind.RESTORED, cause=EndCause.RESTORE_FAILED, restored_from=SP, running=False
    )
    wanted = spec(restore={"allowNonRestoredState": True})
    waiting = decide(job(wanted, _status(submission), held=False), seen())
    assert waiting.status.restart is not None
    later = decide(job(wanted, waiting.status, held=False), seen(now=NOW + timedelta(seconds=10)))
    run = next(action for action in later.actions if isinstance(action, RunJob))
    assert run.request.allow_non_restored_state
    still = replace(submission, allow_non_restored_state=True)
    assert acts(decide(job(wanted, _status(still), held=False), seen())) == []


# strays


def test_an_older_run_that_is_live_is_cancelled_before_anything_is_submitted() -> None:
    status = _status(ended(RunResult.CANCELLED, SP, number=2, job_id=flink_id(2)))
    decision = decide(job(status=status), seen(owned_jobs=(overview(number=1),)))
    assert acts(decision) == ["CancelJob", "RemoveFinalizer"]
    assert told(decision) == ["StrayJob"]
    assert told(decide(job(status=decision.status), seen(owned_jobs=(overview(number=1),)))) == []


@pytest.mark.parametrize("number", [1, 3])
def test_a_live_job_that_is_not_known_to_be_older_blocks_submissions(number: int) -> None:
    status = _status(ended(RunResult.LOST, SP))
    about = overview(number=number) if number == 1 else overview(number=number, job_id=flink_id(1, "another uid"))
    decision = decide(job(status=status, held=False), seen(owned_jobs=(about,)))
    assert acts(decision) == []
    assert conditions(decision) == "Stalled, unhealthy"


@pytest.mark.parametrize("state", [state for state in FlinkJobState if state.is_terminal])
def test_ended_kin_block_nothing(state: FlinkJobState) -> None:
    decision = decide(job(status=_status(ended(RunResult.CANCELLED, SP))), seen(owned_jobs=(overview(state),)))
    assert "RunJob" in acts(decision)


def test_an_unsuitable_cluster_gets_no_run() -> None:
    wanted = spec(cluster={"url": "http://flink.example:8081", "require": ["HighAvailability"]})
    decision = decide(job(wanted, _status(ended(RunResult.CANCELLED, SP)), held=False), seen())
    assert acts(decision) == []
    assert decision.status.plan is not None
    assert decision.status.plan.reason == "Unsuitable"


@table("where", "two JobManagers answer in turn", cluster(several_managers=True))
def test_two_managers_at_one_address_stop_everything(where: Any) -> None:
    decision = decide(job(status=_status(ended(RunResult.CANCELLED, SP)), held=False), seen(cluster=where))
    assert acts(decision) == []
    assert decision.status.plan is not None
    assert decision.status.plan.reason == "AddressNotUnique"


@table(
    ("kind", "snapshot", "step"),
    "what is left: from there",
    (SnapshotKind.CHECKPOINT, "file:/c/chk-5", "set a new restartNonce to start it again from file:/c/chk-5"),
    "nothing was ever made: without state",
    (SnapshotKind.EMPTY, None, "set a new restartNonce to start it again without state"),
    "state is missing: a person says where to start",
    (
        SnapshotKind.MISSING,
        None,
        "name the state to start from in initialState with a new nonce, or set restore.onMissing: Fresh and a new "
        "restartNonce to start without state",
    ),
)
def test_a_job_that_is_held_says_what_to_do(kind: SnapshotKind, snapshot: str | None, step: str) -> None:
    last = ended(RunResult.LOST, snapshot, kind, message="run 1 was lost: " + "x" * 600)
    decision = decide(job(spec(restart={"onLost": "Hold"}), FlinkJobStatus(submission=last)), seen())
    plan = decision.status.plan
    assert plan is not None
    assert plan.message is not None
    assert plan.message.startswith("run 1 was lost: x")
    assert plan.message.endswith(f"…; {step}")
