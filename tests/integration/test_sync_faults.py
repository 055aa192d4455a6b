"""A store that refuses, fails, crawls or ends in the middle, and snapshots that cannot be copied: what users see of it.

The snapshots are made by hand, so that they can be large, damaged or badly referred to; a proxy stands before a real S3
server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.integration import FlinkCluster, Lab, Object, S3Server, Site, condition, conditions, wait_until
from tests.support.snapshots import MIB, write_snapshot
from tests.support.storeproxy import StoreProxy

pytestmark = [pytest.mark.kube, pytest.mark.flink]

NAMESPACE = "sync-faults"
SYNCED = {"Ready": "True", "Reconciling": "False", "Stalled": "False", "Synced": "True"}
FAILED = {"Ready": "False", "Reconciling": "False", "Stalled": "True", "Synced": "False"}
PARTS = {f"part-{number}": 6 * MIB for number in range(8)}


@pytest.fixture
def store(s3: S3Server) -> Iterator[StoreProxy]:
    with StoreProxy(s3.endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def faults_lab(
    site: Site, flink: FlinkCluster, s3: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """One FlinkJob that runs, and an operator that may read what lies below the tests' directory."""
    operator = site.operator(NAMESPACE, store_grants=site.grants(NAMESPACE))
    site.store(NAMESPACE, s3)
    with operator, site.lab(operator, flink, tmp_path_factory.mktemp("sync-faults")) as lab:
        lab.start("saved")
        yield lab
    assert s3.secret_key not in operator.said()
    assert operator.complaints() == []


def copy_of(lab: Lab, name: str, snapshot: Path, endpoint: str, **spec: Any) -> Object:
    """A FlinkSavepoint of a snapshot that lies there already, which is to be copied to the place of its name."""
    sync = {"uri": f"s3://backup/{name}", "endpoint": endpoint, "credentialsSecretRef": {"name": "store"}}
    manifest = lab.savepoint(
        name, "saved", mode="Existing", location=f"file://{snapshot}", syncTo=sync | spec.pop("syncTo", {}), **spec
    )
    return lab.apply(manifest)


def status_of(lab: Lab, name: str) -> dict[str, Any]:
    found = lab.kube.get("FlinkSavepoint", NAMESPACE, name)
    assert found is not None
    return dict(found.get("status", {}))


def place_of(s3: S3Server, name: str) -> Path:
    return s3.data / "backup" / name / NAMESPACE / "saved"


def no_secret(lab: Lab, s3: S3Server, name: str) -> None:
    events = lab.kube.events(NAMESPACE, name)
    assert s3.secret_key not in json.dumps([lab.kube.get("FlinkSavepoint", NAMESPACE, name), events])


def whole(s3: S3Server, name: str, snapshot: Path, number: int = 1) -> None:
    """The copy has a manifest, and each of its files is that of the snapshot."""
    (copy,) = place_of(s3, name).glob(f"{number:019}-*")
    files = json.loads((copy / "manifest.json").read_bytes())["files"]
    assert {file["name"] for file in files} == {path.name for path in snapshot.iterdir()}
    for file in files:
        assert (copy / file["name"]).read_bytes() == (snapshot / file["name"]).read_bytes()


@pytest.mark.fault("store-403-or-503")
@pytest.mark.parametrize(("status", "word"), [(403, "denies access"), (503, "503")])
def test_a_store_that_says_no_is_tried_again_and_told(
    faults_lab: Lab, store: StoreProxy, s3: S3Server, tmp_path: Path, status: int, word: str
) -> None:
    lab, name = faults_lab, f"says-{status}"
    snapshot = write_snapshot(tmp_path / "savepoint-1", {"a": 1000})
    store.status = status
    copy_of(lab, name, snapshot, store.url, backoffLimit=1)
    found = lab.savepoint_phase(name, "Failed")
    error, sync = found["status"]["error"], found["status"]["sync"]
    assert conditions(found) == FAILED
    assert (error["errorCode"], error["details"]) == ("StoreError", f"s3://backup/{name}")
    assert word in error["message"]
    assert sync["failures"] == 2
    assert found["status"]["location"] == f"file://{snapshot}", "the snapshot itself is usable"
    wait_until(lambda: lab.reasons(name, "FlinkSavepoint").count("SyncFailed") >= 1, timeout=30, what="the Event")
    no_secret(lab, s3, name)
    store.heal()
    copy_of(lab, f"{name}-again", snapshot, store.url)
    lab.savepoint_phase(f"{name}-again", "Completed")
    whole(s3, f"{name}-again", snapshot)


@pytest.mark.fault("store-cut-off")
def test_cut_in_the_middle_only_what_is_missing_is_brought(
    faults_lab: Lab, store: StoreProxy, s3: S3Server, tmp_path: Path
) -> None:
    lab, name = faults_lab, "cut"
    snapshot = write_snapshot(tmp_path / "savepoint-1", PARTS)
    total = sum(PARTS.values())
    store.per_second, store.budget = 8 * MIB, 40 * MIB
    copy_of(lab, name, snapshot, store.url)
    wait_until(lambda: status_of(lab, name).get("sync", {}).get("failures"), timeout=120, what="the cut in status")
    assert store.cuts > 0
    status = status_of(lab, name)
    assert status["phase"] == "Syncing"
    assert status["sync"]["error"]["errorCode"] == "StoreError"
    assert not list(place_of(s3, name).rglob("manifest.json")), "no reader sees half a copy"
    (journal,) = place_of(s3, name).rglob("journal.json")
    noted = len(json.loads(journal.read_bytes())["files"])
    assert noted > 1
    before = store.passed
    store.heal()
    found = lab.savepoint_phase(name, "Completed", deadline=180)
    assert conditions(found) == SYNCED
    assert (
        found["status"]["sync"].items() >= {"sequenceNumber": 1, "bytes": found["status"]["sync"]["bytesTotal"]}.items()
    )
    assert store.passed - before < total - noted * 6 * MIB + MIB
    whole(s3, name, snapshot)
    no_secret(lab, s3, name)


