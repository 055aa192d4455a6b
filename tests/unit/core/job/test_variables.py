"""Variables: their values are in the run call alone, and where one is missing nothing is touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flinkjob.api.codec import dump_status
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import FlinkJobStatus, Plan, Rollback
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import RunJob
from flinkjob.core.errors import SubmitRejection
from flinkjob.core.facts import Variables, Where
from flinkjob.core.flinkmodel import TriggerResult, TriggerState
from flinkjob.core.job.decide import digest_of_spec
from flinkjob.core.model import JobDecision
from flinkjob.core.seen import RunPhase, RunSeen, TextsSeen, VariablesSeen
from tests.support import inputs
from tests.support.inputs import absent, acts, conditions, decide, job, plan_of, present, run, seen
from tests.support.tables import table
from tests.unit.core.test_program import spec as parsed

SECRET = "canary-value-19ce"
NAMED: dict[str, Any] = {
    "cluster": {"url": inputs.URL},
    "jar": {"uri": "https://a/b.jar"},
    "args": ["--password=$(password)", "$(topic)", "$$(topic)"],
    "flinkConfiguration": {"a": "$(topic)-$(password)"},
    "variables": {"topic": "clicks"},
    "variablesFrom": [{"secretRef": {"name": "kafka"}}],
}
VALUES = VariablesSeen(values={"password": SECRET, "topic": "weaker"})
MISSING = VariablesSeen(problem="Secret shop/kafka does not exist")


def spec_of(fields: dict[str, Any]) -> FlinkJobSpec:
    """As it is applied, without values."""
    return parsed(**{name: value for name, value in fields.items() if name != "cluster"})


def said(decision: JobDecision) -> str:
    """What the plan says."""
    assert decision.status.plan is not None
    return decision.status.plan.message or ""


def running(spec: dict[str, Any]) -> FlinkJobStatus:
    """The status of a job that runs by this spec and the values."""
    first = decide(job(spec, held=False), seen(variables=VALUES)).status.submission
    assert first is not None
    return FlinkJobStatus(submission=run(run_digest=first.run_digest, revision="kept"))


def test_the_values_are_in_the_run_call_alone() -> None:
    decision = decide(job(NAMED, held=False), seen(variables=VALUES))
    (call,) = (action for action in decision.actions if isinstance(action, RunJob))
    assert call.request.args == (f"--password={SECRET}", "clicks", "$(topic)")
    assert call.request.flink_configuration["a"] == f"clicks-{SECRET}"
    others = [action for action in decision.actions if not isinstance(action, RunJob)]
    assert SECRET not in f"{others} {call!r} {dump_status(decision.status)} {VALUES!r}"
    assert decision.status.submission is not None
    assert decision.status.submission.run_digest == digest_of_spec(spec_of(NAMED), None)


def test_a_name_without_a_value_starts_nothing() -> None:
    for spec, words in (
        (NAMED | {"variablesFrom": []}, "spec.args: no variable is named password; write $$(password)"),
        (
            NAMED | {"args": [], "variables": {}, "variablesFrom": [{"configMapRef": {"name": "a"}}]},
            "no variable is named",
        ),
        (NAMED | {"variables": {"1x": "a"}}, "spec.variables: 1x is not a name"),
    ):
        values = VariablesSeen() if "args" in words or "named" in words else VALUES
        decision = decide(job(spec, held=False), seen(variables=values))
        assert acts(decision) == []
        assert plan_of(decision)[1] == Reason.VariableNotFound
        assert words in said(decision)


def test_without_variables_a_text_is_what_it_is() -> None:
    spec = {key: NAMED[key] for key in ("cluster", "jar")} | {"args": ["$(password)", "$$(x)"]}
    asked: list[Any] = []
    decision = decide(job(spec, held=False), seen(), asked)
    (call,) = (action for action in decision.actions if isinstance(action, RunJob))
    assert call.request.args == ("$(password)", "$$(x)")
    assert not [fact for fact in asked if isinstance(fact, Variables)]


def test_a_job_that_runs_as_its_spec_says_needs_no_values() -> None:
    asked: list[Any] = []
    decision = decide(job(NAMED, running(NAMED)), seen(present(), variables=MISSING), asked)
    assert (acts(decision), conditions(decision)) == ([], "Ready, healthy")
    facts = [fact for fact in asked if isinstance(fact, Variables)]
    assert [(fact.names, fact.fresh) for fact in facts] == [(("password",), False)]


@pytest.mark.parametrize(
    ("edit", "acted"),
    [
        ({"args": ["$(password)"]}, "StopJob"),
        ({"parallelism": 7}, "RescaleJob"),
        ({"initialState": {"nonce": 3}}, "CancelJob"),
    ],
)
def test_a_secret_that_is_missing_touches_nothing(edit: dict[str, Any], acted: str) -> None:
    edited = NAMED | edit
    there = seen(present(), variables=MISSING, revisions={"kept": spec_of(NAMED)})
    decision = decide(job(edited, running(NAMED)), there)
    assert acts(decision) == []
    assert conditions(decision) == "Stalled, healthy"
    assert said(decision) == f"spec.variablesFrom: {MISSING.problem}"
    back = decide(job(edited, decision.status), seen(present(), variables=VALUES))
    assert acts(back) == [acted]


def test_changed_values_replace_nothing() -> None:
    rotated = VariablesSeen(values={"password": "another", "topic": "weaker"})
    assert acts(decide(job(NAMED, running(NAMED)), seen(present(), variables=rotated))) == []


def test_a_text_that_becomes_too_long_is_refused() -> None:
    large = VariablesSeen(values={"password": "x" * 2**17, "topic": ""})
    for fields in ({"args": ["$(password)"] * 3}, {"flinkConfiguration": {"a": "$(password)$(password)$(password)"}}):
        decision = decide(job(NAMED | fields, held=False), seen(variables=large))
        assert acts(decision) == []
        assert said(decision).endswith("it has more than 262144 characters")
    script = {key: NAMED[key] for key in ("cluster", "variablesFrom")} | {"sql": {"script": "$(password)" * 3}}
    decision = decide(job(script, held=False), seen(variables=large))
    assert acts(decision) == []
    assert said(decision).startswith("spec.sql: with the values")


def test_the_runner_of_a_script_gets_the_values_and_which_are_secret() -> None:
    text = {"script": "$(topic) $(password) $$(other)"}
    script = {key: NAMED[key] for key in ("cluster", "variables", "variablesFrom")} | {"sql": text}
    found = {"password": SECRET, "topic": SECRET, "other": SECRET}
    values = VariablesSeen(values=found, secret=frozenset(found))
    decision = decide(job(script, held=False), seen(variables=values))
    (call,) = (action for action in decision.actions if isinstance(action, RunJob))
    assert call.request.args == ("--variables", "--secret", f"password={SECRET}", "--value", "topic=clicks")
    plain = decide(job({"cluster": NAMED["cluster"], "sql": {"script": "$(topic)"}}, held=False), seen())
    assert [action.request.args for action in plain.actions if isinstance(action, RunJob)] == [()]


def test_an_inline_value_is_part_of_the_spec() -> None:
    edited = NAMED | {"variables": {"topic": "views"}}
    assert acts(decide(job(edited, running(NAMED)), seen(present(), variables=VALUES))) == ["StopJob"]


SQL: dict[str, Any] = {
    "cluster": {"url": inputs.URL},
    "sql": {"script": "-- not $(this)\nINSERT INTO a SELECT '$(password)'"},
    "flinkConfiguration": {"a": "$(other)"},
    "variablesFrom": [{"secretRef": {"name": "kafka"}}],
}
SQL_VALUES = VariablesSeen(values={"password": SECRET, "other": "o"}, secret=frozenset({"password"}))


def test_a_script_with_a_name_that_nobody_gives_a_value_touches_nothing() -> None:
    """Also where the cluster compiles nothing before, so that nobody else would notice it."""
    status = running_sql()
    wrong = SQL | {"sql": {"script": "INSERT INTO a SELECT '$(pasword)'"}}
    there = seen(
        present(), cluster=inputs.cluster(intercepts_exit=False), variables=SQL_VALUES, revisions={"kept": spec_of(SQL)}
    )
    decision = decide(job(wrong, status), there)
    assert (acts(decision), conditions(decision)) == ([], "Stalled, healthy")
    assert said(decision) == "spec.sql: no variable is named pasword; write $$(pasword) for the text itself"


def running_sql() -> FlinkJobStatus:
    first = decide(job(SQL, held=False), seen(variables=SQL_VALUES)).status.submission
    assert first is not None
    return FlinkJobStatus(submission=run(run_digest=first.run_digest, revision="kept"))


def test_the_values_of_a_script_and_its_configuration_are_read_once() -> None:
    asked: list[Any] = []
    decision = decide(job(SQL, held=False), seen(variables=SQL_VALUES), asked)
    (call,) = (action for action in decision.actions if isinstance(action, RunJob))
    assert f"password={SECRET}" in call.request.args
    assert {fact.names for fact in asked if isinstance(fact, Variables)} == {("other", "password", "this")}


def test_an_adopted_job_without_a_parallelism_needs_no_values() -> None:
    adopted = running(NAMED)
    assert adopted.submission is not None
    status = FlinkJobStatus(submission=replace(adopted.submission, parallelism=None, revision=None))
    decision = decide(job(NAMED, status), seen(present(), variables=MISSING))
    assert (acts(decision), conditions(decision)) == ([], "Ready, healthy")


@pytest.mark.parametrize("reason", [Reason.VariableNotFound, Reason.ScriptNotFound])
def test_what_was_missing_during_a_retry_does_not_hold_it_for_ever(reason: Reason) -> None:
    begun = decide(job(NAMED, held=False), seen(variables=VALUES)).status
    assert begun.submission is not None
    refused = RunSeen(phase=RunPhase.REJECTED, rejection=SubmitRejection.MAIN_THREW, message="Kafka is down")
    status = replace(begun, plan=Plan(step="Hold", reason=reason, message="missing", since=inputs.NOW))
    decision = decide(job(NAMED, status), seen(absent(), run=refused, variables=VALUES))
    assert plan_of(decision) != ("Hold", Reason.SubmitRejected)
    assert [call for call in decision.actions if isinstance(call, RunJob)] or decision.requeue_after is not None


OTHER = NAMED | {"args": ["$(token)"], "variables": {}, "variablesFrom": [{"secretRef": {"name": "other"}}]}
UNREADABLE = NAMED | {"parallelism": "many"}
TAKEN_BACK = {"rollback": Rollback(run_digest=digest_of_spec(spec_of(OTHER), None), revision="kept", from_submission=2)}
IN_DELETION = inputs.deleted()
SCRIPT: dict[str, Any] = {name: OTHER[name] for name in ("cluster", "variablesFrom")}
SCRIPT |= {"sql": {"configMapKeyRef": {"name": "scripts", "key": "a"}}}


@pytest.mark.threat("leaked-secrets")
@table(
    ("wanted", "status", "meta"),
    "the spec that runs",
    (NAMED, {}, {}),
    "another spec, which is to run instead",
    (OTHER, {}, {}),
    "without variables",
    ({name: NAMED[name] for name in ("cluster", "jar")}, {}, {}),
    "a spec that cannot be read",
    (UNREADABLE, {}, {}),
    "and is deleted",
    (UNREADABLE, {"current_revision": "kept"}, IN_DELETION),
    "another one is deleted",
    (OTHER, {}, IN_DELETION),
    "one that was taken back",
    (OTHER, TAKEN_BACK, {}),
    "one whose script is missing",
    (SCRIPT, {}, {}),
    "while it is stopped",
    (OTHER, {"operation": inputs.operation()}, {}),
)
def test_before_anything_is_asked_about_a_run_its_own_secrets_are_known(
    wanted: dict[str, Any], status: dict[str, Any], meta: dict[str, Any]
) -> None:
    asked: list[Any] = []
    going_on = TriggerResult(state=TriggerState.IN_PROGRESS)
    revisions = {"kept": spec_of(NAMED)}
    there = seen(present(), variables=VALUES, texts=TextsSeen(problem="-"), revisions=revisions, trigger=going_on)
    decide(job(wanted, replace(running(NAMED), **status), **meta), there, asked)
    first = next(index for index, fact in enumerate(asked) if isinstance(fact, Variables) and not fact.fresh)
    assert (asked[first].sources, asked[first].names) == (spec_of(NAMED).variables_from, ("password",))
    assert not [fact for fact in asked[:first] if fact.where in (Where.RUN, Where.TARGET)]


def test_without_a_run_no_secrets_are_asked_for_before_it_is_started() -> None:
    asked: list[Any] = []
    decide(job(NAMED, held=False), seen(variables=VALUES), asked)
    assert {fact.fresh for fact in asked if isinstance(fact, Variables)} == {True}


def test_the_secrets_of_a_run_without_a_revision_are_those_of_the_spec() -> None:
    asked: list[Any] = []
    decide(job(NAMED, FlinkJobStatus(submission=run(revision=None))), seen(present(), variables=VALUES), asked)
    assert [fact.names for fact in asked if isinstance(fact, Variables) and not fact.fresh] == [("password",)]


def test_of_a_spec_that_was_taken_back_no_values_are_read() -> None:
    asked: list[Any] = []
    status = replace(running(NAMED), **TAKEN_BACK)
    there = seen(present(), variables=MISSING, revisions={"kept": spec_of(NAMED)})
    decision = decide(job(OTHER, status), there, asked)
    assert acts(decision) == []
    assert plan_of(decision)[1] == Reason.RolledBack
    assert {fact.names for fact in asked if isinstance(fact, Variables)} == {("password",)}
