"""Jars and scripts of real object stores, by the process that asks them: complete, bounded, and only when they changed."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest

from deploy.local import plainhttp
from deploy.local.azure import AzureServer
from deploy.local.s3 import S3Server
from flinkjob.api.sync import StoreAccess
from flinkjob.artifacts.errors import ArtifactInvalid, ArtifactUnavailable
from flinkjob.artifacts.fetch import ArtifactStore
from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.access.hosts import HostRules
from flinkjob.core.program import SourceAccess
from flinkjob.net.permits import Permits
from flinkjob.runtime.sourceaccess import SourceAccesses
from flinkjob.runtime.storeaccess import StoreAccesses
from flinkjob.snapshots.stores import StoreAddress, open_store
from tests.support.googlestore import GoogleStore
from tests.support.storeproxy import StoreProxy
from tests.unit.artifacts.jarserver import jar, sha256
from tests.unit.snapshots.conftest import s3_address

MIB = 1024 * 1024


class Bucket:
    """A real store, and the Secrets `store` of the namespace `shop`, with the right keys, and `old` with wrong ones.

    Attributes:
        uri: of the directory that jars are in.
        secret: something that no message may have.
        endpoint, keys: how it is reached.
    """

    def __init__(self, uri: str, endpoint: str, keys: dict[str, str], wrong: dict[str, str], secret: str) -> None:
        self.uri, self.endpoint, self.keys, self.secret = uri, endpoint, keys, secret
        self._secrets = {"store": keys, "old": keys | wrong}

    async def read_secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        if namespace != "shop" or name not in self._secrets:
            return None
        data = {key: base64.b64encode(value.encode()).decode() for key, value in self._secrets[name].items()}
        return {"metadata": {"annotations": {"flinkjob.dev/use": "store"}}, "data": data}

    async def read_configmap(self, namespace: str, name: str) -> dict[str, Any] | None:
        raise AssertionError("no ConfigMap is named")

    def by(self, secret: str = "store", endpoint: str | None = None) -> SourceAccess:
        fields = {"endpoint": endpoint or self.endpoint, "credentialsSecretRef": {"name": secret}}
        return SourceAccess(store=StoreAccess.model_validate(fields))

    def put(self, name: str, content: bytes) -> None:
        obstore.put(open_store(StoreAddress(uri=self.uri, endpoint=self.endpoint, secret=self.keys)), name, content)


class GoogleBucket(Bucket):
    """One of Google's, whose server takes uploads in another way."""

    def __init__(self, store: GoogleStore) -> None:
        right, wrong = ({"serviceAccountKey.json": key} for key in (store.key, store.other_key))
        super().__init__("gs://backup/jars", store.endpoint, right, wrong, store.key)
        self._store = store

    def put(self, name: str, content: bytes) -> None:
        self._store.put(f"jars/{name}", content)


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with AzureServer(tmp_path_factory.mktemp("azure"), "backup") as started:
        keys = {"accountName": started.account, "accountKey": started.key}
        wrong = {"accountKey": base64.b64encode(b"rotated away").decode()}
        yield Bucket("az://backup/jars", started.endpoint, keys, wrong, started.key)


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with GoogleStore(tmp_path_factory.mktemp("google"), "backup") as started:
        yield GoogleBucket(started)


@pytest.fixture(scope="module")
def amazon(s3: S3Server) -> Bucket:
    address = s3_address(s3, "jars")
    return Bucket(address.uri, s3.endpoint, dict(address.secret), {"secretAccessKey": "rotated away"}, s3.secret_key)


BUCKETS = ("amazon", "azure", "google")


@pytest.fixture(params=BUCKETS)
def bucket(request: pytest.FixtureRequest) -> Bucket:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Bucket)
    return found


@pytest.fixture
def store(bucket: Bucket, tmp_path: Path) -> ArtifactStore:
    stores = StoreAccesses(reader=bucket, grants=StoreGrants(), hosts=HostRules(loopback=True), plain=True)
    return ArtifactStore(
        tmp_path / "cache",
        plainhttp.async_client(),
        max_bytes=20 * MIB,
        timeout_seconds=60,
        max_cache_bytes=30 * MIB,
        check_url=HostRules().check_url,
        credentials=SourceAccesses(reader=bucket, stores=stores, plain=False),
        turn=Permits(8).hold,
    )


only_s3 = pytest.mark.parametrize("bucket", ["amazon"], indirect=True)
"""Where no word of the store matters."""


