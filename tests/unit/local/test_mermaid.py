"""What draws the diagrams of the pages: the pinned one is kept, another one refused. The registry is played by a program."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path

import pytest

from deploy.local import mermaid
from deploy.local.cache import cache_root

SCRIPT = b"draw()"


@pytest.fixture(autouse=True)
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An npm that packs SCRIPT, and a cache of its own."""
    (tmp_path / "package" / "dist").mkdir(parents=True)
    (tmp_path / "package" / "dist" / "mermaid.min.js").write_bytes(SCRIPT)
    with tarfile.open(tmp_path / "packed", "w:gz") as archive:
        archive.add(tmp_path / "package", "package")
    program = tmp_path / "npm"
    program.write_text(f'#!/bin/sh\ntest "$1" = pack && cp {tmp_path}/packed "$4/mermaid.tgz"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_pinned_one_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mermaid, "SHA256", hashlib.sha256(SCRIPT).hexdigest())
    assert mermaid.main([str(tmp_path / "copy.js")]) == 0
    assert (tmp_path / "copy.js").read_bytes() == SCRIPT
    (tmp_path / "npm").unlink()
    assert mermaid.program().read_bytes() == SCRIPT


def test_another_one_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mermaid.main([str(tmp_path / "copy.js")]) == 1
    assert "it is not the pinned one" in capsys.readouterr().err
    assert not (tmp_path / "copy.js").exists()
    assert not (cache_root() / f"mermaid-{mermaid.VERSION}").exists()
