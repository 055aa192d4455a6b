"""Builds the demo job of `job/` for a Flink version.

The jar depends on the source, the Flink version and the variant alone, byte for byte, so its digest can be pinned.
"""

import hashlib
from pathlib import Path

from deploy.local.cache import cache_root, cached
from deploy.local.flinkdist import DEFAULT_VERSION, distribution, distribution_steps, full_version
from deploy.local.javajar import compiled, sources, write_jar
from deploy.local.plan import Step

SOURCES = Path(__file__).with_name("job")
ENTRY_CLASS = "dev.flinkjob.demo.DemoJob"


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
        library = f"{distribution(version) / 'lib'}/*"
        classes = compiled(_compiling(version), SOURCES, [library], target.parent / "classes")
        mark = [("META-INF/variant.txt", variant.encode())] if variant else []
        write_jar(target, ENTRY_CLASS if manifest else None, [*mark, *classes])

    return cached(_entry(version, variant, manifest), build)


def demo_jar_steps(version: str = DEFAULT_VERSION) -> list[Step]:
    """What `demo_jar` would do, Flink included."""
    version = full_version(version)
    entry = cache_root() / _entry(version)
    return [*distribution_steps(version), Step(_compiling(version), lambda: not entry.exists())]


def _compiling(version: str) -> str:
    return f"compiling the demo job for Flink {version}"


def _entry(version: str, variant: str = "", manifest: bool = True) -> str:
    digest = hashlib.sha256(repr((version, variant, manifest)).encode())
    for source in sources(SOURCES):
        digest.update(source.read_bytes())
    return f"demo-{version}/{digest.hexdigest()[:16]}/demo.jar"
