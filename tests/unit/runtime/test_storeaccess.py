"""Whose access to a store is used: a Secret of the namespace itself, or the operator's own where that was granted."""

from __future__ import annotations

import asyncio
import base64
import socket
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore, S3Store

from flinkjob.api.initialstate import CopySpec
from flinkjob.api.sync import StoreAccess, SyncToSpec
from flinkjob.artifacts.stores import ObjectWanted
from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.access.hosts import HostRules
from flinkjob.core.copies.savepoint_copy import CopyWanted
from flinkjob.core.errors import Invalid, Rejected, Transient
from flinkjob.runtime.copy_search import CopySearches
from flinkjob.runtime.copy_tasks import CopyTasks
from flinkjob.runtime.faults import Faults
from flinkjob.runtime.sourceaccess import SourceAccesses
from flinkjob.runtime.storeaccess import StoreAccesses, ask_store
from flinkjob.snapshots.addresses import StoreAddress
from flinkjob.snapshots.stores import open_store
from tests.support.snapshots import write_snapshot

SECRETS = {
    ("team", "s3"): {"accessKeyId": "a", "secretAccessKey": "hidden-secret"},
    ("team", "half"): {"accessKeyId": "a"},
    ("team", "empty"): {"accessKeyId": "a", "secretAccessKey": " \n", "serviceAccountKey.json": "", "accountKey": "\t"},
    ("team", "azure"): {"accountName": "shop"},
    ("team", "google"): {"serviceAccountKey.json": "{}"},
    ("other", "theirs"): {"accessKeyId": "b", "secretAccessKey": "c"},
}


class Shelf:
    """Secrets by namespace and name."""

    async def read_secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        data = SECRETS.get((namespace, name))
        if data is None:
            return None
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        return {"metadata": {"annotations": {"flinkjob.dev/use": "store"}}, "data": encoded}

    async def read_configmap(self, namespace: str, name: str) -> dict[str, Any] | None:
        return None


def accesses(*grants: str, hosts: HostRules | None = None) -> StoreAccesses:
    return StoreAccesses(reader=Shelf(), grants=StoreGrants.of(grants), hosts=hosts or HostRules())


