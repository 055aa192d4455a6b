"""When nothing changes for a minute nothing is written, and Flink is asked one question each tick."""

from __future__ import annotations

import time

import pytest

from tests.support.integration import USER, ControlPlane, FlinkProxy, Lab, Object, ProcessFailed, wait_until

pytestmark = [pytest.mark.kube, pytest.mark.flink, pytest.mark.slow]

QUIET_SECONDS = 40.0
RESTARTED_SECONDS = 8.0
TICK = 1.0
"""Seconds between looks at a cluster where nothing happens, as the operator of this test is set."""
READS = {"get", "list", "watch"}


@pytest.mark.behaviour(3, 83)
@pytest.mark.invariant(9)
def test_nothing_is_written_when_nothing_changes(own_lab: Lab, control_plane: ControlPlane, proxy: FlinkProxy) -> None:
    lab = own_lab
    lab.cluster_url = proxy.url
    names = [f"quiet-{number}" for number in range(6)]
    for name in names:
        lab.apply(lab.job(name, "--rate", "20", checkpoint={"interval": "1s"}))
    for name in names:
        lab.running(name)
    lab.apply(lab.savepoint("quiet-saved", names[0]))
    lab.savepoint_phase("quiet-saved", "Completed")
    lab.apply(lab.job("quiet-suspended", state="Suspended"))
    lab.phase("quiet-suspended", "Suspended")
    lab.apply(lab.job("quiet-bad", jar={"uri": "file:///etc/hostname"}))
    lab.stalled("quiet-bad", "ArtifactFailed")
    lab.apply(lab.job("quiet-finished", "--count", "50"))
    lab.phase("quiet-finished", "Finished")
    settle(lab, control_plane)

    begin = control_plane.audit_log.stat().st_size
    events = len(lab.kube.all("Event", lab.namespace))
    versions = {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in objects(lab)}
    since = time.monotonic()
    proxy.reset()
    with pytest.raises(ProcessFailed):
        wait_until(lambda: writes(control_plane, begin), timeout=QUIET_SECONDS, what="a write", interval=1.0)

    assert writes(control_plane, begin) == []
    assert len(lab.kube.all("Event", lab.namespace)) == events
    assert {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in objects(lab)} == versions
    asked, ticks = proxy.requests(), (time.monotonic() - since) / TICK
    assert set(asked) == {("GET", "/jobs/overview")}
    assert ticks * 0.2 <= asked["GET", "/jobs/overview"] <= ticks + 2

    lab.operator.kill()
    lab.operator.start()
    with pytest.raises(ProcessFailed):
        wait_until(lambda: writes(control_plane, begin), timeout=RESTARTED_SECONDS, what="a write", interval=1.0)
    assert writes(control_plane, begin) == [], "another operator finds all as it was"
    assert {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in objects(lab)} == versions


def settle(lab: Lab, control_plane: ControlPlane) -> None:
    """Waits until the operator has written nothing for ten seconds."""
    while True:
        begin = control_plane.audit_log.stat().st_size
        try:
            wait_until(lambda: writes(control_plane, begin), timeout=10, what="a write", interval=0.5)  # noqa: B023
        except ProcessFailed:
            return


def writes(control_plane: ControlPlane, offset: int) -> list[tuple[str, str, str]]:
    """Every request of the operator since then that is no reading; its Lease, if it has one, does not count."""
    return [
        (event.verb, event.resource, event.name)
        for event in control_plane.audit_events(offset)
        if event.user == USER
        and event.verb not in READS
        and event.resource != "leases"
        and event.namespace.startswith("t-nothing-is-written")
    ]


def objects(lab: Lab) -> list[Object]:
    """The FlinkJobs and FlinkSavepoints of the test."""
    return [*lab.kube.all("FlinkJob", lab.namespace), *lab.kube.all("FlinkSavepoint", lab.namespace)]
