"""Jars from where teams keep them: what a Secret opens, for real servers, a real API server and a real Flink."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_lifecycle_examples import example
from tests.support.artifactserver import ArtifactServer
from tests.support.drift import assert_no_drift
from tests.support.integration import (
    ControlPlane,
    FileServer,
    FlinkCluster,
    Lab,
    OperatorProcess,
    S3Server,
    Site,
    secret,
)

pytestmark = [pytest.mark.kube, pytest.mark.flink]

NAMESPACE = "sources"
PASSWORD = "canary-artifact-51c7"


@pytest.fixture(scope="module")
def operator(site: Site) -> Iterator[OperatorProcess]:
    """One operator for all of them, which may send credentials over http."""
    with site.operator(NAMESPACE, credentials_over_http="true", log_level="DEBUG") as started:
        yield started


@pytest.fixture
def place(site: Site, operator: OperatorProcess, flink: FlinkCluster, tmp_path: Path) -> Iterator[Lab]:
    """A place of work with that operator."""
    with site.lab(operator, flink, tmp_path) as lab:
        yield lab


def keys(lab: Lab, name: str, use: str, **values: str) -> None:
    """A Secret that may be used for that."""
    lab.kube.apply(secret(lab.namespace, name, use=use, **values))


@pytest.mark.threat("private-artifact")
def test_a_server_that_asks_for_a_password(
    place: Lab, web: FileServer, tmp_path: Path, control_plane: ControlPlane
) -> None:
    shutil.copyfile(place.jar, tmp_path / "demo.jar")
    login = "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    with ArtifactServer(tmp_path, authorization=login) as nexus:
        manifest = example(place, web, "flinkjob-private-jar", **{"https://nexus.example.com": nexus.url})
        place.apply(manifest)
        place.wait("private-jar", lambda job: "nexus does not exist" in str(job.get("status")), "no Secret yet")
        assert nexus.requests == []
        keys(place, "nexus", "artifact", username="ann", password=PASSWORD)
        place.running("private-jar", 1)
    assert_no_drift(control_plane, place.kube, manifest)
    assert PASSWORD not in place.operator.said()


def test_a_store_that_asks_for_keys(place: Lab, web: FileServer, tmp_path: Path, control_plane: ControlPlane) -> None:
    with S3Server(tmp_path / "s3", buckets=("jars",)) as s3:
        (s3.data / "jars" / "clicks").mkdir()
        shutil.copyfile(place.jar, s3.data / "jars" / "clicks" / "demo.jar")
        keys(place, "jar-store", "store", accessKeyId=s3.access_key, secretAccessKey=s3.secret_key)
        manifest = example(place, web, "flinkjob-jar-from-s3", **{"https://s3.example.com": s3.endpoint})
        place.apply(manifest)
        place.running("jar-from-s3", 1)
    assert_no_drift(control_plane, place.kube, manifest)
    assert s3.secret_key not in place.operator.said()
