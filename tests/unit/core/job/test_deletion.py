"""Deleting a FlinkJob: what becomes of its Flink job, by policy, presence and time; and that it ends."""

from typing import Any

import pytest

from flinkjob.api.enums import OperationKind, RunResult, SnapshotKind
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.core.errors import SubmitRejection
from flinkjob.core.flinkmodel import CheckpointKind, FlinkJobState, TriggerState
from flinkjob.core.model import JobDecision
from flinkjob.core.seen import JobSeen, MarkedJob, Presence, RunPhase, RunSeen
from tests.support.inputs import (
    RUNNING,
    SAVEPOINTS,
    UNKNOWN,
    absent,
    acts,
    ago,
    chk,
    cluster,
    decide,
    deleted,
    directory,
    ended,
    event_of,
    flink_id,
    job,
    operation,
    overview,
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

DONE = ["DiscardArtifact", "RemoveFinalizer"]
LEFT = ["RemoveFinalizer"]


def _policy(policy: str, **fields: Any) -> dict[str, Any]:
    return spec(deletion={"policy": policy}, **fields)


@pytest.mark.parametrize("policy", ["Savepoint", "Cancel", "Orphan"])
@pytest.mark.parametrize(
    "status",
    [FlinkJobStatus(), *(FlinkJobStatus(submission=ended(result, "file:/s")) for result in RunResult)],
    ids=lambda status: status.submission.end.result if status.submission else "NeverRan",
)
def test_what_does_not_run_goes_at_once(policy: str, status: FlinkJobStatus) -> None:
    decision = decide(job(_policy(policy), status, **deleted()), seen(deleting_for=1.0))
    assert acts(decision)[-1] == "RemoveFinalizer"
    assert "CancelJob" not in acts(decision)
    assert decision.status.phase == "Deleting"


@table(
    ("policy", "actions"),
    "a savepoint is made where the revision says Savepoint",
    ("Savepoint", ["StopJob"]),
    "the job is cancelled where the revision says Cancel",
    ("Cancel", ["CancelJob"]),
    "the job is left running where the revision says Orphan",
    ("Orphan", LEFT),
)
def test_a_spec_that_cannot_be_read_is_ended_as_its_revision_says(policy: str, actions: list[str]) -> None:
    status = FlinkJobStatus(submission=run(), current_revision="clicks-1")
    about = job({"jar": 7}, status, **deleted())
    assert about.spec is None
    revision = job(_policy(policy)).spec
    assert acts(decide(about, seen(present(), deleting_for=1.0, revisions={"clicks-1": revision}))) == actions
    assert acts(decide(about, seen(present(), deleting_for=1.0))) == ["CancelJob"], "it is gone too"


@table(
    ("policy", "known", "actions"),
    "Savepoint: a running job is stopped",
    ("Savepoint", present(), ["StopJob"]),
    "Savepoint: a job whose tasks do not all run is waited for",
    ("Savepoint", present(tasks=1), []),
    "Savepoint: a job that has just vanished is waited for",
    ("Savepoint", absent(0.0), []),
    "Savepoint: a job that nothing is known of is waited for",
    ("Savepoint", UNKNOWN, []),
    "Cancel: a running job is cancelled",
    ("Cancel", present(), ["CancelJob"]),
    "Cancel: a job whose tasks do not all run is cancelled",
    ("Cancel", present(tasks=1), ["CancelJob"]),
    "Cancel: a job that nothing is known of is waited for",
    ("Cancel", UNKNOWN, []),
    "Orphan: a running job is left",
    ("Orphan", present(), LEFT),
    "Orphan: a job that nothing is known of is left",
    ("Orphan", UNKNOWN, LEFT),
    "Orphan: a job that has just vanished is left",
    ("Orphan", absent(0.0), LEFT),
)
def test_the_first_step(policy: str, known: JobSeen, actions: list[str]) -> None:
    there = cluster(incarnation="jm-2") if known.presence is Presence.ABSENT else cluster()
    about = job(_policy(policy), RUNNING, **deleted())
    decision = decide(about, seen(known, cluster=there, deleting_for=1.0, checkpoints=stats(chk(1))))
    if policy == "Orphan" and known.presence is Presence.ABSENT:
        assert "CancelJob" not in acts(decision)
        return
    assert acts(decision) == actions
    assert ("Orphaned" in told(decision)) == (policy == "Orphan")


def test_without_a_directory_it_is_cancelled() -> None:
    decision = decide(
        job(_policy("Savepoint"), RUNNING, **deleted()), seen(present(), cluster=cluster(savepoint_directory=None))
    )
    assert acts(decision) == ["CancelJob"]
    own = _policy("Savepoint", savepoints={"directory": SAVEPOINTS})
    decision = decide(job(own, RUNNING, **deleted()), seen(present(), cluster=cluster(savepoint_directory=None)))
    assert acts(decision) == ["StopJob"]


def test_a_job_that_never_ran_and_has_no_state_is_not_waited_for() -> None:
    status = FlinkJobStatus(submission=run(running=False, started_time=None))
    about = job(_policy("Savepoint"), status, **deleted())
    assert acts(decide(about, seen(present(tasks=0)))) == ["CancelJob"]
    assert acts(decide(about, seen(present(tasks=0), checkpoints=stats(chk(1))))) == []


def test_the_savepoint_of_a_deletion_survives() -> None:
    stop = operation(OperationKind.STOP, "Deletion")
    done = seen(
        present(FlinkJobState.FINISHED), trigger=triggered(TriggerState.COMPLETED, f"{directory()}/savepoint-1")
    )
    decision = decide(job(_policy("Savepoint"), FlinkJobStatus(submission=run(), operation=stop), **deleted()), done)
    assert acts(decision) == ["RecordSavepoint", *DONE]


@pytest.mark.parametrize(
    ("after", "deadline_passed"), [(60.0, False), (299.0, False), (659.0, False), (661.0, True), (86400.0, True)]
)
def test_the_deadline_leaves_time_for_the_savepoint(after: float, deadline_passed: bool) -> None:
    decision = decide(
        job(_policy("Savepoint"), RUNNING, **deleted(after)), seen(UNKNOWN, cluster=silent(after), deleting_for=20.0)
    )
    assert (acts(decision) == LEFT) == deadline_passed
    assert ("LeftBehind" in told(decision)) == deadline_passed


@pytest.mark.parametrize(("lasted", "passed"), [(659.0, False), (661.0, True)])
def test_the_deadline_passes_though_the_clock_was_ahead_when_the_deletion_was_asked_for(
    lasted: float, passed: bool
) -> None:
    about = job(_policy("Savepoint"), RUNNING, **deleted(-86400))
    decision = decide(about, seen(UNKNOWN, cluster=silent(lasted), deleting_for=lasted))
    assert (acts(decision) == LEFT) == passed


@pytest.mark.parametrize("policy", ["Savepoint", "Cancel"])
def test_whatever_the_clock_says_one_full_attempt_is_made(policy: str) -> None:
    """The operator was down for a day while the object was being deleted."""
    about = job(_policy(policy), RUNNING, **deleted(86400))
    early = decide(about, seen(UNKNOWN, cluster=silent(1), deleting_for=14.0))
    assert acts(early) == []
    late = decide(about, seen(UNKNOWN, cluster=silent(1), deleting_for=16.0))
    assert acts(late) == LEFT
    assert acts(decide(about, seen(present(), deleting_for=16.0))) == ["CancelJob"]


def test_the_savepoint_of_a_stop_that_was_faster_than_the_cancel_survives() -> None:
    cancel = operation(OperationKind.CANCEL, "Deletion", since=ago(1))
    about = job(_policy("Savepoint"), FlinkJobStatus(submission=run(), operation=cancel), **deleted(700))
    saved = stats(chk(7, CheckpointKind.SYNC_SAVEPOINT, f"{directory()}/savepoint-1"))
    over = present(FlinkJobState.FINISHED, terminal_for=1.0)
    assert "RecordSavepoint" not in acts(decide(about, seen(over, checkpoints=saved, deleting_for=701.0)))
    decision = decide(about, seen(present(FlinkJobState.FINISHED), checkpoints=saved, deleting_for=704.0))
    assert acts(decision) == ["RecordSavepoint", *DONE]


@pytest.mark.parametrize(
    ("policy", "kind", "says"),
    [
        ("Savepoint", SnapshotKind.CHECKPOINT, True),
        ("Cancel", SnapshotKind.CHECKPOINT, False),
        ("Savepoint", SnapshotKind.SAVEPOINT, False),
    ],
)
def test_where_the_state_is_that_no_savepoint_could_be_taken_of_is_said(
    policy: str, kind: SnapshotKind, says: bool
) -> None:
    last = ended(RunResult.CANCELLED, "file:///c/chk-7", kind)
    decision = decide(job(_policy(policy), FlinkJobStatus(submission=last), **deleted()), seen(absent()))
    assert acts(decision) == DONE
    assert ("SavepointSkipped" in told(decision)) == says
    if says:
        assert "file:///c/chk-7" in event_of(decision, "SavepointSkipped").message


def test_a_stop_that_does_not_end_is_a_cancel_at_the_deadline() -> None:
    status = FlinkJobStatus(submission=run(), operation=operation(OperationKind.STOP, "Deletion", since=ago(700)))
    about = job(_policy("Savepoint"), status, **deleted(700))
    hanging = seen(present(), trigger=triggered(TriggerState.IN_PROGRESS), deleting_for=700.0)
    first = decide(about, hanging)
    assert acts(first) == ["CancelJob"]
    assert first.status.operation is not None
    assert first.status.operation.kind is OperationKind.CANCEL
    forgotten = seen(present(), trigger=triggered(TriggerState.FORGOTTEN), checkpoints=stats(), deleting_for=700.0)
    assert acts(decide(about, forgotten)) == ["CancelJob"], "and not also the stop once more, of which nothing is noted"
    gone = decide(
        job(_policy("Savepoint"), first.status, **deleted(700)),
        seen(present(FlinkJobState.CANCELED), deleting_for=701.0),
    )
    assert acts(gone) == DONE


def test_a_job_that_does_not_answer_is_cancelled_all_the_same_at_the_deadline() -> None:
    """Its JobMaster may do that when it answers again; after one attempt the object is gone all the same."""
    about = job(_policy("Cancel"), RUNNING, **deleted(900))
    first = decide(about, seen(UNKNOWN, deleting_for=900.0))
    assert acts(first) == ["CancelJob"]
    assert first.status.operation is not None
    again = decide(job(_policy("Cancel"), first.status, **deleted(900)), seen(UNKNOWN, deleting_for=901.0))
    assert acts(again) == ["CancelJob"], "the operator may have died before it was sent"
    assert told(again) == []
    tried = operation(OperationKind.CANCEL, "Deletion", since=ago(16))
    late = decide(
        job(_policy("Cancel"), FlinkJobStatus(submission=run(), operation=tried), **deleted(900)),
        seen(UNKNOWN, deleting_for=900.0),
    )
    assert acts(late) == LEFT
    assert told(late) == ["LeftBehind"]


def test_a_job_whose_id_says_nothing_is_cancelled_only_while_it_answers() -> None:
    named = FlinkJobStatus(submission=run(job_id="f" * 32))
    decision = decide(job(_policy("Cancel"), named, **deleted(900)), seen(UNKNOWN, deleting_for=900.0))
    assert acts(decision) == LEFT


def test_a_cancel_that_does_not_help_is_left_behind_after_one_attempt() -> None:
    for since, expected in ((10, ["CancelJob"]), (16, LEFT)):
        status = FlinkJobStatus(
            submission=run(), operation=operation(OperationKind.CANCEL, "Deletion", since=ago(since))
        )
        decision = decide(
            job(_policy("Cancel"), status, **deleted(900)), seen(present(FlinkJobState.CANCELLING), deleting_for=900.0)
        )
        assert acts(decision) == expected
        assert ("LeftBehind" in told(decision)) == (since > 15)


@table(
    "known", "the job runs", present(), "nothing is known of the job", UNKNOWN, "the job has just vanished", absent(0.0)
)
@table(
    "what",
    "without an operation",
    None,
    "during a stop",
    operation(OperationKind.STOP, "Upgrade"),
    "during a cancel",
    operation(OperationKind.CANCEL, "Upgrade"),
)
def test_an_orphan_is_never_cancelled_by_the_deadline(known: JobSeen, what: Any) -> None:
    status = FlinkJobStatus(submission=run(), operation=what)
    observation = seen(
        known,
        cluster=cluster(incarnation="jm-2") if known.presence is Presence.ABSENT else cluster(),
        trigger=triggered(TriggerState.IN_PROGRESS),
        deleting_for=3600.0,
    )
    decision = decide(job(_policy("Orphan"), status, **deleted(3600)), observation)
    assert acts(decision)[-1] == "RemoveFinalizer"
    assert told(decision) == ["Orphaned"]
    assert "CancelJob" not in acts(decision)


@table(
    "forced",
    "by the annotation",
    {"annotations": {"flinkjob.dev/force-delete": "true"}},
    "because its namespace goes too",
    {},
)
def test_a_forced_deletion_cancels_and_goes(forced: dict[str, Any]) -> None:
    terminating = not forced
    about = job(_policy("Savepoint"), RUNNING, **deleted(2, **forced))
    first = decide(about, seen(present(), deleting_for=1.0, namespace_terminating=terminating))
    assert acts(first) == ["CancelJob"]
    silent_now = seen(UNKNOWN, cluster=silent(20), deleting_for=16.0, namespace_terminating=terminating)
    assert acts(decide(about, silent_now)) == LEFT


@table(
    ("answer", "fields", "goes"),
    "a call that nobody knows of is waited for",
    (RunSeen(), {}, False),
    "a call under way is waited for",
    (RunSeen(phase=RunPhase.WORKING), {}, False),
    "a refused call is not waited for",
    (RunSeen(phase=RunPhase.REJECTED, rejection=SubmitRejection.CONFIG), {}, True),
    "a refused call after one without an answer is waited for",
    (RunSeen(phase=RunPhase.REJECTED, rejection=SubmitRejection.CONFIG), {"unanswered": True}, False),
    "a call that was refused before is not waited for",
    (RunSeen(), {"rejected": True}, True),
)
def test_a_run_that_may_still_appear_is_waited_for(answer: RunSeen, fields: dict[str, Any], goes: bool) -> None:
    status = FlinkJobStatus(submission=unseen(**fields))
    decision = decide(job(_policy("Cancel"), status, **deleted()), seen(absent(), run=answer))
    assert acts(decision) == (DONE if goes else [])
    if not goes:
        late = decide(job(_policy("Cancel"), status, **deleted(400)), seen(absent(), run=answer, deleting_for=400.0))
        assert told(late) == ["LeftBehind"]
        assert acts(late) == LEFT


@pytest.mark.parametrize("by", ["Upgrade", "Suspend", "FlinkSavepoint/bye"])
def test_a_deletion_joins_the_stop_in_flight(by: str) -> None:
    status = FlinkJobStatus(submission=run(), operation=operation(OperationKind.STOP, by))
    about = job(_policy("Savepoint"), status, **deleted())
    assert acts(decide(about, seen(present(), trigger=triggered(TriggerState.IN_PROGRESS)))) == []
    done = seen(
        present(FlinkJobState.FINISHED), trigger=triggered(TriggerState.COMPLETED, f"{directory()}/savepoint-1")
    )
    assert acts(decide(about, done))[-1] == "RemoveFinalizer"


# a status that does not tell the whole truth


def _live_without_status(policy: str, **fields: Any) -> JobDecision:
    observation = seen(owned_jobs=(overview(),), marked=(MarkedJob(overview=overview(), mark=None),), **fields)
    return decide(job(_policy(policy), FlinkJobStatus(), **deleted()), observation)


@pytest.mark.parametrize("policy", ["Savepoint", "Cancel", "Orphan"])
def test_a_job_whose_status_was_lost_is_found_before_the_object_goes(policy: str) -> None:
    decision = _live_without_status(policy)
    assert decision.status.submission is not None
    assert decision.status.submission.job_id == flink_id()
    assert acts(decision) == []
    then = decide(job(_policy(policy), decision.status, **deleted()), seen(present(), owned_jobs=(overview(),)))
    assert acts(then) == {"Savepoint": ["StopJob"], "Cancel": ["CancelJob"], "Orphan": LEFT}[policy]


def test_without_a_status_a_held_object_waits_for_its_cluster_until_the_deadline() -> None:
    about = job(_policy("Savepoint"), FlinkJobStatus(), **deleted(20))
    assert acts(decide(about, seen(cluster=silent(20), deleting_for=20.0))) == []
    late = job(_policy("Savepoint"), FlinkJobStatus(), **deleted(700))
    decision = decide(late, seen(cluster=silent(700), deleting_for=20.0))
    assert acts(decision) == LEFT


def test_an_older_run_that_is_still_live_is_ended_too() -> None:
    status = FlinkJobStatus(submission=ended(RunResult.CANCELLED, "file:/s", number=2, job_id=flink_id(2)))
    about = job(_policy("Cancel"), status, **deleted())
    assert acts(decide(about, seen(owned_jobs=(overview(number=1),)))) == ["CancelJob"]
    assert acts(decide(about, seen(owned_jobs=(overview(FlinkJobState.CANCELED, number=1),)))) == DONE
    late = job(_policy("Cancel"), status, **deleted(400))
    gone = decide(late, seen(owned_jobs=(overview(number=1),), deleting_for=400.0))
    assert acts(gone)[-1] == "RemoveFinalizer"
    assert "LeftBehind" in told(gone)
