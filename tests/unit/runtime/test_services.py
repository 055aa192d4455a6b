"""Which addresses lead to a Service of another namespace, and whether that allows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flinkjob.core.access.services import search_list
from flinkjob.core.errors import Transient
from flinkjob.runtime.services import NAME_SECONDS, SERVICE_SECONDS, Services, own_search_list

POD = ("flinkjob-system.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example")
"""The search list of a Pod of the operator."""
NO = "Service other/flink does not allow namespace team (annotation flinkjob.dev/allow-from)"


class Net:
    """Services with what they allow, names that DNS knows, and what was asked."""

    def __init__(self, *search: str) -> None:
        self.allows: dict[tuple[str, str], str] = {}
        self.names: set[str] = set()
        self.read: list[str] = []
        self.resolved: list[str] = []
        self.down = False
        self.now = 0.0
        self.services = Services(self, search=search, exists=self.exists, clock=lambda: self.now)

    async def read_service(self, namespace: str, name: str) -> dict[str, Any] | None:
        self.read.append(f"{namespace}/{name}")
        if self.down:
            raise Transient("api-server", "it does not answer")
        allows = self.allows.get((namespace, name))
        return {"metadata": {"annotations": {"flinkjob.dev/allow-from": allows}}} if allows is not None else None

    async def exists(self, name: str) -> bool:
        self.resolved.append(name)
        if self.down:
            raise Transient("dns", "it does not answer")
        return name in self.names

    async def refusal(self, host: str, namespace: str = "team") -> str:
        return await self.services.refusal(f"http://{host}:8081/path", namespace)


@pytest.mark.isolation("service-of-another-namespace")
@pytest.mark.threat("foreign-service")
@pytest.mark.parametrize(
    "host",
    [
        "flink.other.svc",
        "FLINK.Other.SVC",
        "flink.other.svc.",
        "flink.other.svc.cluster.local",
        "flink.other.svc.cluster.local.",
        "flink-0.flink.other.svc.cluster.local",
        "10-0-0-7.flink.other.svc",
        "flink。other。svc",
    ],
)
@pytest.mark.parametrize("search", [(), POD])
async def test_a_name_of_another_namespaces_service_needs_its_permission(host: str, search: tuple[str, ...]) -> None:
    net = Net(*search)
    assert await net.refusal(host) == NO
    for allows in ("", "others", "te, am", "teams"):
        net = Net(*search)
        net.allows["other", "flink"] = allows
        assert await net.refusal(host) == NO
    net = Net(*search)
    net.allows["other", "flink"] = "others, team"
    assert await net.refusal(host) == ""
    assert await net.refusal(host, "other") == "", "a Service of the own namespace"
    assert net.resolved == []


@pytest.mark.isolation("needs-no-permission")
@pytest.mark.parametrize(
    "host",
    ["example.com", "flink.example.com", "flink", "10.0.0.7", "[fd00::7]", "svc", "other.svc", "a.b.svc.example.com"],
)
@pytest.mark.parametrize("search", [(), POD])
async def test_other_hosts_are_as_before(host: str, search: tuple[str, ...]) -> None:
    if host.endswith("svc.example.com") and not search:
        return
    net = Net(*search)
    assert await net.refusal(host) == ""
    assert net.read == []


@pytest.mark.isolation("service-of-another-namespace")
@pytest.mark.threat("foreign-service")
@pytest.mark.parametrize(
    ("host", "name", "service"),
    [
        ("flink.other", "flink.other.svc.cluster.local.", "other/flink"),
        ("flink-0.flink.other", "flink-0.flink.other.svc.cluster.local.", "other/flink"),
        ("flink", "flink.flinkjob-system.svc.cluster.local.", "flinkjob-system/flink"),
    ],
)
async def test_a_short_name_that_leads_to_a_service_needs_its_permission(host: str, name: str, service: str) -> None:
    net = Net(*POD)
    assert await net.refusal(host) == ""
    net.now += NAME_SECONDS
    net.names.add(name)
    assert f"Service {service} does not allow namespace team" in await net.refusal(host)
    net.now += SERVICE_SECONDS
    namespace, _, named = service.partition("/")
    net.allows[namespace, named] = "team"
    assert await net.refusal(host) == ""
    assert await net.refusal(f"{host}.", "team") == "", "a full stop behind it: no search"


async def test_a_short_name_is_not_asked_for_outside_of_a_pod() -> None:
    net = Net("corp.example")
    assert await net.refusal("flink.other") == ""
    assert net.resolved == []


async def test_the_clusters_domain_is_the_one_of_the_search_list() -> None:
    net = Net("ns.svc.kube.corp", "svc.kube.corp", "kube.corp")
    assert await net.refusal("flink.other.svc.kube.corp") == NO
    assert await net.refusal("flink.other.svc.cluster.local") == NO
    assert await net.refusal("flink.other.svc.example.com") == ""


async def test_where_the_clusters_domain_is_not_known_any_may_be_it() -> None:
    assert await Net().refusal("flink.other.svc.kube.corp") == NO


async def test_answers_are_used_again_for_a_while() -> None:
    net = Net(*POD)
    net.allows["other", "flink"] = "team"
    net.names.add("flink.other.svc.cluster.local.")
    for _ in range(5):
        assert await net.refusal("flink.other") == ""
        assert await net.refusal("flink.other.svc") == ""
    assert net.read == ["other/flink"]
    assert len(net.resolved) == 2
    net.allows["other", "flink"] = ""
    net.now += SERVICE_SECONDS
    assert await net.refusal("flink.other") == NO


@pytest.mark.isolation("cannot-be-found-out")
@pytest.mark.parametrize("host", ["flink.other", "flink.other.svc"])
async def test_what_cannot_be_found_out_is_no_permission_but_an_earlier_one_lasts(host: str) -> None:
    net = Net(*POD)
    net.down = True
    with pytest.raises(Transient):
        await net.refusal(host)
    net = Net(*POD)
    net.allows["other", "flink"] = "team"
    net.names.add("flink.other.svc.cluster.local.")
    assert await net.refusal(host) == ""
    net.down = True
    net.now += 10 * SERVICE_SECONDS
    assert await net.refusal(host) == ""


async def test_names_that_dns_does_not_know() -> None:
    search = ("svc.cluster.local",)
    services = Services(Net(), search=search)
    assert await services.refusal(f"http://{'x' * 70}.other:8081", "team") == "", "longer than a label may be"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("search ns.svc.cluster.local svc.cluster.local. Cluster.Local\nnameserver 10.0.0.2\noptions ndots:5\n", 3),
        ("search a.example\nsearch b.example c.example\n", 2),
        ("domain a.example\n", 1),
        ("search .\n", 0),
        ("nameserver 10.0.0.2", 0),
        ("", 0),
    ],
)
def test_a_search_list(text: str, found: int, tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    assert own_search_list(file) == ()
    file.write_text(text)
    assert len(own_search_list(file)) == found
    assert all(name == name.lower().strip(".") for name in search_list(text))
