"""Who asks for an operation on the running job: the words of `operation.by`.

Used by the job decision and by the one about a FlinkSavepoint whose stop the FlinkJob performs.
"""

from __future__ import annotations

from flinkjob.api.enums import SavepointOrigin

SAVEPOINT_PREFIX = "FlinkSavepoint/"


class Requester:
    """Who asks for an operation (`operation.by`); a FlinkSavepoint is named by `FlinkSavepoint/<name>`."""

    UPGRADE = "Upgrade"
    SUSPEND = "Suspend"
    DRAIN = "Drain"
    CANCEL = "Cancel"
    DELETION = "Deletion"
    ROLLBACK = "Rollback"
    MOVE = "Move"
    SCALE = "Scale"


ORIGINS = {
    Requester.UPGRADE: SavepointOrigin.UPGRADE,
    Requester.MOVE: SavepointOrigin.UPGRADE,
    Requester.SUSPEND: SavepointOrigin.SUSPEND,
    Requester.DRAIN: SavepointOrigin.SUSPEND,
    Requester.DELETION: SavepointOrigin.DELETION,
}
"""How the savepoint of an operator's own stop is labelled."""
