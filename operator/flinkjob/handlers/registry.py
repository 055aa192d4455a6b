"""What Kopf calls: every change of a FlinkJob or FlinkSavepoint goes into the cache and its key into the queue.

Built by `app`, which fills the cache before Kopf watches (`runtime/first_list.py`). Invariant: no I/O and no decision here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from flinkjob.api.constants import GROUP, JOB_PLURAL, SAVEPOINT_PLURAL, VERSION
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

    @kopf.on.event(*jobs, id="job", registry=registry)
    async def on_job(event: kopf.RawEvent, **_: Any) -> None:
        saw_event(JOB_PLURAL)
        raw = event["object"]
        if first.seen(raw) and event["type"] != "DELETED":
            return
        enqueue(cache.drop_job(raw) if event["type"] == "DELETED" else cache.put_job(raw))
        for moved in cache.take_moved():
            enqueue(moved)

    @kopf.on.event(*savepoints, id="savepoint", registry=registry)
    async def on_savepoint(event: kopf.RawEvent, **_: Any) -> None:
        saw_event(SAVEPOINT_PLURAL)
        raw = event["object"]
        if first.seen(raw) and event["type"] != "DELETED":
            return
        key = cache.drop_savepoint(raw) if event["type"] == "DELETED" else cache.put_savepoint(raw)
        if key is not None:
            enqueue(key)
        meta = raw["metadata"]
        for waiting in cache.waiting_for(meta["namespace"], meta["name"]):
            enqueue(waiting)

    return registry
