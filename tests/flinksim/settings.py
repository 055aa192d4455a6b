"""How the simulated cluster is configured and how fast it is.

Used by: tests give it to `FlinkSim`. All times in seconds; the speeds are those measured on a real Flink, rounded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

CHECKPOINTS = "execution.checkpointing.dir"
SAVEPOINTS = "execution.checkpointing.savepoint-dir"
INTERVAL = "execution.checkpointing.interval"
TIMEOUT = "execution.checkpointing.timeout"
RETENTION = "execution.checkpointing.externalized-checkpoint-retention"

_DEFAULTS = {
    CHECKPOINTS: "file:///flink/checkpoints",
    SAVEPOINTS: "file:///flink/savepoints",
    INTERVAL: "5s",
    TIMEOUT: "10min",
    RETENTION: "RETAIN_ON_CANCELLATION",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SimSettings:
    """Settings of a simulated cluster.

    Attributes:
        version: decides error texts and fields.
        high_availability: jobs that are not terminal survive the JobManager.
        scheduler: `Default` or `Adaptive`.
        config: Flink options, laid over the defaults.
        refresh: age up to which job details and checkpoint statistics are answered from a cache.
        store_duration: how long results of triggers are kept.
        job_expiration, job_capacity: limits of the store of ended jobs.
        upload_directory: jars survive the JobManager.
        python: the program by that name that JobManager and TaskManagers have; empty: none.
        second_stop: what two overlapping stops do, `both-fail` or `second-wins` (both were seen).
        schemes: file systems the cluster has.
        unwritable: directories below which nothing can be written.
        cooldown: least time between two rescales.
        snapshot_seconds: how long a snapshot takes at least.
    """

    version: str = "2.3.0"
    high_availability: bool = False
    scheduler: str = "Default"
    slots: int = 16
    taskmanagers: int = 1
    config: Mapping[str, str] = field(default_factory=dict)
    refresh: float = 3.0
    store_duration: float = 300.0
    job_expiration: float = 3600.0
    job_capacity: int = 10_000_000
    upload_directory: bool = True
    python: str = "python"
    second_stop: str = "both-fail"
    schemes: frozenset[str] = frozenset({"file", "s3"})
    unwritable: tuple[str, ...] = ("/proc",)
    cooldown: float = 30.0
    cancel_seconds: float = 0.05
    submit_seconds: float = 0.05
    deploy_seconds: float = 0.1
    restart_seconds: float = 1.0
    snapshot_seconds: float = 0.02
    seed: int = 0

    @property
    def first_checkpoint_at_once(self) -> bool:
        """Whether the first periodic checkpoint is made as soon as the tasks run, or some time within the interval."""
        return self.version >= "2.3"

    @property
    def effective(self) -> dict[str, str]:
        """Configuration of the cluster."""
        high_availability = {"high-availability.type": "zookeeper"} if self.high_availability else {}
        scheduler = {"jobmanager.scheduler": self.scheduler.lower()}
        uploads = {"web.upload.dir": "/upload"} if self.upload_directory else {}
        return _DEFAULTS | uploads | high_availability | scheduler | dict(self.config)


_UNITS = {"ms": 0.001, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 0.001}


def duration(text: str) -> float:
    """Seconds of a duration in Flink's notation.

    Raises:
        ValueError: it is none.
    """
    stripped = text.strip().replace(" ", "")
    digits = len(stripped) - len(stripped.lstrip("0123456789"))
    if not digits or stripped[digits:] not in _UNITS:
        raise ValueError(text)
    return int(stripped[:digits]) * _UNITS[stripped[digits:]]
