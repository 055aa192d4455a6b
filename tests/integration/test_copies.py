"""`initialState.copies`: a first run from a copy in a store, on another cluster and under another operator too."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.integration import (
    FlinkCluster,
    FlinkProxy,
    Lab,
    Object,
    OperatorProcess,
    S3Server,
    Site,
    committed_records,
    condition,
    submission,
    wait_until,
)

pytestmark = [pytest.mark.kube, pytest.mark.flink]

EAST, WEST = "copies-east", "copies-west"
TOLD = ("Ready", "Stalled", "SourceMayStillRun")


@pytest.fixture(scope="module")
def second_flink(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    """Another cluster, which reaches the store and nothing of the first one."""
    config = {"web.refresh-interval": "200"}
    with FlinkCluster(tmp_path_factory.mktemp("second"), s3=s3, config=config, slots=4) as cluster:
        yield cluster


@contextmanager
def _operator(name: str, site: Site, s3: S3Server) -> Iterator[OperatorProcess]:
    """An operator of its own identity, in a namespace of its own with the store's credentials."""
    operator = site.operator(name, store_grants=site.grants(name))
    site.store(name, s3)
    with operator:
        yield operator
    assert operator.complaints() == []


@pytest.fixture(scope="module")
def east(site: Site, s3: S3Server) -> Iterator[OperatorProcess]:
    with _operator(EAST, site, s3) as operator:
        yield operator


@pytest.fixture(scope="module")
def west(site: Site, s3: S3Server) -> Iterator[OperatorProcess]:
    with _operator(WEST, site, s3) as operator:
        yield operator


@pytest.fixture
def lab(site: Site, east: OperatorProcess, flink: FlinkCluster, tmp_path: Path) -> Iterator[Lab]:
    with site.lab(east, flink, tmp_path) as place:
        yield place


@pytest.fixture
def other_lab(site: Site, west: OperatorProcess, second_flink: FlinkCluster, tmp_path: Path) -> Iterator[Lab]:
    with site.lab(west, second_flink, tmp_path) as place:
        yield place


def from_copies(*copies: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"strategy": "Custom", "copies": list(copies), **more}


def mounted(lab: Lab) -> dict[str, Any]:
    """The place of the copies of a test."""
    return {"uri": f"file://{lab.directory}/mounted"}


def root_of(lab: Lab, job: str) -> Path:
    return lab.directory / "mounted" / lab.namespace / job


def copied(lab: Lab, job: str, *names: str, mode: str = "Trigger", sync: dict[str, Any] | None = None) -> Object:
    """Copies of the job's savepoints, one after the other; the last one's FlinkSavepoint."""
    found: Object = {}
    for name in names:
        lab.apply(lab.savepoint(name, job, mode=mode, syncTo=sync or mounted(lab)))
        found = lab.savepoint_phase(name, "Completed")
    return found


def restored_from(lab: Lab, found: Object) -> str:
    """What Flink says that a run was restored from."""
    return str(lab.checkpoints(submission(found)["jobId"])["latest"]["restored"]["external_path"])


@pytest.mark.copying("second-cluster")
def test_a_second_cluster_of_another_operator_goes_on_exactly(lab: Lab, other_lab: Lab, s3: S3Server) -> None:
    name = "counter"
    lab.start(name, flinkConfiguration={"execution.checkpointing.data-inline-threshold": "0"})
    lab.checkpointed(lab.flink_jobs(name)[0]["jid"])
    store = {
        "uri": "s3://backup/jobs",
        "endpoint": s3.endpoint,
        "region": s3.region,
        "credentialsSecretRef": {"name": "store"},
    }
    saved = copied(lab, name, "last", mode="Stop", sync=store)["status"]
    lab.delete(name)
    lab.gone(name)
    shutil.rmtree(saved["location"].removeprefix("file:"))
    stopped_at = len(committed_records(lab.out(name)))
    nowhere = {**store, "uri": "s3://backup/elsewhere"}
    of_east = {"namespace": EAST, "job": name}
    other_lab.apply(other_lab.job(name, initialState=from_copies({**nowhere, **of_east}, {**store, **of_east})))
    found = other_lab.running(name, 1)
    run = submission(found)
    assert run["restoredFrom"] == saved["sync"]["uri"] == restored_from(other_lab, found)
    assert (
        run["restoredCopy"].items() >= {"sequenceNumber": 1, "identity": EAST, "namespace": EAST, "job": name}.items()
    )
    assert "s3://backup/elsewhere: there is not a complete copy" in run["restoredWhy"]
    assert run["jobId"] != saved["jobId"]
    assert {kind: condition(found, kind)["status"] for kind in TOLD} == dict(
        zip(TOLD, ("True", "False", "True"), strict=True)
    )
    other_lab.told_once("SourceMayStillRun", name)
    wait_until(lambda: len(committed_records(lab.out(name))) > stopped_at + 200, timeout=60, what="records of the copy")
    other_lab.checkpointed(run["jobId"], 2)
    other_lab.exactly_once(name)
    assert other_lab.started_fresh(name) == 1  # of the first run alone


