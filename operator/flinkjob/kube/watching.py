"""The objects of a list as they are now: read once, then followed by one watch that all who ask share.

Used through `user` by the pages and by the commands with `-w`. Invariants: nothing is asked of the API server while nobody
asks here; what nobody reads is not parsed; neither many changes nor long ones cost more than a list each few seconds;
who may list but not watch gets lists.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final, Generic, TypeVar

import orjson

from flinkjob.core.errors import FlinkJobError, Rejected
from flinkjob.kube.errors import EXPIRED, KubeRejected, KubeUnavailable
from flinkjob.kube.pages import Page

PAUSE_SECONDS: Final = 2.0
"""Between two lists, where there have to be lists."""
REFUSED_SECONDS: Final = 30.0
"""After which what was refused, or failed in a way that nobody foresaw, is asked for again."""
IDLE_SECONDS: Final = 30.0
"""After which a watch ends that nobody asks for."""
MOST_CHANGES: Final = 8 * 1024 * 1024
"""Bytes of changes within a pause; above that a list is cheaper."""
_BOOKMARK, _DELETED = "BOOKMARK", "DELETED"

Key = tuple[str, str]
"""Namespace and name."""
Raw = dict[str, Any]
Kept = TypeVar("Kept")
Reads = Callable[[], AsyncIterator[Page | None]]
"""Begins a list, see `pages.pages`."""
Watches = Callable[[str], AsyncGenerator[bytes, None]]
"""Begins a watch at a version of the list, see `Connection.lines`."""


class Followed(Generic[Kept]):
    """The objects of one list.

    Args:
        keep: makes of an object what is kept of it.
        watches: None: there are only lists.
    """

    def __init__(self, reads: Reads, watches: Watches | None, keep: Callable[[Raw], Kept]) -> None:
        self._reads, self._watches, self._keep = reads, watches, keep
        self._kept: dict[Key, tuple[str, Kept]] = {}
        self._changed: dict[Key, Raw | None] = {}
        self._version = self._resume = ""
        self._may_watch = True
        self._failure: Exception | None = None
        self._read = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._end_at: asyncio.TimerHandle | None = None
        self._waiting = 0

    async def now(self) -> list[Kept]:
        """The objects, by namespace and name.

        Raises:
            FlinkJobError: as the list raised it; it is read again soon.
        """
        await self.version()
        for key, raw in self._changed.items():
            if raw is None:
                self._kept.pop(key, None)
            else:
                self._kept[key] = (_version(raw), self._keep(raw))
        if self._changed:
            self._kept = dict(sorted(self._kept.items()))
            self._changed = {}
        return [kept for _, kept in self._kept.values()]

    async def version(self) -> str:
        """A word that differs when any of the objects does. Raises as `now` does."""
        self._ask()
        self._waiting += 1
        try:
            await self._read.wait()
        finally:
            self._waiting -= 1
        if isinstance(self._failure, FlinkJobError):
            raise self._failure.with_traceback(None)
        if self._failure is not None:
            raise self._failure  # what cannot happen is not hidden, nor where it did
        return self._version

    async def end(self) -> None:
        """Asks the API server for nothing any more, until somebody asks here."""
        task = self._task
        self._stop()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def _ask(self) -> None:
        """Notes that somebody wants to know, and begins where nobody did before."""
        if self._end_at is not None:
            self._end_at.cancel()
        self._end_at = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._idle)
        if self._task is None:
            self._task = asyncio.create_task(self._follow())

    def _idle(self) -> None:
        if self._waiting:
            self._ask()
        else:
            self._stop()

    def _stop(self) -> None:
        if self._end_at is not None:
            self._end_at.cancel()
        if self._task is not None:
            self._task.cancel()
        self._task, self._end_at, self._failure, self._may_watch = None, None, None, True
        self._kept, self._changed, self._version = {}, {}, ""
        self._read.clear()

    async def _follow(self) -> None:
        while True:
            pause = PAUSE_SECONDS
            try:
                await self._list()
                self._say(None)
                await self._watch()
            except Exception as error:  # noqa: BLE001 - a mistake of ours too: `version` raises it
                self._say(error)
                if isinstance(error, Rejected) or not isinstance(error, FlinkJobError):
                    pause = REFUSED_SECONDS
            await asyncio.sleep(pause)

    def _say(self, failure: Exception | None) -> None:
        self._failure = failure
        self._read.set()

    async def _list(self) -> None:
        """Reads all; what is known already is not parsed again."""
        found: dict[Key, tuple[str, Kept]] = {}
        version = ""
        async for page in self._reads():
            if page is None:
                found = {}
                continue
            for raw in page.items:
                key, newest = _key(raw), _version(raw)
                known = self._kept.get(key)
                found[key] = known if known is not None and known[0] == newest else (newest, self._keep(raw))
            version = page.version
            await asyncio.sleep(0)
        if self._changed or _versions(found) != _versions(self._kept) or not self._version:
            self._version = version
        self._kept, self._changed, self._resume = dict(sorted(found.items())), {}, version

    async def _watch(self) -> None:
        """Follows until only a list can say what is there."""
        while self._watches is not None and self._may_watch:
            begun, room = time.monotonic(), MOST_CHANGES
            until = begun + PAUSE_SECONDS
            try:
                async with aclosing(self._watches(self._resume)) as lines:
                    async for line in lines:
                        if time.monotonic() >= until:
                            room, until = MOST_CHANGES, time.monotonic() + PAUSE_SECONDS
                        room -= len(line)
                        if room < 0 or not self._take(line):
                            return
            except KubeUnavailable:
                return
            except KubeRejected as no:
                self._may_watch = no.code == EXPIRED
                return
            if time.monotonic() < begun + PAUSE_SECONDS:
                return  # it ended at once: of what use is it?

    def _take(self, line: bytes) -> bool:
        """Notes a change; False where it cannot be read, or says that the watch is over."""
        try:
            event = orjson.loads(line)
            kind, raw = event["type"], event["object"]
            version = _version(raw)
            if not version:  # an error has none
                return False
            if kind != _BOOKMARK:
                self._change(_key(raw), None if kind == _DELETED else raw)
                self._version = version
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
            return False
        self._resume = version
        return True

    def _change(self, key: Key, raw: Raw | None) -> None:
        if raw is None and key not in self._kept:
            self._changed.pop(key, None)
        else:
            self._changed[key] = raw


def _key(raw: Mapping[str, Any]) -> Key:
    return raw["metadata"]["namespace"], raw["metadata"]["name"]


def _version(raw: Mapping[str, Any]) -> str:
    return str(raw["metadata"].get("resourceVersion") or "")


def _versions(kept: Mapping[Key, tuple[str, Any]]) -> dict[Key, str]:
    return {key: version for key, (version, _) in kept.items()}
