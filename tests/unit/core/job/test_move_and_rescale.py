"""A run goes to another cluster, or gets another parallelism: in place where it can, else by its successor."""

from dataclasses import replace
from typing import Any

import pytest

from flinkjob.api.enums import OperationKind, RunResult, SavepointPhase
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.core.actions import RescaleJob, RunJob
from flinkjob.core.flinkmodel import (
    ClusterOverview,
    FlinkJobState,
    TaskCounts,
    TriggerState,
)
from flinkjob.core.identity import digest_of
from flinkjob.core.jobgraph import ParallelismBounds, Topology
from flinkjob.core.model import JobDecision
from flinkjob.core.seen import JobGraphPhase, JobGraphSeen
from tests.support.inputs import (
    RUNNING,
    acts,
    ago,
    cluster,
    conditions,
    decide,
    directory,
    event_of,
    flink_id,
    graph,
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


@table(
    ("seconds", "health"),
    "at first",
    (5, "healthy"),
    "after a minute, in which it may have failed",
    (700, "health unknown"),
)
def test_a_job_that_cannot_leave_a_silent_cluster_needs_a_person(seconds: float, health: str) -> None:
    """However long the silence lasts: nothing goes on by waiting, and how to abandon the job is in the message."""
    observation = seen(cluster=silent(seconds), target=cluster(url=ELSEWHERE))
    decision = decide(job(MOVED, RUNNING), observation)
    assert conditions(decision) == f"Stalled, {health}"
    ready = next(each for each in decision.status.conditions if each.type == "Ready")
    assert ready.reason == "OldClusterUnreachable"
    assert ready.message.endswith(f"annotate with flinkjob.dev/abandon={flink_id()}")
    assert "OldClusterUnreachable" in told(decision)
    assert "OldClusterUnreachable" not in told(decide(job(MOVED, decision.status), observation))


ADAPTIVE: dict[str, Any] = {"scheduler_type": "Adaptive"}
SLOTS = ClusterOverview(taskmanagers=1, slots_total=4, slots_available=3, flink_version="2.3.0")


COMPILED = JobGraphSeen(phase=JobGraphPhase.COMPILED, topology=graph(3))


BOUNDS = {"v1": ParallelismBounds(lower=1, upper=3), "v2": ParallelismBounds(lower=1, upper=3)}


def _scaled(to: int = 3, status: FlinkJobStatus = RUNNING, known: Any = None, **fields: Any) -> JobDecision:
    """Decide about another parallelism of a job that runs under the adaptive scheduler."""
    return decide(job(spec(parallelism=to), status), seen(known or present(**ADAPTIVE), **{"slots": SLOTS} | fields))


def _compiled(*numbers: int) -> JobGraphSeen:
    return replace(COMPILED, topology=graph(*numbers))


def _other(graph: Topology, **fields: Any) -> JobGraphSeen:
    """A compiled graph whose last vertex is another one."""
    return replace(
        COMPILED, topology=replace(graph, vertices=(graph.vertices[0], replace(graph.vertices[1], **fields)))
    )


@table(
    ("planned", "running", "numbers"),
    "all vertices follow",
    (_compiled(3), graph(1), {"v1": 3, "v2": 3}),
    "one is pinned",
    (_compiled(3, 1), graph(1), {"v1": 3, "v2": 1}),
    "one is pinned to another number",
    (_compiled(3, 2), graph(1, 2), {"v1": 3, "v2": 2}),
)
def test_in_place_each_vertex_gets_the_number_of_the_plan(
    planned: JobGraphSeen, running: Topology, numbers: dict[str, int]
) -> None:
    decision = _scaled(job_graph=planned, running_graph=running)
    (sent,) = [action for action in decision.actions if isinstance(action, RescaleJob)]
    assert dict(sent.parallelism) == numbers
    assert (decision.status.phase, conditions(decision)) == ("Rescaling", "Reconciling, health unknown")


def test_a_rescale_in_place_waits_for_a_savepoint_in_progress() -> None:
    writing = savepoint(status=FlinkSavepointStatus(phase=SavepointPhase.IN_PROGRESS, job_id=flink_id()))
    observation = seen(present(**ADAPTIVE), slots=SLOTS)
    decision = decide(job(spec(parallelism=3), RUNNING), observation, savepoints=[writing])
    assert acts(decision) == []
    assert plan_of(decision) == ("Scale", "WaitingForSavepoint")


@table(
    ("known", "fields"),
    "the default scheduler",
    (present(), {"running_graph": graph(1, elastic=False)}),
    "another chain",
    (present(**ADAPTIVE), {"job_graph": _other(graph(3), vertex_id="v3")}),
    "another connection",
    (present(**ADAPTIVE), {"job_graph": _other(graph(3), inputs=("0 v1 REBALANCE",))}),
    "nothing may be compiled there",
    (present(**ADAPTIVE), {"cluster": cluster(intercepts_exit=False)}),
    "it did not work in place",
    (present(**ADAPTIVE), {"status": FlinkJobStatus(submission=run(replace_to_rescale=True))}),
)
def test_the_job_is_replaced_where_in_place_would_not_mean_the_same(known: Any, fields: dict[str, Any]) -> None:
    assert acts(_scaled(known=known, **fields)) == ["StopJob"]


@pytest.mark.parametrize("elastic", [True, False])
def test_a_program_with_its_own_parallelism_is_left_alone_and_that_is_said_once(elastic: bool) -> None:
    own = {"job_graph": _compiled(2), "running_graph": graph(2, elastic=elastic)}
    decision = _scaled(9, **own)
    assert (acts(decision), told(decision)) == ([], ["ParallelismFixed"])
    assert "parallelism 2" in event_of(decision, "ParallelismFixed").message
    assert decision.status.job is not None
    assert decision.status.job.parallelism == 2
    again = _scaled(9, decision.status, **own)
    assert (acts(again), told(again)) == ([], [])
    assert again.status.job is not None
    assert again.status.job.parallelism == 2


@table(
    ("phase", "plan"),
    "it is being compiled",
    (JobGraphPhase.WORKING, ("Preflight", "Upgrading")),
    "it does not compile",
    (JobGraphPhase.REFUSED, ("Hold", "PreflightFailed")),
    "nobody knows",
    (JobGraphPhase.UNCLEAR, ("Preflight", "PreflightFailed")),
)
def test_the_job_runs_on_until_its_plan_is_known(phase: JobGraphPhase, plan: tuple[str, str]) -> None:
    decision = _scaled(job_graph=JobGraphSeen(phase=phase, message="no"))
    assert (acts(decision), plan_of(decision)) == ([], plan)


@table("known", "the default scheduler", present(), "the adaptive scheduler", present(**ADAPTIVE))
def test_missing_slots_are_waited_for_with_the_job_running(known: Any) -> None:
    decision = _scaled(5, known=known, job_graph=_compiled(5))
    assert acts(decision) == []
    assert plan_of(decision) == ("Scale", "NotEnoughSlots")
    assert conditions(decision) == "Reconciling, healthy"
    smaller = FlinkJobStatus(submission=run(parallelism=9))
    assert acts(_scaled(5, smaller, job_graph=_compiled(5), running_graph=graph(9))) == ["RescaleJob"]


@table(
    ("running", "tasks", "since", "outcome"),
    "numbers that are not ours are sent again",
    (graph(1), 2, 5, "sent again"),
    "numbers that are ours and too few tasks: it waits",
    (graph(3), 2, 5, "waits"),
    "numbers that are ours, and the job waits for slots, so that its graph is not shown",
    (Topology(name="", vertices=()).bounded_by(BOUNDS), 0, 5, "waits"),
    "numbers that are ours and all tasks: it is done",
    (graph(3), 6, 5, "done"),
    "numbers that are ours and too few tasks after two minutes: the job is replaced",
    (graph(3), 2, 121, "replace"),
    "a scheduler that changes no number: the job is replaced",
    (graph(1, elastic=False), 2, 5, "replace"),
    "another graph than the program has now: the job is replaced",
    (replace(graph(1), vertices=graph(1).vertices[:1]), 2, 5, "replace"),
)
def test_a_rescale_is_followed_by_what_the_cluster_shows(
    running: Topology, tasks: int, since: float, outcome: str
) -> None:
    numbers = digest_of(graph(3).numbers)
    scaling = operation(OperationKind.RESCALE, "Scale", parallelism=3, since=ago(since), numbers=numbers)
    shown = present(**ADAPTIVE)
    assert shown.overview is not None
    shown = replace(shown, overview=replace(shown.overview, tasks=TaskCounts(total=tasks, running=tasks)))
    decision = _scaled(3, replace(RUNNING, operation=scaling), shown, running_graph=running)
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
            assert event_of(decision, "Rescaled").message == "run 1 runs with parallelism 3"
        case _:
            assert submission.replace_to_rescale


def test_a_rescale_that_changed_nothing_yet_gives_way_to_what_is_wanted_by_now() -> None:
    scaling = operation(OperationKind.RESCALE, "Scale", parallelism=3, numbers="0")
    decision = _scaled(1, replace(RUNNING, operation=scaling), job_graph=_compiled(1))
    assert (acts(decision), decision.status.operation) == ([], None)


def test_after_a_rescale_of_an_earlier_version_the_job_is_replaced() -> None:
    """What it asked for is not known, so that nothing in place would be sure."""
    decision = _scaled(3, replace(RUNNING, operation=operation(OperationKind.RESCALE, "Scale", parallelism=3)))
    assert acts(decision) == ["StopJob"]
