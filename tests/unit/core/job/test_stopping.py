"""The operation in progress: how it is followed, sent again, concluded; what becomes of the wish behind it."""

import pytest

from flinkjob.api.enums import HoldReason, OperationKind, RunResult, SnapshotKind
from flinkjob.api.flinkjob_status import FlinkJobStatus, Operation, Plan
from flinkjob.core.actions import StopJob, TakeSavepoint
from flinkjob.core.errors import SavepointFailure
from flinkjob.core.flinkmodel import (
    Checkpoint,
    CheckpointConfig,
    CheckpointKind,
    CheckpointStatus,
    FlinkJobState,
    TriggerState,
)
from flinkjob.core.model import JobDecision
from flinkjob.core.seen import FoundSnapshot, JobSeen, Listing, Presence
from tests.support.inputs import (
    CHECKPOINTS,
    absent,
    acts,
    ago,
    chk,
    cluster,
    conditions,
    decide,
    directory,
    flink_id,
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
)
from tests.support.tables import table

MADE = f"{directory()}/savepoint-911e-1"
SUSPENDED = spec(state="Suspended")


def _status(what: Operation, **fields: object) -> FlinkJobStatus:
    return FlinkJobStatus(submission=run(), operation=what, **fields)  # type: ignore[arg-type]


def _stop(by: str = "Suspend", **fields: object) -> FlinkJobStatus:
    return _status(operation(OperationKind.STOP, by, **fields))


def _end(decision: JobDecision) -> tuple[RunResult, SnapshotKind | None, str | None] | None:
    assert decision.status.submission is not None
    end = decision.status.submission.end
    return (end.result, end.snapshot_kind, end.snapshot) if end is not None else None


def _sync(path: str = MADE, number: int = 9, **fields: object) -> Checkpoint:
    return chk(number, CheckpointKind.SYNC_SAVEPOINT, path, **fields)


STOPPED = (RunResult.STOPPED, SnapshotKind.SAVEPOINT, MADE)


@table(
    ("trigger", "state", "end", "actions"),
    "in progress and running: it waits",
    (triggered(TriggerState.IN_PROGRESS), FlinkJobState.RUNNING, None, []),
    "in progress and finished a moment ago: it waits",
    (triggered(TriggerState.IN_PROGRESS), FlinkJobState.FINISHED, None, []),
    "completed and still running: it waits",
    (triggered(TriggerState.COMPLETED, MADE), FlinkJobState.RUNNING, None, []),
    "completed and finished: stopped",
    (triggered(TriggerState.COMPLETED, MADE), FlinkJobState.FINISHED, STOPPED, ["RecordSavepoint", "RemoveFinalizer"]),
    "forgotten and running: the stop is sent again",
    (triggered(TriggerState.FORGOTTEN), FlinkJobState.RUNNING, None, ["StopJob"]),
    "forgotten and restarting: the stop is sent again",
    (triggered(TriggerState.FORGOTTEN), FlinkJobState.RESTARTING, None, ["StopJob"]),
)
def test_a_stop_by_flinks_answer(trigger: object, state: FlinkJobState, end: object, actions: list[str]) -> None:
    decision = decide(job(SUSPENDED, _stop()), seen(present(state, terminal_for=8.0), trigger=trigger))
    assert _end(decision) == end
    assert acts(decision) == actions
    assert (decision.status.operation is None) == (end is not None)


@pytest.mark.copying("never-answered")
@pytest.mark.parametrize("answer", [TriggerState.FORGOTTEN, TriggerState.IN_PROGRESS])
@table(
    ("history", "state", "end"),
    "its savepoint is in the history: stopped",
    ((_sync(),), FlinkJobState.FINISHED, STOPPED),
    "cancelled after its savepoint: stopped",
    ((_sync(), chk(8)), FlinkJobState.CANCELED, STOPPED),
    "its savepoint is older than a discarded checkpoint: stopped",
    ((chk(10, discarded=True), _sync()), FlinkJobState.FINISHED, STOPPED),
    "cancelled without a savepoint: somebody did",
    (
        (chk(8),),
        FlinkJobState.CANCELED,
        (RunResult.CANCELLED_EXTERNALLY, SnapshotKind.CHECKPOINT, chk(8).external_path),
    ),
    "finished without a savepoint: it finished",
    ((), FlinkJobState.FINISHED, (RunResult.FINISHED, SnapshotKind.EMPTY, None)),
    "failed after a savepoint elsewhere: that savepoint is left",
    ((_sync("file:///savepoints/another/savepoint-1"), chk(8)), FlinkJobState.FAILED, None),
)
def test_a_forgotten_stop_of_a_job_that_ended(
    history: tuple[Checkpoint, ...], state: FlinkJobState, end: tuple[object, ...] | None, answer: TriggerState
) -> None:
    """Also one whose result stays in progress: Flink answers no more for a job that ended a minute ago."""
    observation = seen(present(state), trigger=triggered(answer), checkpoints=stats(*history))
    decision = decide(job(SUSPENDED, _stop()), observation)
    if end is not None:
        assert _end(decision) == end
    else:
        assert _end(decision) == (RunResult.FAILED, SnapshotKind.SAVEPOINT, history[0].external_path)


