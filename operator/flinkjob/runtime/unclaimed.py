"""Running jobs that carry this operator's mark but belong to no FlinkJob: found, counted, told; never touched.

Started by `app` beside the workers. Such a job is left by a FlinkJob that was deleted with `Orphan`, or was itself lost.
Invariant: each unknown job is asked for its mark once, a few a minute; the regular polling costs nothing more.
"""

from __future__ import annotations

import asyncio
import logging

from flinkjob.api.constants import JOB_KIND
from flinkjob.core.errors import FlinkJobError
from flinkjob.core.identity import Mark
from flinkjob.core.reasons import Reason
from flinkjob.kube.events import EventRecorder
from flinkjob.kube.kinds import ObjectRef
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.cluster import Cluster
from flinkjob.runtime.clusters import Clusters

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

    async def _scan(self, cluster: Cluster) -> set[str]:
        marks = await cluster.marks(MOST_READS)
        if marks is None:  # the rest is asked by the next scan
            return {job.job_id for job in cluster.strangers() if job.job_id in self._told}
        found = {job_id for job_id, mark in marks.items() if self._unclaimed(mark)}
        for job_id in found - self._told:
            self._tell(cluster.url, job_id, marks[job_id])
        return found

    def _unclaimed(self, mark: Mark) -> bool:
        if mark.owner.count("/") < 2:
            return False  # no operator writes that
        identity, namespace, name = mark.owner.split("/", 2)
        return identity == self._identity and self._cache.job((namespace, name)) is None

    def _tell(self, url: str, job_id: str, mark: Mark) -> None:
        _, namespace, name = mark.owner.split("/", 2)
        message = f"job {job_id} at {url} was started for FlinkJob {namespace}/{name}, which does not exist"
        log.warning("%s", message)
        ref = ObjectRef(kind=JOB_KIND, namespace=namespace, name=name, uid=mark.uid)
        self._events.post(ref, type="Warning", reason=Reason.UnclaimedJob, message=message)
