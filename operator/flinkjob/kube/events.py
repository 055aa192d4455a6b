"""Kubernetes Events about FlinkJobs and FlinkSavepoints: one for one transition, best effort.

Posted by `runtime`. `post` never waits and never raises: it puts the Event into a bounded queue, and a task sends it.
What cannot be kept or sent becomes a log line. The same (uid, reason, message) within a short time is posted once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, Self

from flinkjob.kube.kinds import ObjectRef

log = logging.getLogger(__name__)

MESSAGE_LIMIT = 1024
NAME_LIMIT = 253
QUEUE_SIZE = 1000
DEDUPLICATION_SECONDS = 60.0
DEDUPLICATION_KEYS = 10_000
FLUSH_SECONDS = 3.0

EventType = Literal["Normal", "Warning"]


class EventSink(Protocol):
    """What the recorder needs of `KubeClient`."""

    async def create_event(self, body: Mapping[str, Any], /) -> bool:
        """Creates the Event; never raises."""


class EventRecorder:
    """Queues Events and sends them one after another. An async context manager; leaving it flushes."""

    def __init__(
        self,
        client: EventSink,
        component: str,
        host: str,
        *,
        dropped: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Args:
            component: who reports, `flinkjob-operator`.
            host: the Pod or machine that reports.
            dropped: called for each Event that is lost because the queue is full.
            clock: seconds, monotonic; for deduplication.
            now: wall clock; for the Event's time stamps.
        """
        self._client = client
        self._source = {"component": component, "host": host}
        self._dropped = dropped
        self._clock = clock
        self._now = now
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(QUEUE_SIZE)
        self._recent: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._sequence = time.time_ns()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._send_all(), name="events")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def post(self, ref: ObjectRef, *, type: EventType = "Normal", reason: str, message: str) -> bool:
        """Queues an Event about `ref`; False when it was a repetition, or when the queue is full.

        Args:
            reason: CamelCase, a member of the reasons' enum.
            message: cut at 1024 characters (the API server's limit).
        """
        message = " ".join(message.split())
        if len(message) > MESSAGE_LIMIT:
            message = message[: MESSAGE_LIMIT - 1] + "…"
        if self._repeated((ref.uid or f"{ref.namespace}/{ref.name}", str(reason), message)):
            return False
        try:
            self._queue.put_nowait(self._body(ref, type, str(reason), message))
        except asyncio.QueueFull:
            self._dropped()
            log.warning("event dropped, too many: %s %s/%s %s: %s", ref.kind, ref.namespace, ref.name, reason, message)
            return False
        return True

    async def flush(self) -> None:
        """Waits until all that was queued so far was sent or refused."""
        await self._queue.join()

    async def close(self, deadline_seconds: float = FLUSH_SECONDS) -> None:
        """Sends what is queued, but for no longer than the deadline; then stops."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_seconds):
                await self.flush()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        if remaining := self._queue.qsize():
            log.warning("%d events were not sent before the end", remaining)

    async def _send_all(self) -> None:
        while True:
            body = await self._queue.get()
            try:
                await self._client.create_event(body)
            except Exception:
                log.exception("event not recorded: %s: %s", body["reason"], body["message"])
            finally:
                self._queue.task_done()

    def _repeated(self, key: tuple[str, str, str]) -> bool:
        now = self._clock()
        while self._recent and next(iter(self._recent.values())) <= now - DEDUPLICATION_SECONDS:
            self._recent.popitem(last=False)
        if key in self._recent:
            return True
        if len(self._recent) >= DEDUPLICATION_KEYS:
            self._recent.popitem(last=False)
        self._recent[key] = now
        return False

    def _body(self, ref: ObjectRef, type: EventType, reason: str, message: str) -> dict[str, Any]:
        self._sequence += 1
        suffix = f".{self._sequence:x}"
        at = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": ref.name[: NAME_LIMIT - len(suffix)] + suffix, "namespace": ref.namespace},
            "involvedObject": ref.as_dict(),
            "type": type,
            "reason": reason,
            "message": message,
            "source": self._source,
            "reportingComponent": self._source["component"],
            "reportingInstance": self._source["host"],
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }
