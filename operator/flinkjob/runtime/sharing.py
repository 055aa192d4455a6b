"""Whose a key is where the clusters are shared out over replicas; and what is done when shards come and go.

Asked by the reconciler before each round, and by whatever looks at all objects. All replicas watch all objects, so that
what needs them all, such as which snapshots are in use, is known to each; each works on the keys of its shards only.
Invariants: a key of a shard that comes is worked on only after all objects were read again, since the former replica may
have written what no watch has shown yet; a shard goes only after the rounds of its keys have ended, and what they had begun
beside them. With one shard every key is this replica's.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator

from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.core.model import JobDecision
from flinkjob.core.shards import leaves, place_of, shard_of, staying
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.first_list import FirstList
from flinkjob.runtime.queue import Key, WorkQueue

WITHOUT_JOB_SECONDS = 10.0
"""For so long FlinkSavepoints without a FlinkJob are left alone: another replica may have had it a moment ago."""


class Sharing:
    """What of all is this replica's."""

    def __init__(
        self,
        cache: ObjectCache,
        *,
        shards: int = 1,
        mine: Callable[[], frozenset[int]] = frozenset,
    ) -> None:
        """
        Args:
            shards: into how many the clusters are shared out.
            mine: those of them that this replica has.
        """
        self._cache = cache
        self._shards = shards
        self._mine = mine
        self._known: set[Key] = set()
        self._without_job: dict[Key, float] = {}

    def has(self, key: Key) -> bool:
        """Whether this replica works on a key."""
        return self._shards == 1 or self._shard(key) in self._mine()

    def concerns(self, key: Key) -> bool:
        """Whether a round of a key is worth it: it is this replica's, or was and is to be forgotten."""
        if key in self._without_job and not self._cache.savepoints_of(key):
            del self._without_job[key]
        return self._shards == 1 or key in self._known or self.has(key)

    def begin(self, key: Key) -> float | None:
        """A round of a key that this replica has begins, unless it must wait for so many seconds."""
        if self._shards == 1:
            return None
        self._known.add(key)
        if self._cache.job(key) is not None:
            self._without_job.pop(key, None)
            return None
        if not self._cache.savepoints_of(key):
            self._without_job.pop(key, None)
            return None
        now = time.monotonic()
        left = self._without_job.setdefault(key, now + WITHOUT_JOB_SECONDS) - now
        return left if left > 0 else None

    def forget(self, key: Key) -> None:
        """Nothing of a key is known any more."""
        self._known.discard(key)
        if not self.has(key):
            self._without_job.pop(key, None)

    def staying(self, job: FlinkJob, decision: JobDecision) -> JobDecision:
        """The decision, without that the FlinkJob becomes another shard's while something is done to its job."""
        return decision if self._shards == 1 else staying(job, decision, self._shards)

    def leaves(self, job: FlinkJob, status: FlinkJobStatus) -> bool:
        """Whether a FlinkJob becomes another replica's by this status."""
        return self._shards > 1 and leaves(job, status, self._shards)

    def keys(self) -> set[Key]:
        """The keys that this replica works on, and those that it has still to forget."""
        if self._shards == 1:
            return self._cache.keys()
        return set(filter(self.has, self._cache.keys())) | self._known

    def jobs(self) -> Iterator[FlinkJob]:
        """The FlinkJobs that this replica works on."""
        found = self._cache.jobs()
        return (job for job in found if self._shards == 1 or self.has((job.meta.namespace, job.meta.name)))

    def savepoints(self) -> Iterator[FlinkSavepoint]:
        """Likewise."""
        if self._shards == 1:
            return self._cache.savepoints()
        return (each for key in filter(self.has, self._cache.keys()) for each in self._cache.savepoints_of(key))

    def of_shards(self, shards: frozenset[int]) -> list[Key]:
        """The keys of these shards."""
        return sorted(key for key in self._cache.keys() if self._shard(key) in shards)  # noqa: SIM118  (no mapping)

    def left(self) -> list[Key]:
        """The keys that this replica has begun to work on and does not have any more."""
        return sorted(key for key in self._known if not self.has(key))

    def _shard(self, key: Key) -> int:
        job = self._cache.job(key)
        return shard_of(place_of(key, job, () if job is not None else self._cache.savepoints_of(key)), self._shards)


class Handover:
    """What is done when shards come and go, as `runtime/membership.py` asks for it."""

    def __init__(
        self,
        sharing: Sharing,
        lists: FirstList,
        *,
        queue: WorkQueue,
        forget: Callable[[Key], Awaitable[None]],
    ) -> None:
        """
        Args:
            lists: reads all objects.
            forget: ends what is done for a key beside its rounds, and returns when it has ended.
        """
        self._sharing = sharing
        self._lists = lists
        self._queue = queue
        self._forget = forget

    async def prepare(self, shards: frozenset[int]) -> None:
        """Read all objects again.

        Raises:
            KubeUnavailable, KubeRejected: they cannot be listed.
        """
        await self._lists.refresh()

    def begin(self, shards: frozenset[int]) -> None:
        """Work on their keys."""
        for key in self._sharing.of_shards(shards):
            self._queue.add(key)

    async def end(self, shards: frozenset[int]) -> None:
        """Return when nothing is done about their keys any more."""
        await self._queue.without(lambda key: not self._sharing.has(key))
        for key in self._sharing.left():
            await self._forget(key)
