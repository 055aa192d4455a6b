"""`status.lastSavepoint`: the newest completed savepoint of a FlinkJob, whoever asked for it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flinkjob.api.codec import FlinkSavepoint, parse_job, parse_savepoint
from flinkjob.core.job.decide import decide_job
from flinkjob.core.model import JobDecision, JobInput, Observation
from flinkjob.core.seen import ClusterSeen
from tests.unit.api import objects

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def _savepoint(name: str, minutes: int, spec: dict[str, Any] | None = None, **status: Any) -> FlinkSavepoint:
    end = (NOW + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    whole = {"phase": "Completed", "location": f"file:/savepoints/{name}", "endTime": end} | status
    raw = objects.savepoint(spec, whole)
    raw["metadata"]["name"] = name
    return parse_savepoint(raw)


def _last(*savepoints: FlinkSavepoint, known: dict[str, Any] | None = None) -> str | None:
    status = {"lastSavepoint": known} if known else {}
    cluster = ClusterSeen(url="http://flink-jobmanager:8081", reachable=False)
    given = JobInput(
        identity="default",
        job=parse_job(objects.job({"state": "Suspended"}, status)),
        observation=Observation(now=NOW, cluster=cluster, target=cluster),
        savepoints=savepoints,
    )
    decision = decide_job(given)
    assert isinstance(decision, JobDecision)
    return decision.status.last_savepoint.name if decision.status.last_savepoint else None


def test_none_is_known() -> None:
    assert _last() is None


def test_the_newest_completed_one_counts() -> None:
    assert _last(_savepoint("b", 2), _savepoint("a", 1)) == "b"
    assert _last(_savepoint("a", 1), _savepoint("b", 2)) == "b"


def test_what_is_not_a_complete_savepoint_does_not_count() -> None:
    assert _last(_savepoint("a", 1), _savepoint("b", 2, phase="Failed")) == "a"
    assert _last(_savepoint("a", 1), _savepoint("b", 2, {"type": "Checkpoint"})) == "a"
    assert _last(_savepoint("a", 1), _savepoint("b", 2, location=None)) == "a"


def test_an_older_one_does_not_replace_what_is_known() -> None:
    known = {"name": "k", "location": "file:/savepoints/k", "time": "2026-01-01T12:05:00Z"}
    assert _last(_savepoint("a", 1), known=known) == "k"
    assert _last(_savepoint("b", 9), known=known) == "b"


def test_the_same_savepoint_under_a_later_time_is_no_change() -> None:
    known = {"name": "k", "location": "file:/savepoints/a", "time": "2026-01-01T12:00:00Z"}
    assert _last(_savepoint("a", 1), known=known) == "k"
