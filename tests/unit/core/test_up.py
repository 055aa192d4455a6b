"""A run is on the cluster: replaced, stopped, rescaled, rolled back, or let be."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flinkjob.api.codec import parse_job
from flinkjob.api.common import OperationKind, RunResult, SavepointPhase, SubmissionReason
from flinkjob.api.flinkjob_status import FlinkJobStatus, PeriodicInfo, Plan, RestartInfo, Rollback
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.core.actions import CreateSavepoint, DeleteSavepoint, RescaleJob, RunJob
from flinkjob.core.flinkmodel import (
    CheckpointConfig,
    ClusterOverview,
    FlinkJobState,
    ParallelismBounds,
    TaskCounts,
    TriggerState,
)
from flinkjob.core.model import ArtifactPhase, ArtifactSeen, Fact, JobDecision, Needs, PlanPhase, PlanSeen
from tests.support.inputs import (
    JAR,
    NOW,
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
    triggered,
)

S, K = FlinkJobState, OperationKind
RUNNING = FlinkJobStatus(submission=run())
NEW = {"args": ["new"]}
KEPT = CheckpointConfig(retained=True, retained_on_cancellation=True)
DROPPED = CheckpointConfig(retained=True, retained_on_cancellation=False)


def _plan(decision: JobDecision) -> tuple[str | None, str | None]:
    plan = decision.status.plan
    return (plan.step, plan.reason) if plan is not None else (None, None)


def test_a_steady_job_is_let_be() -> None:
    decision = decide(job(status=RUNNING), seen(present()))
    assert acts(decision) == []
    assert (decision.status.phase, conditions(decision)) == ("Running", "TFFT")
    assert decision.requeue_after is None


@pytest.mark.parametrize("change", [NEW, {"restartNonce": 1}, {"flinkConfiguration": {"a.b": "c"}}, {"jobName": "x"}])
def test_a_changed_run_is_an_upgrade_with_a_savepoint(change: dict[str, Any]) -> None:
    decision = decide(job(spec(**change), RUNNING), seen(present()))
    assert acts(decision) == ["StopJob"]
    assert decision.status.operation is not None
    assert (decision.status.operation.by, decision.status.operation.directory) == ("Upgrade", directory())
    assert decision.status.operation.run_digest == digest(**change)
    assert (decision.status.phase, conditions(decision)) == ("Upgrading", "FTFU")


def test_the_annotation_for_people_restarts_too() -> None:
    about = job(status=RUNNING, annotations={"flinkjob.dev/restartedAt": "2026-01-01"})
    assert acts(decide(about, seen(present()))) == ["StopJob"]
    done = FlinkJobStatus(submission=run(run_digest=digest("2026-01-01")))
    about = job(status=done, annotations={"flinkjob.dev/restartedAt": "2026-01-01"})
    assert acts(decide(about, seen(present()))) == []


@pytest.mark.parametrize(
    "change",
    [
        {"savepoints": {"timeout": "1h"}},
        {"upgrade": {"timeout": "1h"}},
        {"restart": {"policy": "Never"}},
        {"deletion": {"policy": "Cancel"}},
    ],
)
def test_a_live_field_touches_nothing(change: dict[str, Any]) -> None:
    assert acts(decide(job(spec(**change), RUNNING), seen(present()))) == []


@pytest.mark.parametrize(
    ("artifact", "plan", "step"),
    [
        (ArtifactSeen(phase=ArtifactPhase.WORKING), None, ("Fetch", "FetchingArtifact")),
        (ArtifactSeen(phase=ArtifactPhase.FAILED, permanent=True, message="404"), None, ("Hold", "ArtifactFailed")),
        (None, PlanSeen(phase=PlanPhase.WORKING), ("Preflight", "Upgrading")),
        (None, PlanSeen(phase=PlanPhase.REFUSED, message="no class"), ("Hold", "PreflightFailed")),
        (None, PlanSeen(phase=PlanPhase.UNCLEAR, message="cut"), ("Preflight", "PreflightFailed")),
    ],
)
def test_the_running_job_is_not_touched_before_its_successor_is_ready(
    artifact: ArtifactSeen | None, plan: PlanSeen | None, step: tuple[str, str]
) -> None:
    facts = {name: value for name, value in (("artifact", artifact), ("plan", plan)) if value is not None}
    decision = decide(job(spec(**NEW), RUNNING), seen(present(), **facts))
    assert acts(decision) == []
    assert _plan(decision) == step
    healthy = conditions(decision)[3]
    assert healthy == ("U" if step[1] in ("FetchingArtifact", "Upgrading") else "T")


@pytest.mark.parametrize(
    ("preflight", "intercepts", "asks"), [("Enabled", True, True), ("Enabled", False, False), ("Disabled", True, False)]
)
def test_preflight_runs_main_only_where_it_cannot_end_the_jobmanager(
    preflight: str, intercepts: bool, asks: bool
) -> None:
    asked: list[Needs] = []
    there = seen(present(), cluster=cluster(intercepts_exit=intercepts))
    decide(job(spec(**NEW, upgrade={"preflight": preflight}), RUNNING), there, asked)
    assert (Fact.PLAN in [needs.fact for needs in asked]) == asks


@pytest.mark.parametrize(
    ("config", "history", "running", "actions", "reason"),
    [
        (KEPT, (chk(3),), True, ["CancelJob"], "Upgrading"),
        (DROPPED, (chk(3),), True, [], "NotRetained"),
        (KEPT, (), True, [], "WaitingForCheckpoint"),
        (KEPT, (chk(3, discarded=True),), True, [], "WaitingForCheckpoint"),
        (None, (chk(3),), True, [], "WaitingForCheckpoint"),
        (KEPT, (), False, ["CancelJob"], "Upgrading"),
    ],
)
def test_last_state_looks_before_it_leaps(
    config: CheckpointConfig | None, history: tuple[Any, ...], running: bool, actions: list[str], reason: str
) -> None:
    status = RUNNING if running else FlinkJobStatus(submission=run(running=False, started_time=None))
    known = present() if running else present(tasks=0)
    wanted = spec(**NEW, upgrade={"strategy": "LastState"})
    decision = decide(job(wanted, status), seen(known, checkpoint_config=config, checkpoints=stats(*history)))
    assert acts(decision) == actions
    assert _plan(decision)[1] == reason


def test_stateless_cancels() -> None:
    wanted = spec(**NEW, upgrade={"strategy": "Stateless"})
    assert acts(decide(job(wanted, RUNNING), seen(present()))) == ["CancelJob"]


def test_a_new_nonce_cancels_whatever_the_strategy() -> None:
    wanted = spec(initialState={"nonce": 3})
    assert acts(decide(job(wanted, RUNNING), seen(present()))) == ["CancelJob"]


@pytest.mark.parametrize("state", ["Suspended", "Drained"])
def test_stopping_waits_for_all_tasks_and_for_a_savepoint_in_progress(state: str) -> None:
    wanted = spec(state=state)
    assert _plan(decide(job(wanted, RUNNING), seen(present(tasks=1)))) == ("Stop", "WaitingForTasks")
    writing = savepoint(status=FlinkSavepointStatus(phase=SavepointPhase.IN_PROGRESS, job_id=flink_id()))
    decision = decide(job(wanted, RUNNING), seen(present()), savepoints=[writing])
    assert _plan(decision) == ("Stop", "WaitingForSavepoint")
    other = savepoint(status=FlinkSavepointStatus(phase=SavepointPhase.IN_PROGRESS, job_id="another"))
    assert acts(decide(job(wanted, RUNNING), seen(present()), savepoints=[other])) == ["StopJob"]
    backing_off = savepoint(status=FlinkSavepointStatus(phase=SavepointPhase.PENDING, job_id=flink_id()))
    assert acts(decide(job(wanted, RUNNING), seen(present()), savepoints=[backing_off])) == ["StopJob"]


@pytest.mark.parametrize("wanted", [spec(state="Suspended"), spec(**NEW)])
def test_what_never_ran_and_has_no_state_is_cancelled(wanted: dict[str, Any]) -> None:
    status = FlinkJobStatus(submission=run(running=False, started_time=None))
    assert acts(decide(job(wanted, status), seen(present(tasks=0)))) == ["CancelJob"]
    assert acts(decide(job(wanted, status), seen(present(tasks=0), checkpoints=stats(chk(1))))) == []


def test_without_a_directory_nothing_is_lost() -> None:
    nowhere = cluster(savepoint_directory=None)
    observation = seen(present(), cluster=nowhere, checkpoint_config=DROPPED)
    decision = decide(job(spec(state="Suspended"), RUNNING), observation)
    assert acts(decision) == []
    assert _plan(decision) == ("Hold", "NoSavepointDirectory")
    assert conditions(decision) == "FFTT"
    kept = seen(present(), cluster=nowhere, checkpoint_config=KEPT, checkpoints=stats(chk(3)))
    assert acts(decide(job(spec(state="Suspended"), RUNNING), kept)) == ["CancelJob"]
    drained = decide(job(spec(state="Drained"), RUNNING), kept)
    assert _plan(drained) == ("Hold", "NoSavepointDirectory")


def test_a_job_that_restarts_for_long_is_upgraded_by_its_last_state() -> None:
    waiting = Plan(step="Stop", reason="WaitingForTasks", since=ago(11))
    status = replace(RUNNING, plan=waiting)
    observation = seen(present(S.RESTARTING), checkpoints=stats(chk(3)), checkpoint_config=KEPT)
    assert acts(decide(job(spec(**NEW), status), observation)) == ["CancelJob"]
    early = replace(RUNNING, plan=replace(waiting, since=ago(5)))
    assert acts(decide(job(spec(**NEW), early), observation)) == []


def test_a_bad_spec_touches_nothing() -> None:
    decision = decide(job({"cluster": {"url": URL}, "jar": {"uri": 5}}, RUNNING), seen(present()))
    assert acts(decision) == []
    assert conditions(decision) == "FFTT"
    assert _plan(decision) == ("Hold", "InvalidSpec")
    assert decision.status.phase == "Running"
    assert decision.status.observed_generation == 3


# FlinkSavepoints that stop


def _due(name: str = "bye", mode: str = "Stop", **fields: Any) -> Any:
    status = fields.pop("status", FlinkSavepointStatus(phase=SavepointPhase.PENDING))
    return savepoint(name, status, mode=mode, **fields)


@pytest.mark.parametrize(
    ("asked", "actions"),
    [
        (_due(), ["StopJob"]),
        (_due(mode="Cancel"), ["TakeSavepoint"]),
        (_due(submission=1), ["StopJob"]),
        (_due(submission=2), []),
        (_due(jobRef={"name": "clicks", "jobId": "0" * 32}), []),
        (_due(mode="Trigger"), []),
        (_due(status=FlinkSavepointStatus()), []),
        (_due(status=FlinkSavepointStatus(phase=SavepointPhase.COMPLETED)), []),
        (_due(status=FlinkSavepointStatus(phase=SavepointPhase.FAILED)), []),
        (_due(status=FlinkSavepointStatus(phase=SavepointPhase.PENDING, retry_time=NOW + timedelta(seconds=9))), []),
        (_due(meta={"deletionTimestamp": "2026-01-01T11:59:00Z"}), []),
    ],
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


# moves

ELSEWHERE = "http://elsewhere:8081"
MOVED = spec(cluster={"url": ELSEWHERE})


def test_the_same_cluster_under_another_name_only_changes_the_address() -> None:
    decision = decide(job(MOVED, RUNNING), seen(present(), target=cluster(url=ELSEWHERE), alias=True))
    assert acts(decision) == []
    assert decision.status.submission is not None
    assert (decision.status.submission.cluster_url, decision.status.submission.number) == (ELSEWHERE, 1)


def test_a_move_stops_here_and_starts_there() -> None:
    there = cluster(url=ELSEWHERE, incarnation="jm-9")
    stop = decide(job(MOVED, RUNNING), seen(present(), target=there))
    assert acts(stop) == ["StopJob"]
    assert stop.status.phase == "Moving"
    made = f"{directory()}/savepoint-1"
    done = seen(present(S.FINISHED), target=there, trigger=triggered(TriggerState.COMPLETED, made))
    started = decide(job(MOVED, stop.status), done)
    sent = next(action for action in started.actions if isinstance(action, RunJob))
    assert (sent.url, sent.request.savepoint_path) == (ELSEWHERE, made)
    assert started.status.submission is not None
    assert (started.status.submission.reason, started.status.submission.incarnation) == ("Move", "jm-9")


def test_nothing_is_stopped_for_a_cluster_that_does_not_answer() -> None:
    decision = decide(job(MOVED, RUNNING), seen(present(), target=replace(silent(5), url=ELSEWHERE)))
    assert acts(decision) == []
    assert _plan(decision) == ("Connect", "ClusterUnreachable")


@pytest.mark.parametrize("what", [None, operation(K.STOP, "Move"), operation(K.CANCEL, "Upgrade")])
def test_an_old_cluster_that_is_gone_is_reported_and_can_be_abandoned(what: Any) -> None:
    status = replace(RUNNING, operation=what)
    observation = seen(cluster=silent(700), target=cluster(url=ELSEWHERE))
    held = decide(job(MOVED, status), observation)
    assert _plan(held) == ("Hold", "OldClusterUnreachable")
    assert acts(held) == []
    wrong = decide(job(MOVED, status, annotations={"flinkjob.dev/abandon": "0" * 32}), observation)
    assert _plan(wrong) == ("Hold", "OldClusterUnreachable")
    given_up = decide(job(MOVED, status, annotations={"flinkjob.dev/abandon": flink_id()}), observation)
    assert given_up.status.submission is not None
    assert given_up.status.submission.end is not None
    assert given_up.status.submission.end.result in (RunResult.LOST, RunResult.SAVEPOINT_UNKNOWN)
    assert told(given_up) == ["LeftBehind"]
    assert "RunJob" not in acts(given_up)


# rescaling

ADAPTIVE = {"scheduler_type": "Adaptive"}
SLOTS = ClusterOverview(taskmanagers=1, slots_total=4, slots_available=3, flink_version="2.3.0")


def test_in_place_where_the_scheduler_can() -> None:
    decision = decide(job(spec(parallelism=3), RUNNING), seen(present(**ADAPTIVE), slots=SLOTS))
    (sent,) = [action for action in decision.actions if isinstance(action, RescaleJob)]
    assert (sent.before, sent.after) == (1, 3)
    assert (decision.status.phase, conditions(decision)) == ("Rescaling", "FTFU")


def test_by_replacing_where_it_cannot() -> None:
    assert acts(decide(job(spec(parallelism=3), RUNNING), seen(present(), slots=SLOTS))) == ["StopJob"]
    refused = FlinkJobStatus(submission=run(replace_to_rescale=True))
    assert acts(decide(job(spec(parallelism=3), refused), seen(present(**ADAPTIVE), slots=SLOTS))) == ["StopJob"]


@pytest.mark.parametrize("known", [present(), present(**ADAPTIVE)])
def test_missing_slots_are_waited_for_with_the_job_running(known: Any) -> None:
    decision = decide(job(spec(parallelism=5), RUNNING), seen(known, slots=SLOTS))
    assert acts(decision) == []
    assert _plan(decision) == ("Scale", "NotEnoughSlots")
    assert conditions(decision) == "FTFT"
    smaller = FlinkJobStatus(submission=run(parallelism=9))
    assert acts(decide(job(spec(parallelism=5), smaller), seen(present(**ADAPTIVE), slots=SLOTS))) == ["RescaleJob"]


def _bounds(*upper: int) -> Mapping[str, ParallelismBounds]:
    return {f"v{n}": ParallelismBounds(lower=1, upper=bound) for n, bound in enumerate(upper)}


@pytest.mark.parametrize(
    ("wanted", "tasks", "since", "outcome"),
    [
        (_bounds(1, 1), 2, 5, "sent again"),
        (_bounds(3, 3), 2, 5, "waits"),
        (_bounds(3, 3), 6, 5, "done"),
        (_bounds(3, 3), 2, 121, "replace"),
        (None, 2, 5, "replace"),
    ],
)
def test_a_rescale_is_followed_by_what_the_cluster_shows(
    wanted: Mapping[str, ParallelismBounds] | None, tasks: int, since: float, outcome: str
) -> None:
    scaling = operation(K.RESCALE, "Scale", parallelism=3, since=ago(since))
    shown = present(**ADAPTIVE)
    assert shown.overview is not None
    shown = replace(shown, overview=replace(shown.overview, tasks=TaskCounts(total=tasks, running=tasks)))
    observation = seen(shown, requirements=wanted, slots=SLOTS)
    decision = decide(job(spec(parallelism=3), replace(RUNNING, operation=scaling)), observation)
    submission = decision.status.submission
    assert submission is not None
    match outcome:
        case "sent again":
            assert acts(decision) == ["RescaleJob"]
        case "waits":
            assert acts(decision) == []
            assert decision.status.operation is not None
        case "done":
            assert (submission.parallelism, decision.status.operation, told(decision)) == (3, None, ["Rescaled"])
        case _:
            assert submission.replace_to_rescale


# rollback

BACK = {"upgrade": {"rollback": {"policy": "Enabled"}}}
OLD_SPEC = parse_job({"metadata": {}, "spec": spec(args=["old"])}).spec
BAD = run(
    2,
    reason=SubmissionReason.UPGRADE,
    run_digest=digest(**NEW),
    revision="clicks-bad",
    restored_from="file:/before",
    healthy=False,
    intent_time=ago(601),
    artifact_digest="b" * 64,
)


def _upgraded(**fields: Any) -> FlinkJobStatus:
    return FlinkJobStatus(
        submission=replace(BAD, **fields), healthy_revision="clicks-good", healthy_artifact=JAR, history=()
    )


def test_a_run_that_is_not_healthy_by_the_deadline_is_taken_back() -> None:
    failing = seen(present(S.RESTARTING, number=2), revision=OLD_SPEC)
    decision = decide(job(spec(**NEW, **BACK), _upgraded()), failing)
    assert told(decision) == ["RolledBack"]
    assert decision.status.rollback is not None
    assert decision.status.rollback.run_digest == digest(**NEW)
    early = decide(job(spec(**NEW, **BACK), _upgraded(intent_time=ago(500))), failing)
    assert early.status.rollback is None
    off = decide(job(spec(**NEW), _upgraded()), failing)
    assert off.status.rollback is None


TAKEN_BACK = Rollback(
    run_digest=digest(**NEW), revision="clicks-good", from_submission=2, since=ago(5), message="taken back"
)


def test_the_healthy_spec_runs_again_from_the_state_before_and_with_its_own_jar() -> None:
    status = replace(_upgraded(), rollback=TAKEN_BACK)
    asked: list[Needs] = []
    stopping = decide(job(spec(**NEW, **BACK), status), seen(present(number=2), revision=OLD_SPEC), asked)
    assert acts(stopping) == ["CancelJob"]
    assert [needs.artifact.digest for needs in asked if needs.artifact is not None] == [JAR]
    ended_now = seen(present(S.CANCELED, number=2), revision=OLD_SPEC, checkpoints=stats(chk(9)))
    asked.clear()
    started = decide(job(spec(**NEW, **BACK), stopping.status), ended_now, asked)
    assert [needs.artifact.digest for needs in asked if needs.artifact is not None] == [JAR]
    sent = next(action for action in started.actions if isinstance(action, RunJob))
    assert (sent.request.savepoint_path, sent.request.args) == ("file:/before", ("old",))
    assert started.status.submission is not None
    assert started.status.submission.reason == "Rollback"
    running = decide(
        job(spec(**NEW, **BACK), started.status), seen(present(number=3), revision=OLD_SPEC, checkpoint_config=KEPT)
    )
    assert acts(running) == []
    assert conditions(running) == "FFTT"
    assert _plan(running) == ("Hold", "RolledBack")


def test_another_spec_ends_the_rollback() -> None:
    status = FlinkJobStatus(submission=run(3, job_id=flink_id(3), run_digest=digest(args=["old"])), rollback=TAKEN_BACK)
    decision = decide(job(spec(args=["newer"], **BACK), status), seen(present(number=3), revision=OLD_SPEC))
    assert decision.status.rollback is None
    assert acts(decision) == ["StopJob"]


def test_healthy_is_running_for_long_enough_with_a_checkpoint() -> None:
    every = CheckpointConfig(interval_ms=1000, retained_on_cancellation=True)
    about = spec(**NEW, **BACK)
    for steady, history, config, healthy in (
        (ago(61), (chk(1),), every, True),
        (ago(61), (), every, False),
        (ago(61), (), CheckpointConfig(), True),
        (ago(59), (chk(1),), every, False),
        (None, (chk(1),), every, False),
    ):
        status = _upgraded(steady_since=steady, intent_time=ago(100))
        observation = seen(present(number=2), checkpoint_config=config, checkpoints=stats(*history))
        decision = decide(job(about, status), observation)
        assert decision.status.submission is not None
        assert decision.status.submission.healthy == healthy
        assert (decision.status.healthy_revision, decision.status.healthy_artifact) == (
            ("clicks-bad", "b" * 64) if healthy else ("clicks-good", JAR)
        )
    unsteady = _upgraded(steady_since=ago(61), intent_time=ago(100))
    decision = decide(job(about, unsteady), seen(present(S.RESTARTING, number=2)))
    assert decision.status.submission is not None
    assert decision.status.submission.steady_since is None


def test_a_failed_upgrade_is_taken_back_at_once() -> None:
    observation = seen(present(S.FAILED, number=2), revision=OLD_SPEC)
    decision = decide(job(spec(**NEW, **BACK), _upgraded()), observation)
    assert decision.status.rollback is not None


# periodic savepoints

EVERY = {"savepoints": {"interval": "1h"}}


def _created(decision: JobDecision) -> list[str]:
    return [action.name for action in decision.actions if isinstance(action, CreateSavepoint)]


def test_a_periodic_savepoint_is_taken_when_it_is_due_and_the_next_one_is_planned() -> None:
    due = replace(RUNNING, periodic=PeriodicInfo(last_time=ago(3700)), submission=run(started_time=ago(9000)))
    decision = decide(job(spec(**EVERY), due), seen(present()))
    assert len(_created(decision)) == 1
    assert decision.status.periodic is not None
    assert decision.status.periodic.last_time == NOW
    assert _created(decide(job(spec(**EVERY), decision.status), seen(present()))) == []
    early = replace(due, periodic=PeriodicInfo(last_time=ago(3000)))
    assert _created(decide(job(spec(**EVERY), early), seen(present()))) == []
    suspended = spec(savepoints={"interval": "1h", "suspend": True})
    assert _created(decide(job(suspended, due), seen(present()))) == []
    assert _created(decide(job(spec(**EVERY), due), seen(present(tasks=1)))) == []


def test_periodic_savepoints_never_overlap() -> None:
    due = replace(RUNNING, periodic=PeriodicInfo(last_time=ago(3700)), submission=run(started_time=ago(9000)))
    busy = savepoint(status=FlinkSavepointStatus(phase=SavepointPhase.IN_PROGRESS))
    assert _created(decide(job(spec(**EVERY), due), seen(present()), savepoints=[busy])) == []


def test_the_same_due_time_gives_the_same_name_after_a_crash() -> None:
    due = replace(RUNNING, periodic=PeriodicInfo(last_time=ago(3700)), submission=run(started_time=ago(9000)))
    first = _created(decide(job(spec(**EVERY), due), seen(present())))
    again = _created(decide(job(spec(**EVERY), due), seen(present(), now=NOW + timedelta(seconds=30))))
    assert first == again


@pytest.mark.parametrize(
    ("schedule", "zone", "after_hours"), [("0 3 * * *", "UTC", 15), ("0 3 * * *", "Europe/Berlin", 14)]
)
def test_a_schedule_in_its_time_zone(schedule: str, zone: str, after_hours: int) -> None:
    wanted = spec(savepoints={"schedule": schedule, "timeZone": zone})
    status = replace(RUNNING, submission=run(started_time=NOW))
    decision = decide(job(wanted, status), seen(present()))
    assert decision.status.periodic is not None
    assert decision.status.periodic.next_time is not None
    wait = decision.status.periodic.next_time - NOW
    assert timedelta(hours=after_hours) <= wait <= timedelta(hours=after_hours, seconds=30)


def _old(name: str, age: float, origin: str = "Periodic") -> Any:
    status = FlinkSavepointStatus(phase=SavepointPhase.COMPLETED, location=f"file:/sp/{name}", end_time=ago(age))
    return savepoint(name, status, meta={"labels": {"flinkjob.dev/origin": origin}})


def test_retention_needs_both_limits_and_spares_the_newest_what_is_used_and_what_is_not_the_operators() -> None:
    wanted = spec(savepoints={"retention": {"minCount": 1, "minAge": "1h"}})
    known = [
        _old("newest", 7200),
        _old("old", 9000),
        _old("used", 9100),
        _old("manual", 9200, "Manual"),
        _old("deletion", 9300, "Deletion"),
    ]
    used = frozenset({"file:///sp/used"})
    decision = decide(job(wanted, RUNNING), seen(present()), savepoints=known, in_use=used)
    assert [action.name for action in decision.actions if isinstance(action, DeleteSavepoint)] == ["old"]
    young = [_old("newest", 10), _old("young", 3000)]
    decision = decide(job(wanted, RUNNING), seen(present()), savepoints=young)
    assert acts(decision) == []
    assert acts(decide(job(status=RUNNING), seen(present()), savepoints=known)) == []


# the rest


def test_a_stray_beside_the_run_is_cancelled_when_it_is_older() -> None:
    status = FlinkJobStatus(submission=run(2, job_id=flink_id(2)))
    kin = (overview(number=1), overview(number=2))
    assert acts(decide(job(status=status), seen(present(number=2), kin=kin))) == ["CancelJob"]


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
