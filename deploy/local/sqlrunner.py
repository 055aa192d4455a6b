"""Makes the runners that the operator puts into the jars of SQL and Python jobs.

Each version is a folder of its own. Those of `operator/pyrunner` are one Python file each. Those of `operator/runner` are
compiled: against the oldest Flink that is supported, for the oldest Java, the same classes run on every later Flink; an
environment of another Flink is content with classes for that one. The jars depend on the sources, the Flink release and the
compiler alone.
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from deploy.local.cache import cache_root, cached
from deploy.local.flinkdist import distribution, distribution_steps, full_version
from deploy.local.javajar import compiled, sources, write_jar
from deploy.local.plan import Step

OPERATOR = Path(__file__).resolve().parents[2] / "operator"
SOURCES, PYTHON_SOURCES = OPERATOR / "runner", OPERATOR / "pyrunner"
OLDEST = "1.20"


def runner_directory(flink: str = OLDEST) -> Path:
    """The directory with `sql-runner-1.jar`, `python-runner-1.py` and later versions, for `--runner-dir`; made when missing.

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
        for module in _modules():
            shutil.copyfile(module, target / f"python-runner-{module.parent.name}.py")
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


def _modules() -> Sequence[Path]:
    """The runners of Python programs."""
    return sorted(PYTHON_SOURCES.glob("*/flinkjob_main.py"))


def _java(flink: str) -> str:
    """The oldest Java that this Flink runs on."""
    return "8" if flink.startswith("1.") else "11"


def _compiling(flink: str) -> str:
    return f"compiling the SQL runner with Flink {flink}"


def _entry(flink: str) -> str:
    digest = hashlib.sha256(repr((flink, _java(flink))).encode())
    for source in [*sources(SOURCES), *_modules()]:
        digest.update(f"{source.relative_to(OPERATOR)}\n".encode() + source.read_bytes())
    return f"sql-runner-{flink}/{digest.hexdigest()[:16]}"
