"""Reads what two Flink versions really write: canonical and native savepoints, incremental RocksDB checkpoints."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploy.local.demojob import demo_jar
from deploy.local.flinkdist import full_version
from flinkjob.snapshots.metadata import SnapshotMetadata, read_metadata
from flinkjob.snapshots.outcomes import SnapshotNotSelfContained
from tests.support.integration import FlinkCluster, RestDriver, wait_until

pytestmark = [pytest.mark.flink, pytest.mark.slow]

CONFIG = {
    "state.backend.type": "rocksdb",
    "state.backend": "rocksdb",
    "execution.checkpointing.incremental": "true",
    "state.backend.incremental": "true",
    "execution.checkpointing.data-inline-threshold": "0",
    "state.storage.fs.memory-threshold": "0",
    "execution.checkpointing.interval": "300",
    "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
    "execution.checkpointing.num-retained": "20",
    "web.refresh-interval": "200",
}


@pytest.fixture(scope="module", params=["1.20", "2.3"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    with FlinkCluster(tmp_path_factory.mktemp("snapshots"), version=full_version(request.param), config=CONFIG) as made:
        yield made


def test_savepoints_are_self_contained_and_incremental_checkpoints_are_not(
    cluster: FlinkCluster, tmp_path: Path
) -> None:
    with cluster.http() as http:
        driver = RestDriver(http)
        jar = driver.upload(demo_jar(cluster.version))
        job = "ab" * 16
        driver.run(jar, "--out", str(tmp_path / "out"), "--rate", "1000", job_id=job)
        driver.wait_state(job, ["RUNNING"])
        wait_until(lambda: _completed(http, job) >= 4, timeout=60, what="checkpoints")
        canonical = _savepoint(http, job, tmp_path, "CANONICAL")
        native = _savepoint(http, job, tmp_path, "NATIVE")
        newest = http.get(f"/jobs/{job}/checkpoints").json()["latest"]["completed"]["external_path"]
        checkpoint = _read(newest)
        driver.cancel(job)
    for saved in (canonical, native):
        found = _read(saved)
        found.require_self_contained()
        directory = _path(saved)
        assert found.files
        assert {path.name: path.stat().st_size for path in directory.iterdir() if path.name != "_metadata"} == (
            found.files
        )
    assert any("/shared/" in place for place in checkpoint.absolute)
    with pytest.raises(SnapshotNotSelfContained, match="/shared/"):
        checkpoint.require_self_contained()


def _completed(http: Any, job: str) -> int:
    answer = http.get(f"/jobs/{job}/checkpoints")
    return int(answer.json()["counts"]["completed"]) if answer.status_code == 200 else 0


def _savepoint(http: Any, job: str, directory: Path, kind: str) -> str:
    target = f"file://{directory}/{kind.lower()}"
    body = {"target-directory": target, "formatType": kind}
    request = http.post(f"/jobs/{job}/savepoints", json=body).json()["request-id"]
    answers: list[dict[str, Any]] = []

    def done() -> bool:
        answers.append(http.get(f"/jobs/{job}/savepoints/{request}").json())
        return bool(answers[-1]["status"]["id"] == "COMPLETED")

    wait_until(done, timeout=60, what=f"the {kind} savepoint")
    return str(answers[-1]["operation"]["location"])


def _path(location: str) -> Path:
    return Path(urlsplit(location).path)


def _read(location: str) -> SnapshotMetadata:
    return read_metadata((_path(location) / "_metadata").read_bytes())
