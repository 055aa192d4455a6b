"""Compiles the SQL runners of `operator/runner`, whose classes the operator puts into the jars of SQL jobs.

Each version is a folder of its own. Compiled against the oldest Flink that is supported, for the oldest Java, the same
classes run on every later Flink; an environment of another Flink is content with classes for that one. The jars depend on the
sources, the Flink release and the compiler alone.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from deploy.local.cache import cache_root, cached
from deploy.local.flinkdist import distribution, distribution_steps, full_version
from deploy.local.javajar import compiled, sources, write_jar
from deploy.local.plan import Step

SOURCES = Path(__file__).resolve().parents[2] / "operator" / "runner"
OLDEST = "1.20"


def runner_directory(flink: str = OLDEST) -> Path:
    """The directory with `sql-runner-1.jar` and the following versions, for `--runner-dir`; built when there is none.

    Args:
        flink: the version that it is compiled against.

    Raises:
        MissingPrerequisite: there is no Java compiler.
        StepFailed: it does not compile.
    """
    flink = full_version(flink)

    def build(target: Path) -> None:
        target.mkdir()
        library = f"{distribution(flink) / 'lib'}/*"
        for version in _versions():
            name = f"sql-runner-{version.name}.jar"
            classes = compiled(_compiling(flink), version, [library], target.parent / name, release=_java(flink))
            write_jar(target / name, None, classes)

    return cached(_entry(flink), build)


def runner_steps(flink: str = OLDEST) -> list[Step]:
    """What `runner_directory` would do, Flink included."""
    flink = full_version(flink)
    entry = cache_root() / _entry(flink)
    return [*distribution_steps(flink), Step(_compiling(flink), lambda: not entry.exists())]


def _versions() -> Sequence[Path]:
    """The folders of sources, the oldest first."""
    return sorted((path for path in SOURCES.iterdir() if path.is_dir()), key=lambda path: int(path.name))


def _java(flink: str) -> str:
    """The oldest Java that this Flink runs on."""
    return "8" if flink.startswith("1.") else "11"


def _compiling(flink: str) -> str:
    return f"compiling the SQL runner with Flink {flink}"


def _entry(flink: str) -> str:
    digest = hashlib.sha256(repr((flink, _java(flink))).encode())
    for source in sources(SOURCES):
        digest.update(f"{source.relative_to(SOURCES)}\n".encode() + source.read_bytes())
    return f"sql-runner-{flink}/{digest.hexdigest()[:16]}"
