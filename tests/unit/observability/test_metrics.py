"""Names, labels, and that no label can grow without bound."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

import flinkjob
from flinkjob.net.permits import Permits, on_account
from flinkjob.observability.metrics import Metrics, endpoint_label

FLINK = Path(flinkjob.__file__).parent / "flink"
PATH = re.compile(r'"(/(?:jobs|jars|config|overview|jobmanager|savepoint-disposal)\b[^"]*)"')


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


def test_names(metrics: Metrics, registry: CollectorRegistry) -> None:
    names = {family.name for family in registry.collect()}
    assert all(name.startswith("flinkjob_") for name in names)
    assert {"flinkjob_reconcile", "flinkjob_jobs", "flinkjob_queue_depth", "flinkjob_kube_requests"} <= names


def test_times_are_in_seconds_and_counters_end_in_total(metrics: Metrics, registry: CollectorRegistry) -> None:
    for family in registry.collect():
        assert not family.name.endswith(("_ms", "_minutes", "_milliseconds", "_total")), family.name
        assert family.documentation.endswith("."), family.name
        if family.type == "histogram":
            assert family.name.endswith("_seconds"), family.name


def test_leader_ages_and_downtimes(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.leads(lambda: True)
    metrics.watch_ages(lambda: 30.0, lambda: 3600.0)
    metrics.started_again("Upgrade", 1.4)
    value = registry.get_sample_value
    assert value("flinkjob_leader") == 1
    assert value("flinkjob_oldest_checkpoint_age_seconds") == 30
    assert value("flinkjob_oldest_savepoint_age_seconds") == 3600
    assert value("flinkjob_downtime_seconds_sum", {"reason": "Upgrade"}) == pytest.approx(1.4)


def test_labels_name_no_resource(metrics: Metrics) -> None:
    bounded = {"kind", "result", "verb", "resource", "code", "endpoint", "phase", "reason"}
    for metric in vars(metrics).values():
        assert set(getattr(metric, "_labelnames", ())) <= bounded


def test_counting(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.kube_request("patch", "flinkjobs/status", "200")
    metrics.flink_request("GET /jobs/" + "0a" * 16, "200", 0.02)
    metrics.reconciled("FlinkJob", "ok", 0.01)
    metrics.watch_queue(lambda: 3, lambda: 1.5)
    metrics.count_jobs(lambda: ["Running", "Failed", "Running", ""])
    text = generate_latest(registry).decode()
    for line in (
        'flinkjob_kube_requests_total{code="200",resource="flinkjobs/status",verb="patch"} 1.0',
        'flinkjob_flink_requests_total{code="200",endpoint="GET /jobs/:id"} 1.0',
        'flinkjob_reconcile_total{kind="FlinkJob",result="ok"} 1.0',
        "flinkjob_queue_depth 3.0",
        "flinkjob_queue_oldest_seconds 1.5",
        'flinkjob_jobs{phase="Running"} 2.0',
        'flinkjob_jobs{phase="Pending"} 1.0',
    ):
        assert line in text.splitlines()


@pytest.mark.isolation("shares")
async def test_what_namespaces_share_is_shown_without_a_label_for_each(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    places, downloads = Permits(2, each=1), Permits(2, each=1)
    metrics.watch_shared({"connections": places.usage, "downloads": downloads.usage})
    with on_account(("evil",)):
        taken = await places.take()
        waits = asyncio.create_task(places.take())
    async with downloads.hold("evil", "a"):
        await asyncio.sleep(0)
        lines = generate_latest(registry).decode().splitlines()
    for resource, waiting in (("connections", 1), ("downloads", 0)):
        assert f'flinkjob_shared_limit{{resource="{resource}"}} 2.0' in lines
        assert f'flinkjob_shared_taken{{resource="{resource}"}} 1.0' in lines
        assert f'flinkjob_shared_waiting{{resource="{resource}"}} {waiting}.0' in lines
    assert not [line for line in lines if "evil" in line]
    places.give_back(taken)
    places.give_back(await waits)
    assert places.usage() == (2, 0, 0)


@pytest.mark.parametrize(
    ("endpoint", "label"),
    [
        ("GET /jobs/overview", "GET /jobs/overview"),
        ("GET /jobs/" + "0a" * 16 + "/checkpoints/17", "GET /jobs/:id/checkpoints/:id"),
        ("GET /jobs/" + "0a" * 16 + "/checkpoints/details/17", "GET /jobs/:id/checkpoints/details/:id"),
        ("GET /team-a/flink/jobs/" + "0a" * 16 + "/config", "GET /jobs/:id/config"),
        ("GET /a/b/overview/config", "GET /config"),
        ("GET /a-secret/of/a-tenant", "other"),
        ("PATCH /jobs/" + "0a" * 16 + "?mode=cancel", "PATCH /jobs/:id"),
        ("POST /jars/2f3c1f0e-8f0c-4c3b-9d4e-0123456789ab_clicks.jar/run", "POST /jars/:id/run"),
    ],
)
def test_endpoints_have_no_ids(endpoint: str, label: str) -> None:
    assert endpoint_label(endpoint) == label


def test_every_endpoint_that_is_asked_for_has_a_label_of_its_own() -> None:
    files = [
        file for file in FLINK.glob("*.py") if file.name != "view.py"
    ]  # only the command line asks for what is there
    source = "".join(file.read_text() for file in files)
    paths = {re.sub(r"\{[^}]*\}", "17", path) for path in PATH.findall(source)}
    assert len(paths) > 20
    labels = {endpoint_label(f"GET {path}") for path in paths}
    assert "other" not in labels
    assert len(labels) == len(paths)


def test_two_in_one_process_do_not_clash() -> None:
    Metrics(CollectorRegistry())
    Metrics(CollectorRegistry())


def test_transitions_are_counted_by_reason(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.count_event("FlinkJob", "LeftBehind")
    metrics.count_event("FlinkJob", "LeftBehind")
    labels = {"kind": "FlinkJob", "reason": "LeftBehind"}
    assert registry.get_sample_value("flinkjob_events_total", labels) == 2
