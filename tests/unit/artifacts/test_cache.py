"""The cache keeps what is used, and cleans up after killed processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

from flinkjob.artifacts.cache import PARTIAL_AGE_SECONDS, ArtifactCache


def stored(cache: ArtifactCache, digit: str, age: float) -> Path:
    partial = cache.partial()
    partial.write_bytes(b"x" * 10)
    path = cache.commit(partial, digit * 64)
    cache.release(digit * 64)
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_the_longest_unused_go_first(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, max_bytes=20)
    old, used, new, held = (stored(cache, digit, age) for digit, age in (("a", 30), ("b", 20), ("c", 10), ("d", 40)))
    assert cache.acquire("d" * 64) == held
    os.utime(held, (0, 0))
    assert cache.acquire("b" * 64) == used
    cache.release("b" * 64)
    assert cache.evict() == 20
    assert (old.exists(), used.exists(), new.exists(), held.exists()) == (False, True, False, True)


def test_what_is_not_there(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path / "new", max_bytes=20)
    assert cache.acquire("a" * 64) is None


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, max_bytes=0)
    (tmp_path / "notes.jar").write_text("mine")
    assert cache.evict() == 0
    assert (tmp_path / "notes.jar").exists()


def test_leftovers_of_killed_processes(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, max_bytes=0)
    left, running = cache.partial(), cache.partial()
    long_ago = time.time() - PARTIAL_AGE_SECONDS - 1
    os.utime(left, (long_ago, long_ago))
    cache.evict()
    assert (left.exists(), running.exists()) == (False, True)
