"""Kubernetes Events about FlinkJobs and FlinkSavepoints: one for one transition; none is lost in silence.

Posted by `runtime`. `post` never waits and never raises: Events wait in lanes, one for each sender, and those of one object
always in the same lane, so that they keep their order. While the API server does not answer they wait on. The same (uid,
reason, message) within a short time is posted once, and the next one says how often. When too many wait, an Event takes the
place of an older one about the same object and reason; what finds no such place is left out, and then counted, logged and
mentioned by the next Event about that object.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import zlib
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, Self

from flinkjob.core.backoff import delay_seconds
from flinkjob.kube.errors import KubeUnavailable
from flinkjob.kube.kinds import ObjectRef

log = logging.getLogger(__name__)

MESSAGE_LIMIT = 1024
NAME_LIMIT = 253
QUEUE_SIZE = 20_000
"""So many Events may wait: those of some thousand jobs that start at once; about 1 KiB each."""
SENDERS = 8
"""So many are sent at the same time."""
AWAY_PAUSE = (1.0, 30.0)
"""First and longest pause, seconds, while the API server does not answer."""
DEDUPLICATION_SECONDS = 60.0
DEDUPLICATION_KEYS = 20_000
FLUSH_SECONDS = 3.0

EventType = Literal["Normal", "Warning"]


class EventSink(Protocol):
    """What the recorder needs of `KubeClient`."""

    async def create_event(self, body: Mapping[str, Any], /) -> bool:
        """Creates the Event; False when it is refused.

        Raises:
            KubeUnavailable: no answer.
        """


@dataclass(slots=True)
class _Event:
    """One that waits, or that is sent just now."""

    ref: ObjectRef
    type: EventType
    reason: str
    message: str
    first: datetime
    last: datetime
    count: int = 1
    left_out: int = 0
    waits: bool = True


@dataclass(slots=True)
class _Said:
    """An Event that was posted a short time ago, and how often it was repeated after it was sent."""

    at: float
    event: _Event
    again: int = 0
    since: datetime | None = None


@dataclass(slots=True)
class _Lane:
    """What one sender has to send, in this order."""

    waiting: deque[_Event] = field(default_factory=deque)
    filled: asyncio.Event = field(default_factory=asyncio.Event)


class EventRecorder:
    """Lets Events wait and sends them, several at the same time. An async context manager; leaving it flushes."""

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
            dropped: called for each Event that is left out, because too many wait or because it is refused.
            clock: seconds, monotonic; for deduplication.
            now: wall clock; for the Event's time stamps.
        """
        self._client = client
        self._source = {"component": component, "host": host}
        self._dropped = dropped
        self._clock = clock
        self._now = now
        self._lanes = tuple(_Lane() for _ in range(SENDERS))
        self._newest: dict[tuple[str, EventType, str], _Event] = {}
        self._unsent = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._recent: OrderedDict[tuple[str, str, str], _Said] = OrderedDict()
        self._left_out: OrderedDict[str, int] = OrderedDict()
        self._sequence = time.time_ns()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._send_all(lane), name="events") for lane in self._lanes]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def post(self, ref: ObjectRef, *, type: EventType = "Normal", reason: str, message: str) -> bool:
        """Lets an Event about `ref` wait for its sender; False when another one reports it too, or when it is left out.

        Args:
            reason: CamelCase, a member of the reasons' enum.
            message: cut at 1024 characters (the API server's limit).
        """
        now = self._now()
        event = _Event(ref, type, str(reason), _cut(" ".join(message.split())), now, now)
        if self._is_repeated(event):
            return False
        if self._unsent >= QUEUE_SIZE:
            if not self._takes_place(event):
                self._leave_out(event, "too many wait")
            return False
        event.left_out = self._left_out.pop(_object(ref), 0)
        lane = self._lanes[zlib.crc32(_object(ref).encode()) % len(self._lanes)]
        lane.waiting.append(event)
        lane.filled.set()
        self._newest[_object(ref), type, event.reason] = event
        self._unsent += 1
        self._idle.clear()
        return True

    async def flush(self) -> None:
        """Waits until all that was posted was sent or refused."""
        await self._idle.wait()

    async def close(self, deadline_seconds: float = FLUSH_SECONDS) -> None:
        """Sends what waits, but for no longer than the deadline; then stops."""
        if not self._tasks:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_seconds):
                await self.flush()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self._tasks = []
        if self._unsent:
            log.warning("%d Events were not sent before the end", self._unsent)

    def _is_repeated(self, event: _Event) -> bool:
        """Whether the same was posted a short time ago; it is counted, in that one or in the next."""
        at, key = self._clock(), (_object(event.ref), event.reason, event.message)
        before = self._recent.get(key)
        if before is not None and at < before.at + DEDUPLICATION_SECONDS:
            if before.event.waits:
                before.event.count += 1
                before.event.last = event.last
            else:
                before.again += 1
                before.since = before.since or event.first
            return True
        if before is not None:
            event.count += before.again
            event.first = before.since or event.first
            del self._recent[key]
        while self._recent and next(iter(self._recent.values())).at <= at - DEDUPLICATION_SECONDS:
            self._recent.popitem(last=False)
        if len(self._recent) >= DEDUPLICATION_KEYS:
            self._recent.popitem(last=False)
        self._recent[key] = _Said(at, event)
        return False

    def _takes_place(self, event: _Event) -> bool:
        """Whether an older one about the same object, with the same reason, waits: it reports the newer message instead."""
        older = self._newest.get((_object(event.ref), event.type, event.reason))
        if older is None:
            return False
        older.message, older.last = event.message, event.last
        older.count += event.count
        return True

    def _leave_out(self, event: _Event, why: str) -> None:
        self._dropped()
        about = _object(event.ref)
        self._left_out[about] = self._left_out.pop(about, 0) + event.left_out + 1
        if len(self._left_out) > DEDUPLICATION_KEYS:
            self._left_out.popitem(last=False)
        ref = event.ref
        log.warning(
            "Event left out, %s: %s %s/%s %s: %s", why, ref.kind, ref.namespace, ref.name, event.reason, event.message
        )

    async def _send_all(self, lane: _Lane) -> None:
        while True:
            await lane.filled.wait()
            while lane.waiting:
                event = lane.waiting.popleft()
                event.waits = False
                key = (_object(event.ref), event.type, event.reason)
                if self._newest.get(key) is event:
                    del self._newest[key]
                await self._send(event)
                self._unsent -= 1
                if not self._unsent:
                    self._idle.set()
            lane.filled.clear()

    async def _send(self, event: _Event) -> None:
        """Sends one, again and again while the API server does not answer."""
        body, failures = self._body(event), 0
        first, longest = AWAY_PAUSE
        while True:
            try:
                if not await self._client.create_event(body):
                    self._leave_out(event, "refused")
                return
            except KubeUnavailable:
                failures += 1
                await asyncio.sleep(delay_seconds(failures, seed=event.ref.name, initial=first, maximum=longest))
            except Exception:
                log.exception("sending an Event failed")
                self._leave_out(event, "it cannot be sent")
                return

    def _body(self, event: _Event) -> dict[str, Any]:
        ref = event.ref
        self._sequence += 1
        suffix = f".{self._sequence:x}"
        message = event.message
        if event.left_out:
            message += f" ({event.left_out} Event{'s' if event.left_out > 1 else ''} before it left out)"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": ref.name[: NAME_LIMIT - len(suffix)] + suffix, "namespace": ref.namespace},
            "involvedObject": ref.as_dict(),
            "type": event.type,
            "reason": event.reason,
            "message": _cut(message),
            "source": self._source,
            "reportingComponent": self._source["component"],
            "reportingInstance": self._source["host"],
            "firstTimestamp": _written(event.first),
            "lastTimestamp": _written(event.last),
            "count": event.count,
        }


def _object(ref: ObjectRef) -> str:
    """What distinguishes objects."""
    return ref.uid or f"{ref.kind}/{ref.namespace}/{ref.name}"


def _cut(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"


def _written(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
