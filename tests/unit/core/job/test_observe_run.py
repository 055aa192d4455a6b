"""What an observation teaches about the current run: how its end is latched, and with what state."""

from dataclasses import replace
from typing import Any

import pytest

from flinkjob.api.enums import (
    EndCause,
    OperationKind,
    RunResult,
    SavepointErrorCode,
    SavepointPhase,
    SnapshotKind,
    SubmissionReason,
)
from flinkjob.api.flinkjob_status import CheckpointInfo, FlinkJobStatus, HistoryEntry, Operation, Submission
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus, SavepointError
from flinkjob.core.errors import RestoreFailure
from flinkjob.core.facts import Checkpoints, Fact
from flinkjob.core.flinkmodel import (
    CheckpointConfig,
    CheckpointKind,
    CheckpointStats,
    FlinkJobState,
    JobException,
    RestoredCheckpoint,
    TriggerResult,
    TriggerState,
)
from flinkjob.core.identity import Mark
from flinkjob.core.model import JobDecision
from flinkjob.core.seen import FoundSnapshot, JobSeen, Listing, MarkedJob, Presence
from tests.support.inputs import (
    CHECKPOINTS,
    absent,
    acts,
    ago,
    chk,
    cluster,
    decide,
    digest,
    flink_id,
    job,
    operation,
    overview,
    present,
    run,
    savepoint,
    seen,
    silent,
    spec,
    stats,
    told,
    unseen,
)
from tests.support.tables import table

SYNC = chk(9, CheckpointKind.SYNC_SAVEPOINT, "file:/sp/9")
OWN = f"{CHECKPOINTS}/{flink_id()}"


def _status(submission: Submission | None = None, **fields: object) -> FlinkJobStatus:
    return FlinkJobStatus(submission=submission or run(), **fields)  # type: ignore[arg-type]


def _end(decision: JobDecision) -> tuple[RunResult, SnapshotKind | None, str | None]:
    assert decision.status.submission is not None
    end = decision.status.submission.end
    assert end is not None, decision.status.plan
    return end.result, end.snapshot_kind, end.snapshot


@pytest.mark.behaviour(41)
@pytest.mark.parametrize("state", [state for state in FlinkJobState if not state.is_terminal])
def test_a_job_that_is_not_terminal_has_not_ended(state: FlinkJobState) -> None:
    decision = decide(job(status=_status()), seen(present(state)))
    assert decision.status.submission is not None
    assert decision.status.submission.end is None
    assert decision.status.job is not None
    assert decision.status.job.state == state


@table(
    ("state", "history", "end"),
    "finished without checkpoints: it finished",
    (FlinkJobState.FINISHED, (), (RunResult.FINISHED, SnapshotKind.EMPTY, None)),
    "finished and its checkpoint discarded: it finished",
    (FlinkJobState.FINISHED, (chk(3, discarded=True),), (RunResult.FINISHED, SnapshotKind.EMPTY, None)),
    "finished after the savepoint of a stop: somebody stopped it",
    (FlinkJobState.FINISHED, (SYNC, chk(8)), (RunResult.CANCELLED_EXTERNALLY, SnapshotKind.SAVEPOINT, "file:/sp/9")),
    "finished after the savepoint of a stop and a discarded checkpoint: somebody stopped it",
    (
        FlinkJobState.FINISHED,
        (chk(10, discarded=True), SYNC),
        (RunResult.CANCELLED_EXTERNALLY, SnapshotKind.SAVEPOINT, "file:/sp/9"),
    ),
    "cancelled: somebody did, and its checkpoint is left",
    (FlinkJobState.CANCELED, (chk(3),), (RunResult.CANCELLED_EXTERNALLY, SnapshotKind.CHECKPOINT, f"{OWN}/chk-3")),
    "cancelled and its checkpoint discarded: somebody did, and state is missing",
    (FlinkJobState.CANCELED, (chk(3, discarded=True),), (RunResult.CANCELLED_EXTERNALLY, SnapshotKind.MISSING, None)),
    "failed without checkpoints: nothing is left",
    (FlinkJobState.FAILED, (), (RunResult.FAILED, SnapshotKind.EMPTY, None)),
    "failed: its newest checkpoint is left",
    (FlinkJobState.FAILED, (chk(3), chk(2)), (RunResult.FAILED, SnapshotKind.CHECKPOINT, f"{OWN}/chk-3")),
    "failed after a savepoint: the savepoint is left",
    (
        FlinkJobState.FAILED,
        (chk(4, CheckpointKind.SAVEPOINT, "file:/sp/4"), chk(3)),
        (RunResult.FAILED, SnapshotKind.SAVEPOINT, "file:/sp/4"),
    ),
)
def test_the_end_by_flinks_state_and_statistics(
    state: FlinkJobState, history: tuple[object, ...], end: tuple[object, ...]
) -> None:
    decision = decide(job(status=_status()), seen(present(state), checkpoints=stats(*history)))  # type: ignore[arg-type]
    assert _end(decision) == end