def test_a_forgotten_stop_is_not_sent_again_while_its_savepoint_is_written() -> None:
    writing = _sync(status=CheckpointStatus.IN_PROGRESS)
    observation = seen(present(), trigger=triggered(TriggerState.FORGOTTEN), checkpoints=stats(writing))
    decision = decide(job(SUSPENDED, _stop()), observation)
    assert acts(decision) == []
    assert decision.status.operation is not None


def test_a_forgotten_stop_whose_savepoint_is_there_while_the_job_runs_has_failed() -> None:
    observation = seen(present(), trigger=triggered(TriggerState.FORGOTTEN), checkpoints=stats(chk(10), _sync()))
    decision = decide(job(SUSPENDED, _stop()), observation)
    assert decision.status.operation is None
    assert told(decision) == ["SavepointCompleted", "SavepointFailed"]
    assert MADE in (decision.status.plan.message if decision.status.plan else "")  # type: ignore[operator]


def test_a_stop_is_repeated_under_its_own_trigger_id() -> None:
    status = _stop()
    decision = decide(job(SUSPENDED, status), seen(present(), trigger=triggered(TriggerState.FORGOTTEN)))
    sent = [action for action in decision.actions if isinstance(action, StopJob)]
    assert status.operation is not None
    assert [(action.trigger_id, action.directory) for action in sent] == [
        (status.operation.trigger_id, status.operation.directory)
    ]
    assert decision.status.operation == status.operation


def test_a_later_checkpoint_is_newer_than_a_forgotten_stops_savepoint() -> None:
    """The stop failed after its savepoint, the job ran on and completed another checkpoint before it ended."""
    observation = seen(
        present(FlinkJobState.FAILED), trigger=triggered(TriggerState.FORGOTTEN), checkpoints=stats(chk(12), _sync())
    )
    decision = decide(job(SUSPENDED, _stop()), observation)
    assert _end(decision) == (RunResult.FAILED, SnapshotKind.CHECKPOINT, chk(12).external_path)


@table(
    ("state", "history", "path", "end"),
    "failed without a savepoint: its checkpoint is left",
    (FlinkJobState.FAILED, (chk(8),), None, (RunResult.FAILED, SnapshotKind.CHECKPOINT, chk(8).external_path)),
    "failed with a savepoint: the savepoint is left",
    (FlinkJobState.FAILED, (), MADE, (RunResult.FAILED, SnapshotKind.SAVEPOINT, MADE)),
    "failed with a savepoint newer than its checkpoint: the savepoint is left",
    (FlinkJobState.FAILED, (_sync(), chk(8)), MADE, (RunResult.FAILED, SnapshotKind.SAVEPOINT, MADE)),
    "failed with a savepoint older than its checkpoint: the checkpoint is left",
    (
        FlinkJobState.FAILED,
        (chk(12), _sync()),
        MADE,
        (RunResult.FAILED, SnapshotKind.CHECKPOINT, chk(12).external_path),
    ),
    "finished with a savepoint: somebody stopped it",
    (FlinkJobState.FINISHED, (), MADE, (RunResult.CANCELLED_EXTERNALLY, SnapshotKind.SAVEPOINT, MADE)),
    "finished without a savepoint: it finished",
    (FlinkJobState.FINISHED, (), None, (RunResult.FINISHED, SnapshotKind.EMPTY, None)),
)
def test_a_failed_stop_of_a_job_that_ended(
    state: FlinkJobState, history: tuple[Checkpoint, ...], path: str | None, end: tuple[object, ...]
) -> None:
    trigger = triggered(TriggerState.FAILED, failure="suspending", failure_path=path)
    decision = decide(job(SUSPENDED, _stop()), seen(present(state), trigger=trigger, checkpoints=stats(*history)))
    assert _end(decision) == end


