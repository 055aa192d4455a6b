"""Objects to models and back."""

import dataclasses
import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from flinkjob.api.codec import dump_status, parse_job, parse_savepoint
from flinkjob.api.constants import LABEL_ORIGIN, MAX_STATUS_BYTES
from flinkjob.api.enums import (
    ConditionStatus,
    HoldReason,
    OperationKind,
    Phase,
    RunResult,
    SavepointErrorCode,
    SnapshotKind,
)
from flinkjob.api.failure_status import FailureInfo
from flinkjob.api.flinkjob_status import (
    Condition,
    FlinkJobStatus,
    HistoryEntry,
    Hold,
    ObservedJob,
    Operation,
    Plan,
    RunEnd,
    Submission,
)
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus, SavepointError
from tests.support.tables import table
from tests.unit.api.objects import filled, job, savepoint

DATA = Path(__file__).parents[2] / "data" / "manifests"
BAD = sorted((DATA / "bad").glob("*.yaml"))
EXAMPLES = sorted((Path(__file__).parents[3] / "deploy" / "examples").glob("*.yaml"))
TIME = datetime(2026, 1, 1, 12, 30, 5, 123456, tzinfo=UTC)

# What the API server refuses by type or by name, but a tolerant reader takes.
TOLERATED = {
    "job-name-too-long",
    "job-parallelism-string",
    "job-unknown-field",
    "job-unknown-nested-field",
    "savepoint-unknown-field",
}


def parse(obj: dict[str, Any]) -> Any:
    return parse_job(obj) if obj["kind"] == "FlinkJob" else parse_savepoint(obj)


def test_a_minimal_job_gets_the_defaults() -> None:
    parsed = parse_job(job(resourceVersion="7", finalizers=["f"], labels={"a": "b", LABEL_ORIGIN: "Periodic"}))
    assert parsed.spec is not None
    assert parsed.spec_error is None
    assert parsed.spec.parallelism == 1
    assert parsed.spec.upgrade.timeout == "10m"
    assert parsed.meta.resource_version == "7"
    assert parsed.meta.finalizers == ("f",)
    assert parsed.meta.labels == {LABEL_ORIGIN: "Periodic"}, "no other is read"
    assert parsed.status == FlinkJobStatus()


def test_times_of_metadata_are_utc() -> None:
    meta = parse_job(job(creationTimestamp="2026-01-01T00:00:00Z", deletionTimestamp="2026-01-02T00:00:00Z")).meta
    assert meta.creation_time == datetime(2026, 1, 1, tzinfo=UTC)
    assert meta.deletion_time == datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.fault("api-other-crd")
def test_unknown_fields_of_a_newer_version_are_ignored() -> None:
    parsed = parse_job(job({"later": {"a": 1}}, {"phase": "Running", "later": 1, "job": {"id": "a", "later": 2}}))
    assert parsed.spec is not None
    assert parsed.status == FlinkJobStatus(phase=Phase.RUNNING, job=ObservedJob(id="a"))
    assert parsed.status_error is None


@pytest.mark.fault("api-status-of-others")
def test_a_broken_status_is_flagged_and_the_rest_of_it_read() -> None:
    parsed = parse_job(job(status={"phase": "Dancing", "submission": {"number": 3}, "hold": {"reason": "Tired"}}))
    assert parsed.status == FlinkJobStatus(submission=Submission(number=3))
    assert parsed.status_error is not None
    assert parsed.status_error.startswith("status.phase: ")


@table(
    ("status", "rest"),
    "a reason that does not exist",
    ({"submission": {"number": 3, "jobId": "a", "reason": "Whim"}}, {"submission": {"number": 3, "jobId": "a"}}),
    "an operation that does not exist",
    ({"operation": {"kind": "Juggling", "jobId": "a"}, "observedGeneration": 2}, {"observedGeneration": 2}),
    "entries of the history with bad numbers",
    ({"history": [{"number": "x"}, {"number": 2}, {"number": "y"}]}, {"history": [{"number": 2}]}),
    "entries of the history that are none",
    ({"history": [7, {"number": 2}, "y"]}, {"history": [{"number": 2}]}),
    "a condition without a status and a phase that is a number",
    ({"conditions": [{"type": "Ready"}], "phase": 3}, {}),
    "conditions that are text and a submission that is a list",
    ({"conditions": "none", "submission": []}, {}),
)
def test_of_a_broken_status_only_what_is_broken_is_left_out(status: Any, rest: Any) -> None:
    before = deepcopy(status)
    parsed = parse_job(job(status=status))
    assert parsed.status_error is not None
    assert parsed.status == parse_job(job(status=rest)).status
    assert parse_job(job(status=rest)).status_error is None
    assert status == before


@pytest.mark.parametrize("status", [None, [], "x", {"conditions": {}}, {"submission": 3}, {"history": [{}]}], ids=str)
def test_no_status_makes_parsing_raise(status: Any) -> None:
    parse_job({**job(), "status": status})
    parse_savepoint({**savepoint(), "status": status})


def test_an_object_without_anything_is_a_bad_spec() -> None:
    assert parse_job({}).spec_error == "spec.cluster: Field required"
    assert parse_savepoint({}).spec_error == "spec.jobRef: exactly one of jobRef and target"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_read(path: Path) -> None:
    parsed = parse(yaml.safe_load(path.read_text()))
    assert parsed.spec_error is None


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_what_the_api_server_refuses_is_a_bad_spec(path: Path) -> None:
    """Objects can be older than a rule; the operator must not run them either."""
    parsed = parse(yaml.safe_load(path.read_text()))
    if path.stem in TOLERATED:
        assert parsed.spec_error is None
        return
    assert parsed.spec is None
    assert parsed.spec_error.startswith("spec")
    assert "\n" not in parsed.spec_error


