"""Objects that the API server will not have written, by an admission policy for instance: tried again later.

Kept by the reconciler. Invariants: a FlinkSavepoint that is refused holds up neither its FlinkJob nor another one, a FlinkJob
none of its FlinkSavepoints; it is tried again after a growing pause, and at once when it changes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from flinkjob.api.codec import Meta
from flinkjob.core.backoff import delay_seconds
from flinkjob.runtime.queue import Key

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds."""


@dataclass(frozen=True)
class _Refusal:
    key: Key
    version: str
    failures: int
    until: float


class Refusals:
    """Which objects were refused, and until when they are left alone."""

    def __init__(self) -> None:
        self._known: dict[str, _Refusal] = {}

    def pause(self, meta: Meta) -> float:
        """For how many seconds it is left alone; 0 where it may be tried."""
        known = self._known.get(meta.uid)
        if known is None or known.version != meta.resource_version:
            return 0.0
        return max(known.until - time.monotonic(), 0.0)

    def of(self, key: Key) -> frozenset[str]:
        """The uids of those of a key that were refused last."""
        return frozenset(uid for uid, known in self._known.items() if known.key == key)

    def note(self, key: Key, meta: Meta) -> float:
        """It was refused (again); for how many seconds it is left alone now."""
        before = self._known.get(meta.uid)
        failures = before.failures + 1 if before is not None else 1
        pause = delay_seconds(failures, seed=meta.uid, initial=FIRST_PAUSE, maximum=LONGEST_PAUSE)
        self._known[meta.uid] = _Refusal(key, meta.resource_version, failures, time.monotonic() + pause)
        return pause

    def accepted(self, meta: Meta) -> None:
        """It could be written."""
        self._known.pop(meta.uid, None)

    def retain(self, key: Key, uids: frozenset[str]) -> None:
        """Forget those of a key that are gone."""
        for uid in [uid for uid, known in self._known.items() if known.key == key and uid not in uids]:
            del self._known[uid]
