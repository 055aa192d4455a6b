"""Gathers what a decision needs: the cheap part always, facts that cost a call only when the decision asks for them.

Called by the reconciler. Invariants: it decides nothing; an answer that cannot be had makes the cluster unreachable for this
round, never a job absent or failed; no cluster is asked that may not be connected to; a round asks for a limited time,
after which all that it has not asked counts as not answered. Only questions are cut off, never a call with an effect.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from flinkjob.api.codec import FlinkJob
from flinkjob.api.flinksavepoint_spec import TargetSpec
from flinkjob.core.access.hosts import HostRules
from flinkjob.core.addresses import addresses
from flinkjob.core.errors import FlinkJobError, Invalid, Unreachable
from flinkjob.core.facts import (
    Alias,
    Artifact,
    Checkpoints,
    CheckpointSettings,
    ConfigMapTexts,
    Copy,
    Disposal,
    Fact,
    Failure,
    Incarnation,
    JobGraph,
    OwnerMark,
    OwnerMarks,
    Revision,
    RunningGraph,
    Snapshots,
    StateSizes,
    TaskSlots,
    Triggered,
    UnknownJobs,
    UnlistedJob,
    Variables,
    VertexNames,
    Where,
)
from flinkjob.core.flinkmodel import JobOverview
from flinkjob.core.identity import Owner
from flinkjob.core.job import adoption
from flinkjob.core.model import Observation
from flinkjob.core.seen import ClusterSeen, JobSeen, RunPhase, RunSeen
from flinkjob.flink.client import FlinkClient
from flinkjob.kube.client import KubeClient
from flinkjob.runtime.access import access_of, access_to
from flinkjob.runtime.checkpoint_reads import Known
from flinkjob.runtime.cluster import Cluster
from flinkjob.runtime.clusters import Clusters
from flinkjob.runtime.configmaps import ConfigMaps
from flinkjob.runtime.copy_search import CopySearches
from flinkjob.runtime.hiding import answered, observation_without
from flinkjob.runtime.jobsearch import marked_jobs, unlisted_job
from flinkjob.runtime.queue import Key
from flinkjob.runtime.revisions import Revisions
from flinkjob.runtime.services import Services
from flinkjob.runtime.tasks import Tasks
from flinkjob.runtime.variables import VariableSources
from flinkjob.snapshots.listing import SnapshotLister

log = logging.getLogger(__name__)

ROUND_SECONDS = 60.0
"""For so long a round asks clusters, all questions together."""
TOO_SLOW = f"it answers too slowly: not all questions of a round within {ROUND_SECONDS:.0f} s"
MOST_MARKS = 100
"""So many unknown jobs are asked in one round whose they are."""
NOWHERE = ClusterSeen(url="", reachable=False)


class Observer:
    """Looks at Flink on behalf of decisions."""

    def __init__(
        self,
        *,
        identity: str,
        clusters: Clusters,
        tasks: Tasks,
        kube: KubeClient,
        snapshots: SnapshotLister,
        hosts: HostRules,
        services: Services,
        copies: CopySearches,
        config_maps: ConfigMaps,
        variables: VariableSources,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._identity = identity
        self._clusters = clusters
        self._tasks = tasks
        self._kube = kube
        self._revisions = Revisions(kube)
        self._snapshots = snapshots
        self._hosts = hosts
        self._services = services
        self._copy_searches = copies
        self._config_maps = config_maps
        self._variables = variables
        self._now = now
        self._deleting: dict[Key, float] = {}
        self._until: dict[Key, float] = {}
        self._missed: dict[Key, set[str]] = {}

    def now(self) -> datetime:
        return self._now()

    def owner(self, job: FlinkJob) -> Owner:
        return Owner(self._identity, job.meta.namespace, job.meta.name)

    async def look(self, key: Key, job: FlinkJob | None) -> Observation:
        """What every decision starts from; a round begins with it."""
        self._variables.begin(key)
        return observation_without(await self._look(key, job), self._variables.hiding(key))

    async def _look(self, key: Key, job: FlinkJob | None) -> Observation:
        self._until[key] = time.monotonic() + ROUND_SECONDS
        if job is None:
            return Observation(now=self._now(), cluster=NOWHERE, target=NOWHERE)
        url, target_url = addresses(job)
        namespace = job.meta.namespace
        if job.spec is not None:
            self._clusters.reach(key, target_url, access_of(job))
        self._clusters.lend(key, url, access_of(job))
        access_denied, elsewhere = await self._closed(target_url, namespace)
        here = elsewhere if url == target_url else (await self._closed(url, namespace))[1]
        accessible = frozenset(at for at, closed in ((url, here), (target_url, elsewhere)) if closed is None)
        self._clusters.need(key, *accessible)
        if here is not None and elsewhere is not None:
            return Observation(
                now=self._now(),
                cluster=here,
                target=elsewhere,
                access_denied=access_denied,
                deleting_for=self._deleting_for(key, job),
                namespace_terminating=await self._terminating(job),
            )
        seen, seen_job, run = here, JobSeen(), RunSeen()
        known: Known | None = None
        if seen is None:
            seen, seen_job, run, known = await self._look_here(key, job, self._clusters.at(url, key))
        target, owned_jobs, candidate = seen, tuple[JobOverview, ...](), None
        if elsewhere is not None:
            target = elsewhere
        else:
            cluster = self._clusters.at(target_url, key)
            target = await cluster.seen() if target_url != url else seen
            owned_jobs = cluster.owned_jobs(self.owner(job).prefixes)
            candidate = adoption.candidate(job, cluster.known)
        return Observation(
            now=self._now(),
            cluster=seen,
            target=target,
            job=seen_job,
            owned_jobs=owned_jobs,
            access_denied=access_denied,
            accessible=accessible,
            run=run,
            adoption_candidate=candidate,
            latest=known.stats if known is not None else None,
            latest_age=time.monotonic() - known.at if known is not None else 0.0,
            deleting_for=self._deleting_for(key, job),
            namespace_terminating=await self._terminating(job),
        )

    async def _look_here(
        self, key: Key, job: FlinkJob, cluster: Cluster
    ) -> tuple[ClusterSeen, JobSeen, RunSeen, Known | None]:
        """The cluster of the current run, the run's job, the call that started it, and the job's checkpoints."""
        seen = await cluster.seen()
        submission = job.status.submission
        if submission is None or submission.job_id is None:
            return seen, JobSeen(), RunSeen(), None
        run = self._tasks.run_seen(key, submission.job_id, submission.attempts)
        if submission.end is not None:
            return seen, JobSeen(), run, None
        seen_job, latest = JobSeen(), None
        expected = submission.seen or run.phase is not RunPhase.WORKING
        try:
            async with self._in_time(key):
                seen_job = await cluster.job(submission.job_id, expected=expected)
            if submission.running and seen_job.overview is not None and not seen_job.overview.state.is_terminal:
                latest = cluster.checkpoints.latest(key, submission.job_id)
        except FlinkJobError as error:
            return replace(seen, reachable=False, error=error.message), seen_job, run, latest
        return replace(await cluster.seen(), unreachable_for=seen.unreachable_for), seen_job, run, latest

    async def look_at(self, key: Key, target: TargetSpec, *, lent: bool) -> Observation:
        """What a decision about a FlinkSavepoint with `target` starts from; the cluster is polled from now on, if it may be.

        Args:
            lent: whether the key is that of a FlinkJob, which says first how it reaches an address.
        """
        namespace, at = key[0], target.cluster.as_cluster()
        url = at.address(namespace)
        access_denied, closed = await self._closed(url, namespace)
        if closed is not None:
            await self._clusters.leave(key, url)
            return Observation(now=self._now(), cluster=closed, target=closed, access_denied=access_denied)
        note = self._clusters.lend if lent else self._clusters.reach
        note(key, url, access_to(at, namespace))
        self._clusters.visit(key, url)
        cluster = self._clusters.at(url, key)
        seen, job = await cluster.seen(), JobSeen()
        try:
            async with self._in_time(key):
                job = await cluster.job(target.job_id, expected=True)
        except FlinkJobError as error:
            seen = replace(seen, reachable=False, error=error.message)
        seen_there = Observation(now=self._now(), cluster=seen, target=seen, job=job)
        return observation_without(seen_there, self._variables.hiding(key))

    @asynccontextmanager
    async def _in_time(self, key: Key) -> AsyncIterator[None]:
        """Ask inside, as long as the round of this key may ask.

        Raises:
            Unreachable: it took longer, or the time was over.
        """
        try:
            async with asyncio.timeout_at(self._until[key]):
                yield
        except TimeoutError:
            raise Unreachable("timeout", TOO_SLOW) from None

    def missed(self, key: Key) -> frozenset[str]:
        """The uids of the FlinkSavepoints that the last round had no time for."""
        return frozenset(self._missed.pop(key, ()))

    def in_time(self, key: Key, uid: str, observation: Observation) -> Observation:
        """What a FlinkSavepoint is decided by: without the cluster where the round may not ask any more."""
        return observation if self.has_time(key, uid) else _silent(observation, TOO_SLOW)

    def has_time(self, key: Key, uid: str) -> bool:
        """Whether the round may still ask and call Flink for a FlinkSavepoint; one that it may not is first in the next."""
        if time.monotonic() < self._until[key]:
            return True
        self._missed.setdefault(key, set()).add(uid)
        return False

    async def may_connect(self, url: str, namespace: str) -> bool:
        """Whether objects of a namespace may use the address: it passes the list of allowed hosts, and where it leads to
        a Service of another namespace, that allows it. False also where that cannot be found out now."""
        return (await self._closed(url, namespace))[1] is None

    async def _closed(self, url: str, namespace: str) -> tuple[str, ClusterSeen | None]:
        """Why this address may not be connected to, "" where it may or where that cannot be found out now; and, for both,
        what is seen of a cluster that is not asked: None where it may be asked."""
        try:
            self._hosts.check_url(url)
            access_denied = await self._services.refusal(url, namespace)
        except Invalid as error:
            access_denied = error.message
        except FlinkJobError as error:
            return "", replace(NOWHERE, url=url, error=error.message)
        return access_denied, replace(NOWHERE, url=url) if access_denied else None

    def _deleting_for(self, key: Key, job: FlinkJob) -> float:
        if job.meta.deletion_time is None:
            self._deleting.pop(key, None)
            return 0.0
        return time.monotonic() - self._deleting.setdefault(key, time.monotonic())

    async def _terminating(self, job: FlinkJob) -> bool:
        return job.meta.deletion_time is not None and await self._kube.namespace_terminating(job.meta.namespace)

    def forget(self, key: Key) -> None:
        self._deleting.pop(key, None)
        self._until.pop(key, None)
        self._missed.pop(key, None)
        self._revisions.forget(key)
        self._copy_searches.forget(key)
        self._config_maps.forget(key)
        self._variables.forget(key)

    async def fill(self, key: Key, job: FlinkJob | None, observation: Observation, fact: Fact[Any]) -> Observation:
        """The observation with one more answer. Without it the cluster counts as unreachable, unless it is dispensable."""
        if (url := _asked(observation, fact)) is not None:
            access_denied, closed = await self._closed(url, key[0])
            if closed is not None:
                return _silent(observation, access_denied or closed.error)
        try:
            async with self._in_time(key):
                if fact.where in (Where.RUN, Where.TARGET):
                    answer = await self._ask(self._clusters.at(url or "", key), job, observation, fact)
                else:
                    answer = await self._answer(key, job, fact)
        except FlinkJobError as error:
            message = self._variables.hiding(key)(error.message)
            log.info("%s cannot be had: %s", type(fact).__name__, message)
            if not fact.dispensable:
                return _silent(observation, message)
            answer = None
        return answered(observation, fact, answer, self._variables.hiding(key))

    async def _ask(self, cluster: Cluster, job: FlinkJob | None, observation: Observation, fact: Fact[Any]) -> Any:  # noqa: C901 - lists cases
        """What the cluster answers."""
        match fact:
            case Checkpoints():
                return await cluster.client.checkpoints(fact.job_id)
            case CheckpointSettings():
                return await cluster.checkpoint_config(fact.job_id)
            case StateSizes():
                return await cluster.client.newest_details(fact.job_id)
            case VertexNames():
                return await cluster.client.vertex_names(fact.job_id)
            case Triggered():
                result = cluster.client.checkpoint_result if fact.checkpoint else cluster.client.savepoint_result
                return await result(fact.job_id, fact.trigger_id)
            case Failure():
                return next(iter(await cluster.client.exceptions(fact.job_id, limit=1)), None)
            case RunningGraph():
                return await cluster.client.running_graph(fact.job_id)
            case TaskSlots():
                return await cluster.client.cluster_overview()
            case OwnerMark():
                return await cluster.mark(fact.job_id)
            case OwnerMarks():
                return await marked_jobs(cluster, observation)
            case UnknownJobs():
                return await cluster.marks(MOST_MARKS)
            case UnlistedJob():
                return await unlisted_job(cluster.client, self.owner(job), job.meta.uid) if job is not None else None
            case Alias():
                return await _knows_run(cluster.client, job)
            case Incarnation():
                return await cluster.identify()
            case _:
                raise AssertionError(f"no cluster answers {type(fact).__name__}")

    async def _answer(self, key: Key, job: FlinkJob | None, fact: Fact[Any]) -> Any:
        """What is found elsewhere, or how far a task is that was set going."""
        match fact:
            case Artifact():
                return await self._tasks.artifact(key, fact.request)
            case JobGraph():
                return await self._tasks.job_graph(key, fact.request)
            case Disposal():
                return await self._tasks.dispose(key, fact.urls, fact.location)
            case Copy():
                return await self._copy_searches.find(key, fact.copies)
            case ConfigMapTexts():
                return await self._config_maps.texts(key, fact.places, fact.generation)
            case Variables():
                return await self._variables.values(key, fact)
            case Snapshots():
                return await self._snapshots.list(fact.directory)
            case Revision():
                return await self._revisions.spec(key, job, fact.name)
            case _:
                raise AssertionError(f"nobody answers {type(fact).__name__}")


async def _knows_run(client: FlinkClient, job: FlinkJob | None) -> bool:
    """Whether the cluster knows the current job."""
    run = job.status.submission if job is not None else None
    return run is not None and run.job_id is not None and await client.job_status(run.job_id) is not None


def _asked(observation: Observation, fact: Fact[Any]) -> str | None:
    """The address of the cluster that answers; None where another does."""
    match fact, fact.where:
        case ((Artifact(request) | JobGraph(request)), _):
            return request.url
        case _, Where.TARGET:
            return observation.target.url
        case _, Where.RUN:
            return observation.cluster.url
        case _:
            return None


def _silent(observation: Observation, error: str) -> Observation:
    """The observation where a cluster gave no answer this round."""
    silent = replace(observation.cluster, reachable=False, error=error)
    return replace(observation, cluster=silent, target=silent, job=JobSeen())
