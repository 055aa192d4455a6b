"""What Flink itself says of a job, read with the user's rights: through the Service proxy, else directly, else not at all.

Invariants: only reads; no credential of the operator's or of a Secret is used, so a cluster that asks for one is read by
nobody here; what cannot be read is said, and the rest is shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flinkjob.cli.flinkway import Way, ways
from flinkjob.core.errors import FlinkJobError
from flinkjob.core.flinkmodel import CheckpointStats, JobException

if TYPE_CHECKING:
    import httpx

    from flinkjob.flink.view import Vertex
    from flinkjob.kube.user import UserClient

TIMEOUT_SECONDS = 5.0
MOST_EXCEPTIONS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class FlinkSeen:
    """What was read of a job, and how.

    Attributes:
        way: by which way, or why not, in words.
    """

    way: str
    vertices: tuple[Vertex, ...] = ()
    exceptions: tuple[JobException, ...] = ()
    checkpoints: CheckpointStats | None = None


async def look(
    kube: UserClient, url: str, job_id: str, direct: Callable[[], httpx.AsyncClient] | None = None
) -> FlinkSeen:
    """Read what Flink says of a job.

    Args:
        url: the address of the cluster's REST API; "" where none is known yet.
        direct: see `ways`.
    """
    if not url or not job_id:
        return FlinkSeen(way="no job was sent to Flink yet")
    tried = []
    for way in ways(kube, url, direct):
        try:
            return await _read(way, job_id)
        except FlinkJobError as error:
            tried.append(way.failed(error) if way.proxied else f"directly: {error.message}")
    return FlinkSeen(way=f"not readable from here, so only what the status has is shown ({'; '.join(tried)})")


async def _read(way: Way, job_id: str) -> FlinkSeen:
    from flinkjob.flink.view import FlinkView

    async with way.http:
        flink = FlinkView(way.http, way.base, timeout=TIMEOUT_SECONDS)
        vertices = await flink.vertices(job_id)
        rest: tuple[Any, Any] = await asyncio.gather(
            flink.exceptions(job_id, MOST_EXCEPTIONS), flink.checkpoints(job_id), return_exceptions=True
        )
    exceptions, checkpoints = (None if isinstance(each, FlinkJobError) else _or_raise(each) for each in rest)
    return FlinkSeen(way=way.words, vertices=vertices, exceptions=exceptions or (), checkpoints=checkpoints)


def _or_raise(value: Any) -> Any:
    if isinstance(value, BaseException):
        raise value
    return value
