"""A run goes to another cluster, or gets another parallelism: in place where it can, else by its successor."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flinkjob.api.enums import OperationKind, RunResult, SavepointPhase
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.core.actions import RescaleJob, RunJob
from flinkjob.core.flinkmodel import (
    ClusterOverview,
    FlinkJobState,
    ParallelismBounds,
    TaskCounts,
    TriggerState,
)
from tests.support.inputs import (
    RUNNING,
    acts,
    ago,
    cluster,
    conditions,
    decide,
    directory,
    flink_id,
    job,
    operation,
    plan_of,
    present,
    run,
    savepoint,
    seen,
    silent,
    spec,
    told,
    triggered,
)
from tests.support.tables import table

ELSEWHERE = "http://elsewhere.example:8081"
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
    done = seen(present(FlinkJobState.FINISHED), target=there, trigger=triggered(TriggerState.COMPLETED, made))
    started = decide(job(MOVED, stop.status), done)
    sent = next(action for action in started.actions if isinstance(action, RunJob))
    assert (sent.url, sent.request.savepoint_path) == (ELSEWHERE, made)
    assert started.status.submission is not None
    assert (started.status.submission.reason, started.status.submission.incarnation) == ("Move", "jm-9")


def test_nothing_is_stopped_for_a_cluster_that_does_not_answer() -> None:
    decision = decide(job(MOVED, RUNNING), seen(present(), target=replace(silent(5), url=ELSEWHERE)))
    assert acts(decision) == []
    assert plan_of(decision) == ("Connect", "ClusterUnreachable")


@table(
    "what",
    "before the stop",
    None,
    "during the stop",
    operation(OperationKind.STOP, "Move"),
    "during a cancel",
    operation(OperationKind.CANCEL, "Upgrade"),
)
def test_an_old_cluster_that_is_gone_is_reported_and_can_be_abandoned(what: Any) -> None:
    status = replace(RUNNING, operation=what)
    observation = seen(cluster=silent(700), target=cluster(url=ELSEWHERE))
    held = decide(job(MOVED, status), observation)
    assert plan_of(held) == ("Hold", "OldClusterUnreachable")
    assert acts(held) == []
    wrong = decide(job(MOVED, status, annotations={"flinkjob.dev/abandon": "0" * 32}), observation)
    assert plan_of(wrong) == ("Hold", "OldClusterUnreachable")
    given_up = decide(job(MOVED, status, annotations={"flinkjob.dev/abandon": flink_id()}), observation)
    assert given_up.status.submission is not None
    assert given_up.status.submission.end is not None
    assert given_up.status.submission.end.result in (RunResult.LOST, RunResult.SAVEPOINT_UNKNOWN)
    assert told(given_up) == ["LeftBehind"]
    assert "RunJob" not in acts(given_up)


ADAPTIVE: dict[str, Any] = {"scheduler_type": "Adaptive"}
SLOTS = ClusterOverview(taskmanagers=1, slots_total=4, slots_available=3, flink_version="2.3.0")


def test_in_place_where_the_scheduler_can() -> None:
    decision = decide(job(spec(parallelism=3), RUNNING), seen(present(**ADAPTIVE), slots=SLOTS))
    (sent,) = [action for action in decision.actions if isinstance(action, RescaleJob)]
    assert (sent.before, sent.after) == (1, 3)
    assert (decision.status.phase, conditions(decision)) == ("Rescaling", "Reconciling, health unknown")


def test_a_rescale_in_place_waits_for_a_savepoint_in_progress() -> None:
    writing = savepoint(status=FlinkSavepointStatus(phase=SavepointPhase.IN_PROGRESS, job_id=flink_id()))
    observation = seen(present(**ADAPTIVE), slots=SLOTS)
    decision = decide(job(spec(parallelism=3), RUNNING), observation, savepoints=[writing])
    assert acts(decision) == []
    assert plan_of(decision) == ("Scale", "WaitingForSavepoint")


def test_by_replacing_where_it_cannot() -> None:
    assert acts(decide(job(spec(parallelism=3), RUNNING), seen(present(), slots=SLOTS))) == ["StopJob"]
    refused = FlinkJobStatus(submission=run(replace_to_rescale=True))
    assert acts(decide(job(spec(parallelism=3), refused), seen(present(**ADAPTIVE), slots=SLOTS))) == ["StopJob"]


@table("known", "the default scheduler", present(), "the adaptive scheduler", present(**ADAPTIVE))
def test_missing_slots_are_waited_for_with_the_job_running(known: Any) -> None:
    decision = decide(job(spec(parallelism=5), RUNNING), seen(known, slots=SLOTS))
    assert acts(decision) == []
    assert plan_of(decision) == ("Scale", "NotEnoughSlots")
    assert conditions(decision) == "Reconciling, healthy"
    smaller = FlinkJobStatus(submission=run(parallelism=9))
    assert acts(decide(job(spec(parallelism=5), smaller), seen(present(**ADAPTIVE), slots=SLOTS))) == ["RescaleJob"]


def _bounds(*upper: int) -> Mapping[str, ParallelismBounds]:
    return {f"v{n}": ParallelismBounds(lower=1, upper=bound) for n, bound in enumerate(upper)}


@table(
    ("wanted", "tasks", "since", "outcome"),
    "bounds that are not ours are sent again",
    (_bounds(1, 1), 2, 5, "sent again"),
    "bounds that are ours and too few tasks: it waits",
    (_bounds(3, 3), 2, 5, "waits"),
    "bounds that are ours and all tasks: it is done",
    (_bounds(3, 3), 6, 5, "done"),
    "bounds that are ours and too few tasks after two minutes: the job is replaced",
    (_bounds(3, 3), 2, 121, "replace"),
    "a scheduler that knows no bounds: the job is replaced",
    (None, 2, 5, "replace"),
)
def test_a_rescale_is_followed_by_what_the_cluster_shows(
    wanted: Mapping[str, ParallelismBounds] | None, tasks: int, since: float, outcome: str
) -> None:
    scaling = operation(OperationKind.RESCALE, "Scale", parallelism=3, since=ago(since))
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
