"""How Flink's own start scripts would call Java: options, configuration files, memory parameters of a TaskManager.

Used by `flink.py` alone; the scripts themselves are not in the distribution that is installed.
"""

import hashlib
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from deploy.local.cache import cache_root, cached
from deploy.local.progress import run_step

DEFAULTS: Mapping[str, str] = {
    "jobmanager.rpc.address": "localhost",
    "jobmanager.bind-host": "localhost",
    "jobmanager.memory.process.size": "1024m",
    "taskmanager.bind-host": "localhost",
    "taskmanager.host": "localhost",
    "taskmanager.memory.process.size": "1400m",
    "taskmanager.memory.managed.size": "64m",
    "taskmanager.memory.network.min": "128m",
    "taskmanager.memory.network.max": "128m",
    "taskmanager.memory.jvm-overhead.min": "128m",
    "taskmanager.memory.jvm-overhead.max": "128m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "rest.address": "localhost",
    "rest.bind-address": "localhost",
    "parallelism.default": "1",
    "state.backend.type": "hashmap",
    "execution.checkpointing.interval": "5s",
    "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
    "cluster.intercept-user-system-exit": "THROW",
    # A TaskManager finds a restarted JobManager in 8 s instead of 50 s.
    "heartbeat.interval": "2000",
    "heartbeat.timeout": "8000",
    "cluster.registration.error-delay": "500",
    "cluster.registration.max-timeout": "2000",
}
_LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = ConsoleAppender
appender.console.name = ConsoleAppender
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %-60c %x - %m%n
"""
_OPENED = (
    *("java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.lang.reflect", "java.text", "java.time"),
    *("java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks"),
)
_COMPILER_PACKAGES = ("api", "file", "parser", "tree", "util")
JAVA_OPTIONS = (
    "--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED",
    "--add-exports=java.security/sun.security.krb5=ALL-UNNAMED",
    *(f"--add-exports=jdk.compiler/com.sun.tools.javac.{name}=ALL-UNNAMED" for name in _COMPILER_PACKAGES),
    *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENED),
)
_RESULT = "BASH_JAVA_UTILS_EXEC_RESULT:"


def class_data_entry(version: str) -> str:
    """The entry of the cache with the class data of a Flink version (`jobmanager.jsa`, `taskmanager.jsa`) for this Java."""
    java = Path(shutil.which("java") or "java").resolve()
    made = java.stat().st_mtime_ns if java.exists() else 0
    digest = hashlib.sha256(repr((version, str(java), made, JAVA_OPTIONS)).encode()).hexdigest()[:16]
    return f"flink-classes/{version}-{digest}"


def class_data(version: str, role: str, record: Path | None) -> list[str]:
    """Java options that use the class data of a role where they were made, or write them to the directory `record`."""
    if record is not None:
        return [f"-XX:ArchiveClassesAtExit={record / role}.jsa"]
    archive = cache_root() / class_data_entry(version) / f"{role}.jsa"
    return [f"-XX:SharedArchiveFile={archive}", "-Xlog:cds=off"] if archive.exists() else []


def write_configuration(directory: Path, config: Mapping[str, str]) -> None:
    """Writes `config.yaml` (the defaults and `config`) and the logging configuration into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    merged = {**DEFAULTS, **config}
    (directory / "config.yaml").write_text(yaml.safe_dump(merged, width=10_000))
    (directory / "log4j-console.properties").write_text(_LOGGING)


def taskmanager_parameters(distribution: Path, version: str, conf: Path) -> tuple[list[str], list[str]]:
    """The Java options and the `-D` arguments that Flink computes from the memory options.

    They depend on the options `taskmanager.*` alone, so the answer is kept in the cache.

    Raises:
        StepFailed: the configuration is wrong; the message holds Flink's words.
    """
    config = yaml.safe_load((conf / "config.yaml").read_text())
    relevant = sorted((key, value) for key, value in config.items() if key.startswith("taskmanager."))
    digest = hashlib.sha256(repr((version, relevant)).encode()).hexdigest()[:16]

    def compute(target: Path) -> None:
        classpath = f"{distribution}/bin/bash-java-utils.jar:{distribution}/lib/flink-dist-{version}.jar"
        main = ["org.apache.flink.runtime.util.bash.BashJavaUtils", "GET_TM_RESOURCE_PARAMS"]
        output = run_step(
            "computing the memory of a TaskManager",
            ["java", "-XX:TieredStopAtLevel=1", "-cp", classpath, *main, "--configDir", conf],
        )
        target.write_text("".join(f"{x.removeprefix(_RESULT)}\n" for x in output.splitlines() if x.startswith(_RESULT)))

    jvm, dynamic = cached(f"taskmanager-parameters/{digest}", compute).read_text().splitlines()[:2]
    return shlex.split(jvm), shlex.split(dynamic)
