"""A real Go compiler leaves the programs in their place and nothing else, neither with us nor with the user."""

import os
import subprocess
from pathlib import Path

import pytest

from deploy.local.gobuild import go_build


@pytest.mark.slow
def test_several_programs_are_built_in_one_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, user = tmp_path / "cache", tmp_path / "user"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("FLINKJOB_KEEP_BUILD_CACHE", raising=False)
    monkeypatch.setenv("GOCACHE", str(user / "packages"))
    monkeypatch.setenv("GOMODCACHE", str(user / "modules"))
    monkeypatch.setenv("GOTOOLCHAIN", "local")
    module = tmp_path / "module"
    for name in ("one", "two/v2"):
        (module / name).mkdir(parents=True)
        (module / name / "main.go").write_text(f'package main\n\nfunc main() {{ println("{name}") }}\n')
    (module / "go.mod").write_text("module example.org/tiny\n\ngo 1.21\n")
    go_build("building both", ["example.org/tiny/one", "example.org/tiny/two/v2"], tmp_path / "out", module=module)
    for name in ("one", "two"):
        said = subprocess.run([tmp_path / "out" / name], capture_output=True, text=True, check=True).stderr
        assert said.startswith(name)
    assert sorted(os.listdir(tmp_path / "out")) == ["one", "two"]
    assert not (cache / "flinkjob-operator" / "build").exists()
    assert not user.exists()
