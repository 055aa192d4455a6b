"""The texts in ConfigMaps that FlinkJobs name, and digests of jars: read when a round wants them, and again in turn.

Asked by the observer. They are read by name and not watched: a watch would need the right to list, and bring every ConfigMap
of the cluster. Invariants: a ConfigMap is read only in the namespace of the FlinkJob that names it; what a round gets is
at most ten seconds old, and newer than the last edit of its FlinkJob; all of them together cost at most five reads a second
while nothing happens, and namespaces take turns with them; where the API server does not answer, what was last read counts,
unless the FlinkJob was edited since.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from flinkjob.api.codec import FlinkJob
from flinkjob.api.program_spec import MOST_SCRIPT_BYTES
from flinkjob.core.errors import FlinkJobError, Transient
from flinkjob.core.job.scripts import places
from flinkjob.core.seen import TextPlace, TextsSeen
from flinkjob.core.shares import Line
from flinkjob.runtime.queue import Key

log = logging.getLogger(__name__)

FRESH_SECONDS = 10.0
"""For so long what was read is used without reading it again, and so often all are looked at while they are few."""
PAUSE_SECONDS = 0.2
"""Between two reads when nothing happens."""
READ_SECONDS = 5.0
"""So long a read may take, so that one that hangs does not keep the others from their turn."""

Name = tuple[str, str]
"""Namespace and name of a ConfigMap."""


class ConfigMapReader(Protocol):
    """What is needed of `KubeClient`."""

    async def read_configmap(self, namespace: str, name: str) -> dict[str, Any] | None: ...


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What was read of the keys that somebody names, "" for all, and when; `problem`: why nothing was.

    Of what is in `binaryData` the SHA-256 is kept. Of a text that is longer than a script may be one character more than that
    is kept, by which it is refused.
    """

    keys: frozenset[str]
    texts: Mapping[str, str]
    at: float
    digests: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""

    def differs_from(self, later: _Known) -> bool:
        """Whether what is known here is not so any more."""
        every = "" in self.keys
        now = {key: text for key, text in later.texts.items() if every or key in self.keys}
        digests = {key: digest for key, digest in later.digests.items() if key in self.keys}
        return (now, digests, later.problem) != (self.texts, self.digests, self.problem)

    def at_place(self, place: TextPlace) -> str | None:
        """What stands for what is there; None where nothing is."""
        return (self.digests if place.binary else self.texts).get(place.key)