@table(
    ("kind", "attempts", "pause"),
    "after a cause that passes",
    (SavepointFailure.OTHER, 1, 2.0),
    "more slowly after a cause that stays",
    (SavepointFailure.PERMANENT, 3, 8.0),
)
def test_a_failed_stop_of_a_job_that_runs_on_is_tried_again(
    kind: SavepointFailure, attempts: int, pause: float
) -> None:
    decision = decide(
        job(SUSPENDED, _stop()),
        seen(present(), trigger=triggered(TriggerState.FAILED, failure="no", failure_kind=kind)),
    )
    plan = decision.status.plan
    assert plan is not None
    assert (plan.step, plan.attempts) == ("Stop", attempts)
    assert plan.message is not None
    assert plan.message.startswith("no savepoint can be taken: no; correct that" if attempts >= 3 else "no")
    assert decision.requeue_after == pytest.approx(pause, rel=0.21)
    assert decision.status.operation is None
    assert conditions(decision) == "Reconciling, healthy"
    pausing = decide(job(SUSPENDED, decision.status), seen(present()))
    assert acts(pausing) == []
    again = decide(job(SUSPENDED, decision.status), seen(present(), now=ago(-60)))
    assert acts(again) == ["StopJob"]


def test_a_new_attempt_has_a_trigger_and_a_directory_of_its_own() -> None:
    status = FlinkJobStatus(submission=run(operations=1))
    decision = decide(job(SUSPENDED, status), seen(present()))
    first, second = operation(OperationKind.STOP, "Suspend"), decision.status.operation
    assert second is not None
    assert second.attempt == 2
    assert second.trigger_id != first.trigger_id
    assert second.directory == directory(attempt=2)


@pytest.mark.parametrize("fallback", ["LastState", "Wait", "Fail"])
def test_when_no_savepoint_can_be_taken(fallback: str) -> None:
    plan = Plan(step="Stop", reason="SavepointFailed", message="no disk", attempts=3, since=ago(60), retry_time=ago(1))
    status = FlinkJobStatus(submission=run(), plan=plan)
    wanted = spec(state="Suspended", upgrade={"fallback": fallback})
    kept = CheckpointConfig(retained=True, retained_on_cancellation=True)
    decision = decide(job(wanted, status), seen(present(), checkpoints=stats(chk(3)), checkpoint_config=kept))
    assert acts(decision) == {"LastState": ["CancelJob"], "Wait": ["StopJob"], "Fail": []}[fallback]
    assert conditions(decision) == ("Stalled, healthy" if fallback == "Fail" else "Reconciling, health unknown")


# stops that a FlinkSavepoint asked for


@table(
    ("kind", "reason"),
    "by a stop",
    (OperationKind.STOP, HoldReason.STOPPED),
    "by a savepoint and a cancel",
    (OperationKind.SAVEPOINT_AND_CANCEL, HoldReason.CANCELLED),
)
def test_a_flinksavepoint_that_stopped_the_job_holds_it(kind: OperationKind, reason: HoldReason) -> None:
    status = _status(operation(kind, "FlinkSavepoint/bye"))
    ends_as = FlinkJobState.FINISHED if kind is OperationKind.STOP else FlinkJobState.CANCELED
    decision = decide(job(status=status), seen(present(ends_as), trigger=triggered(TriggerState.COMPLETED, MADE)))
    assert _end(decision) == STOPPED
    hold = decision.status.hold
    assert hold is not None
    assert (hold.reason, hold.by, hold.location) == (reason, "bye", MADE)
    assert decision.outcome is not None
    assert (decision.outcome.by, decision.outcome.location) == ("FlinkSavepoint/bye", MADE)
    assert acts(decision) == ["RemoveFinalizer"]
    assert conditions(decision) == "Stalled, unhealthy"
    edited = spec(args=["--new"])
    assert "RunJob" in acts(decide(job(edited, decision.status), seen()))
    assert acts(decide(job(status=decision.status, held=False), seen())) == []