async def test_a_jar_of_a_store(bucket: Bucket, store: ArtifactStore) -> None:
    content = jar("in a store", padding=9 * MIB)
    bucket.put("dir with space/a.jar", content)
    uri = f"{bucket.uri}/dir%20with%20space/a.jar"
    first = await store.get("shop", uri, access=bucket.by())
    assert first.path.read_bytes() == content
    assert first.path.name != f"{sha256(content)}.jar", "only its namespace may have it"
    inode = first.path.stat().st_ino
    assert (await store.get("shop", uri, access=bucket.by())).path.stat().st_ino == inode, "the same file"
    bucket.put("dir with space/a.jar", jar("another"))
    assert (await store.get("shop", uri, access=bucket.by())).digest == sha256(jar("another"))


async def test_one_that_is_cut_off_goes_on_where_it_was(bucket: Bucket, store: ArtifactStore) -> None:
    content = jar("cut off", padding=9 * MIB)
    bucket.put("cut.jar", content)
    with StoreProxy(bucket.endpoint) as proxy:
        proxy.back_budget = 5 * MIB
        endpoint = bucket.endpoint.replace(
            httpx.URL(bucket.endpoint).netloc.decode(), httpx.URL(proxy.url).netloc.decode()
        )
        found = await store.get("shop", f"{bucket.uri}/cut.jar", access=bucket.by(endpoint=endpoint))
        assert (proxy.cuts, found.digest) == (1, sha256(content))
        assert proxy.brought < len(content) + 5 * MIB, "nothing was fetched twice but what was on its way"


@only_s3
async def test_a_script_of_a_store(bucket: Bucket, store: ArtifactStore) -> None:
    bucket.put("a.sql", b"INSERT INTO b SELECT x FROM a")
    found = await store.get("shop", f"{bucket.uri}/a.sql", access=bucket.by(), script=True)
    assert found.path.read_text() == "INSERT INTO b SELECT x FROM a"


REFUSED = [
    ("none.jar", "store", ArtifactInvalid, "the store has no none.jar"),
    ("large.jar", "store", ArtifactInvalid, "more than the 20971520 that are allowed"),
    ("a.jar", "old", ArtifactUnavailable, "the store denies access to a.jar"),
]
REFUSED_HERE = [
    ("text.jar", "store", ArtifactInvalid, "is not a jar"),
    ("a.jar", "none", ArtifactUnavailable, "Secret shop/none does not exist"),
    ("../a.jar", "store", ArtifactInvalid, "must not contain"),
    ("x/..%2f..%2fa.jar", "store", ArtifactInvalid, "must not contain"),
]


@pytest.mark.fault("artifact-missing-or-wrong")
@pytest.mark.parametrize(
    ("bucket", "name", "secret", "error", "words"),
    [
        *((bucket, *case) for bucket in BUCKETS for case in REFUSED),
        *(("amazon", *case) for case in REFUSED_HERE),
    ],
    indirect=["bucket"],
)
async def test_what_cannot_be_had(
    bucket: Bucket, store: ArtifactStore, tmp_path: Path, name: str, secret: str, error: type[Exception], words: str
) -> None:
    content = {"a.jar": jar(), "text.jar": b"no archive", "large.jar": jar(padding=21 * MIB)}
    if name in content:
        bucket.put(name, content[name])
    with pytest.raises(error, match=words) as refused:
        await store.get("shop", f"{bucket.uri}/{name}", access=bucket.by(secret))
    assert str(refused.value).startswith(f"jar: {bucket.uri}/")
    assert bucket.secret not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert list((tmp_path / "cache").iterdir()) == []


@only_s3
@pytest.mark.threat("foreign-store")
async def test_without_a_secret_and_a_grant_nothing_is_asked(bucket: Bucket, store: ArtifactStore) -> None:
    with pytest.raises(ArtifactInvalid, match="is not granted to namespace shop"):
        await store.get("shop", f"{bucket.uri}/a.jar", access=SourceAccess(store=StoreAccess()))


@only_s3
@pytest.mark.threat("too-large")
async def test_no_room_is_known_before_anything_is_written(bucket: Bucket, store: ArtifactStore) -> None:
    bucket.put("b.jar", jar("b", padding=16 * MIB))
    held = await store.get("shop", f"{bucket.uri}/b.jar", access=bucket.by())
    bucket.put("c.jar", jar("c", padding=16 * MIB))
    with pytest.raises(ArtifactUnavailable, match="no room among"):
        await store.get("shop", f"{bucket.uri}/c.jar", access=bucket.by())
    assert held.path.exists()


@only_s3
async def test_whoever_gives_up_leaves_nothing(bucket: Bucket, store: ArtifactStore, tmp_path: Path) -> None:
    bucket.put("d.jar", jar("d", padding=16 * MIB))
    asked = asyncio.create_task(store.get("shop", f"{bucket.uri}/d.jar", access=bucket.by()))
    async with asyncio.timeout(30):
        while not list((tmp_path / "cache").iterdir()):
            await asyncio.sleep(0.005)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    async with asyncio.timeout(30):
        while list((tmp_path / "cache").iterdir()):
            await asyncio.sleep(0.005)
