"""What the new program would leave behind of the running job's state: said once before the job is touched, or refused."""

from dataclasses import replace
from typing import Any

import pytest

from flinkjob.api.enums import SavepointPhase
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.core.actions import EventType, PostEvent
from flinkjob.core.facts import Fact, StateSizes, VertexNames
from flinkjob.core.flinkmodel import CheckpointConfig, CheckpointDetails
from flinkjob.core.job.state_check import LeftOver, left_over
from flinkjob.core.jobgraph import Topology
from flinkjob.core.model import JobDecision
from flinkjob.core.seen import JobGraphPhase, JobGraphSeen
from tests.support.inputs import (
    RUNNING,
    World,
    acts,
    chk,
    cluster,
    decide,
    flink_id,
    graph,
    job,
    plan_of,
    present,
    run,
    savepoint,
    seen,
    spec,
    stats,
    told,
)
from tests.support.tables import table

NEW: dict[str, Any] = {"args": ["new"]}
NAMES = {"v1": "Source: clicks", "old": "count -> sink: Writer"}
LOST = CheckpointDetails(vertex_bytes={"v1": 64, "old": 13_763})
SAYS = (
    "run 1 has state in what the new program lacks: count -> sink: Writer (13.4Ki); keep the uids of these operators, "
    "or set restore.allowNonRestoredState to leave that state behind"
)


def _there(details: CheckpointDetails | None = LOST, **fields: Any) -> World:
    return seen(present(), **{"state_sizes": details, "vertex_names": NAMES} | fields)


def _warnings(decision: JobDecision) -> list[str]:
    events = [each for each in decision.actions if isinstance(each, PostEvent) and each.reason == "StateNotMapped"]
    assert all(each.type is EventType.WARNING for each in events)
    return [each.message for each in events]


# what is found


@table(
    ("held", "names", "plan", "found"),
    "a vertex with state that the plan lacks",
    (LOST, NAMES, graph(1), LeftOver(vertices=(("count -> sink: Writer", 13_763),))),
    "all vertices are there",
    (CheckpointDetails(vertex_bytes={"v1": 64, "v2": 64}), {"v1": "a", "v2": "b"}, graph(1), None),
    "what is missing has no state",
    (CheckpointDetails(vertex_bytes={"v1": 64, "old": 0}), NAMES, graph(1), None),
    "a plan that names no vertices says nothing",
    (LOST, NAMES, Topology(name="p"), None),
    "a snapshot without vertices says nothing",
    (CheckpointDetails(vertex_bytes={}), NAMES, graph(1), None),
    "a snapshot of another job",
    (LOST, {"v1": "Source: clicks", "v2": "count"}, graph(1), None),
    "a vertex without a name has its id",
    (LOST, {"old": ""}, graph(1), LeftOver(vertices=(("old", 13_763),))),
    "the largest is first, and what is only on its way is told apart",
    (
        CheckpointDetails(vertex_bytes={"x": 1, "y": 2}, aligned=False),
        {"x": "a", "y": "b"},
        graph(1),
        LeftOver(vertices=(("b", 2), ("a", 1)), aligned=False),
    ),
)
def test_what_is_left_over(
    held: CheckpointDetails, names: dict[str, str], plan: Topology, found: LeftOver | None
) -> None:
    assert left_over(held, names, plan) == found


def test_few_are_named_and_each_name_is_short() -> None:
    many = LeftOver(vertices=tuple((f"{number} {'x' * 300}", 10) for number in range(5)), aligned=False)
    assert many.words.startswith("state, or records on their way, in what the new program lacks: 0 xxx")
    assert many.words.endswith("… (10) and 2 more")
    assert len(many.words) < 400
    secret = LeftOver(vertices=(("Source: amqp://user:secret@host/x", 10),))
    assert "secret" not in secret.words


# what is said


