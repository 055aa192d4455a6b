"""A Flink that answers with values that no status can hold: what is written always fits, and a deletion always ends."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from flinkjob.api.codec import dump_status, fitting_status
from flinkjob.api.flinkjob_status import CheckpointInfo, ClusterInfo, FlinkJobStatus
from flinkjob.core.errors import one_line
from flinkjob.flink import wire
from flinkjob.kube.kinds import Kind
from flinkjob.observability.logging import JsonFormatter, TextFormatter
from tests.model.plant import Plant, plant
from tests.support.crdschema import misfits, status_schema

FIELDS = (
    ("flink-version", "refresh-interval", "web-submit"),
    ("id", "checkpointId"),
    ("start-time", "end-time", "last-modification", "duration"),
    ("latest_ack_timestamp", "trigger_timestamp", "timestamp", "restore_timestamp"),
    ("state_size", "end_to_end_duration", "restored", "completed", "interval"),
    ("external_path", "location"),
    ("name", "schedulerType", "exceptionName", "taskName", "taskManagerId"),
    ("state", "status", "checkpoint_type"),
    ("stacktrace", "stack-trace", "failure_message", "failure-cause", "errors"),
    ("total", "running", "tasks", "counts", "latest", "history"),
    ("value", "user-config"),
)
LONG, LARGE = "x" * 80_000, 2**64 - 1
CASES: tuple[tuple[str, Any], ...] = (
    ("flink-version", LONG),
    ("refresh-interval", LARGE),
    ("id", LARGE),
    ("id", -1),
    ("checkpointId", LARGE),
    ("start-time", 1e300),
    ("end-time", 1e300),
    ("latest_ack_timestamp", 1e300),
    ("trigger_timestamp", LARGE),
    ("state_size", LARGE),
    ("end_to_end_duration", LARGE),
    ("end_to_end_duration", -5),
    ("external_path", "file:/" + LONG),
    ("location", "file:/" + LONG),
    ("name", LONG),
    ("state", LONG),
    ("restored", LARGE),
    ("running", LARGE),
    ("total", -1),
    ("failure_message", LONG),
)
VALUES: tuple[Any, ...] = (
    "x" * 80_000,
    2**64 - 1,
    1e300,
    -(2**63),
    -1,
    "\x00\u202e\U0001f600" * 30,
    None,
    [],
    {},
    [[]] * 100,
    "9" * 400,
    True,
)


class Poisoned(httpx.AsyncBaseTransport):
    """Writes other values into the fields of answers, another one each time."""

    def __init__(self, inner: httpx.AsyncBaseTransport, fields: tuple[str, ...], values: Iterator[Any]) -> None:
        self._inner = inner
        self._fields = fields
        self._values = values

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        await response.aread()
        if not response.content:
            return response
        return httpx.Response(response.status_code, json=self._poison(json.loads(response.content)))

    def _poison(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._poison(each) for each in value]
        if not isinstance(value, dict):
            return value
        return {
            name: next(self._values) if name in self._fields else self._poison(each) for name, each in value.items()
        }


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Plant]:
    with plant(tmp_path) as world:
        yield world


def _live(world: Plant, fields: tuple[str, ...], values: Iterator[Any], caplog: pytest.LogCaptureFixture) -> None:
    """The life of a job and a FlinkSavepoint while these fields have other values."""
    misfit: list[str] = []

    def check(kind: Kind, obj: Any) -> None:
        misfit.extend(misfits(status_schema(kind.kind), obj["status"]))

    world.kube.on_status = check
    http = world.operator.http
    http._transport = Poisoned(http._transport, fields, values)
    world.live_through(deletion=90)
    assert misfit == []
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
    assert world.job("a") is None


@pytest.mark.threat("too-large")
@pytest.mark.invariant(8)
@pytest.mark.parametrize(("field", "value"), CASES, ids=lambda each: str(each)[:24])
def test_a_value_that_no_status_can_hold(
    world: Plant, field: str, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    _live(world, (field,), itertools.repeat(value), caplog)


@pytest.mark.threat("too-large")
@pytest.mark.parametrize("fields", FIELDS, ids=lambda fields: fields[0])
def test_values_of_every_wrong_kind(world: Plant, fields: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    _live(world, fields, itertools.cycle(VALUES), caplog)


@pytest.mark.threat("too-large")
def test_a_status_loses_only_what_does_not_fit() -> None:
    """Should something slip through the borders."""
    status = FlinkJobStatus(
        cluster=ClusterInfo(url="http://flink-a", flink_version="x" * 80_000),
        last_checkpoint=CheckpointInfo(id=2**64 - 1, location="file:/x"),
        selector="a",
    )
    assert misfits(status_schema("FlinkJob"), dump_status(status)) != []
    written, why = fitting_status(status)
    assert misfits(status_schema("FlinkJob"), written) == []
    assert "flinkVersion" in why
    assert written["lastCheckpoint"] == {"location": "file:/x"}
    assert written["selector"] == "a"
    assert fitting_status(FlinkJobStatus(selector="a")) == ({"selector": "a"}, "")


HIDING = "paid\x1b[2K\x1b[1A\u202egnp.exe\x00\x07\u2066\x9b31m"


@pytest.mark.threat("terminal")
def test_characters_that_a_terminal_obeys_are_shown() -> None:
    shown = one_line(HIDING)
    assert shown == "paid\\x1b[2K\\x1b[1A\\u202egnp.exe\\x00\\x07\\u2066\\x9b31m"
    assert one_line("größer als 5 µs, 日本語 🙂") == "größer als 5 µs, 日本語 🙂"


def test_so_are_those_in_names_that_people_chose() -> None:
    job = {"jid": "0a" * 16, "name": HIDING, "state": "RUNNING", "tasks": {"total": 1, "running": 1}}
    assert wire.Job.model_validate(job).value().name.isprintable()


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_so_are_those_in_logs(formatter: logging.Formatter) -> None:
    try:
        raise ValueError(HIDING)
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("a", logging.INFO, "f", 1, "%s", (HIDING,), info)
    assert all(line.isprintable() for line in formatter.format(record).split("\n"))
