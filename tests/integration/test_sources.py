"""Jars from where teams keep them: what a Secret opens, for real servers, a real API server and a real Flink."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest

from deploy.local.azure import AzureServer
from flinkjob.snapshots.stores import StoreAddress, open_store
from tests.integration.test_lifecycle_examples import SCRIPTS, example
from tests.support.artifactserver import ArtifactServer
from tests.support.drift import assert_no_drift
from tests.support.googlestore import GoogleStore
from tests.support.integration import (
    ControlPlane,
    Fault,
    FileServer,
    FlinkCluster,
    FlinkProxy,
    Lab,
    Object,
    OperatorProcess,
    S3Server,
    Site,
    build_demo_jar,
    condition,
    secret,
    submission,
)

pytestmark = [pytest.mark.kube, pytest.mark.flink]

NAMESPACE = "sources"
PASSWORD = "canary-artifact-51c7"
ROTATED = "canary-rotated-8e02"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArtifactServer]:
    """The operator's Maven repository."""
    with ArtifactServer(tmp_path_factory.mktemp("maven")) as started:
        yield started


@pytest.fixture(scope="module")
def operator(site: Site, repository: ArtifactServer) -> Iterator[OperatorProcess]:
    """One operator for all of them, which may send credentials over http."""
    flags = {"credentials_over_http": "true", "log_level": "DEBUG", "maven_repository": repository.url}
    flags["variables_config_map"] = "default/operator-variables"
    with site.operator(NAMESPACE, **flags) as started:
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


def test_stores_of_azure_and_google(place: Lab, web: FileServer, tmp_path: Path, control_plane: ControlPlane) -> None:
    """Their keys open them, and those of somebody else's do not; what is missing is said without any of them."""
    jar, name = place.jar.read_bytes(), "clicks/demo.jar"
    with AzureServer(tmp_path / "azure", "jars") as azure, GoogleStore(tmp_path / "google", "jars") as google:
        put_in(azure, name, jar)
        google.put(name, jar)
        endpoints = {
            "azure": {"https://shop.blob.core.windows.net": azure.endpoint},
            "gcs": {"https://storage-jobs.p.googleapis.com": google.endpoint},
        }
        jobs = [example(place, web, f"flinkjob-jar-from-{kind}", **where) for kind, where in endpoints.items()]
        wrong = base64.b64encode(PASSWORD.encode()).decode()
        keys(place, "azure-jars", "store", accountName=azure.account, accountKey=wrong)
        keys(place, "google-jars", "store", **{"serviceAccountKey.json": google.other_key})
        for manifest in jobs:
            place.apply(manifest)
        for manifest in jobs:
            refused = f"jar: {manifest['spec']['jar']['uri']}: the store denies access to demo.jar"
            place.wait(manifest["metadata"]["name"], lambda job, text=refused: text in str(job.get("status")), refused)
        keys(place, "azure-jars-2", "store", accountName=azure.account, accountKey=azure.key)
        keys(place, "google-jars-2", "store", **{"serviceAccountKey.json": google.key})
        for manifest in jobs:
            reference = manifest["spec"]["jar"]["store"]["credentialsSecretRef"]
            reference["name"] += "-2"
            place.apply(manifest)
        for manifest in jobs:
            place.running(manifest["metadata"]["name"], 1)
        place.edit(jobs[0], jar=jobs[0]["spec"]["jar"] | {"uri": "az://jars/none.jar"})
        told = place.stalled("jar-from-azure", "ArtifactFailed")
        assert "jar: az://jars/none.jar: the store has no none.jar" in condition(told, "Stalled")["message"]
    assert_no_drift(control_plane, place.kube, jobs[1])
    said = everything(place)
    assert [word for word in (wrong, azure.key, google.key[-200:], PASSWORD) if word in said] == []


def put_in(azure: AzureServer, name: str, content: bytes) -> None:
    """Stores an object."""
    secret = {"accountName": azure.account, "accountKey": azure.key}
    obstore.put(open_store(StoreAddress(uri="az://jars", endpoint=azure.endpoint, secret=secret)), name, content)


def test_a_script_and_what_comes_before_it(
    place: Lab, web: FileServer, tmp_path: Path, control_plane: ControlPlane
) -> None:
    """Each from a server of its own that asks who is there."""
    login = "Basic " + base64.b64encode(f"flink:{PASSWORD}".encode()).decode()
    (tmp_path / "tables.sql").write_text(SCRIPTS["tables.sql"])
    with AzureServer(tmp_path / "azure", "jars") as azure, ArtifactServer(tmp_path, authorization=login) as nexus:
        put_in(azure, "clicks/clicks.sql", SCRIPTS["clicks.sql"].encode())
        keys(place, "azure-scripts", "store", accountName=azure.account, accountKey=azure.key)
        keys(place, "scripts", "artifact", username="flink", password=PASSWORD)
        digests = [hashlib.sha256(SCRIPTS[name].encode()).hexdigest() for name in ("tables.sql", "clicks.sql")]
        places = {"https://nexus.example.com": nexus.url, "https://shop.blob.core.windows.net": azure.endpoint}
        manifest = example(place, web, "flinkjob-sql-private", **places, **dict(zip(PINS, digests, strict=True)))
        sql = manifest["spec"]["sql"]  # with Secrets of its own: those of other tests are remembered for a while
        sql["store"]["credentialsSecretRef"]["name"] = "azure-scripts"
        sql["initFrom"][0]["authSecretRef"]["name"] = "scripts"
        place.apply(manifest)
        place.running("sql-private", 1)
    assert_no_drift(control_plane, place.kube, manifest)
    assert [word for word in (PASSWORD, azure.key) if word in everything(place)] == []