def test_it_is_said_before_the_stop_and_the_upgrade_goes_on() -> None:
    first = decide(job(spec(**NEW), RUNNING), _there())
    assert acts(first) == []
    assert _warnings(first) == [SAYS]
    assert plan_of(first) == ("Preflight", "StateNotMapped")
    assert (first.status.phase, first.requeue_after) == ("Upgrading", 0.02)
    asked: list[Fact[Any]] = []
    second = decide(job(spec(**NEW), first.status), _there(), asked)
    assert acts(second) == ["StopJob"]
    assert _warnings(second) == []
    assert not {StateSizes, VertexNames} & set(map(type, asked))


# what is refused

SCRIPT = "INSERT INTO a SELECT 1"
LACKS_SQL = (
    "run 1 has state in what the new program lacks: count -> sink: Writer (13.4Ki); go back to the script before, "
    "or set restore.allowNonRestoredState to leave that state behind"
)


def _sql(script: str = SCRIPT, **fields: Any) -> dict[str, Any]:
    return {"jar": None, "entryClass": None, "sql": {"script": script}} | fields


def test_a_script_that_would_lose_state_is_not_run_and_the_job_runs_on() -> None:
    about, asked, said = job(spec(**_sql()), RUNNING), list[Fact[Any]](), list[str]()
    for _ in range(3):
        decision = decide(about, _there(), asked)
        assert acts(decision) == []
        assert (plan_of(decision), decision.status.plan.message) == (("Hold", "StateNotMapped"), LACKS_SQL)
        assert [(each.status, each.reason) for each in decision.status.conditions if each.type == "Stalled"] == [
            ("True", "StateNotMapped")
        ]
        said += _warnings(decision)
        about = replace(about, status=decision.status)
    assert said == [LACKS_SQL]
    assert len([each for each in asked if isinstance(each, StateSizes)]) == 1


@table(
    ("fields", "action"),
    "it may be left behind",
    ({"restore": {"allowNonRestoredState": True}}, "StopJob"),
    "the next run starts empty",
    ({"upgrade": {"strategy": "Stateless"}}, "CancelJob"),
    "it begins anew",
    ({"initialState": {"nonce": 3}}, "CancelJob"),
)
def test_the_ways_out_of_a_refusal(fields: dict[str, Any], action: str) -> None:
    refused = decide(job(spec(**_sql()), RUNNING), _there()).status
    assert acts(decide(job(spec(**_sql(**fields)), refused, generation=4), _there())) == [action]


def test_after_a_refusal_the_script_before_runs_on_and_a_better_one_is_run() -> None:
    refused = decide(job(spec(**_sql()), RUNNING), _there()).status
    before = decide(job(spec(), refused, generation=4), _there())
    assert (acts(before), before.status.phase) == ([], "Running")
    fits = _there(CheckpointDetails(vertex_bytes={"v1": 64, "v2": 64}))
    assert acts(decide(job(spec(**_sql("INSERT INTO a SELECT 2")), refused, generation=4), fits)) == ["StopJob"]


UNALIGNED = replace(LOST, aligned=False)
KEPT = {"checkpoints": stats(chk(3)), "checkpoint_config": CheckpointConfig(retained_on_cancellation=True)}


@table(
    ("fields", "there", "reason"),
    "a compiled plan gives uids",
    (_sql("EXECUTE\n plan 'file:/p.json'"), _there(), "StateNotMapped"),
    "a script that is downloaded may have one",
    (_sql() | {"sql": {"uri": "https://h/a.sql", "sha256": "a" * 64}}, _there(), "StateNotMapped"),
    "records on their way are in no savepoint",
    (_sql(), _there(UNALIGNED), "StateNotMapped"),
)
def test_what_is_not_certain_is_only_said(fields: dict[str, Any], there: World, reason: str) -> None:
    first = decide(job(spec(**fields), RUNNING), there)
    assert plan_of(first) == ("Preflight", reason)
    assert len(_warnings(first)) == 1
    assert acts(decide(job(spec(**fields), first.status), there)) == ["StopJob"]


def test_records_on_their_way_are_in_the_last_checkpoint() -> None:
    wanted = spec(**_sql(upgrade={"strategy": "LastState"}))
    assert plan_of(decide(job(wanted, RUNNING), _there(UNALIGNED, **KEPT))) == ("Hold", "StateNotMapped")