class ConfigMaps:
    """Knows the texts."""

    def __init__(
        self,
        reader: ConfigMapReader,
        jobs: Callable[[], Iterable[FlinkJob]],
        enqueue: Callable[[Key], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            jobs: all FlinkJobs.
            enqueue: called with those of which a text has changed.
        """
        self._reader = reader
        self._jobs = jobs
        self._enqueue = enqueue
        self._clock = clock
        self._known: dict[Name, _Known] = {}
        self._generations: dict[Key, int] = {}
        self._names: frozenset[Name] = frozenset()  # those that are looked at in turn
        self._listed = -math.inf  # when they were found
        self._due: Line[Name] = Line()
        self._resting: deque[tuple[float, Name]] = deque()  # until when, the next one first

    async def texts(self, key: Key, wanted: tuple[TextPlace, ...], generation: int) -> TextsSeen:
        """The texts that a FlinkJob of this generation names, or why they cannot be had."""
        edited = self._generations.get(key) != generation
        since = self._clock() - (0.0 if edited else FRESH_SECONDS)
        found: dict[TextPlace, str] = {}
        for name in dict.fromkeys(place.name for place in wanted):
            keys = frozenset(place.key for place in wanted if place.name == name)
            known = await self._read((key[0], name), keys, since, instead=not edited)
            if known.problem:
                return TextsSeen(problem=known.problem)
            for place in (place for place in wanted if place.name == name):
                if not place.key:
                    if not known.texts:
                        return TextsSeen(problem=f"ConfigMap {name} has no text")
                    found |= {TextPlace(name, key): text for key, text in sorted(known.texts.items())}
                    continue
                if (text := known.at_place(place)) is None:
                    what = "no binaryData" if place.binary else "no text"
                    return TextsSeen(problem=f"ConfigMap {name} has {what} under the key {place.key}")
                found[place] = text
        self._generations[key] = generation
        return TextsSeen(texts=found)

    def forget(self, key: Key) -> None:
        """The FlinkJob is gone."""
        self._generations.pop(key, None)

    async def run(self) -> None:
        """Look at all of them in turn, for ever."""
        while True:
            pause = await self.turn()
            await asyncio.sleep(pause)

    async def turn(self) -> float:
        """Look at the next one that is due, if one is; seconds until the next turn."""
        name = self._next(self._clock())
        if name is not None:
            await self.look(name)
            self._resting.append((self._clock() + FRESH_SECONDS, name))
        if len(self._due):
            return PAUSE_SECONDS
        due = min([self._listed + FRESH_SECONDS, *(due for due, _ in islice(self._resting, 1))])
        return max(due - self._clock(), PAUSE_SECONDS)

    def _next(self, now: float) -> Name | None:
        """Of those that were not looked at for a while the next one of the next namespace."""
        if now - self._listed >= FRESH_SECONDS:
            self._listed = now
            named = self.named()
            for name in (name for name in named if name not in self._names):
                self._due.add(name[0], name, now)
            self._names = frozenset(named)
        while self._resting and self._resting[0][0] <= now:
            _, name = self._resting.popleft()
            self._due.add(name[0], name, now)
        while (taken := self._due.take(lambda _: True)) is not None:
            if taken[1] in self._names:
                return taken[1]
        return None

    async def look(self, name: Name) -> None:
        """Read one again, if a round has asked for it."""
        if (known := self._known.get(name)) is not None:
            await self._read(name, known.keys, self._clock(), instead=True)

    def named(self) -> dict[Name, list[Key]]:
        """The ConfigMaps that FlinkJobs name, and by which; what is known of others is forgotten."""
        named: dict[Name, list[Key]] = {}
        for job in self._jobs():
            for name in dict.fromkeys(place.name for place in places(job.spec)):
                named.setdefault((job.meta.namespace, name), []).append((job.meta.namespace, job.meta.name))
        self._known = {name: known for name, known in self._known.items() if name in named}
        return named

    async def _read(self, name: Name, keys: frozenset[str], since: float, *, instead: bool) -> _Known:
        """What these keys have, not read before that time; `instead`: but where nobody answers what was read before."""
        known = self._known.get(name)
        if known is not None and known.at > since and keys <= known.keys:
            return known
        sent = self._clock()
        keys |= known.keys if known is not None else frozenset()
        try:
            async with asyncio.timeout(READ_SECONDS):
                raw = await self._reader.read_configmap(*name)
        except (Transient, TimeoutError) as error:
            if instead and known is not None and keys == known.keys:
                return known
            late = f"the API server has not given ConfigMap {name[1]} within {READ_SECONDS:g} s"
            problem = error.message if isinstance(error, Transient) else late
            return _Known(keys=keys, texts={}, at=sent, problem=problem)
        except FlinkJobError as error:
            raw, problem = None, error.message
        else:
            problem = "" if raw is not None else f"ConfigMap {name[1]} does not exist"
        return self._store(name, keys, raw, sent, problem)

    def _store(self, name: Name, keys: frozenset[str], raw: dict[str, Any] | None, sent: float, problem: str) -> _Known:
        """Note an answer to what was sent at that time, unless a later one has come before it: what counts now.

        Whoever it was read for, all FlinkJobs that name it are woken up where it has changed.
        """
        known = self._known.get(name)
        keys |= known.keys if known is not None else frozenset()
        if known is not None and known.at > sent and keys == known.keys:
            return known
        data = (raw or {}).get("data") or {}
        wanted = sorted(data if "" in keys else keys)
        texts = {key: str(data[key])[: MOST_SCRIPT_BYTES + 1] for key in wanted if key in data}
        binary = (raw or {}).get("binaryData") or {}
        digests = {key: _digest(str(binary[key])) for key in sorted(keys) if key in binary}
        now = _Known(keys=keys, texts=texts, at=sent, problem=problem, digests=digests)
        if known is None or known.at <= sent:
            self._known[name] = now
            if known is not None and known.differs_from(now):
                log.info("ConfigMap %s/%s has changed", *name)
                for key in self.named().get(name, ()):
                    self._enqueue(key)
        return now


def _digest(encoded: str) -> str:
    return hashlib.sha256(base64.b64decode(encoded)).hexdigest()