@table(
    ("restored_from", "restored", "left"),
    "what it was asked to start from",
    ("file:/old", None, (SnapshotKind.RESTORED, "file:/old")),
    "nothing after an empty start",
    (None, None, (SnapshotKind.EMPTY, None)),
    "the checkpoint that it restored meanwhile",
    ("file:/old", RestoredCheckpoint(checkpoint_id=5, external_path="file:/r5"), (SnapshotKind.CHECKPOINT, "file:/r5")),
    "the savepoint that it restored though none was asked for",
    (
        None,
        RestoredCheckpoint(checkpoint_id=5, external_path="file:/r5", is_savepoint=True),
        (SnapshotKind.SAVEPOINT, "file:/r5"),
    ),
)
def test_without_a_snapshot_of_its_own_a_run_leaves_what_it_started_from(
    restored_from: str | None, restored: RestoredCheckpoint | None, left: tuple[object, object]
) -> None:
    status = _status(run(restored_from=restored_from))
    decision = decide(
        job(status=status), seen(present(FlinkJobState.FAILED), checkpoints=CheckpointStats(restored=restored))
    )
    assert _end(decision)[1:] == left


def test_the_statistics_are_read_when_flinks_cache_has_expired() -> None:
    asked: list[Fact[Any]] = []
    decision = decide(job(status=_status()), seen(present(FlinkJobState.CANCELED, terminal_for=1.0)), asked)
    assert decision.status.submission is not None
    assert decision.status.submission.end is None
    assert Checkpoints not in map(type, asked)
    assert decision.requeue_after == pytest.approx(2.3)


@pytest.mark.behaviour(51)
def test_a_failure_is_told_with_its_cause() -> None:
    cause = JobException(
        time=ago(11), name="java.lang.RuntimeException", root_cause="boom", task="map", taskmanager="tm"
    )
    decision = decide(
        job(status=_status()), seen(present(FlinkJobState.FAILED), checkpoints=stats(chk(1)), exception=cause)
    )
    assert decision.status.last_failure is not None
    assert decision.status.last_failure.root_cause == "boom"
    assert "JobFailed" in told(decision)


@pytest.mark.parametrize(
    ("restore", "cause"),
    [(RestoreFailure.MISSING, EndCause.RESTORE_FAILED), (RestoreFailure.UNREACHABLE, None), (None, None)],
)
def test_a_failure_to_restore_is_noted_with_the_end(restore: RestoreFailure | None, cause: EndCause | None) -> None:
    failure = JobException(time=None, name="x", root_cause="y" * 600, restore=restore)
    status = FlinkJobStatus(submission=run(running=False, restored_from="file:/s"))
    decision = decide(job(status=status), seen(present(FlinkJobState.FAILED), checkpoints=stats(), exception=failure))
    assert decision.status.submission is not None
    assert decision.status.submission.end is not None
    assert decision.status.submission.end.cause is cause


@pytest.mark.behaviour(48)
def test_our_own_cancel_is_no_cancel_by_somebody_else() -> None:
    status = _status(operation=operation(OperationKind.CANCEL, "Upgrade"))
    for state, left in ((FlinkJobState.CANCELED, chk(3)), (FlinkJobState.FINISHED, SYNC)):
        about = job(spec(state="Cancelled"), status)
        decision = decide(about, seen(present(state), checkpoints=stats(left)))
        assert _end(decision)[::2] == (RunResult.CANCELLED, left.external_path)
        assert decision.status.operation is None
        assert "JobCancelledExternally" not in told(decision)


@pytest.mark.invariant(5)
@table("where", "silent for seconds", silent(5), "silent for minutes", silent(600))
def test_not_knowing_is_no_state_of_the_job(where: object) -> None:
    before = _status()
    decision = decide(job(status=before), seen(JobSeen(), cluster=where))
    assert decision.status.submission == before.submission
    assert acts(decision) == []


