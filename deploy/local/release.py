"""What a release consists of: `python -m deploy.local.release [DIRECTORY]`, by default into `dist/`.

Run by `make release`, by the workflow that publishes it, and by the tests of the node, which install from these files. The
same commit on the same base image gives the same bytes. What cannot be built on this machine is said; with `--complete` that
is a failure.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local import provenance, supplychain
from deploy.local.environment import CRDS, REPOSITORY
from deploy.local.image import oci_archive
from deploy.local.operatorimage import operator_image
from deploy.local.packing import emptied, files_below, write_tar
from deploy.local.prerequisites import MissingPrerequisite
from deploy.local.progress import StepFailed, run_step, say

NAME = "flinkjob-operator"
PLUGIN = "kubectl-flinkjob"
SUMS = "SHA256SUMS"
_CHART = REPOSITORY / "deploy" / "chart"
_KREW = REPOSITORY / "deploy" / "krew"
_LOCK = REPOSITORY / "requirements-cli.lock"
_NOT_IN_THE_CHART = ("ci/", ".helmignore")
_REPOSITORY = f"repository: {NAME}\n"
_WORD = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Release:
    """One release.

    Attributes:
        directory: where its files are written.
        version: as in `pyproject.toml`.
        stamp: seconds since 1970; the time of whatever has one.
        url: where the files are published; the plugin's manifest names it.
        registry: where the image is published; the chart names it. Empty: in the registry that a node looks in by default.
    """

    directory: Path
    version: str
    stamp: int
    url: str
    registry: str = ""

    @property
    def image(self) -> Path:
        """The operator's image, an OCI archive."""
        return self.directory / f"{NAME}-{self.version}-image.tar"

    @property
    def chart(self) -> Path:
        """The Helm chart."""
        return self.directory / f"{NAME}-{self.version}.tgz"

    @property
    def crds(self) -> Path:
        """The CustomResourceDefinitions, for those who apply them separately."""
        return self.directory / f"{NAME}-{self.version}-crds.yaml"

    @property
    def sbom(self) -> Path:
        """The bill of materials, CycloneDX."""
        return self.directory / f"{NAME}-{self.version}.cdx.json"

    @property
    def provenance(self) -> Path:
        """What the image was made of: an in-toto statement."""
        return self.directory / f"{NAME}-{self.version}-image.intoto.json"

    @property
    def wheel(self) -> Path:
        """The Python package."""
        return self.directory / f"{NAME.replace('-', '_')}-{self.version}-py3-none-any.whl"

    @property
    def sdist(self) -> Path:
        """The sources of the Python package."""
        return self.directory / f"{NAME.replace('-', '_')}-{self.version}.tar.gz"

    @property
    def plugin(self) -> Path:
        """The plugin of kubectl, as Krew installs it."""
        return self.directory / f"{PLUGIN}-{self.version}.tar.gz"

    @property
    def krew(self) -> Path:
        """The manifest of the plugin."""
        return self.directory / "flinkjob.yaml"

    @property
    def image_name(self) -> str:
        """What the chart calls the image."""
        return f"docker.io/library/{NAME}:{self.version}"


