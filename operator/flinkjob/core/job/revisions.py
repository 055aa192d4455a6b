"""Which of the recorded specs of a FlinkJob are kept: the newest ones, and those that may be run again.

`outdated` is called by `runtime/records.py` with what it finds stored.
"""

from __future__ import annotations

from collections.abc import Mapping

from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.core.actions import RecordRevision


def outdated(stored: Mapping[str, int], status: FlinkJobStatus, action: RecordRevision) -> list[str]:
    """The names of those to be deleted, the oldest first, so that with the new one `keep` are left.

    Args:
        stored: the numbers of those of this FlinkJob, by name; the new one may be among them.
        status: as it is stored.
    """
    others = sorted((name for name in stored if name != action.name), key=stored.__getitem__)
    needed = _needed(status)
    spare = [name for name in others if name not in needed]
    return spare[: max(len(others) + 1 - action.keep, 0)]


def _needed(status: FlinkJobStatus) -> set[str | None]:
    """The revisions that a rollback goes back to, or that the present run has to be looked after by."""
    run, rollback = status.submission, status.rollback
    return {
        status.healthy_revision,
        run.revision if run is not None else None,
        rollback.revision if rollback is not None else None,
    }
