"""A savepoint is copied, its source deleted, and a second Flink cluster goes on from the copy without losing a record.

Flink writes to a real S3 server through its own S3 file system; the copy lies in another bucket, or in a mounted directory.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.demojob import demo_jar
from flinkjob.snapshots.addresses import StoreAddress
from flinkjob.snapshots.copying import CopyRequest, check_copy, copy_snapshot
from flinkjob.snapshots.place import Place
from flinkjob.snapshots.stores import open_store
from tests.support.integration import (
    FlinkCluster,
    RestDriver,
    S3Server,
    check_exactly_once,
    committed_records,
    restores,
    wait_until,
)

pytestmark = [pytest.mark.flink, pytest.mark.slow]

CONFIG = {
    "state.backend.type": "rocksdb",
    "execution.checkpointing.incremental": "true",
    "execution.checkpointing.data-inline-threshold": "0",
    "execution.checkpointing.interval": "300",
    "web.refresh-interval": "200",
}


@pytest.fixture(scope="module")
def clusters(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FlinkCluster, FlinkCluster]]:
    first = FlinkCluster(tmp_path_factory.mktemp("first"), s3=s3, config=CONFIG, slots=4)
    second = FlinkCluster(tmp_path_factory.mktemp("second"), s3=s3, config=CONFIG, slots=4)
    with first, second:
        yield first, second


@pytest.mark.copying("second-cluster")
@pytest.mark.parametrize("kind", ["CANONICAL", "NATIVE"])
@pytest.mark.parametrize("target", ["s3", "file"])
async def test_a_second_cluster_goes_on_from_the_copy(
    s3: S3Server, clusters: tuple[FlinkCluster, FlinkCluster], tmp_path: Path, kind: str, target: str
) -> None:
    first, second = clusters
    out, number = tmp_path / "out", f"{'12'[kind == 'NATIVE']}{'ab'[target == 'file']}"
    with first.http() as http:
        driver = RestDriver(http)
        jar = driver.upload(demo_jar(first.version))
        job = driver.run(jar, "--out", str(out), "--rate", "500", job_id=number * 16)
        driver.wait_state(job, ["RUNNING"])
        wait_until(lambda: len(committed_records(out)) > 300, timeout=60, what="records")
        location = _stop(http, job, kind, f"s3://flink/saved/{number}")
    secret = {"accessKeyId": s3.access_key, "secretAccessKey": s3.secret_key}
    options: dict[str, Any] = {"endpoint": s3.endpoint, "region": s3.region, "secret": secret}
    uri = f"s3://backup/{number}" if target == "s3" else f"file://{tmp_path}/mounted"
    place = Place(
        store=open_store(StoreAddress(uri=uri, **({} if target == "file" else options))),
        identity="test",
        namespace="team",
        job="counter",
    )
    source = open_store(StoreAddress(uri=location, **options))
    request = CopyRequest(source=source, location=location, place=place, token=number, verify=True)
    manifest = await copy_snapshot(request)
    await check_copy(place, manifest)
    assert len(manifest.files) > 1
    shutil.rmtree(s3.data / "flink" / "saved" / number)
    stopped_at = len(committed_records(out))
    copy = f"{uri}/{place.directory(manifest.sequence_number, manifest.checkpoint_id)}"
    with second.http() as http:
        driver = RestDriver(http)
        jar = driver.upload(demo_jar(second.version))
        again = driver.run(jar, "--out", str(out), "--rate", "500", savepoint=copy)
        driver.wait_state(again, ["RUNNING"])
        wait_until(lambda: len(committed_records(out)) > stopped_at + 300, timeout=60, what="records of the copy")
        driver.stop(again)
    outcome = check_exactly_once(out)
    assert outcome.ok, outcome
    assert outcome.total > stopped_at + 300
    assert [start.fresh for start in restores(out)] == [True, False]


def _stop(http: Any, job: str, kind: str, directory: str) -> str:
    body = {"targetDirectory": directory, "formatType": kind, "drain": False}
    trigger = http.post(f"/jobs/{job}/stop", json=body).json()["request-id"]
    answers: list[dict[str, Any]] = []

    def done() -> bool:
        answers.append(http.get(f"/jobs/{job}/savepoints/{trigger}").json())
        return bool(answers[-1]["status"]["id"] == "COMPLETED")

    wait_until(done, timeout=60, what="the savepoint")
    return str(answers[-1]["operation"]["location"])
