"""The way from a person to a Flink cluster: through the API server's proxy of its Service, else directly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from flinkjob.cli.errors import CommandFailed
from flinkjob.cli.flinkview import service_of
from flinkjob.core.errors import FlinkJobError

if TYPE_CHECKING:
    from flinkjob.flink.view import FlinkView
    from flinkjob.kube.user import UserClient

PATIENCE = 15.0
"""Seconds for a short call."""


@asynccontextmanager
async def flink_at(kube: UserClient, url: str) -> AsyncIterator[tuple[FlinkView, str]]:
    """A client of the cluster at an address, and by which way, in words.

    Raises:
        CommandFailed: it answers by neither way.
    """
    import httpx

    from flinkjob.flink.view import FlinkView

    tried = []
    ways = [(httpx.AsyncClient(), url, f"directly, at {url}")]
    if (service := service_of(url)) is not None:
        http, base = kube.service(service.namespace, service.name, service.port, service.scheme)
        way = f"through the API server's proxy of Service {service.namespace}/{service.name}"
        ways.insert(0, (http, base + service.path, way))
    for http, base, way in ways:
        async with http:
            flink = FlinkView(http, base, timeout=PATIENCE)
            try:
                await flink.cluster_config()
            except FlinkJobError as error:
                tried.append(f"{way}: {error.message.removeprefix(f'{base}: ')}")
                continue
            yield flink, way
            return
    raise CommandFailed(f"Flink cannot be reached: {'; '.join(tried)}")
