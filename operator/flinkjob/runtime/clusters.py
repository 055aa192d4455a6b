"""The clusters that are watched, by address and way of access; one that nobody watches or borrows is closed.

Used by everything in runtime that calls Flink. Invariant: an object reaches an address in the way that it names itself,
whatever others of its namespace name for the same address; credentials of one namespace are never used for another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

from flinkjob.api.codec import FlinkJob
from flinkjob.core.jobload import JobLoad
from flinkjob.flink.client import FlinkClient
from flinkjob.runtime.access import Access
from flinkjob.runtime.cluster import Cluster
from flinkjob.runtime.pace import Pace
from flinkjob.runtime.queue import Key


class Clusters:
    """All clusters that some FlinkJob names, by address; those with credentials are kept apart for each namespace."""

    def __init__(
        self,
        connect: Callable[[str, Access | None], FlinkClient],
        pace: Pace,
        enqueue: Callable[[Key], None],
        *,
        release: Callable[[str, Access | None], Awaitable[None]] | None = None,
        polled: Callable[[float], None] = lambda _: None,
        news: Callable[[Key], None] = lambda _: None,
    ) -> None:
        """
        Args:
            connect: makes the client for an address and a way of access.
            enqueue: called with the keys whose jobs changed.
            release: called when a cluster is no longer used.
            polled: called with the seconds that each look at a cluster took.
            news: called with the keys whose jobs have a newer checkpoint.
        """
        self._connect = connect
        self._release = release
        self._polled = polled
        self._news = news
        self._pace = pace
        self._enqueue = enqueue
        self._clusters: dict[tuple[str, Access | None], Cluster] = {}
        self._access: dict[Key, dict[str, Access | None]] = {}
        self._watched: dict[Key, tuple[str, Access | None, frozenset[str]]] = {}
        self._borrowed: dict[tuple[str, Access | None], int] = {}
        self._needed: dict[Key, frozenset[tuple[str, Access | None]]] = {}
        self._needs: Counter[tuple[str, Access | None]] = Counter()

    def reach(self, key: Key, url: str, access: Access | None) -> None:
        """Note how the object of this key says that it reaches an address; None: plainly."""
        self._access.setdefault(key, {})[url] = access

    def lend(self, key: Key, url: str, access: Access | None) -> None:
        """The same of an address about which the object says nothing (any more): what it said before counts."""
        self._access.setdefault(key, {}).setdefault(url, access)

    def _way(self, key: Key, url: str) -> Access | None:
        return self._access.get(key, {}).get(url)

    def at(self, url: str, key: Key) -> Cluster:
        """The cluster at an address, as the object of this key reaches it; its poller starts with the first look."""
        return self._at(url, self._way(key, url))

    def _at(self, url: str, access: Access | None) -> Cluster:
        cluster = self._clusters.get((url, access))
        if cluster is None:
            client = self._connect(url, access)
            made = Cluster(client, url, self._pace, self._enqueue, self._polled, self._news)
            cluster = self._clusters[url, access] = made
        return cluster

    def need(self, key: Key, *urls: str) -> None:
        """`key` asks these clusters: they are kept until it needs others, or is forgotten."""
        needed = frozenset((url, self._way(key, url)) for url in urls)
        before = self._needed.get(key, frozenset())
        if needed != before:
            self._needs.update(needed)
            self._needs.subtract(before)
            self._needed[key] = needed

    def watch(self, key: Key, url: str, prefixes: frozenset[str], *, moving: bool) -> None:
        """`key` follows the jobs with these prefixes on this cluster, and on no other any more."""
        access = self._way(key, url)
        before = self._watched.get(key)
        if before is not None and before != (url, access, prefixes):
            self._at(before[0], before[1]).unwatch(key, before[2])
        self._watched[key] = (url, access, prefixes)
        self._at(url, access).watch(key, prefixes, moving=moving)

    def visit(self, key: Key, url: str) -> None:
        """`key` needs this cluster, and does not follow a job there (yet)."""
        before = self._watched.get(key)
        if before is None or before[:2] != (url, self._way(key, url)):
            self.watch(key, url, frozenset(), moving=False)

    @asynccontextmanager
    async def borrow(self, url: str, key: Key) -> AsyncIterator[FlinkClient]:
        """A client for a few calls to an address; unlike `at`, nothing is polled for it."""
        address = (url, self._way(key, url))
        cluster = self._clusters.get(address)
        self._borrowed[address] = self._borrowed.get(address, 0) + 1
        try:
            yield cluster.client if cluster is not None else self._connect(*address)
        finally:
            self._borrowed[address] -= 1
            if not self._borrowed[address]:
                del self._borrowed[address]
                await self._drop(address)

    def all(self) -> tuple[Cluster, ...]:
        """Every cluster that is polled."""
        return tuple(self._clusters.values())

    async def forget(self, key: Key) -> None:
        """`key` follows nothing any more; clusters that nobody watches are closed."""
        before = self._watched.pop(key, None)
        if before is not None:
            self._at(before[0], before[1]).unwatch(key, before[2])
        self.need(key)
        self._needed.pop(key, None)
        self._access.pop(key, None)
        await self.close_unwatched()

    async def leave(self, key: Key, url: str) -> None:
        """`key` follows nothing at this address any more, whatever it follows elsewhere."""
        before = self._watched.get(key)
        if before is not None and before[0] == url:
            await self.forget(key)

    async def close_unwatched(self) -> None:
        """Close what nobody watches or needs; others may do the same meanwhile."""
        self._needs = +self._needs
        while (address := self._unwatched()) is not None:
            await self._clusters.pop(address).close()
            await self._drop(address)

    def _unwatched(self) -> tuple[str, Access | None] | None:
        unwatched = (address for address, cluster in self._clusters.items() if not cluster.watched)
        return next((address for address in unwatched if address not in self._needs), None)

    async def _drop(self, address: tuple[str, Access | None]) -> None:
        """Release the connection to a cluster that is neither polled nor called."""
        if self._release is not None and address not in self._clusters and address not in self._borrowed:
            await self._release(*address)

    def newest_checkpoints(self) -> Mapping[str, datetime]:
        """When the newest checkpoint that is known of each job was completed, by job id."""
        return {
            job_id: time for cluster in self._clusters.values() for job_id, time in cluster.checkpoints.newest().items()
        }

    def load(self, job: FlinkJob) -> JobLoad | None:
        """What is known of the load of a FlinkJob's run, while that is on its cluster; it is read again soon."""
        run, watched = job.status.submission, self._watched.get((job.meta.namespace, job.meta.name))
        if run is None or run.job_id is None or watched is None:
            return None
        cluster = self._clusters.get(watched[:2])
        seen = cluster.known(run.job_id) if cluster is not None else None
        return cluster.loads.latest(run.job_id) if cluster and seen and not seen.state.is_terminal else None

    def unreachable(self) -> int:
        """How many clusters do not answer."""
        return sum(1 for cluster in self._clusters.values() if cluster.silent)

    async def close(self) -> None:
        for cluster in self._clusters.values():
            await cluster.close()
        self._clusters.clear()