def test_a_savepoint_that_failed_never_cancels_the_job() -> None:
    status = _status(operation(OperationKind.SAVEPOINT_AND_CANCEL, "FlinkSavepoint/bye"))
    decision = decide(job(status=status), seen(present(), trigger=triggered(TriggerState.FAILED, failure="declined")))
    assert _end(decision) is None
    assert decision.status.operation is None
    assert decision.outcome is not None
    assert (decision.outcome.location, decision.outcome.message) == (None, "declined")
    assert acts(decision) == []
    forgotten = decide(job(status=status), seen(present(), trigger=triggered(TriggerState.FORGOTTEN)))
    assert [action.cancel for action in forgotten.actions if isinstance(action, TakeSavepoint)] == [True]


GONE = cluster(incarnation="jm-2")
FOUND = {directory(): Listing(readable=True, found=(FoundSnapshot(location=MADE),))}


@pytest.mark.parametrize("kind", [OperationKind.STOP, OperationKind.SAVEPOINT_AND_CANCEL])
def test_a_job_that_went_away_under_a_flinksavepoint_is_held_all_the_same(kind: OperationKind) -> None:
    """Its savepoint was found in the attempt's own directory: it was stopped as asked, whoever saw it."""
    where = directory(kind)
    status = _status(operation(kind, "FlinkSavepoint/bye"))
    found = {where: Listing(readable=True, found=(FoundSnapshot(location=MADE),))}
    decision = decide(job(status=status), seen(absent(), cluster=GONE, listings=found))
    assert _end(decision) == STOPPED
    assert decision.status.hold is not None
    assert decision.status.hold.by == "bye"
    assert decision.outcome is not None
    assert decision.outcome.location == MADE
    assert "RunJob" not in acts(decision)


def test_a_job_that_went_away_under_our_stop_leaves_a_recorded_savepoint() -> None:
    decision = decide(job(SUSPENDED, _stop()), seen(absent(), cluster=GONE, listings=FOUND))
    assert _end(decision) == STOPPED
    assert acts(decision) == ["RecordSavepoint", "RemoveFinalizer"]


def test_a_job_that_went_away_under_a_stop_without_a_known_place_is_held() -> None:
    status = _stop("FlinkSavepoint/bye")
    decision = decide(job(status=status), seen(absent(), cluster=GONE))
    assert _end(decision) == (RunResult.SAVEPOINT_UNKNOWN, SnapshotKind.MISSING, None)
    assert decision.status.plan is not None
    assert decision.status.plan.reason == "SavepointUnknown"
    assert directory() in (decision.status.plan.message or "")
    assert decision.outcome is not None
    assert decision.outcome.failure is SavepointFailure.PERMANENT
    assert "RunJob" not in acts(decision)


def test_two_savepoints_in_the_directory_of_a_stop_are_not_chosen_from() -> None:
    two = {
        directory(): Listing(
            readable=True, found=(FoundSnapshot(location=MADE), FoundSnapshot(location=f"{directory()}/savepoint-2"))
        )
    }
    decision = decide(job(SUSPENDED, _stop()), seen(absent(), cluster=GONE, listings=two))
    assert _end(decision) == (RunResult.SAVEPOINT_UNKNOWN, SnapshotKind.MISSING, None)


def test_a_stop_that_is_known_to_have_made_nothing_is_no_stop() -> None:
    own = f"{CHECKPOINTS}/{flink_id()}"
    listings = {
        directory(): Listing(readable=True),
        own: Listing(readable=True, found=(FoundSnapshot(location=f"{own}/chk-4", number=4),)),
    }
    decision = decide(job(SUSPENDED, _stop()), seen(absent(), cluster=GONE, listings=listings))
    assert _end(decision) == (RunResult.LOST, SnapshotKind.CHECKPOINT, f"{own}/chk-4")


