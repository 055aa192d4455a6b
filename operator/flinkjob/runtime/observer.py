"""Gathers what a decision needs: the cheap part always, facts that cost a call only when the decision asks for them.

Called by the reconciler. Invariants: it decides nothing; an answer that cannot be had makes the cluster unreachable for this
round, never a job absent or failed; nothing is asked of a cluster that may not be spoken to.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from flinkjob.api.codec import FlinkJob, parse_job
from flinkjob.api.constants import ANNOTATION_ADOPT
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinksavepoint_spec import TargetSpec
from flinkjob.core.access.hosts import HostRules
from flinkjob.core.errors import FlinkJobError, Invalid
from flinkjob.core.flinkmodel import JobOverview
from flinkjob.core.identity import Owner, earlier_job_id, job_id
from flinkjob.core.model import (
    ClusterSeen,
    Fact,
    JobSeen,
    MarkedJob,
    Needs,
    Observation,
    RunPhase,
    RunSeen,
)
from flinkjob.flink.client import FlinkClient
from flinkjob.kube.client import KubeClient
from flinkjob.runtime.access import access_of
from flinkjob.runtime.checkpoint_reads import Known
from flinkjob.runtime.cluster import Cluster
from flinkjob.runtime.clusters import Clusters
from flinkjob.runtime.copy_search import CopySearches
from flinkjob.runtime.queue import Key
from flinkjob.runtime.services import Services
from flinkjob.runtime.tasks import Tasks
from flinkjob.snapshots.listing import SnapshotLister

log = logging.getLogger(__name__)

UNLISTED_RUNS = 50
"""So many runs of an object without a status are asked for by id."""
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
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._identity = identity
        self._clusters = clusters
        self._tasks = tasks
        self._kube = kube
        self._snapshots = snapshots
        self._hosts = hosts
        self._services = services
        self._copy_searches = copies
        self._now = now
        self._deleting: dict[Key, float] = {}

    def now(self) -> datetime:
        return self._now()

    def owner(self, job: FlinkJob) -> Owner:
        return Owner(self._identity, job.meta.namespace, job.meta.name)

    async def look(self, key: Key, job: FlinkJob | None) -> Observation:
        """What every decision starts from."""
        if job is None:
            return Observation(now=self._now(), cluster=NOWHERE, target=NOWHERE)
        url, target_url = addresses(job)
        namespace = job.meta.namespace
        self._clusters.reach(namespace, target_url, access_of(job))
        if url != target_url:
            self._clusters.reach(namespace, url, access_of(job))
        access_denied, elsewhere = await self._closed(target_url, namespace)
        here = elsewhere if url == target_url else (await self._closed(url, namespace))[1]
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
            seen, seen_job, run, known = await self._look_here(key, job, self._clusters.at(url, namespace))
        target, owned_jobs = seen, tuple[JobOverview, ...]()
        if elsewhere is not None:
            target = elsewhere
        else:
            cluster = self._clusters.at(target_url, namespace)
            target = await cluster.seen() if target_url != url else seen
            owned_jobs = cluster.owned_jobs(self.owner(job).prefixes)
        return Observation(
            now=self._now(),
            cluster=seen,
            target=target,
            job=seen_job,
            owned_jobs=owned_jobs,
            access_denied=access_denied,
            run=run,
            adoption_candidate=self._adoption_candidate(job, target_url) if elsewhere is None else None,
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
            seen_job = await cluster.job(submission.job_id, expected=expected)
            if submission.running and seen_job.overview is not None and not seen_job.overview.state.is_terminal:
                latest = cluster.checkpoints.latest(key, submission.job_id)
        except FlinkJobError as error:
            return replace(seen, reachable=False, error=error.message), seen_job, run, latest
        return replace(await cluster.seen(), unreachable_for=seen.unreachable_for), seen_job, run, latest

    async def look_at(self, namespace: str, target: TargetSpec) -> Observation:
        """What a decision about a FlinkSavepoint with `target` starts from; the cluster must be watched, if it may be."""
        url = target.cluster.as_cluster().address(namespace)
        access_denied, closed = await self._closed(url, namespace)
        if closed is not None:
            return Observation(now=self._now(), cluster=closed, target=closed, access_denied=access_denied)
        cluster = self._clusters.at(url, namespace)
        seen, job = await cluster.seen(), JobSeen()
        try:
            job = await cluster.job(target.job_id, expected=True)
        except FlinkJobError as error:
            seen = replace(seen, reachable=False, error=error.message)
        return Observation(now=self._now(), cluster=seen, target=seen, job=job)

    async def may_connect(self, url: str, namespace: str) -> bool:
        """Whether objects of a namespace may use the address: it passes the list of allowed hosts, and where it leads to
        a Service of another namespace, that allows it. False also where that cannot be found out now."""
        return (await self._closed(url, namespace))[1] is None

    async def _closed(self, url: str, namespace: str) -> tuple[str, ClusterSeen | None]:
        """Why this address may not be spoken to, "" where it may or where that cannot be found out now; and, for both, what
        is seen of a cluster that is not asked: None where it may be asked."""
        try:
            self._hosts.check_url(url)
            access_denied = await self._services.refusal(url, namespace)
        except Invalid as error:
            access_denied = error.message
        except FlinkJobError as error:
            return "", replace(NOWHERE, url=url, error=error.message)
        return access_denied, replace(NOWHERE, url=url) if access_denied else None

    def _adoption_candidate(self, job: FlinkJob, url: str) -> JobOverview | None:
        """The live job that the annotation names, where there is no submission yet."""
        named = job.meta.annotations.get(ANNOTATION_ADOPT)
        if named is None or job.status.submission is not None:
            return None
        overview = self._clusters.at(url, job.meta.namespace).known(named)
        return overview if overview is not None and not overview.state.is_terminal else None

    def _deleting_for(self, key: Key, job: FlinkJob) -> float:
        if job.meta.deletion_time is None:
            self._deleting.pop(key, None)
            return 0.0
        return time.monotonic() - self._deleting.setdefault(key, time.monotonic())

    async def _terminating(self, job: FlinkJob) -> bool:
        return job.meta.deletion_time is not None and await self._kube.namespace_terminating(job.meta.namespace)

    def forget(self, key: Key) -> None:
        self._deleting.pop(key, None)
        self._copy_searches.forget(key)

    async def fill(self, key: Key, job: FlinkJob | None, observation: Observation, needs: Needs) -> Observation:
        """The observation with one more fact; when it cannot be had, the cluster counts as unreachable this round."""
        known = replace(observation, known=observation.known | {needs.fact})
        if needs.fact is Fact.DISPOSAL:
            return await self._disposal(key, known, needs)
        if needs.fact is Fact.COPY:
            return replace(known, copy=await self._copy_searches.find(key, needs.copies))
        if (url := _asked(observation, needs)) is not None:
            access_denied, closed = await self._closed(url, key[0])
            if closed is not None:
                return _silent(observation, access_denied or closed.error)
        try:
            return await self._fact(key, job, known, needs)
        except FlinkJobError as error:
            log.info("%s cannot be had: %s", needs.fact, error.message)
            return _silent(observation, error.message)

    async def _disposal(self, key: Key, observation: Observation, needs: Needs) -> Observation:
        seen = await self._tasks.dispose(key[0], needs.urls, needs.directory or "")
        return replace(observation, disposal=seen)

    async def _fact(self, key: Key, job: FlinkJob | None, observation: Observation, needs: Needs) -> Observation:
        def here() -> FlinkClient:
            return self._clusters.at(observation.cluster.url, key[0]).client

        job_id = needs.job_id or ""
        match needs.fact:
            case Fact.CHECKPOINTS:
                return replace(observation, checkpoints=await here().checkpoints(job_id))
            case Fact.CHECKPOINT_CONFIG:
                return replace(observation, checkpoint_config=await here().checkpoint_config(job_id))
            case Fact.TRIGGER:
                result = here().checkpoint_result if needs.checkpoint else here().savepoint_result
                return replace(observation, trigger=await result(job_id, needs.trigger_id or ""))
            case Fact.ARTIFACT:
                assert needs.artifact is not None
                return replace(observation, artifact=await self._tasks.artifact(key, needs.artifact))
            case Fact.OWNER_MARKS:
                return replace(observation, marked=await self._marks(key, observation))
            case Fact.INCARNATION:
                target = await self._clusters.at(observation.target.url, key[0]).identify()
                return replace(observation, target=target)
            case Fact.EXCEPTION:
                exceptions = await here().exceptions(job_id, limit=1)
                return replace(observation, exception=exceptions[0] if exceptions else None)
            case Fact.ALIAS:
                return replace(observation, alias=await self._is_alias(key, job, observation))
            case Fact.REVISION:
                name = needs.revision or ""
                found = await self._revision(job, name)
                return replace(observation, revisions={**observation.revisions, name: found})
            case Fact.JOB_GRAPH:
                assert needs.job_graph is not None
                return replace(observation, job_graph=await self._tasks.job_graph(key, needs.job_graph))
            case Fact.SLOTS:
                return replace(observation, slots=await here().cluster_overview())
            case Fact.RUNNING_GRAPH:
                return replace(observation, running_graph=await here().running_graph(job_id))
            case Fact.LISTING:
                directory = needs.directory or ""
                listing = await self._snapshots.list(directory)
                return replace(observation, listings={**observation.listings, directory: listing})
            case Fact.DISPOSAL | Fact.COPY:
                raise AssertionError("asked elsewhere, since no cluster answers it")
            case Fact.MARK:
                cluster = self._clusters.at(observation.cluster.url, key[0])
                return replace(observation, mark=await cluster.mark(job_id))
            case Fact.UNLISTED_JOB:
                return replace(observation, unlisted_job=await self._unlisted_job(key, job, observation))
            case Fact.UNKNOWN_JOBS:
                target_cluster = self._clusters.at(observation.target.url, key[0])
                return replace(observation, unknown_jobs=await target_cluster.marks(MOST_MARKS))

    async def _revision(self, job: FlinkJob | None, name: str | None) -> FlinkJobSpec | None:
        """The spec that a ControllerRevision holds; None when it is gone or cannot be read any more."""
        if job is None or name is None:
            return None
        raw = await self._kube.get_revision(job.meta.namespace, name)
        if raw is None:
            return None
        return parse_job({"metadata": {"name": name}, "spec": (raw.get("data") or {}).get("spec")}).spec

    async def _marks(self, key: Key, observation: Observation) -> tuple[MarkedJob, ...]:
        cluster = self._clusters.at(observation.target.url, key[0])
        marked = []
        named = (observation.adoption_candidate,) if observation.adoption_candidate is not None else ()
        for overview in (*observation.owned_jobs, *named):
            marked.append(MarkedJob(overview=overview, mark=await cluster.mark(overview.job_id)))
        return tuple(marked)

    async def _unlisted_job(self, key: Key, job: FlinkJob | None, observation: Observation) -> str | None:
        """A live job with an id of one of the object's first runs, asked for one by one."""
        if job is None:
            return None
        client = self._clusters.at(observation.target.url, key[0]).client
        for number in range(1, UNLISTED_RUNS + 1):
            for form in (job_id, earlier_job_id):
                candidate = form(self.owner(job), job.meta.uid, number)
                state = await client.job_status(candidate)
                if state is not None and not state.is_terminal:
                    return candidate
        return None

    async def _is_alias(self, key: Key, job: FlinkJob | None, observation: Observation) -> bool:
        """Whether the new address knows the current job: the same cluster under another name."""
        submission = job.status.submission if job is not None else None
        if submission is None or submission.job_id is None:
            return False
        return await self._clusters.at(observation.target.url, key[0]).client.job_status(submission.job_id) is not None


