"""Whether the job of a source may still live, and what of its state the new FlinkJob starts from.

Invariant: a manifest that could start a job beside one that lives, or without the state of one that lived, is Suspended, and
the report says what a person must do first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from flinkjob.cli.migrate import common
from flinkjob.cli.migrate.fields import Migration, Weight, nested


class Life(Enum):
    """What the status of a source says about its job."""

    MAY_LIVE = auto()
    """Whatever is not surely another one; also where there is no status."""
    SUSPENDED = auto()
    """Wanted down, and down."""
    FAILED = auto()
    ENDED = auto()
    """It finished or was cancelled, and is not wanted back."""


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a source has left.

    Attributes:
        path: of the status that says so.
        state: the other operator's word; "" where there is none.
        savepoint: the one that its last stop was by; "" where none is sure to be.
    """

    life: Life
    path: str
    state: str = ""
    savepoint: str = ""


_ENDED: Final = ("FINISHED", "CANCELED", "CANCELLED")
_CLUSTER_ENDED: Final = ("SUCCEEDED", "CANCELLED", "CANCELED")


def official(body: Mapping[str, Any]) -> Left:
    """Of the Apache operator's kinds."""
    status, path = body.get("status"), "status.jobStatus"
    state = str(nested(status, "jobStatus", "state") or "").upper()
    stopped = _last_mode(body) == "savepoint"
    savepoint = str(nested(status, "jobStatus", "upgradeSavepointPath") or "") if stopped else ""
    wanted_down = str(nested(body, "spec", "job", "state") or "").lower() == "suspended"
    if wanted_down:
        down = state in (*_ENDED, "FAILED") or (not state and savepoint)
        return Left(life=Life.SUSPENDED if down else Life.MAY_LIVE, path=path, state=state, savepoint=savepoint)
    life = Life.ENDED if state in _ENDED else Life.FAILED if state == "FAILED" else Life.MAY_LIVE
    return Left(life=life, path=path, state=state, savepoint=savepoint)


def spotify(body: Mapping[str, Any]) -> Left:
    """Of a FlinkCluster."""
    path = "status.components.job"
    state = str(nested(body, "status", "components", "job", "state") or "").upper()
    life = Life.ENDED if state in _CLUSTER_ENDED else Life.FAILED if state == "FAILED" else Life.MAY_LIVE
    return Left(life=life, path=path, state=state)


def carry(migration: Migration, spec: dict[str, Any], left: Left) -> bool:
    """Give the new FlinkJob, the last of what was made, the state that was left; True where the job may live and is to be
    moved by steps."""
    match left.life:
        case Life.MAY_LIVE:
            says = f"says {left.state}" if left.state else "does not say that the job has ended"
            words = f"{says}: the new FlinkJob is Suspended; apply only after these steps, or it starts without state"
            _hold(migration, spec, left, words)
            return True
        case Life.ENDED:
            words = f"says {left.state}: applied as a FlinkJob it runs again, from its beginning or spec.initialState"
            migration.note(Weight.CHECK, left.path, words)
        case _ if left.savepoint:
            spec["initialState"] = common.initial_state(left.savepoint, spec.get("initialState", {}).get("nonce"))
            words = (
                "the savepoint that it was suspended with is the initial state"
                if left.life is Life.SUSPENDED
                else "the job failed: the savepoint of its last stop is the initial state; a checkpoint may be newer"
            )
            migration.note(Weight.CHECK, left.path, words)
            _write(migration, spec)
        case _:
            words = (
                "does not say which savepoint the job was stopped with: the new FlinkJob is Suspended; write its newest "
                "state into spec.initialState: {strategy: Custom, location: LOCATION} before it runs"
            )
            _hold(migration, spec, left, words)
    return False


def _hold(migration: Migration, spec: dict[str, Any], left: Left, words: str) -> None:
    spec["state"] = "Suspended"
    migration.note(Weight.MUST, left.path, words)
    _write(migration, spec)


def _write(migration: Migration, spec: dict[str, Any]) -> None:
    migration.made[-1] = common.flinkjob(migration.made[-1]["metadata"], spec)


def _last_mode(body: Mapping[str, Any]) -> str:
    """How the other operator stopped the job last: of the spec that it acted on, else of the one that is there."""
    acted_on = nested(body, "status", "reconciliationStatus", "lastReconciledSpec")
    try:
        parsed = json.loads(acted_on) if isinstance(acted_on, str) else None
    except (ValueError, RecursionError):
        parsed = None
    mode = nested(parsed, "spec", "job", "upgradeMode") or nested(parsed, "job", "upgradeMode")
    return str(mode or nested(body, "spec", "job", "upgradeMode") or "").lower()
