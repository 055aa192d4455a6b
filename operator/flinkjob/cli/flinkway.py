"""The ways from a person to a Flink cluster: through the API server's proxy of its Service, else directly."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flinkjob.cli.errors import CommandFailed
from flinkjob.core.errors import FlinkJobError

if TYPE_CHECKING:
    import httpx

    from flinkjob.flink.view import FlinkView
    from flinkjob.kube.user import UserClient

PATIENCE = 15.0
"""Seconds for a short call."""
_SERVICE = re.compile(r"^([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\.([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\.svc(?:\..*)?$")
_ELSEWHERE = re.compile(r"%|\\|/\.")
"""What may lead a path out of the proxy, to another one of the API server: whoever writes a FlinkJob chooses the path."""
_USUAL_PORT = {"http": 80, "https": 443}


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A client that reaches a cluster.

    Attributes:
        http: whoever takes the way closes it.
        base: the address to use with the client.
        words: which way it is.
        proxied: whether the API server sends the requests on.
    """

    http: httpx.AsyncClient
    base: str
    words: str
    proxied: bool

    def failed(self, error: FlinkJobError) -> str:
        """Why it led nowhere, without the address, which is in the words or stands for the proxy."""
        return f"{self.words}: {error.message.removeprefix(f'{self.base}: ')}"


def ways(kube: UserClient, url: str, direct: Callable[[], httpx.AsyncClient] | None = None) -> Iterator[Way]:
    """The ways to the cluster at an address, the first to try first; a client is made when its turn comes.

    Args:
        direct: makes the client of somebody who goes directly alone.
    """
    import httpx

    if direct is not None:
        yield Way(http=direct(), base=url, words=f"directly, at {url}", proxied=False)
        return
    if (service := service_of(url)) is not None:
        http, base = kube.service(service.namespace, service.name, service.port, service.scheme)
        words = f"through the API server's proxy of Service {service.namespace}/{service.name}"
        yield Way(http=http, base=base + service.path, words=words, proxied=True)
    yield Way(http=httpx.AsyncClient(), base=url, words=f"directly, at {url}", proxied=False)


@asynccontextmanager
async def flink_at(kube: UserClient, url: str) -> AsyncIterator[tuple[FlinkView, str]]:
    """A client of the cluster at an address, and by which way, in words.

    Raises:
        CommandFailed: it answers by neither way.
    """
    from flinkjob.flink.view import FlinkView

    tried = []
    for way in ways(kube, url):
        async with way.http:
            flink = FlinkView(way.http, way.base, timeout=PATIENCE)
            try:
                await flink.cluster_config()
            except FlinkJobError as error:
                tried.append(way.failed(error))
                continue
            yield flink, way.words
            return
    raise CommandFailed(f"Flink cannot be reached: {'; '.join(tried)}")
