"""The operator's metrics, all named `flinkjob_*`.

Built once in `app` on an injected registry; adapters get the methods that they call as plain callbacks.
Bounded cardinality: no label holds a name, namespace, URL or message; only kinds, phases, endpoints and codes. What `eachjob`
adds has names, for so many FlinkJobs as are asked for.
"""

from __future__ import annotations

import re
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from flinkjob.api.enums import SavepointErrorCode
from flinkjob.core.shares import Usage

DOWNTIME = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
SYNC_SECONDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
SYNCED = "Synced"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ENDPOINT = re.compile(
    r"(?:/jobs/:id(?:/(?:checkpoints(?:/config|/details/:id|/:id)?|config|exceptions|metrics|plan|resource-requirements"
    r"|savepoints(?:/:id)?|status|stop|vertices/:id/subtasks/metrics))?|/jobs/overview|/jars(?:/upload|/:id(?:/plan|/run)?)?|/savepoint-disposal(?:/:id)?"
    r"|/jobmanager/config|/config|/overview)$"
)
"""All that the client of Flink asks for; a test compares the two."""
_IDENTIFIER = re.compile(r"/(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4,12}){4}(?:_[^/]*)?|\d+)(?=/|$)")


class Metrics:
    """All metrics of the process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.reconcile_total = Counter(
            "flinkjob_reconcile", "Reconciliations, by how they ended.", ["kind", "result"], registry=registry
        )
        self.reconcile_seconds = Histogram(
            "flinkjob_reconcile_seconds",
            "Duration of one reconciliation.",
            ["kind"],
            buckets=SECONDS,
            registry=registry,
        )
        self.queue_depth = Gauge("flinkjob_queue_depth", "Keys that wait for a worker.", registry=registry)
        self.queue_oldest_seconds = Gauge(
            "flinkjob_queue_oldest_seconds", "How long the key that waits longest has waited.", registry=registry
        )
        self.kube_requests_total = Counter(
            "flinkjob_kube_requests", "Requests to the API server.", ["verb", "resource", "code"], registry=registry
        )
        self.flink_requests_total = Counter(
            "flinkjob_flink_requests", "Requests to Flink clusters.", ["endpoint", "code"], registry=registry
        )
        self.flink_request_seconds = Histogram(
            "flinkjob_flink_request_seconds",
            "Duration of requests to Flink clusters.",
            ["endpoint"],
            buckets=SECONDS,
            registry=registry,
        )
        self.poll_seconds = Histogram(
            "flinkjob_poll_seconds", "Duration of one poll of one Flink cluster.", buckets=SECONDS, registry=registry
        )
        self.clusters_unreachable = Gauge(
            "flinkjob_clusters_unreachable", "Flink clusters that do not answer.", registry=registry
        )
        self.events_total = Counter(
            "flinkjob_events",
            "Transitions of FlinkJobs and FlinkSavepoints, by the reason of their Event (Submitted, JobFailed, LeftBehind).",
            ["kind", "reason"],
            registry=registry,
        )
        self.events_dropped_total = Counter(
            "flinkjob_events_dropped",
            "Events that were left out, because too many waited or the API server refused them; each is a line in the log.",
            registry=registry,
        )
        self.watch_event_timestamp_seconds = Gauge(
            "flinkjob_watch_event_timestamp_seconds", "When the last watch event came.", ["kind"], registry=registry
        )
        self.unclaimed_jobs = Gauge(
            "flinkjob_unclaimed_jobs", "Running jobs with this operator's mark and no FlinkJob.", registry=registry
        )
        self.leader = Gauge("flinkjob_leader", "1 while this replica leads, else 0.", registry=registry)
        self.downtime_seconds = Histogram(
            "flinkjob_downtime_seconds",
            "From the end of a run to all tasks of the next one running, by why the next one was started (Upgrade, Move).",
            ["reason"],
            buckets=DOWNTIME,
            registry=registry,
        )
        self.oldest_checkpoint_age_seconds = Gauge(
            "flinkjob_oldest_checkpoint_age_seconds",
            "Greatest age of the newest checkpoint of a running job; up to five minutes behind, on a cluster of 600 jobs or "
            "more up to twenty (of more than 2,400: half a second for each).",
            registry=registry,
        )
        self.oldest_savepoint_age_seconds = Gauge(
            "flinkjob_oldest_savepoint_age_seconds",
            "Greatest age of the newest savepoint of a running job that has one.",
            registry=registry,
        )
        self.syncs_total = Counter(
            "flinkjob_syncs",
            "Attempts to copy a snapshot, by how they ended (Synced, StoreError, OwnedByOther).",
            ["result"],
            registry=registry,
        )
        for result in (SYNCED, *SavepointErrorCode):
            self.syncs_total.labels(result)  # 0 from the start, so that the first failure is an increase
        self.sync_seconds = Histogram(
            "flinkjob_sync_seconds",
            "Duration of attempts that completed a copy, waiting for its turn included.",
            buckets=SYNC_SECONDS,
            registry=registry,
        )
        self.sync_bytes_total = Counter(
            "flinkjob_sync_bytes", "Bytes that were written to stores by copies of snapshots.", registry=registry
        )
        self.syncs_running = Gauge(
            "flinkjob_syncs_running", "Copies that are being made or wait for their turn.", registry=registry
        )
        self.oldest_sync_seconds = Gauge(
            "flinkjob_oldest_sync_seconds",
            "How long ago the oldest copy that is not complete was begun.",
            registry=registry,
        )
        self._registry = registry
        self._jobs = _Jobs()
        registry.register(self._jobs)
        self._shared = _Shared()
        registry.register(self._shared)

    def kube_request(self, verb: str, resource: str, code: str) -> None:
        """Counts a request to the API server: `KubeClient.connect(on_request=metrics.kube_request)`."""
        self.kube_requests_total.labels(verb, resource, code).inc()

    def flink_request(self, endpoint: str, code: str, seconds: float) -> None:
        """Counts a request to a Flink cluster.

        Args:
            endpoint: method and path; ids in it are replaced by `:id`.
            code: HTTP status, or the kind of failure.
            seconds: how long it took.
        """
        endpoint = endpoint_label(endpoint)
        self.flink_requests_total.labels(endpoint, code).inc()
        self.flink_request_seconds.labels(endpoint).observe(seconds)

    def count_event(self, kind: str, reason: str) -> None:
        """Counts a transition that an Event reports."""
        self.events_total.labels(kind, reason).inc()

    def reconciled(self, kind: str, result: str, seconds: float) -> None:
        """Counts a reconciliation that took so many seconds."""
        self.reconcile_total.labels(kind, result).inc()
        self.reconcile_seconds.labels(kind).observe(seconds)

    def started_again(self, reason: str, seconds: float) -> None:
        """Counts the downtime before a run, by why it was started."""
        self.downtime_seconds.labels(reason).observe(seconds)

    def synced(self, result: str, seconds: float, size: int) -> None:
        """Counts an attempt to copy a snapshot.

        Args:
            result: `Synced`, or the code of the error.
            seconds: how long it took.
            size: bytes that were written.
        """
        self.syncs_total.labels(result).inc()
        self.sync_bytes_total.inc(size)
        if result == SYNCED:
            self.sync_seconds.observe(seconds)

    def watch_copies(self, running: Callable[[], float], oldest_seconds: Callable[[], float]) -> None:
        """Sets where the number of copies under way and the age of the oldest one are looked up at each scrape."""
        self.syncs_running.set_function(running)
        self.oldest_sync_seconds.set_function(oldest_seconds)

    def leads(self, leads: Callable[[], bool]) -> None:
        """Sets where it is looked up at each scrape whether this replica leads."""
        self.leader.set_function(lambda: float(leads()))

    def watch_ages(self, checkpoint: Callable[[], float], savepoint: Callable[[], float]) -> None:
        """Sets where the greatest ages of checkpoints and savepoints are looked up at each scrape, in seconds."""
        self.oldest_checkpoint_age_seconds.set_function(checkpoint)
        self.oldest_savepoint_age_seconds.set_function(savepoint)

    def count_jobs(self, phases: Callable[[], Iterable[str]]) -> None:
        """Sets where the phases of all FlinkJobs are looked up at each scrape (`flinkjob_jobs{phase}`)."""
        self._jobs.phases = phases

    def show_each(self, jobs: Collector) -> None:
        """Adds the numbers of single FlinkJobs."""
        self._registry.register(jobs)

    def count_unclaimed(self, count: Callable[[], float]) -> None:
        """Sets where the number of unclaimed jobs is looked up at each scrape."""
        self.unclaimed_jobs.set_function(count)

    def watch_queue(self, depth: Callable[[], float], oldest_seconds: Callable[[], float]) -> None:
        """Sets where depth and age of the queue are looked up at each scrape."""
        self.queue_depth.set_function(depth)
        self.queue_oldest_seconds.set_function(oldest_seconds)

    def watch_shared(self, resources: Mapping[str, Callable[[], Usage]]) -> None:
        """Sets where it is looked up at each scrape how much of what all namespaces share is taken, by resource."""
        self._shared.resources = resources


class _Shared(Collector):
    """`flinkjob_shared_…{resource}`."""

    def __init__(self) -> None:
        self.resources: Mapping[str, Callable[[], Usage]] = {}

    def collect(self) -> Iterable[GaugeMetricFamily]:
        def family(name: str, what: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(f"flinkjob_shared_{name}", what, labels=["resource"])

        limit = family("limit", "How much there is of what all namespaces share; some goes beyond for a first one.")
        taken = family("taken", "How much of it is taken.")
        waiting = family("waiting", "How many wait for some of it.")
        for resource, look in self.resources.items():
            used = look()
            limit.add_metric([resource], used.limit)
            taken.add_metric([resource], used.taken)
            waiting.add_metric([resource], used.waiting)
        return limit, taken, waiting


class _Jobs(Collector):
    """`flinkjob_jobs{phase}`, counted when scraped: no bookkeeping that could drift."""

    def __init__(self) -> None:
        self.phases: Callable[[], Iterable[str]] = tuple

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily("flinkjob_jobs", "FlinkJobs by phase.", labels=["phase"])
        counts: Mapping[str, int] = Counts(self.phases())
        for phase, count in sorted(counts.items()):
            family.add_metric([phase or "Pending"], count)
        yield family


def endpoint_label(endpoint: str) -> str:
    """`GET /base/jobs/0a…/checkpoints/17?x=y` as `GET /jobs/:id/checkpoints/:id`; `other` for what the operator never asks.

    What a cluster's address has in front is left out, so that no address makes series of its own.
    """
    method, _, path = endpoint.split("?", 1)[0].partition(" ")
    known = _ENDPOINT.search(_IDENTIFIER.sub("/:id", path))
    return f"{method} {known.group()}" if known else "other"
