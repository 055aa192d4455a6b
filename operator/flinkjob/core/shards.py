"""Clusters shared out over replicas: which shard an object belongs to, and which replica is to have which shard.

Used by `runtime/membership.py` (who has what) and `runtime/sharing.py` (whose a key is). A FlinkJob belongs to the shard of
the cluster that its status names, whatever its spec says meanwhile: only the replica that has the shard writes that, so
that all replicas agree. Invariants: the number of shards is fixed, and an address is always in the same one; of two
replicas none is to have two shards more than the other; as few move as that allows, and where one replica ends only its own
do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.api.flinkjob_status import ClusterInfo, FlinkJobStatus
from flinkjob.core.model import JobDecision

_SEAT = re.compile(r"-[0-9]+-replica-[0-9]+$")


class LeaseNames:
    """The Leases of one operator."""

    def __init__(self, own: str, shards: int) -> None:
        """
        Args:
            own: name of the one by which a single replica leads.
        """
        several = range(shards if shards > 1 else 0)
        self.own = own
        self.shards = {f"{own}-{shards}-shard-{number}": number for number in several}
        self.seats = [f"{own}-{shards}-replica-{number}" for number in several]

    @staticmethod
    def is_seat(name: str) -> bool:
        """Whether a Lease is one by which a replica shows that it lives, with any number of shards."""
        return _SEAT.search(name) is not None

    def all(self) -> list[str]:
        """Every one."""
        return [self.own, *self.shards, *self.seats]


def home(job: FlinkJob) -> str:
    """The address of the cluster whose replica works on a FlinkJob; "" where nothing names one."""
    status, spec = job.status, job.spec
    seen = status.cluster.url if status.cluster is not None else None
    run = status.submission.cluster_url if status.submission is not None else None
    return seen or run or (spec.cluster.address(job.meta.namespace) if spec is not None else "")


def place_of(key: tuple[str, str], job: FlinkJob | None, savepoints: Iterable[FlinkSavepoint]) -> str:
    """What says to which shard a key belongs: the address of its cluster, else the key.

    Args:
        key: namespace and name.
        savepoints: of the key; only where there is no FlinkJob they are asked, for the cluster of their `target`.
    """
    found = {home(job)} if job is not None else {_target(one) for one in savepoints}
    return (found.pop() if len(found) == 1 else "") or "/".join(key)


def staying(job: FlinkJob, decision: JobDecision, shards: int) -> JobDecision:
    """The decision, without that it leaves the shard of the FlinkJob while something is done to its job.

    What is begun is thus ended by the replica that began it: a run call, and an operation on the running job.
    """
    if not leaves(job, decision.status, shards):
        return decision
    status = decision.status
    run = status.submission
    if not decision.actions and status.operation is None and (run is None or run.end is not None or run.seen):
        return decision
    at = replace(status.cluster or ClusterInfo(), url=home(job) or None)
    return replace(decision, status=replace(status, cluster=at))


def leaves(job: FlinkJob, status: FlinkJobStatus, shards: int) -> bool:
    """Whether a FlinkJob is another shard's once it has this status."""
    key = (job.meta.namespace, job.meta.name)
    after = replace(job, status=status)
    return shard_of(place_of(key, job, ()), shards) != shard_of(place_of(key, after, ()), shards)


@lru_cache(maxsize=16384)
def shard_of(place: str, shards: int) -> int:
    """The shard of an address, by rendezvous hashing."""
    return max(range(shards), key=lambda shard: _weight(str(shard), place)) if shards > 1 else 0


def assignment(held: Mapping[int, str], replicas: Collection[str], shards: int) -> Mapping[int, str]:
    """Which replica is to have which shard: those that have too many give some back, the others take what is free.

    Args:
        held: the shards that living replicas have.
        replicas: that live; at least one.
    """
    kept: dict[str, list[int]] = {name: [] for name in sorted(replicas)}
    for shard, name in sorted(held.items()):
        if name in kept:
            kept[name].append(shard)
    fair, more = divmod(shards, len(kept))
    richest = sorted(kept, key=lambda name: (-len(kept[name]), name))
    most = {name: fair + (number < more) for number, name in enumerate(richest)}
    wanted = {
        shard: name
        for name in kept
        for shard in sorted(kept[name], key=lambda shard: _weight(name, str(shard)), reverse=True)[: most[name]]
    }
    for name in wanted.values():
        most[name] -= 1
    for shard in (shard for shard in range(shards) if shard not in wanted):
        name = max((_weight(name, str(shard)), name) for name in kept if most[name] > 0)[1]
        wanted[shard] = name
        most[name] -= 1
    return wanted


def _target(savepoint: FlinkSavepoint) -> str:
    target = savepoint.spec.target if savepoint.spec is not None else None
    return target.cluster.as_cluster().address(savepoint.meta.namespace) if target is not None else ""


def _weight(who: str, what: str) -> bytes:
    return hashlib.sha256(f"{who} {what}".encode()).digest()
