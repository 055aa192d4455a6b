"""What Kopf calls: every change of a FlinkJob or FlinkSavepoint goes into the cache and its key into the queue.

Built by `app`. Invariants: no I/O and no decision here; the indices are filled for both kinds before the first event handler
runs, so nothing is decided before everything that exists is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from flinkjob.api.constants import GROUP, JOB_PLURAL, SAVEPOINT_PLURAL, VERSION
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.queue import Key

Enqueue = Callable[[Key], None]


def build_registry(cache: ObjectCache, enqueue: Enqueue, saw_event: Callable[[str], None]) -> kopf.OperatorRegistry:
    """The handlers of both kinds.

    Args:
        saw_event: called with the plural of each watch event, for the metric of the newest event.
    """
    registry = kopf.OperatorRegistry()
    jobs, savepoints = (GROUP, VERSION, JOB_PLURAL), (GROUP, VERSION, SAVEPOINT_PLURAL)

    @kopf.index(*jobs, id="jobs", registry=registry)
    async def index_job(body: kopf.Body, **_: Any) -> None:
        cache.put_job(_plain(body))

    @kopf.index(*savepoints, id="savepoints", registry=registry)
    async def index_savepoint(body: kopf.Body, **_: Any) -> None:
        cache.put_savepoint(_plain(body))

    @kopf.on.event(*jobs, id="job", registry=registry)
    async def on_job(event: kopf.RawEvent, **_: Any) -> None:
        saw_event(JOB_PLURAL)
        raw = _plain(event["object"])
        enqueue(cache.drop_job(raw) if event["type"] == "DELETED" else cache.put_job(raw))
        for moved in cache.take_moved():
            enqueue(moved)

    @kopf.on.event(*savepoints, id="savepoint", registry=registry)
    async def on_savepoint(event: kopf.RawEvent, **_: Any) -> None:
        saw_event(SAVEPOINT_PLURAL)
        raw = _plain(event["object"])
        key = cache.drop_savepoint(raw) if event["type"] == "DELETED" else cache.put_savepoint(raw)
        if key is not None:
            enqueue(key)
        meta = raw["metadata"]
        for waiting in cache.waiting_for(meta["namespace"], meta["name"]):
            enqueue(waiting)

    return registry


def _plain(body: Any) -> dict[str, Any]:
    """The object as plain dicts, without the fields that only take memory."""
    raw = dict(body)
    raw["metadata"] = {name: value for name, value in dict(raw["metadata"]).items() if name != "managedFields"}
    return raw
