"""What the answer of a cluster that was asked to dispose of data proves."""

from __future__ import annotations

import pytest

from flinkjob.core.flinkmodel import TriggerResult, TriggerState
from flinkjob.core.savepoint.disposers import outcome
from flinkjob.core.seen import DisposalPhase

MISSING = TriggerResult(state=TriggerState.COMPLETED, missing=True)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("location", ["file:/s", "s3://bucket/s"])
def test_only_of_a_local_path_another_cluster_is_not_believed(location: str, first: bool) -> None:
    believed = first or location.startswith("s3:")
    assert (outcome(MISSING, location, first=first).phase is DisposalPhase.DONE) == believed


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (TriggerResult(state=TriggerState.FAILED, failure="denied"), "denied"),
        (TriggerResult(state=TriggerState.FORGOTTEN), "Flink has forgotten the disposal"),
    ],
)
def test_what_is_no_success_says_why(result: TriggerResult, message: str) -> None:
    seen = outcome(result, "file:/s", first=True)
    assert (seen.phase, seen.message) == (DisposalPhase.FAILED, message)