@pytest.mark.threat("leaked-secrets")
def test_an_error_does_not_show_the_value() -> None:
    error = parse_job(job({"cluster": {"url": "http://admin:hunter2@flink:8081"}})).spec_error
    assert error is not None
    assert error.startswith("spec.cluster.url: ")
    assert "hunter2" not in error


def full_status() -> FlinkJobStatus:
    return FlinkJobStatus(
        observed_generation=4,
        phase=Phase.HELD,
        conditions=(
            Condition(
                type="Ready",
                status=ConditionStatus.FALSE,
                reason="Held",
                message="stopped by clicks-stop-1",
                last_transition_time=TIME,
                observed_generation=4,
            ),
        ),
        plan=Plan(step="Wait", reason="Held", since=TIME, retry_time=TIME, attempts=2, message="change restartNonce"),
        hold=Hold(reason=HoldReason.STOPPED, by="clicks-stop-1", since=TIME, run_digest="d", location="file:/s/1"),
        submission=Submission(
            number=3,
            job_id="a" * 32,
            seen=True,
            running=True,
            nonce=2,
            end=RunEnd(result=RunResult.STOPPED, time=TIME, snapshot="file:/s/1", snapshot_kind=SnapshotKind.SAVEPOINT),
        ),
        operation=Operation(kind=OperationKind.STOP, by="clicks-stop-1", trigger_id="b" * 32, since=TIME),
        history=(HistoryEntry(number=2, from_="file:/s/0", to="file:/s/1", result=RunResult.STOPPED),),
    )


def seconds(value: Any) -> Any:
    """The same status with whole seconds, as it is written."""
    return TypeAdapter(type(value)).validate_python(TypeAdapter(type(value)).dump_python(value, mode="json"))


def test_a_status_is_written_in_camel_case_with_whole_seconds() -> None:
    dumped = dump_status(full_status())
    assert dumped["submission"]["end"]["snapshotKind"] == "Savepoint"
    assert dumped["plan"]["since"] == "2026-01-01T12:30:05Z"
    assert dumped["plan"]["retryTime"] == "2026-01-01T12:30:05.123Z", "unless a duration is computed from it"
    assert dumped["history"][0]["from"] == "file:/s/0"
    assert "job" not in dumped


def test_a_written_status_is_read_back_the_same_and_written_the_same() -> None:
    dumped = dump_status(full_status())
    read = parse_job(job(status=json.loads(json.dumps(dumped))))
    assert read.status_error is None
    assert read.status == seconds(full_status())
    assert dump_status(read.status) == dumped


def test_an_empty_status_is_written_as_nothing() -> None:
    assert dump_status(FlinkJobStatus()) == {}


def test_a_savepoint_status_is_read_back_the_same() -> None:
    status = FlinkSavepointStatus(
        observed_generation=1,
        trigger_id="a" * 32,
        run_digest="feb97f1d08600efb",
        size_bytes=2**40,
        error=SavepointError(error_code=SavepointErrorCode.TIMEOUT, message="after 10m"),
    )
    assert parse_savepoint(savepoint(status=dump_status(status))).status == status


def test_every_field_survives_a_round_trip() -> None:
    status = filled(FlinkJobStatus)
    assert parse_job(job(status=dump_status(status))).status == status
    other = filled(FlinkSavepointStatus)
    assert parse_savepoint(savepoint(status=dump_status(other))).status == other


def test_times_of_other_zones_are_written_in_utc() -> None:
    east = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert dump_status(FlinkJobStatus(plan=Plan(since=east)))["plan"]["since"] == "2026-01-01T00:00:00Z"


def test_texts_are_cut_to_one_line_at_their_limit() -> None:
    failure = FailureInfo(root_cause="a\nb " + "x" * 5000, task="t" * 300)
    dumped = dump_status(FlinkJobStatus(last_failure=failure))["lastFailure"]
    assert len(dumped["rootCause"]) == 512
    assert dumped["rootCause"].startswith("a b x")
    assert dumped["rootCause"].endswith("…")
    assert len(dumped["task"]) == 256
    assert parse_job(job(status={"lastFailure": dumped})).status_error is None


def test_the_oldest_history_goes_when_a_status_is_too_large() -> None:
    entry = HistoryEntry(number=1, from_="file:/" + "界" * 1000, to="file:/" + "界" * 1000)
    history = tuple(dataclasses.replace(entry, number=number) for number in range(10, 0, -1))
    dumped = dump_status(FlinkJobStatus(history=history))
    assert len(json.dumps(dumped, ensure_ascii=False).encode()) <= MAX_STATUS_BYTES
    assert [entry["number"] for entry in dumped["history"]] == list(range(10, 10 - len(dumped["history"]), -1))
    assert 1 < len(dumped["history"]) < 10


@pytest.mark.invariant(12)
@pytest.mark.parametrize("deep", ["[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900], ids=["lists", "objects"])
def test_a_status_that_is_nested_very_deep_is_read_as_far_as_it_goes(deep: str) -> None:
    value = json.loads(deep)
    stored = {
        "phase": "Running",
        "conditions": value,
        "submission": {"number": 3, "jobId": value},
        "plan": {"step": value},
    }
    found = parse_job(job({}, stored))
    assert found.status_error is not None
    assert found.status.phase == "Running"
    assert stored["conditions"] is value, "what is stored is not changed"
    assert stored["submission"] == {"number": 3, "jobId": value}
