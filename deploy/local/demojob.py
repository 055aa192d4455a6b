"""Builds the demo job of `job/` for a Flink version.

The jar depends on the source, the Flink version and the variant alone, byte for byte, so its digest can be pinned.
"""

import hashlib
import zipfile
from pathlib import Path

from deploy.local.cache import cache_root, cached
from deploy.local.flinkdist import DEFAULT_VERSION, distribution, distribution_steps, full_version
from deploy.local.plan import Step
from deploy.local.prerequisites import require
from deploy.local.progress import run_step

SOURCES = Path(__file__).with_name("job")
ENTRY_CLASS = "dev.flinkjob.demo.DemoJob"
_JAVA_RELEASE = "11"
_EPOCH = (2020, 1, 1, 0, 0, 0)


def demo_jar(version: str = DEFAULT_VERSION, *, variant: str = "", manifest: bool = True) -> Path:
    """The path of the jar, which is built when there is none.

    Args:
        version: of Flink, `2.3` or `2.3.0`.
        variant: any text; another text gives another jar (and digest) with the same behaviour.
        manifest: whether the manifest names the entry class.

    Raises:
        MissingPrerequisite: there is no Java compiler.
        StepFailed: it does not compile.
    """
    version = full_version(version)

    def build(target: Path) -> None:
        javac = require("javac", "the demo job is compiled here")
        classes = target.parent / "classes"
        options = ["-nowarn", "--release", _JAVA_RELEASE, "-J-XX:TieredStopAtLevel=1"]
        classpath = f"{distribution(version) / 'lib'}/*"
        run_step(
            _compiling(version),
            [javac, *options, "-cp", classpath, "-d", classes, *_sources()],
        )
        with zipfile.ZipFile(target, "w") as jar:
            main = f"Main-Class: {ENTRY_CLASS}\n" if manifest else ""
            _add(jar, "META-INF/MANIFEST.MF", f"Manifest-Version: 1.0\n{main}\n".encode())
            if variant:
                _add(jar, "META-INF/variant.txt", variant.encode())
            for compiled in sorted(classes.rglob("*.class")):
                _add(jar, compiled.relative_to(classes).as_posix(), compiled.read_bytes())

    return cached(_entry(version, variant, manifest), build)


def demo_jar_steps(version: str = DEFAULT_VERSION) -> list[Step]:
    """What `demo_jar` would do, Flink included."""
    version = full_version(version)
    entry = cache_root() / _entry(version)
    return [*distribution_steps(version), Step(_compiling(version), lambda: not entry.exists())]


def _compiling(version: str) -> str:
    return f"compiling the demo job for Flink {version}"


def _sources() -> list[Path]:
    return sorted(SOURCES.rglob("*.java"))


def _entry(version: str, variant: str = "", manifest: bool = True) -> str:
    digest = hashlib.sha256(repr((version, variant, manifest)).encode())
    for source in _sources():
        digest.update(source.read_bytes())
    return f"demo-{version}/{digest.hexdigest()[:16]}/demo.jar"


def _add(jar: zipfile.ZipFile, name: str, content: bytes) -> None:
    jar.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
