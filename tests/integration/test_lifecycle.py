"""From apply to running, and through the desired states."""

from __future__ import annotations

import pytest

from tests.support.kube import conditions
from tests.support.lab import Lab, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]


def test_a_job_is_submitted_once(lab: Lab) -> None:
    lab.start("once")
    found = lab.get("once")
    (job,) = lab.flink_jobs("once")
    assert job["jid"] == submission(found)["jobId"]
    assert conditions(found) == {
        "Ready": "True",
        "Reconciling": "False",
        "Stalled": "False",
        "Healthy": "True",
        "ClusterReachable": "True",
        "ClusterSuitable": "True",
    }


def test_it_survives_the_operator(own_lab: Lab) -> None:
    own_lab.start("kept")
    before = own_lab.flink_jobs("kept")
    own_lab.operator.restart(kill=True)
    own_lab.start("other")
    assert [j["jid"] for j in own_lab.flink_jobs("kept")] == [j["jid"] for j in before]
