"""Every right that the manifests grant is used by the operator, by the API server's own audit log; none is there in reserve.

`test_rbac.py` says that these are all, and what is refused; `chart/test_chart.py` that the chart grants the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deploy.local.audit import AuditEvent
from flinkjob.kube.client import KubeClient
from flinkjob.kube.kinds import Kind
from tests.support.integration import (
    USER,
    ControlPlane,
    FlinkCluster,
    Kube,
    Lab,
    Refused,
    Site,
    condition,
    free_port,
    operator_kubeconfig,
    secret,
    submission,
    wait_until,
)
from tests.support.rbac import BASE, NAMESPACE

pytestmark = [pytest.mark.kube, pytest.mark.flink, pytest.mark.slow]


@pytest.fixture
def place(site: Site, flink: FlinkCluster, tmp_path: Path) -> Iterator[Lab]:
    """A place of work whose operator leads by a Lease."""
    operator = site.operator("t-rights", lease_namespace=NAMESPACE)
    with operator, site.lab(operator, flink, tmp_path) as lab:
        yield lab
        if not operator.running:
            operator.restart()


@pytest.mark.threat("misused-account")
async def test_every_right_is_used(place: Lab, control_plane: ControlPlane) -> None:
    runs_are_replaced(place)
    clusters_are_asked_with_credentials(place)
    savepoints_come_and_go(place)
    place.apply(place.job("short", "--count", "50", ttlSecondsAfterFinished=0))
    place.gone("short")
    await two_races(place, control_plane)
    place.operator.stop()  # a watch is logged when it ends

    def seen_here(event: AuditEvent) -> bool:
        return event.user == USER and event.namespace in (place.namespace, NAMESPACE, "default", "")

    def unused() -> set[tuple[str, str]]:
        return granted() - {(e.verb, e.resource) for e in control_plane.audit_events() if seen_here(e)}

    wait_until(lambda: not unused(), timeout=20, what=f"no right unused: {sorted(unused())}")


def test_another_right_is_refused(control_plane: ControlPlane) -> None:
    begin = control_plane.audit_log.stat().st_size
    with Kube(operator_kubeconfig(control_plane)) as operator, pytest.raises(Refused, match="403"):
        operator.all("Secret", "default")

    def refused() -> list[int]:
        events = control_plane.audit_events(begin)
        return [e.code for e in events if (e.user, e.verb, e.resource) == (USER, "list", "secrets")]

    assert wait_until(refused, timeout=20, what="the refusal in the audit log") == [403]


def runs_are_replaced(lab: Lab) -> None:
    """Revisions are made, listed and deleted, savepoints recorded; a rollback reads the last healthy one."""
    rollback = {"rollback": {"policy": "Enabled", "healthyAfter": "500ms", "deadline": "10m"}}
    manifest = lab.start("replaced", revisionHistoryLimit=1, upgrade=rollback)
    for nonce in (1, 2):
        lab.wait("replaced", lambda job: job["status"].get("healthyRevision") == submission(job)["revision"], "healthy")
        manifest = lab.edit(manifest, restartNonce=nonce)
        lab.running("replaced", nonce + 1, deadline=60)
    lab.wait("replaced", lambda job: job["status"].get("healthyRevision") == submission(job)["revision"], "healthy")
    broken = [*manifest["spec"]["args"], "--fail-after", "1", "--restart", "none"]
    manifest = lab.edit(manifest, args=broken)
    lab.stalled("replaced", "RolledBack", deadline=60)
    lab.edit(manifest, state="Suspended")
    lab.phase("replaced", "Suspended", deadline=60)


def clusters_are_asked_with_credentials(lab: Lab) -> None:
    """A Secret, a ConfigMap and a Service are read."""
    meta = {"name": "cluster", "namespace": lab.namespace}
    lab.kube.apply(secret(lab.namespace, "cluster", token="token"))
    lab.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"ca.crt": "none"}})
    tls = {"ca": {"configMapKeyRef": {"name": "cluster", "key": "ca.crt"}}}
    guarded = {"url": f"https://127.0.0.1:{free_port()}", "tls": tls, "authSecretRef": {"name": "cluster"}}
    lab.apply(lab.job("guarded", cluster=guarded))
    lab.wait("guarded", lambda job: condition(job, "ClusterReachable").get("status") == "False", "unreachable")
    lab.apply(lab.job("foreign", cluster={"serviceRef": {"name": "flink", "namespace": "default"}}))
    lab.stalled("foreign", "InvalidSpec")


def savepoints_come_and_go(lab: Lab) -> None:
    """Made by schedule, marked, and deleted by retention; then the job, which has to be ended first."""
    keep = {"minCount": 1, "minAge": "1s"}
    saves = {"directory": lab.savepoint_directory("saves"), "interval": "1s", "retention": keep}
    lab.start("saves", savepoints=saves)
    first = wait_until(lambda: lab.savepoints_of("saves"), timeout=60, what="a savepoint")[0]["metadata"]["name"]
    lab.kube.wait_gone("FlinkSavepoint", lab.namespace, first, deadline=60)
    lab.delete("saves")
    lab.gone("saves", deadline=60)


async def two_races(lab: Lab, control_plane: ControlPlane) -> None:
    """An object whose finalizer was removed by somebody else is read again."""
    found = (lab.get("guarded"), lab.kube.all("FlinkSavepoint", lab.namespace)[0])
    async with await KubeClient.connect(operator_kubeconfig(control_plane)) as client:
        for kind, each in zip((Kind.FLINK_JOB, Kind.FLINK_SAVEPOINT), found, strict=True):
            name = each["metadata"]["name"]
            assert await client.remove_finalizer(kind, lab.namespace, name, "0", ()) is not None


def granted() -> set[tuple[str, str]]:
    """Verb and resource of every right."""
    roles = [yaml.safe_load((BASE / name).read_text()) for name in ("cluster-role.yaml", "role.yaml")]
    return {
        (verb, resource)
        for role in roles
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
