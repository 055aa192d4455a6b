"""Jars of a Maven repository with its real layout, and downloads that a server cuts off."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from flinkjob.artifacts.errors import ArtifactInvalid, ArtifactUnavailable
from flinkjob.artifacts.fetch import ArtifactStore
from flinkjob.core.program import SourceAccess
from tests.support.artifactserver import ArtifactServer
from tests.unit.artifacts.conftest import MakeStore
from tests.unit.artifacts.jarserver import jar, sha256

URI = "maven:com.example.jobs:clicks:1.2"
CONTENT = jar("from a repository")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ArtifactServer]:
    with ArtifactServer(tmp_path / "repository") as started:
        yield started


@pytest.fixture
def store(make_store: MakeStore, server: ArtifactServer) -> ArtifactStore:
    return make_store(maven_repository=f"{server.url}/maven2/")


def publish(server: ArtifactServer, name: str = "clicks-1.2.jar", content: bytes = CONTENT, **checksums: str) -> None:
    """Put a jar where Maven puts it, with the checksums that are given."""
    directory = server.directory / "maven2/com/example/jobs/clicks/1.2"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(content)
    for kind, text in checksums.items():
        (directory / f"{name}.{kind}").write_text(text)


@pytest.mark.parametrize(
    "checksums",
    [
        {"sha1": hashlib.sha1(CONTENT).hexdigest()},
        {"sha256": sha256(CONTENT).upper() + "  clicks-1.2.jar\n", "sha1": "0" * 40},
        {"sha256": "<html>", "sha1": hashlib.sha1(CONTENT).hexdigest()},
    ],
    ids=["sha1", "the stronger one counts", "a page is no checksum"],
)
async def test_a_jar_with_its_checksum(server: ArtifactServer, store: ArtifactStore, checksums: dict[str, str]) -> None:
    publish(server, **checksums)
    assert (await store.get("ns", URI)).digest == sha256(CONTENT)
    again = len(server.requests)
    assert (await store.get("ns", URI)).digest == sha256(CONTENT)
    assert len(server.requests) == again + 1, "unchanged, so no checksum is asked for"


async def test_a_classifier_is_another_file(server: ArtifactServer, store: ArtifactStore) -> None:
    other = jar("with all that it needs")
    publish(server, "clicks-1.2-all.jar", other, sha1=hashlib.sha1(other).hexdigest())
    assert (await store.get("ns", f"{URI}:all")).digest == sha256(other)


async def test_a_pinned_jar_needs_no_checksum(server: ArtifactServer, store: ArtifactStore) -> None:
    publish(server)
    assert (await store.get("ns", URI, sha256(CONTENT))).digest == sha256(CONTENT)
    with pytest.raises(ArtifactInvalid, match=f"^jar: {URI} has sha256 {sha256(CONTENT)}, not 0"):
        await store.get("ns", URI, "0" * 64)


async def test_a_private_repository(server: ArtifactServer, store: ArtifactStore) -> None:
    publish(server, sha1=hashlib.sha1(CONTENT).hexdigest())
    server.authorization = "Bearer shop-nexus"
    artifact = await store.get("shop", URI, access=SourceAccess(auth_secret="nexus"))
    assert artifact.path.stem != artifact.digest, "only its namespace may have it"
    with pytest.raises(ArtifactInvalid, match=r"^jar: 401 from "):
        await store.get("shop", URI)


@pytest.mark.parametrize("access", [None, SourceAccess(auth_secret="nexus")], ids=["for all", "private"])
async def test_a_repository_that_says_forbidden_for_what_it_lacks(
    server: ArtifactServer, store: ArtifactStore, access: SourceAccess | None
) -> None:
    publish(server, sha1=hashlib.sha1(CONTENT).hexdigest())
    server.forbidden = (".sha256",)
    assert (await store.get("shop", URI, access=access)).digest == sha256(CONTENT)
    server.forbidden = (".sha256", ".sha1")
    other = URI.replace("1.2", "1.2:all")
    publish(server, "clicks-1.2-all.jar")
    with pytest.raises((ArtifactInvalid, ArtifactUnavailable), match=r"403 from .*\.sha256"):
        await store.get("shop", other, access=access)


@pytest.mark.threat("swapped-jar")
async def test_another_content_than_the_repository_says(server: ArtifactServer, store: ArtifactStore) -> None:
    publish(server, sha1="0" * 40)
    with pytest.raises(ArtifactInvalid, match=f"^jar: {URI} has sha1 [0-9a-f]{{40}}, but the repository says 0000"):
        await store.get("ns", URI)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        (URI, "has neither its .sha256 nor its .sha1; give its sha256 yourself"),
        ("maven:com.example.jobs:clicks:1.3", "404 from http"),
        ("maven:com.example.jobs:clicks:1.3-SNAPSHOT", "a snapshot is another file each time; name a release"),
    ],
)
async def test_what_cannot_be_had(server: ArtifactServer, store: ArtifactStore, uri: str, words: str) -> None:
    publish(server)
    with pytest.raises(ArtifactInvalid, match=words):
        await store.get("ns", uri)


async def test_without_a_repository_nothing_is_asked(make_store: MakeStore) -> None:
    with pytest.raises(ArtifactInvalid, match=f"^jar: {URI}: the operator has no Maven repository"):
        await make_store().get("ns", URI)


# cut off


@pytest.mark.fault("artifact-refused-or-cut-off")
async def test_a_download_that_is_cut_off_goes_on_where_it_was(server: ArtifactServer, make_store: MakeStore) -> None:
    content = jar("large", padding=1_000_000)
    server.directory.mkdir()
    (server.directory / "large.jar").write_bytes(content)
    server.cut_after = 400_000
    artifact = await make_store().get("ns", f"{server.url}/large.jar")
    assert artifact.path.read_bytes() == content
    asked = [headers.get("range") for _, headers in server.requests]
    assert asked == [None, "bytes=400000-", "bytes=800000-"]
    assert all("if-range" in headers for _, headers in server.requests[1:])


@pytest.mark.fault("artifact-refused-or-cut-off")
async def test_a_jar_that_has_changed_meanwhile_is_not_put_together(
    server: ArtifactServer, make_store: MakeStore, tmp_path: Path
) -> None:
    server.directory.mkdir()
    file = server.directory / "large.jar"
    file.write_bytes(jar("one", padding=1_000_000))
    server.cut_after = 400_000
    server.after_cut = lambda: file.write_bytes(jar("two", padding=1_000_000))
    with pytest.raises(ArtifactUnavailable, match=r"large\.jar"):
        await make_store().get("ns", f"{server.url}/large.jar")
    assert [headers.get("range") for _, headers in server.requests] == [None, "bytes=400000-"]
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.fault("artifact-refused-or-cut-off")
async def test_a_server_without_ranges_is_asked_anew(server: ArtifactServer, make_store: MakeStore) -> None:
    server.directory.mkdir()
    (server.directory / "large.jar").write_bytes(jar("one", padding=1_000_000))
    server.cut_after, server.ranges = 400_000, False
    with pytest.raises(ArtifactUnavailable, match=r"large\.jar"):
        await make_store().get("ns", f"{server.url}/large.jar")
    server.cut_after = None
    assert (await make_store().get("ns", f"{server.url}/large.jar")).path.exists()