@pytest.mark.invariant(5)
@pytest.mark.fault("rest-job-omitted")
@table(
    ("submission", "presence", "manager"),
    "absent for the first time",
    (run(), absent(0.0), "jm-2"),
    "absent for less than five seconds",
    (run(), absent(4.9), "jm-2"),
    "absent from a manager that does not say who it is",
    (run(), absent(60.0), None),
    "absent before it was ever seen",
    (unseen(), absent(60.0), "jm-1"),
    "asked without an answer",
    (run(), JobSeen(presence=Presence.UNKNOWN), "jm-2"),
)
def test_absence_alone_ends_nothing(submission: Submission, presence: JobSeen, manager: str | None) -> None:
    decision = decide(job(status=_status(submission)), seen(presence, cluster=cluster(incarnation=manager)))
    assert decision.status.submission is not None
    assert decision.status.submission.end is None
    assert decision.status.submission.number == 1


READABLE = Listing(
    readable=True,
    found=(FoundSnapshot(location=f"{OWN}/chk-7", number=7), FoundSnapshot(location=f"{OWN}/chk-6", number=6)),
)
EMPTY = Listing(readable=True)
UNREADABLE = Listing(readable=False)


@table(
    ("manager", "available", "listing", "end"),
    "another manager and a readable directory: lost with its checkpoint",
    ("jm-2", False, READABLE, (RunResult.LOST, SnapshotKind.CHECKPOINT, f"{OWN}/chk-7")),
    "another manager and no readable directory: lost without state",
    ("jm-2", False, UNREADABLE, (RunResult.LOST, SnapshotKind.MISSING, None)),
    "the same manager and no readable directory: it ended unseen",
    ("jm-1", False, UNREADABLE, (RunResult.ENDED_UNSEEN, SnapshotKind.MISSING, None)),
    "another manager with high availability and no readable directory: it ended unseen",
    ("jm-2", True, UNREADABLE, (RunResult.ENDED_UNSEEN, SnapshotKind.MISSING, None)),
    "the same manager and a readable directory: lost with its checkpoint",
    ("jm-1", False, READABLE, (RunResult.LOST, SnapshotKind.CHECKPOINT, f"{OWN}/chk-7")),
    "another manager and an empty directory: lost before its first checkpoint",
    ("jm-2", False, EMPTY, (RunResult.LOST, SnapshotKind.EMPTY, None)),
)
def test_a_job_that_is_gone(manager: str, available: bool, listing: Listing, end: tuple[object, ...]) -> None:
    there = cluster(incarnation=manager, high_availability=available)
    decision = decide(job(status=_status()), seen(absent(), cluster=there, listings={OWN: listing}))
    assert _end(decision) == end


def test_checkpoints_that_were_there_and_are_gone_mean_finished() -> None:
    status = _status(last_checkpoint=CheckpointInfo(id=3, location=f"{OWN}/chk-3", time=ago(50)))
    decision = decide(job(status=status), seen(absent(), listings={OWN: EMPTY}))
    assert _end(decision)[0] is RunResult.FINISHED
    assert told(decision) == ["Finished"]


def test_an_end_is_noted_in_the_history_once() -> None:
    decision = decide(job(status=_status()), seen(present(FlinkJobState.FAILED), checkpoints=stats(chk(1))))
    assert [(entry.number, entry.result, entry.to) for entry in decision.status.history] == [
        (1, RunResult.FAILED, f"{OWN}/chk-1")
    ]
    again = decide(job(status=decision.status), seen(present(FlinkJobState.FAILED), checkpoints=stats(chk(1))))
    assert len(again.status.history) == 1


def test_the_first_sight_of_all_tasks_running() -> None:
    submission = unseen(number=2, job_id=flink_id(2), reason=SubmissionReason.UPGRADE, restored_from="file:/x")
    status = _status(submission, history=(HistoryEntry(number=1, ended=ago(4)),))
    decision = decide(job(status=status), seen(present(number=2)))
    now = decision.status.submission
    assert now is not None
    assert (now.seen, now.running) == (True, True)
    assert decision.status.history[0].downtime == "4.0s"
    assert told(decision) == ["Upgraded"]
    assert told(decide(job(status=decision.status), seen(present(number=2)))) == []


def test_running_without_tasks_is_not_running() -> None:
    decision = decide(job(status=_status(unseen())), seen(present(tasks=1)))
    assert decision.status.submission is not None
    assert (decision.status.submission.seen, decision.status.submission.running) == (True, False)


