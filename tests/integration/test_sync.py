"""FlinkSavepoints with `syncTo`: the copy is complete, numbered and owned; what goes wrong is in the status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import obstore
import pytest

from flinkjob.snapshots.addresses import StoreAddress
from flinkjob.snapshots.stores import open_store
from tests.support.integration import (
    FlinkCluster,
    Lab,
    Object,
    OperatorProcess,
    S3Server,
    Site,
    condition,
    conditions,
    secret,
    wait_until,
)

pytestmark = [pytest.mark.kube, pytest.mark.flink]

SYNC = "sync"
SYNCED = {"Ready": "True", "Reconciling": "False", "Stalled": "False", "Synced": "True"}
FAILED = {"Ready": "False", "Reconciling": "False", "Stalled": "True", "Synced": "False"}


@pytest.fixture(scope="module")
def sync_operator(site: Site, s3: S3Server) -> Iterator[OperatorProcess]:
    """An operator that may use what lies below the tests' directory for the namespace, and nothing else."""
    with site.operator(SYNC, store_grants=site.grants(SYNC)) as operator:
        site.store(SYNC, s3)
        site.kube.apply(secret(SYNC, "wrong", accessKeyId=s3.access_key, secretAccessKey="hidden-secret"))
        yield operator
    said = operator.said()
    assert s3.secret_key not in said
    assert "hidden-secret" not in said


@pytest.fixture
def sync_lab(site: Site, sync_operator: OperatorProcess, flink: FlinkCluster, tmp_path: Path) -> Iterator[Lab]:
    with site.lab(sync_operator, flink, tmp_path) as lab:
        yield lab


def to_s3(s3: S3Server, prefix: str, credentials: str = "store") -> dict[str, Any]:
    return {
        "uri": f"s3://backup/{prefix}",
        "endpoint": s3.endpoint,
        "region": s3.region,
        "credentialsSecretRef": {"name": credentials},
    }


def told_once(lab: Lab, name: str) -> bool:
    return lab.reasons(name, "FlinkSavepoint").count("Synced") == 1


def latest(directory: Path) -> int:
    return int(json.loads((directory / "latest.json").read_bytes())["sequenceNumber"])


@pytest.mark.copying("complete-and-numbered")
@pytest.mark.parametrize("target", ["s3", "file"])
def test_every_copy_is_complete_and_has_the_next_number(sync_lab: Lab, s3: S3Server, target: str) -> None:
    lab, name = sync_lab, f"copied-{target}"
    lab.start(name)
    sync = to_s3(s3, name) if target == "s3" else {"uri": f"file://{lab.directory}/mounted"}
    root = (s3.data / "backup" / name if target == "s3" else lab.directory / "mounted") / SYNC / name
    for number in (1, 2):
        one = f"{name}-{number}"
        lab.apply(lab.savepoint(one, name, syncTo={**sync, "verify": "Checksum"}))
        found = lab.savepoint_phase(one, "Completed")
        status = found["status"]
        assert conditions(found) == SYNCED
        assert status["sync"].items() >= {"sequenceNumber": number, "verified": "Checksum", "failures": 0}.items()
        assert status["sync"]["bytes"] == status["sync"]["bytesTotal"] > 0
        copy = root / status["sync"]["uri"].rpartition("/")[2]
        manifest = json.loads((copy / "manifest.json").read_bytes())
        assert status["sync"]["objects"] == len(manifest["files"])
        assert {file["name"] for file in manifest["files"]} == {
            path.name for path in Path(status["location"].removeprefix("file:")).iterdir()
        }
        assert latest(root) == number
        wait_until(partial(told_once, lab, one), timeout=30, what="the Event")
        assert len(json.dumps(status)) < 32 * 1024
    assert json.loads((root / "owner.json").read_bytes())["identity"] == SYNC


