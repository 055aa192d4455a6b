"""One round for a key: observe, decide (asking for more facts as the decision needs them), execute.

Called by the work queue, never twice at the same time for one key. A FlinkJob and the FlinkSavepoints that name it are worked
on together, so that their operations on the Flink job never overlap. FlinkSavepoints of a Flink job that is no
FlinkJob's have a key of their own; its cluster is polled only as long as one of them is at work. Invariant: a
FlinkSavepoint's end is written before the FlinkJob forgets the operation that made it, unless the API server refuses that:
one that cannot be written holds up nothing else.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any

from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.api.enums import SavepointPhase
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.api.flinksavepoint_spec import TargetSpec
from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.actions import DiscardArtifact, RunJob
from flinkjob.core.copies.queue import Turns, kept_until_copied, turns
from flinkjob.core.copies.savepoint_copy import follow_copy, snapshot_view, wanted_copy
from flinkjob.core.errors import FlinkJobError
from flinkjob.core.facts import Answers, Fact
from flinkjob.core.flinkmodel import is_local
from flinkjob.core.identity import prefix_of
from flinkjob.core.job.decide import decide_job
from flinkjob.core.model import JobDecision, JobInput, Observation, SavepointDecision, SavepointInput
from flinkjob.core.savepoint.after_end import needs_cluster
from flinkjob.core.savepoint.decide import decide_savepoint
from flinkjob.core.unreadable import mend, release, unreadable_event
from flinkjob.kube.errors import Conflict, Gone, KubeRejected
from flinkjob.net.places import on_account
from flinkjob.observability.jobmetrics import downtime
from flinkjob.observability.logging import context
from flinkjob.observability.metrics import Metrics
from flinkjob.runtime.access import access_of, access_to
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.clusters import Clusters
from flinkjob.runtime.copy_tasks import CopyTasks
from flinkjob.runtime.executor import Executor
from flinkjob.runtime.leader import RETRY_SECONDS, NotLeading
from flinkjob.runtime.observer import Observer, addresses
from flinkjob.runtime.queue import Key, soonest
from flinkjob.runtime.refusals import Refusals
from flinkjob.runtime.tasks import Tasks
from flinkjob.runtime.ticks import Ticks

log = logging.getLogger(__name__)

MOST_FACTS = 12
"""More facts than any decision has reason to ask for in a round."""
CONFLICT_PAUSE = 0.1
MOVING_BELOW = 2.5
"""A key that wants to be looked at again within so many seconds is moving: its cluster is polled fast."""
MOST_DISPOSERS = 5
"""How many clusters are asked to dispose of one snapshot."""


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
    ) -> None:
        """
        Args:
            ticks: whose turn it is to have what only ticks written.
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
        self._refusals = Refusals()
        self._reported: dict[str, str] = {}

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
        job, savepoints = self._cache.job(key), self._cache.savepoints_of(key)
        self._copy_tasks.retain(key, frozenset(one.meta.uid for one in savepoints if one.meta.deletion_time is None))
        known = frozenset(one.meta.uid for one in savepoints)
        self._refusals.retain(key, known | {job.meta.uid} if job is not None else known)
        if job is None and not savepoints:
            await self._forget(key)
            return None
        if job is not None and job.status_error is not None:
            return await self._unreadable(key, job, savepoints)
        observation = await self._observer.look(key, job)
        decision: JobDecision | None = None
        views = tuple(map(snapshot_view, savepoints))
        if job is not None:
            decision, observation = await self._decide(key, job, views, observation)
        status = decision.status if decision is not None else FlinkJobStatus()
        delays = list[float | None]()
        turn = turns(job.spec if job is not None else None, views, observation.now)
        for savepoint in self._observer.in_turn(key, savepoints):
            if pause := self._refusals.pause(savepoint.meta):
                delays.append(pause)
                continue
            observation = self._observer.in_time(key, savepoint, observation)
            delays.append(await self._alone(key, job, savepoint, status, observation, decision, turn))
        if job is not None and decision is not None:
            delays.append(await self._carry_out_job(key, job, decision))
        elif job is None and not any(needs_cluster(one, observation.now) for one in self._cache.savepoints_of(key)):
            await self._forget(key)
        return soonest(delays)

    async def _carry_out_job(self, key: Key, job: FlinkJob, decision: JobDecision) -> float | None:
        """Carry a decision about a FlinkJob out; after how many seconds it wants to be looked at again, or is tried again
        where it cannot be written."""
        if pause := self._refusals.pause(job.meta):
            return pause
        decision = await self._permitted(key, decision)
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
        await self._follow(key, decision)
        return decision.requeue_after

    async def _alone(self, key: Key, job: FlinkJob | None, savepoint: FlinkSavepoint, *rest: Any) -> float | None:
        """As `_savepoint`; what is wrong with one, whatever it contains, ends the round of no other."""
        try:
            return await self._savepoint(key, job, savepoint, *rest)
        except (FlinkJobError, NotLeading):
            raise
        except Exception:
            pause = self._refusals.note(key, savepoint.meta)
            log.exception("FlinkSavepoint %s, again in %.1f s", savepoint.meta.name, pause)
            return pause

    async def _unreadable(self, key: Key, job: FlinkJob, savepoints: tuple[FlinkSavepoint, ...]) -> float | None:
        """A FlinkJob with a status that cannot be read: only what is being deleted goes on."""
        self._report_unreadable(job)
        delays: list[float | None] = []
        if job.meta.deletion_time is not None:
            decision = mend(job)
            await self._executor.job(key, job, decision)
            delays.append(decision.requeue_after)
        why = f"FlinkJob {job.meta.name}: {job.status_error}"
        delays += [await self._release(key, savepoint, savepoint.status_error or why) for savepoint in savepoints]
        return soonest(delays)

    async def _release(self, key: Key, savepoint: FlinkSavepoint, why: str) -> float | None:
        """A FlinkSavepoint of which not everything can be read: it ends when it is being deleted."""
        if savepoint.meta.deletion_time is None:
            return None
        if pause := self._refusals.pause(savepoint.meta):
            return pause
        return await self._carry_out(key, savepoint, release(savepoint, why, self._observer.now()))

    def _report_unreadable(self, about: FlinkJob | FlinkSavepoint) -> None:
        """Say that a status cannot be read, once, until something changes."""
        uid, error = about.meta.uid, about.status_error or ""
        if self._reported.get(uid) != error and about.meta.deletion_time is None:
            self._executor.record_event(about, unreadable_event(about))
        self._reported[uid] = error

    async def _decide(
        self, key: Key, job: FlinkJob, savepoints: tuple[FlinkSavepoint, ...], observation: Observation
    ) -> tuple[JobDecision, Observation]:
        named = self._named(job)
        retains = job.spec is not None and job.spec.savepoints.retention is not None
        in_use = self._cache.snapshots_in_use() if retains else frozenset()
        for _ in range(MOST_FACTS):
            given = JobInput(
                identity=self._identity,
                job=job,
                observation=observation,
                savepoints=savepoints,
                refused=self._refusals.of(key),
                named=named,
                in_use=in_use,
                may_tick=self._ticks.may_write(key),
                claims=self._claims(key, job, observation),
                unmarked=self._unmarked,
            )
            answer = decide_job(given)
            if isinstance(answer, JobDecision):
                return answer, observation
            observation = await self._observer.fill(key, job, observation, answer)
        raise RuntimeError(f"the decision asks for too many facts: {observation.answers.asked}")

    def _claims(self, key: Key, job: FlinkJob, observation: Observation) -> tuple[str, ...]:
        """Which other FlinkJobs claim the job to be adopted, or the run's job unless its id shows that it is this one's."""
        named, run = observation.adoption_candidate, job.status.submission
        job_id = named.job_id if named is not None else run.job_id if run is not None and run.end is None else None
        if job_id is None or self._observer.owner(job).owns(job_id):
            return ()
        return self._cache.claims(job_id, key)

    def _named(self, job: FlinkJob) -> dict[str, FlinkSavepoint]:
        reference = job.spec.initial_state.savepoint_ref if job.spec is not None else None
        if reference is None:
            return {}
        found = self._cache.savepoint(job.meta.namespace, reference.name)
        return {reference.name: snapshot_view(found)} if found is not None else {}

    async def _savepoint(
        self,
        key: Key,
        job: FlinkJob | None,
        savepoint: FlinkSavepoint,
        status: FlinkJobStatus,
        observation: Observation,
        decision: JobDecision | None,
        turn: Turns,
    ) -> float | None:
        if savepoint.status_error is not None:
            self._report_unreadable(savepoint)
            return await self._release(key, savepoint, savepoint.status_error)
        spec, deleting = savepoint.spec, savepoint.meta.deletion_time is not None
        observation = replace(observation, answers=Answers())  # the job's own decision may have changed them
        claims: tuple[str, ...] = ()
        if spec is not None and spec.target is not None and needs_cluster(savepoint, observation.now):
            observation = await self._look_at(key, spec.target)
            claims = self._cache.claims(spec.target.job_id)
        outcome = decision.outcome if decision is not None else None
        in_use = frozenset[str]()
        if deleting:
            in_use = self._cache.snapshots_in_use() | self._cache.recorded_elsewhere(savepoint)
        others = tuple(
            snapshot_view(one) for one in self._cache.savepoints_of(key) if one.meta.uid != savepoint.meta.uid
        )
        disposers = await self._disposers(key, job, savepoint) if deleting else ()
        answer: SavepointDecision | Fact[Any]
        for _ in range(MOST_FACTS):
            answer = decide_savepoint(
                SavepointInput(
                    savepoint=snapshot_view(savepoint),
                    job=job,
                    job_status=status,
                    observation=observation,
                    outcome=outcome,
                    in_use=in_use,
                    identity=self._identity,
                    claims=claims,
                    unmarked=self._unmarked,
                    others=others,
                    disposers=disposers,
                    grants=self._grants,
                )
            )
            if isinstance(answer, SavepointDecision):
                break
            observation = await self._observer.fill(key, job, observation, answer)
        else:
            raise RuntimeError("the decision about a FlinkSavepoint asks for too many facts")
        if spec is not None and spec.target is not None and answer.status.phase is SavepointPhase.IN_PROGRESS:
            self._wait_for_target(key, spec.target)
        uid, now = savepoint.meta.uid, observation.now
        job_spec = job.spec if job is not None and turn.by_job == uid else None
        by_job = job_spec.savepoints.sync_to if job_spec is not None else None
        later = uid in turn.later
        wanted = wanted_copy(savepoint, answer.status, now, by_job) if not later else None
        if wanted is None:
            self._copy_tasks.cancel(uid)
        seen = await self._copy_tasks.look(key, wanted) if wanted is not None else None
        answer = follow_copy(savepoint, answer, seen, now, by_job, later=later)
        answer = kept_until_copied(savepoint, answer, now, is_awaited=uid in turn.awaited)
        return await self._carry_out(key, savepoint, answer)

    async def _carry_out(self, key: Key, savepoint: FlinkSavepoint, decision: SavepointDecision) -> float | None:
        """Carry a decision about a FlinkSavepoint out; one that the API server refuses holds up nothing else."""
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
        self._refusals.accepted(meta)
        return decision.requeue_after

    async def _look_at(self, key: Key, target: TargetSpec) -> Observation:
        """The cluster of a target and its job; it is polled from now on, unless it may not be connected to."""
        cluster = target.cluster.as_cluster()
        url = cluster.address(key[0])
        if await self._observer.may_connect(url, key[0]):
            note = self._clusters.reach if self._cache.job(key) is None else self._clusters.lend
            note(key, url, access_to(cluster, key[0]))
            self._clusters.visit(key, url)
        else:
            await self._clusters.leave(key, url)
        return await self._observer.look_at(key, target)

    def _wait_for_target(self, key: Key, target: TargetSpec) -> None:
        """Be woken by the job of a target, which may be acted on, and have its cluster polled fast."""
        url = target.cluster.as_cluster().address(key[0])
        self._clusters.watch(key, url, frozenset({prefix_of(target.job_id)}), moving=True)

    async def _disposers(self, key: Key, job: FlinkJob | None, savepoint: FlinkSavepoint) -> tuple[str, ...]:
        """Clusters that may dispose of its data: the one that made them, the job's, then others of the namespace.

        What lies on a local path is left to the first two, which see the same files. Where the first one is comes from a
        mark that people can write: like all others it must be one that the namespace may speak to.
        """
        spec, location = savepoint.spec, savepoint.status.location
        own = [savepoint.status.cluster_url or ""]
        if spec is not None and spec.target is not None:
            cluster = spec.target.cluster.as_cluster()
            own.append(cluster.address(key[0]))
            self._clusters.lend(key, own[-1], access_to(cluster, key[0]))
        if job is not None:
            own += addresses(job)
        if location is not None and not is_local(location):
            for other in self._cache.jobs():
                if other.meta.namespace == key[0]:
                    own.append(addresses(other)[1])
                    self._clusters.lend(key, own[-1], access_of(other))
        found: list[str] = []
        for url in dict.fromkeys(own):
            if len(found) < MOST_DISPOSERS and await self._observer.may_connect(url, key[0]):
                found.append(url)
        return tuple(found)

    async def _permitted(self, key: Key, decision: JobDecision) -> JobDecision:
        """Without the removal of jars where nothing may be asked any more: they stay there."""
        actions = [
            action
            for action in decision.actions
            if not isinstance(action, DiscardArtifact) or await self._observer.may_connect(action.url, key[0])
        ]
        return replace(decision, actions=tuple(actions))

    async def _follow(self, key: Key, decision: JobDecision) -> None:
        """Watch the job's cluster, fast while something moves; not one that may not be spoken to."""
        job = self._cache.job(key)
        if job is None:
            return
        url, _ = addresses(job)
        if not await self._observer.may_connect(url, key[0]):
            await self._clusters.forget(key)
            return
        soon = decision.requeue_after is not None and decision.requeue_after <= MOVING_BELOW
        calls = any(isinstance(action, RunJob) for action in decision.actions)
        prefixes = set(self._observer.owner(job).prefixes)
        if job.status.submission is not None and job.status.submission.job_id:
            prefixes.add(prefix_of(job.status.submission.job_id))  # an adopted job has somebody else's
        self._clusters.watch(key, url, frozenset(prefixes), moving=soon or calls)

    async def _forget(self, key: Key) -> None:
        self._tasks.forget(key)
        self._ticks.forget(key)
        self._observer.forget(key)
        await self._clusters.forget(key)