def test_after_a_repeated_run_call_the_job_says_what_it_is() -> None:
    mark = Mark(owner="default/shop/clicks", uid="u-1", number=1, digest="other")
    owned_jobs = (MarkedJob(overview=overview(), mark=mark),)
    decision = decide(job(status=_status(unseen(attempts=1))), seen(present(), marked=owned_jobs))
    assert decision.status.submission is not None
    assert decision.status.submission.run_digest == "other"


def test_a_run_that_has_just_started_was_not_restarted_yet() -> None:
    decision = decide(job(status=_status(run(running=False, started_time=None))), seen(present()))
    assert decision.status.job is not None
    assert decision.status.job.restarts == 0


def test_the_newest_checkpoint_ticks() -> None:
    latest = stats(chk(7, state_bytes=2048, duration_ms=12), restored_count=3)
    decision = decide(job(status=_status(run(restored_from="file:/x"))), seen(present(), latest=latest))
    assert decision.status.last_checkpoint is not None
    assert (decision.status.last_checkpoint.id, decision.status.last_checkpoint.size) == (7, "2.0Ki")
    assert decision.status.job is not None
    assert decision.status.job.restarts is None, "what was restored is not what Flink restarted: a rescale restores too"


SEVENTH = Listing(readable=True, found=(FoundSnapshot(location=f"{OWN}/chk-7", number=7, time=ago(40)),))


@pytest.mark.behaviour(25)
@table(
    ("listing", "fields", "left"),
    "an older savepoint by number: the checkpoint",
    (SEVENTH, {"checkpoint_id": 6}, (SnapshotKind.CHECKPOINT, f"{OWN}/chk-7")),
    "a newer savepoint by number: the savepoint",
    (SEVENTH, {"checkpoint_id": 8}, (SnapshotKind.SAVEPOINT, "file:/sp/mine")),
    "a newer savepoint that is being deleted: state is missing",
    (SEVENTH, {"checkpoint_id": 8, "deleting": True}, (SnapshotKind.MISSING, None)),
    "a newer savepoint by time: the savepoint",
    (SEVENTH, {"end_time": ago(30)}, (SnapshotKind.SAVEPOINT, "file:/sp/mine")),
    "an older savepoint by time: the checkpoint",
    (SEVENTH, {"end_time": ago(50)}, (SnapshotKind.CHECKPOINT, f"{OWN}/chk-7")),
    "a savepoint of no known age: state is missing",
    (SEVENTH, {"end_time": None}, (SnapshotKind.MISSING, None)),
    "a checkpoint of no known age: state is missing",
    (READABLE, {"end_time": ago(30)}, (SnapshotKind.MISSING, None)),
    "no checkpoint: the savepoint",
    (EMPTY, {"end_time": ago(30)}, (SnapshotKind.SAVEPOINT, "file:/sp/mine")),
    "a savepoint of another run: the checkpoint",
    (SEVENTH, {"checkpoint_id": 8, "job_id": "another"}, (SnapshotKind.CHECKPOINT, f"{OWN}/chk-7")),
)
def test_a_lost_run_starts_from_the_newer_of_checkpoint_and_savepoint(
    listing: Listing, fields: dict[str, Any], left: tuple[object, object]
) -> None:
    status = FlinkSavepointStatus(
        phase=SavepointPhase.COMPLETED, location="file:/sp/mine", job_id=flink_id(), end_time=ago(30)
    )
    observation = seen(absent(), cluster=cluster(incarnation="jm-2"), listings={OWN: listing})
    decision = decide(job(status=_status()), observation, savepoints=[savepoint(status=replace(status, **fields))])
    assert _end(decision)[1:] == left


TIMED_OUT = FlinkSavepointStatus(
    phase=SavepointPhase.FAILED,
    job_id=flink_id(),
    directory="file:/sp/tried",
    end_time=ago(30),
    error=SavepointError(error_code=SavepointErrorCode.TIMEOUT),
)
CAME = Listing(readable=True, found=(FoundSnapshot(location="file:/sp/tried/savepoint-1", time=ago(10)),))


