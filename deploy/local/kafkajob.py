"""Builds the Kafka job of `kafkajob/` for a Flink version, with Flink's own Kafka connector and its client in the jar.

`kafkajob/flink-*.txt` pins the libraries for each major version of Flink. What of them only other uses of the client need
(compression, SASL of some kinds) is left out.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from deploy.local.cache import cache_root, cached
from deploy.local.flinkdist import DEFAULT_VERSION, distribution, distribution_steps, full_version
from deploy.local.javajar import Entry, compiled, sources, write_jar
from deploy.local.maven import Pins, pinned_jars, pinned_jars_step, read_pins
from deploy.local.plan import Step

SOURCES = Path(__file__).with_name("kafkajob")
ENTRY_CLASS = "dev.flinkjob.kafka.KafkaJob"
_LEFT_OUT = ("META-INF/MANIFEST.MF", "META-INF/maven/", "META-INF/versions/", "module-info.class")


def kafka_jar(version: str = DEFAULT_VERSION) -> Path:
    """The path of the jar for a Flink version, which is built when there is none.

    Raises:
        MissingPrerequisite: there is no Java compiler, or no Maven.
        StepFailed: a library could not be downloaded, or is not the pinned one; or it does not compile.
    """
    version = full_version(version)

    def build(target: Path) -> None:
        libraries = pinned_jars(_fetching(version), _libraries(version))
        path = [Path(f"{distribution(version) / 'lib'}/*"), *libraries]
        classes = compiled(_compiling(version), SOURCES, path, target.parent / "classes")
        write_jar(target, ENTRY_CLASS, [*classes, *(entry for jar in libraries for entry in _entries(jar))])

    return cached(_entry(version), build)


def kafka_jar_steps(version: str = DEFAULT_VERSION) -> list[Step]:
    """What `kafka_jar` would do, Flink included."""
    version = full_version(version)
    entry = cache_root() / _entry(version)
    libraries = pinned_jars_step(_fetching(version), _libraries(version))
    return [*distribution_steps(version), libraries, Step(_compiling(version), lambda: not entry.exists())]


def _libraries(version: str) -> Pins:
    return read_pins(SOURCES / f"flink-{version.partition('.')[0]}.txt")


def _entries(jar: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(jar) as opened:
        for name in opened.namelist():
            if not name.endswith("/") and not name.startswith(_LEFT_OUT):
                yield name, opened.read(name)


def _fetching(version: str) -> str:
    return f"fetching the Kafka connector of Flink {version} (once)"


def _compiling(version: str) -> str:
    return f"compiling the Kafka job for Flink {version}"


def _entry(version: str) -> str:
    parts = [version, *_libraries(version).values(), *(source.read_text() for source in sources(SOURCES))]
    return f"kafka-job-{version}/{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}/kafka-job.jar"
