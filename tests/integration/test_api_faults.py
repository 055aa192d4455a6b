"""The API server as it may be: conflicts, 429, 500, watches that end or fall silent, and an etcd that stands still."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local.environment import CRDS
from flinkjob.runtime.leader import RENEW_DEADLINE
from tests.support.apiproxy import ApiProxy
from tests.support.integration import (
    ControlPlane,
    FlinkCluster,
    Kube,
    Lab,
    OperatorProcess,
    ProcessFailed,
    Refused,
    Site,
    free_port,
    operator_kubeconfig,
    submission,
    wait_until,
)

pytestmark = [pytest.mark.kube, pytest.mark.flink, pytest.mark.slow]

NAMESPACE = "faults"
SYSTEM = "flinkjob-system"
STATUS = r".*/flinkjobs/[^/]+/status"


@pytest.fixture(scope="module")
def own_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that may be stopped."""
    with ControlPlane(tmp_path_factory.mktemp("faulty"), CRDS) as started:
        yield started


@pytest.fixture(scope="module")
def api(own_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProxy]:
    """What the operator takes for the API server."""
    with ApiProxy(operator_kubeconfig(own_plane), tmp_path_factory.mktemp("apiproxy")) as started:
        yield started


@pytest.fixture(scope="module")
def faulty_site(site: Site, own_plane: ControlPlane) -> Iterator[Site]:
    with Kube(own_plane.kubeconfig) as kube:
        yield replace(site, control_plane=own_plane, kube=kube)


@pytest.fixture(scope="module")
def faulty_operator(faulty_site: Site, api: ApiProxy) -> Iterator[OperatorProcess]:
    """An operator that sees the API server through the proxy only."""
    with faulty_site.operator(NAMESPACE, kubeconfig=str(api.kubeconfig)) as operator:
        yield operator


@pytest.fixture
def place(faulty_site: Site, faulty_operator: OperatorProcess, flink: FlinkCluster, tmp_path: Path) -> Iterator[Lab]:
    with faulty_site.lab(faulty_operator, flink, tmp_path) as lab:
        yield lab


@pytest.mark.fault("api-conflicts-and-trouble")
@pytest.mark.parametrize("code", [409, 429, 500])
def test_refused_now_and_then(place: Lab, api: ApiProxy, code: int) -> None:
    """A status that is not written is no reason to do anything twice."""
    name = f"refused-{code}"
    refusal = api.refuse(code, method="PATCH", path=STATUS, times=3)
    manifest = place.start(name)
    assert refusal.hits == 3
    events = api.refuse(code, method="POST", path=".*/(events|controllerrevisions)", times=2)
    again = api.refuse(code, method="PATCH", path=STATUS, times=2)
    place.edit(manifest, restartNonce=1)
    found = place.running(name, 2, deadline=60)
    assert submission(found)["number"] == 2
    assert (events.hits, again.hits) == (2, 2)
    assert len(place.flink_jobs(name)) == 2
    assert len(place.savepoints_begun(name)) == 1
    assert place.operator.running


@pytest.mark.fault("api-watch-or-etcd-stuck")
def test_watches_are_closed(place: Lab, api: ApiProxy) -> None:
    manifest = place.start("closed")
    assert api.close_watches() >= 2
    place.edit(manifest, state="Suspended")
    place.phase("closed", "Suspended", deadline=60)


@pytest.mark.fault("api-watch-or-etcd-stuck")
def test_watches_fall_silent(place: Lab, api: ApiProxy) -> None:
    """A connection that nothing comes through any more is given up after a while, and what was missed is seen."""
    manifest = place.start("silent")
    assert api.silence_watches() >= 2
    place.edit(manifest, state="Suspended")
    place.phase("silent", "Suspended", deadline=150)


@pytest.mark.fault("api-watch-or-etcd-stuck")
def test_etcd_stands_still(place: Lab, own_plane: ControlPlane) -> None:
    manifest = place.start("still")
    (etcd,) = (process for process in own_plane.processes if process.name == "etcd")
    job = place.get("still")
    etcd.signal(signal.SIGSTOP)
    try:
        with pytest.raises(ProcessFailed):
            wait_until(lambda: not place.operator.running, timeout=5, what="the end of the operator", interval=0.5)
    finally:
        etcd.signal(signal.SIGCONT)
    place.edit(manifest, restartNonce=1)
    place.running("still", 2, deadline=90)
    assert len(place.flink_jobs("still")) == 2
    assert submission(job)["number"] == 1
    place.exactly_once("still")


@pytest.mark.fault("api-unreadable-status-deleted")
def test_a_status_of_another_version_does_not_hold_up_a_deletion(place: Lab) -> None:
    """A word that only a later version knows: nothing is done, but a deletion stops the job as ever and ends."""
    name = "flinkjobs.flinkjob.dev"
    definition = place.kube.get("CustomResourceDefinition", "", name)
    assert definition is not None
    (version,) = definition["spec"]["versions"]
    phases = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["phase"]["enum"]
    phases.append("Dancing")
    place.kube.patch("CustomResourceDefinition", "", name, {"spec": {"versions": [version]}})
    manifest = place.start("later")

    def spoilt() -> bool:
        """The API server serves a changed definition after a moment."""
        try:
            place.kube.patch("FlinkJob", NAMESPACE, "later", {"status": {"phase": "Dancing"}}, status=True)
        except Refused:
            return False
        return True

    wait_until(spoilt, timeout=30, what="a status of another version")
    place.told("StatusUnreadable", name="later")
    place.edit(manifest, restartNonce=1)
    place.delete("later")
    place.gone("later", deadline=60)
    assert [job["state"] for job in place.flink_jobs("later")] == ["FINISHED"]
    assert len(place.savepoints_on_disk("later")) == 1


@pytest.mark.invariant(12)
@pytest.mark.fault("operator-lease-lost")
def test_the_lease_is_kept_though_all_writes_wait(faulty_site: Site, api: ApiProxy) -> None:
    """Many FlinkJobs at once, and no write is answered: measured before, a renewal waited behind them until it was late."""
    namespace = "faults-lease"
    operator = faulty_site.operator(namespace, kubeconfig=str(api.kubeconfig), lease_namespace=SYSTEM, workers=64)
    with operator, api.hold(method="PATCH", path=rf".*/{namespace}/flinkjobs/.*") as waiting:
        for number in range(48):
            meta = {"name": f"many-{number}", "namespace": namespace}
            spec = {"cluster": {"url": f"http://127.0.0.1:{free_port()}"}, "jar": {"uri": "file:///nowhere.jar"}}
            job = {"apiVersion": "flinkjob.dev/v1alpha1", "kind": "FlinkJob", "metadata": meta, "spec": spec}
            faulty_site.kube.apply(job)
        wait_until(lambda: waiting() >= 32, timeout=60, what="32 writes that wait")
        begun, renewed = time.monotonic(), _renewals(faulty_site, namespace)
        wait_until(
            lambda: time.monotonic() - begun > RENEW_DEADLINE + 2 or not operator.running,
            timeout=60,
            what="longer than the Lease lasts without a renewal",
        )
        assert operator.running, operator.said()[-2000:]
        assert waiting() >= 32
        assert _renewals(faulty_site, namespace) != renewed
    assert operator.complaints() == []


def _renewals(site: Site, identity: str) -> str:
    """When the Lease was renewed last."""
    lease = site.kube.get("Lease", SYSTEM, f"flinkjob-operator-{identity}")
    assert lease is not None
    return str(lease["spec"]["renewTime"])
