"""Finds the answers to the questions of a round: of clusters by the observer, of everything else in this process itself.

Called by the reconciler between two calls of `decide_round`. Invariants: it decides nothing; each question about an object is
answered for that object alone, so that what one finds silent is no answer for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flinkjob.core.copies.savepoint_copy import CopyProgress
from flinkjob.core.facts import (
    Accessible,
    Address,
    Claims,
    Fact,
    InUse,
    JarOfOthers,
    JobsOfNamespace,
    Named,
    RecordedElsewhere,
    Where,
)
from flinkjob.core.model import Observation
from flinkjob.core.roundmodel import JOB, Look, Question, RoundInput
from flinkjob.runtime.access import access_to
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.clusters import Clusters
from flinkjob.runtime.copy_tasks import CopyTasks
from flinkjob.runtime.observer import Observer
from flinkjob.runtime.queue import Key


class Inquiry:
    """Answers questions."""

    def __init__(self, *, observer: Observer, cache: ObjectCache, clusters: Clusters, copy_tasks: CopyTasks) -> None:
        self._observer = observer
        self._cache = cache
        self._clusters = clusters
        self._copy_tasks = copy_tasks

    async def answer(self, key: Key, given: RoundInput, question: Question) -> RoundInput:
        """The input of the round with the answer to a question."""
        return given.answering(question, await self._seen(key, given, question))

    async def _seen(self, key: Key, given: RoundInput, question: Question) -> Observation:
        """What is seen now for what the question is about."""
        match question.fact:
            case Look():
                return await self._look(key, given, question.about, question.fact)
            case fact:
                known = given.of(question.about)
        if fact.where is not Where.HERE:
            return await self._observer.fill(key, given.job, known, fact)
        return replace(known, answers=known.answers.having(fact, await self._answer(key, fact)))

    async def _look(self, key: Key, given: RoundInput, about: str, look: Look) -> Observation:
        if about == JOB:
            return await self._observer.look(key, given.job)
        if look.target is not None:
            return await self._observer.look_at(key, look.target, lent=given.job is not None)
        return self._observer.in_time(key, about, given.of(about))

    async def _answer(self, key: Key, fact: Fact[Any]) -> Any:
        """What this process knows."""
        match fact:
            case Accessible():
                return await self._accessible(key, fact.addresses, fact.most)
            case InUse():
                return self._cache.in_use(fact.places)
            case RecordedElsewhere():
                return self._cache.recorded_elsewhere((key[0], fact.name), fact.place)
            case Claims():
                return self._cache.claims(fact.job_id, key if fact.by_others else None)
            case Named():
                return self._cache.savepoint(key[0], fact.name)
            case JobsOfNamespace():
                return tuple(job for job in self._cache.jobs() if job.meta.namespace == key[0])
            case JarOfOthers():
                return self._cache.jar_of_others(key, fact.digest)
            case CopyProgress():
                return await self._copy_tasks.look(key, fact.wanted)
            case _:
                raise AssertionError(f"nobody answers {type(fact).__name__}")

    async def _accessible(self, key: Key, addresses: Sequence[Address], most: int) -> tuple[str, ...]:
        for address in addresses:
            if address.cluster is not None:
                self._clusters.lend(key, address.url, access_to(address.cluster, key[0]))
        found: list[str] = []
        for url in dict.fromkeys(address.url for address in addresses):
            if len(found) < most and await self._observer.may_connect(url, key[0]):
                found.append(url)
        return tuple(found)
