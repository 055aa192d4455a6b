"""The dashboards' queries, asked of a real Prometheus that scrapes a real operator with a job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from deploy.local.environment import REPOSITORY
from deploy.local.prerequisites import MissingPrerequisite
from deploy.local.processes import ProcessFailed
from deploy.local.progress import StepFailed
from deploy.local.prometheus import Prometheus, program
from tests.support.integration import Lab, wait_until

pytestmark = [pytest.mark.kube, pytest.mark.flink]
DASHBOARDS = ("dashboard.json", "dashboard-job.json")
MONITOR = REPOSITORY / "deploy" / "kustomize" / "overlays" / "monitoring" / "service-monitor.yaml"
SCALED = REPOSITORY / "deploy" / "examples" / "autoscaling" / "keda.yaml"
NAME = "on-the-dashboard"
NOTHING_HERE = ("flinkjob_job_pending_records", "flinkjob_job_source_lag_seconds", "flinkjob_syncs_total")
"""What this job has no numbers of: it reads from no Kafka, its events have no time, and nothing is copied."""


@pytest.fixture(scope="module")
def available() -> None:
    """Skips where Prometheus cannot be had."""
    try:
        program()
    except (MissingPrerequisite, StepFailed) as error:
        pytest.skip(f"NO PROMETHEUS HERE: {str(error).splitlines()[0]}")


@pytest.fixture
def prometheus(available: None, own_lab: Lab, tmp_path: Path) -> Iterator[Prometheus]:
    """... which scrapes as the ServiceMonitor says, and gives the labels of the operator's Pod to what it finds."""
    monitor = yaml.safe_load(MONITOR.read_text())
    (endpoint,) = monitor["spec"]["endpoints"]
    target = own_lab.operator.url.removeprefix("http://")
    labels = {"namespace": "flinkjob-system", "pod": "flinkjob-operator-0", "service": "flinkjob-operator-metrics"}
    with Prometheus(tmp_path / "prometheus", target, labels, honor_labels=endpoint["honorLabels"]) as started:
        yield started


def autoscaler_queries(lab: Lab) -> list[str]:
    """What KEDA asks by the example."""
    triggers = yaml.safe_load(SCALED.read_text())["spec"]["triggers"]
    places = {'"default"': f'"{lab.namespace}"', '"minimal"': f'"{NAME}"'}
    found = [each["metadata"]["query"] for each in triggers]
    for here, there in places.items():
        found = [each.replace(here, there) for each in found]
    return found


def queries(lab: Lab, dashboard: str) -> list[str]:
    """The expressions of all panels, with the variables that a person has chosen."""
    panels = json.loads((REPOSITORY / "deploy" / "chart" / "files" / dashboard).read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    return [each.replace("$namespace", lab.namespace).replace("$name", NAME) for each in expressions]


@pytest.mark.parametrize("own_lab", [{"job-metrics": "1"}], indirect=True)
def test_every_query_of_the_dashboards_has_an_answer(own_lab: Lab, prometheus: Prometheus) -> None:
    manifest = own_lab.start(NAME)
    own_lab.edit(manifest, restartNonce=1)
    own_lab.running(NAME, 2)
    asked = [each for dashboard in DASHBOARDS for each in queries(own_lab, dashboard)]
    asked += autoscaler_queries(own_lab)
    assert len(asked) > 20
    assert not [each for each in asked if "$" in each]
    expected = {each for each in asked if not any(name in each for name in NOTHING_HERE)}
    found: set[str] = set()

    def all_answered() -> bool:
        found.update(each for each in expected - found if prometheus.query(each))
        return found == expected

    with suppress(ProcessFailed):  # what is missing is said below
        wait_until(all_answered, timeout=60, what="answers")
    assert expected - found == set()
    assert [each for each in set(asked) - expected if prometheus.query(each)] == []
    (busy,) = prometheus.query(f'flinkjob_job_busy_ratio{{name="{NAME}"}}')
    assert 0 < float(busy["value"][1]) <= 1
