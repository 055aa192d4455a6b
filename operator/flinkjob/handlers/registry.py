"""What Kopf calls: every change of a FlinkJob or FlinkSavepoint goes into the cache and its key into the queue.

Built by `app`, which fills the cache before Kopf watches (`runtime/first_list.py`). Invariant: no I/O and no decision here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from flinkjob.api.constants import GROUP, JOB_PLURAL, SAVEPOINT_PLURAL, VERSION
from flinkjob.kube.kinds import Kind
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.first_list import FirstList
from flinkjob.runtime.queue import Key

Enqueue = Callable[[Key], None]


def build_registry(
    cache: ObjectCache, first: FirstList, enqueue: Enqueue, saw_event: Callable[[str], None]
) -> kopf.OperatorRegistry:
    """The handlers of both kinds.

    Args:
        first: what was listed before.
        saw_event: called with the plural of each watch event, for the metric of the newest event.
    """
    registry = kopf.OperatorRegistry()
    jobs, savepoints = (GROUP, VERSION, JOB_PLURAL), (GROUP, VERSION, SAVEPOINT_PLURAL)

    def is_news(kind: Kind, event: kopf.RawEvent) -> bool:
        """Take an event in, unless it only shows what was listed before."""
        saw_event(kind.plural)
        raw, gone = event["object"], event["type"] == "DELETED"
        if first.seen(raw) and not gone:
            return False
        if (key := _taken_in(cache, kind, raw, gone=gone)) is not None:
            enqueue(key)
        return True

    @kopf.on.event(*jobs, id="job", registry=registry)
    async def on_job(event: kopf.RawEvent, **_: Any) -> None:
        if is_news(Kind.FLINK_JOB, event):
            for moved in cache.take_moved():
                enqueue(moved)

    @kopf.on.event(*savepoints, id="savepoint", registry=registry)
    async def on_savepoint(event: kopf.RawEvent, **_: Any) -> None:
        if is_news(Kind.FLINK_SAVEPOINT, event):
            meta = event["object"]["metadata"]
            for waiting in cache.waiting_for(meta["namespace"], meta["name"]):
                enqueue(waiting)

    return registry


def _taken_in(cache: ObjectCache, kind: Kind, raw: kopf.RawBody, *, gone: bool) -> Key | None:
    """The key to work on; None for what is known already: after a write of its own the operator looks again anyway."""
    if gone:
        return cache.drop(kind, raw)
    return None if cache.has(kind, raw) else cache.put(kind, raw)
