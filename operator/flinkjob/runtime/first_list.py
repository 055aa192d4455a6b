"""Everything that exists is in the cache before anything is decided, and before Kopf lists it once more.

Used by `app`, and by the handlers for what Kopf lists. Kopf has a barrier of its own (its indices), whose cost grows with the
square of the number of objects. Invariant: an object that was deleted between the two lists leaves the cache, although no
watch says so: it is asked for after a while. The same holds for every later list.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Protocol

from flinkjob.core.errors import FlinkJobError
from flinkjob.kube.kinds import Kind
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.queue import Key

CONFIRM_SECONDS = 60.0
"""After which Kopf has surely listed all that exists."""

_NAMES = ("namespace", "name", "uid", "resourceVersion")
"""What is kept of an object here."""

log = logging.getLogger(__name__)


class Reads(Protocol):
    """What is needed of the API server."""

    def pages(self, kind: Kind, namespaces: Sequence[str] | None = None) -> AsyncIterator[list[dict[str, Any]]]: ...

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None: ...


class FirstList:
    """The objects that were listed at the start and that no watch has shown yet."""

    def __init__(
        self,
        kube: Reads,
        cache: ObjectCache,
        enqueue: Callable[[Key], None],
        namespaces: Sequence[str] | None = None,
    ) -> None:
        """
        Args:
            namespaces: whose objects are listed; None: all of them.
        """
        self._kube, self._cache, self._enqueue, self._namespaces = kube, cache, enqueue, namespaces
        self._unseen: dict[str, tuple[Kind, Mapping[str, Any]]] = {}
        self._listed = asyncio.Event()

    async def refresh(self) -> None:
        """Put all objects that have changed meanwhile into the cache, and their keys into the queue.

        A watch that shows them later is no news.

        Raises:
            KubeUnavailable, KubeRejected: they cannot be listed.
        """
        async for key in self._changed():
            self._enqueue(key)  # at once: of a list that fails in the middle nothing is forgotten
        for key in sorted(self._cache.take_moved()):
            self._enqueue(key)
        self._listed.set()

    async def fill(self) -> None:
        """Put all objects into the cache, then their keys into the queue.

        Raises:
            KubeUnavailable, KubeRejected: they cannot be listed.
        """
        async for _ in self._changed():
            pass
        for key in sorted(self._cache.keys()):
            self._enqueue(key)

    async def _changed(self) -> AsyncIterator[Key]:
        """Put all objects into the cache that it does not have as they are; their keys."""
        for kind in Kind:
            async for page in self._kube.pages(kind, self._namespaces):
                for item in page:
                    if not self._cache.has(kind, item):
                        meta = {name: item["metadata"].get(name) for name in _NAMES}
                        self._unseen[meta["uid"]] = (kind, {"metadata": meta})
                        yield self._cache.put(kind, item)
                        await asyncio.sleep(0)

    def seen(self, raw: Mapping[str, Any]) -> bool:
        """Note that a watch has shown the object; whether it was just as it was listed here, so that it is no news."""
        _, before = self._unseen.pop(raw["metadata"].get("uid", ""), (None, None))
        return before is not None and before["metadata"]["resourceVersion"] == raw["metadata"]["resourceVersion"]

    async def keep_confirming(self) -> None:
        """`confirm` after the first list and after each later one."""
        while True:
            self._listed.clear()
            await self.confirm()
            await self._listed.wait()

    async def confirm(self) -> None:
        """After a while, drop from the cache what was deleted before Kopf listed it."""
        await asyncio.sleep(CONFIRM_SECONDS)
        while self._unseen:
            uid, (kind, raw) = next(iter(self._unseen.items()))
            meta = raw["metadata"]
            try:
                now = await self._kube.get(kind, meta["namespace"], meta["name"])
            except FlinkJobError as error:
                log.warning(
                    "%s %s/%s is asked for later: %s", kind.kind, meta["namespace"], meta["name"], error.message
                )
                await asyncio.sleep(CONFIRM_SECONDS)
                continue
            self._unseen.pop(uid, None)
            if now is None or now["metadata"]["uid"] != uid:
                key = self._cache.drop(kind, raw)
                if key is not None:
                    self._enqueue(key)
