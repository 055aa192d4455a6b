"""The composition root: everything is built here, started in order, and ended in the reverse order.

Called by `__main__`. Invariants: no module holds a client, queue or setting of its own; on SIGTERM no new key is taken and
the workers end what they are at (an intent that was written is always followed by its call, or by nothing).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, cast

import httpx
import kopf
from prometheus_client import CollectorRegistry

from flinkjob import __version__
from flinkjob.artifacts.build import JarBuilder
from flinkjob.artifacts.fetch import ArtifactStore
from flinkjob.artifacts.runners import Runners
from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.access.hosts import HostRules
from flinkjob.core.shares import Usage
from flinkjob.flink.rest import Limits
from flinkjob.handlers.kopf_settings import operator_settings
from flinkjob.handlers.login import login_handler
from flinkjob.handlers.registry import build_registry
from flinkjob.kube.client import KubeClient
from flinkjob.kube.connection import USUAL, Bounds
from flinkjob.kube.events import EventRecorder
from flinkjob.net.checked import artifact_client
from flinkjob.net.foreign import BUDGET_BYTES, Budget
from flinkjob.net.permits import Permits
from flinkjob.net.resolver import ResolvingLoop
from flinkjob.observability.eachjob import EachJob
from flinkjob.observability.health import HealthServer
from flinkjob.observability.jobmetrics import oldest_checkpoint_age, oldest_copy, oldest_savepoint_age
from flinkjob.observability.metrics import Metrics
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.clusters import Clusters
from flinkjob.runtime.configmaps import ConfigMaps
from flinkjob.runtime.connections import Connections, Hooks
from flinkjob.runtime.copy_search import CopySearches
from flinkjob.runtime.copy_tasks import CopyTasks
from flinkjob.runtime.executor import Executor
from flinkjob.runtime.faults import Faults
from flinkjob.runtime.first_list import FirstList
from flinkjob.runtime.leader import RENEWAL, Leadership
from flinkjob.runtime.leading import lead
from flinkjob.runtime.membership import Membership
from flinkjob.runtime.observer import Observer
from flinkjob.runtime.operator_variables import OperatorVariables
from flinkjob.runtime.orphaned_jobs import OrphanedJobs
from flinkjob.runtime.pace import Pace
from flinkjob.runtime.queue import Key, WorkQueue, spread
from flinkjob.runtime.reconciler import Reconciler
from flinkjob.runtime.sending import before_sending
from flinkjob.runtime.services import Services, own_search_list
from flinkjob.runtime.sharing import Handover, Sharing
from flinkjob.runtime.sourceaccess import SourceAccesses
from flinkjob.runtime.storeaccess import StoreAccesses
from flinkjob.runtime.tasks import Tasks
from flinkjob.runtime.ticks import Ticks
from flinkjob.runtime.variables import VariableSources
from flinkjob.settings import Settings
from flinkjob.snapshots.listing import SnapshotLister

log = logging.getLogger(__name__)

COMPONENT = "flinkjob-operator"
CLOSING_SECONDS = 0.25
"""What aiohttp needs to end its TLS connections after its sessions are closed; it cannot be waited for."""
DRAIN_SECONDS = 20.0
QUICKEST_SECONDS = 0.02
"""The shortest pause between two looks at a cluster."""
RESYNC_SECONDS = 300.0
STUCK_SECONDS = 120.0
"""When keys wait and for so long no worker has begun or ended a round, the operator is stuck."""
MIB = 1024 * 1024


class App:
    """The operator in one process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ready = asyncio.Event()
        self._standing_by = False
        self._queue: WorkQueue | None = None

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT.

        Raises:
            FlinkJobError: the API server does not serve the kinds, or cannot be reached.
            CancelledError: asked to end before it watched anything.
        """
        settings = self._settings
        _end_when_told()
        log.info("%s %s starts with %s", COMPONENT, __version__, dict(settings.shown()))
        registry = CollectorRegistry()
        metrics = Metrics(registry)
        async with AsyncExitStack() as stack:
            # more than one namespace has workers, so that it cannot take all of them
            bounds = Bounds(connections=max(USUAL.connections, 2 * settings.workers_per_namespace))
            connect = KubeClient.connect(settings.kubeconfig, bounds=bounds, on_request=metrics.kube_request)
            kube = await stack.enter_async_context(await connect)
            await kube.crds_present()
            health = HealthServer(settings.health_port, registry, self._live, self._is_ready)
            await stack.enter_async_context(health)
            log.info("health and metrics on port %d", health.port)
            leadership = await self._lead(kube, metrics, stack)
            metrics.leads(lambda: leadership is None or leadership.leads())
            events = await stack.enter_async_context(
                EventRecorder(kube, COMPONENT, socket.gethostname(), dropped=metrics.events_dropped_total.inc)
            )
            hosts = HostRules.of(settings.allowed_hosts, loopback=settings.allow_loopback)
            require = leadership.require if leadership is not None else _allowed
            mine = leadership.shards if isinstance(leadership, Membership) else frozenset[int]
            self._cache = cache = ObjectCache()
            self._sharing = Sharing(cache, shards=settings.shards, mine=mine)
            artifact_http = await stack.enter_async_context(artifact_client(hosts.check_address))
            queue = self._build(kube, events, hosts, artifact_http, metrics, require, stack)
            gc.collect()
            gc.freeze()  # what stays for good is not looked through with each large answer, which stops everything else
            chores = [
                asyncio.create_task(self._resync(queue), name="resync"),
                asyncio.create_task(self._orphaned_jobs.run(), name="orphaned jobs"),
                asyncio.create_task(self._config_maps.run(), name="config maps"),
            ]
            stack.push_async_callback(queue.drain, DRAIN_SECONDS)
            try:
                first = FirstList(kube, cache, self._enqueue, settings.namespaces or None)
                await first.fill()
                if isinstance(leadership, Membership):
                    handover = Handover(self._sharing, first, queue=queue, forget=self._leave)
                    leadership.serve(handover)
                chores.append(asyncio.create_task(first.keep_confirming(), name="first list"))
                await self._watch(first)
            finally:
                for chore in chores:
                    chore.cancel()
        await asyncio.sleep(CLOSING_SECONDS)
        log.info("%s has ended", COMPONENT)

    def _build(
        self,
        kube: KubeClient,
        events: EventRecorder,
        hosts: HostRules,
        artifact_http: httpx.AsyncClient,
        metrics: Metrics,
        require: Callable[[], None],
        stack: AsyncExitStack,
    ) -> WorkQueue:
        settings = self._settings
        cache, sharing = self._cache, self._sharing
        fast = settings.poll_fast_ms / 1000
        pace = Pace(fast=fast, slow=settings.poll_slow_ms / 1000, quick=max(fast / 10, QUICKEST_SECONDS))
        longest = max(settings.max_overview_mb, settings.max_exceptions_mb) * MIB
        limits = Limits(
            overview=settings.max_overview_mb * MIB,
            exceptions=settings.max_exceptions_mb * MIB,
            budget=Budget(max(BUDGET_BYTES, 2 * longest)),
        )
        connections = Connections(
            kube,
            hosts.check_address,
            most=settings.max_connections,
            limits=limits,
            hooks=_hooks(metrics, require),
            credentials_over_http=settings.credentials_over_http,
        )
        stack.push_async_callback(connections.close)
        ticks = Ticks(self._enqueue)
        stack.callback(ticks.close)
        clusters = Clusters(
            connections.connect,
            pace,
            self._enqueue,
            release=connections.release,
            polled=metrics.poll_seconds.observe,
            news=ticks.news,
        )
        stack.push_async_callback(clusters.close)
        faults = Faults(settings.fault_kill_at, require=require)
        downloads = Permits(settings.max_downloads, each=-(-settings.max_downloads // 2))
        grants = StoreGrants.of(settings.store_grants)
        accesses = StoreAccesses(reader=kube, grants=grants, hosts=hosts, plain=settings.credentials_over_http)
        store = ArtifactStore(
            settings.cache_dir,
            artifact_http,
            allowed_directories=settings.artifact_dirs,
            max_bytes=settings.max_artifact_mb * MIB,
            timeout_seconds=settings.artifact_timeout_seconds,
            max_cache_bytes=settings.max_cache_mb * MIB,
            check_url=hosts.check_url,
            credentials=SourceAccesses(reader=kube, stores=accesses, plain=settings.credentials_over_http),
            turn=downloads.hold,
            maven_repository=settings.maven_repository,
        )
        builder = JarBuilder(store, Runners(settings.runner_dir), turn=Permits(1).hold)
        identity = settings.identity
        variables = VariableSources(kube, OperatorVariables(kube, settings.variables_config_map))
        tasks = Tasks(
            identity=identity,
            clusters=clusters,
            builder=builder,
            faults=faults,
            enqueue=self._enqueue,
            most=settings.max_long_calls,
            hiding=variables.hiding,
        )
        stack.push_async_callback(tasks.close)
        copy_tasks = CopyTasks(
            identity=identity,
            stores=accesses,
            faults=faults,
            enqueue=self._enqueue,
            in_use=cache.snapshots_in_use,
            parallel=settings.max_syncs,
            memory=settings.max_sync_memory_mb,
            bandwidth=settings.sync_mb_per_second * MIB or None,
            ended=metrics.synced,
        )
        stack.push_async_callback(copy_tasks.close)
        lister = SnapshotLister(settings.state_dirs)
        copies = CopySearches(
            identity=identity, stores=accesses, enqueue=self._enqueue, memory=settings.max_sync_memory_mb
        )
        stack.push_async_callback(copies.close)
        self._config_maps = config_maps = ConfigMaps(kube, sharing.jobs, self._enqueue)
        observer = Observer(
            identity=identity,
            clusters=clusters,
            tasks=tasks,
            kube=kube,
            snapshots=lister,
            hosts=hosts,
            services=Services(kube, search=own_search_list()),
            copies=copies,
            config_maps=config_maps,
            variables=variables,
        )
        executor = Executor(
            identity=identity,
            kube=kube,
            clusters=clusters,
            tasks=tasks,
            cache=cache,
            events=events,
            faults=faults,
            count_event=metrics.count_event,
            hiding=variables.hiding,
        )
        reconciler = Reconciler(
            identity=identity,
            cache=cache,
            observer=observer,
            executor=executor,
            clusters=clusters,
            tasks=tasks,
            copy_tasks=copy_tasks,
            metrics=metrics,
            ticks=ticks,
            unmarked=settings.allow_unmarked_jobs,
            grants=grants,
            sharing=sharing,
        )
        self._leave = reconciler.leave
        self._queue = queue = WorkQueue(
            reconciler.reconcile, workers=settings.workers, share=settings.workers_per_namespace
        )
        self._metrics = metrics
        self._orphaned_jobs = OrphanedJobs(identity=identity, clusters=clusters, cache=cache, events=events)
        metrics.count_unclaimed(self._orphaned_jobs.count)
        metrics.clusters_unreachable.set_function(clusters.unreachable)
        metrics.watch_queue(queue.depth, queue.oldest_seconds)
        metrics.watch_ages(
            lambda: oldest_checkpoint_age(sharing.jobs(), clusters.newest_checkpoints(), datetime.now(UTC)),
            lambda: oldest_savepoint_age(sharing.jobs(), datetime.now(UTC)),
        )
        metrics.watch_copies(
            copy_tasks.running, lambda: oldest_copy(sharing.jobs(), sharing.savepoints(), datetime.now(UTC))
        )
        metrics.watch_shared(
            {
                "workers": queue.usage,
                "connections": connections.usage,
                "long-calls": tasks.usage,
                "downloads": downloads.usage,
                "copies": copy_tasks.usage,
                "copy-searches": copies.usage,
                **_look_ups(),
            }
        )
        if settings.job_metrics:
            metrics.show_each(
                EachJob(
                    sharing.jobs,
                    clusters.newest_checkpoints,
                    clusters.load,
                    lambda: datetime.now(UTC),
                    most=settings.job_metrics,
                )
            )
        metrics.count_jobs(lambda: [job.status.phase or "Pending" for job in sharing.jobs()])
        return queue

    async def _lead(self, kube: KubeClient, metrics: Metrics, stack: AsyncExitStack) -> Leadership | Membership | None:
        """Wait until this replica leads, or has its seat; from then on losing the Lease ends the process at once."""
        settings = self._settings
        if settings.lease_namespace is None:
            return None
        connect = KubeClient.connect(settings.kubeconfig, bounds=RENEWAL, on_request=metrics.kube_request)
        client = await stack.enter_async_context(await connect)
        where, name = settings.lease_namespace, f"{COMPONENT}-{settings.identity}"
        self._standing_by = True
        leadership = await lead(client, where, name, settings.shards, kube.ask_before_writes, stack)
        self._standing_by = False
        return leadership

    async def _watch(self, first: FirstList) -> None:
        registry = build_registry(self._cache, first, self._enqueue, self._saw_event)
        login_handler(registry, self._settings.kubeconfig)
        await kopf.operator(
            registry=registry,
            settings=operator_settings(),
            identity=cast("Any", COMPONENT),  # else Kopf asks for the user's name, and the user of a Pod has none
            standalone=True,
            clusterwide=not self._settings.namespaces,
            namespaces=list(self._settings.namespaces),
            ready_flag=self._ready,
        )

    def _enqueue(self, key: Key) -> None:
        if self._queue is not None and self._sharing.concerns(key):
            self._queue.add(key)

    def _saw_event(self, plural: str) -> None:
        self._metrics.watch_event_timestamp_seconds.labels(plural).set(time.time())

    async def _resync(self, queue: WorkQueue) -> None:
        """Look at everything again now and then, a few at a time: a lost wake-up must not last."""
        while True:
            for pause, keys in spread(sorted(self._sharing.keys()), RESYNC_SECONDS):
                await asyncio.sleep(pause)
                for key in keys:
                    queue.add(key)

    def _live(self) -> str | None:
        stuck = self._queue.stuck_seconds() if self._queue is not None else 0.0
        return f"keys wait, and no worker has done anything for {stuck:.0f} s" if stuck > STUCK_SECONDS else None

    def _is_ready(self) -> str | None:
        return None if self._standing_by or self._ready.is_set() else "not watching yet"


def _allowed() -> None:
    """A single replica may always have effects."""


def _look_ups() -> dict[str, Callable[[], Usage]]:
    """Of names, where this process has threads of its own for them."""
    loop = asyncio.get_running_loop()
    return {"look-ups": loop.resolver.usage} if isinstance(loop, ResolvingLoop) else {}


def _end_when_told() -> None:
    """Listen to SIGTERM and SIGINT until Kopf does: to the first process of a container they do nothing by themselves."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _hooks(metrics: Metrics, require: Callable[[], None]) -> Hooks:
    """Of every exchange with a cluster: it is counted by endpoint and code, and asked for when it is sent."""

    async def begun(request: httpx.Request) -> None:
        request.extensions["begun"] = time.monotonic()

    async def answered(response: httpx.Response) -> None:
        seconds = time.monotonic() - response.request.extensions["begun"]
        metrics.flink_request(
            f"{response.request.method} {response.request.url.path}", str(response.status_code), seconds
        )

    return {"request": [begun, before_sending(require)], "response": [answered]}