@table(
    ("status", "there", "left"),
    "it came after its timeout and is newer: it counts",
    (replace(TIMED_OUT, location="file:/sp/late", checkpoint_id=8), EMPTY, "file:/sp/late"),
    "it came after its timeout and is older: the checkpoint counts",
    (replace(TIMED_OUT, location="file:/sp/late", checkpoint_id=6), EMPTY, f"{OWN}/chk-7"),
    "it timed out and is in its directory: it counts",
    (TIMED_OUT, CAME, "file:/sp/tried/savepoint-1"),
    "it timed out and its directory is empty: the checkpoint counts",
    (TIMED_OUT, EMPTY, f"{OWN}/chk-7"),
    "it is in progress and in its directory: it counts",
    (replace(TIMED_OUT, phase=SavepointPhase.IN_PROGRESS, error=None), CAME, "file:/sp/tried/savepoint-1"),
    "it failed for another reason: the checkpoint counts",
    (replace(TIMED_OUT, error=None), CAME, f"{OWN}/chk-7"),
    "it names a checkpoint that is gone: the checkpoint that is there counts",
    (
        replace(TIMED_OUT, phase=SavepointPhase.COMPLETED, location=f"{OWN}/chk-9", checkpoint_id=9),
        EMPTY,
        f"{OWN}/chk-7",
    ),
)
def test_a_savepoint_whose_outcome_nobody_saw_counts_when_the_job_is_lost(
    status: FlinkSavepointStatus, there: Listing, left: str
) -> None:
    listings = {OWN: SEVENTH, "file:/sp/tried": there}
    observation = seen(absent(), cluster=cluster(incarnation="jm-2"), listings=listings)
    decision = decide(job(status=_status()), observation, savepoints=[savepoint(status=status)])
    assert _end(decision)[2] == left


@pytest.mark.parametrize("where", ["file:///elsewhere", "file:///checkpoints"])
@pytest.mark.parametrize("known", [True, False])
def test_checkpoints_are_looked_for_where_the_run_wrote_them(where: str, known: bool) -> None:
    """The spec has changed since, and the cluster came back with another configuration: neither tells."""
    last = CheckpointInfo(id=7, location=f"{OWN}/chk-7", time=ago(50)) if known else None
    there = cluster(incarnation="jm-2", checkpoint_directory="file:///of-the-new-jobmanager")
    wanted = spec(checkpoint={"directory": where})
    listings = {
        OWN: READABLE,
        f"{where}/{flink_id()}": READABLE if where == CHECKPOINTS else EMPTY,
        f"file:///of-the-new-jobmanager/{flink_id()}": EMPTY,
    }
    decision = decide(job(wanted, _status(last_checkpoint=last)), seen(absent(), cluster=there, listings=listings))
    ended = decision.status.history[0]
    assert (ended.result, ended.to) == (RunResult.LOST, f"{OWN}/chk-7" if known else None)
    assert ("RunJob" in acts(decision)) == known


def test_a_run_that_is_lost_after_an_edit_is_looked_for_where_its_revision_says() -> None:
    """No checkpoint of it was seen yet, and the spec is another one by now."""
    status = _status(run(revision="clicks-1"))
    there = cluster(incarnation="jm-2", checkpoint_directory="file:///of-the-new-jobmanager")
    old = job(spec(checkpoint={"directory": CHECKPOINTS})).spec
    wanted = spec(checkpoint={"directory": "file:///elsewhere"})
    decision = decide(
        job(wanted, status), seen(absent(), cluster=there, listings={OWN: READABLE}, revisions={"clicks-1": old})
    )
    lost = decision.status.history[0]
    assert (lost.result, lost.to) == (RunResult.LOST, f"{OWN}/chk-7")


@pytest.mark.parametrize("state", [FlinkJobState.FINISHED, FlinkJobState.FAILED, FlinkJobState.CANCELED])
@table(
    "what",
    "without an operation",
    None,
    "during a suspension",
    operation(OperationKind.STOP, "Suspend"),
    "during a cancel",
    operation(OperationKind.CANCEL),
)
def test_a_job_that_is_forgotten_between_two_questions_has_not_left_nothing(
    state: FlinkJobState, what: Operation | None
) -> None:
    answers = seen(present(state), checkpoints=None, trigger=TriggerResult(state=TriggerState.FORGOTTEN))
    decision = decide(job(status=_status(run(restored_from="file:/old"), operation=what)), answers)
    assert decision.status.submission is not None
    assert decision.status.submission.end is None
    assert decision.outcome is None


EMPTY_DIRECTORY = Listing(readable=True)


