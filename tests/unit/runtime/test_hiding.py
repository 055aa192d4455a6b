"""What of an observation is words for people: no more is changed, and no words are left out."""

from __future__ import annotations

import time
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any, get_type_hints

import pytest

from flinkjob.core import facts, flinkmodel, jobgraph, seen
from flinkjob.core.flinkmodel import JobException, JobOverview, TriggerResult, TriggerState
from flinkjob.core.hiding import EVERYTHING, HIDDEN, MOST_FORMS, NOTHING, UNREAD, Hiding
from flinkjob.core.jobfailures import JobFailures
from flinkjob.core.model import Observation
from flinkjob.core.seen import ArtifactPhase, ArtifactSeen, ClusterSeen, JobSeen, RunPhase, RunSeen, VariablesSeen
from flinkjob.runtime.hiding import WORDS, answer_without, answered, observation_without
from tests.support.inputs import overview

SECRET = "flink"
HIDING = Hiding([SECRET])
URL = "http://flink:8081"
FAILED = JobException(time=None, name="flink.X", root_cause="no flink", stacktrace_head="at flink", task="flink -> b")
HELD = ClusterSeen(url=URL, reachable=False, error="no flink", savepoint_directory="s3://flink/sp", incarnation="flink")
GOES_BY: dict[str, set[str]] = {
    "ArtifactRequest": {"url", "digest", "run"},
    "ArtifactSeen": {"digest", "jar_id"},
    "Checkpoint": {"external_path", "failure"},
    "CheckpointConfig": {"state_backend", "checkpoint_storage"},
    "ClusterConfig": {"flink_version"},
    "ClusterOverview": {"flink_version"},
    "ClusterSeen": {
        "url",
        "incarnation",
        "flink_version",
        "savepoint_directory",
        "checkpoint_directory",
        "upload_directory",
    },
    "CopyFound": {"location"},
    "FoundSnapshot": {"location"},
    "JobException": {"taskmanager"},
    "JarFile": {"id", "name"},
    "JobGraphRequest": {"url", "jar_id"},
    "JobManagerInfo": {"incarnation"},
    "JobOverview": {"job_id", "name", "scheduler_type"},
    "Topology": {"name"},
    "TopologyVertex": {"vertex_id", "description"},
    "RestoredCheckpoint": {"external_path"},
    "RunRequest": {"job_id", "entry_class", "savepoint_path"},
    "TextPlace": {"name", "key"},
    "TriggerResult": {"location", "failure_path"},
    "VariablesSeen": {"problem"},
}
"""Texts that decisions are made by, that come from the spec, or that nobody is shown."""


def texts_of(model: type[Any]) -> set[str]:
    """The fields of a value that are texts."""
    hints = get_type_hints(model)
    return {field.name for field in fields(model) if hints[field.name] in (str, str | None)}


def test_of_every_text_it_is_said_whether_it_is_for_people() -> None:
    found = {}
    for module in (seen, flinkmodel, jobgraph):
        for name, model in vars(module).items():
            here = isinstance(model, type) and is_dataclass(model) and model.__module__ == module.__name__
            if here and (rest := texts_of(model) - set(WORDS.get(model, ()))):
                found[name] = rest
    assert found == GOES_BY
    for model, words in WORDS.items():
        assert set(words) <= texts_of(model)


