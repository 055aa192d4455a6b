"""The one builder of conditions: when `lastTransitionTime` moves, and which condition has a message.

Used by the decisions about FlinkJobs, FlinkSavepoints and copies. Invariant: a condition whose status stays keeps its time.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from flinkjob.api.enums import ConditionStatus
from flinkjob.api.flinkjob_status import Condition

_SILENT_WHEN_FALSE = ("Reconciling", "Stalled")
"""What these mean when they are False needs no words."""


class Conditions:
    """Makes the next conditions of an object from those that it has.

    Attributes:
        generation: of the object that was looked at.
    """

    def __init__(self, before: Iterable[Condition], *, now: datetime, generation: int | None) -> None:
        self._before = {condition.type: condition for condition in before}
        self._now = now
        self._generation = generation

    def before(self, kind: str) -> Condition | None:
        """The condition as it was."""
        return self._before.get(kind)

    def next(self, kind: str, status: ConditionStatus, reason: str, message: str) -> Condition:
        """The condition as it is now."""
        known = self._before.get(kind)
        silent = kind in _SILENT_WHEN_FALSE and status is ConditionStatus.FALSE
        return Condition(
            type=kind,
            status=status,
            reason=reason,
            message="" if silent else message,
            last_transition_time=known.last_transition_time
            if known is not None and known.status is status
            else self._now,
            observed_generation=self._generation,
        )
