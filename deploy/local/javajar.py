"""Compiles the Java programs of this repository to jars that depend on sources and libraries alone, byte for byte."""

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from deploy.local.prerequisites import require
from deploy.local.progress import run_step

_EPOCH = (2020, 1, 1, 0, 0, 0)

Entry = tuple[str, bytes]
"""Name and content of a file in a jar."""


def sources(directory: Path) -> list[Path]:
    """The Java files below a directory, sorted."""
    return sorted(directory.rglob("*.java"))


def compiled(
    label: str, directory: Path, libraries: Sequence[str | Path], classes: Path, *, release: str = "11"
) -> list[Entry]:
    """The classes of the sources below a directory.

    Args:
        label: of the step.
        libraries: elements of the class path.
        classes: a directory for them; made.
        release: of Java that can run them.

    Raises:
        MissingPrerequisite: there is no Java compiler.
        StepFailed: they do not compile.
    """
    javac = require("javac", "the jobs of the local environment are compiled here")
    options = ["-nowarn", "--release", release, "-J-XX:TieredStopAtLevel=1"]
    run_step(label, [javac, *options, "-cp", ":".join(map(str, libraries)), "-d", classes, *sources(directory)])
    made = sorted(classes.rglob("*.class"))
    return [(file.relative_to(classes).as_posix(), file.read_bytes()) for file in made]


def write_jar(target: Path, entry_class: str | None, entries: Iterable[Entry]) -> None:
    """A jar with these files; of several with one name the first counts. `entry_class`: what the manifest names."""
    with zipfile.ZipFile(target, "w") as jar:
        main = f"Main-Class: {entry_class}\n" if entry_class else ""
        _add(jar, "META-INF/MANIFEST.MF", f"Manifest-Version: 1.0\n{main}\n".encode())
        known = set(jar.namelist())
        for name, content in entries:
            if name not in known:
                known.add(name)
                _add(jar, name, content)


def _add(jar: zipfile.ZipFile, name: str, content: bytes) -> None:
    jar.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
