"""Files on their way to clusters: of several keys that bring the same one, one does it, and all see how far it is.

Used by `tasks`. Invariant: nothing is kept of an upload that is over.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from flinkjob.core.progress import Progress
from flinkjob.runtime.queue import Key

UPLOAD_TURN = 30.0
"""Seconds for which an upload of the same file by another key is waited for."""

Target = tuple[str, str]
"""A cluster, and the digest of what is uploaded to it."""


@dataclass
class Upload:
    """A file that is being sent; `sent` bytes of `size` have been."""

    name: str
    size: int = 0
    sent: int = 0

    def so_far(self, sent: int, size: int) -> None:
        """So many bytes of so many have been sent."""
        self.sent, self.size = sent, size


class Uploads:
    """Those of all keys."""

    def __init__(self) -> None:
        self._turns: weakref.WeakValueDictionary[Target, asyncio.Lock] = weakref.WeakValueDictionary()
        self._under_way: dict[Target, Upload] = {}
        self._wanted: dict[Key, Target] = {}

    @asynccontextmanager
    async def turn(self, key: Key, target: Target) -> AsyncIterator[bool]:
        """Waits while another key brings the same file, but not longer than `UPLOAD_TURN`; whether there was another one."""
        turn = self._turns.setdefault(target, asyncio.Lock())
        others = turn.locked()
        self._wanted[key] = target
        try:
            async with _held(turn, UPLOAD_TURN):
                yield others
        finally:
            self._wanted.pop(key, None)

    @contextmanager
    def sending(self, target: Target, name: str) -> Iterator[Upload]:
        """An upload from now on.

        Args:
            name: of the file, for people.
        """
        upload = self._under_way[target] = Upload(name)
        try:
            yield upload
        finally:
            if self._under_way.get(target) is upload:
                del self._under_way[target]

    def progress(self, key: Key) -> Progress | None:
        """How far the file is that is being uploaded for a key; None where none is."""
        target = self._wanted.get(key)
        upload = self._under_way.get(target) if target is not None else None
        if upload is None:
            return None
        return Progress(name=upload.name, what="uploaded to the cluster", done=upload.sent, size=upload.size)


@asynccontextmanager
async def _held(lock: asyncio.Lock, seconds: float) -> AsyncIterator[None]:
    """Holds a lock that was waited for; where that takes longer than so many seconds, goes on without it."""
    try:
        async with asyncio.timeout(seconds):
            await lock.acquire()
        held = True
    except TimeoutError:
        held = False
    try:
        yield
    finally:
        if held:
            lock.release()
