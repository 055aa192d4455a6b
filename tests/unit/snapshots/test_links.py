"""Whoever may write to a mounted directory cannot make the operator read or write outside of it."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from obstore.store import LocalStore

from flinkjob.core.errors import FlinkJobError, Invalid, Rejected
from flinkjob.snapshots.bandwidth import Bandwidth
from flinkjob.snapshots.copying import CopyRequest, copy_snapshot
from flinkjob.snapshots.links import refuse_links, refuse_links_below
from flinkjob.snapshots.place import Place
from flinkjob.snapshots.reading import open_object
from flinkjob.snapshots.transfer import MIB, copy_object, digest_of


async def _copy(source: Path, name: str, target: Path, target_name: str = "copy") -> None:
    await copy_object(
        LocalStore(source),
        name,
        LocalStore(target, mkdir=True),
        target_name,
        bandwidth=Bandwidth(None),
        progress=lambda _: None,
    )


@pytest.fixture
def hidden(tmp_path: Path) -> Path:
    """A directory that the operator may read, and no namespace."""
    directory = tmp_path / "hidden"
    directory.mkdir()
    (directory / "token").write_bytes(b"hidden")
    (directory / "large").write_bytes(bytes(9 * MIB))
    return directory


@pytest.mark.copying("links")
@pytest.mark.threat("foreign-store")
@pytest.mark.parametrize("name", ["token", "large"])
@pytest.mark.parametrize("inner", [False, True])
async def test_a_link_is_not_read(tmp_path: Path, hidden: Path, name: str, inner: bool) -> None:
    source = tmp_path / "granted"
    source.mkdir()
    if inner:
        (source / "inner").symlink_to(hidden)
    else:
        (source / name).symlink_to(hidden / name)
    path = f"inner/{name}" if inner else name
    with pytest.raises(Invalid, match="symbolic link"):
        await _copy(source, path, tmp_path / "place")
    with pytest.raises(Invalid, match="symbolic link"):
        await digest_of(LocalStore(source), path)
    assert list((tmp_path / "place").iterdir()) == []


async def test_a_snapshot_with_a_link_is_not_copied(
    make_snapshot: Callable[..., Path], tmp_path: Path, hidden: Path
) -> None:
    snapshot = make_snapshot({"a": 6})
    (snapshot / "a").unlink()
    (snapshot / "a").symlink_to(hidden / "token")
    place = Place(store=LocalStore(tmp_path / "place", mkdir=True), identity="one", namespace="team", job="clicks")
    with pytest.raises(Invalid, match="symbolic link"):
        await copy_snapshot(CopyRequest(source=LocalStore(snapshot), location="file:/x", place=place, token="t"))
    assert b"hidden" not in b"".join(path.read_bytes() for path in (tmp_path / "place").rglob("*") if path.is_file())


@pytest.mark.copying("links")
@pytest.mark.threat("foreign-store")
@pytest.mark.parametrize("name", ["token", "large"])
@pytest.mark.parametrize("inner", [False, True])
async def test_a_link_that_appears_after_the_look_is_not_read(
    tmp_path: Path, hidden: Path, monkeypatch: pytest.MonkeyPatch, name: str, inner: bool
) -> None:
    """Whoever may write to the volume exchanges a file or a directory for a link in the very moment."""
    source = tmp_path / "granted"
    source.mkdir()

    def exchange(_: Path) -> None:
        where, target = (source / "inner", hidden) if inner else (source / name, hidden / name)
        if not where.is_symlink():
            where.symlink_to(target)

    monkeypatch.setattr("flinkjob.snapshots.links.refuse_links", exchange)
    monkeypatch.setattr("flinkjob.snapshots.transfer.refuse_links", exchange)
    path = f"inner/{name}" if inner else name
    with pytest.raises(FlinkJobError):
        await _copy(source, path, tmp_path / "place")
    with pytest.raises(FlinkJobError):
        await digest_of(LocalStore(source), path)
    assert list((tmp_path / "place").iterdir()) == []


async def test_a_pipe_or_a_directory_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    for name in ("pipe", "directory"):
        with pytest.raises(Invalid, match="not a file"):
            await digest_of(LocalStore(tmp_path), name)
    with pytest.raises(Rejected) as caught:
        await digest_of(LocalStore(tmp_path), "missing")
    assert caught.value.code == 404


def _open_files() -> set[str]:
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    return found


async def test_what_is_read_is_one_file_and_none_stays_open(tmp_path: Path) -> None:
    """Also where it is exchanged or cut off meanwhile."""
    path = tmp_path / "data"
    path.write_bytes(b"a" * (9 * MIB))
    read = await open_object(LocalStore(tmp_path), "data")
    path.rename(tmp_path / "old")
    path.write_bytes(b"b" * (9 * MIB))
    assert str(tmp_path / "old") in _open_files()
    assert {bytes(chunk[:1]) async for chunk in read.chunks()} == {b"a"}
    os.truncate(tmp_path / "old", 5 * MIB)
    assert sum([len(chunk) async for chunk in read.chunks()]) == 5 * MIB
    del read
    gc.collect()
    assert not any(where.startswith(str(tmp_path)) for where in _open_files())


@pytest.mark.copying("links")
async def test_through_a_link_nothing_is_written(tmp_path: Path, hidden: Path) -> None:
    place = tmp_path / "place"
    (place / "team").mkdir(parents=True)
    (place / "team" / "clicks").symlink_to(hidden)
    with pytest.raises(Invalid, match="symbolic link"):
        await _copy(hidden, "token", place, "team/clicks/copy")
    assert sorted(path.name for path in hidden.iterdir()) == ["large", "token"]
    with pytest.raises(Invalid, match="symbolic link"):
        refuse_links_below(place / "team")
    refuse_links_below(place / "missing")


@pytest.mark.parametrize("path", ["relative", "/tmp/../etc"])
def test_a_path_that_is_not_the_same_for_everybody(path: str) -> None:
    with pytest.raises(FlinkJobError):
        refuse_links(Path(path))
