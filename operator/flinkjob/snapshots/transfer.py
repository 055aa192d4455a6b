"""Copying one object from store to store: streamed, checksummed, in bounded memory, at a limited rate.

Used by `copying`. Invariants: the objects that one snapshot's copy has under way hold at most `MEMORY` bytes together,
up to objects of 140 GiB, beyond which S3's number of parts asks for larger parts; an object that was cut off does not
appear in the target, since stores complete a write as a whole.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import obstore
from obstore import Bytes
from obstore.store import LocalStore, ObjectStore

from flinkjob.core.errors import Transient
from flinkjob.snapshots.bandwidth import Bandwidth
from flinkjob.snapshots.links import refuse_links
from flinkjob.snapshots.reading import CHUNK, open_object
from flinkjob.snapshots.stores import local_path, store_errors

MIB = 1024 * 1024
MEMORY = 40 * MIB
PART = 8 * MIB
MOST_PARTS = 9000
"""Below the 10,000 that S3 takes."""


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What arrived."""

    size: int
    sha256: str


class Memory:
    """Bytes that transfers share: who needs more than are left waits."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = limit
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Hold so many bytes, at most the limit."""
        size = min(size, self._limit)
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            async with self._changed:
                self._free += size
                self._changed.notify_all()


def memory_for(size: int) -> int:
    """The most bytes that copying an object of this size holds."""
    if size <= PART:
        return size
    part = _part(size)
    return 2 * CHUNK + part * (_parts_at_once(part) + 1)


def _part(size: int) -> int:
    return max(PART, -(-size // MOST_PARTS))


def _parts_at_once(part: int) -> int:
    """Parts that are on their way while the next one is filled."""
    return max(1, min(2, (MEMORY - 2 * CHUNK) // part - 1))


async def copy_object(
    source: ObjectStore,
    source_path: str,
    target: ObjectStore,
    target_path: str,
    *,
    bandwidth: Bandwidth,
    progress: Callable[[int], None],
) -> Copied:
    """Copy one object.

    Args:
        progress: called with the number of bytes that have just passed.

    Raises:
        Rejected, Transient: as `store_errors`; a length that differs from the one that the source announced is Transient.
    """
    if isinstance(target, LocalStore):
        await asyncio.to_thread(refuse_links, local_path(target, target_path))
    with store_errors(source_path):
        read = await open_object(source, source_path)
        expected = read.size
        digest = hashlib.sha256()
        if expected <= PART:
            content = await read.whole()
            await bandwidth.take(len(content))
            await asyncio.to_thread(digest.update, content)
            size = len(content)
            await _put(target, target_path, content)
            progress(size)
        else:
            part = _part(expected)
            size = 0

            async def chunks() -> AsyncIterator[Bytes | bytes]:
                nonlocal size
                async for chunk in read.chunks():
                    await bandwidth.take(len(chunk))
                    await asyncio.to_thread(digest.update, chunk)
                    size += len(chunk)
                    progress(len(chunk))
                    yield chunk
                if size != expected:
                    raise Transient("store", f"{source_path} was cut off after {size} of {expected} bytes")

            with store_errors(target_path):
                await obstore.put_async(
                    target, target_path, chunks(), chunk_size=part, max_concurrency=_parts_at_once(part)
                )
    return Copied(size=size, sha256=digest.hexdigest())


async def digest_of(store: ObjectStore, path: str, *, progress: Callable[[int], None] = lambda size: None) -> Copied:
    """Read an object only to know its length and SHA-256. Raises as `copy_object`."""
    digest, size = hashlib.sha256(), 0
    with store_errors(path):
        read = await open_object(store, path)
        async for chunk in read.chunks():
            await asyncio.to_thread(digest.update, chunk)
            size += len(chunk)
            progress(len(chunk))
    return Copied(size=size, sha256=digest.hexdigest())


async def _put(store: ObjectStore, path: str, content: Bytes | bytes) -> None:
    with store_errors(path):
        await obstore.put_async(store, path, content, use_multipart=False)
