"""The gate before every call that has an effect, with names: crash tests end the process there.

Called by the executor and the background tasks right before and right after each effect. Invariants: nothing passes while
this process may not have effects (it lost its Lease); without the test hook a point does nothing else.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from enum import StrEnum


class Effect(StrEnum):
    """The calls with an effect outside the process."""

    FINALIZER_ADD = "finalizer-add"
    FINALIZER_REMOVE = "finalizer-remove"
    REVISION = "revision"
    RECORD = "record-savepoint"
    JOB_STATUS = "job-status"
    SAVEPOINT_STATUS = "savepoint-status"
    RESULT_MARK = "result-mark"
    UPLOAD = "upload"
    RUN = "run"
    STOP = "stop"
    SAVEPOINT = "savepoint"
    CHECKPOINT = "checkpoint"
    CANCEL = "cancel"
    RESCALE = "rescale"
    SAVEPOINT_CREATE = "savepoint-create"
    SAVEPOINT_DELETE = "savepoint-delete"
    DISPOSE = "dispose"
    OBJECT_DELETE = "object-delete"
    DISCARD = "discard-artifact"
    SYNC_OWNER = "sync-owner"
    SYNC_RESERVE = "sync-reserve"
    SYNC_DATA = "sync-data"
    SYNC_JOURNAL = "sync-journal"
    SYNC_METADATA = "sync-metadata"
    SYNC_MANIFEST = "sync-manifest"
    SYNC_LATEST = "sync-latest"
    SYNC_PRUNE = "sync-prune"


class Faults:
    """The test hook. `kill_at` is `before:<effect>` or `after:<effect>`, with `#n` for the n-th time (default 1)."""

    def __init__(self, kill_at: str = "", *, require: Callable[[], None] = lambda: None) -> None:
        """
        Args:
            kill_at: the test hook.
            require: raises where this process may not have effects now.
        """
        point, _, count = kill_at.partition("#")
        moment, _, effect = point.partition(":")
        if point and (moment not in ("before", "after") or effect not in set(Effect)):
            raise ValueError(f"no such fault point: {kill_at!r}")
        self._require = require
        self._point = point
        self._remaining = int(count) if count else 1

    @staticmethod
    def points() -> tuple[str, ...]:
        """All names, for tests that must not forget one."""
        return tuple(f"{moment}:{effect}" for effect in Effect for moment in ("before", "after"))

    def before(self, effect: Effect) -> None:
        """Right before an effect; raises what `require` raises."""
        self._require()
        self._reached(f"before:{effect}")

    def after(self, effect: Effect) -> None:
        self._reached(f"after:{effect}")

    def _reached(self, point: str) -> None:
        if point != self._point:
            return
        self._remaining -= 1
        if self._remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)
