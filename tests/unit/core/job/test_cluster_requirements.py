"""Whether a cluster is fit for a job: what is required forbids, what endangers only warns."""

from __future__ import annotations

from typing import Any

from flinkjob.core.seen import ClusterSeen
from tests.support.inputs import RUNNING, cluster, decide, job, present, seen, spec


def _suitable(there: ClusterSeen, wanted: dict[str, Any] | None = None) -> tuple[str, str]:
    decision = decide(job(wanted, RUNNING), seen(present(), cluster=there))
    condition = next(c for c in decision.status.conditions if c.type == "ClusterSuitable")
    return condition.status, condition.message


def test_advice_warns_and_requirements_forbid() -> None:
    assert _suitable(cluster(high_availability=True)) == ("True", "")
    assert "System.exit" in _suitable(cluster(high_availability=True, intercepts_exit=False))[1]
    assert "restart of the JobManager" in _suitable(cluster())[1]
    assert "checkpoint directory" in _suitable(cluster(checkpoint_directory=None))[1]
    own = spec(checkpoint={"directory": "file:///c"}, savepoints={"directory": "file:///s"})
    assert _suitable(cluster(high_availability=True, checkpoint_directory=None, savepoint_directory=None), own)[1] == ""
    needs = spec(cluster={"url": "http://flink.example:8081", "require": ["HighAvailability", "SavepointDirectory"]})
    state, message = _suitable(cluster(savepoint_directory=None), needs)
    assert state == "False"
    assert "HighAvailability" in message
    assert "SavepointDirectory" in message
    dropped = spec(
        cluster={"url": "http://flink.example:8081", "require": ["RetainedCheckpoints"]},
        checkpoint={"retention": "DeleteOnCancellation"},
    )
    assert _suitable(cluster(), dropped)[0] == "False"
    assert _suitable(cluster(allows_submission=False))[0] == "False"
