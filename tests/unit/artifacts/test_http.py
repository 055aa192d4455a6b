"""Jars over HTTP: what is returned is right, and what is wrong is named, against a real server."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from flinkjob.artifacts import http as http_source
from flinkjob.artifacts.cache import ArtifactCache
from flinkjob.artifacts.errors import ArtifactInvalid, ArtifactUnavailable
from flinkjob.artifacts.fetch import ArtifactStore
from tests.unit.artifacts.conftest import MakeStore
from tests.unit.artifacts.jarserver import JarServer, jar, sha256


def with_login(url: str) -> str:
    return url.replace("http://", "http://alice:hunter2@") + "?token=hunter2"


def nothing_left(tmp_path: Path) -> bool:
    return not list((tmp_path / "cache").iterdir())


async def test_a_jar_is_stored_by_its_content(server: JarServer, store: ArtifactStore, tmp_path: Path) -> None:
    artifact = await store.get("ns", f"{server.url}/clicks.jar")
    digest = sha256(server.content)
    assert artifact.digest == digest
    assert artifact.path == tmp_path / "cache" / f"{digest}.jar"
    assert artifact.path.read_bytes() == server.content
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [f"{digest}.jar"]


async def test_a_pinned_jar_is_asked_for_once(server: JarServer, store: ArtifactStore) -> None:
    pin = sha256(server.content).upper()
    first = await store.get("ns", f"{server.url}/clicks.jar", pin)
    assert await store.get("ns", "https://elsewhere.example/same.jar", pin) == first
    assert len(server.seen) == 1


@pytest.mark.threat("swapped-jar")
async def test_another_content_than_pinned(server: JarServer, store: ArtifactStore) -> None:
    with pytest.raises(ArtifactInvalid, match=r"^jar: http://127.0.0.1:\d+/clicks.jar has sha256 \w{64}, not 0{64}$"):
        await store.get("ns", f"{server.url}/clicks.jar", "0" * 64)


@pytest.mark.fault("artifact-changed")
async def test_an_unpinned_jar_is_fetched_again_only_when_it_changed(server: JarServer, store: ArtifactStore) -> None:
    url = f"{server.url}/clicks.jar"
    first = await store.get("ns", url)
    assert await store.get("ns", url) == first
    server.content = jar("changed under the same URL")
    second = await store.get("ns", url)
    assert (second.digest, second.path.read_bytes()) == (sha256(server.content), server.content)
    assert [request.headers.get("If-None-Match") is not None for request in server.seen] == [False, True, True]


async def test_a_jar_that_was_evicted_is_fetched_although_unchanged(server: JarServer, store: ArtifactStore) -> None:
    url = f"{server.url}/clicks.jar"
    first = await store.get("ns", url)
    first.path.unlink()
    assert (await store.get("ns", url)).path.exists()
    assert "If-None-Match" not in server.seen[1].headers


async def test_without_validators_it_is_always_fetched(server: JarServer, store: ArtifactStore) -> None:
    server.validators = False
    url = f"{server.url}/clicks.jar"
    assert await store.get("ns", url) == await store.get("ns", url)
    assert len(server.seen) == 2


@pytest.mark.fault("artifact-refused-or-cut-off")
@pytest.mark.parametrize(
    ("code", "error", "reason"),
    [
        (404, ArtifactInvalid, "not-found"),
        (401, ArtifactInvalid, "unauthorized"),
        (403, ArtifactInvalid, "forbidden"),
        (410, ArtifactInvalid, "not-found"),
        (418, ArtifactInvalid, "refused"),
        (204, ArtifactInvalid, "refused"),
        (304, ArtifactInvalid, "refused"),
        (429, ArtifactUnavailable, "server-error"),
        (500, ArtifactUnavailable, "server-error"),
        (503, ArtifactUnavailable, "server-error"),
    ],
)
async def test_answers_that_are_no_jar(
    server: JarServer,
    store: ArtifactStore,
    tmp_path: Path,
    code: int,
    error: type[ArtifactInvalid] | type[ArtifactUnavailable],
    reason: str,
) -> None:
    with pytest.raises(error) as caught:
        await store.get("ns", with_login(f"{server.url}/status/{code}/clicks.jar"))
    assert isinstance(caught.value, ArtifactUnavailable | ArtifactInvalid)
    assert str(caught.value) == f"jar: {code} from {server.url}/status/{code}/clicks.jar"
    assert caught.value.reason == reason
    assert nothing_left(tmp_path)


async def test_a_redirect_is_followed(server: JarServer, store: ArtifactStore) -> None:
    artifact = await store.get("ns", f"{server.url}/redirect?to=/clicks.jar")
    assert artifact.digest == sha256(server.content)


@pytest.mark.threat("artifact-redirect")
async def test_credentials_do_not_follow_a_redirect(server: JarServer, store: ArtifactStore) -> None:
    await store.get("ns", with_login(f"{server.url}/redirect") + f"&to={server.url}/clicks.jar")
    assert ["Authorization" in request.headers for request in server.seen] == [True, False]


@pytest.mark.fault("artifact-refused-or-cut-off")
@pytest.mark.threat("artifact-redirect")
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://169.254.169.254/latest/meta-data", "not-allowed"),
        ("file:///etc/passwd", "scheme"),
        ("ftp://127.0.0.1/x.jar", "scheme"),
        ("//elsewhere.example/x.jar", "not-allowed"),
    ],
)
async def test_a_redirect_to_a_refused_place(server: JarServer, store: ArtifactStore, target: str, reason: str) -> None:
    with pytest.raises(ArtifactInvalid, match=f"^jar: {server.url}/redirect redirects to ") as caught:
        await store.get("ns", f"{server.url}/redirect?to={target}")
    assert caught.value.reason == reason
    assert len(server.seen) == 1


@pytest.mark.threat("artifact-redirect")
@pytest.mark.parametrize("target", ["http://[", "//[x"])
async def test_a_redirect_to_what_is_no_address(server: JarServer, store: ArtifactStore, target: str) -> None:
    with pytest.raises(ArtifactInvalid):
        await store.get("ns", f"{server.url}/redirect?to={target}")


@pytest.mark.threat("artifact-redirect")
async def test_redirects_in_a_circle(server: JarServer, store: ArtifactStore) -> None:
    with pytest.raises(ArtifactInvalid, match="redirects more than 5 times"):
        await store.get("ns", f"{server.url}/circle")
    assert len(server.seen) == 6


@pytest.mark.behaviour(82)
async def test_a_refused_host_is_not_spoken_to(server: JarServer, store: ArtifactStore) -> None:
    with pytest.raises(ArtifactInvalid, match="host localhost is not allowed") as caught:
        await store.get("ns", server.url.replace("127.0.0.1", "localhost") + "/clicks.jar")
    assert caught.value.reason == "not-allowed"
    assert not server.seen


@pytest.mark.fault("artifact-refused-or-cut-off")
@pytest.mark.parametrize("path", ["cut.jar", "cut-without-length.jar"])
async def test_cut_off_in_the_middle(server: JarServer, store: ArtifactStore, tmp_path: Path, path: str) -> None:
    with pytest.raises(ArtifactUnavailable, match=f"^jar: {server.url}/{path}"):
        await store.get("ns", f"{server.url}/{path}")
    assert nothing_left(tmp_path)


@pytest.mark.fault("artifact-refused-or-cut-off")
@pytest.mark.threat("too-large")
@pytest.mark.parametrize("path", ["clicks.jar", "endless.jar"])
async def test_larger_than_the_limit(server: JarServer, make_store: MakeStore, tmp_path: Path, path: str) -> None:
    server.content = jar(padding=2**20)
    with pytest.raises(ArtifactInvalid, match="is larger than the limit of 1 MiB") as caught:
        await make_store(max_bytes=2**20).get("ns", f"{server.url}/{path}")
    assert caught.value.reason == "too-large"
    assert nothing_left(tmp_path)


@pytest.mark.threat("too-slow")
async def test_slower_than_the_limit(server: JarServer, make_store: MakeStore, tmp_path: Path) -> None:
    with pytest.raises(ArtifactUnavailable, match=r"gated.jar: not complete within 0.05 s"):
        await make_store(timeout_seconds=0.05).get("ns", f"{server.url}/gated.jar")
    assert nothing_left(tmp_path)


async def test_nothing_received(server: JarServer, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_source, "SILENCE_SECONDS", 0.05)
    with pytest.raises(ArtifactUnavailable, match="nothing received") as caught:
        await store.get("ns", f"{server.url}/gated.jar")
    assert caught.value.reason == "timeout"


async def test_nobody_listens(server: JarServer, store: ArtifactStore) -> None:
    with pytest.raises(ArtifactUnavailable, match=r"^jar: http://127.0.0.1:1/a.jar: .") as caught:
        await store.get("ns", with_login("http://127.0.0.1:1/a.jar"))
    assert "hunter2" not in str(caught.value)


async def test_not_a_jar(server: JarServer, store: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(ArtifactInvalid, match="is not a jar") as caught:
        await store.get("ns", f"{server.url}/page.jar")
    assert caught.value.reason == "not-a-jar"
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("uri", ["clicks.jar", "s3://bucket/clicks.jar", "http://[::1/x", "http:///x", "http://h:x/a"])
async def test_what_cannot_be_fetched(store: ArtifactStore, uri: str) -> None:
    with pytest.raises(ArtifactInvalid, match=r"^jar: "):
        await store.get("ns", uri)


async def test_those_who_ask_together_share_one_download(server: JarServer, store: ArtifactStore) -> None:
    url = f"{server.url}/gated.jar"
    asking = [asyncio.create_task(store.get("ns", url)) for _ in range(10)]
    wrong = asyncio.create_task(store.get("ns", url, "0" * 64))
    await until(lambda: server.seen)
    asking.pop().cancel()
    server.gate.set()
    artifacts = await asyncio.gather(*asking)
    assert len({artifact.path for artifact in artifacts}) == 1
    with pytest.raises(ArtifactInvalid, match="has sha256"):
        await wrong
    assert len(server.seen) == 1


async def test_a_download_that_nobody_wants_any_more_ends(
    server: JarServer, store: ArtifactStore, tmp_path: Path
) -> None:
    url = f"{server.url}/gated.jar"
    asking = asyncio.create_task(store.get("ns", url))
    await until(lambda: server.seen)
    asking.cancel()
    again = asyncio.create_task(store.get("ns", url))
    await until(lambda: len(server.seen) == 2)
    server.gate.set()
    assert (await again).digest == sha256(server.content)


async def test_what_is_used_is_not_removed_for_others(server: JarServer, make_store: MakeStore) -> None:
    store = make_store(max_cache_bytes=3 * 2**20)
    url = f"{server.url}/clicks.jar"
    server.content = jar("first", padding=2**20)
    first = await store.get("ns", url)
    server.content = jar("second", padding=2**20)
    second = await store.get("other", url)
    server.content = jar("third", padding=2**20)
    with pytest.raises(
        ArtifactUnavailable, match=r"no room among the 3 MiB of the cache \(--max-cache-mb\): 2 MiB are"
    ) as no:
        await store.get("third", url)
    assert no.value.reason == "no-room"
    assert first.path.exists()
    assert second.path.exists()
    unused = first.path
    del first, no
    gc.collect()
    third = await store.get("third", url)
    assert not unused.exists()
    assert second.path.exists()
    assert third.path.exists()


async def test_a_jar_that_has_changed_needs_no_room_beside_its_old_content(
    server: JarServer, make_store: MakeStore
) -> None:
    store, url = make_store(max_cache_bytes=2**20 + 2**19), f"{server.url}/clicks.jar"
    server.content = jar("first", padding=2**20)
    old = (await store.get("ns", url)).path
    server.content = jar("second", padding=2**20)
    assert (await store.get("ns", url)).digest == sha256(server.content)
    assert not old.exists()


async def test_a_jar_that_is_removed_while_it_is_compared_is_fetched(
    server: JarServer, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{server.url}/clicks.jar"
    path = (await store.get("ns", url)).path
    acquire = ArtifactCache.acquire

    def removed(self: ArtifactCache, digest: str, namespace: str) -> Path | None:
        path.unlink(missing_ok=True)
        return acquire(self, digest, namespace)

    monkeypatch.setattr(ArtifactCache, "acquire", removed)
    assert (await store.get("ns", url)).path.exists()
    assert [request.headers.get("If-None-Match") is not None for request in server.seen] == [False, True, False]


async def test_what_another_namespace_fetches_is_not_waited_for(server: JarServer, store: ArtifactStore) -> None:
    """Its turn may come much later."""
    url = f"{server.url}/gated.jar"
    asking = [asyncio.create_task(store.get(namespace, url)) for namespace in ("ns", "other")]
    await until(lambda: len(server.seen) == 2)
    server.gate.set()
    assert len({artifact.path for artifact in await asyncio.gather(*asking)}) == 1


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
