"""What the operator adds to the run of a SQL script by hand: with the same runner, in the same jar, by bare REST calls."""

from __future__ import annotations

import uuid
import zipfile
from pathlib import Path

import httpx
import pytest

from deploy.local.restdriver import RestDriver
from flinkjob.core.program import SQL_ENTRY_CLASS
from tests.bench.measure import SMALL, stopwatch, until
from tests.bench.report import Figure, Goal, Report
from tests.support.kube import Object
from tests.support.lab import Lab, observed, submission

ROUNDS = 2 if SMALL else 10
CONNECTOR_BYTES = 10 * 2**20
SCRIPT = """
CREATE TABLE clicks (page STRING, visitor INT) WITH ('connector' = 'datagen', 'rows-per-second' = '10');
CREATE TABLE visits (page STRING, clicks BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO visits SELECT page, COUNT(*) FROM clicks GROUP BY page
"""

pytestmark = [pytest.mark.kube, pytest.mark.flink, pytest.mark.slow]


def _sql(lab: Lab, name: str, *jars: Path) -> Object:
    manifest = lab.job(name, sql={"script": SCRIPT}, deletion={"policy": "Cancel"})
    for field in ("jar", "args"):
        del manifest["spec"][field]
    if jars:
        manifest["spec"]["dependencies"] = {"jars": [{"uri": jar.as_uri()} for jar in jars]}
    return manifest


def _until_running(lab: Lab, name: str) -> None:
    def attempt() -> bool:
        found = lab.get(name)
        return found.get("status", {}).get("phase") == "Running" and observed(found)

    until(attempt, f"{name} Running")


def _started(lab: Lab, manifest: Object, into: list[float]) -> None:
    name = manifest["metadata"]["name"]
    with stopwatch(into):
        lab.apply(manifest)
        _until_running(lab, name)


def _run_bare(http: httpx.Client, rest: RestDriver, jar: str) -> str:
    """Run the jar of a script as the operator does; the job's id, once all tasks run."""
    body = {
        "jobId": uuid.uuid4().hex,
        "entryClass": SQL_ENTRY_CLASS,
        "parallelism": 1,
        "flinkConfiguration": {"execution.checkpointing.interval": "200ms", "pipeline.name": "bare"},
    }
    job = str(http.post(f"/jars/{jar}/run", json=body).raise_for_status().json()["jobid"])

    def attempt() -> bool:
        seen = rest.overview(job)
        return bool(seen and seen["state"] == "RUNNING" and seen["tasks"]["running"] == seen["tasks"]["total"])

    until(attempt, f"all tasks of {job}")
    return job


def _connector(lab: Lab) -> Path:
    """A jar as large as a connector, which does not become smaller."""
    path = lab.directory / "connector.jar"
    with zipfile.ZipFile(path, "w") as jar:
        jar.writestr("shop/connector.bin", bytes(CONNECTOR_BYTES))
    return path


def test_a_script_from_apply_to_running(lab: Lab, rest: RestDriver, report: Report) -> None:
    started: list[float] = []
    bare: list[float] = []
    first, later = list[float](), list[float]()
    connector = _connector(lab)
    with lab.flink.http() as http:
        _started(lab, _sql(lab, "sql-holder"), [])  # keeps the jar on the cluster meanwhile
        jar = submission(lab.get("sql-holder"))["jarId"]
        for _ in range(3):
            rest.cancel(_run_bare(http, rest, jar))
        for number in range(ROUNDS):
            with stopwatch(bare):
                job = _run_bare(http, rest, jar)
            rest.cancel(job)
            _started(lab, _sql(lab, f"sql-{number}"), started)
            lab.delete(f"sql-{number}")
            lab.gone(f"sql-{number}")
        _started(lab, _sql(lab, "sql-connector", connector), first)
        for number in range(ROUNDS):
            _started(lab, _sql(lab, f"sql-connector-{number}", connector), later)
            lab.delete(f"sql-connector-{number}")
            lab.gone(f"sql-connector-{number}")
    lab.clean()
    report.add(
        Figure.of("apply of a SQL script → all tasks run, in status", started, bare, Goal(kind="times", value=1.5)),
        Figure.of("the same with a connector of 10 MiB, the first on a cluster", first),
        Figure.of("… and the next ones", later, bare),
    )
