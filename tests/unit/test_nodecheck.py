"""Where no node can run, that is said in one line with what is missing, and nothing else fails."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from deploy.local import nodecheck, nodeup
from deploy.local.prerequisites import MissingPrerequisite
from deploy.local.progress import StepFailed


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodecheck, "missing_packages", list)


def test_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert nodecheck.obstacle() == "not root"


def test_missing_packages_are_named_with_the_command(root: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name in ("runc", "ctr") else f"/usr/bin/{name}")
    monkeypatch.setattr(nodecheck, "CNI_DIRECTORIES", (Path("/nowhere"),))
    why = nodecheck.obstacle()
    assert why is not None
    assert why.endswith("apt-get install -y --no-install-recommends containerd containernetworking-plugins runc")
    assert "\n" not in why


def test_too_little_memory_or_disk(root: None, installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodecheck, "MEMORY", 2**60)
    assert "GiB of memory are free" in str(nodecheck.obstacle())
    monkeypatch.setattr(nodecheck, "MEMORY", 0)
    monkeypatch.setattr(nodecheck, "DISK", 2**60)
    assert "GiB of disk are free" in str(nodecheck.obstacle())


def test_control_groups_that_cannot_be_written(
    root: None, installed: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(nodecheck, "MEMORY", 0)
    monkeypatch.setattr(nodecheck, "DISK", 0)
    monkeypatch.setattr(nodecheck, "CGROUPS", tmp_path / "none")
    assert nodecheck.obstacle() == f"{tmp_path / 'none'} cannot be written"


def test_preparing_says_what_it_cannot_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(nodeup, "missing_packages", list)
    monkeypatch.setattr(nodeup, "obstacle", lambda: "not root")
    nodeup.prepare()
    assert "NO NODE CAN RUN HERE, tests/node will be skipped: not root" in capsys.readouterr().err


def test_preparing_goes_on_without_a_network(
    root: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def offline(*_: object, **__: object) -> NoReturn:
        raise StepFailed("installing runc: exit code 100")

    monkeypatch.setattr(nodeup, "missing_packages", lambda: ["runc"])
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: None)
    monkeypatch.setattr(nodeup, "run_step", offline)
    nodeup.prepare()
    assert "tests/node will be skipped: installing runc: exit code 100" in capsys.readouterr().err


def test_a_node_that_cannot_run_is_refused_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(nodeup, "obstacle", lambda: "not root")
    with pytest.raises(MissingPrerequisite, match="no node can run here: not root"):
        nodeup.whole_node(tmp_path)
    assert list(tmp_path.iterdir()) == []
