"""Values that only tick are not worth a write: they go along with another change.

Called by the reconciler between the decision and the write. Invariant: when nothing else changed, the status to write is the
one that is there, so an idle resource costs no PATCH.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flinkjob.api.codec import dump_status
from flinkjob.api.flinkjob_status import FlinkJobStatus


def settled(before: FlinkJobStatus, after: FlinkJobStatus) -> FlinkJobStatus:
    """`after`, or `before` when they differ only in values that tick (as they would be written)."""
    return before if _still(before) == _still(after) else after


def _still(status: FlinkJobStatus) -> dict[str, Any]:
    job = replace(status.job, observed_time=None) if status.job is not None else None
    return dump_status(replace(status, job=job, last_checkpoint=None))
