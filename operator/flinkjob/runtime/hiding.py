"""Words of Flink about a FlinkJob without the values of its Secrets.

Used by the observer, for all that a decision is given. Invariant: words for people are changed here, by name, and nothing
else: an address, an id, a directory or a digest that holds the value of a Secret stays, since decisions are made by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from flinkjob.core.errors import clip
from flinkjob.core.facts import Fact, Variables, VertexNames
from flinkjob.core.flinkmodel import JobException, TriggerResult
from flinkjob.core.hiding import EVERYTHING, Hiding
from flinkjob.core.model import Observation
from flinkjob.core.seen import (
    ArtifactSeen,
    ClusterSeen,
    CopyFound,
    DisposalSeen,
    JobGraphSeen,
    JobSeen,
    RunSeen,
    TextsSeen,
)

WORDS: Final[Mapping[type, tuple[str, ...]]] = {
    ClusterSeen: ("error",),
    RunSeen: ("message",),
    ArtifactSeen: ("message", "note"),
    JobGraphSeen: ("message",),
    DisposalSeen: ("message",),
    CopyFound: ("message",),
    TextsSeen: ("problem",),
    TriggerResult: ("failure",),
    JobException: ("name", "root_cause", "stacktrace_head", "task"),
}
"""The fields that are words for people; of what is not listed nothing is."""
OF_JOBS: Final = (ClusterSeen, TriggerResult, JobException)
"""With words of jobs in them that an earlier process may have started, whose secrets this one may not know."""
MOST_OF_NAME: Final = 256
"""Characters of the name of a vertex that are looked at; fewer are ever shown."""


def observation_without(seen: Observation, hiding: Hiding) -> Observation:
    """What a round begins with."""
    if not hiding:
        return seen
    return replace(
        seen,
        cluster=_without(seen.cluster, hiding),
        target=_without(seen.target, hiding),
        run=_without(seen.run, hiding),
        job=_job_without(seen.job, hiding),
    )


def answered(seen: Observation, fact: Fact[Any], answer: Any, hiding: Hiding) -> Observation:
    """What was seen, with one more answer; what was seen before its secrets were known is looked through again."""
    if isinstance(fact, Variables):
        seen = observation_without(seen, hiding)
    return replace(seen, answers=seen.answers.having(fact, answer_without(fact, answer, hiding)))


def answer_without(fact: Fact[Any], answer: Any, hiding: Hiding) -> Any:
    """The answer to a question."""
    if not hiding or answer is None:
        return answer
    match answer:
        case Mapping() if isinstance(fact, VertexNames):
            names = [clip(name, MOST_OF_NAME).replace("…", "...") for name in answer.values()]
            return dict(zip(answer, hiding.each(names), strict=True))
        case _:
            return _without(answer, hiding)


def _job_without(job: JobSeen, hiding: Hiding) -> JobSeen:
    if job.failures is None:
        return job
    return replace(job, failures=replace(job.failures, newest=_without(job.failures.newest, hiding)))


def _without(value: Any, hiding: Hiding) -> Any:
    """A value without secrets in its words; the same object where they have none."""
    if hiding is EVERYTHING and not isinstance(value, OF_JOBS):
        return value
    said = {name: text for name in WORDS.get(type(value), ()) if (text := getattr(value, name))}
    now = dict(zip(said, hiding.each(list(said.values())), strict=True)) if said else said
    return replace(value, **now) if now != said else value
