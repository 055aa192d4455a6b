"""What never changes of a Flink job: read once in its life, kept while the cluster lists it.

Used by `Cluster`. Invariant: another job that has the same id, after the JobManager was lost, is read anew.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from datetime import datetime
from typing import Generic, TypeVar

Read = TypeVar("Read")


class OnceRead(Generic[Read]):
    """One sort of it, of all jobs of a cluster."""

    def __init__(self, began: Callable[[str], datetime | None]) -> None:
        """
        Args:
            began: when the job of an id was started: another one may have had the id.
        """
        self._began = began
        self._read: dict[str, tuple[datetime | None, Read]] = {}

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._read and self._read[job_id][0] == self._began(job_id)

    def get(self, job_id: str) -> Read:
        """What was read of a job that is contained."""
        return self._read[job_id][1]

    def put(self, job_id: str, read: Read) -> None:
        """This was read."""
        self._read[job_id] = (self._began(job_id), read)

    def retain(self, job_ids: Container[str]) -> None:
        """Forget all other jobs."""
        self._read = {job_id: read for job_id, read in self._read.items() if job_id in job_ids}
