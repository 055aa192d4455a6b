"""Gathers what a decision needs: the cheap part always, facts that cost a call only when the decision asks for them.

Called by the reconciler. Invariants: it decides nothing; an answer that cannot be had makes the cluster unreachable for this
round, never a job absent or failed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from flinkjob.api.cluster_spec import ServiceRef
from flinkjob.api.codec import FlinkJob, parse_job
from flinkjob.api.constants import ANNOTATION_ADOPT, ANNOTATION_ALLOW_FROM
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinksavepoint_spec import TargetSpec
from flinkjob.core.errors import FlinkJobError, Invalid, RescaleUnsupported
from flinkjob.core.flinkmodel import JobOverview
from flinkjob.core.hosts import HostRules
from flinkjob.core.identity import Owner, job_id, read_mark
from flinkjob.core.model import (
    ClusterSeen,
    Fact,
    JobSeen,
    Kin,
    Needs,
    Observation,
    RunPhase,
    RunSeen,
)
from flinkjob.kube.client import KubeClient
from flinkjob.runtime.access import access_of
from flinkjob.runtime.cluster import Cluster
from flinkjob.runtime.clusters import Clusters
from flinkjob.runtime.copies import Copies
from flinkjob.runtime.queue import Key
from flinkjob.runtime.tasks import Tasks
from flinkjob.snapshots.listing import SnapshotLister

log = logging.getLogger(__name__)

SERVICE_FRESH_SECONDS = 60.0
"""How long it is believed whom a Service of another namespace allows."""
HIDDEN_RUNS = 50
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
        copies: Copies,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._identity = identity
        self._clusters = clusters
        self._tasks = tasks
        self._kube = kube
        self._snapshots = snapshots
        self._hosts = hosts
        self._copies = copies
        self._now = now
        self._services: dict[str, tuple[float, frozenset[str]]] = {}
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
        forbidden = self._forbidden(target_url) or await self._service_refused(job)
        if forbidden and url == target_url:
            nowhere = replace(NOWHERE, url=target_url)
            return Observation(
                now=self._now(),
                cluster=nowhere,
                target=nowhere,
                forbidden=forbidden,
                deleting_for=self._deleting_for(key, job),
                namespace_terminating=await self._terminating(job),
            )
        cluster = self._clusters.at(url, job.meta.namespace)
        seen = await cluster.seen()
        elsewhere = replace(NOWHERE, url=target_url)
        if target_url != url and not forbidden:
            elsewhere = await self._clusters.at(target_url, namespace).seen()
        submission = job.status.submission
        run, seen_job, latest = RunSeen(), JobSeen(), None
        if submission is not None and submission.job_id is not None and submission.end is None:
            run = self._tasks.run_seen(key, submission.job_id, submission.attempts)
            expected = submission.seen or run.phase is not RunPhase.WORKING
            try:
                seen_job = await cluster.job(submission.job_id, expected=expected)
                if submission.running and seen_job.overview is not None and not seen_job.overview.state.is_terminal:
                    latest = await cluster.latest(submission.job_id)
            except FlinkJobError as error:
                seen = replace(seen, reachable=False, error=error.message)
            else:
                seen = replace(await cluster.seen(), unreachable_for=seen.unreachable_for)
        return Observation(
            now=self._now(),
            cluster=seen,
            target=elsewhere if target_url != url else seen,
            job=seen_job,
            kin=() if forbidden else self._clusters.at(target_url, namespace).kin(self.owner(job).prefix),
            forbidden=forbidden,
            run=run,
            adoptable=self._adoptable(job, target_url),
            latest=latest,
            deleting_for=self._deleting_for(key, job),
            namespace_terminating=await self._terminating(job),
        )

    async def look_at(self, namespace: str, target: TargetSpec) -> Observation:
        """What a decision about a FlinkSavepoint with `target` starts from; the cluster must be watched already."""
        wanted = target.cluster.as_cluster()
        url = wanted.address(namespace)
        forbidden = self._forbidden(url) or await self._refused(wanted.service_ref, namespace)
        if forbidden:
            nowhere = replace(NOWHERE, url=url)
            return Observation(now=self._now(), cluster=nowhere, target=nowhere, forbidden=forbidden)
        cluster = self._clusters.at(url, namespace)
        seen, job = await cluster.seen(), JobSeen()
        try:
            job = await cluster.job(target.job_id, expected=True)
        except FlinkJobError as error:
            seen = replace(seen, reachable=False, error=error.message)
        return Observation(now=self._now(), cluster=seen, target=seen, job=job)

    def may_speak_to(self, url: str) -> bool:
        """Whether the address passes the list of allowed hosts."""
        return bool(url) and not self._forbidden(url)

    def _forbidden(self, url: str) -> str:
        """Why this address may not be spoken to; "" where it may."""
        try:
            self._hosts.check_url(url)
        except Invalid as error:
            return error.message
        return ""

    async def _service_refused(self, job: FlinkJob) -> str:
        """Why the Service of another namespace may not be used; "" where it allows it, or is this namespace's own."""
        return await self._refused(job.spec.cluster.service_ref if job.spec is not None else None, job.meta.namespace)

    async def _refused(self, service: ServiceRef | None, namespace: str) -> str:
        if service is None or service.namespace in (None, namespace):
            return ""
        where = f"Service {service.namespace}/{service.name}"
        before = self._services.get(where)
        if before is None or time.monotonic() - before[0] > SERVICE_FRESH_SECONDS:
            found = await self._kube.read_service(service.namespace or "", service.name)
            annotations = ((found or {}).get("metadata") or {}).get("annotations") or {}
            allowed = frozenset(word.strip() for word in str(annotations.get(ANNOTATION_ALLOW_FROM, "")).split(","))
            before = self._services[where] = (time.monotonic(), allowed)
        if namespace in before[1]:
            return ""
        return f"{where} does not allow namespace {namespace} (annotation {ANNOTATION_ALLOW_FROM})"

    def _adoptable(self, job: FlinkJob, url: str) -> JobOverview | None:
        """The live job that the annotation names, where there is no submission yet."""
        named = job.meta.annotations.get(ANNOTATION_ADOPT)
        if named is None or self._forbidden(url) or job.status.submission is not None:
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
        self._copies.forget(key)

    async def fill(self, key: Key, job: FlinkJob | None, observation: Observation, needs: Needs) -> Observation:
        """The observation with one more fact; when it cannot be had, the cluster counts as unreachable this round."""
        known = replace(observation, known=observation.known | {needs.fact})
        if needs.fact is Fact.DISPOSAL:
            return await self._disposal(key, known, needs)
        if needs.fact is Fact.COPY:
            return replace(known, copy=await self._copies.find(key, needs.copies))
        cluster = self._clusters.at(observation.cluster.url, key[0])
        try:
            return await self._fact(key, job, known, needs, cluster)
        except FlinkJobError as error:
            log.info("%s cannot be had: %s", needs.fact, error.message)
            silent = replace(observation.cluster, reachable=False, error=error.message)
            return replace(observation, cluster=silent, target=silent, job=JobSeen())

    async def _disposal(self, key: Key, observation: Observation, needs: Needs) -> Observation:
        seen = await self._tasks.dispose(key[0], needs.urls, needs.directory or "")
        return replace(observation, disposal=seen)

    async def _fact(
        self, key: Key, job: FlinkJob | None, observation: Observation, needs: Needs, cluster: Cluster
    ) -> Observation:
        client = cluster.client
        job_id = needs.job_id or ""
        match needs.fact:
            case Fact.CHECKPOINTS:
                return replace(observation, checkpoints=await client.checkpoints(job_id))
            case Fact.CHECKPOINT_CONFIG:
                return replace(observation, checkpoint_config=await client.checkpoint_config(job_id))
            case Fact.TRIGGER:
                result = client.checkpoint_result if needs.checkpoint else client.savepoint_result
                return replace(observation, trigger=await result(job_id, needs.trigger_id or ""))
            case Fact.ARTIFACT:
                assert needs.artifact is not None
                return replace(observation, artifact=await self._tasks.artifact(key, needs.artifact))
            case Fact.KIN:
                return replace(observation, marked=await self._marks(key, observation))
            case Fact.INCARNATION:
                target = await self._clusters.at(observation.target.url, key[0]).identify()
                return replace(observation, target=target)
            case Fact.EXCEPTION:
                exceptions = await client.exceptions(job_id, limit=1)
                return replace(observation, exception=exceptions[0] if exceptions else None)
            case Fact.ALIAS:
                return replace(observation, alias=await self._is_alias(key, job, observation))
            case Fact.REVISION:
                name = needs.revision or ""
                found = await self._revision(job, name)
                return replace(observation, revisions={**observation.revisions, name: found})
            case Fact.PLAN:
                assert needs.plan is not None
                return replace(observation, plan=await self._tasks.plan(key, needs.plan))
            case Fact.SLOTS:
                return replace(observation, slots=await client.cluster_overview())
            case Fact.REQUIREMENTS:
                try:
                    return replace(observation, requirements=await client.resource_requirements(job_id))
                except RescaleUnsupported:
                    return replace(observation, requirements=None)
            case Fact.LISTING:
                directory = needs.directory or ""
                listing = await self._snapshots.list(directory)
                return replace(observation, listings={**observation.listings, directory: listing})
            case Fact.DISPOSAL | Fact.COPY:
                raise AssertionError("asked elsewhere, since no cluster answers it")
            case Fact.MARK:
                config = await client.job_user_config(job_id)
                return replace(observation, mark=read_mark(config) if config is not None else None)
            case Fact.HIDDEN:
                return replace(observation, hidden=await self._hidden(key, job, observation))
            case Fact.STRANGERS:
                target_cluster = self._clusters.at(observation.target.url, key[0])
                return replace(observation, strangers=await target_cluster.marks(MOST_MARKS))

    async def _revision(self, job: FlinkJob | None, name: str | None) -> FlinkJobSpec | None:
        """The spec that a ControllerRevision holds; None when it is gone or cannot be read any more."""
        if job is None or name is None:
            return None
        raw = await self._kube.get_revision(job.meta.namespace, name)
        if raw is None:
            return None
        return parse_job({"metadata": {"name": name}, "spec": (raw.get("data") or {}).get("spec")}).spec

    async def _marks(self, key: Key, observation: Observation) -> tuple[Kin, ...]:
        client = self._clusters.at(observation.target.url, key[0]).client
        kin = []
        named = (observation.adoptable,) if observation.adoptable is not None else ()
        for overview in (*observation.kin, *named):
            config = await client.job_user_config(overview.job_id)
            kin.append(Kin(overview=overview, mark=read_mark(config) if config is not None else None))
        return tuple(kin)

    async def _hidden(self, key: Key, job: FlinkJob | None, observation: Observation) -> str | None:
        """A live job with an id of one of the object's first runs, asked for one by one."""
        if job is None:
            return None
        client = self._clusters.at(observation.target.url, key[0]).client
        for number in range(1, HIDDEN_RUNS + 1):
            candidate = job_id(self.owner(job), job.meta.uid, number)
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


def addresses(job: FlinkJob) -> tuple[str, str]:
    """Where the current run is, and where the spec wants it."""
    submission = job.status.submission
    wanted = job.spec.cluster.address(job.meta.namespace) if job.spec is not None else None
    current = submission.cluster_url if submission is not None and submission.end is None else None
    url = current or wanted or (submission.cluster_url if submission is not None else None) or ""
    return url, wanted or url
