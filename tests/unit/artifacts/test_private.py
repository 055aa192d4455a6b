"""Artifact servers that ask who is there: what is sent to whom, and whose what they give is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from flinkjob.api.references import NamedKey
from flinkjob.artifacts.errors import ArtifactInvalid, ArtifactUnavailable
from flinkjob.artifacts.fetch import ArtifactStore
from flinkjob.core.errors import Transient
from flinkjob.core.program import SourceAccess
from tests.unit.artifacts.conftest import MakeStore
from tests.unit.artifacts.jarserver import JarServer, jar, jar_server, sha256

NEXUS = SourceAccess(auth_secret="nexus")


def private_name(digest: str, namespace: str) -> str:
    return f"{digest}-{hashlib.sha256(namespace.encode()).hexdigest()[:16]}.jar"


async def test_a_private_jar_is_fetched_and_kept_for_its_namespace(server: JarServer, store: ArtifactStore) -> None:
    artifact = await store.get("shop", f"{server.url}/private.jar", access=NEXUS)
    digest = sha256(server.content)
    assert artifact.digest == digest
    assert artifact.path.name == private_name(digest, "shop")
    again = await store.get("shop", f"{server.url}/private.jar", access=NEXUS)
    assert (again.digest, again.path) == (artifact.digest, artifact.path)
    assert "If-None-Match" in server.seen[1].headers


@pytest.mark.threat("private-artifact")
async def test_another_namespace_has_nothing_from_knowing_the_digest(server: JarServer, store: ArtifactStore) -> None:
    url, digest = f"{server.url}/private.jar", sha256(server.content)
    kept = await store.get("shop", url, digest, access=NEXUS)
    assert (await store.get("shop", url, digest, access=NEXUS)).path == kept.path
    assert len(server.seen) == 1
    for access, error in ((None, ArtifactInvalid), (NEXUS, ArtifactUnavailable)):
        with pytest.raises(error, match=r"^jar: 401 from "):
            await store.get("thief", url, digest, access=access)
    assert store.here("thief", digest) is None


@pytest.mark.threat("private-artifact")
async def test_after_a_restart_a_private_jar_is_still_its_namespaces(
    server: JarServer, make_store: MakeStore, tmp_path: Path
) -> None:
    digest = sha256(server.content)
    await make_store().get("shop", f"{server.url}/private.jar", access=NEXUS)
    restarted = make_store()
    assert restarted.here("thief", digest) is None
    kept = restarted.here("shop", digest)
    assert kept is not None
    assert kept.path == tmp_path / "cache" / private_name(digest, "shop")


async def test_what_is_made_of_a_private_jar_is_private(store: ArtifactStore, server: JarServer) -> None:
    async def write(path: Path) -> None:
        path.write_bytes(server.content)

    made = await store.put("shop", 10_000, write, private=True)
    assert store.here("thief", made.digest) is None
    await store.put("shop", 10_000, write, private=False)
    assert store.here("thief", made.digest) is not None


async def test_refused_credentials_are_tried_again(server: JarServer, store: ArtifactStore) -> None:
    with pytest.raises(ArtifactUnavailable, match=r"^jar: 401 from http://127.0.0.1:\d+/private.jar$"):
        await store.get("shop", f"{server.url}/private.jar", access=SourceAccess(auth_secret="old"))
    assert len(server.seen) == 1, "what they say now is the same"


async def test_credentials_that_were_changed_are_used_at_once(server: JarServer, store: ArtifactStore) -> None:
    artifact = await store.get("shop", f"{server.url}/private.jar", access=SourceAccess(auth_secret="stale"))
    assert artifact.digest == sha256(server.content)
    assert [request.headers["Authorization"] for request in server.seen] == ["Bearer shop-stale", "Bearer shop-nexus"]


@pytest.mark.threat("artifact-redirect")
async def test_a_redirect_on_the_same_host_keeps_the_credentials(server: JarServer, store: ArtifactStore) -> None:
    artifact = await store.get("shop", f"{server.url}/redirect?to=/private.jar", access=NEXUS)
    assert artifact.digest == sha256(server.content)


@pytest.mark.threat("artifact-redirect")
async def test_a_redirect_to_another_host_loses_the_credentials_for_good(
    server: JarServer, store: ArtifactStore
) -> None:
    async with jar_server() as other:
        await store.get("shop", f"{server.url}/redirect?to={other.url}/clicks.jar", access=NEXUS)
        assert ["Authorization" in request.headers for request in other.seen] == [False]
        back = f"{server.url}/redirect?to={other.url}/redirect?to={server.url}/private.jar"
        with pytest.raises(ArtifactUnavailable, match=r"^jar: 401 from \S+ \(redirected from "):
            await store.get("shop", back, access=NEXUS)
    sent = ["Authorization" in request.headers for request in server.seen]
    assert sent == [True, True, False]


def in_config_map(key: str) -> SourceAccess:
    return SourceAccess(config_map=NamedKey(name="jars", key=key))


async def test_a_jar_of_a_config_map_is_its_namespaces(store: ArtifactStore) -> None:
    access, uri = in_config_map("a.jar"), "configmap://jars/a.jar"
    mine = await store.get("shop", uri, access=access)
    assert mine.digest == sha256(jar("shop-jars"))
    assert (await store.get("blog", uri, access=access)).digest == sha256(jar("blog-jars"))
    assert store.here("blog", mine.digest) is None
    with pytest.raises(ArtifactInvalid, match=r"^jar: configmap://jars/a.jar has sha256 "):
        await store.get("shop", uri, "0" * 64, access=access)


async def test_a_config_map_without_a_jar(store: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(Transient, match="nothing there"):
        await store.get("shop", "configmap://jars/none.jar", access=in_config_map("none.jar"))
    with pytest.raises(ArtifactInvalid, match=r"^jar: configmap://jars/text is not a jar"):
        await store.get("shop", "configmap://jars/text", access=in_config_map("text"))
    assert list((tmp_path / "cache").iterdir()) == []
