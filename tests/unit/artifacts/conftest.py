"""A server of jars, and a store that may talk to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploy.local import plainhttp
from flinkjob.artifacts.fetch import ArtifactStore
from flinkjob.core.errors import Invalid
from flinkjob.net.permits import Permits
from tests.unit.artifacts.jarserver import JarServer, Keys, jar_server

MakeStore = Callable[..., ArtifactStore]


def only_localhost(url: str) -> None:
    if urlsplit(url).hostname != "127.0.0.1":
        raise Invalid(f"host {urlsplit(url).hostname} is not allowed")


@pytest.fixture
async def server() -> AsyncIterator[JarServer]:
    async with jar_server() as running:
        yield running


@pytest.fixture
async def make_store(tmp_path: Path) -> AsyncIterator[MakeStore]:
    """Makes a store in `tmp_path/cache`; keyword arguments replace its limits."""
    async with plainhttp.async_client() as http:

        def make(**changes: Any) -> ArtifactStore:
            limits = {"max_bytes": 10 * 2**20, "timeout_seconds": 10.0, "max_cache_bytes": 100 * 2**20}
            bounds = {"check_url": only_localhost, "turn": Permits(8, each=4).hold, "credentials": Keys()}
            return ArtifactStore(tmp_path / "cache", http, **{**bounds, **limits, **changes})

        yield make


@pytest.fixture
def store(make_store: MakeStore) -> ArtifactStore:
    return make_store()
