"""The objects as the API server has them, read once for all pages that are open.

Invariants: a page never shows an object that is older than the pause; what did not change is not parsed again.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from flinkjob.api.codec import FlinkJob, FlinkSavepoint, parse_job, parse_savepoint
from flinkjob.core.errors import FlinkJobError
from flinkjob.kube.errors import Forbidden
from flinkjob.kube.kinds import Kind

if TYPE_CHECKING:
    from flinkjob.kube.user import UserClient

PAUSE_SECONDS: Final = 2.0
"""So old may a list be that a page shows."""

Parsed = TypeVar("Parsed", FlinkJob, FlinkSavepoint)


@dataclass(frozen=True)
class Listed(Generic[Parsed]):
    """All objects of a kind.

    Attributes:
        version: differs when any of them does.
    """

    items: Sequence[Parsed]
    version: str


class _Lists(Generic[Parsed]):
    """One kind."""

    def __init__(self, kube: UserClient, kind: Kind, parse: Callable[[Mapping[str, Any]], Parsed]) -> None:
        self._kube, self._kind = kube, kind
        self._parse: Callable[[Mapping[str, Any]], Parsed] = parse
        self._parsed: dict[tuple[str, str], Parsed] = {}
        self._newest: Listed[Parsed] = Listed((), "")
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def now(self, namespaces: Sequence[str]) -> Listed[Parsed]:
        async with self._reading:
            if time.monotonic() - self._read_at >= PAUSE_SECONDS:
                asked = [self._kube.all(self._kind, each) for each in namespaces or (None,)]
                found = await asyncio.gather(*asked)
                self._newest = self._listed([each for part in found for each in part])
                self._read_at = time.monotonic()
            return self._newest

    def forget(self) -> None:
        self._read_at = float("-inf")

    def _listed(self, found: Sequence[Mapping[str, Any]]) -> Listed[Parsed]:
        known, self._parsed = self._parsed, {}
        digest = hashlib.sha256()
        for each in found:
            key = (str(each["metadata"]["uid"]), str(each["metadata"]["resourceVersion"]))
            self._parsed[key] = known[key] if key in known else self._parse(each)
            digest.update("/".join(key).encode())
        return Listed(tuple(self._parsed.values()), digest.hexdigest()[:16])


class Objects:
    """The FlinkJobs and FlinkSavepoints of some namespaces, or of all.

    Attributes:
        kube: whose rights all of it is read with.
        namespaces: none: all.
    """

    def __init__(self, kube: UserClient, namespaces: Sequence[str] = ()) -> None:
        self.kube = kube
        self.namespaces = namespaces
        self._jobs = _Lists(kube, Kind.FLINK_JOB, parse_job)
        self._savepoints = _Lists(kube, Kind.FLINK_SAVEPOINT, parse_savepoint)

    async def jobs(self) -> Listed[FlinkJob]:
        """All FlinkJobs."""
        return await self._jobs.now(self.namespaces)

    async def savepoints(self) -> Listed[FlinkSavepoint]:
        """All FlinkSavepoints."""
        return await self._savepoints.now(self.namespaces)

    def forget(self) -> None:
        """What was read is old: something was changed."""
        self._jobs.forget()
        self._savepoints.forget()

    async def version(self) -> str:
        """A word that differs when any object does; "" where it cannot be known now."""
        try:
            jobs = await self.jobs()
        except FlinkJobError:
            return ""
        try:
            savepoints = (await self.savepoints()).version
        except Forbidden:
            savepoints = "hidden"  # the pages of FlinkJobs change all the same
        except FlinkJobError:
            return ""
        return f"{jobs.version}-{savepoints}"

    def covers(self, namespace: str) -> bool:
        """Whether objects of this namespace are shown."""
        return not self.namespaces or namespace in self.namespaces
