"""Credentials and certificates from Secrets: kept, rotated, never older than a minute, never needed twice."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from flinkjob.api.references import KeyRef, NamedKey
from flinkjob.core.errors import Transient
from flinkjob.kube.errors import rejection
from flinkjob.runtime.access import AGAIN_SECONDS, FRESH_SECONDS, NEVER_SENT, REFUSED_SECONDS, SecretAuth, Vault


class Shelf:
    """Secrets and ConfigMaps by name; counts how often it was read."""

    def __init__(self, **secrets: dict[str, str]) -> None:
        self.secrets = secrets
        self.configmaps: dict[str, dict[str, str]] = {}
        self.annotations = {"flinkjob.dev/use": "cluster"}
        self.type = "Opaque"
        self.reads = 0

    async def read_secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        self.reads += 1
        if name not in self.secrets:
            return None
        data = {key: base64.b64encode(value.encode()).decode() for key, value in self.secrets[name].items()}
        return {"type": self.type, "metadata": {"annotations": self.annotations}, "data": data}

    async def read_configmap(self, namespace: str, name: str) -> dict[str, Any] | None:
        return {"data": self.configmaps[name]} if name in self.configmaps else None


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def authorization(auth: SecretAuth, url: str = "https://flink") -> str:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text=request.headers["Authorization"]))
    async with httpx.AsyncClient(transport=transport, auth=auth) as client:
        return (await client.get(url)).text


async def test_basic_and_bearer() -> None:
    shelf = Shelf(basic={"username": "ann", "password": "pw"}, bearer={"token": "t0k\n"})
    assert (
        await authorization(SecretAuth(Vault(shelf, "ns"), "basic")) == "Basic " + base64.b64encode(b"ann:pw").decode()
    )
    assert await authorization(SecretAuth(Vault(shelf, "ns"), "bearer")) == "Bearer t0k"


@pytest.mark.parametrize("token", ["", " ", "one\ntwo", "caf\u00e9", "a\x00b"])
async def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(Transient) as refused:
        await authorization(SecretAuth(Vault(Shelf(bearer={"token": token}), "ns"), "bearer"))
    assert refused.value.message == "Secret bearer: token has other characters than a header may"


@pytest.mark.invariant(11)
@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"username": "ann"}, "Secret login has no key password"),
        (None, "Secret ns/login does not exist"),
    ],
    ids=["key missing", "secret missing"],
)
async def test_what_is_missing_is_named_without_values(data: dict[str, str] | None, message: str) -> None:
    shelf = Shelf(**({"login": data} if data is not None else {}))
    with pytest.raises(Transient) as caught:
        await authorization(SecretAuth(Vault(shelf, "ns"), "login"))
    assert caught.value.message == message


@pytest.mark.threat("eavesdropper")
async def test_a_rotated_secret_is_used_after_a_minute_and_a_lost_one_for_ever() -> None:
    shelf, clock = Shelf(bearer={"token": "old"}), Clock()
    auth = SecretAuth(Vault(shelf, "ns", clock), "bearer")
    assert await authorization(auth) == "Bearer old"
    shelf.secrets["bearer"]["token"] = "new"
    assert await authorization(auth) == "Bearer old"
    assert shelf.reads == 1
    clock.now += FRESH_SECONDS
    assert await authorization(auth) == "Bearer new"
    shelf.secrets.clear()
    clock.now += FRESH_SECONDS
    assert await authorization(auth) == "Bearer new"


async def test_a_secret_that_a_cluster_refuses_is_read_again_for_the_next_request() -> None:
    shelf, clock = Shelf(bearer={"token": "old"}), Clock()
    transport = httpx.MockTransport(
        lambda request: httpx.Response(200 if request.headers["Authorization"] == "Bearer new" else 401)
    )
    auth = SecretAuth(Vault(shelf, "ns", clock), "bearer")
    async with httpx.AsyncClient(transport=transport, auth=auth) as client:

        async def status() -> int:
            return (await client.get("https://flink")).status_code

        assert [await status() for _ in range(3)] == [401] * 3
        assert shelf.reads == 1, "it was read a moment ago"
        shelf.secrets["bearer"]["token"] = "new"
        clock.now += AGAIN_SECONDS
        assert [await status() for _ in range(3)] == [401, 200, 200]
        assert shelf.reads == 2


async def test_a_secret_that_is_allowed_meanwhile_is_used_at_once() -> None:
    shelf, clock = Shelf(bearer={"token": "t0k"}), Clock()
    shelf.annotations = {}
    auth = SecretAuth(Vault(shelf, "ns", clock), "bearer")
    with pytest.raises(Transient, match="may not be sent to a cluster"):
        await authorization(auth)
    shelf.annotations = {"flinkjob.dev/use": "cluster"}
    clock.now += AGAIN_SECONDS
    assert await authorization(auth) == "Bearer t0k"


@pytest.mark.threat("borrowed-secret")
@pytest.mark.parametrize("use", ["", "store", "clusters", "no"])
async def test_a_secret_is_sent_to_a_cluster_only_where_it_says_so(use: str) -> None:
    shelf = Shelf(login={"token": "t0k"})
    for said in ({"flinkjob.dev/use": use}, {}):
        shelf.annotations = said
        with pytest.raises(Transient) as refused:
            await authorization(SecretAuth(Vault(shelf, "ns"), "login"))
        assert "Secret ns/login may not be sent to a cluster" in refused.value.message
        assert "kubectl annotate secret -n ns login flinkjob.dev/use=cluster" in refused.value.message
    shelf.annotations = {"flinkjob.dev/use": "store, cluster"}
    assert await authorization(SecretAuth(Vault(shelf, "ns"), "login")) == "Bearer t0k"


@pytest.mark.threat("borrowed-secret")
@pytest.mark.parametrize("kind", NEVER_SENT)
async def test_tokens_of_kubernetes_are_never_used(kind: str) -> None:
    shelf = Shelf(login={"token": "t0k"})
    shelf.type = kind
    with pytest.raises(Transient, match="never used"):
        await authorization(SecretAuth(Vault(shelf, "ns"), "login"))
    reference = KeyRef(secret_key_ref=NamedKey(name="login", key="token"))
    with pytest.raises(Transient, match="never used"):
        await Vault(shelf, "ns").value(reference)


@pytest.mark.threat("borrowed-secret")
async def test_a_secret_that_is_taken_back_is_not_used_any_more() -> None:
    shelf, clock = Shelf(bearer={"token": "t0k"}), Clock()
    auth = SecretAuth(Vault(shelf, "ns", clock), "bearer")
    await authorization(auth)
    shelf.annotations = {}
    clock.now += FRESH_SECONDS
    with pytest.raises(Transient, match="may not be sent to a cluster"):
        await authorization(auth)


@pytest.mark.threat("eavesdropper")
async def test_credentials_do_not_go_over_http_unless_that_is_allowed() -> None:
    shelf = Shelf(bearer={"token": "t0k"})
    with pytest.raises(Transient, match="not sent over http"):
        await authorization(SecretAuth(Vault(shelf, "ns"), "bearer"), "http://flink")
    assert shelf.reads == 0
    assert await authorization(SecretAuth(Vault(shelf, "ns"), "bearer", plain=True), "http://flink") == "Bearer t0k"


async def test_trust_from_a_configmap() -> None:
    shelf = Shelf()
    shelf.configmaps["trust"] = {"ca.crt": "PEM"}
    reference = KeyRef(config_map_key_ref=NamedKey(name="trust", key="ca.crt"))
    assert await Vault(shelf, "ns").value(reference) == b"PEM"


class Unbound(Shelf):
    """A namespace that may have bound the role or not."""

    bound = False

    async def read_secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        if self.bound:
            return await super().read_secret(namespace, name)
        said = (
            f'secrets "{name}" is forbidden: User "system:serviceaccount:flinkjob-system:flinkjob-operator" cannot get'
        )
        raise rejection(403, json.dumps({"message": said}).encode(), "get secrets")


@pytest.mark.threat("misused-account", "foreign-secret")
async def test_a_namespace_that_has_not_bound_the_role_is_told_how() -> None:
    with pytest.raises(Transient) as refused:
        await authorization(SecretAuth(Vault(Unbound(bearer={"token": "t"}), "team-a"), "bearer"))
    assert refused.value.message == (
        "Secret team-a/bearer cannot be read: the operator may not; who looks after team-a can allow it: kubectl create "
        "rolebinding flinkjob-operator-secrets -n team-a --clusterrole=flinkjob-operator-secrets "
        "--serviceaccount=flinkjob-system:flinkjob-operator"
    )


@pytest.mark.threat("misused-account")
async def test_a_permission_that_is_taken_back_ends_the_use_of_what_was_read() -> None:
    """But not at once: a namespace that is being deleted loses its bindings before its FlinkJobs."""
    shelf, clock = Unbound(bearer={"token": "t"}), Clock()
    auth = SecretAuth(Vault(shelf, "ns", clock), "bearer")
    shelf.bound = True
    assert await authorization(auth) == "Bearer t"
    shelf.bound = False
    clock.now = REFUSED_SECONDS - 1
    assert await authorization(auth) == "Bearer t"
    clock.now = REFUSED_SECONDS + FRESH_SECONDS
    with pytest.raises(Transient, match="cannot be read"):
        await authorization(auth)
    clock.now += 1
    with pytest.raises(Transient, match="cannot be read"):
        await authorization(auth)
