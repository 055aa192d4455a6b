"""Values that only tick are not worth a write: they go along with another change.

Called last by the job decision. Invariant: when nothing else changed, the status to write is the one that is there, so an
idle resource costs no PATCH.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flinkjob.api.codec import dump_status
from flinkjob.api.flinkjob_status import CheckpointInfo, FlinkJobStatus

TICK_SECONDS = 300.0
"""After so many seconds a value that ticks is worth a write of its own."""


def settled(before: FlinkJobStatus, after: FlinkJobStatus) -> FlinkJobStatus:
    """`after`, or `before` when they differ only in values that tick, unless those are minutes old."""
    return before if _still(before) == _still(after) and not _stale(before, after) else after


def _stale(before: FlinkJobStatus, after: FlinkJobStatus) -> bool:
    known, new = before.last_checkpoint, after.last_checkpoint
    if new is None or new.time is None:
        return False
    if known is None or known.time is None or _run(known) != _run(new):
        return True  # the first of a run is no tick: it tells later whether the run ever had one
    return (new.time - known.time).total_seconds() >= TICK_SECONDS


def _run(checkpoint: CheckpointInfo) -> str:
    """The part of a checkpoint's location that all checkpoints of a run share."""
    return (checkpoint.location or "").rpartition("/")[0]


def _still(status: FlinkJobStatus) -> dict[str, Any]:
    job = replace(status.job, observed_time=None, restarts=None) if status.job is not None else None
    return dump_status(replace(status, job=job, last_checkpoint=None))