@pytest.mark.copying("newest-at-submission")
def test_a_standby_takes_the_newest_when_it_is_needed(lab: Lab) -> None:
    """Created Suspended; which copy is the newest is looked up only when it shall run."""
    lab.start("primary")
    copied(lab, "primary", "primary-1")
    place = {**mounted(lab), "job": "primary"}
    standby = lab.job("standby", state="Suspended", initialState=from_copies(place))
    lab.apply(standby)
    lab.phase("standby", "Suspended")
    newest = copied(lab, "primary", "primary-2")["status"]["sync"]
    lab.edit(standby, state="Running")
    found = lab.running("standby", 1)
    assert submission(found)["restoredFrom"] == newest["uri"]
    assert submission(found)["restoredCopy"]["sequenceNumber"] == newest["sequenceNumber"] == 2
    assert condition(found, "SourceMayStillRun") == {}, "it is a copy of its own"
    pinned = from_copies({**place, "sequenceNumber": 1}, nonce=1)
    lab.edit(standby, state="Running", initialState=pinned)
    assert submission(lab.running("standby", 2))["restoredCopy"]["sequenceNumber"] == 1


@pytest.mark.copying("no-copy-no-start")
@pytest.mark.threat("foreign-store")
def test_without_a_copy_nothing_runs_until_there_is_one(lab: Lab) -> None:
    place = {**mounted(lab), "job": "late-source"}
    lab.apply(lab.job("late", initialState=from_copies(place, {"uri": "file:///not/granted"})))
    found = lab.stalled("late", "CopyNotFound")
    message = condition(found, "Stalled")["message"]
    assert "there is no directory" in message
    assert "--store-grants" in message
    assert lab.flink_jobs("late") == []
    lab.start("late-source")
    copied(lab, "late-source", "late-1")
    found = lab.running("late", 1)
    assert submission(found)["restoredCopy"]["sequenceNumber"] == 1


@pytest.mark.copying("places-in-order")
@pytest.mark.threat("lying-store")
def test_what_is_not_whole_is_passed_over(lab: Lab) -> None:
    """A damaged manifest is as good as none; of a copy that lacks a file the next older one is, or the next place."""
    lab.start("torn", flinkConfiguration={"execution.checkpointing.data-inline-threshold": "0"})
    copied(lab, "torn", "torn-1", "torn-2")
    first, second = sorted(root_of(lab, "torn").glob("*/manifest.json"))
    body = json.loads(second.read_bytes())
    second.write_text(json.dumps({**body, "checkpoint_id": 99}))
    place = {**mounted(lab), "job": "torn"}
    lab.start("mended", initialState=from_copies(place))
    assert submission(lab.get("mended"))["restoredCopy"]["sequenceNumber"] == 1
    second.write_text(json.dumps(body))
    lost = next(file["name"] for file in body["files"] if file["name"] != "_metadata")
    (second.parent / lost).unlink()
    lab.start("second", initialState=from_copies({**place, "sequenceNumber": 2}, place))
    run = submission(lab.get("second"))
    assert run["restoredCopy"]["sequenceNumber"] == 1
    assert f"passed over: {mounted(lab)['uri']}" in run["restoredWhy"]
    assert first.exists()


@pytest.mark.copying("no-copy-no-start")
def test_a_redeployment_that_finds_no_copy_leaves_the_job_alone(lab: Lab) -> None:
    manifest = lab.start("kept")
    lab.edit(manifest, initialState=from_copies(mounted(lab), nonce=1))
    found = lab.stalled("kept", "CopyNotFound")
    assert condition(found, "Healthy")["status"] == "True"
    assert [job["state"] for job in lab.flink_jobs("kept")] == ["RUNNING"]
    assert submission(found)["number"] == 1


@pytest.mark.copying("started-from-stays")
def test_a_copy_that_a_run_started_from_is_not_deleted(lab: Lab) -> None:
    lab.start("copy-giver")
    copied(lab, "copy-giver", "giver-1")
    lab.start("copy-taker", initialState=from_copies({**mounted(lab), "job": "copy-giver"}))
    copied(
        lab, "copy-giver", "giver-2", "giver-3", sync={**mounted(lab), "retention": {"minCount": 1, "minAge": "1ms"}}
    )
    left = sorted(path.parent.name[:19] for path in root_of(lab, "copy-giver").glob("*/manifest.json"))
    assert [int(number) for number in left] == [1, 3]


@pytest.mark.copying("disposed-of-by-another-cluster")
def test_data_are_disposed_of_by_another_cluster_when_their_own_is_gone(other_lab: Lab, s3: S3Server) -> None:
    """Both reach the store; the FlinkJob whose cluster does it is another one of the namespace."""
    other_lab.start("neighbour")
    with FlinkProxy(other_lab.flink.url) as proxy:
        other_lab.cluster_url = proxy.url
        other_lab.start("moved-out", deletion={"policy": "Cancel"})
        directory = f"s3://flink/{other_lab.namespace}/moved-out"
        other_lab.apply(other_lab.savepoint("unloved", "moved-out", directory=directory, deletion={"policy": "Delete"}))
        other_lab.savepoint_phase("unloved", "Completed")
        other_lab.delete("moved-out")
        other_lab.gone("moved-out")
        below = s3.bucket("flink") / other_lab.namespace / "moved-out"
        assert list(below.rglob("_metadata*"))
        proxy.refuse()
        other_lab.delete("unloved", "FlinkSavepoint")
        other_lab.kube.wait_gone("FlinkSavepoint", other_lab.namespace, "unloved")
    assert not list(below.rglob("_metadata*"))
