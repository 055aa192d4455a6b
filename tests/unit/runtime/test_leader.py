"""One of several replicas leads: whoever cannot renew in time does nothing any more, and nobody takes over too early."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from flinkjob.core.errors import Transient
from flinkjob.kube.errors import AlreadyExists, Conflict, KubeUnavailable
from flinkjob.runtime.leader import RENEW_DEADLINE, Leadership
from flinkjob.runtime.lease import LEASE_SECONDS
from tests.unit.runtime.conftest import World


class Leases:
    """The API server, as far as one Lease goes."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.down = False

    async def read_lease(self, namespace: str, name: str) -> dict[str, Any] | None:
        if self.down:
            raise KubeUnavailable("refused", "connection refused")
        return self.lease

    async def create_lease(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if self.lease is not None:
            raise AlreadyExists(409, "exists")
        return self._store(body, "1")

    async def replace_lease(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if self.down:
            raise KubeUnavailable("refused", "connection refused")
        assert self.lease is not None
        version = self.lease["metadata"]["resourceVersion"]
        if body["metadata"]["resourceVersion"] != version:
            raise Conflict(409, "modified")
        return self._store(body, str(int(version) + 1))

    def _store(self, body: Mapping[str, Any], version: str) -> dict[str, Any]:
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": version}}
        return self.lease


def _replica(leases: Leases, holder: str) -> Leadership:
    return Leadership(leases, namespace="ns", name="lease", holder=holder)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "flinkjob")


def test_nobody_leads_without_the_lease(world: World) -> None:
    replica = _replica(Leases(), "a")
    assert not replica.leads()
    with pytest.raises(Transient):
        replica.require()
    world.run(replica.acquire())
    assert replica.leads()
    replica.require()


def test_a_leader_that_renews_keeps_the_lease_and_the_other_one_waits(world: World) -> None:
    leases = Leases()
    first, second = _replica(leases, "a"), _replica(leases, "b")
    world.run(first.acquire())
    lost: list[str] = []

    async def both() -> None:
        keeping = asyncio.create_task(first.keep(lambda: lost.append("a")))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second.acquire(), 300)
        keeping.cancel()

    world.run(both())
    assert (lost, first.leads(), second.leads()) == ([], True, False)


def test_a_leader_that_was_frozen_may_do_nothing_when_it_wakes(world: World) -> None:
    leases = Leases()
    first, second = _replica(leases, "a"), _replica(leases, "b")
    world.run(first.acquire())
    begun = world.now()
    world.run(second.acquire())
    assert world.now() - begun >= LEASE_SECONDS > RENEW_DEADLINE
    assert not first.leads()
    with pytest.raises(Transient):
        first.require()
    lost: list[str] = []
    world.run(asyncio.wait_for(first.keep(lambda: lost.append("a")), 1))
    assert lost == ["a"]
    assert second.leads()


def test_a_leader_that_cannot_renew_gives_up_before_another_one_may_lead(world: World) -> None:
    leases = Leases()
    first = _replica(leases, "a")
    world.run(first.acquire())
    leases.down = True
    begun = world.now()
    lost: list[float] = []
    world.run(first.keep(lambda: lost.append(world.now() - begun)))
    assert RENEW_DEADLINE <= lost[0] <= LEASE_SECONDS


def test_a_leader_that_cannot_even_ask_does_not_stay_silently(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    leases = Leases()
    first = _replica(leases, "a")
    world.run(first.acquire())

    async def broken(*_: object) -> None:
        raise KeyError("metadata")

    monkeypatch.setattr(leases, "read_lease", broken)
    lost: list[bool] = []
    world.run(first.keep(lambda: lost.append(True)))
    assert lost == [True]


def test_a_lease_that_is_given_back_is_taken_at_once(world: World) -> None:
    leases = Leases()
    first, second = _replica(leases, "a"), _replica(leases, "b")
    world.run(first.acquire())
    world.run(first.release())
    assert not first.leads()
    begun = world.now()
    world.run(second.acquire())
    assert world.now() - begun <= 2.0
    assert leases.lease is not None
    assert leases.lease["spec"]["holderIdentity"] == "b"
    assert leases.lease["spec"]["leaseTransitions"] == 1


def test_of_two_who_create_it_at_once_one_leads(world: World) -> None:
    leases = Leases()
    first, second = _replica(leases, "a"), _replica(leases, "b")

    async def race() -> None:
        await first.acquire()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second.acquire(), 5)

    world.run(race())
    assert first.leads()
