"""Jars and scripts of a real object store, by the process that asks it: complete, bounded, and only when they changed."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest

from deploy.local.s3 import S3Server
from flinkjob.api.sync import StoreAccess
from flinkjob.artifacts.errors import ArtifactInvalid, ArtifactUnavailable
from flinkjob.artifacts.fetch import ArtifactStore
from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.access.hosts import HostRules
from flinkjob.core.program import SourceAccess
from flinkjob.net.places import Places
from flinkjob.runtime.sourceaccess import SourceAccesses
from flinkjob.runtime.storeaccess import StoreAccesses
from flinkjob.snapshots.stores import open_store
from tests.unit.artifacts.jarserver import jar, sha256
from tests.unit.snapshots.conftest import s3_address

MIB = 1024 * 1024


class Shelf:
    """The Secret `store` of the namespace `shop`, with the right keys, and `old` with wrong ones."""

    def __init__(self, server: S3Server) -> None:
        right = {"accessKeyId": server.access_key, "secretAccessKey": server.secret_key}
        self._secrets = {"store": right, "old": right | {"secretAccessKey": "rotated away"}}

    async def read_secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        if namespace != "shop" or name not in self._secrets:
            return None
        data = {key: base64.b64encode(value.encode()).decode() for key, value in self._secrets[name].items()}
        return {"metadata": {"annotations": {"flinkjob.dev/use": "store"}}, "data": data}

    async def read_configmap(self, namespace: str, name: str) -> dict[str, Any] | None:
        raise AssertionError("no ConfigMap is named")


@pytest.fixture
def store(s3: S3Server, tmp_path: Path) -> ArtifactStore:
    reader = Shelf(s3)
    stores = StoreAccesses(reader=reader, grants=StoreGrants(), hosts=HostRules(loopback=True))
    return ArtifactStore(
        tmp_path / "cache",
        httpx.AsyncClient(trust_env=False),
        max_bytes=20 * MIB,
        timeout_seconds=60,
        max_cache_bytes=30 * MIB,
        check_url=HostRules().check_url,
        credentials=SourceAccesses(reader=reader, stores=stores, plain=False),
        turn=Places(8).hold,
    )


def by(s3: S3Server, secret: str = "store") -> SourceAccess:
    fields = {"endpoint": s3.endpoint, "region": s3.region, "credentialsSecretRef": {"name": secret}}
    return SourceAccess(store=StoreAccess.model_validate(fields))


def put(s3: S3Server, name: str, content: bytes) -> None:
    obstore.put(open_store(s3_address(s3, "jars")), name, content)


async def test_a_jar_of_a_store(s3: S3Server, store: ArtifactStore) -> None:
    content = jar("in a store", padding=9 * MIB)
    put(s3, "dir with space/a.jar", content)
    uri = "s3://backup/jars/dir%20with%20space/a.jar"
    first = await store.get("shop", uri, access=by(s3))
    assert first.path.read_bytes() == content
    assert first.path.name != f"{sha256(content)}.jar", "only its namespace may have it"
    inode = first.path.stat().st_ino
    assert (await store.get("shop", uri, access=by(s3))).path.stat().st_ino == inode, (
        "unchanged, so nothing was written"
    )
    put(s3, "dir with space/a.jar", jar("another"))
    assert (await store.get("shop", uri, access=by(s3))).digest == sha256(jar("another"))


async def test_a_script_of_a_store(s3: S3Server, store: ArtifactStore) -> None:
    put(s3, "a.sql", b"INSERT INTO b SELECT x FROM a")
    found = await store.get("shop", "s3://backup/jars/a.sql", access=by(s3), script=True)
    assert found.path.read_text() == "INSERT INTO b SELECT x FROM a"


@pytest.mark.fault("artifact-missing-or-wrong")
@pytest.mark.parametrize(
    ("name", "secret", "error", "words"),
    [
        ("none.jar", "store", ArtifactInvalid, "the store has no none.jar"),
        ("text.jar", "store", ArtifactInvalid, "is not a jar"),
        ("large.jar", "store", ArtifactInvalid, "more than the 20971520 that are allowed"),
        ("a.jar", "old", ArtifactUnavailable, "the store denies access to a.jar"),
        ("a.jar", "none", ArtifactUnavailable, "Secret shop/none does not exist"),
        ("../a.jar", "store", ArtifactInvalid, "must not contain"),
        ("x/..%2f..%2fa.jar", "store", ArtifactInvalid, "must not contain"),
    ],
)
async def test_what_cannot_be_had(
    s3: S3Server, store: ArtifactStore, tmp_path: Path, name: str, secret: str, error: type[Exception], words: str
) -> None:
    put(s3, "a.jar", jar())
    put(s3, "text.jar", b"no archive")
    put(s3, "large.jar", jar(padding=21 * MIB))
    with pytest.raises(error, match=words) as refused:
        await store.get("shop", f"s3://backup/jars/{name}", access=by(s3, secret))
    assert str(refused.value).startswith("jar: s3://backup/jars/")
    assert s3.secret_key not in str(refused.value)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.threat("foreign-store")
async def test_without_a_secret_and_a_grant_nothing_is_asked(store: ArtifactStore) -> None:
    with pytest.raises(ArtifactInvalid, match="is not granted to namespace shop"):
        await store.get("shop", "s3://backup/jars/a.jar", access=SourceAccess(store=StoreAccess()))


@pytest.mark.threat("too-large")
async def test_no_room_is_known_before_anything_is_written(s3: S3Server, store: ArtifactStore) -> None:
    put(s3, "b.jar", jar("b", padding=16 * MIB))
    held = await store.get("shop", "s3://backup/jars/b.jar", access=by(s3))
    put(s3, "c.jar", jar("c", padding=16 * MIB))
    with pytest.raises(ArtifactUnavailable, match="no room among"):
        await store.get("shop", "s3://backup/jars/c.jar", access=by(s3))
    assert held.path.exists()


async def test_whoever_gives_up_leaves_nothing(s3: S3Server, store: ArtifactStore, tmp_path: Path) -> None:
    put(s3, "d.jar", jar("d", padding=16 * MIB))
    asked = asyncio.create_task(store.get("shop", "s3://backup/jars/d.jar", access=by(s3)))
    async with asyncio.timeout(30):
        while not list((tmp_path / "cache").iterdir()):
            await asyncio.sleep(0.005)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    async with asyncio.timeout(30):
        while list((tmp_path / "cache").iterdir()):
            await asyncio.sleep(0.005)