PINS = (
    "7c9e2b5f14d08a63e1f7a92c4b6d8e05f3a1c7d92e4b6f80a5c3d1e9b7f20864",
    "b1d4f7a2c5e8093b6d9f1a4c7e0b3d5f8a2c4e6b9d1f3a5c7e9b0d2f4a6c8e13",
)
"""What the example says of its files."""


def everything(lab: Lab) -> str:
    """All that is written about the place: statuses, Events, revisions, and the operator's log."""
    kinds = ("FlinkJob", "FlinkSavepoint", "Event", "ControllerRevision")
    return json.dumps([lab.kube.all(kind, lab.namespace) for kind in kinds]) + lab.operator.said()


def config_map(lab: Lab, jar: Path) -> Object:
    """The ConfigMap of the example with this jar."""
    meta = {"name": "job-jars", "namespace": lab.namespace}
    content = base64.b64encode(jar.read_bytes()).decode()
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "binaryData": {"demo.jar": content}}


def test_a_jar_in_a_config_map_and_its_change(place: Lab, web: FileServer, control_plane: ControlPlane) -> None:
    manifest = example(place, web, "flinkjob-jar-configmap")
    place.apply(manifest)
    place.stalled("jar-configmap", "ArtifactFailed")
    place.kube.apply(config_map(place, place.jar))
    place.running("jar-configmap", 1)
    other = build_demo_jar(place.flink.version, variant="in a ConfigMap")
    place.kube.apply(config_map(place, other))
    place.running("jar-configmap", 2)
    assert submission(place.get("jar-configmap"))["artifactDigest"] == hashlib.sha256(other.read_bytes()).hexdigest()
    assert_no_drift(control_plane, place.kube, manifest)


@pytest.mark.invariant(11)
@pytest.mark.threat("leaked-secrets")
def test_variables_of_a_config_map_and_a_secret(place: Lab, web: FileServer, control_plane: ControlPlane) -> None:
    shutil.copyfile(place.jar, web.directory / "demo.jar")
    meta = {"name": "clicks-settings", "namespace": place.namespace}
    place.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"name": "clicks"}})
    manifest = example(place, web, "flinkjob-variables")
    place.apply(manifest)
    found = place.stalled("with-variables", "VariableNotFound")
    assert "clicks-login does not exist" in condition(found, "Stalled")["message"]
    keys(place, "clicks-login", "variables", password=PASSWORD)
    run = submission(place.running("with-variables", 1))
    with place.flink.http() as http:
        config = http.get(f"/jobs/{run['jobId']}/config").json()
    assert config["name"] == "clicks-eu"
    assert config["execution-config"]["user-config"]["login"] == PASSWORD
    assert_no_drift(control_plane, place.kube, manifest)
    keys(place, "clicks-login", "variables", password=ROTATED)
    place.edit(manifest, restartNonce=1)  # any edit has them read at once
    run = submission(place.running("with-variables", 2))
    with place.flink.http() as http:
        config = http.get(f"/jobs/{run['jobId']}/config").json()
    assert config["execution-config"]["user-config"]["login"] == ROTATED
    place.edit(manifest, args=["--main-throw", "no access with $(login.password)"])
    told = place.stalled("with-variables", "PreflightFailed")
    assert "no access with ******" in condition(told, "Stalled")["message"]
    assert [word for word in (PASSWORD, ROTATED) if word in everything(place)] == []


def test_variables_of_the_operator(place: Lab, web: FileServer, control_plane: ControlPlane) -> None:
    shutil.copyfile(place.jar, web.directory / "demo.jar")
    meta = {"name": "operator-variables", "namespace": "default"}
    place.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"region": "eu"}})
    manifest = example(place, web, "flinkjob-operator-variables")
    place.apply(manifest)
    found = place.stalled("of-operator", "VariableNotFound")
    assert "may not use the operator's variables" in condition(found, "Stalled")["message"]
    labels = {"flinkjob.dev/operator-variables": "allowed"}
    place.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place.namespace, "labels": labels}})
    manifest = place.edit(manifest, restartNonce=1)  # any edit has them read at once
    run = submission(place.running("of-operator", 1))
    with place.flink.http() as http:
        assert http.get(f"/jobs/{run['jobId']}/config").json()["name"] == "clicks-eu"
    assert_no_drift(control_plane, place.kube, manifest)


