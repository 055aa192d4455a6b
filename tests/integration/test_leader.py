"""Two replicas and a Lease on a real API server: one leads; killed or frozen, the other takes over, and no harm is done."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.integration import FlinkCluster, Lab, OperatorProcess, Site, submission, wait_until

pytestmark = [pytest.mark.kube, pytest.mark.flink, pytest.mark.slow]

LEASES = "flinkjob-system"


@pytest.fixture
def replicas(site: Site, flink: FlinkCluster, tmp_path: Path) -> Iterator[tuple[OperatorProcess, OperatorProcess, Lab]]:
    """A leader, a replica that stands by, and a place of work that both watch."""
    namespace = f"leader-{int(time.time() * 1000)}"
    first, second = (site.operator(namespace, lease_namespace=LEASES, poll_slow_ms=500) for _ in range(2))
    with first, second, site.lab(first, flink, tmp_path) as lab:
        yield first, second, lab
        lab.operator = first if first.running else second


Replicas = tuple[OperatorProcess, OperatorProcess, Lab]


def _holder(lab: Lab) -> str | None:
    lease = lab.kube.get("Lease", LEASES, f"flinkjob-operator-{lab.namespace}")
    assert lease is not None
    holder: str | None = lease["spec"].get("holderIdentity")
    return holder


@pytest.mark.behaviour(76)
def test_a_killed_leader_is_replaced_when_its_lease_is_over(replicas: Replicas) -> None:
    """After 14 to 18 seconds, and what a loaded machine adds."""
    first, second, lab = replicas
    clicks = lab.start("clicks")
    assert "leading as" not in second.said()
    killed = _holder(lab)
    first.kill()
    wait_until(lambda: _holder(lab) != killed, timeout=40, what="another leader")
    lab.edit(clicks, state="Suspended")
    lab.phase("clicks", "Suspended")
    assert len(lab.flink_jobs("clicks")) == 1


@pytest.mark.behaviour(76)
@pytest.mark.fault("operator-sigterm")
def test_a_leader_that_ends_hands_over_at_once(replicas: Replicas) -> None:
    first, second, lab = replicas
    clicks = lab.start("clicks")
    ended = _holder(lab)
    assert first.stop() == 0
    assert _holder(lab) != ended
    lab.edit(clicks, state="Suspended")
    lab.phase("clicks", "Suspended")
    assert second.running


def test_a_replica_that_stands_by_ends_when_told(replicas: Replicas) -> None:
    """By itself: a signal alone does not end the first process of a container."""
    first, second, lab = replicas
    assert second.stop() == 0
    lab.start("clicks")
    assert first.running


@pytest.mark.invariant(3)
@pytest.mark.fault("operator-frozen-leader")
@pytest.mark.threat("frozen-replica")
def test_a_leader_that_was_frozen_beyond_its_lease_ends_without_an_effect(replicas: Replicas) -> None:
    first, second, lab = replicas
    clicks = lab.start("clicks")
    lab.told_once("Running", "clicks")  # the round that wrote the status has ended
    first.process.signal(signal.SIGSTOP)
    lab.edit(clicks, restartNonce=1)
    lab.running("clicks", 2)
    before, did = submission(lab.get("clicks")), first.said()
    first.process.signal(signal.SIGCONT)
    first.process.wait(60)
    assert "executor" not in first.said().removeprefix(did)
    assert [line for line in first.complaints() if "the Lease was lost" not in line] == []
    assert submission(lab.get("clicks"))["jobId"] == before["jobId"]
    assert len(lab.flink_jobs("clicks")) == 2
    assert second.complaints() == []
