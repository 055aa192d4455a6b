"""Building from Go sources leaves the programs and nothing else, and never touches the caches of the user."""

import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from deploy.local.gobuild import build_caches, go_environment, program_name
from deploy.local.progress import StepFailed


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the build caches come to lie."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FLINKJOB_KEEP_BUILD_CACHE", raising=False)
    return tmp_path / "cache" / "flinkjob-operator" / "build"


def test_the_caches_are_removed_afterwards_read_only_directories_too(cache: Path) -> None:
    with build_caches() as root:
        assert root == cache
        module = root / "modules" / "example.org@v1"
        module.mkdir(parents=True)
        (module / "go.mod").touch(0o444)
        module.chmod(0o555)
    assert not cache.exists()


@pytest.mark.parametrize(("kept", "stays"), [("1", True), ("0", False), ("", False)])
def test_they_are_kept_when_asked(cache: Path, monkeypatch: pytest.MonkeyPatch, kept: str, stays: bool) -> None:
    monkeypatch.setenv("FLINKJOB_KEEP_BUILD_CACHE", kept)
    with build_caches():
        pass
    assert cache.exists() == stays


def test_a_failed_build_leaves_them_to_the_next_try(cache: Path) -> None:
    with pytest.raises(StepFailed), build_caches():
        raise StepFailed("no network")
    assert cache.exists()
    with build_caches():
        pass
    assert not cache.exists()


def test_an_inner_block_leaves_them_to_the_outer_one(cache: Path) -> None:
    with build_caches():
        with build_caches():
            pass
        assert cache.exists()
    assert not cache.exists()


def test_who_leaves_last_removes_them(cache: Path) -> None:
    inside, one_has_left = Barrier(2), Barrier(2)

    def first() -> None:
        with build_caches():
            inside.wait(10)
        one_has_left.wait(10)

    def second() -> bool:
        with build_caches():
            inside.wait(10)
            one_has_left.wait(10)
            return cache.exists()

    with ThreadPoolExecutor(2) as threads:
        threads.submit(first)
        assert threads.submit(second).result(20)
    assert not cache.exists()


@pytest.mark.skipif(shutil.which("go") is None, reason="Go is not installed")
def test_go_writes_into_our_caches_and_asks_the_users_downloads_first(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads = tmp_path / "their modules" / "cache" / "download"
    downloads.mkdir(parents=True)
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "their modules"))
    monkeypatch.setenv("GOCACHE", str(tmp_path / "theirs"))
    monkeypatch.setenv("GOPROXY", "https://proxy.example.org,direct")
    variables = ["GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS"]
    answer = subprocess.check_output(["go", "env", "-json", *variables], env=go_environment(cache, "-mod=readonly"))
    assert json.loads(answer) == {
        "GOCACHE": str(cache / "packages"),
        "GOMODCACHE": str(cache / "modules"),
        "GOPROXY": f"{downloads.as_uri()},https://proxy.example.org,direct",
        "GOFLAGS": "-modcacherw -mod=readonly",
    }


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("go.etcd.io/etcd/server/v3", "server"),
        ("k8s.io/kubernetes/cmd/kubectl", "kubectl"),
        ("example.org/v8engine", "v8engine"),
    ],
)
def test_the_name_of_a_program(package: str, name: str) -> None:
    assert program_name(package) == name
