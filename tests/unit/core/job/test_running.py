"""A run is on the cluster: replaced, stopped, rescaled, rolled back, or let be."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flinkjob.api.enums import RunResult, SavepointPhase
from flinkjob.api.failure_status import RestartInfo
from flinkjob.api.flinkjob_status import CheckpointInfo, FlinkJobStatus, Plan
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.core.facts import Fact, JobGraph
from flinkjob.core.flinkmodel import (
    CheckpointConfig,
    FlinkJobState,
    TriggerState,
)
from flinkjob.core.seen import ArtifactPhase, ArtifactSeen, JobGraphPhase, JobGraphSeen
from tests.support.inputs import (
    NOW,
    RUNNING,
    URL,
    absent,
    acts,
    ago,
    chk,
    cluster,
    conditions,
    decide,
    digest,
    directory,
    ended,
    flink_id,
    job,
    overview,
    plan_of,
    present,
    run,
    savepoint,
    seen,
    spec,
    stats,
    told,
    triggered,
)
from tests.support.tables import table

NEW: dict[str, Any] = {"args": ["new"]}
KEPT = CheckpointConfig(retained=True, retained_on_cancellation=True)
DROPPED = CheckpointConfig(retained=True, retained_on_cancellation=False)


def test_a_steady_job_is_let_be() -> None:
    known = CheckpointInfo(id=3, location=f"file:///checkpoints/{flink_id()}/chk-3", time=ago(20))
    decision = decide(job(status=replace(RUNNING, last_checkpoint=known)), seen(present()))
    assert acts(decision) == []
    assert (decision.status.phase, conditions(decision)) == ("Running", "Ready, healthy")
    assert decision.requeue_after is None


@pytest.mark.parametrize(("age", "pause"), [(0.2, 1.0), (40.0, 10.0), (3590.0, 300.0)])
def test_a_job_whose_first_checkpoint_was_not_seen_is_looked_at_ever_more_rarely(age: float, pause: float) -> None:
    decision = decide(job(status=FlinkJobStatus(submission=run(started_time=ago(age)))), seen(present()))
    assert decision.requeue_after == pytest.approx(pause)


@table(
    "change",
    "other arguments",
    NEW,
    "a new nonce",
    {"restartNonce": 1},
    "another configuration",
    {"flinkConfiguration": {"a.b": "c"}},
    "another name of the job",
    {"jobName": "x"},
)
def test_a_changed_run_is_an_upgrade_with_a_savepoint(change: dict[str, Any]) -> None:
    decision = decide(job(spec(**change), RUNNING), seen(present()))
    assert acts(decision) == ["StopJob"]
    assert decision.status.operation is not None
    assert (decision.status.operation.by, decision.status.operation.directory) == ("Upgrade", directory())
    assert decision.status.operation.run_digest == digest(**change)
    assert (decision.status.phase, conditions(decision)) == ("Upgrading", "Reconciling, health unknown")


def test_the_annotation_for_people_restarts_too() -> None:
    about = job(status=RUNNING, annotations={"flinkjob.dev/restartedAt": "2026-01-01"})
    assert acts(decide(about, seen(present()))) == ["StopJob"]
    done = FlinkJobStatus(submission=run(run_digest=digest("2026-01-01")))
    about = job(status=done, annotations={"flinkjob.dev/restartedAt": "2026-01-01"})
    assert acts(decide(about, seen(present()))) == []


@table(
    "change",
    "another time for savepoints",
    {"savepoints": {"timeout": "1h"}},
    "another time for upgrades",
    {"upgrade": {"timeout": "1h"}},
    "other restarts",
    {"restart": {"policy": "Never"}},
    "another deletion",
    {"deletion": {"policy": "Cancel"}},
)
def test_a_live_field_touches_nothing(change: dict[str, Any]) -> None:
    assert acts(decide(job(spec(**change), RUNNING), seen(present()))) == []


@table(
    ("artifact", "plan", "step"),
    "the jar is on its way",
    (ArtifactSeen(phase=ArtifactPhase.WORKING), None, ("Fetch", "FetchingArtifact")),
    "the jar is not there",
    (ArtifactSeen(phase=ArtifactPhase.FAILED, permanent=True, message="404"), None, ("Hold", "ArtifactFailed")),
    "the program is being compiled",
    (None, JobGraphSeen(phase=JobGraphPhase.WORKING), ("Preflight", "Upgrading")),
    "the program does not compile",
    (None, JobGraphSeen(phase=JobGraphPhase.REFUSED, message="no class"), ("Hold", "PreflightFailed")),
    "the compilation has no clear answer",
    (None, JobGraphSeen(phase=JobGraphPhase.UNCLEAR, message="cut"), ("Preflight", "PreflightFailed")),
)
def test_the_running_job_is_not_touched_before_its_successor_is_ready(
    artifact: ArtifactSeen | None, plan: JobGraphSeen | None, step: tuple[str, str]
) -> None:
    facts = {name: value for name, value in (("artifact", artifact), ("job_graph", plan)) if value is not None}
    decision = decide(job(spec(**NEW), RUNNING), seen(present(), **facts))
    assert acts(decision) == []
    assert plan_of(decision) == step
    health = conditions(decision).partition(", ")[2]
    assert health == ("health unknown" if step[1] in ("FetchingArtifact", "Upgrading") else "healthy")


@table(
    ("preflight", "intercepts", "asks"),
    "exits are intercepted",
    ("Enabled", True, True),
    "exits are not intercepted",
    ("Enabled", False, False),
    "it is not wanted",
    ("Disabled", True, False),
)
def test_preflight_runs_main_only_where_it_cannot_end_the_jobmanager(
    preflight: str, intercepts: bool, asks: bool
) -> None:
    asked: list[Fact[Any]] = []
    there = seen(present(), cluster=cluster(intercepts_exit=intercepts))
    decide(job(spec(**NEW, upgrade={"preflight": preflight}), RUNNING), there, asked)
    assert (JobGraph in map(type, asked)) == asks


@table(
    ("config", "history", "running", "actions", "reason"),
    "a checkpoint that is kept: the job is cancelled",
    (KEPT, (chk(3),), True, ["CancelJob"], "Upgrading"),
    "a checkpoint that is not kept: nothing happens",
    (DROPPED, (chk(3),), True, [], "NotRetained"),
    "no checkpoint yet: it is waited for",
    (KEPT, (), True, [], "WaitingForCheckpoint"),
    "a checkpoint that is already discarded: the job is cancelled",
    (KEPT, (chk(3, discarded=True),), True, ["CancelJob"], "Upgrading"),
    "a checkpoint without a place: another is waited for",
    (KEPT, (chk(3, external_path=None),), True, [], "WaitingForCheckpoint"),
    "retention is not known: it is waited for",
    (None, (chk(3),), True, [], "WaitingForCheckpoint"),
    "a job that never ran: it is cancelled",
    (KEPT, (), False, ["CancelJob"], "Upgrading"),
)
def test_last_state_looks_before_it_leaps(
    config: CheckpointConfig | None, history: tuple[Any, ...], running: bool, actions: list[str], reason: str
) -> None:
    status = RUNNING if running else FlinkJobStatus(submission=run(running=False, started_time=None))
    known = present() if running else present(tasks=0)
    wanted = spec(**NEW, upgrade={"strategy": "LastState"})
    decision = decide(job(wanted, status), seen(known, checkpoint_config=config, checkpoints=stats(*history)))
    assert acts(decision) == actions
    assert plan_of(decision)[1] == reason


def test_stateless_cancels() -> None:
    wanted = spec(**NEW, upgrade={"strategy": "Stateless"})
    assert acts(decide(job(wanted, RUNNING), seen(present()))) == ["CancelJob"]


def test_a_new_nonce_cancels_whatever_the_strategy() -> None:
    wanted = spec(initialState={"nonce": 3})
    assert acts(decide(job(wanted, RUNNING), seen(present()))) == ["CancelJob"]


@table(
    "there",
    "it does not exist",
    None,
    "it has yet to complete",
    FlinkSavepointStatus(phase=SavepointPhase.IN_PROGRESS),
    "its data are being deleted",
    FlinkSavepointStatus(phase=SavepointPhase.COMPLETED, location="file:/sp/old", deleting=True),
)
def test_a_job_that_is_to_begin_anew_runs_on_until_what_it_starts_from_is_there(
    there: FlinkSavepointStatus | None,
) -> None:
    wanted = spec(initialState={"strategy": "Custom", "savepointRef": {"name": "old"}, "nonce": 3})
    named = {"old": savepoint("old", there)} if there is not None else {}
    decision = decide(job(wanted, RUNNING), seen(present()), named=named)
    assert acts(decision) == []
    assert (plan_of(decision), conditions(decision)) == (("Hold", "SavepointNotFound"), "Stalled, healthy")
    assert "the job runs on as it is: spec.initialState.savepointRef" in decision.status.conditions[0].message
    complete = savepoint("old", FlinkSavepointStatus(phase=SavepointPhase.COMPLETED, location="file:/sp/old"))
    assert acts(decide(job(wanted, RUNNING), seen(present()), named={"old": complete})) == ["CancelJob"]


def test_a_nonce_that_is_taken_away_changes_nothing() -> None:
    status = FlinkJobStatus(submission=run(nonce=3))
    assert acts(decide(job(spec(), status), seen(present()))) == []
    upgraded = decide(job(spec(**NEW), FlinkJobStatus(submission=ended(RunResult.STOPPED, "file:/s", nonce=3))), seen())
    assert upgraded.status.submission is not None
    assert upgraded.status.submission.nonce == 3, "so that giving it again changes nothing either"


@pytest.mark.parametrize("state", ["Suspended", "Drained"])
def test_stopping_waits_for_all_tasks_and_for_a_savepoint_in_progress(state: str) -> None:
    wanted = spec(state=state)
    flapping = seen(present(tasks=1), checkpoints=stats(chk(1)))
    assert plan_of(decide(job(wanted, RUNNING), flapping)) == ("Stop", "WaitingForTasks")
    writing = savepoint(status=FlinkSavepointStatus(phase=SavepointPhase.IN_PROGRESS, job_id=flink_id()))
    decision = decide(job(wanted, RUNNING), seen(present()), savepoints=[writing])
    assert plan_of(decision) == ("Stop", "WaitingForSavepoint")
    other = savepoint(status=FlinkSavepointStatus(phase=SavepointPhase.IN_PROGRESS, job_id="another"))
    assert acts(decide(job(wanted, RUNNING), seen(present()), savepoints=[other])) == ["StopJob"]
    backing_off = savepoint(status=FlinkSavepointStatus(phase=SavepointPhase.PENDING, job_id=flink_id()))
    assert acts(decide(job(wanted, RUNNING), seen(present()), savepoints=[backing_off])) == ["StopJob"]


@table(
    ("wanted", "then", "further"),
    "by a savepoint",
    (spec(**NEW), "StopJob", {}),
    "without state",
    (spec(**NEW, upgrade={"strategy": "Stateless"}), "CancelJob", {}),
    "from the last checkpoint",
    (
        spec(**NEW, upgrade={"strategy": "LastState"}),
        "CancelJob",
        {"checkpoints": stats(chk(3)), "checkpoint_config": KEPT},
    ),
    "from another state",
    (spec(initialState={"nonce": 3}), "CancelJob", {}),
)
def test_a_replacement_waits_for_a_savepoint_in_progress(
    wanted: dict[str, Any], then: str, further: dict[str, Any]
) -> None:
    observation = seen(present(), **further)
    writing = savepoint(status=FlinkSavepointStatus(phase=SavepointPhase.IN_PROGRESS, job_id=flink_id()))
    waiting = decide(job(wanted, RUNNING), observation, savepoints=[writing])
    assert acts(waiting) == []
    assert waiting.status.plan is not None
    assert waiting.status.plan.reason == "WaitingForSavepoint"
    assert acts(decide(job(wanted, RUNNING), observation)) == [then]


def test_a_cancellation_waits_for_nothing() -> None:
    writing = savepoint(status=FlinkSavepointStatus(phase=SavepointPhase.IN_PROGRESS, job_id=flink_id()))
    decision = decide(job(spec(state="Cancelled"), RUNNING), seen(present()), savepoints=[writing])
    assert acts(decision) == ["CancelJob"]


@table("wanted", "to suspend it", spec(state="Suspended"), "to upgrade it", spec(**NEW))
def test_what_never_ran_and_has_no_state_is_cancelled(wanted: dict[str, Any]) -> None:
    status = FlinkJobStatus(submission=run(running=False, started_time=None))
    assert acts(decide(job(wanted, status), seen(present(tasks=0)))) == ["CancelJob"]
    assert acts(decide(job(wanted, status), seen(present(tasks=0), checkpoints=stats(chk(1))))) == []


def test_without_a_directory_nothing_is_lost() -> None:
    nowhere = cluster(savepoint_directory=None)
    observation = seen(present(), cluster=nowhere, checkpoint_config=DROPPED)
    decision = decide(job(spec(state="Suspended"), RUNNING), observation)
    assert acts(decision) == []
    assert plan_of(decision) == ("Hold", "NoSavepointDirectory")
    assert conditions(decision) == "Stalled, healthy"
    kept = seen(present(), cluster=nowhere, checkpoint_config=KEPT, checkpoints=stats(chk(3)))
    assert acts(decide(job(spec(state="Suspended"), RUNNING), kept)) == ["CancelJob"]
    drained = decide(job(spec(state="Drained"), RUNNING), kept)
    assert plan_of(drained) == ("Hold", "NoSavepointDirectory")


def test_a_job_that_restarts_for_long_is_upgraded_by_its_last_state() -> None:
    waiting = Plan(step="Stop", reason="WaitingForTasks", since=ago(11))
    status = replace(RUNNING, plan=waiting)
    observation = seen(present(FlinkJobState.RESTARTING), checkpoints=stats(chk(3)), checkpoint_config=KEPT)
    assert acts(decide(job(spec(**NEW), status), observation)) == ["CancelJob"]
    early = replace(RUNNING, plan=replace(waiting, since=ago(5)))
    assert acts(decide(job(spec(**NEW), early), observation)) == []


def test_a_bad_spec_touches_nothing() -> None:
    decision = decide(job({"cluster": {"url": URL}, "jar": {"uri": 5}}, RUNNING), seen(present()))
    assert acts(decision) == []
    assert conditions(decision) == "Stalled, healthy"
    assert plan_of(decision) == ("Hold", "InvalidSpec")
    assert decision.status.phase == "Running"
    assert decision.status.observed_generation == 3


def test_a_bad_spec_is_told_once_for_each_fault() -> None:
    bad = job({"cluster": {"url": URL}, "jar": {"uri": 5}}, RUNNING)
    first = decide(bad, seen(present()))
    assert told(first) == ["ValidationFailed"]
    assert told(decide(replace(bad, status=first.status), seen(present()))) == []
    worse = job({"cluster": {"url": 7}, "jar": {"uri": 5}}, first.status)
    assert told(decide(worse, seen(present()))) == ["ValidationFailed"]


# FlinkSavepoints that stop


def _due(name: str = "bye", mode: str = "Stop", **fields: Any) -> Any:
    status = fields.pop("status", FlinkSavepointStatus(phase=SavepointPhase.PENDING))
    return savepoint(name, status, mode=mode, **fields)


@table(
    ("asked", "actions"),
    "Stop stops it",
    (_due(), ["StopJob"]),
    "Cancel takes a savepoint first",
    (_due(mode="Cancel"), ["TakeSavepoint"]),
    "one of this run stops it",
    (_due(submission=1), ["StopJob"]),
    "one of another run does nothing",
    (_due(submission=2), []),
    "one of another job id does nothing",
    (_due(jobRef={"name": "clicks", "jobId": "0" * 32}), []),
    "one that only triggers does nothing",
    (_due(mode="Trigger"), []),
    "one that nobody has looked at does nothing",
    (_due(status=FlinkSavepointStatus()), []),
    "one that is complete does nothing",
    (_due(status=FlinkSavepointStatus(phase=SavepointPhase.COMPLETED)), []),
    "one that has failed does nothing",
    (_due(status=FlinkSavepointStatus(phase=SavepointPhase.FAILED)), []),
    "one that pauses does nothing",
    (_due(status=FlinkSavepointStatus(phase=SavepointPhase.PENDING, retry_time=NOW + timedelta(seconds=9))), []),
    "one that is being deleted does nothing",
    (_due(meta={"deletionTimestamp": "2026-01-01T11:59:00Z"}), []),
)
def test_a_flinksavepoint_stops_the_job_when_it_is_due(asked: Any, actions: list[str]) -> None:
    decision = decide(job(status=RUNNING), seen(present()), savepoints=[asked])
    assert acts(decision) == actions
    if actions:
        assert decision.status.operation is not None
        assert decision.status.operation.by == "FlinkSavepoint/bye"
        assert decision.status.phase == "Suspending"


def test_of_two_the_older_one_stops_and_the_other_waits() -> None:
    first = _due("b", meta={"creationTimestamp": "2026-01-01T10:00:00Z"})
    second = _due("a", meta={"creationTimestamp": "2026-01-01T11:00:00Z"})
    decision = decide(job(status=RUNNING), seen(present()), savepoints=[second, first])
    assert acts(decision) == ["StopJob"]
    assert decision.status.operation is not None
    assert decision.status.operation.by == "FlinkSavepoint/b"
    observation = seen(present(), trigger=triggered(TriggerState.IN_PROGRESS))
    assert acts(decide(job(status=decision.status), observation, savepoints=[second, first])) == []


@pytest.mark.copying("intent-before-stop")
def test_a_stop_that_is_tried_again_holds_down_what_was_wanted_when_it_was_asked_for() -> None:
    """An edit since the first attempt lifts the hold, also when only a later attempt comes to an end."""
    again = _due("bye", status=FlinkSavepointStatus(phase=SavepointPhase.PENDING, failures=1, run_digest="before"))
    decision = decide(job(status=RUNNING), seen(present()), savepoints=[again])
    assert decision.status.operation is not None
    assert decision.status.operation.run_digest == "before"


# the rest


def test_a_stray_beside_the_run_is_cancelled_when_it_is_older() -> None:
    status = FlinkJobStatus(submission=run(2, job_id=flink_id(2)))
    owned_jobs = (overview(number=1), overview(number=2))
    assert acts(decide(job(status=status), seen(present(number=2), owned_jobs=owned_jobs))) == ["CancelJob"]


def test_restart_attempts_are_forgotten_in_time() -> None:
    status = replace(RUNNING, restart=RestartInfo(attempts=3, next_time=ago(3600)))
    assert decide(job(status=status), seen(present())).status.restart is None
    young = replace(status, submission=run(started_time=ago(30)))
    assert decide(job(status=young), seen(present())).status.restart is not None


def test_the_finalizer_is_there_while_a_job_may_run() -> None:
    assert acts(decide(job(status=RUNNING, held=False), seen(present()))) == ["AddFinalizer"]
    assert acts(decide(job(status=RUNNING, held=False), seen(absent(1.0), cluster=cluster(incarnation="jm-2")))) == [
        "AddFinalizer"
    ]
