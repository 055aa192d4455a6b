"""Artifact servers that drip, and more jars than fit: no namespace pays for another one, and the disk is never overrun."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.local import plainhttp
from flinkjob.artifacts import http as http_source
from flinkjob.artifacts.errors import ArtifactUnavailable
from flinkjob.artifacts.fetch import ArtifactStore
from flinkjob.net.permits import Permits
from tests.attacks.hostile import Endless, hostile
from tests.unit.artifacts.jarserver import JarServer, Keys, jar, jar_server

MIB = 1024 * 1024
LIMIT, SHARE = 8, 4


@pytest.fixture
async def server() -> AsyncIterator[JarServer]:
    async with jar_server() as running:
        yield running


@asynccontextmanager
async def store_in(
    directory: Path, *, max_cache_bytes: int = 64 * MIB, allowed: tuple[Path, ...] = ()
) -> AsyncIterator[ArtifactStore]:
    async with plainhttp.async_client() as http:
        yield ArtifactStore(
            directory,
            http,
            allowed_directories=allowed,
            max_bytes=16 * MIB,
            timeout_seconds=600,
            max_cache_bytes=max_cache_bytes,
            check_url=lambda _: None,
            credentials=Keys(),
            turn=Permits(LIMIT, each=SHARE).hold,
        )


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.invariant(12)
@pytest.mark.threat("too-slow")
async def test_downloads_that_never_end_hold_up_no_other_namespace(server: JarServer, tmp_path: Path) -> None:
    """Measured before: with 104 of them no other jar was fetched for ten minutes."""
    async with store_in(tmp_path) as store:
        begun = time.monotonic()
        await store.get("undisturbed", f"{server.url}/clicks.jar")
        alone = time.monotonic() - begun
        urls = [f"{server.url}/gated.jar?{number}" for number in range(104)]
        hanging = [asyncio.create_task(store.get("evil", url)) for url in urls]
        await until(lambda: len(server.seen) == 1 + SHARE)
        took = []
        for number in range(3):
            begun = time.monotonic()
            await store.get(f"team-{number}", f"{server.url}/clicks.jar?{number}")
            took.append(time.monotonic() - begun)
        assert min(took) <= 1.5 * alone + 1
        assert not any(task.done() for task in hanging)
        assert len(server.seen) == 1 + SHARE + 3, "the others of its own wait"
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


@pytest.mark.threat("too-slow")
@pytest.mark.parametrize("drips", ["head", "body"])
async def test_a_download_that_drips_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drips: str) -> None:
    """However often something comes: it is silent never, and would be complete after years."""
    monkeypatch.setattr(http_source, "SILENCE_SECONDS", 0.4)

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n" + (b"" if drips == "head" else b"\r\n")
        writer.write(head)
        try:
            while not writer.is_closing():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with store_in(tmp_path) as store, listening:
        port = listening.sockets[0].getsockname()[1]
        async with asyncio.timeout(20):
            with pytest.raises(ArtifactUnavailable) as caught:
                await store.get("evil", f"http://127.0.0.1:{port}/a.jar")
    assert caught.value.reason == ("timeout" if drips == "head" else "too-slow")
    assert not list(tmp_path.iterdir())


@pytest.mark.threat("too-large")
@pytest.mark.parametrize("announced", [True, False])
async def test_the_disk_is_counted_before_it_is_taken(tmp_path: Path, announced: bool) -> None:
    """Measured before: 175 MiB on a disk of 64 MiB, by twelve downloads at once."""
    limit, size, end = 8 * MIB, 3 * MIB, asyncio.Event()
    content = jar(padding=size)
    length = f"Content-Length: {len(content) + 1}\r\n" if announced else ""
    async with store_in(tmp_path, max_cache_bytes=limit) as store, hostile([content], headers=length, until=end) as url:
        asked = [(f"team-{number % 3}", f"{url}/{number}.jar") for number in range(12)]
        fetching = [asyncio.create_task(store.get(*each)) for each in asked]
        try:
            await until(lambda: sum(task.done() for task in fetching) >= 10)
            refused = [task.exception() for task in fetching if task.done()]
            assert all(isinstance(error, ArtifactUnavailable) and error.reason == "no-room" for error in refused)
            await until(lambda: _on_disk(tmp_path) > MIB)  # what the others have got so far
            assert _on_disk(tmp_path) <= limit
        finally:
            end.set()
        await asyncio.gather(*fetching, return_exceptions=True)
        assert _on_disk(tmp_path) <= limit


@pytest.mark.threat("too-large")
async def test_an_endless_download_ends_with_the_room(tmp_path: Path) -> None:
    pieces = Endless(b"x" * 65536, 1000)
    async with store_in(tmp_path, max_cache_bytes=4 * MIB) as store, hostile(pieces) as url:
        with pytest.raises(ArtifactUnavailable) as caught:
            await store.get("evil", f"{url}/a.jar")
    assert caught.value.reason == "no-room"
    assert "--max-cache-mb" in caught.value.message
    assert not list(tmp_path.iterdir())


def _on_disk(directory: Path) -> int:
    """Bytes of all files, complete or not."""
    total = 0
    for path in directory.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