def access(secret: str | None = None, **fields: Any) -> StoreAccess:
    named = {"credentialsSecretRef": {"name": secret}} if secret else {}
    return StoreAccess.model_validate(named | fields)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What names resolve to; others do not."""
    known: dict[str, str] = {}

    async def resolve(self: Any, host: str, *_: Any, **__: Any) -> list[Any]:
        if host not in known:
            raise socket.gaierror
        return [(0, 0, 0, "", (known[host], 0))]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", resolve)
    return known


async def test_a_secret_of_the_namespace(names: dict[str, str]) -> None:
    address = await accesses().address("team", "s3://bucket/x", access("s3", endpoint="https://s.example"), create=True)
    store = open_store(address)
    assert isinstance(store, S3Store)
    assert store.config["access_key_id"] == "a"


@pytest.mark.parametrize("changed", [True, False])
async def test_credentials_that_were_changed_are_used_as_soon_as_the_store_refuses_the_old_ones(
    names: dict[str, str], monkeypatch: pytest.MonkeyPatch, *, changed: bool
) -> None:
    monkeypatch.setattr("flinkjob.runtime.access.AGAIN_SECONDS", 0.0)
    stores, used = accesses(), []

    async def order(fresh: bool) -> StoreAddress:
        return await stores.address("team", "s3://bucket/x", access("s3"), create=True, fresh=fresh)

    async def ask(address: StoreAddress) -> str:
        used.append(address.secret["secretAccessKey"])
        if used[-1] != "new":
            raise Rejected(403, "the store denies access to x")
        return "made"

    await order(False)
    if changed:
        monkeypatch.setitem(SECRETS, ("team", "s3"), {"accessKeyId": "a", "secretAccessKey": "new"})
        assert await ask_store(order, ask) == "made"
        assert used == ["hidden-secret", "new"]
    else:
        with pytest.raises(Rejected, match="denies access"):
            await ask_store(order, ask)
        assert used == ["hidden-secret"], "the same again would be refused again"


@pytest.mark.copying("own-identity")
@pytest.mark.threat("own-identity-leaked")
@pytest.mark.parametrize(
    ("secret", "uri", "word"),
    [
        ("half", "s3://bucket", "has no key secretAccessKey"),
        ("azure", "az://box", "has no key accountKey"),
        ("s3", "gs://bucket", "has no key serviceAccountKey.json"),
        ("empty", "s3://bucket", "has no key secretAccessKey"),
        ("empty", "gs://bucket", "has no key serviceAccountKey.json"),
        ("empty", "az://box", "has no key accountKey"),
    ],
)
async def test_with_half_of_a_secret_the_own_identity_is_not_used(
    names: dict[str, str], secret: str, uri: str, word: str
) -> None:
    with pytest.raises(Invalid, match=word):
        await accesses(f"team={uri}").address("team", uri, access(secret), create=True)


@pytest.mark.threat("foreign-store-secret")
async def test_a_secret_of_another_namespace_does_not_exist() -> None:
    with pytest.raises(Transient, match="team/theirs does not exist"):
        await accesses().address("team", "s3://bucket", access("theirs"), create=True)


@pytest.mark.parametrize("uri", ["s3://bucket/team", "gs://bucket", "az://box", "file:///copies"])
async def test_without_a_grant_the_own_identity_is_not_used(uri: str) -> None:
    with pytest.raises(Invalid, match="--store-grants"):
        await accesses(f"other={uri}").address("team", uri, None, create=True)


@pytest.mark.threat("own-identity-leaked")
async def test_the_own_identity_is_not_sent_to_another_endpoint() -> None:
    with pytest.raises(Invalid, match="credentialsSecretRef"):
        await accesses("team=s3://bucket").address(
            "team", "s3://bucket", access(endpoint="https://evil.example"), create=True
        )


@pytest.mark.parametrize(
    "endpoint", ["http://169.254.169.254", "http://127.0.0.1:9000", "http://metadata.google.internal"]
)
async def test_a_refused_host(endpoint: str) -> None:
    with pytest.raises(Invalid, match="not allowed"):
        await accesses().address("team", "s3://bucket", access("s3", endpoint=endpoint), create=True)


@pytest.mark.copying("only-its-host")
@pytest.mark.threat("other-host")
@pytest.mark.parametrize(("address", "fine"), [("169.254.169.254", False), ("127.0.0.1", False), ("203.0.113.7", True)])
async def test_a_name_that_resolves_to_a_refused_address(names: dict[str, str], address: str, fine: bool) -> None:
    names["store.example"] = address
    work = accesses().address("team", "s3://bucket", access("s3", endpoint="http://store.example"), create=True)
    if fine:
        assert isinstance(open_store(await work), S3Store)
        return
    with pytest.raises(Invalid, match=f"host store.example: address {address} is not allowed"):
        await work


async def test_a_token_of_google_goes_over_http_only_where_that_is_allowed(names: dict[str, str]) -> None:
    plain = StoreAccesses(reader=Shelf(), grants=StoreGrants(), hosts=HostRules(), plain=True)
    asked = ("team", "gs://bucket", access("google", endpoint="http://store.example"))
    with pytest.raises(Transient, match=r"Secret google is not sent over http \(setting credentials-over-http\)"):
        await accesses().address(*asked, create=True)
    assert (await plain.address(*asked, create=True)).endpoint == "http://store.example"
    assert await accesses().address("team", "gs://bucket", access("google"), create=True)
    signed = access("s3", endpoint="http://store.example")
    assert await accesses().address("team", "s3://bucket", signed, create=True), "whose keys are not sent at all"


async def test_only_listed_hosts(names: dict[str, str]) -> None:
    rules = HostRules.of(["store.example"])
    good = access("s3", endpoint="http://store.example")
    assert await accesses(hosts=rules).address("team", "s3://bucket", good, create=True)
    with pytest.raises(Invalid, match=r"s3\.us-east-1\.amazonaws\.com is not allowed"):
        await accesses(hosts=rules).address("team", "s3://bucket", access("s3"), create=True)


async def test_a_mounted_directory_that_was_granted(tmp_path: Path) -> None:
    opened = accesses(f"team=file://{tmp_path}")
    made = await opened.address("team", f"file://{tmp_path}/100%25 new", None, create=True)
    assert isinstance(open_store(made), LocalStore)
    assert (tmp_path / "100% new").is_dir()
    missing = await opened.address("team", f"file://{tmp_path}/missing", None, create=False)
    with pytest.raises(Rejected):
        open_store(missing, create=False)
    with pytest.raises(Invalid, match="--store-grants"):
        await opened.address("other", f"file://{tmp_path}/new", None, create=True)


@pytest.mark.threat("foreign-store")
async def test_a_link_does_not_lead_out_of_what_was_granted(tmp_path: Path) -> None:
    (tmp_path / "granted").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "granted" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(Invalid, match="--store-grants"):
        await accesses(f"team=file://{tmp_path}/granted").address(
            "team", f"file://{tmp_path}/granted/link", None, create=False
        )


@pytest.mark.copying("links")
@pytest.mark.threat("foreign-store")
@pytest.mark.parametrize(("create", "below"), [(True, "team/clicks/1/data"), (True, "team"), (False, "_metadata")])
async def test_a_link_below_what_was_granted_is_refused(tmp_path: Path, create: bool, below: str) -> None:
    link = tmp_path / "granted" / below
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path)
    uri = f"file://{tmp_path}/granted"
    with pytest.raises(Invalid, match="symbolic link"):
        await accesses(f"*={uri}").address("team", uri, None, create=create)
    assert await accesses(f"*={uri}").address("other", uri, None, create=True)


@pytest.mark.threat("foreign-store")
@pytest.mark.parametrize("uri", ["file:///a%00b", "file://[/a", "s3://a[b/c"])
@pytest.mark.parametrize("create", [True, False])
async def test_what_is_no_place_is_refused(uri: str, create: bool) -> None:
    accesses = StoreAccesses(reader=Shelf(), grants=StoreGrants.of(["*=file:///"]), hosts=HostRules())
    with pytest.raises(Invalid):
        await accesses.address("ns", uri, None, create=create)


@pytest.mark.parametrize("who", ["copy_tasks.copy_apart", "copy_search.find_apart", "sourceaccess.fetch_apart"])
async def test_whoever_asks_a_store_that_denies_access_reads_the_secret_again(
    who: str, names: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("flinkjob.runtime.access.AGAIN_SECONDS", 0.0)
    used: list[str] = []

    async def ask(order: Any, **_: object) -> Any:
        address = order.source if who.startswith("sourceaccess") else order.target
        used.append(address.secret["secretAccessKey"])
        monkeypatch.setitem(SECRETS, ("team", "s3"), {"accessKeyId": "a", "secretAccessKey": "new"})
        raise Rejected(403, "the store denies access")

    monkeypatch.setattr(f"flinkjob.runtime.{who}", ask)
    stores, target = accesses(f"team=file://{tmp_path}"), {"uri": "s3://b", "credentialsSecretRef": {"name": "s3"}}
    match who.partition(".")[0]:
        case "copy_tasks":
            copies = CopyTasks(identity="east", stores=stores, faults=Faults(), enqueue=lambda _: None)
            location = f"file://{write_snapshot(tmp_path / 'savepoint-1', {'a': 10})}"
            to = SyncToSpec.model_validate(target)
            await copies.look(
                ("team", "clicks"),
                CopyWanted(uid="u", namespace="team", job="clicks", token="t", location=location, target=to),
            )
            await copies.close()
        case "copy_search":
            searches = CopySearches(identity="east", stores=stores, enqueue=lambda _: None)
            await searches.find(("team", "clicks"), (CopySpec.model_validate(target),))
            await searches.close()
        case _:
            sources = SourceAccesses(reader=Shelf(), stores=stores, plain=False)

            async def room(_: int) -> None:
                raise AssertionError("nothing comes")

            wanted = ObjectWanted(
                namespace="team",
                uri="s3://b/a.jar",
                access=access("s3"),
                version=None,
                file=tmp_path / "a",
                most=1,
                room=room,
            )
            with pytest.raises(Rejected):
                await sources.get_object(wanted)
    assert used == ["hidden-secret", "new"]