@pytest.mark.fault("store-403-or-another-owner")
@pytest.mark.parametrize("case", ["denied", "not granted", "no secret", "own identity elsewhere", "another owner"])
def test_what_goes_wrong_is_in_the_status(sync_lab: Lab, s3: S3Server, case: str) -> None:
    lab, name = sync_lab, f"bad-{case.replace(' ', '-')}"
    lab.start(name)
    code, word, sync = "StoreError", "", to_s3(s3, name)
    match case:
        case "denied":
            sync, word = to_s3(s3, name, "wrong"), "denies access"
        case "not granted":
            sync, word = {"uri": "file:///elsewhere/copies"}, "--store-grants"
        case "no secret":
            sync, word = to_s3(s3, name, "missing"), "does not exist"
        case "own identity elsewhere":
            del sync["credentialsSecretRef"]
            word = "--store-grants"
        case "another owner":
            keys = {"accessKeyId": s3.access_key, "secretAccessKey": s3.secret_key}
            place = open_store(StoreAddress(uri=f"s3://backup/{name}", endpoint=s3.endpoint, secret=keys))
            owner = {"identity": "other", "namespace": SYNC, "name": name}
            obstore.put(place, f"{SYNC}/{name}/owner.json", json.dumps(owner).encode())
            code, word = "OwnedByOther", "operator other"
    lab.apply(lab.savepoint(f"{name}-1", name, syncTo=sync, backoffLimit=0))
    found = lab.savepoint_phase(f"{name}-1", "Failed")
    assert conditions(found) == FAILED
    error = found["status"]["error"]
    assert error["errorCode"] == code == condition(found, "Stalled")["reason"]
    assert word in error["message"]
    assert "hidden-secret" not in json.dumps(found)
    assert found["status"]["location"], "the snapshot itself is complete"
    assert not list((s3.data / "backup" / name).rglob("manifest.json"))
    if case == "another owner":
        lab.apply(lab.savepoint(f"{name}-2", name, syncTo={**sync, "takeOver": "other"}))
        lab.savepoint_phase(f"{name}-2", "Completed")


def test_a_snapshot_that_is_gone_is_said_so(sync_lab: Lab, s3: S3Server) -> None:
    lab, name = sync_lab, "gone"
    lab.start(name)
    gone = f"file://{lab.directory}/nowhere/savepoint-1"
    lab.apply(lab.savepoint("gone-1", name, mode="Existing", location=gone, syncTo=to_s3(s3, name)))
    found = lab.savepoint_phase("gone-1", "Failed")
    assert found["status"]["error"]["errorCode"] == "NoSnapshot"


@pytest.mark.copying("retention-limits")
def test_retention_of_copies_needs_both_limits(sync_lab: Lab, s3: S3Server) -> None:
    lab, name = sync_lab, "kept"
    lab.start(name)
    for number in (1, 2, 3):
        sync = to_s3(s3, name) | {"retention": {"minCount": 1, "minAge": "1ms"}}
        lab.apply(lab.savepoint(f"kept-{number}", name, syncTo=sync))
        lab.savepoint_phase(f"kept-{number}", "Completed")
    root = s3.data / "backup" / name / SYNC / name
    assert [path.parent.name[:19] for path in root.glob("*/manifest.json")] == ["0000000000000000003"]
    assert latest(root) == 3


def job_copied(lab: Lab, name: str, number: int, of: str | None = None) -> Object:
    """The FlinkJob as soon as its newest copy has this number."""

    def good(job: Object) -> bool:
        done = job["status"].get("sync", {}).get("lastSuccess", {})
        return done.get("sequenceNumber") == number and of in (None, done["name"])

    return lab.wait(name, good, f"copy {number}")


def numbers(root: Path) -> list[int]:
    return sorted(int(path.parent.name[:19]) for path in root.glob("*/manifest.json"))


