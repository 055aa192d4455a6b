"""A store, or a snapshot in it, of somebody who means harm."""

from __future__ import annotations

import struct
import time
from collections.abc import Awaitable, Callable

import obstore
import pytest
from obstore.store import HTTPStore

from flinkjob.core.errors import Transient
from flinkjob.snapshots.metadata import MOST_FILES, MOST_NUMBERS, read_metadata
from flinkjob.snapshots.objects import PlaceObjects
from flinkjob.snapshots.outcomes import MetadataUnreadable
from flinkjob.snapshots.reading import open_object, whole_of
from tests.attacks.child import MIB, peak_of
from tests.attacks.hostile import Endless, hostile

MORE = (
    'Content-Length: 10\r\nTransfer-Encoding: chunked\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\nETag: "a"\r\n'
)
PIECE = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"


def _store(url: str) -> HTTPStore:
    patience = {"connect_timeout": "60s", "timeout": "120s"}  # more than the library's 5 s: the machine may be busy
    return HTTPStore.from_url(url, client_options={"allow_http": True, **patience}, retry_config={"max_retries": 0})


async def _whole(store: HTTPStore) -> object:
    return await (await open_object(store, "x")).whole()


async def _chunks(store: HTTPStore) -> object:
    return [chunk async for chunk in (await open_object(store, "x")).chunks()]


async def _json(store: HTTPStore) -> object:
    return await PlaceObjects(store=store, identity="i", namespace="n", job="j").read_json("x")


@pytest.mark.threat("too-large")
@pytest.mark.parametrize("read", [_whole, _chunks, _json])
async def test_more_bytes_than_announced_are_not_taken(read: Callable[[HTTPStore], Awaitable[object]]) -> None:
    pieces = Endless(PIECE, 100 * MIB // len(PIECE))
    async with hostile(pieces, headers=MORE) as url:
        with pytest.raises(Transient, match="more bytes than the 10"):
            await read(_store(url))
    assert pieces.taken * len(PIECE) <= 32 * MIB


async def test_as_many_bytes_as_announced_are_taken() -> None:
    headers = "Content-Length: 10\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n"
    async with hostile([b"0123456789"], headers=headers) as url:
        assert await whole_of(await obstore.get_async(_store(url), "x"), "x") == b"0123456789"


def _many_files(size: int) -> bytes:
    """A `_metadata` of one operator with partitioned state in as many files, of other names each, as fit."""
    head = struct.pack(">Iiqii", 0x4960672D, 3, 1, 0, 1) + bytes(24) + b"\x00" + struct.pack(">ii", 1, 1)
    name = struct.pack(">H", 8)
    entries = size // 19
    body = b"".join(b"\x06" + name + b"%08x" % number + struct.pack(">q", 1) for number in range(entries))
    return head + struct.pack(">i", min(entries, 1_000_000)) + body


def _many_subtasks(size: int) -> bytes:
    """One operator with subtasks that have nothing."""
    count = size // 4
    head = struct.pack(">Iiqii", 0x4960672D, 3, 1, 0, 1) + bytes(24) + b"\x00" + struct.pack(">i", count)
    return head + struct.pack(">i", -1) * count


def read_hostile(kind: str) -> str:
    """In a child: why it is refused, and for how many seconds of CPU it was looked at."""
    content = _many_files(8 * MIB) if kind == "files" else _many_subtasks(24 * MIB)
    begun = time.process_time()
    try:
        read_metadata(content)
    except MetadataUnreadable as error:
        return f"{time.process_time() - begun} {error.message}"
    return ""


@pytest.mark.threat("too-large")
@pytest.mark.parametrize(("kind", "most"), [("files", MOST_FILES), ("subtasks", MOST_NUMBERS)])
def test_a_metadata_takes_no_more_than_a_real_one(kind: str, most: int) -> None:
    """Measured before: 646 MiB and 12.7 seconds for 60 MiB with distinct names."""
    said, mib = peak_of("tests.attacks.test_stores", "read_hostile", kind)
    seconds, _, why = said.partition(" ")
    assert "more" in why
    assert most > 0
    assert float(seconds) < 8
    assert mib <= 128, "what it takes to make it is in this too"
