"""Jars from Maven Central, through Maven itself, which is asked once for all that is wanted together."""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.local.cache import cache_root, cached
from deploy.local.plan import Step
from deploy.local.prerequisites import require
from deploy.local.progress import StepFailed, run_step

Pins = Mapping[str, str]
"""Coordinates of jars, `GROUP:ARTIFACT:VERSION` → SHA-256 of their content."""

_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion><groupId>dev.flinkjob</groupId><artifactId>local</artifactId><version>1</version>
  <build><plugins><plugin>
    <groupId>org.apache.maven.plugins</groupId><artifactId>maven-dependency-plugin</artifactId><version>3.6.1</version>
    <configuration><outputDirectory>{directory}</outputDirectory><artifactItems>{items}</artifactItems></configuration>
  </plugin></plugins></build>
</project>
"""
_ITEM = "<artifactItem><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></artifactItem>"


def fetch_jars(label: str, coordinates: Sequence[str], directory: Path) -> None:
    """Puts jars into a directory, which is made.

    Args:
        label: of the step.
        coordinates: `GROUP:ARTIFACT:VERSION` of each; what they depend on is not fetched.

    Raises:
        MissingPrerequisite: Maven is not installed.
        StepFailed: a jar could not be downloaded.
    """
    maven = require("mvn", "jars come from Maven Central")
    items = "".join(_ITEM.format(*each.split(":")) for each in coordinates)
    with tempfile.TemporaryDirectory() as work:
        (Path(work) / "pom.xml").write_text(_POM.format(directory=directory.resolve(), items=items))
        run_step(label, [maven, "-q", "-B", "dependency:copy"], cwd=Path(work))


def read_pins(file: Path) -> Pins:
    """The pins in a file: on each line coordinates and SHA-256."""
    return dict(line.split() for line in file.read_text().splitlines())


def pinned_jars(label: str, pins: Pins) -> list[Path]:
    """The jars, which are fetched once. Raises as `fetch_jars`, and StepFailed where one is not the pinned one."""

    def fetch(target: Path) -> None:
        fetch_jars(label, list(pins), target)
        for coordinates, digest in pins.items():
            file = target / _file(coordinates)
            if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
                raise StepFailed(f"{label}: {file.name} is not the pinned one")

    directory = cached(_entry(pins), fetch)
    return [directory / _file(coordinates) for coordinates in pins]


def pinned_jars_step(label: str, pins: Pins) -> Step:
    """What `pinned_jars` would do."""
    entry = cache_root() / _entry(pins)
    return Step(label, lambda: not entry.exists())


def _entry(pins: Pins) -> str:
    return f"jars-{hashlib.sha256(repr(sorted(pins.items())).encode()).hexdigest()[:16]}"


def _file(coordinates: str) -> str:
    _, artifact, version = coordinates.split(":")
    return f"{artifact}-{version}.jar"
