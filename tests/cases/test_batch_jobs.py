"""Batch programs, of which Flink takes no savepoints."""

from __future__ import annotations

import pytest

from tests.support.integration import Lab

pytestmark = [pytest.mark.kube, pytest.mark.flink]

ARGUMENTS = ["--count", "100000", "--rate", "20"]


@pytest.mark.report("batch")
@pytest.mark.every_flink
def test_a_batch_job_is_asked_for_savepoints_when_it_is_changed_or_deleted(lab: Lab) -> None:
    manifest = lab.job("bounded")
    manifest["spec"] |= {"args": ARGUMENTS, "runtimeMode": "Batch"}
    lab.apply(manifest)
    lab.running("bounded")
    lab.edit(manifest, args=[*ARGUMENTS, "--uid", "other"])
    found = lab.running("bounded", 2)
    assert found["status"]["history"][0]["result"] == "Cancelled"
    lab.told_once("SavepointSkipped", "bounded")
    lab.delete("bounded")
    lab.gone("bounded")
    assert lab.live_jobs("bounded") == []
