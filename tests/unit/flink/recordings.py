"""Recorded answers of real Flink (`tests/contract/record.py`), played back to a client.

Used by: the tests of this directory.
"""

import json
from pathlib import Path
from typing import Any

import httpx

from flinkjob.flink import FlinkClient

DATA = Path(__file__).parents[2] / "data" / "flink"
VERSIONS = tuple(sorted(directory.name for directory in DATA.iterdir() if directory.is_dir()))


def recorded(version: str, name: str) -> dict[str, Any]:
    """A recording: `request`, `status`, `body`."""
    loaded: dict[str, Any] = json.loads((DATA / version / f"{name}.json").read_text())
    return loaded


def playing(version: str, name: str) -> FlinkClient:
    """A client whose every request is answered with one recording."""
    record = recorded(version, name)
    answer = httpx.MockTransport(lambda _: httpx.Response(record["status"], json=record["body"]))
    return FlinkClient(httpx.AsyncClient(transport=answer), "http://flink:8081")
