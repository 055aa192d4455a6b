"""A release: what its files are called, that two builds give the same bytes, and that its sums find what was changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import flinkjob
from deploy.local.environment import REPOSITORY
from deploy.local.nodeup import OPERATOR
from deploy.local.packing import write_tar
from deploy.local.prerequisites import MissingPrerequisite
from deploy.local.release import PARTS, SUMS, Release, build, main, release, sums, version

OFFLINE = [part for part in PARTS if part[0] not in ("bill of materials", "image")]
"""What is built from this repository alone."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Release:
    of = release(tmp_path_factory.mktemp("release") / "dist", "https://example.com/v1/")
    assert build(of, OFFLINE) == []
    return of


@pytest.fixture
def other_defaults(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Pacific/Chatham")
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_its_files_have_the_names_that_are_promised(built: Release) -> None:
    now = version()
    assert {path.name for path in built.directory.iterdir()} == {
        f"flinkjob_operator-{now}-py3-none-any.whl",
        f"flinkjob_operator-{now}.tar.gz",
        f"flinkjob-operator-{now}.tgz",
        f"flinkjob-operator-{now}-crds.yaml",
        f"kubectl-flinkjob-{now}.tar.gz",
        "flinkjob.yaml",
        SUMS,
    }
    assert {built.image.name, built.sbom.name, built.provenance.name} == {
        f"flinkjob-operator-{now}-image.tar",
        f"flinkjob-operator-{now}.cdx.json",
        f"flinkjob-operator-{now}-image.intoto.json",
    }


def test_another_build_gives_the_same_bytes(built: Release, tmp_path: Path, other_defaults: None) -> None:
    again = release(tmp_path / "again", built.url)
    assert build(again, OFFLINE) == []
    assert (again.directory / SUMS).read_text() == (built.directory / SUMS).read_text()


def test_the_sums_find_a_changed_byte(built: Release, tmp_path: Path) -> None:
    for path in built.directory.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    command = ["sha256sum", "--check", "--strict", SUMS]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    assert sums(tmp_path) == (tmp_path / SUMS).read_text()
    with (tmp_path / built.chart.name).open("ab") as changed:
        changed.write(b"\0")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if not line.endswith("OK")] == [f"{built.chart.name}: FAILED"]


def test_the_sources_make_the_same_wheel(built: Release, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as packed:
        packed.extractall(tmp_path, filter="data")
    (inside,) = tmp_path.iterdir()
    command = [sys.executable, "-m", "hatchling", "build", "--directory", tmp_path / "made", "-t", "wheel"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(built.stamp)}
    subprocess.run(command, cwd=inside, env=environment, capture_output=True, check=True)
    (made,) = (tmp_path / "made").iterdir()
    assert made.name == built.wheel.name
    assert made.read_bytes() == built.wheel.read_bytes()


def test_the_wheel_has_what_the_pages_are_made_of(built: Release) -> None:
    pages = REPOSITORY / "operator" / "flinkjob" / "ui"
    wanted = {
        f"flinkjob/ui/{each.relative_to(pages)}"
        for part in ("static", "templates")
        for each in (pages / part).iterdir()
    }
    with zipfile.ZipFile(built.wheel) as packed:
        assert len(wanted) > 10
        assert wanted <= set(packed.namelist())
        for each in wanted:
            assert packed.read(each) == (pages.parents[1] / each).read_bytes()


def test_the_manifest_of_the_plugin_names_its_archive(built: Release) -> None:
    plugin = yaml.safe_load(built.krew.read_text())
    assert plugin["spec"]["version"] == f"v{version()}"
    (platform,) = plugin["spec"]["platforms"]
    assert platform["uri"] == f"https://example.com/v1/{built.plugin.name}"
    assert f"{platform['sha256']}  {built.plugin.name}" in (built.directory / SUMS).read_text()
    with tarfile.open(built.plugin) as packed:
        names = {entry.name: entry for entry in packed.getmembers()}
        assert names[platform["bin"]].mode == 0o755
        wheel = packed.extractfile(built.wheel.name)
        assert wheel is not None
        assert wheel.read() == built.wheel.read_bytes()
    assert {entry.mtime for entry in names.values()} == {built.stamp}


def pinned(name: str) -> dict[str, str]:
    """The versions of a lock file."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (REPOSITORY / name).read_text(), re.MULTILINE))


def test_the_lock_of_the_plugin_has_the_versions_that_are_tested() -> None:
    plugin, tested = pinned("requirements-cli.lock"), pinned("requirements-dev.lock")
    assert {"typer", "rich", "pyyaml", "httpx"} <= plugin.keys()
    assert {"jinja2", "starlette", "uvicorn"} <= plugin.keys(), "kubectl flinkjob ui"
    assert plugin.items() - tested.items() == {("colorama", plugin["colorama"])}, "only Windows needs colorama"


def test_the_lock_of_the_image_has_the_versions_that_are_tested() -> None:
    image = pinned("requirements.lock")
    assert {"kopf", "starlette", "uvicorn", "jinja2", "typer"} <= image.keys()
    assert image.items() <= pinned("requirements-dev.lock").items()


def test_the_chart_names_the_registry_that_it_is_published_in(built: Release, tmp_path: Path) -> None:
    def repository(of: Release) -> str:
        with tarfile.open(of.chart) as packed:
            values = packed.extractfile("flinkjob-operator/values.yaml")
            assert values is not None
            return str(yaml.safe_load(values.read())["image"]["repository"])

    elsewhere = release(tmp_path, built.url, registry="registry.example.com/team")
    build(elsewhere, [part for part in PARTS if part[0] == "chart"])
    assert repository(built) == "flinkjob-operator"
    assert repository(elsewhere) == "registry.example.com/team/flinkjob-operator"


def test_what_cannot_be_built_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(_: Release) -> None:
        raise MissingPrerequisite("buildah is missing")

    parts = [*(part for part in PARTS if part[0] == "CRDs"), ("image", fails)]
    assert main([str(tmp_path / "dist")], parts) == 0
    assert "NOT BUILT: image: buildah is missing" in capsys.readouterr().err
    assert main(["--complete", str(tmp_path / "dist")], parts) == 1
    assert (tmp_path / "dist" / SUMS).read_text().endswith("-crds.yaml\n")


def test_an_archive_depends_on_names_and_contents_alone(tmp_path: Path) -> None:
    for name, mode in (("a", 0o600), ("b", 0o664)):
        (tmp_path / name).write_text("the same")
        (tmp_path / name).chmod(mode)
        os.utime(tmp_path / name, (mode, mode))
    a, b = tmp_path / "a", tmp_path / "b"
    for target, files in ((tmp_path / "1.tgz", {"x": a, "y": b}), (tmp_path / "2.tgz", {"y": a, "x": b})):
        write_tar(target, files, 7, compressed=True)
    assert (tmp_path / "1.tgz").read_bytes() == (tmp_path / "2.tgz").read_bytes()


def test_there_is_one_version() -> None:
    now = version()
    chart = yaml.safe_load((REPOSITORY / "deploy" / "chart" / "Chart.yaml").read_text())
    assert {flinkjob.__version__, chart["version"], chart["appVersion"], OPERATOR.rpartition(":")[2]} == {now}
    assert f"\nARG VERSION={now}\n" in (REPOSITORY / "Dockerfile").read_text()
    assert f"flinkjob-operator:{now}\n" in (REPOSITORY / "deploy/kustomize/base/deployment.yaml").read_text()
