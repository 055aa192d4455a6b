"""Every example works as it stands, with a real cluster, jar and directory in place of the invented ones."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.demojob import ENTRY_CLASS
from tests.support.drift import assert_no_drift
from tests.support.integration import ControlPlane, FileServer, Lab, S3Server, secret, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
PYTHON = ["python", "python-table"]
"""Applied by `test_python.py`, on a cluster with PyFlink."""
SOURCES = [
    "private-jar",
    "jar-from-s3",
    "jar-from-azure",
    "jar-from-gcs",
    "jar-configmap",
    "maven",
    "variables",
    "operator-variables",
    "sql-private",
]
"""Applied by `test_sources.py`, from real servers."""
JOBS = ["minimal", "pinned", "stateless", "last-state", "savepoint-upgrade", "sql", "sql-configmap"]
SCRIPTS = {
    "tables.sql": "CREATE TABLE a (x INT) WITH ('connector' = 'datagen'); "
    "CREATE TABLE b WITH ('connector' = 'blackhole') LIKE a (EXCLUDING ALL)",
    "clicks.sql": "INSERT INTO b SELECT x FROM a",
}


def example(lab: Lab, web: FileServer, name: str, **values: str) -> dict[str, Any]:
    """The manifest with everything replaced that names a place."""
    text = (EXAMPLES / f"{name}.yaml").read_text()
    replacements = {
        "http://flink-jobmanager:8081": lab.cluster_url,
        "https://repo.example.com": web.url,
        "3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d92c8a3f3fbb2f4c0f3f6b1": hashlib.sha256(
            lab.jar.read_bytes()
        ).hexdigest(),
        "com.example.Demo": ENTRY_CLASS,
        "file:///flink/": f"file://{lab.directory}/flink/",
        '["--topic", "clicks"]': '["--name", "clicks"]',
        **values,
    }
    for old, new in replacements.items():
        text = text.replace(old, new)
    found: dict[str, Any] = yaml.safe_load(text)
    found["metadata"]["namespace"] = lab.namespace
    return found


@pytest.fixture
def shop(web: FileServer, lab: Lab) -> FileServer:
    """The artifact server with the demo job."""
    shutil.copyfile(lab.jar, web.directory / "demo.jar")
    return web


@pytest.mark.parametrize("name", JOBS)
def test_a_job(lab: Lab, shop: FileServer, control_plane: ControlPlane, name: str) -> None:
    manifest = example(lab, shop, f"flinkjob-{name}")
    meta = {"name": "sql-scripts", "namespace": lab.namespace}
    lab.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": SCRIPTS})
    lab.apply(manifest)
    lab.running(manifest["metadata"]["name"], 1)
    assert_no_drift(control_plane, lab.kube, manifest)


def test_suspended(lab: Lab, shop: FileServer, control_plane: ControlPlane) -> None:
    manifest = example(lab, shop, "flinkjob-suspended")
    lab.apply(manifest)
    lab.phase("suspended", "Suspended")
    assert_no_drift(control_plane, lab.kube, manifest)
    lab.edit(manifest, state="Running")
    lab.running("suspended", 1)


def test_savepoints_and_a_fork(lab: Lab, shop: FileServer, control_plane: ControlPlane) -> None:
    lab.apply(example(lab, shop, "flinkjob-savepoint-upgrade"))
    lab.running("clicks", 1)
    trigger = example(lab, shop, "flinksavepoint-trigger")
    lab.apply(trigger)
    saved = lab.savepoint_phase("clicks-before-fork", "Completed")
    location = saved["status"]["location"]
    assert location.startswith(f"file:{lab.directory}/flink/backups/")
    fork = example(lab, shop, "flinkjob-from-savepoint")
    lab.apply(fork)
    assert submission(lab.running("clicks-fork", 1))["restoredFrom"] == location
    there = {f"file://{lab.directory}/flink/savepoints/savepoint-1a2b3c-4d5e6f7a8b9c": location}
    from_location = example(lab, shop, "flinkjob-from-location", **there)
    lab.apply(from_location)
    assert submission(lab.running("from-location", 1))["restoredFrom"] == location
    checkpoint = example(lab, shop, "flinksavepoint-checkpoint")
    lab.apply(checkpoint)
    lab.savepoint_phase("clicks-checkpoint", "Completed")
    lab.apply(example(lab, shop, "flinksavepoint-existing"))
    assert lab.savepoint_phase("clicks-newest", "Completed")["status"]["location"]
    flink_job = submission(lab.get("clicks"))["jobId"]
    lab.apply(example(lab, shop, "flinksavepoint-target", **{"0123456789abcdef0123456789abcdef": flink_job}))
    saved = lab.savepoint_phase("any-job-1", "Completed")
    assert saved["status"]["location"].startswith(f"file:{lab.directory}/flink/backups/")
    lab.delete("any-job-1", "FlinkSavepoint")
    lab.kube.wait_gone("FlinkSavepoint", lab.namespace, "any-job-1")
    for manifest in (trigger, fork, from_location, checkpoint):
        assert_no_drift(control_plane, lab.kube, manifest)


def test_copies_and_a_start_from_them(
    lab: Lab, shop: FileServer, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> None:
    job = example(lab, shop, "flinkjob-synced")
    lab.apply(job)
    lab.running("clicks-synced", 1)
    lab.apply(lab.savepoint("clicks-synced-1", "clicks-synced"))
    lab.wait("clicks-synced", lambda found: found["status"].get("sync", {}).get("lastSuccess"), "its savepoint copied")
    standby = example(lab, shop, "flinkjob-from-copy")
    lab.apply(standby)
    copy = f"file:{lab.directory}/flink/copies/{lab.namespace}/clicks-synced/"
    restored = submission(lab.running("clicks-standby", 1))["restoredFrom"]
    assert restored.replace("file://", "file:").startswith(copy)
    with S3Server(tmp_path_factory.mktemp("s3"), buckets=("backups",)) as s3:
        keys = {"accessKeyId": s3.access_key, "secretAccessKey": s3.secret_key}
        lab.kube.apply(secret(lab.namespace, "backup-store", **keys))
        saved = example(lab, shop, "flinksavepoint-synced", **{"https://s3.example.com": s3.endpoint})
        lab.apply(saved)
        sync = lab.savepoint_phase("clicks-offsite-1", "Completed")["status"]["sync"]
        assert sync["uri"].startswith(f"s3://backups/flink/{lab.namespace}/clicks-synced/{1:019}-")
        assert (s3.data / sync["uri"].removeprefix("s3://") / "manifest.json").is_file()
    for manifest in (job, standby, saved):
        assert_no_drift(control_plane, lab.kube, manifest)


@pytest.mark.parametrize("mode", ["stop", "cancel"])
def test_a_stop(lab: Lab, shop: FileServer, control_plane: ControlPlane, mode: str) -> None:
    job, stop = example(lab, shop, "flinkjob-savepoint-upgrade"), example(lab, shop, f"flinksavepoint-{mode}")
    lab.apply(job)
    lab.running("clicks", 1)
    lab.apply(stop)
    lab.savepoint_phase(f"clicks-{mode}-1", "Completed")
    lab.stalled("clicks", "SavepointStop")
    for manifest in (job, stop):
        assert_no_drift(control_plane, lab.kube, manifest)


def test_every_example_is_tried() -> None:
    tried = {
        f"flinkjob-{name}"
        for name in [*JOBS, *PYTHON, "suspended", "from-savepoint", "from-location", "synced", "from-copy"]
    }
    tried |= {f"flinkjob-{name}" for name in SOURCES}
    named = ("trigger", "checkpoint", "stop", "cancel", "target", "existing", "synced")
    tried |= {f"flinksavepoint-{name}" for name in named}
    assert tried == {path.stem for path in EXAMPLES.glob("*.yaml")}