@pytest.mark.copying("every-savepoint")
def test_every_savepoint_of_a_job_is_copied_once(sync_lab: Lab, s3: S3Server) -> None:
    """Those of people, of periods and of upgrades, and one that was there before."""
    lab, name = sync_lab, "always"
    directory = lab.savepoint_directory(name)
    manifest = lab.start(name)
    lab.apply(lab.savepoint("always-before", name))
    lab.savepoint_phase("always-before", "Completed")
    sync = to_s3(s3, name)
    manifest = lab.edit(manifest, savepoints={"directory": directory, "syncTo": sync})
    found = job_copied(lab, name, 1, "always-before")
    assert condition(found, "Synced")["status"] == "True"
    lab.apply(lab.savepoint("always-asked", name))
    job_copied(lab, name, 2, "always-asked")
    manifest = lab.edit(manifest, restartNonce=1)
    lab.running(name, 2)
    found = job_copied(lab, name, 3)
    assert "upgrade" in found["status"]["sync"]["lastSuccess"]["name"]
    assert {"inProgress", "lastFailure"} & found["status"]["sync"].keys() == set()
    manifest = lab.edit(manifest, savepoints={"directory": directory, "syncTo": sync, "interval": "1s"})
    lab.wait(name, lambda job: job["status"]["sync"]["lastSuccess"]["sequenceNumber"] >= 5, "periodic ones")
    manifest = lab.edit(manifest, savepoints={"directory": directory, "syncTo": sync})
    lab.running(name, 2)  # so that no further one is begun

    def all_told() -> list[Object]:
        status = [each["status"] for each in lab.savepoints_of(name)]
        return status if all(each.get("sync", {}).get("endTime") for each in status) else []

    statuses = wait_until(all_told, timeout=60, what="all copied")
    assert {each["phase"] for each in statuses} == {"Completed"}
    root = s3.data / "backup" / name / SYNC / name
    assert sorted(each["sync"]["sequenceNumber"] for each in statuses) == numbers(root)
    assert numbers(root) == list(range(1, len(statuses) + 1))
    in_order = sorted(statuses, key=lambda each: each["sync"]["sequenceNumber"])
    times = [each["endTime"] for each in in_order]
    assert times == sorted(times)
    lab.told_once("Synced", "always-asked", "FlinkSavepoint")


@pytest.mark.copying("last-of-a-deleted-job")
def test_the_last_savepoint_of_a_deleted_job_is_copied(sync_lab: Lab, s3: S3Server) -> None:
    lab, name = sync_lab, "parted"
    sync = to_s3(s3, name) | {"origins": ["Deletion"]}
    lab.start(name, savepoints={"directory": lab.savepoint_directory(name), "syncTo": sync})
    lab.apply(lab.savepoint("parted-asked", name))
    lab.savepoint_phase("parted-asked", "Completed")
    lab.delete(name)
    lab.gone(name)
    (last,) = (each for each in lab.savepoints_of(name) if each["metadata"]["name"] != "parted-asked")
    found = lab.savepoint_phase(last["metadata"]["name"], "Completed")
    assert conditions(found) == SYNCED
    assert found["status"]["sync"]["sequenceNumber"] == 1
    asked = lab.kube.get("FlinkSavepoint", SYNC, "parted-asked")
    assert asked is not None
    assert "sync" not in asked["status"], "another origin than the one that was named"


@pytest.mark.copying("failures-are-told")
def test_a_place_that_is_refused_is_told_until_it_is_mended(sync_lab: Lab, s3: S3Server) -> None:
    """The savepoints stay complete, wait in their order, and are all copied when the place can be used."""
    lab, name = sync_lab, "mended"
    directory = lab.savepoint_directory(name)
    wrong = {"directory": directory, "syncTo": to_s3(s3, name, "wrong")}
    manifest = lab.start(name, savepoints=wrong)
    for number in (1, 2):
        lab.apply(lab.savepoint(f"mended-{number}", name))
        lab.savepoint_phase(f"mended-{number}", "Completed")
    found = lab.wait(name, lambda job: condition(job, "Synced").get("reason") == "StoreError", "a failure")
    failure = found["status"]["sync"]["lastFailure"]
    assert failure.items() >= {"name": "mended-1", "errorCode": "StoreError"}.items()
    assert "denies access" in failure["message"]
    assert conditions(found).items() >= {"Ready": "True", "Stalled": "False", "Synced": "False"}.items()
    waiting = lab.kube.get("FlinkSavepoint", SYNC, "mended-2")
    assert waiting is not None
    assert "sync" not in waiting["status"]
    lab.edit(manifest, savepoints={"directory": directory, "syncTo": to_s3(s3, name)})
    found = job_copied(lab, name, 2, "mended-2")
    assert "lastFailure" not in found["status"]["sync"]
    first = lab.kube.get("FlinkSavepoint", SYNC, "mended-1")
    assert first is not None
    assert first["status"]["sync"]["sequenceNumber"] == 1
