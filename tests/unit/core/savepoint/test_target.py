"""A FlinkSavepoint of a Flink job by address and id, of a snapshot that exists, and what follows its end."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flinkjob.api.enums import RunResult, SavepointErrorCode, SavepointPhase, SnapshotKind
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus, SavepointError
from flinkjob.core.actions import StopJob, TakeSavepoint
from flinkjob.core.flinkmodel import CheckpointKind, CheckpointStatus, FlinkJobState, RestoredCheckpoint, TriggerState
from flinkjob.core.identity import Mark
from flinkjob.core.model import SavepointDecision
from flinkjob.core.seen import JobSeen
from tests.support.inputs import (
    NAME,
    NAMESPACE,
    NOW,
    OWNER,
    RUNNING,
    UID,
    URL,
    absent,
    acts,
    ago,
    chk,
    cluster,
    decide_sp,
    ended,
    error_of,
    flink_id,
    present,
    savepoint,
    seen,
    silent,
    stats,
    told,
    triggered,
    unseen,
)
from tests.support.tables import table

TARGET: dict[str, Any] = {"jobRef": None, "target": {"cluster": {"url": URL}, "jobId": flink_id()}}
MADE = "file:/savepoints/savepoint-1"


def _target(status: FlinkSavepointStatus | None = None, **fields: Any) -> Any:
    return savepoint(status=status, **TARGET, **fields)


MARK = Mark(str(OWNER), UID, 1, "")


def _decide(about: Any, observation: Any = None, **fields: Any) -> SavepointDecision:
    """Decide about a job of a FlinkJob of this namespace, unless a test says otherwise."""
    fields = {"claims": (f"{NAMESPACE}/{NAME}",)} | fields
    return decide_sp(about, None, observation or seen(present()), without_job=True, **fields)


# whose job it is


@table(
    ("mark", "fields", "code"),
    "a job of a FlinkJob of this namespace may be used",
    (None, {}, None),
    "a job whose FlinkJob of this namespace is gone may be used",
    (MARK, {"claims": ()}, None),
    "a job of another namespace may not be used",
    (Mark("default/other/clicks", "u", 1, ""), {}, "OwnedByOther"),
    "a job of another operator may not be used",
    (Mark(f"another/{NAMESPACE}/clicks", "u", 1, ""), {}, "OwnedByOther"),
    "a job that another namespace's FlinkJob runs may not be used",
    (None, {"claims": ("other/clicks",), "unmarked": True}, "OwnedByOther"),
    "a job of an operator that nobody is known for may not be used",
    (None, {"claims": (), "unmarked": True}, "OwnedByOther"),
)
@pytest.mark.parametrize("mode", ["Trigger", "Stop", "Cancel", "Existing"])
def test_nothing_is_done_to_the_job_of_another_owner(
    mark: Mark | None, fields: dict[str, Any], code: str | None, mode: str
) -> None:
    decision = _decide(_target(mode=mode), seen(present(), mark=mark, checkpoints=stats(chk(1))), **fields)
    assert error_of(decision) == code
    assert (acts(decision) == []) == (code is not None or mode == "Existing")


@pytest.mark.parametrize("unmarked", [False, True])
def test_a_job_that_no_operator_started_may_be_used_where_that_is_allowed(unmarked: bool) -> None:
    target = TARGET | {"target": {"cluster": {"url": URL}, "jobId": "e" * 32}}
    decision = _decide(savepoint(mode="Stop", **target), seen(present()), claims=(), unmarked=unmarked)
    assert error_of(decision) == (None if unmarked else "OwnedByOther")


def test_a_job_that_is_being_initialised_shows_no_mark_yet() -> None:
    decision = _decide(_target(), seen(present(FlinkJobState.INITIALIZING)), claims=())
    assert (decision.status.phase, acts(decision)) == (SavepointPhase.PENDING, [])


@table(
    ("written", "fields", "code"),
    "the job became another's",
    ({}, {"claims": ("other/clicks",)}, "OwnedByOther"),
    "the status names another job than the spec",
    ({"job_id": "e" * 32}, {}, "JobChanged"),
)
@pytest.mark.parametrize("mode", ["Trigger", "Stop", "Cancel"])
@pytest.mark.parametrize("state", [TriggerState.FORGOTTEN, TriggerState.COMPLETED])
def test_a_status_that_somebody_wrote_moves_no_job(
    written: dict[str, Any], fields: dict[str, Any], code: str, mode: str, state: TriggerState
) -> None:
    begun = replace(_decide(_target(mode=mode)).status, **written)
    trigger = triggered(state, MADE if state is TriggerState.COMPLETED else None)
    decision = _decide(_target(begun, mode=mode), seen(present(), trigger=trigger), **fields)
    assert (error_of(decision), acts(decision)) == (code, [])


@table(
    ("observation", "phase", "reason"),
    "gone for seconds: it fails",
    (seen(absent(9)), SavepointPhase.FAILED, "UnknownJob"),
    "gone for a moment: it waits",
    (seen(absent(1)), SavepointPhase.PENDING, "UnknownJob"),
    "nothing is known of the job: it waits",
    (seen(JobSeen()), SavepointPhase.PENDING, "ClusterUnreachable"),
    "the cluster is silent: it waits",
    (seen(JobSeen(), cluster=silent(9)), SavepointPhase.PENDING, "ClusterUnreachable"),
    "the cluster is forbidden: it fails",
    (
        seen(JobSeen(), cluster=silent(9), access_denied="host x is not allowed"),
        SavepointPhase.FAILED,
        "ClusterUnreachable",
    ),
    "the job has finished: it fails",
    (seen(present(FlinkJobState.FINISHED)), SavepointPhase.FAILED, "JobNotRunning"),
    "the job restarts: it waits",
    (seen(present(FlinkJobState.RESTARTING)), SavepointPhase.PENDING, "WaitingForTasks"),
    "there is no directory: it fails",
    (seen(present(), cluster=cluster(savepoint_directory=None)), SavepointPhase.FAILED, "NoSavepointDirectory"),
    "the job runs: it is asked for",
    (seen(present()), SavepointPhase.IN_PROGRESS, "InProgress"),
)
@pytest.mark.parametrize("mode", ["Trigger", "Stop", "Cancel"])
def test_the_job_must_be_there(observation: Any, phase: SavepointPhase, reason: str, mode: str) -> None:
    decision = _decide(_target(mode=mode), observation)
    assert (decision.status.phase, decision.status.conditions[0].reason) == (phase, reason)
    assert (acts(decision) != []) == (phase is SavepointPhase.IN_PROGRESS)


def test_at_the_timeout_it_says_what_was_missing() -> None:
    old = {"creationTimestamp": "2026-01-01T11:00:00Z"}
    assert error_of(_decide(_target(meta=old), seen(JobSeen(), cluster=silent(99)))) == "ClusterUnreachable"
    assert error_of(_decide(_target(meta=old), seen(JobSeen()))) == "Timeout"


# one at a time


def test_two_of_one_job_never_work_at_the_same_time() -> None:
    other = _target(FlinkSavepointStatus(phase=SavepointPhase.IN_PROGRESS))
    waiting = _decide(_target(mode="Stop"), others=(other,))
    assert (waiting.status.phase, acts(waiting)) == (SavepointPhase.PENDING, [])
    writing = replace(chk(3, CheckpointKind.SAVEPOINT), status=CheckpointStatus.IN_PROGRESS)
    busy = seen(present(), checkpoints=stats(writing))
    assert _decide(_target(mode="Stop"), busy).status.phase is SavepointPhase.PENDING
    assert _decide(_target(), busy).status.phase is SavepointPhase.IN_PROGRESS


# the three modes


@table(
    ("fields", "kind", "expected"),
    "a savepoint",
    ({}, TakeSavepoint, {"cancel": False}),
    "a savepoint and a cancel",
    ({"mode": "Cancel"}, TakeSavepoint, {"cancel": True}),
    "a stop",
    ({"mode": "Stop"}, StopJob, {"drain": False}),
    "a stop that drains",
    ({"mode": "Stop", "drain": True}, StopJob, {"drain": True}),
)
def test_the_intent_is_in_the_status(
    fields: dict[str, Any], kind: type[StopJob] | type[TakeSavepoint], expected: dict[str, Any]
) -> None:
    decision = _decide(_target(**fields))
    (action,) = decision.actions
    status = decision.status
    assert isinstance(action, kind)
    assert {name: getattr(action, name) for name in expected} == expected
    assert (action.trigger_id, action.directory) == (status.trigger_id, status.directory)
    assert (status.job_id, status.submission, status.cluster_url) == (flink_id(), None, URL)
    again = _decide(_target(status, **fields), seen(present(), trigger=triggered(TriggerState.FORGOTTEN)))
    assert again.actions == decision.actions


@table(
    ("mode", "state", "trigger", "phase", "actions"),
    "Stop: a savepoint of a job that still runs is not the end",
    ("Stop", FlinkJobState.RUNNING, triggered(TriggerState.COMPLETED, MADE), SavepointPhase.IN_PROGRESS, []),
    "Stop: a savepoint of a finished job is the end",
    ("Stop", FlinkJobState.FINISHED, triggered(TriggerState.COMPLETED, MADE), SavepointPhase.COMPLETED, []),
    "Cancel: a savepoint of a job that still runs is followed by a cancel",
    (
        "Cancel",
        FlinkJobState.RUNNING,
        triggered(TriggerState.COMPLETED, MADE),
        SavepointPhase.IN_PROGRESS,
        ["CancelJob"],
    ),
    "Cancel: a job that is being cancelled is waited for",
    ("Cancel", FlinkJobState.CANCELLING, triggered(TriggerState.COMPLETED, MADE), SavepointPhase.IN_PROGRESS, []),
    "Cancel: a cancelled job is the end",
    ("Cancel", FlinkJobState.CANCELED, triggered(TriggerState.COMPLETED, MADE), SavepointPhase.COMPLETED, []),
    "Trigger: a savepoint of a running job is the end",
    ("Trigger", FlinkJobState.RUNNING, triggered(TriggerState.COMPLETED, MADE), SavepointPhase.COMPLETED, []),
    "Stop: a failure of a job that runs on is tried again",
    (
        "Stop",
        FlinkJobState.RUNNING,
        triggered(TriggerState.FAILED, failure="no", failure_path=MADE),
        SavepointPhase.PENDING,
        [],
    ),
    "Stop: a failed job with its savepoint is the end",
    (
        "Stop",
        FlinkJobState.FAILED,
        triggered(TriggerState.FAILED, failure="no", failure_path=MADE),
        SavepointPhase.COMPLETED,
        [],
    ),
    "Stop: a finished job without a savepoint is a failure",
    ("Stop", FlinkJobState.FINISHED, triggered(TriggerState.FORGOTTEN), SavepointPhase.FAILED, []),
)
def test_its_end(mode: str, state: FlinkJobState, trigger: Any, phase: SavepointPhase, actions: list[str]) -> None:
    begun = _decide(_target(mode=mode)).status
    decision = _decide(_target(begun, mode=mode), seen(present(state), trigger=trigger))
    assert (decision.status.phase, acts(decision)) == (phase, actions)
    if phase is SavepointPhase.COMPLETED:
        assert (decision.status.location, decision.status.job_state) == (MADE, state)


def test_statistics_that_lag_behind_the_end_of_the_job_are_waited_for() -> None:
    begun = _decide(_target(mode="Stop")).status
    gone = triggered(TriggerState.FORGOTTEN)
    just = seen(present(FlinkJobState.FINISHED, terminal_for=1.0), trigger=gone)
    assert _decide(_target(begun, mode="Stop"), just).status.phase is SavepointPhase.IN_PROGRESS
    made = chk(4, CheckpointKind.SYNC_SAVEPOINT, f"{begun.directory}/savepoint-1")
    later = seen(present(FlinkJobState.FINISHED), trigger=gone, checkpoints=stats(made))
    done = _decide(_target(begun, mode="Stop"), later)
    assert (done.status.phase, done.status.location, done.status.checkpoint_id) == (
        SavepointPhase.COMPLETED,
        made.external_path,
        4,
    )


# mode Existing


EXISTING: dict[str, Any] = {"mode": "Existing"}


def test_a_place_is_registered_as_it_is() -> None:
    for status, without in ((RUNNING, False), (FlinkJobStatus(), False), (FlinkJobStatus(), True)):
        decision = decide_sp(savepoint(**EXISTING, location=MADE), status, seen(JobSeen()), without_job=without)
        assert (decision.status.phase, decision.status.location, acts(decision)) == (SavepointPhase.COMPLETED, MADE, [])
        assert decision.result_mark is not None
        assert json.loads(decision.result_mark)["location"] == MADE


LEFT = FlinkJobStatus(submission=ended(RunResult.STOPPED, MADE))
NOTHING = FlinkJobStatus(submission=ended(RunResult.FINISHED, None, SnapshotKind.EMPTY))


@table(
    ("status", "observation", "phase", "place"),
    "the newest checkpoint of a running job",
    (RUNNING, seen(present(), checkpoints=stats(chk(7), chk(6))), SavepointPhase.COMPLETED, chk(7).external_path),
    "none of a running job without checkpoints",
    (RUNNING, seen(present()), SavepointPhase.FAILED, None),
    "what a running job has restored",
    (
        RUNNING,
        seen(present(), checkpoints=stats(restored=RestoredCheckpoint(checkpoint_id=2, external_path=MADE))),
        SavepointPhase.COMPLETED,
        MADE,
    ),
    "wait for a cluster that is silent",
    (RUNNING, seen(JobSeen(), cluster=silent(3)), SavepointPhase.PENDING, None),
    "what a stopped job left",
    (LEFT, seen(JobSeen()), SavepointPhase.COMPLETED, MADE),
    "none of a finished job that left nothing",
    (NOTHING, seen(JobSeen()), SavepointPhase.FAILED, None),
    "wait for a run that was never seen",
    (FlinkJobStatus(submission=unseen()), seen(JobSeen()), SavepointPhase.PENDING, None),
)
def test_the_newest_snapshot_of_a_job(
    status: FlinkJobStatus, observation: Any, phase: SavepointPhase, place: str | None
) -> None:
    decision = decide_sp(savepoint(**EXISTING), status, observation)
    assert (decision.status.phase, decision.status.location, acts(decision)) == (phase, place, [])
    assert error_of(decision) == ("NoSnapshot" if phase is SavepointPhase.FAILED else None)


@pytest.mark.parametrize(
    ("age", "phase"), [(1, SavepointPhase.PENDING), (59, SavepointPhase.PENDING), (61, SavepointPhase.FAILED)]
)
def test_statistics_may_be_older_than_the_end_of_all_that_they_tell_of(age: float, phase: SavepointPhase) -> None:
    """Those of a job with an interval below 3 s: a younger answer is waited for, and nothing older taken instead."""
    meta = {"creationTimestamp": ago(age).strftime("%Y-%m-%dT%H:%M:%SZ")}
    restored = RestoredCheckpoint(checkpoint_id=2, external_path=MADE)
    told = stats(replace(chk(7), discarded=True), restored=restored if phase is SavepointPhase.PENDING else None)
    decision = decide_sp(savepoint(meta=meta, **EXISTING), RUNNING, seen(present(), checkpoints=told))
    assert (decision.status.phase, decision.status.location, acts(decision)) == (phase, None, [])
    if phase is SavepointPhase.PENDING:
        assert decision.requeue_after == pytest.approx(0.15)


def test_what_flink_tells_of_it_is_in_the_status() -> None:
    newest = replace(chk(7), state_bytes=2048, duration_ms=61000, trigger_time=ago(90))
    status = decide_sp(savepoint(**EXISTING), RUNNING, seen(present(), checkpoints=stats(newest))).status
    assert (status.checkpoint_id, status.size, status.duration) == (7, "2.0Ki", "1m1s")
    assert (status.start_time, status.end_time) == (ago(90), newest.latest_ack_time)


def test_by_address_it_may_have_ended() -> None:
    decision = _decide(_target(**EXISTING), seen(present(FlinkJobState.CANCELED), checkpoints=stats(chk(3))))
    assert (decision.status.location, decision.status.job_state) == (chk(3).external_path, FlinkJobState.CANCELED)


# after the end


DONE = FlinkSavepointStatus(
    phase=SavepointPhase.COMPLETED,
    location=MADE,
    job_id=flink_id(),
    end_time=ago(60),
    observed_generation=1,
    size_bytes=1,
)
GITOPS = {"argocd.argoproj.io/tracking-id": "x"}


@pytest.mark.parametrize("phase", [SavepointPhase.COMPLETED, SavepointPhase.FAILED])
@table(
    ("ttl", "owned", "actions"),
    "stays before it is over",
    (61, {}, []),
    "goes when it is over",
    (59, {}, ["DeleteObject"]),
    "goes at once with none",
    (0, {}, ["DeleteObject"]),
    "stays where a GitOps tool owns it",
    (0, GITOPS, []),
)
def test_its_time_to_live(phase: SavepointPhase, ttl: int, owned: dict[str, str], actions: list[str]) -> None:
    meta = {"annotations": {"flinkjob.dev/result": "{}"} | owned}
    about = savepoint(status=replace(DONE, phase=phase), meta=meta, ttlSecondsAfterFinished=ttl)
    decision = decide_sp(about, RUNNING)
    assert acts(decision) == actions
    assert told(decision) == []
    if ttl == 61:
        assert decision.requeue_after == pytest.approx(1.1)


def test_the_time_to_live_of_one_that_is_restored_from_a_backup_begins_anew() -> None:
    meta = {"annotations": {"flinkjob.dev/result": "{}"}, "creationTimestamp": ago(10).strftime("%Y-%m-%dT%H:%M:%SZ")}
    decision = decide_sp(savepoint(status=DONE, meta=meta, ttlSecondsAfterFinished=30), RUNNING)
    assert acts(decision) == []
    assert decision.requeue_after == pytest.approx(20.1)


def test_that_it_is_ignored_is_told_once() -> None:
    begun = replace(decide_sp(savepoint(), RUNNING).status)
    about = savepoint(status=begun, meta={"annotations": GITOPS}, ttlSecondsAfterFinished=0)
    ending = decide_sp(about, RUNNING, seen(present(), trigger=triggered(TriggerState.COMPLETED, MADE)))
    assert told(ending) == ["SavepointCompleted", "TTLIgnored"]
    after = savepoint(status=ending.status, meta={"annotations": GITOPS}, ttlSecondsAfterFinished=0)
    assert told(decide_sp(after, RUNNING)) == []


TIMED_OUT = replace(
    DONE,
    phase=SavepointPhase.FAILED,
    location=None,
    end_time=ago(20),
    trigger_id="t",
    directory="file:/d",
    cluster_url=URL,
    error=SavepointError(error_code=SavepointErrorCode.TIMEOUT),
)


@table(
    ("status", "trigger", "history", "place", "again"),
    "in progress: it is looked for again",
    (TIMED_OUT, triggered(TriggerState.IN_PROGRESS), (), None, True),
    "completed: its place is noted",
    (TIMED_OUT, triggered(TriggerState.COMPLETED, MADE), (), MADE, True),
    "forgotten and not in the history: it is looked for again",
    (TIMED_OUT, triggered(TriggerState.FORGOTTEN), (), None, True),
    "forgotten and in the history: its place is noted",
    (TIMED_OUT, triggered(TriggerState.FORGOTTEN), (chk(4, CheckpointKind.SAVEPOINT, "file:/d/s"),), "file:/d/s", True),
    "failed: it is looked for again",
    (TIMED_OUT, triggered(TriggerState.FAILED, failure="x"), (), None, True),
    "an hour later: nobody looks any more",
    (replace(TIMED_OUT, end_time=ago(4000)), triggered(TriggerState.COMPLETED, MADE), (), None, False),
    "at another cluster: it is looked for again",
    (
        replace(TIMED_OUT, cluster_url="http://other.example:8081"),
        triggered(TriggerState.COMPLETED, MADE),
        (),
        None,
        True,
    ),
    "after another failure: nobody looks",
    (
        replace(TIMED_OUT, error=SavepointError(error_code=SavepointErrorCode.SAVEPOINT_FAILED)),
        triggered(TriggerState.COMPLETED, MADE),
        (),
        None,
        False,
    ),
)
def test_one_that_comes_after_its_timeout_is_noted(
    status: FlinkSavepointStatus, trigger: Any, history: tuple[Any, ...], place: str | None, again: bool
) -> None:
    """It stays failed: who waited for it has been told so."""
    decision = decide_sp(
        savepoint(status=status), RUNNING, seen(present(), trigger=trigger, checkpoints=stats(*history))
    )
    assert (decision.status.phase, decision.status.location, acts(decision)) == (SavepointPhase.FAILED, place, [])
    assert (decision.requeue_after is not None) == again
    if place is not None:
        later = decide_sp(savepoint(status=decision.status), RUNNING, seen(present(), now=NOW + timedelta(seconds=9)))
        assert later.status == savepoint(status=decision.status).status
