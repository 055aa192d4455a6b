"""Numbers about single FlinkJobs, for those who ask for them: `--job-metrics`, at most so many FlinkJobs.

Registered by `app`, and read at each scrape from what statuses hold and what clusters said last. Only how busy jobs are, and
how far behind their sources, is read from Flink for them: in turns, and not while nobody scrapes. Bounded: labels are
namespace, name and phase; FlinkJobs beyond the limit, by namespace and name, are only counted.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from flinkjob.api.codec import FlinkJob
from flinkjob.api.enums import Phase
from flinkjob.api.flinkjob_status import Submission
from flinkjob.core.jobload import JobLoad
from flinkjob.core.units import bytes_of
from flinkjob.observability.jobmetrics import downtime_seconds, newest_checkpoint

_PREFIX = "flinkjob_job_"
_JOB = ("namespace", "name")


class EachJob(Collector):
    """`flinkjob_job_…{namespace, name}`."""

    def __init__(
        self,
        jobs: Callable[[], Iterable[FlinkJob]],
        seen: Callable[[], Mapping[str, datetime]],
        load: Callable[[FlinkJob], JobLoad | None],
        now: Callable[[], datetime],
        *,
        most: int,
    ) -> None:
        """
        Args:
            seen: when the newest checkpoint was completed that was seen of a Flink job, by its id.
            load: how busy its run is, as far as that is known; asked at each scrape.
            most: so many FlinkJobs have numbers.
        """
        self._jobs = jobs
        self._seen = seen
        self._load = load
        self._now = now
        self._most = most

    def collect(self) -> Iterator[GaugeMetricFamily]:
        jobs, now, seen = list(self._jobs()), self._now(), self._seen()
        shown = heapq.nsmallest(self._most, jobs, key=lambda job: (job.meta.namespace, job.meta.name))
        left_out = GaugeMetricFamily(f"{_PREFIX}left_out", "FlinkJobs that have no numbers of their own.")
        left_out.add_metric([], len(jobs) - len(shown))
        yield left_out
        phases = GaugeMetricFamily(f"{_PREFIX}phase", "1 for the phase that it is in.", labels=[*_JOB, "phase"])
        for job in shown:
            phases.add_metric([*_name(job), job.status.phase or Phase.PENDING], 1)
        yield phases
        for name, (what, number) in _NUMBERS.items():
            family = GaugeMetricFamily(f"{_PREFIX}{name}", what, labels=_JOB)
            for job in shown:
                if (found := number(job, seen, now)) is not None:
                    family.add_metric(_name(job), found)
            yield family
        yield from self._loads(shown)

    def _loads(self, shown: Iterable[FlinkJob]) -> Iterator[GaugeMetricFamily]:
        found = [(job, load) for job in shown if _live_run(job) is not None and (load := self._load(job)) is not None]
        for name, (what, number) in _LOADS.items():
            family = GaugeMetricFamily(f"{_PREFIX}{name}", what, labels=_JOB)
            for job, load in found:
                if (value := number(job, load)) is not None:
                    family.add_metric(_name(job), value)
            yield family


def _name(job: FlinkJob) -> list[str]:
    return [job.meta.namespace, job.meta.name]


def _uptime(job: FlinkJob, _seen: Mapping[str, datetime], now: datetime) -> float | None:
    run = _live_run(job)
    return (now - run.started_time).total_seconds() if run is not None and run.started_time is not None else None


def _restarts(job: FlinkJob, _seen: Mapping[str, datetime], _now: datetime) -> float | None:
    return job.status.job.restarts if job.status.job is not None else None


def _checkpoint_age(job: FlinkJob, seen: Mapping[str, datetime], now: datetime) -> float | None:
    time = newest_checkpoint(job, seen) if _live_run(job) is not None else None
    return (now - time).total_seconds() if time is not None else None


def _checkpoint_seconds(job: FlinkJob, _seen: Mapping[str, datetime], _now: datetime) -> float | None:
    newest = job.status.last_checkpoint
    return newest.duration_ms / 1000 if newest is not None and newest.duration_ms is not None else None


def _checkpoint_bytes(job: FlinkJob, _seen: Mapping[str, datetime], _now: datetime) -> float | None:
    newest = job.status.last_checkpoint
    return bytes_of(newest.size) if newest is not None and newest.size is not None else None


def _savepoint_age(job: FlinkJob, _seen: Mapping[str, datetime], now: datetime) -> float | None:
    newest = job.status.last_savepoint
    return (now - newest.time).total_seconds() if newest is not None and newest.time is not None else None


def _downtime(job: FlinkJob, _seen: Mapping[str, datetime], _now: datetime) -> float | None:
    latest = job.status.history[0] if job.status.history else None
    return downtime_seconds(latest.downtime) if latest is not None and latest.downtime is not None else None


def _busy_tasks(job: FlinkJob, load: JobLoad) -> float | None:
    parallelism = job.status.parallelism
    return load.busy * parallelism if load.busy is not None and parallelism is not None else None


def _parallelism(job: FlinkJob, _seen: Mapping[str, datetime], _now: datetime) -> float | None:
    return job.status.parallelism


def _live_run(job: FlinkJob) -> Submission | None:
    run = job.status.submission
    return run if run is not None and run.lives else None


_NUMBERS: Mapping[str, tuple[str, Callable[[FlinkJob, Mapping[str, datetime], datetime], float | None]]] = {
    "uptime_seconds": ("Since all tasks of its run first ran.", _uptime),
    "parallelism": ("What its scale subresource reports.", _parallelism),
    "restarts": ("How often Flink itself has restarted its run; up to a minute behind.", _restarts),
    "checkpoint_age_seconds": (
        "Age of the newest checkpoint of its run; up to five minutes behind, on a cluster of 600 jobs or more up to "
        "twenty (of more than 2,400: half a second for each).",
        _checkpoint_age,
    ),
    "checkpoint_duration_seconds": (
        "How long the checkpoint in its status took; up to an hour or so behind.",
        _checkpoint_seconds,
    ),
    "checkpoint_size_bytes": ("Size of the checkpoint in its status; up to an hour or so behind.", _checkpoint_bytes),
    "savepoint_age_seconds": ("Age of its newest savepoint.", _savepoint_age),
    "downtime_seconds": ("How long it was down before its run.", _downtime),
}

_LOADS: Mapping[str, tuple[str, Callable[[FlinkJob, JobLoad], float | None]]] = {
    "busy_ratio": (
        "What part of the time the tasks of its busiest vertex work, from 0 to 1.",
        lambda _, load: load.busy,
    ),
    "busy_tasks": (
        "Its parallelism times flinkjob_job_busy_ratio: what an autoscaler divides by how busy each task shall be.",
        _busy_tasks,
    ),
    "backpressured_ratio": (
        "What part of the time the tasks of one vertex wait for those behind, from 0 to 1; of the vertex that waits most.",
        lambda _, load: load.backpressured,
    ),
    "pending_records": (
        "Records that its sources have not read yet; only of sources that know, such as Kafka's.",
        lambda _, load: load.lag.pending,
    ),
    "source_lag_seconds": (
        "How old the events are that its sources emit; only of sources whose events have a time.",
        lambda _, load: load.lag.seconds,
    ),
}
