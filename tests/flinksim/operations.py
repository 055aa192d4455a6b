"""Asynchronous operations of the simulated cluster: trigger ids, their results, how long they are remembered.

Used by: `cluster.py` and `rest.py`. Invariants: a trigger id that is known starts nothing, whatever is asked for; a result is
forgotten `store_duration` after it came, polling does not prolong that, and all are forgotten with the process.
"""

from dataclasses import dataclass
from typing import Any

from tests.flinksim.checkpointing import Entry
from tests.flinksim.javaerrors import JavaError

Key = tuple[str, str]
"""Job id and trigger id."""


@dataclass(kw_only=True, slots=True)
class Operation:
    """A savepoint, stop, checkpoint or disposal that was triggered."""

    ended: float | None = None
    location: str | None = None
    checkpoint_id: int | None = None
    failure: JavaError | None = None

    def body(self, failure_field: str) -> dict[str, Any]:
        """The answer of Flink."""
        if self.ended is None:
            return {"status": {"id": "IN_PROGRESS"}, "operation": None}
        told: dict[str, Any] = {}
        if self.failure is not None:
            told = {failure_field: self.failure.serialized()}
        elif self.checkpoint_id is not None:
            told = {"checkpointId": self.checkpoint_id}
        elif self.location is not None:
            told = {"location": self.location}
        return {"status": {"id": "COMPLETED"}, "operation": told}


class Operations:
    """Operations of one sort, by job and trigger id.

    Args:
        store_duration: seconds a result is kept.
    """

    def __init__(self, store_duration: float) -> None:
        self._store_duration = store_duration
        self._known: dict[Key, Operation] = {}

    def find(self, key: Key, now: float) -> Operation | None:
        """The operation, unless it is unknown or forgotten."""
        operation = self._known.get(key)
        if operation is not None and operation.ended is not None and now - operation.ended >= self._store_duration:
            del self._known[key]
            return None
        return operation

    def new(self, key: Key) -> Operation:
        """Begin an operation."""
        return self._known.setdefault(key, Operation())

    def forget(self, job_id: str | None = None) -> None:
        """Forget the results of a job, or all: as if the time were over."""
        for key in [key for key in self._known if job_id in (None, key[0])]:
            del self._known[key]


def completes(operation: Operation, now: Any) -> Any:
    """A callback that writes the outcome of a snapshot into its operation."""

    def done(entry: Entry) -> None:
        operation.ended = now()
        operation.failure = entry.failure
        if entry.failure is None and entry.format:
            operation.location = entry.location
        elif entry.failure is None:
            operation.checkpoint_id = entry.id

    return done
