"""How far the files are that are being fetched."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from flinkjob.api.sync import StoreAccess
from flinkjob.artifacts.fetch import ArtifactStore
from flinkjob.artifacts.stores import ObjectWanted
from flinkjob.core.program import SourceAccess
from flinkjob.core.progress import Progress
from tests.unit.artifacts.conftest import MakeStore
from tests.unit.artifacts.jarserver import JarServer, Keys, jar

CONTENT = jar(padding=2**20)
PIECE = 2**18
"""So much of it is written to the disk at least once it has come."""


async def seen(store: ArtifactStore, uri: str, least: int) -> Progress:
    """As soon as so many bytes are there."""
    async with asyncio.timeout(10):
        while True:
            found = store.progress("shop", {uri, "https://other/a.jar"})
            if found is not None and found.done >= least:
                return found
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("query", "size"), [("", len(CONTENT)), ("?unknown", 0)])
async def test_how_far_a_download_is(server: JarServer, store: ArtifactStore, query: str, size: int) -> None:
    server.content = CONTENT
    uri = f"{server.url}/half.jar{query}"
    fetching = asyncio.create_task(store.get("shop", uri))
    found = await seen(store, uri, PIECE)
    assert (found.name, found.size) == (f"{server.url}/half.jar", size)
    assert PIECE <= found.done <= len(CONTENT) // 2
    assert store.progress("blog", {uri}) is None, "it is another namespace's"
    assert store.progress("shop", {f"{server.url}/clicks.jar"}) is None
    server.gate.set()
    await fetching
    assert store.progress("shop", {uri}) is None


async def test_how_far_an_object_of_a_store_is(make_store: MakeStore) -> None:
    gate = asyncio.Event()

    class Slow(Keys):
        async def get_object(self, wanted: ObjectWanted) -> tuple[str | None, bool]:
            await wanted.room(len(CONTENT))
            half = len(CONTENT) // 2
            Path(wanted.file).write_bytes(CONTENT[:half])
            await gate.wait()
            Path(wanted.file).write_bytes(CONTENT)
            return "v1", False

    store = make_store(credentials=Slow())
    access = SourceAccess(store=StoreAccess())
    fetching = asyncio.create_task(store.get("shop", "s3://jars/a.jar", access=access))
    found = await seen(store, "s3://jars/a.jar", 1)
    assert found == Progress(name="s3://jars/a.jar", done=len(CONTENT) // 2, size=len(CONTENT))
    gate.set()
    await fetching
