"""Running jobs with this operator's mark or id that belong to no FlinkJob: found, counted, reported; never touched.

Started by `app` beside the workers. Such a job is left by a FlinkJob that was deleted with `Orphan`, or was itself lost;
which these are decides `core/ownership.py`. Of one whose program has erased the mark, no namespace can be named. Whoever can
submit a job there may have put any namespace into its mark. Invariants: an Event goes only into a namespace that has
something of its own at this very cluster, for others there is a line in the log; each unknown job is asked for its mark once,
a few a minute; the regular polling costs nothing more.
"""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from flinkjob.api.constants import JOB_KIND
from flinkjob.api.reasons import Reason
from flinkjob.core.errors import FlinkJobError
from flinkjob.core.identity import Mark, Owner
from flinkjob.core.ownership import is_orphaned
from flinkjob.kube.events import EventRecorder
from flinkjob.kube.kinds import ObjectRef
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.cluster import Cluster
from flinkjob.runtime.clusters import Clusters

log = logging.getLogger(__name__)

SCAN_SECONDS = 30.0
MOST_READS = 20
"""How many unknown jobs of a cluster are asked for their mark in one scan."""


class _Found(NamedTuple):
    """An unclaimed job, as it was reported: again when an object of its namespace uses the cluster."""

    url: str
    job_id: str
    heard: bool


class OrphanedJobs:
    """Looks for jobs that nobody claims."""

    def __init__(self, *, identity: str, clusters: Clusters, cache: ObjectCache, events: EventRecorder) -> None:
        self._identity = identity
        self._clusters = clusters
        self._cache = cache
        self._events = events
        self._reported: set[_Found] = set()

    def count(self) -> int:
        """How many there were at the last scan."""
        return len({found.job_id for found in self._reported})

    async def run(self) -> None:
        """Scan for ever."""
        while True:
            await asyncio.sleep(SCAN_SECONDS)
            await self.scan()

    async def scan(self) -> None:
        """Look once at all clusters that are watched."""
        found: set[_Found] = set()
        for cluster in self._clusters.all():
            try:
                found |= await self._scan(cluster)
            except FlinkJobError as error:
                log.debug("%s cannot be scanned: %s", cluster.url, error.message)
            except Exception:  # the other clusters are scanned, and this one again
                log.exception("%s cannot be scanned", cluster.url)
        self._reported = found

    async def _scan(self, cluster: Cluster) -> set[_Found]:
        marks = await cluster.marks(MOST_READS)
        if marks is None:  # the rest is asked by the next scan
            there = {job.job_id for job in cluster.unknown_jobs()}
            return {one for one in self._reported if one.url == cluster.url and one.job_id in there}
        found = {
            _Found(cluster.url, job_id, mark is not None and mark.of.namespace in cluster.namespaces)
            for job_id, mark in marks.items()
            if is_orphaned(
                self._identity, job_id, mark, exists=self._exists, shown=self._cache.shown(job_id) is not None
            )
        }
        for one in found - self._reported:
            self._report(one, marks[one.job_id])
        return found

    def _exists(self, owner: Owner) -> bool:
        return self._cache.job((owner.namespace, owner.name)) is not None

    def _report(self, found: _Found, mark: Mark | None) -> None:
        if mark is None:
            log.warning(
                "job %s at %s was started by this operator, and no FlinkJob has its id", found.job_id, found.url
            )
            return
        owner = mark.of
        whose = f"{owner.namespace}/{owner.name}"
        message = f"job {found.job_id} at {found.url} was started for FlinkJob {whose}, which does not exist"
        log.warning("%s", message)
        if not found.heard:
            return
        ref = ObjectRef(kind=JOB_KIND, namespace=owner.namespace, name=owner.name, uid=mark.uid)
        self._events.post(ref, type="Warning", reason=Reason.UnclaimedJob, message=message)
