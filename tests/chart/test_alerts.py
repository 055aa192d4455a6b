"""The alerts, by promtool's own unit tests; and that rules, dashboard and documents name metrics that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from deploy.local.binaries import tool_binary
from flinkjob.observability.eachjob import EachJob
from flinkjob.observability.metrics import Metrics
from tests.support.inputs import NOW

REPOSITORY = Path(__file__).resolve().parents[2]
ALERTS = REPOSITORY / "deploy" / "chart" / "files" / "alerts.yaml"
UNIT_TESTS = Path(__file__).with_name("alerts_test.yaml")
WHERE_METRICS_ARE_NAMED = [
    ALERTS,
    UNIT_TESTS,
    REPOSITORY / "deploy" / "chart" / "files" / "dashboard.json",
    REPOSITORY / "deploy" / "chart" / "files" / "dashboard-job.json",
    REPOSITORY / "deploy" / "README.md",
    REPOSITORY / "README.md",
    REPOSITORY / "deploy" / "kustomize" / "overlays" / "monitoring" / "prometheus-rule.yaml",
]


def promtool(directory: Path, *arguments: str) -> str:
    """What promtool prints: the installed one (Debian's package `prometheus`), else one that is built once."""
    program = shutil.which("promtool") or tool_binary("promtool")
    done = subprocess.run([program, *arguments], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    shutil.copy(ALERTS, tmp_path)
    shutil.copy(UNIT_TESTS, tmp_path)
    return tmp_path


def test_the_rules_are_valid(directory: Path) -> None:
    assert "SUCCESS" in promtool(directory, "check", "rules", ALERTS.name)


def test_the_alerts_fire_when_they_shall(directory: Path) -> None:
    assert "SUCCESS" in promtool(directory, "test", "rules", UNIT_TESTS.name)


def test_every_alert_is_tried_in_both_ways() -> None:
    alerts = {rule["alert"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]}
    tried = [each for test in yaml.safe_load(UNIT_TESTS.read_text())["tests"] for each in test["alert_rule_test"]]
    assert {each["alertname"] for each in tried if each["exp_alerts"]} == alerts
    assert {each["alertname"] for each in tried if not each["exp_alerts"]} == alerts


@pytest.mark.parametrize("path", WHERE_METRICS_ARE_NAMED, ids=lambda path: path.name)
def test_every_metric_that_is_named_exists(path: Path) -> None:
    named = set(re.findall(r"\bflinkjob_[a-z][a-z_]*[a-z]\b", path.read_text()))
    assert named - samples() == set()


def test_every_metric_is_documented() -> None:
    families = {family.name + ("_total" if family.type == "counter" else "") for family in registry().collect()}
    assert families - set(re.findall(r"`(flinkjob_\w+)`", (REPOSITORY / "deploy" / "README.md").read_text())) == set()


def registry() -> CollectorRegistry:
    """All metrics of the operator."""
    made = CollectorRegistry()
    Metrics(made).show_each(EachJob(tuple, dict, lambda _: None, lambda: NOW, most=1))
    return made


def samples() -> set[str]:
    """The names under which they can be asked for."""
    kinds = {"counter": ("_total",), "histogram": ("", "_bucket", "_count", "_sum"), "gauge": ("",)}
    return {family.name + suffix for family in registry().collect() for suffix in kinds[family.type]}