@pytest.mark.invariant(6)
@table(
    ("incarnation", "known", "retention", "expected"),
    "same manager, one was seen, retained: it finished",
    ("jm-1", True, "RetainOnCancellation", (RunResult.FINISHED, SnapshotKind.EMPTY)),
    "same manager, one was seen, not retained: it ended unseen",
    ("jm-1", True, "DeleteOnCancellation", (RunResult.ENDED_UNSEEN, SnapshotKind.MISSING)),
    "same manager, none was seen, retained: it ended unseen",
    ("jm-1", False, "RetainOnCancellation", (RunResult.ENDED_UNSEEN, SnapshotKind.MISSING)),
    "another manager, one was seen, retained: it finished",
    ("jm-2", True, "RetainOnCancellation", (RunResult.FINISHED, SnapshotKind.EMPTY)),
    "another manager, one was seen, not retained: lost, state is missing",
    ("jm-2", True, "DeleteOnCancellation", (RunResult.LOST, SnapshotKind.MISSING)),
    "another manager, none was seen, retained: lost before its first checkpoint",
    ("jm-2", False, "RetainOnCancellation", (RunResult.LOST, SnapshotKind.EMPTY)),
    "another manager, none was seen, not retained: lost, state is missing",
    ("jm-2", False, "DeleteOnCancellation", (RunResult.LOST, SnapshotKind.MISSING)),
)
@table("asked_of", "by the spec", "spec", "by Flink, against the spec", "Flink")
def test_a_job_that_is_gone_and_left_no_checkpoint(
    incarnation: str, known: bool, retention: str, expected: tuple[RunResult, SnapshotKind], asked_of: str
) -> None:
    """Finished only when one was seen of this very run that a failure or cancel would have left."""
    seen_one = CheckpointInfo(id=3, location=f"{OWN}/chk-3", time=ago(20))
    of_another = CheckpointInfo(id=9, location="file:///checkpoints/of-another-run/chk-9", time=ago(90))
    observation = seen(absent(), cluster=cluster(incarnation=incarnation), listings={OWN: EMPTY_DIRECTORY})
    kept = retention == "RetainOnCancellation"
    if asked_of == "Flink":
        retention = "DeleteOnCancellation" if kept else "RetainOnCancellation"
    wanted = spec(checkpoint={"retention": retention})
    submission = run(
        retains_checkpoints=kept if asked_of == "Flink" else None,
        run_digest=digest(checkpoint={"retention": retention}),
    )
    status = _status(submission, last_checkpoint=seen_one if known else of_another)
    decision = decide(job(wanted, status), observation)
    assert _end(decision)[:2] == expected


@table(
    ("config", "expected"),
    "kept",
    (CheckpointConfig(interval_ms=1000, retained=True, retained_on_cancellation=True), True),
    "not kept, as the program asks",
    (CheckpointConfig(interval_ms=1000, retained=True), False),
    "Flink has just forgotten the job",
    (None, None),
)
def test_whether_checkpoints_outlive_the_job_is_noted_while_flink_can_tell(
    config: CheckpointConfig | None, expected: bool | None
) -> None:
    decision = decide(job(status=_status(run(running=False))), seen(present(), checkpoint_config=config))
    assert decision.status.submission is not None
    assert decision.status.submission.retains_checkpoints is expected


def test_a_finished_job_is_not_run_again_from_its_last_savepoint() -> None:
    saved = FlinkSavepointStatus(
        phase=SavepointPhase.COMPLETED, location="file:/sp/mine", job_id=flink_id(), checkpoint_id=8, end_time=ago(30)
    )
    status = _status(last_checkpoint=CheckpointInfo(id=3, location=f"{OWN}/chk-3", time=ago(20)))
    there = cluster(incarnation="jm-2")
    observation = seen(absent(), cluster=there, listings={OWN: EMPTY_DIRECTORY})
    decision = decide(job(spec(), status), observation, savepoints=[savepoint(status=saved)])
    assert _end(decision)[:2] == (RunResult.FINISHED, SnapshotKind.EMPTY)


@table(
    ("restored_from", "said"),
    "a lost job that had started from nothing has left nothing",
    (None, "it has left no state"),
    "a lost job that completed nothing has what it had started from",
    ("file:/r", "its newest state is file:/r"),
)
def test_a_lost_job_says_what_it_has_left(restored_from: str | None, said: str) -> None:
    listings = {OWN: Listing(readable=True)}
    status = _status(run(restored_from=restored_from))
    decision = decide(job(status=status), seen(absent(60), cluster=cluster(incarnation="jm-2"), listings=listings))
    assert decision.status.submission is not None
    assert decision.status.submission.end is not None
    assert (decision.status.submission.end.message or "").endswith(said)
