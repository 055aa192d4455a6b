"""One poller for each Flink cluster: `/jobs/overview` once a tick, however many jobs; keys are enqueued when theirs changed.

Used by the observer and the reconciler. Invariants: an unreachable cluster changes nothing that is known about its jobs; a
job counts as absent only when Flink itself said "not found" and as long as the same JobManager process says so; a cluster
that nobody watches is not polled.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from flinkjob.core.errors import FlinkJobError
from flinkjob.core.flinkmodel import CheckpointConfig, JarFile, JobOverview
from flinkjob.core.identity import Mark, prefix_of, read_mark
from flinkjob.core.jobmanagers import JobManagers, configured
from flinkjob.core.seen import ClusterSeen, JobSeen, Presence
from flinkjob.flink.client import FlinkClient
from flinkjob.flink.knownjobs import KnownJobs
from flinkjob.net.permits import on_account, paid_by
from flinkjob.runtime.checkpoint_reads import CheckpointReads
from flinkjob.runtime.failure_reads import FailureReads
from flinkjob.runtime.load_reads import LoadReads
from flinkjob.runtime.once_read import OnceRead
from flinkjob.runtime.overview import Overview, compare
from flinkjob.runtime.pace import Pace, Pacemaker
from flinkjob.runtime.queue import Key
from flinkjob.runtime.shared_answer import SharedAnswer

log = logging.getLogger(__name__)

FIRST_ANSWER = 0.5
"""Seconds, from the first look at a cluster on, for which observations wait for its first answer."""


@dataclass
class _Absence:
    incarnation: str | None
    since: float


class Cluster:
    """What one cluster says, kept fresh by its poller."""

    def __init__(
        self,
        client: FlinkClient,
        url: str,
        pace: Pace,
        enqueue: Callable[[Key], None],
        polled: Callable[[float], None],
        news: Callable[[Key], None],
    ) -> None:
        """
        Args:
            enqueue: called with the keys whose jobs changed.
            polled: called with the seconds that each look took, answered or not.
            news: called with the keys whose jobs have a newer checkpoint.
        """
        self.client = client
        self.checkpoints = CheckpointReads(paid_by(self._paying, client.checkpoints), enqueue=enqueue, news=news)
        self.loads = LoadReads(client, self._paying)
        self.url = url
        self._pace = Pacemaker(pace)
        self._enqueue = enqueue
        self._note_poll = polled
        self._seen = ClusterSeen(url=url, reachable=False)
        self._overview = Overview()
        self._known = KnownJobs()
        self._watchers: dict[str, set[Key]] = {}
        self._visitors: set[Key] = set()
        self._payers: tuple[str, ...] | None = None
        self._absent: dict[str, _Absence] = {}
        self._marks: OnceRead[Mark | None] = OnceRead(self._began)
        self._settings: OnceRead[CheckpointConfig] = OnceRead(self._began)
        self._failure_reads = FailureReads(paid_by(self._paying, client.failures), self._wake, name=url)
        self._managers = JobManagers()
        self._manager = SharedAnswer(paid_by(self._paying, self._identify))
        self._jars = SharedAnswer(paid_by(self._paying, client.list_jars))
        self._silent_since: float | None = None
        self._failures = 0
        self._created = time.monotonic()
        self._answered = asyncio.Event()
        self._earlier = asyncio.Event()
        self._polling = asyncio.Lock()
        self._polled = 0.0
        self._task = asyncio.create_task(self._run(), name=f"poll {url}")

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._failure_reads.close()
        await self.checkpoints.close()
        await self.loads.close()

    # who watches

    def watch(self, key: Key, prefixes: frozenset[str], *, moving: bool) -> None:
        """Wake `key` when a job with one of these id prefixes changes; poll fast while it is `moving`.

        Without a prefix it is woken by nothing, and the cluster is polled all the same.
        """
        if key not in self._visitors:
            self._visitors.add(key)
            self._payers = None
        for prefix in prefixes:
            self._watchers.setdefault(prefix, set()).add(key)
        if not moving:
            self._pace.rests(key)
        elif self._pace.begins(key):
            self._earlier.set()

    def unwatch(self, key: Key, prefixes: frozenset[str]) -> None:
        for prefix in prefixes & self._watchers.keys():
            self._watchers[prefix].discard(key)
            if not self._watchers[prefix]:
                del self._watchers[prefix]
        self._visitors.discard(key)
        self._payers = None
        self._pace.rests(key)
        self.checkpoints.forget(key)

    @property
    def namespaces(self) -> frozenset[str]:
        """The namespaces of those who watch jobs of it."""
        return frozenset(key[0] for keys in self._watchers.values() for key in keys)

    @property
    def watched(self) -> bool:
        return bool(self._visitors)

    def _paying(self) -> tuple[str, ...]:
        """The namespaces of those who watch."""
        if self._payers is None:
            self._payers = tuple({key[0] for key in self._visitors})
        return self._payers

    @property
    def silent(self) -> bool:
        """Whether the last look got no answer."""
        return self._silent_since is not None

    # what is known

    async def seen(self) -> ClusterSeen:
        """The cluster as of the last answer; waits for the first one."""
        patience = self._created + FIRST_ANSWER - time.monotonic()
        if patience > 0 and not self._answered.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._answered.wait()
        silent = time.monotonic() - self._silent_since if self._silent_since is not None else 0.0
        return replace(self._seen, unreachable_for=silent)

    def unknown_jobs(self) -> tuple[JobOverview, ...]:
        """The live jobs that no key watches."""
        return tuple(
            job
            for job_id, job in self._overview.jobs.items()
            if prefix_of(job_id) not in self._watchers and not job.state.is_terminal
        )

    async def marks(self, most: int) -> dict[str, Mark | None] | None:
        """The owner marks of the unknown jobs, by job id, None for a job without one; each is asked once in its life.

        Returns:
            None when more than `most` had to be asked: those are known now, ask again.

        Raises:
            FlinkJobError: no usable answer.
        """
        unknown_jobs = [job.job_id for job in self.unknown_jobs()]
        unread = [job_id for job_id in unknown_jobs if job_id not in self._marks]
        for job_id in unread[:most]:
            await self.mark(job_id)
        if len(unread) > most:
            return None
        return {job_id: self._marks.get(job_id) if job_id in self._marks else None for job_id in unknown_jobs}

    async def mark(self, job_id: str) -> Mark | None:
        """The owner mark of a job, None when it has none; a job is asked once in its life.

        A job that is being initialised shows none yet, and is asked again.

        Raises:
            FlinkJobError: no usable answer.
        """
        if job_id in self._marks:
            return self._marks.get(job_id)
        config = await self.client.job_user_config(job_id)
        mark = read_mark(config) if config is not None else None
        job = self._overview.jobs.get(job_id)
        if mark is not None or (job is not None and not job.state.is_beginning):
            self._marks.put(job_id, mark)
        return mark

    async def checkpoint_config(self, job_id: str) -> CheckpointConfig | None:
        """How a job checkpoints, None where Flink does not know it; a job is asked once in its life.

        Raises:
            FlinkJobError: no usable answer.
        """
        if job_id in self._settings:
            return self._settings.get(job_id)
        config = await self.client.checkpoint_config(job_id)
        if config is not None:
            self._settings.put(job_id, config)
        return config

    def _began(self, job_id: str) -> datetime | None:
        """When the job was started: another one may have its id, after the JobManager was lost."""
        job = self._overview.jobs.get(job_id)
        return job.start_time if job is not None else None

    def known(self, job_id: str) -> JobOverview | None:
        """The job by id, as of the last look."""
        return self._overview.jobs.get(job_id)

    def owned_jobs(self, prefixes: tuple[str, ...]) -> tuple[JobOverview, ...]:
        """All jobs with one of these id prefixes, in any state."""
        return tuple(job for prefix in prefixes for job in self._overview.by_prefix.get(prefix, ()))

    async def job(self, job_id: str, *, expected: bool) -> JobSeen:
        """The job by id.

        Args:
            expected: False where absence is the normal case (the run call is on its way): one look is enough then.

        Raises:
            FlinkJobError: no usable answer.
        """
        if job_id not in self._overview.jobs and self._seen.reachable:
            await self.poll()
        if not self._seen.reachable:
            return JobSeen(presence=Presence.UNKNOWN)
        if (overview := self._overview.jobs.get(job_id)) is not None:
            self._absent.pop(job_id, None)
            since = self._overview.terminal.get(job_id)
            lasted = time.monotonic() - since if since is not None else 0.0
            return JobSeen(
                presence=Presence.PRESENT,
                overview=overview,
                terminal_for=lasted,
                steady_for=self._failure_reads.steady_for(job_id),
                short_for=self._failure_reads.short_for(job_id),
                failures=self._failure_reads.failures(job_id),
            )
        if not expected:
            return JobSeen(presence=Presence.ABSENT)
        return await self._confirm_absence(job_id)

    async def _confirm_absence(self, job_id: str) -> JobSeen:
        """The overview leaves out jobs whose JobMaster does not answer: only "not found" counts, by one process."""
        await self.identify()
        if await self.client.job_status(job_id) is not None:
            self._absent.pop(job_id, None)
            return JobSeen(presence=Presence.UNKNOWN)
        now, incarnation = time.monotonic(), self._seen.incarnation
        before = self._absent.get(job_id)
        if before is None or before.incarnation != incarnation:
            before = self._absent[job_id] = _Absence(incarnation, now)
        return JobSeen(presence=Presence.ABSENT, absent_for=now - before.since)

    async def identify(self) -> ClusterSeen:
        """Ask which JobManager process answers, and what it is configured to do.

        Raises:
            FlinkJobError: no usable answer.
        """
        return await self._manager.get()

    async def jars(self) -> tuple[JarFile, ...]:
        """The jars that are uploaded.

        Raises:
            FlinkJobError: no usable answer.
        """
        return await self._jars.get()

    async def _identify(self) -> ClusterSeen:
        manager = await self.client.jobmanager_config()
        config = await self.client.cluster_config() if manager.incarnation != self._seen.incarnation else None
        now = time.monotonic()
        self._managers = self._managers.after(manager.incarnation, now)
        self._seen = replace(
            self._seen,
            incarnation=manager.incarnation,
            high_availability=manager.high_availability,
            several_managers=self._managers.are_several(now),
            flink_version=config.flink_version if config else self._seen.flink_version,
            refresh_interval=config.refresh_interval_ms / 1000 if config else self._seen.refresh_interval,
            allows_submission=config.web_submit if config else self._seen.allows_submission,
            **configured(manager.config),
        )
        return self._seen

    # the poller

    async def poll(self) -> None:
        """Look now; several who ask at the same time share one answer. Never raises."""
        asked = time.monotonic()
        async with self._polling:
            if self._polled > asked:
                return
            await self._poll()

    async def _poll(self) -> None:
        begun = time.monotonic()
        try:
            with on_account(self._paying()):
                overview = await self.client.overview_jobs(self._known)
                if not self._seen.reachable or self._seen.incarnation is None:
                    await self.identify()
        except FlinkJobError as error:
            self._silence(error.message)
        except Exception as error:
            log.exception("cluster %s cannot be looked at", self.url)
            self._silence(f"internal error: {type(error).__name__}")
        else:
            await self._take(overview)
        self._polled = time.monotonic()
        self._pace.looked(self._polled - begun)
        self._note_poll(self._polled - begun)
        self._answered.set()

    def _silence(self, message: str) -> None:
        self._failures += 1
        first = self._silent_since is None
        self._silent_since = self._silent_since or time.monotonic()
        self._seen = replace(self._seen, reachable=False, error=message)
        if first:
            log.warning("cluster %s does not answer: %s", self.url, message)
            self._enqueue_all()

    async def _take(self, seen: tuple[JobOverview, ...]) -> None:
        before = self._overview
        overview = await compare(before, seen, time.monotonic())
        await self._failure_reads.look(
            before.jobs, overview.jobs, self._is_watched, refresh=self._seen.refresh_interval
        )
        self._overview = overview
        for reads in (self.checkpoints, self.loads):
            reads.retain(lambda job_id: job_id in overview.jobs and job_id not in overview.terminal)
        self._marks.retain(overview.jobs)
        self._settings.retain(overview.jobs)
        self._failures = 0
        recovered = not self._seen.reachable
        self._silent_since = None
        self._seen = replace(self._seen, reachable=True, error="")
        if recovered:
            self._enqueue_all()
            return
        woken = {key for prefix in overview.changed for key in self._watchers.get(prefix, ())}
        if woken:
            self._pace.stir()
            self._earlier.set()
        for key in woken:
            self._enqueue(key)

    def _is_watched(self, job_id: str) -> bool:
        return prefix_of(job_id) in self._watchers

    def _wake(self, job_id: str) -> None:
        for key in self._watchers.get(prefix_of(job_id), ()):
            self._enqueue(key)

    def _enqueue_all(self) -> None:
        for key in self._visitors:
            self._enqueue(key)

    async def _run(self) -> None:
        while True:
            await self.poll()
            while (rest := self._pace.rest(self._failures)) > 0:
                self._earlier.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(rest):  # `wait_for` may swallow the end of the poller
                        await self._earlier.wait()
