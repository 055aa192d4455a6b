"""What Flink itself says of a job, read with the user's rights: through the Service proxy, else directly, else not at all.

Invariants: only reads; no credential of the operator's or of a Secret is used, so a cluster that asks for one is read by
nobody here; what cannot be read is said, and the rest is shown.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flinkjob.core.errors import FlinkJobError
from flinkjob.core.flinkmodel import CheckpointStats, JobException

if TYPE_CHECKING:
    import httpx

    from flinkjob.flink.view import Vertex
    from flinkjob.kube.user import UserClient

TIMEOUT_SECONDS = 5.0
MOST_EXCEPTIONS = 20
_SERVICE = re.compile(r"^([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\.([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\.svc(?:\..*)?$")
_ELSEWHERE = re.compile(r"%|\\|/\.")
"""What may lead a path out of the proxy, to another one of the API server: whoever writes a FlinkJob chooses the path."""
_USUAL_PORT = {"http": 80, "https": 443}


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


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """A Service that an address leads to."""

    namespace: str
    name: str
    port: int
    scheme: str
    path: str = field(default="")


def service_of(url: str) -> ServiceAddress | None:
    """The Service that an address leads to: by NAME.NAMESPACE.svc; None for any other host."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    found = _SERVICE.match(host)
    path = parts.path.rstrip("/")
    if found is None or parts.scheme not in _USUAL_PORT or _ELSEWHERE.search(path):
        return None
    name, namespace = found.groups()
    return ServiceAddress(namespace, name, port or _USUAL_PORT[parts.scheme], parts.scheme, path)


async def look(kube: UserClient, url: str, job_id: str) -> FlinkSeen:
    """Read what Flink says of a job.

    Args:
        url: the address of the cluster's REST API; "" where none is known yet.
    """
    if not url or not job_id:
        return FlinkSeen(way="no job was sent to Flink yet")
    import httpx

    tried = []
    if (service := service_of(url)) is not None:
        http, base = kube.service(service.namespace, service.name, service.port, service.scheme)
        way = f"through the API server's proxy of Service {service.namespace}/{service.name}"
        try:
            return await _read(http, base + service.path, job_id, way)
        except FlinkJobError as error:
            tried.append(f"{way}: {_short(error, base)}")
    try:
        return await _read(httpx.AsyncClient(), url, job_id, f"directly, at {url}")
    except FlinkJobError as error:
        tried.append(f"directly: {error.message}")
    return FlinkSeen(way=f"not readable from here, so only what the status has is shown ({'; '.join(tried)})")


def _short(error: FlinkJobError, base: str) -> str:
    """The error without the address that stands for the proxy."""
    return error.message.removeprefix(f"{base}: ")


async def _read(http: httpx.AsyncClient, url: str, job_id: str, way: str) -> FlinkSeen:
    from flinkjob.flink.view import FlinkView

    async with http:
        flink = FlinkView(http, url, timeout=TIMEOUT_SECONDS)
        vertices = await flink.vertices(job_id)
        rest: tuple[Any, Any] = await asyncio.gather(
            flink.exceptions(job_id, MOST_EXCEPTIONS), flink.checkpoints(job_id), return_exceptions=True
        )
    exceptions, checkpoints = (None if isinstance(each, FlinkJobError) else _or_raise(each) for each in rest)
    return FlinkSeen(way=way, vertices=vertices, exceptions=exceptions or (), checkpoints=checkpoints)


def _or_raise(value: Any) -> Any:
    if isinstance(value, BaseException):
        raise value
    return value
