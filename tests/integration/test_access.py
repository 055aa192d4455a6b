"""Clusters that ask who is there: TLS, client certificates, rotated ones, and Services of other namespaces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.integration import FlinkCluster, Lab, Site, condition, secret, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink, pytest.mark.slow]

NAMESPACE = "access"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    """A cluster that speaks only TLS, and only to who shows its client certificate."""
    with FlinkCluster(tmp_path_factory.mktemp("guarded"), mutual_tls=True, tls=True) as cluster:
        yield cluster


@pytest.fixture
def place(site: Site, guarded: FlinkCluster, tmp_path: Path) -> Iterator[Lab]:
    """A place of work at the guarded cluster."""
    with site.operator(NAMESPACE) as operator, site.lab(operator, guarded, tmp_path) as lab:
        yield lab


def certificates(cluster: FlinkCluster) -> tuple[bytes, bytes, bytes]:
    """Trust, client certificate and its key."""
    tls = cluster.certificates
    assert tls is not None
    return tls.ca.read_bytes(), tls.client_certificate.read_bytes(), tls.client_key.read_bytes()


@pytest.mark.threat("eavesdropper")
def test_a_job_on_a_cluster_with_mutual_tls(place: Lab, guarded: FlinkCluster) -> None:
    ca, certificate, key = certificates(guarded)
    place.kube.apply(secret(NAMESPACE, "flink-ca", **{"ca.crt": ca}))
    tls = {
        "ca": {"secretKeyRef": {"name": "flink-ca", "key": "ca.crt"}},
        "clientSecretRef": {"name": "flink-client"},
        "serverName": "localhost",
    }
    manifest = place.job("guarded", cluster={"url": guarded.url, "tls": tls})
    place.apply(manifest)
    unreached = place.wait(
        "guarded", lambda job: condition(job, "ClusterReachable").get("status") == "False", "no client certificate yet"
    )
    assert "flink-client does not exist" in condition(unreached, "ClusterReachable")["message"]
    place.kube.apply(secret(NAMESPACE, "flink-client", **{"tls.crt": certificate, "tls.key": key}))
    place.running("guarded")
    place.edit(manifest, state="Suspended")
    place.phase("guarded", "Suspended")
    place.exactly_once("guarded")
    assert "PRIVATE KEY" not in place.operator.said()


@pytest.mark.copying("by-job-id")
def test_a_savepoint_by_job_id_on_a_cluster_with_mutual_tls(place: Lab, guarded: FlinkCluster) -> None:
    ca, certificate, key = certificates(guarded)
    place.kube.apply(secret(NAMESPACE, "flink-ca", **{"ca.crt": ca}))
    place.kube.apply(secret(NAMESPACE, "flink-client", **{"tls.crt": certificate, "tls.key": key}))
    tls = {
        "ca": {"secretKeyRef": {"name": "flink-ca", "key": "ca.crt"}},
        "clientSecretRef": {"name": "flink-client"},
        "serverName": "localhost",
    }
    cluster = {"url": guarded.url, "tls": tls}
    place.apply(place.job("handed", cluster=cluster, deletion={"policy": "Orphan"}))
    flink_job = submission(place.running("handed"))["jobId"]
    place.delete("handed")
    place.gone("handed")
    target = {"cluster": cluster, "jobId": flink_job}
    manifest = place.target("by-id", flink_job, mode="Stop", deletion={"policy": "Delete"})
    manifest["spec"]["target"] = target
    place.apply(manifest)
    found = place.savepoint_phase("by-id", "Completed")
    made = Path(found["status"]["location"].removeprefix("file:"))
    assert made.exists()
    place.delete("by-id", "FlinkSavepoint")
    place.kube.wait_gone("FlinkSavepoint", NAMESPACE, "by-id")
    assert not made.exists()


@pytest.mark.threat("eavesdropper")
def test_a_wrong_authority_is_not_trusted(place: Lab, guarded: FlinkCluster) -> None:
    _, certificate, key = certificates(guarded)
    place.kube.apply(secret(NAMESPACE, "flink-client", **{"tls.crt": certificate, "tls.key": key}))
    tls = {"clientSecretRef": {"name": "flink-client"}}
    place.apply(place.job("untrusted", cluster={"url": guarded.url, "tls": tls}))
    job = place.wait(
        "untrusted", lambda job: condition(job, "ClusterReachable").get("status") == "False", "unreachable"
    )
    assert "certificate" in condition(job, "ClusterReachable")["message"].lower()
    assert "submission" not in job["status"]


@pytest.mark.isolation("service-of-another-namespace")
@pytest.mark.threat("foreign-service")
@pytest.mark.parametrize(
    "cluster",
    [{"serviceRef": {"name": "flink", "namespace": "default"}}, {"url": "http://flink.default.svc.cluster.local:8081"}],
    ids=["serviceRef", "url"],
)
def test_a_service_of_another_namespace_must_allow_it(place: Lab, cluster: dict[str, object]) -> None:
    place.apply(place.job("foreign", cluster=cluster))
    job = place.stalled("foreign", "InvalidSpec")
    assert "default/flink does not allow namespace access" in condition(job, "Stalled")["message"]