@pytest.mark.fault("store-slow")
@pytest.mark.threat("greedy-copy")
def test_a_store_that_crawls_delays_nobody_else(
    faults_lab: Lab, store: StoreProxy, s3: S3Server, tmp_path: Path
) -> None:
    """Nor does it matter that it needs longer for an object than a store may say nothing otherwise (30 s)."""
    lab, name = faults_lab, "crawls"
    snapshot = write_snapshot(tmp_path / "savepoint-1", {"part": 6 * MIB})
    store.per_second = 60_000
    copy_of(lab, name, snapshot, store.url)
    lab.savepoint_phase(name, "Syncing")
    other = lab.start("beside")
    lab.apply(lab.savepoint("beside-1", "beside", syncTo={"uri": f"file://{tmp_path}/copies"}))
    assert conditions(lab.savepoint_phase("beside-1", "Completed")) == SYNCED
    lab.edit(other, state="Suspended")
    lab.phase("beside", "Suspended")
    sync = wait_until(
        lambda: (found := status_of(lab, name)["sync"]).get("bytesTotal") and found, timeout=60, what="progress"
    )
    assert status_of(lab, name)["phase"] == "Syncing"
    assert sync["bytesTotal"] > 6 * MIB
    store.per_second = 180_000
    lab.savepoint_phase(name, "Completed", deadline=180)
    assert store.passed < 7 * MIB, "nothing was sent twice"
    whole(s3, name, snapshot)


@pytest.mark.fault("store-bad-snapshot")
@pytest.mark.parametrize("case", ["absolute", "missing file", "cut metadata", "gone"])
def test_a_snapshot_that_cannot_be_copied(faults_lab: Lab, s3: S3Server, tmp_path: Path, case: str) -> None:
    lab, name = faults_lab, f"bad-{case.replace(' ', '-')}"
    absolute = "s3://elsewhere/shared/1234" if case == "absolute" else None
    snapshot = write_snapshot(tmp_path / "savepoint-1", {"a": 1000, "b": 1000}, absolute=absolute)
    code, word = "SnapshotNotSelfContained", ""
    match case:
        case "absolute":
            word = "s3://elsewhere/shared/1234"
        case "missing file":
            (snapshot / "b").unlink()
            word = "b is missing"
        case "cut metadata":
            content = (snapshot / "_metadata").read_bytes()
            (snapshot / "_metadata").write_bytes(content[: len(content) // 2])
        case "gone":
            (snapshot / "_metadata").unlink()
            code, word = "NoSnapshot", "there is no snapshot at"
    copy_of(lab, name, snapshot, s3.endpoint)
    found = lab.savepoint_phase(name, "Failed")
    error = found["status"]["error"]
    assert conditions(found) == FAILED
    assert (error["errorCode"], error["details"]) == (code, f"s3://backup/{name}")
    assert condition(found, "Stalled")["reason"] == code
    assert word in error["message"]
    assert found["status"]["sync"]["failures"] == 1, "it is not tried again"
    assert not list(place_of(s3, name).rglob("manifest.json"))


@pytest.mark.fault("store-damaged-manifest")
def test_a_damaged_manifest_is_no_copy_and_is_made_again(faults_lab: Lab, s3: S3Server, tmp_path: Path) -> None:
    lab = faults_lab
    snapshot = write_snapshot(tmp_path / "savepoint-1", {"a": 1000})
    place = {"uri": "s3://backup/damaged"}
    copy_of(lab, "damaged-1", snapshot, s3.endpoint, syncTo=place)
    lab.savepoint_phase("damaged-1", "Completed")
    (manifest,) = place_of(s3, "damaged").glob("*/manifest.json")
    good = json.loads(manifest.read_bytes())
    manifest.write_bytes(manifest.read_bytes().replace(b'"size": 1000', b'"size": 1001'))
    copy_of(lab, "damaged-2", snapshot, s3.endpoint, syncTo=place)
    found = lab.savepoint_phase("damaged-2", "Completed")
    assert found["status"]["sync"]["sequenceNumber"] == 1, "the same snapshot, the same number"
    assert json.loads(manifest.read_bytes())["files"] == good["files"]
    whole(s3, "damaged", snapshot)


@pytest.mark.fault("store-writer-told-to-end")
def test_an_operator_that_ends_in_the_middle_ends_in_order_and_goes_on(
    faults_lab: Lab, store: StoreProxy, s3: S3Server, tmp_path: Path
) -> None:
    lab, name = faults_lab, "told-to-end"
    snapshot = write_snapshot(tmp_path / "savepoint-1", PARTS)
    store.per_second = 3 * MIB
    copy_of(lab, name, snapshot, store.url)
    wait_until(lambda: list(place_of(s3, name).rglob("journal.json")), timeout=60, what="the first file")
    store.per_second = MIB // 4
    assert lab.operator.stop() == 0
    assert not list(place_of(s3, name).rglob("manifest.json"))
    store.heal()
    lab.operator.restart()
    found = lab.savepoint_phase(name, "Completed", deadline=180)
    assert found["status"]["sync"]["sequenceNumber"] == 1
    assert found["status"]["sync"].get("failures", 0) == 0
    whole(s3, name, snapshot)
