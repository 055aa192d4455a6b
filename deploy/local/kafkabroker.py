"""A real Kafka broker in one process, with one topic that has lines in it; the program and the pins are in `kafkabroker/`."""

import hashlib
from pathlib import Path

from deploy.local.cache import cache_root, cached
from deploy.local.javajar import compiled, sources
from deploy.local.jvm import JAVA_OPTIONS
from deploy.local.maven import pinned_jars, pinned_jars_step, read_pins
from deploy.local.plan import Step
from deploy.local.ports import free_port
from deploy.local.prerequisites import require
from deploy.local.processes import OneProcess, Process

SOURCES = Path(__file__).with_name("kafkabroker")
LIBRARIES = SOURCES / "libraries.txt"
MAIN = "dev.flinkjob.kafka.Broker"
_FETCHING = "fetching a Kafka broker (once)"
_COMPILING = "compiling the program around the Kafka broker"
_CONFIGURATION = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@localhost:{controller}
listeners=PLAINTEXT://localhost:{port},CONTROLLER://localhost:{controller}
controller.listener.names=CONTROLLER
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
"""
_IDENTITY = "version=1\nnode.id=1\ncluster.id=flinkjob-local\n"


class KafkaBroker(OneProcess):
    """One broker; a context manager that starts it, without waiting, and stops it.

    Args:
        directory: for data, configuration and log; made when missing.
        topic: which it has.
        lines: how many lines the topic has: the numbers from 0 on.

    Attributes:
        address: `localhost:PORT`, for `bootstrap.servers`.
    """

    def __init__(self, directory: Path, *, topic: str, lines: int) -> None:
        self.directory, self._topic, self._lines = directory, topic, lines
        self._port = free_port()
        self.address = f"localhost:{self._port}"

    def start(self) -> None:
        """Starts the broker and does not wait for it.

        Raises:
            MissingPrerequisite, StepFailed: its libraries cannot be had, or its program not be compiled.
        """
        data, file = self.directory / "data", self.directory / "server.properties"
        data.mkdir(parents=True, exist_ok=True)
        (data / "meta.properties").write_text(_IDENTITY)
        file.write_text(_CONFIGURATION.format(port=self._port, controller=free_port(), data=data))
        path = ":".join(map(str, [broker_classes(), *_libraries()]))
        options = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m", *JAVA_OPTIONS]
        arguments = [str(file), self.address, self._topic, str(self._lines)]
        self._process = Process("kafka", ["java", *options, "-cp", path, MAIN, *arguments], log=self._log)

    def wait_ready(self, timeout: float = 120.0) -> None:
        """Waits until the topic has its lines. Raises ProcessFailed."""
        assert self._process is not None, "not started"
        self._process.wait_ready(lambda: "\nready\n" in f"\n{self._log.read_text()}" or None, timeout=timeout)

    @property
    def _log(self) -> Path:
        return self.directory / "kafka.log"


def broker_classes() -> Path:
    """The directory with the compiled program. Raises as `KafkaBroker.start`."""

    def build(target: Path) -> None:
        require("java", "a Kafka broker runs on Java 17")
        compiled(_COMPILING, SOURCES, _libraries(), target, release="17")

    return cached(_entry(), build)


def broker_steps() -> list[Step]:
    """What `KafkaBroker.start` would make before."""
    entry = cache_root() / _entry()
    return [pinned_jars_step(_FETCHING, read_pins(LIBRARIES)), Step(_COMPILING, lambda: not entry.exists())]


def _libraries() -> list[Path]:
    return pinned_jars(_FETCHING, read_pins(LIBRARIES))


def _entry() -> str:
    parts = [LIBRARIES.read_text(), *(source.read_text() for source in sources(SOURCES))]
    return f"kafka-broker-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"