def test_a_jar_that_is_on_the_cluster(place: Lab) -> None:
    with place.flink.http() as http:
        files = {"jarfile": ("by-hand.jar", place.jar.read_bytes(), "application/java-archive")}
        jar = http.post("/jars/upload", files=files).json()["filename"].rpartition("/")[2]
        manifest = place.start("by-id", jar={"id": jar})
        assert submission(place.get("by-id"))["jarId"] == jar
        http.delete(f"/jars/{jar}").raise_for_status()
    place.edit(manifest, restartNonce=1)
    found = place.stalled("by-id", "ArtifactFailed")
    assert f"the cluster has no jar {jar}" in condition(found, "Stalled")["message"]
    assert place.get("by-id")["status"]["job"]["state"] == "RUNNING"


def test_a_jar_of_a_maven_repository_that_cuts_it_off(
    place: Lab, web: FileServer, repository: ArtifactServer, control_plane: ControlPlane
) -> None:
    directory = repository.directory / "com/example/jobs/demo/1.0"
    directory.mkdir(parents=True)
    shutil.copyfile(place.jar, directory / "demo-1.0.jar")
    checksum = hashlib.sha1(place.jar.read_bytes()).hexdigest()
    (directory / "demo-1.0.jar.sha1").write_text(checksum)
    repository.cut_after = place.jar.stat().st_size // 2 + 1
    manifest = example(place, web, "flinkjob-maven")
    place.apply(manifest)
    place.running("from-maven", 1)
    assert [path.rpartition(".")[2] for path, _ in repository.requests][:3] == ["jar", "jar", "sha256"]
    assert "range" in repository.requests[1][1]
    assert_no_drift(control_plane, place.kube, manifest)


def test_of_a_large_jar_it_is_said_how_far_it_is(proxy: FlinkProxy, place: Lab, tmp_path: Path) -> None:
    large = tmp_path / "large.jar"
    shutil.copyfile(place.jar, large)
    with zipfile.ZipFile(large, "a") as archive:
        archive.writestr("padding", bytes(20 * 2**20))
    proxy.add(Fault.DELAY, method="POST", path="/jars/upload", seconds=3)
    with ArtifactServer(tmp_path) as server:
        server.rest.clear()
        place.apply(place.job("large-jar", jar={"uri": f"{server.url}/large.jar"}, cluster={"url": proxy.url}))
        said = f"{server.url}/large.jar is fetched: 40% of 20.0Mi"
        place.wait("large-jar", lambda job: job["status"]["plan"]["message"] == said, said)
        server.rest.set()
        upload = re.compile(r"the jar is uploaded to the cluster: \d+% of 20\.0Mi")
        place.wait("large-jar", lambda job: upload.fullmatch(job["status"]["plan"]["message"]), upload.pattern)
        place.running("large-jar", 1)


SCRIPT = """
CREATE TABLE numbers (x INT) WITH ('connector' = 'datagen', 'rows-per-second' = '$(rate)');
CREATE TABLE nothing (x INT) WITH ('connector' = 'blackhole');
INSERT INTO nothing SELECT x FROM numbers WHERE '$(password)' <> ''
"""


@pytest.mark.threat("leaked-secrets")
def test_variables_of_a_script_are_not_in_its_jar(place: Lab) -> None:
    keys(place, "sql-login", "variables", password=PASSWORD)
    manifest = place.job("sql-variables", sql={"script": SCRIPT}, variables={"rate": "5"})
    manifest["spec"]["variablesFrom"] = [{"secretRef": {"name": "sql-login"}}]
    manifest["spec"] = {key: value for key, value in manifest["spec"].items() if key not in ("jar", "args")}
    place.apply(manifest)
    place.running("sql-variables", 1)
    place.edit(manifest, sql={"script": f"{SCRIPT} AND x < $(most)"})
    told = place.stalled("sql-variables", "VariableNotFound")
    assert "spec.sql: no variable is named most;" in condition(told, "Stalled")["message"]
    place.edit(manifest, sql={"script": f"{SCRIPT} AND `$(password)` = 1"})
    place.wait("sql-variables", lambda job: "******" in condition(job, "Stalled")["message"], "Flink's words")
    jars = [path.read_bytes() for path in (place.operator.directory / "cache").glob("*.jar")]
    made = [jar for jar in jars if zipfile.is_zipfile(io.BytesIO(jar))]  # another test's jar is only large
    texts = [zipfile.ZipFile(io.BytesIO(jar)).read(name) for jar in made for name in zip_names(jar)]
    assert any(b"$(password)" in text for text in texts)
    assert not any(PASSWORD.encode() in text for text in [*texts, *jars])
    assert PASSWORD not in everything(place)


def zip_names(jar: bytes) -> list[str]:
    """The statements in a jar."""
    return [name for name in zipfile.ZipFile(io.BytesIO(jar)).namelist() if name.startswith("flinkjob/sql/")]