def _asked(observation: Observation, needs: Needs) -> str | None:
    """The address of the cluster that a fact comes from; None where it comes from elsewhere."""
    match needs.fact:
        case Fact.REVISION | Fact.LISTING | Fact.DISPOSAL | Fact.COPY:
            return None
        case Fact.ARTIFACT:
            return needs.artifact.url if needs.artifact is not None else None
        case Fact.JOB_GRAPH:
            return needs.job_graph.url if needs.job_graph is not None else None
        case Fact.OWNER_MARKS | Fact.INCARNATION | Fact.ALIAS | Fact.UNLISTED_JOB | Fact.UNKNOWN_JOBS:
            return observation.target.url
        case _:
            return observation.cluster.url


def _silent(observation: Observation, error: str) -> Observation:
    """The observation where a cluster gave no answer this round."""
    silent = replace(observation.cluster, reachable=False, error=error)
    return replace(observation, cluster=silent, target=silent, job=JobSeen())


def addresses(job: FlinkJob) -> tuple[str, str]:
    """Where the current run is, and where the spec wants it."""
    submission = job.status.submission
    wanted = job.spec.cluster.address(job.meta.namespace) if job.spec is not None else None
    current = submission.cluster_url if submission is not None and submission.end is None else None
    url = current or wanted or (submission.cluster_url if submission is not None else None) or ""
    return url, wanted or url
