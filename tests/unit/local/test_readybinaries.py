"""Which programs that are there already are used, and what is said of those that are too old."""

import platform
from pathlib import Path

import pytest

from deploy.local import readybinaries
from deploy.local.readybinaries import asset_directory

OLDEST, WANTED = (1, 31, 0), (1, 37, 2)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store of setup-envtest, still empty."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    readybinaries._say_once.cache_clear()
    return tmp_path / "data" / "kubebuilder-envtest" / "k8s"


def stored(store: Path, *names: str) -> None:
    for name in names:
        (store / name).mkdir(parents=True)


def apiserver(directory: Path, version: str) -> Path:
    """A directory with a kube-apiserver that says this version."""
    directory.mkdir()
    program = directory / "kube-apiserver"
    program.write_text(f"#!/bin/sh\necho Kubernetes {version}\n")
    program.chmod(0o755)
    return directory


def test_nothing_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert asset_directory(OLDEST, WANTED) is None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        (["1.37.0"], "1.37.0"),
        (["1.36.5", "1.37.0", "1.38.1"], "1.37.0"),
        (["1.37.0", "1.37.4"], "1.37.4"),
        (["1.34.0", "1.35.0"], "1.35.0"),
        (["1.30.0", "1.39.0"], "1.39.0"),
    ],
)
def test_the_nearest_version_of_the_store_is_taken(store: Path, there: list[str], taken: str) -> None:
    stored(store, *(f"{version}-linux-amd64" for version in there))
    assert asset_directory(OLDEST, WANTED) == store / f"{taken}-linux-amd64"


def test_other_machines_and_previews_are_left_out(store: Path) -> None:
    stored(store, "1.37.0-linux-arm64", "1.37.0-darwin-amd64", "1.38.0-rc.1-linux-amd64", "1.33.0-linux-amd64")
    assert asset_directory(OLDEST, WANTED) == store / "1.33.0-linux-amd64"


def test_an_old_store_is_said_in_one_line_and_once(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(store, "1.28.3-linux-amd64", "1.9.9-linux-amd64")
    assert asset_directory(OLDEST, WANTED) is None
    assert asset_directory(OLDEST, WANTED) is None
    assert capsys.readouterr().err == (
        f"[local] setup-envtest ({store}) has Kubernetes 1.28.3, which is too old: not used, 1.31 or newer is "
        "(setup-envtest use 1.37)\n"
    )


def test_the_variable_comes_before_the_store(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(store, "1.37.0-linux-amd64")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(apiserver(tmp_path / "mine", "v1.33.1")))
    assert asset_directory(OLDEST, WANTED) == tmp_path / "mine"


def test_an_old_variable_is_said_and_the_store_is_asked(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(store, "1.37.0-linux-amd64")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(apiserver(tmp_path / "mine", "v1.29.14+k3s1")))
    assert asset_directory(OLDEST, WANTED) == store / "1.37.0-linux-amd64"
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"[local] KUBEBUILDER_ASSETS ({tmp_path / 'mine'}) has Kubernetes 1.29.14, which is too old")


def test_a_variable_whose_version_nobody_knows_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kubectl only").mkdir()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "kubectl only"))
    assert asset_directory(OLDEST, WANTED) == tmp_path / "kubectl only"
