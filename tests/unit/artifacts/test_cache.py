"""The cache keeps what is used, takes no more than its room, and cleans up after killed processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from flinkjob.artifacts.cache import PARTIAL_SUFFIX, ArtifactCache
from flinkjob.artifacts.errors import ArtifactUnavailable


def stored(cache: ArtifactCache, digit: str, size: int = 10, namespace: str = "ns") -> Path:
    """A file that is in use."""
    with cache.partial(namespace) as partial:
        partial.need(size)
        partial.path.write_bytes(b"x" * size)
        return cache.commit(partial, digit * 64)


def unused(cache: ArtifactCache, digit: str, size: int = 10) -> Path:
    path = stored(cache, digit, size)
    cache.release(digit * 64, "ns")
    return path


def test_the_longest_unused_go_first(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, max_bytes=45)
    held, old, used, new = (unused(cache, digit) for digit in "abcd")
    assert cache.acquire("a" * 64, "ns") == held
    assert cache.acquire("c" * 64, "ns") == used
    cache.release("c" * 64, "ns")
    with cache.partial("other") as partial:
        partial.need(15)
        assert (held.exists(), old.exists(), used.exists(), new.exists()) == (True, False, True, True)
        partial.need(25)
        assert (held.exists(), used.exists(), new.exists()) == (True, True, False)


def test_what_was_there_at_the_start_goes_by_its_age(tmp_path: Path) -> None:
    before = ArtifactCache(tmp_path, max_bytes=40)
    paths = [unused(before, digit) for digit in "abc"]
    for path, age in zip(paths, (10, 30, 20), strict=True):
        os.utime(path, (time.time() - age,) * 2)
    ArtifactCache(tmp_path, max_bytes=15)
    assert [path.exists() for path in paths] == [True, False, False]


def test_what_is_not_there(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path / "new", max_bytes=20)
    assert cache.acquire("a" * 64, "ns") is None
    unused(cache, "b").unlink()
    assert cache.acquire("b" * 64, "ns") is None


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.jar").write_text("mine")
    unused(ArtifactCache(tmp_path, max_bytes=10), "a")
    assert (tmp_path / "notes.jar").exists()


def test_leftovers_of_a_killed_process_go(tmp_path: Path) -> None:
    left = tmp_path / f"x{PARTIAL_SUFFIX}"
    left.write_bytes(b"x")
    ArtifactCache(tmp_path, max_bytes=10)
    assert not left.exists()


@pytest.mark.threat("too-large")
def test_one_namespace_writes_and_uses_half_of_it_but_for_one_file(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, max_bytes=100)
    stored(cache, "a", 30)
    with cache.partial("ns") as partial:
        partial.need(20)
        with pytest.raises(ArtifactUnavailable, match="more than half would be for namespace ns"):
            partial.need(21)
        with cache.partial("other") as other:
            other.need(50)
            with pytest.raises(ArtifactUnavailable, match="being written or used"):
                other.need(51)
    with cache.partial("large") as alone:
        alone.need(70)
    cache.release("a" * 64, "ns")
    with cache.partial("ns") as partial:
        partial.need(51)
        partial.need(100)


@pytest.mark.threat("too-large")
def test_a_file_that_two_use_takes_its_room_once(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, max_bytes=100)
    stored(cache, "a", 40)
    assert cache.acquire("a" * 64, "other") is not None
    with cache.partial("third") as partial:
        partial.need(60)
    cache.release("a" * 64, "ns")
    with cache.partial("ns") as partial, pytest.raises(ArtifactUnavailable):
        partial.need(61)
    cache.release("a" * 64, "other")
    with cache.partial("ns") as partial:
        partial.need(61)


def test_the_room_of_a_file_that_is_given_up_is_free(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, max_bytes=100)
    with cache.partial("ns") as partial:
        partial.need(100)
    assert not list(tmp_path.iterdir())
    assert unused(cache, "a", 100).exists()
    assert stored(cache, "a", 100).exists(), "the same content again needs no more room than once"


def test_nothing_is_kept_of_uses_that_have_ended(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, max_bytes=100)
    unused(cache, "a")
    for _ in range(10):
        assert cache.acquire("a" * 64, "ns") is not None
        cache.release("a" * 64, "ns")
    assert len(cache._released) <= 1
