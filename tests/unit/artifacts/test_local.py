"""Jars of mounted directories: nothing outside the allowed ones is read, or told about."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flinkjob.artifacts.errors import ArtifactInvalid, ArtifactUnavailable
from flinkjob.artifacts.fetch import ArtifactStore
from tests.unit.artifacts.conftest import MakeStore
from tests.unit.artifacts.jarserver import jar, sha256


@pytest.fixture
def jars(tmp_path: Path) -> Path:
    directory = tmp_path / "jars"
    directory.mkdir()
    (directory / "my clicks.jar").write_bytes(jar())
    (tmp_path / "secret.jar").write_bytes(jar("secret"))
    return directory


@pytest.fixture
def store(make_store: MakeStore, jars: Path) -> ArtifactStore:
    return make_store(allowed_directories=(jars,))


async def test_a_file_is_copied(store: ArtifactStore, jars: Path) -> None:
    artifact = await store.get("ns", f"file://{jars}/my%20clicks.jar")
    assert artifact.digest == sha256(jar())
    (jars / "my clicks.jar").unlink()
    assert artifact.path.read_bytes() == jar()


async def test_a_changed_file_is_copied_again(store: ArtifactStore, jars: Path) -> None:
    uri = f"file://{jars}/my%20clicks.jar"
    first = await store.get("ns", uri)
    assert await store.get("ns", uri) == first
    (jars / "my clicks.jar").write_bytes(jar("changed"))
    assert (await store.get("ns", uri)).digest == sha256(jar("changed"))


async def test_a_link_inside_is_followed(store: ArtifactStore, jars: Path) -> None:
    (jars / "current.jar").symlink_to("my clicks.jar")
    assert (await store.get("ns", f"file://{jars}/current.jar")).digest == sha256(jar())


@pytest.mark.threat("file-jar")
@pytest.mark.parametrize("name", ["../secret.jar", "%2e%2e/secret.jar", "link.jar", "linked/secret.jar", "../nothing"])
async def test_the_way_out_is_refused(store: ArtifactStore, jars: Path, name: str) -> None:
    (jars / "link.jar").symlink_to(jars.parent / "secret.jar")
    (jars / "linked").symlink_to(jars.parent)
    with pytest.raises(ArtifactInvalid, match="not below a directory that the operator may read") as caught:
        await store.get("ns", f"file://{jars}/{name}")
    assert caught.value.reason == "not-allowed"


@pytest.mark.behaviour(82)
@pytest.mark.threat("file-jar")
async def test_nothing_is_allowed_by_default(make_store: MakeStore, jars: Path) -> None:
    with pytest.raises(ArtifactInvalid, match="not below a directory"):
        await make_store().get("ns", f"file://{jars}/my%20clicks.jar")


@pytest.mark.parametrize(
    ("name", "reason"), [("missing.jar", "not-found"), ("directory", "not-a-file"), ("pipe", "not-a-file")]
)
async def test_what_is_no_file(store: ArtifactStore, jars: Path, name: str, reason: str) -> None:
    (jars / "directory").mkdir()
    os.mkfifo(jars / "pipe")
    with pytest.raises(ArtifactInvalid) as caught:
        await store.get("ns", f"file://{jars}/{name}")
    assert caught.value.reason == reason


async def test_what_is_no_jar(store: ArtifactStore, jars: Path, make_store: MakeStore) -> None:
    (jars / "text.jar").write_text("hello")
    with pytest.raises(ArtifactInvalid, match="is not a jar"):
        await store.get("ns", f"file://{jars}/text.jar")
    (jars / "half.jar").write_bytes(jar()[:-10])
    with pytest.raises(ArtifactUnavailable, match="is cut off"):
        await store.get("ns", f"file://{jars}/half.jar")
    small = make_store(allowed_directories=(jars,), max_bytes=10)
    with pytest.raises(ArtifactInvalid, match="is larger than the limit"):
        await small.get("ns", f"file://{jars}/my%20clicks.jar")


@pytest.mark.parametrize("uri", ["file://elsewhere/jars/a.jar", "file:jars/a.jar", "file:///a%00b.jar"])
async def test_what_is_no_path(store: ArtifactStore, uri: str) -> None:
    with pytest.raises(ArtifactInvalid, match=r"^jar: file:") as caught:
        await store.get("ns", uri)
    assert caught.value.reason == "uri"