@table(
    ("later", "left"),
    "a checkpoint after the savepoint: lost with the checkpoint",
    (1, (RunResult.LOST, SnapshotKind.CHECKPOINT, f"{CHECKPOINTS}/{flink_id()}/chk-4")),
    "a checkpoint before the savepoint: stopped",
    (-1, (RunResult.STOPPED, SnapshotKind.SAVEPOINT, MADE)),
    "a checkpoint of no known age: stopped",
    (None, (RunResult.STOPPED, SnapshotKind.SAVEPOINT, MADE)),
)
def test_a_checkpoint_after_the_savepoint_of_a_stop_shows_that_the_stop_failed(
    later: int | None, left: tuple[RunResult, SnapshotKind, str]
) -> None:
    own = f"{CHECKPOINTS}/{flink_id()}"
    time = ago(60 - later) if later is not None else None
    listings = {
        directory(): Listing(readable=True, found=(FoundSnapshot(location=MADE, time=ago(60)),)),
        own: Listing(readable=True, found=(FoundSnapshot(location=f"{own}/chk-4", number=4, time=time),)),
    }
    decision = decide(job(SUSPENDED, _stop()), seen(absent(), cluster=GONE, listings=listings))
    assert _end(decision) == left


# whatever is wanted meanwhile


@pytest.mark.parametrize("by", ["Upgrade", "Suspend", "Move", "FlinkSavepoint/bye"])
@table(
    "wanted",
    "Running is wanted again",
    spec(),
    "Suspended is wanted",
    SUSPENDED,
    "Cancelled is wanted",
    spec(state="Cancelled"),
    "other arguments are wanted",
    spec(args=["x"]),
)
def test_a_new_wish_sends_no_second_stop(by: str, wanted: dict[str, object]) -> None:
    decision = decide(job(wanted, _stop(by)), seen(present(), trigger=triggered(TriggerState.IN_PROGRESS)))
    assert acts(decision) == []
    assert decision.status.operation == _stop(by).operation


def test_a_spec_that_was_reverted_during_the_stop_starts_again_from_that_savepoint() -> None:
    decision = decide(
        job(status=_stop("Upgrade")),
        seen(present(FlinkJobState.FINISHED), trigger=triggered(TriggerState.COMPLETED, MADE)),
    )
    submission = decision.status.submission
    assert submission is not None
    assert (submission.number, submission.restored_from, submission.reason) == (2, MADE, "Resume")
    assert acts(decision)[0] == "RecordSavepoint"
    assert acts(decision)[-1] == "RunJob"


@table(
    "seen_job",
    "nothing is known of the job",
    JobSeen(presence=Presence.UNKNOWN),
    "the job was not asked for",
    JobSeen(),
)
@table("where", "the cluster answers", cluster(), "the cluster is silent", silent(700))
def test_without_an_answer_the_operation_stays(seen_job: JobSeen, where: object) -> None:
    for kind in (OperationKind.STOP, OperationKind.CANCEL, OperationKind.SAVEPOINT_AND_CANCEL):
        status = _status(operation(kind, "Upgrade"))
        decision = decide(job(status=status), seen(seen_job, cluster=where))
        assert decision.status.operation == status.operation
        assert acts(decision) == []


def test_a_cancel_is_repeated_until_the_job_has_ended() -> None:
    status = _status(operation(OperationKind.CANCEL, "Cancel"))
    wanted = spec(state="Cancelled")
    assert acts(decide(job(wanted, status), seen(present()))) == ["CancelJob"]
    done = decide(job(wanted, status), seen(present(FlinkJobState.CANCELED), checkpoints=stats(chk(2))))
    assert _end(done) == (RunResult.CANCELLED, SnapshotKind.CHECKPOINT, chk(2).external_path)
    assert conditions(done) == "Ready, health unknown"


def test_an_operation_on_another_run_is_over() -> None:
    status = FlinkJobStatus(submission=run(2, job_id=flink_id(2)), operation=operation(OperationKind.STOP, "Upgrade"))
    decision = decide(job(status=status), seen(present(number=2)))
    assert decision.status.operation is None
    assert acts(decision) == []


def test_a_drain_is_a_drain() -> None:
    status = _status(operation(OperationKind.STOP, "Drain", drain=True))
    drained = spec(state="Drained")
    decision = decide(
        job(drained, status), seen(present(FlinkJobState.FINISHED), trigger=triggered(TriggerState.COMPLETED, MADE))
    )
    assert _end(decision) == (RunResult.DRAINED, SnapshotKind.SAVEPOINT, MADE)
    again = decide(job(status=decision.status, held=False), seen())
    assert acts(again) == []
    assert conditions(again) == "Stalled, unhealthy"
    fresh = spec(initialState={"nonce": 1})
    assert "RunJob" in acts(decide(job(fresh, decision.status), seen()))
