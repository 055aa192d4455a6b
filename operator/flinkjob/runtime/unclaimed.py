"""Running jobs that carry this operator's mark but belong to no FlinkJob: found, counted, told; never touched.

Started by `app` beside the workers. Such a job is left by a FlinkJob that was deleted with `Orphan`, or was itself lost.
Invariant: each unknown job is asked for its mark once, a few a minute; the regular polling costs nothing more.
"""

from __future__ import annotations

import asyncio
import logging

from flinkjob.api.constants import JOB_KIND
from flinkjob.core.errors import FlinkJobError
from flinkjob.core.identity import Mark, read_mark
from flinkjob.core.reasons import Reason
from flinkjob.kube.events import EventRecorder
from flinkjob.kube.kinds import ObjectRef
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.clusters import Cluster, Clusters

log = logging.getLogger(__name__)

SCAN_SECONDS = 30.0
MOST_READS = 20
"""How many unknown jobs of a cluster are asked for their mark in one scan."""


class UnclaimedJobs:
    """Looks for jobs that nobody claims."""

    def __init__(self, *, identity: str, clusters: Clusters, cache: ObjectCache, events: EventRecorder) -> None:
        self._identity = identity
        self._clusters = clusters
        self._cache = cache
        self._events = events
        self._marks: dict[str, Mark | None] = {}
        self._told: set[str] = set()

    def count(self) -> int:
        """How many there were at the last scan."""
        return len(self._told)

    async def run(self) -> None:
        """Scan for ever."""
        while True:
            await asyncio.sleep(SCAN_SECONDS)
            await self.scan()

    async def scan(self) -> None:
        """Look once at all clusters that are watched."""
        found: set[str] = set()
        for cluster in self._clusters.all():
            try:
                found |= await self._scan(cluster)
            except FlinkJobError as error:
                log.debug("%s cannot be scanned: %s", cluster.url, error.message)
        self._told = found
        self._marks = {job_id: mark for job_id, mark in self._marks.items() if job_id in found or mark is None}

    async def _scan(self, cluster: Cluster) -> set[str]:
        found: set[str] = set()
        reads = 0
        for overview in cluster.strangers():
            job_id = overview.job_id
            if job_id not in self._marks:
                if reads >= MOST_READS:
                    continue
                reads += 1
                config = await cluster.client.job_user_config(job_id)
                self._marks[job_id] = read_mark(config) if config is not None else None
            mark = self._marks[job_id]
            if mark is not None and self._unclaimed(mark):
                found.add(job_id)
                if job_id not in self._told:
                    self._tell(cluster.url, job_id, mark)
        return found

    def _unclaimed(self, mark: Mark) -> bool:
        identity, namespace, name = mark.owner.split("/", 2)
        return identity == self._identity and self._cache.job((namespace, name)) is None

    def _tell(self, url: str, job_id: str, mark: Mark) -> None:
        _, namespace, name = mark.owner.split("/", 2)
        message = f"job {job_id} at {url} was started for FlinkJob {namespace}/{name}, which does not exist"
        log.warning("%s", message)
        ref = ObjectRef(kind=JOB_KIND, namespace=namespace, name=name, uid=mark.uid)
        self._events.post(ref, type="Warning", reason=Reason.UnclaimedJob, message=message)