@pytest.mark.threat("leaked-secrets")
def test_what_a_round_begins_with_has_no_secret_in_its_words_and_is_right() -> None:
    job = JobSeen(overview=overview(), failures=JobFailures(newest=FAILED, times=()))
    named = replace(overview(), name="flink")
    whole = Observation(
        now=datetime.now(UTC),
        cluster=HELD,
        target=HELD,
        job=job,
        owned_jobs=(named,),
        accessible=frozenset({URL}),
        run=RunSeen(phase=RunPhase.REJECTED, message="main() says flink"),
    )
    told = observation_without(whole, HIDING)
    hidden = replace(HELD, error=f"no {HIDDEN}")
    failed = replace(
        FAILED, name=f"{HIDDEN}.X", root_cause=f"no {HIDDEN}", stacktrace_head=f"at {HIDDEN}", task=f"{HIDDEN} -> b"
    )
    assert told == replace(
        whole,
        cluster=hidden,
        target=hidden,
        job=replace(job, failures=JobFailures(newest=failed, times=())),
        run=RunSeen(phase=RunPhase.REJECTED, message=f"main() says {HIDDEN}"),
    )
    assert observation_without(whole, NOTHING) is whole
    values = VariablesSeen(values={"a": SECRET}, secret=frozenset({"a"}))
    fact = facts.Variables((), 1, None, True)
    later = answered(whole, fact, values, HIDING)
    assert later == replace(told, answers=later.answers)
    assert later.need(fact) is values


@pytest.mark.threat("leaked-secrets")
def test_an_answer_has_no_secret_in_its_words_and_is_right() -> None:
    jar = ArtifactSeen(phase=ArtifactPhase.READY, digest="flink", jar_id="flink.jar", message="flink", note="a flink")
    made = TriggerResult(
        state=TriggerState.COMPLETED, location="s3://flink/sp-1", failure="flink!", failure_path="/flink"
    )
    for fact, answer, said in (
        (
            facts.Failure("flink"),
            FAILED,
            replace(FAILED, **{name: getattr(FAILED, name).replace(SECRET, HIDDEN) for name in WORDS[JobException]}),
        ),
        (facts.VertexNames("a"), {"flink": "flink[1]", "b": "c"}, {"flink": f"{HIDDEN}[1]", "b": "c"}),
        (facts.Triggered("a", "b"), made, replace(made, failure=f"{HIDDEN}!")),
        (facts.Named("x"), jar, replace(jar, message=HIDDEN, note=f"a {HIDDEN}")),
        (facts.Named("x"), [JobOverview], [JobOverview]),
        (facts.Failure("a"), None, None),
        (facts.Alias(), True, True),
    ):
        assert answer_without(fact, answer, HIDING) == said
        assert answer_without(fact, answer, NOTHING) is answer


@pytest.mark.threat("leaked-secrets")
def test_while_secrets_cannot_be_read_nothing_is_shown_that_a_job_may_have_said() -> None:
    job = JobSeen(overview=overview(), failures=JobFailures(newest=FAILED, times=()))
    whole = Observation(now=datetime.now(UTC), cluster=HELD, target=HELD, job=job)
    missing = VariablesSeen(problem="Secret shop/kafka does not exist")
    fact = facts.Variables((), 1, None, False)
    said = answered(whole, fact, missing, EVERYTHING)
    assert said.need(fact) is missing
    assert said.cluster == said.target == replace(HELD, error=UNREAD)
    words = {"name": HIDDEN, "root_cause": UNREAD, "stacktrace_head": UNREAD, "task": UNREAD}
    assert said.job.failures is not None
    assert said.job.failures.newest == replace(FAILED, **words)
    failed = TriggerResult(state=TriggerState.FAILED, failure="no flink")
    assert answer_without(facts.Triggered("a", "b"), failed, EVERYTHING) == replace(failed, failure=UNREAD)
    assert answer_without(facts.VertexNames("a"), {"1": "a -> b"}, EVERYTHING) == {"1": UNREAD}
    jar = ArtifactSeen(phase=ArtifactPhase.FAILED, message="the server says 404")
    assert answer_without(facts.Named("x"), jar, EVERYTHING) is jar, "it is of no job"


@pytest.mark.threat("too-slow")
def test_the_names_of_many_vertices_cost_little() -> None:
    hiding = Hiding(f"a{number:03}…secret" + "x" * 500 for number in range(MOST_FORMS))
    names = {str(number): "a " * 120 + "…" * 8 for number in range(2000)}
    begun = time.thread_time()
    shown = answer_without(facts.VertexNames("a"), names, hiding)
    assert time.thread_time() - begun < 0.5
    assert len(shown) == len(names)
