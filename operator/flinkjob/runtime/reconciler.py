"""One round for a key: observe and ask until all is decided, then carry it out.

Called by the work queue, never twice at the same time for one key. A FlinkJob and the FlinkSavepoints that name it are worked
on together, so that their operations on the Flink job never overlap. FlinkSavepoints of a Flink job that is no FlinkJob's
have a key of their own; its cluster is polled only as long as one of them is at work. Invariants: it decides nothing
(`core/round.py` does); a FlinkSavepoint's end is written before the FlinkJob forgets the operation that made it, unless the
API server refuses that: one that cannot be written holds up nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter

from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.actions import RunJob
from flinkjob.core.errors import FlinkJobError
from flinkjob.core.model import SavepointDecision
from flinkjob.core.pauses import AT_ONCE
from flinkjob.core.round import decide_round, is_over
from flinkjob.core.roundmodel import JOB, JobRound, Question, Round, RoundInput, SavepointRound, Watch
from flinkjob.core.unreadable import unreadable_event
from flinkjob.kube.errors import Conflict, Gone, KubeRejected
from flinkjob.net.permits import on_account
from flinkjob.observability.jobmetrics import downtime
from flinkjob.observability.logging import context
from flinkjob.observability.metrics import Metrics
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.clusters import Clusters
from flinkjob.runtime.copy_tasks import CopyTasks
from flinkjob.runtime.executor import Executor
from flinkjob.runtime.inquiry import Inquiry
from flinkjob.runtime.leader import RETRY_SECONDS, NotLeading
from flinkjob.runtime.observer import Observer
from flinkjob.runtime.queue import Key, soonest
from flinkjob.runtime.refusals import Refusals
from flinkjob.runtime.sharing import Sharing
from flinkjob.runtime.tasks import Tasks
from flinkjob.runtime.ticks import Ticks

log = logging.getLogger(__name__)

MOST_FACTS = 20
"""More facts than any decision has reason to ask for in a round."""
CONFLICT_PAUSE = 0.1
MISSED_PAUSE = 0.1
"""Seconds after which a FlinkSavepoint is worked on that the round had no time for."""


class Reconciler:
    """Works on keys."""

    def __init__(
        self,
        *,
        identity: str,
        cache: ObjectCache,
        observer: Observer,
        executor: Executor,
        clusters: Clusters,
        tasks: Tasks,
        copy_tasks: CopyTasks,
        metrics: Metrics,
        ticks: Ticks,
        unmarked: bool = False,
        grants: StoreGrants | None = None,
        sharing: Sharing | None = None,
    ) -> None:
        """
        Args:
            ticks: whose turn it is to have what only ticks written.
            sharing: which keys are this replica's; None: all.
            unmarked: whether jobs that no operator started may be adopted, or be the `target` of a FlinkSavepoint.
            grants: where a namespace may dispose of snapshots that the operator did not take.
        """
        self._unmarked = unmarked
        self._grants = grants or StoreGrants()
        self._identity = identity
        self._cache = cache
        self._observer = observer
        self._executor = executor
        self._clusters = clusters
        self._tasks = tasks
        self._copy_tasks = copy_tasks
        self._metrics = metrics
        self._ticks = ticks
        self._inquiry = Inquiry(observer=observer, cache=cache, clusters=clusters, copy_tasks=copy_tasks)
        self._refusals = Refusals()
        self._sharing = sharing or Sharing(cache)
        self._reported: dict[str, str] = {}
        self._uids: dict[Key, str] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Work on a key once; after how many seconds to do it again, None: when something changes."""
        begun = time.monotonic()
        result = "error"
        try:
            with context(job=f"{key[0]}/{key[1]}"), on_account((key[0],)):
                delay = await self._round(key)
            result = "ok"
            return delay
        except Conflict:
            result = "conflict"
            return CONFLICT_PAUSE
        except Gone:
            result = "gone"
            return None
        except NotLeading:
            result = "not-leading"
            return RETRY_SECONDS
        finally:
            self._metrics.reconciled("FlinkJob", result, time.monotonic() - begun)

    async def _round(self, key: Key) -> float | None:
        if not self._sharing.has(key):
            await self.leave(key)
            return None
        await self._forget_former(key)
        if (pause := self._sharing.begin(key)) is not None:
            return pause
        given = self._input(key)
        self._retain(key, given)
        versions = self._versions(key)
        decided = await self._decided(key, given)
        for about in decided.unreadable:
            self._report_unreadable(about)
        delays = [await self._carry_out(key, one) for one in decided.savepoints]
        if decided.job is not None and given.job is not None:
            delays.append(await self._carry_out_job(key, given.job, decided.job))
        if self._versions(key) != versions and not _runs(decided):
            delays.append(AT_ONCE)
        if is_over(given.job, self._cache.savepoints_of(key), given.now):
            await self._forget(key)
        return soonest([*delays, decided.requeue_after])

    async def _forget_former(self, key: Key) -> None:
        """Forget what is known of a FlinkJob that was deleted: one that is created again under its name is another one."""
        if (job := self._cache.job(key)) is None:
            return
        if self._uids.get(key, job.meta.uid) != job.meta.uid:
            await self._forget(key)
        self._uids[key] = job.meta.uid

    def _input(self, key: Key) -> RoundInput:
        """What is known before anything is looked at."""
        job, savepoints = self._cache.job(key), self._cache.savepoints_of(key)
        metas = [one.meta for one in savepoints] + ([job.meta] if job is not None else [])
        return RoundInput(
            identity=self._identity,
            now=self._observer.now(),
            job=job,
            savepoints=savepoints,
            refused=self._refusals.of(key),
            paused={meta.uid: pause for meta in metas if (pause := self._refusals.pause(meta))},
            missed=self._observer.missed(key),
            may_tick=self._ticks.may_write(key),
            unmarked=self._unmarked,
            grants=self._grants,
        )

    def _versions(self, key: Key) -> dict[str, str]:
        """The objects of a key, by uid, as they are now: a round that has written one is followed by another, since no watch
        wakes the key for that."""
        metas = [one.meta for one in self._cache.savepoints_of(key)]
        if (job := self._cache.job(key)) is not None:
            metas.append(job.meta)
        return {meta.uid: meta.resource_version for meta in metas}

    def _retain(self, key: Key, given: RoundInput) -> None:
        """Forget what is known of objects that are gone."""
        uids = frozenset(one.meta.uid for one in given.savepoints)
        self._copy_tasks.retain(key, uids)
        self._refusals.retain(key, uids | {given.job.meta.uid} if given.job is not None else uids)

    async def _decided(self, key: Key, given: RoundInput) -> Round:
        """Ask until all is decided. A FlinkSavepoint about which no question can be answered is left out."""
        asked = Counter[str]()
        while isinstance(question := decide_round(given), Question):
            asked[question.about] += 1
            try:
                if asked[question.about] > MOST_FACTS:
                    known = given.of(question.about).answers.asked
                    raise RuntimeError(f"the decision asks for too many facts: {known}")
                given = await self._inquiry.answer(key, given, question)
                await asyncio.sleep(0)  # others have their turn where the answer was known already
            except (FlinkJobError, NotLeading):
                raise
            except Exception as error:
                if question.about == JOB:
                    raise
                given = given.failing(question, error)
        return question

    async def _carry_out_job(self, key: Key, job: FlinkJob, decided: JobRound) -> float | None:
        """Carry a decision about a FlinkJob out; after how many seconds it wants to be looked at again, or is tried again
        where it cannot be written."""
        decision = self._sharing.staying(job, decided.decision)
        if self._sharing.leaves(job, decision.status):
            await self._end(key)
        try:
            await self._executor.job(key, job, decision)
        except (Conflict, Gone):
            raise
        except KubeRejected as error:
            pause = self._refusals.note(key, job.meta)
            log.warning("FlinkJob %s, again in %.1f s: %s", job.meta.name, pause, error.message)
            return pause
        self._refusals.accepted(job.meta)
        self._ticks.note(key, decision.tick_after, waits=decision.ticked)
        if began := downtime(job.status, decision.status):
            self._metrics.started_again(*began)
        if decided.follows and self._cache.job(key) is not None:
            await self._follow(key, decided.watch)
        return decision.requeue_after

    async def _follow(self, key: Key, watch: Watch | None) -> None:
        if watch is None:
            await self._clusters.forget(key)
        else:
            self._clusters.watch(key, watch.url, watch.prefixes, moving=watch.moving)

    def _report_unreadable(self, about: FlinkJob | FlinkSavepoint) -> None:
        """Say that a status cannot be read, once, until something changes."""
        uid, error = about.meta.uid, about.status_error or ""
        if self._reported.get(uid) != error:
            self._executor.record_event(about, unreadable_event(about))
        self._reported[uid] = error

    async def _carry_out(self, key: Key, decided: SavepointRound) -> float | None:
        """Carry a decision about a FlinkSavepoint out; what is wrong with one, whatever it is, ends the round of no other."""
        if not decided.copies:
            self._copy_tasks.cancel(decided.savepoint.meta.uid)
        if decided.watch is not None:
            await self._follow(key, decided.watch)
        if decided.error is not None:
            return self._failed(key, decided.savepoint, decided.error)
        if decided.decision is None:
            return None
        if decided.calls_flink and not self._observer.has_time(key, decided.savepoint.meta.uid):
            return MISSED_PAUSE
        try:
            return await self._write(key, decided.savepoint, decided.decision, copied=decided.copied)
        except (FlinkJobError, NotLeading):
            raise
        except Exception as error:  # noqa: BLE001 - it is logged
            return self._failed(key, decided.savepoint, error)

    def _failed(self, key: Key, savepoint: FlinkSavepoint, error: Exception) -> float:
        """Something is wrong in the operator itself: the FlinkSavepoint is left alone for so many seconds."""
        pause = self._refusals.note(key, savepoint.meta)
        log.error("FlinkSavepoint %s, again in %.1f s", savepoint.meta.name, pause, exc_info=error)
        return pause

    async def _write(
        self, key: Key, savepoint: FlinkSavepoint, decision: SavepointDecision, *, copied: bool
    ) -> float | None:
        """Have the executor carry it out; one that the API server refuses holds up nothing else."""
        meta = savepoint.meta
        with context(savepoint=meta.name):
            try:
                await self._executor.savepoint(key, savepoint, decision)
            except Conflict:
                raise
            except Gone:
                self._cache.drop_savepoint({"metadata": {"namespace": key[0], "name": meta.name, "uid": meta.uid}})
            except KubeRejected as error:
                pause = self._refusals.note(key, meta)
                log.warning("FlinkSavepoint %s, again in %.1f s: %s", meta.name, pause, error.message)
                return pause
        if copied:
            self._copy_tasks.cancel(meta.uid)
        self._refusals.accepted(meta)
        return decision.requeue_after

    async def leave(self, key: Key) -> None:
        """Another replica works on the key: when this returns nothing is done for it here."""
        await self._end(key)
        self._refusals.retain(key, frozenset())
        await self._forget(key)

    async def _end(self, key: Key) -> None:
        """End what goes on beside the rounds of a key."""
        await self._tasks.end(key)
        await self._copy_tasks.end(key)

    async def _forget(self, key: Key) -> None:
        self._uids.pop(key, None)
        self._sharing.forget(key)
        self._tasks.forget(key)
        self._ticks.forget(key)
        self._observer.forget(key)
        await self._clusters.forget(key)


def _runs(decided: Round) -> bool:
    """Whether a run call is sent, whose end wakes the key."""
    return decided.job is not None and any(isinstance(each, RunJob) for each in decided.job.decision.actions)
