"""The objects as the API server has them, followed once for all pages that are open.

Invariant: who may not see FlinkSavepoints sees FlinkJobs change all the same.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from flinkjob.api.codec import FlinkJob, FlinkSavepoint, parse_job, parse_savepoint
from flinkjob.core.errors import FlinkJobError
from flinkjob.kube.errors import Forbidden
from flinkjob.kube.kinds import Kind
from flinkjob.kube.watching import Followed, Key

if TYPE_CHECKING:
    from flinkjob.kube.user import UserClient

Parsed = TypeVar("Parsed", FlinkJob, FlinkSavepoint)


class Objects:
    """The FlinkJobs and FlinkSavepoints of some namespaces, or of all.

    Attributes:
        kube: whose rights all of it is read with.
        namespaces: none: all.
    """

    def __init__(self, kube: UserClient, namespaces: Sequence[str] = ()) -> None:
        self.kube = kube
        self.namespaces = namespaces
        places = namespaces or (None,)
        self._jobs = [kube.follow(Kind.FLINK_JOB, each, parse_job) for each in places]
        self._savepoints = [kube.follow(Kind.FLINK_SAVEPOINT, each, parse_savepoint) for each in places]

    async def jobs(self) -> list[FlinkJob]:
        """All FlinkJobs."""
        return await _now(self._jobs)

    async def savepoints(self) -> list[FlinkSavepoint]:
        """All FlinkSavepoints."""
        return await _now(self._savepoints)

    async def version(self, of: Key | None = None) -> str:
        """A word that differs when any object does; "" where it cannot be known now.

        Args:
            of: the FlinkJob that is looked at, which others do not matter to.
        """
        try:
            if of is not None:
                return await self._version_of(of)
            jobs = await _versions(self._jobs)
            try:
                return f"{jobs}-{await _versions(self._savepoints)}"
            except Forbidden:
                return f"{jobs}-hidden"  # the pages of FlinkJobs change all the same
        except FlinkJobError:
            return ""

    async def _version_of(self, of: Key) -> str:
        parts = [_version(each) for each in await self.jobs() if (each.meta.namespace, each.meta.name) == of]
        try:
            parts += [_version(each) for each in await self.savepoints() if _belongs(each, of)]
        except Forbidden:
            parts.append("hidden")
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]

    def covers(self, namespace: str) -> bool:
        """Whether objects of this namespace are shown."""
        return not self.namespaces or namespace in self.namespaces


async def _now(lists: Sequence[Followed[Parsed]]) -> list[Parsed]:
    return list(chain.from_iterable(await asyncio.gather(*(each.now() for each in lists))))


async def _versions(lists: Sequence[Followed[Parsed]]) -> str:
    return "-".join(await asyncio.gather(*(each.version() for each in lists)))


def _version(found: FlinkJob | FlinkSavepoint) -> str:
    return f"{found.meta.uid}/{found.meta.resource_version}"


def _belongs(savepoint: FlinkSavepoint, to: Key) -> bool:
    spec = savepoint.spec
    name = spec.job_ref.name if spec is not None and spec.job_ref is not None else None
    return (savepoint.meta.namespace, name) == to
