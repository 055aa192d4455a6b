"""The metrics of a real operator at work, and that none of them names anything that people have named."""

from __future__ import annotations

import pytest

from deploy.local import plainhttp
from tests.support.integration import Lab, wait_until

pytestmark = [pytest.mark.kube, pytest.mark.flink]


def test_metrics_of_an_upgrade(lab: Lab) -> None:
    before = lab.operator.metrics()
    downtimes = 'flinkjob_downtime_seconds_count{reason="Upgrade"}'
    manifest = lab.start("measured-by-name")
    lab.edit(manifest, restartNonce=1)
    lab.running("measured-by-name", 2)
    found = wait_until(lambda: _after(lab, downtimes, before.get(downtimes, 0.0)), timeout=20, what="a downtime")
    seconds = 'flinkjob_downtime_seconds_sum{reason="Upgrade"}'
    assert found[seconds] > before.get(seconds, 0.0)
    assert found["flinkjob_leader"] == 1, "without a Lease the only replica leads"
    assert found['flinkjob_jobs{phase="Running"}'] >= 1
    assert found["flinkjob_poll_seconds_count"] > before.get("flinkjob_poll_seconds_count", 0.0)
    assert found["flinkjob_events_dropped_total"] == 0
    wait_until(lambda: lab.operator.metrics()["flinkjob_oldest_checkpoint_age_seconds"] > 0, timeout=30, what="an age")
    assert found['flinkjob_events_total{kind="FlinkJob",reason="Upgraded"}'] >= 1
    assert any(
        name.startswith('flinkjob_flink_requests_total{code="200",endpoint="GET /jobs/overview"') for name in found
    )
    assert any('resource="flinkjobs/status"' in name and 'verb="patch"' in name for name in found)

    text = plainhttp.get(f"{lab.operator.url}/metrics", timeout=10).text
    job = lab.get("measured-by-name")
    planted = [lab.namespace, "measured-by-name", job["metadata"]["uid"], job["status"]["job"]["id"], lab.cluster_url]
    assert [word for word in planted if f'"{word}' in text or f"/{word}" in text] == []


@pytest.mark.parametrize("own_lab", [{"job-metrics": "1"}], indirect=True)
def test_metrics_of_single_jobs(own_lab: Lab) -> None:
    own_lab.start("alone")
    own_lab.apply(own_lab.job("beyond", state="Suspended"))
    job = f'{{name="alone",namespace="{own_lab.namespace}"}}'
    found = wait_until(
        lambda: _after(own_lab, f"flinkjob_job_checkpoint_age_seconds{job}", 0.0), timeout=30, what="a checkpoint"
    )
    assert found[f"flinkjob_job_uptime_seconds{job}"] > 0
    wait_until(
        lambda: own_lab.operator.metrics()["flinkjob_job_left_out"] == 1, timeout=10, what="the other one counted"
    )
    found = wait_until(
        lambda: _after(own_lab, f"flinkjob_job_busy_ratio{job}", 0.0), timeout=40, what="how busy its tasks are"
    )
    assert found[f"flinkjob_job_busy_ratio{job}"] <= 1
    assert 0 <= found[f"flinkjob_job_backpressured_ratio{job}"] <= 1
    assert f"flinkjob_job_pending_records{job}" not in found, "a generator does not know how much is pending"
    paths = 'endpoint="GET /jobs/:id/vertices/:id/subtasks/metrics"'
    asked = sum(
        count for name, count in found.items() if name.startswith("flinkjob_flink_requests_total{") and paths in name
    )
    assert 1 <= asked < 20
    assert not [name for name in own_lab.operator.metrics() if 'name="beyond"' in name]


def _after(lab: Lab, name: str, count: float) -> dict[str, float] | None:
    found = lab.operator.metrics()
    return found if found.get(name, 0.0) > count else None
