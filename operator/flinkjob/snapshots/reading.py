"""Reading an object of a store or of a mounted directory, in chunks.

Used by `transfer`, `copying` and `objects`. Invariants: at most one chunk is held, and never more is taken than a store has
announced; in a mounted directory no link is followed, whoever changes it meanwhile, and what is read is one and the same file
from its first byte to its last.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import obstore
from obstore import Bytes
from obstore.store import LocalStore, ObjectStore

from flinkjob.core.errors import Transient
from flinkjob.snapshots.links import LocalFile
from flinkjob.snapshots.stores import local_path, store_errors

CHUNK = 4 * 1024 * 1024
"""Bytes."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """An object that is being read, once.

    Attributes:
        size: its length as it was announced.
        whole: all of it, for one that is small.
        chunks: its bytes in order; fewer than announced where it was cut off.
    """

    size: int
    whole: Callable[[], Awaitable[Bytes | bytes]]
    chunks: Callable[[], AsyncIterator[Bytes | bytes]]


async def open_object(store: ObjectStore, path: str) -> Reading:
    """Begin to read an object.

    Raises:
        Invalid: in a mounted directory there is a link on its path, or it is no file.
        Rejected, Transient: as `store_errors`.
    """
    with store_errors(path):
        if isinstance(store, LocalStore):
            return _file(path, await asyncio.to_thread(LocalFile, local_path(store, path)))
        got = await obstore.get_async(store, path)

    async def whole() -> bytes:
        return await whole_of(got, path)

    return Reading(size=got.meta["size"], whole=whole, chunks=lambda: chunks_of(got, path))


async def chunks_of(got: obstore.GetResult, name: str) -> AsyncIterator[Bytes | bytes]:
    """The bytes of an answer in order.

    Raises:
        Transient: there are more than the store has announced.
    """
    size, announced = 0, got.meta["size"]
    async for chunk in got.stream(min_chunk_size=CHUNK):
        size += len(chunk)
        if size > announced:
            raise Transient("store", f"{name} has more bytes than the {announced} that the store announced")
        yield chunk


async def whole_of(got: obstore.GetResult, name: str) -> bytes:
    """All bytes of an answer, which is small. Raises as `chunks_of`."""
    return b"".join([chunk async for chunk in chunks_of(got, name)])


def _file(name: str, file: LocalFile) -> Reading:
    async def whole() -> bytes:
        content = await asyncio.to_thread(file.read, 0, file.size)
        if len(content) != file.size:
            raise Transient("store", f"{name} was cut off after {len(content)} of {file.size} bytes")
        return content

    async def chunks() -> AsyncIterator[bytes]:
        position = 0
        while position < file.size:
            chunk = await asyncio.to_thread(file.read, position, min(CHUNK, file.size - position))
            if not chunk:
                return
            position += len(chunk)
            yield chunk

    return Reading(size=file.size, whole=whole, chunks=chunks)
