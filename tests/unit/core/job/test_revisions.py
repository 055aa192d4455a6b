"""Which recorded specs go: the oldest beyond the limit, but none that may be run again."""

from __future__ import annotations

from flinkjob.api.flinkjob_status import FlinkJobStatus, Rollback
from flinkjob.core.actions import RecordRevision
from flinkjob.core.job.revisions import outdated
from tests.support.inputs import run
from tests.support.tables import table

STORED = {"c": 3, "a": 1, "b": 2, "new": 4}


@table(
    ("keep", "status", "names"),
    "as many as the limit says are kept, the newest of them",
    (2, FlinkJobStatus(), ["a", "b"]),
    "none goes below the limit",
    (10, FlinkJobStatus(), []),
    "the one that runs stays, and a newer one goes",
    (2, FlinkJobStatus(submission=run(revision="a")), ["b", "c"]),
    "the healthy one and the one of a rollback stay beyond the limit",
    (1, FlinkJobStatus(healthy_revision="a", rollback=Rollback(revision="b")), ["c"]),
)
def test_what_is_outdated(keep: int, status: FlinkJobStatus, names: list[str]) -> None:
    assert outdated(STORED, status, RecordRevision(name="new", number=4, keep=keep)) == names