def version() -> str:
    """The version that `pyproject.toml` names."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def release(directory: Path, url: str = "", registry: str = "") -> Release:
    """The release of the last commit.

    Args:
        directory: for its files.
        url: where they are published; empty: at the project's own address.
        registry: where the image is published.
    """
    now = version()
    stamp = int(_git("log", "-1", "--format=%ct") or "0")
    address = url.rstrip("/") or f"https://flinkjob.dev/releases/v{now}"
    return Release(directory.resolve(), now, stamp, address, registry.rstrip("/"))


def build_packages(of: Release) -> None:
    """Writes wheel and sdist. Raises StepFailed."""
    command: list[str | Path] = [sys.executable, "-m", "hatchling", "build", "--directory", of.directory]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(of.stamp)}
    run_step("building wheel and sdist", [*command, "-t", "wheel", "-t", "sdist"], env=environment, cwd=REPOSITORY)


def build_chart(of: Release) -> None:
    """Writes the chart."""
    files = files_below(_CHART, NAME)
    left_out = tuple(f"{NAME}/{each}" for each in _NOT_IN_THE_CHART)
    kept: dict[str, Path | bytes] = {name: path for name, path in files.items() if not name.startswith(left_out)}
    if of.registry:
        text = (_CHART / "values.yaml").read_text()
        assert text.count(_REPOSITORY) == 1
        kept[f"{NAME}/values.yaml"] = text.replace(_REPOSITORY, f"repository: {of.registry}/{NAME}\n").encode()
    write_tar(of.chart, kept, of.stamp, compressed=True)


def build_crds(of: Release) -> None:
    """Writes the definitions into one file."""
    of.crds.write_text("---\n".join(path.read_text() for path in sorted(CRDS.glob("*.yaml"))))


def build_plugin(of: Release) -> None:
    """Writes the plugin's archive, of the wheel that is there, and its manifest."""
    program = _KREW / PLUGIN
    files = {PLUGIN: program, "requirements.lock": _LOCK, "LICENSE": REPOSITORY / "LICENSE", of.wheel.name: of.wheel}
    write_tar(of.plugin, files, of.stamp, compressed=True)
    words = {"VERSION": of.version, "URL": f"{of.url}/{of.plugin.name}", "SHA256": sha256(of.plugin)}
    text = (_KREW / "flinkjob.yaml").read_text()
    of.krew.write_text(_WORD.sub(lambda found: words[found[1]], text))


def build_sbom(of: Release) -> None:
    """Writes the bill of materials. Raises StepFailed."""
    supplychain.sbom(of.sbom)


def build_image(of: Release) -> None:
    """Writes the image and what it was made of. Raises MissingPrerequisite, StepFailed."""
    oci_archive(operator_image(), of.image, of.image_name, of.stamp)
    provenance.write(of.provenance)


PARTS: Sequence[tuple[str, Callable[[Release], None]]] = (
    ("wheel and sdist", build_packages),
    ("chart", build_chart),
    ("CRDs", build_crds),
    ("plugin of kubectl", build_plugin),
    ("bill of materials", build_sbom),
    ("image", build_image),
)
"""What is built, in this order."""


def build(of: Release, parts: Sequence[tuple[str, Callable[[Release], None]]] = PARTS) -> list[str]:
    """Empties the directory and writes all that can be built here, and the sums; returns what could not be, and why."""
    emptied(of.directory)
    missing = []
    for what, make in parts:
        try:
            make(of)
        except (MissingPrerequisite, StepFailed) as error:
            missing.append(f"{what}: {error}")
    (of.directory / SUMS).write_text(sums(of.directory))
    return missing


def sums(directory: Path) -> str:
    """The SHA-256 of each file of a directory, as `sha256sum --check` reads them."""
    files = sorted(path for path in directory.iterdir() if path.is_file() and path.name != SUMS)
    return "".join(f"{sha256(path)}  {path.name}\n" for path in files)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _git(*arguments: str) -> str:
    """What git prints; nothing where there is no git, or no repository."""
    if shutil.which("git") is None:
        return ""
    done = subprocess.run(["git", "-C", REPOSITORY, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def main(arguments: Sequence[str], parts: Sequence[tuple[str, Callable[[Release], None]]] = PARTS) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.release", description="Builds a release.")
    parser.add_argument("directory", nargs="?", type=Path, default=REPOSITORY / "dist")
    parser.add_argument("--complete", action="store_true", help="fail where something cannot be built")
    parser.add_argument("--url", default="", help="where the files are published")
    parser.add_argument("--registry", default="", help="where the image is published")
    asked = parser.parse_args(arguments)
    of = release(asked.directory, asked.url, asked.registry)
    if changed := _git("status", "--porcelain"):
        say(f"NOT THE LAST COMMIT: {len(changed.splitlines())} files are not committed")
    missing = build(of, parts)
    for each in missing:
        say(f"NOT BUILT: {each}")
    print((of.directory / SUMS).read_text(), end="")
    return 1 if missing and asked.complete else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