def test_names_are_asked_for_only_where_something_is_found() -> None:
    asked: list[Fact[Any]] = []
    decision = decide(job(spec(**NEW), RUNNING), _there(CheckpointDetails(vertex_bytes={"v1": 5, "v2": 5})), asked)
    assert acts(decision) == ["StopJob"]
    assert _warnings(decision) == []
    assert [each for each in asked if isinstance(each, StateSizes)] == [StateSizes(flink_id())]
    assert VertexNames not in map(type, asked)


@table(
    "there",
    "no snapshot is complete, or its details are gone",
    _there(None),
    "its vertices cannot be had",
    _there(vertex_names=None),
    "a plan without vertices",
    _there(job_graph=JobGraphSeen(phase=JobGraphPhase.COMPILED, topology=Topology(name="p"))),
)
def test_where_too_little_is_known_nothing_is_said(there: World) -> None:
    decision = decide(job(spec(**NEW), RUNNING), there)
    assert acts(decision) == ["StopJob"]
    assert _warnings(decision) == []


@table(
    ("fields", "there", "action"),
    "state may be left behind",
    (NEW | {"restore": {"allowNonRestoredState": True}}, _there(), "StopJob"),
    "the next run starts empty",
    (NEW | {"upgrade": {"strategy": "Stateless"}}, _there(), "CancelJob"),
    "the next run starts from elsewhere",
    (NEW | {"initialState": {"nonce": 3}}, _there(), "CancelJob"),
    "the program is not compiled",
    (NEW | {"upgrade": {"preflight": "Disabled"}}, _there(), "StopJob"),
    "the program cannot be compiled without danger",
    (NEW, _there(cluster=cluster(intercepts_exit=False)), "StopJob"),
    "the job is only suspended",
    ({"state": "Suspended"}, _there(), "StopJob"),
)
def test_it_is_asked_only_where_the_answer_matters(fields: dict[str, Any], there: World, action: str) -> None:
    asked: list[Fact[Any]] = []
    decision = decide(job(spec(**fields), RUNNING), there, asked)
    assert acts(decision) == [action]
    assert _warnings(decision) == []
    assert StateSizes not in map(type, asked)


def test_nothing_is_asked_about_a_job_at_rest_or_one_that_never_ran() -> None:
    asked: list[Fact[Any]] = []
    decide(job(status=RUNNING), _there(), asked)
    early = FlinkJobStatus(submission=run(running=False, started_time=None))
    assert acts(decide(job(spec(**NEW), early), seen(present(tasks=0), state_sizes=LOST), asked)) == ["CancelJob"]
    assert StateSizes not in map(type, asked)


def test_an_upgrade_by_the_last_checkpoint_is_compared_too() -> None:
    wanted = spec(**NEW, upgrade={"strategy": "LastState"})
    first = decide(job(wanted, RUNNING), _there(**KEPT))
    assert (acts(first), _warnings(first)) == ([], [SAYS])
    assert acts(decide(job(wanted, first.status), _there(**KEPT))) == ["CancelJob"]


@pytest.mark.parametrize("details", [LOST, None], ids=["found", "nothing known"])
def test_while_the_upgrade_waits_it_is_neither_asked_nor_said_again(details: CheckpointDetails | None) -> None:
    writing = savepoint(status=FlinkSavepointStatus(phase=SavepointPhase.IN_PROGRESS, job_id=flink_id()))
    about, asked, said = job(spec(**NEW), RUNNING), list[Fact[Any]](), list[str]()
    for _ in range(4):
        decision = decide(about, _there(details), asked, savepoints=[writing])
        said += _warnings(decision)
        about = replace(about, status=decision.status)
    assert plan_of(decision) == ("Stop", "WaitingForSavepoint")
    assert said == ([SAYS] if details else [])
    assert len([each for each in asked if isinstance(each, StateSizes)]) == 1


def test_another_generation_is_compared_anew() -> None:
    first = decide(job(spec(**NEW), RUNNING), _there())
    again = decide(job(spec(args=["newer"]), first.status, generation=4), _there())
    assert _warnings(again) == [SAYS]
    assert told(again) == ["StateNotMapped"]
