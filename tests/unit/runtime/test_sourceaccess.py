"""What is sent to artifact servers: only what a Secret says that it is for, and only where it may."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.access.hosts import HostRules
from flinkjob.core.errors import Transient
from flinkjob.runtime.sourceaccess import SourceAccesses
from flinkjob.runtime.storeaccess import StoreAccesses


class Shelf:
    """Secrets of the namespace `shop`."""

    def __init__(self, **values: str) -> None:
        self.values = values
        self.use = "artifact"
        self.gone = False
        self.type = "Opaque"

    async def read_secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        if self.gone or (namespace, name) != ("shop", "nexus"):
            return None
        data = {key: base64.b64encode(value.encode()).decode() for key, value in self.values.items()}
        return {"type": self.type, "metadata": {"annotations": {"flinkjob.dev/use": self.use}}, "data": data}

    async def read_configmap(self, namespace: str, name: str) -> dict[str, Any] | None:
        raise AssertionError("no ConfigMap is named")


async def sent(shelf: Shelf, url: str = "https://nexus", *, namespace: str = "shop", plain: bool = False) -> object:
    stores = StoreAccesses(reader=shelf, grants=StoreGrants(), hosts=HostRules())
    return await SourceAccesses(reader=shelf, stores=stores, plain=plain).headers(namespace, "nexus", url)


async def test_each_sort_of_credentials() -> None:
    basic = "Basic " + base64.b64encode(b"ann:pw").decode()
    assert await sent(Shelf(username="ann", password="pw")) == {"Authorization": basic}
    assert await sent(Shelf(token="t0k\n")) == {"Authorization": "Bearer t0k"}
    assert await sent(Shelf(header="PRIVATE-TOKEN", value="glpat")) == {"PRIVATE-TOKEN": "glpat"}


@pytest.mark.threat("eavesdropper")
async def test_over_http_only_where_the_administrator_allows_it() -> None:
    shelf = Shelf(token="t0k")
    with pytest.raises(Transient, match="is not sent over http"):
        await sent(shelf, "http://nexus")
    assert await sent(shelf, "http://nexus", plain=True) == {"Authorization": "Bearer t0k"}


@pytest.mark.threat("borrowed-secret")
@pytest.mark.parametrize("use", ["", "cluster", "store", "artifacts"])
async def test_a_secret_for_something_else_is_not_sent(use: str) -> None:
    shelf = Shelf(token="t0k")
    shelf.use = use
    with pytest.raises(Transient, match="Secret shop/nexus may not be sent to an artifact server") as refused:
        await sent(shelf)
    assert refused.value.message.endswith("kubectl annotate secret -n shop nexus flinkjob.dev/use=artifact")


@pytest.mark.threat("foreign-secret")
async def test_a_secret_of_another_namespace_is_not_there() -> None:
    with pytest.raises(Transient, match="Secret blog/nexus does not exist"):
        await sent(Shelf(token="t0k"), namespace="blog")


@pytest.mark.threat("borrowed-secret")
async def test_a_secret_that_is_gone_is_not_sent_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(token="t0k")
    stores = StoreAccesses(reader=shelf, grants=StoreGrants(), hosts=HostRules())
    accesses = SourceAccesses(reader=shelf, stores=stores, plain=False)
    await accesses.headers("shop", "nexus", "https://nexus")
    monkeypatch.setattr("flinkjob.runtime.access.FRESH_SECONDS", 0.0)
    shelf.gone = True
    with pytest.raises(Transient, match="Secret shop/nexus does not exist"):
        await accesses.headers("shop", "nexus", "https://nexus")


@pytest.mark.threat("borrowed-secret")
async def test_the_token_of_a_service_account_is_never_sent() -> None:
    shelf = Shelf(token="t0k")
    shelf.type = "kubernetes.io/service-account-token"
    with pytest.raises(Transient, match="which is never used"):
        await sent(shelf)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "no key username"),
        ({"username": "ann"}, "no key password"),
        ({"token": "a\r\nHost: other"}, "token has other characters"),
        ({"header": "Host", "value": "other"}, "header is not the name"),
        ({"header": "Content-Length", "value": "1"}, "header is not the name"),
        ({"header": "Transfer-Encoding", "value": "chunked"}, "header is not the name"),
        ({"header": "X: y\r\nHost", "value": "a"}, "header is not the name"),
        ({"header": "X-Key", "value": "a\r\nb: c"}, "value has other characters"),
        ({"header": "X-Key"}, "no key value"),
    ],
)
async def test_what_cannot_be_sent_is_refused_without_being_shown(values: dict[str, str], words: str) -> None:
    with pytest.raises(Transient, match=words) as refused:
        await sent(Shelf(**values))
    assert "other" not in refused.value.message.replace("other characters", "")
