"""The specs in ControllerRevisions, read once for all rounds that follow each other.

Used by the observer: each round of an upgrade looks at the spec of the run that it replaces. Invariant: what is believed was
read a short time ago; the API server changes no ControllerRevision, only a person can put another one in its place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from flinkjob.api.codec import FlinkJob
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.runtime.queue import Key
from flinkjob.runtime.records import spec_in

BELIEVED_SECONDS: Final = 30.0
MOST: Final = 256
"""So many are kept: of the keys that were read for last."""


class RevisionReader(Protocol):
    """What is needed of the API server."""

    async def get_revision(self, namespace: str, name: str) -> Mapping[str, Any] | None: ...


class _Read(NamedTuple):
    uid: str
    name: str
    at: float
    spec: FlinkJobSpec


class Revisions:
    """The last one that was read for each key."""

    def __init__(self, reader: RevisionReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._clock = clock
        self._read: dict[Key, _Read] = {}

    async def spec(self, key: Key, job: FlinkJob | None, name: str) -> FlinkJobSpec | None:
        """The spec that a ControllerRevision of the FlinkJob holds; None when it is gone or cannot be read any more."""
        if job is None:
            return None
        known = self._read.get(key)
        same = known is not None and (known.uid, known.name) == (job.meta.uid, name)
        if known is not None and same and self._clock() - known.at < BELIEVED_SECONDS:
            return known.spec
        self.forget(key)
        raw = await self._reader.get_revision(key[0], name)
        spec = spec_in(raw) if raw is not None else None
        if spec is not None:
            self._read[key] = _Read(job.meta.uid, name, self._clock(), spec)
            if len(self._read) > MOST:
                del self._read[next(iter(self._read))]
        return spec

    def forget(self, key: Key) -> None:
        """Nothing is known for the key any more."""
        self._read.pop(key, None)
