"""A real Flink session cluster: one JobManager, any number of TaskManagers, optionally ZooKeeper, TLS and S3.

Used by `environment.py`, the fixtures of the tests and the benchmarks. State, uploads, logs and configuration lie below
the directory of the cluster, so several clusters run side by side. The REST port stays the same over restarts of the
JobManager.
"""

import signal
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from deploy.local.flinkdist import DEFAULT_VERSION, distribution, full_version, s3_plugins
from deploy.local.jvm import JAVA_OPTIONS, class_data, taskmanager_parameters, write_configuration
from deploy.local.ports import free_port
from deploy.local.prerequisites import require
from deploy.local.processes import Component, Process, wait_until
from deploy.local.s3 import S3Server
from deploy.local.tls import Certificates, make_certificates

START_TIMEOUT = 120.0
_ENTRYPOINT = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASKMANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_FRUGAL = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dpekko.scheduler.tick-duration=50ms")
"""The last one: two threads of each process wake up every 10 ms otherwise, four tenths of what an idle Flink costs."""
_ZOOKEEPER = "org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.ZooKeeperServerMain"


@dataclass(frozen=True, kw_only=True, slots=True)
class FlinkOptions:
    """How a cluster is started.

    Attributes:
        version: `2.3` or `2.3.0`; see `flinkdist.DIGESTS`.
        taskmanagers: how many at the start.
        slots: of each TaskManager.
        config: Flink options, stronger than the defaults of `jvm.DEFAULTS`; one without a value is not set.
        high_availability: ZooKeeper, session time-out 6 s.
        tls: serve REST over TLS; `mutual_tls` also asks for a client certificate.
        s3: where checkpoints, savepoints and HA data go (bucket `flink`) instead of local files.
        jobmanager_heap: Java notation.
        class_data: a directory that receives the class data of both roles when they are stopped, see `classdata.py`.
    """

    version: str = DEFAULT_VERSION
    taskmanagers: int = 1
    slots: int = 16
    config: Mapping[str, str] = field(default_factory=dict)
    high_availability: bool = False
    tls: bool = False
    mutual_tls: bool = False
    s3: S3Server | None = None
    jobmanager_heap: str = "512m"
    class_data: Path | None = None


class FlinkCluster(Component):
    """One session cluster; a context manager that starts and stops it.

    Args:
        directory: for state, logs, uploads and configuration; made when missing.
        options: see `FlinkOptions`; keyword arguments of the same names can be given instead.

    Attributes:
        url: of the REST endpoint, without a slash at the end.
        version: full version number.
        state: directory (or S3 address) with `checkpoints/`, `savepoints/` and `ha/`.
        certificates: of TLS, else None.
    """

    def __init__(self, directory: Path, options: FlinkOptions | None = None, **changes: Any) -> None:
        self.directory = directory.resolve()
        self.options = options or FlinkOptions(**changes)
        self.version = full_version(self.options.version)
        self._rest_port = free_port()
        self._rpc_port = free_port()
        self._zookeeper_port = free_port()
        self._zookeeper: Process | None = None
        self._jobmanager: Process | None = None
        self._taskmanagers: dict[str, Process] = {}
        self._started = 0
        self.certificates: Certificates | None = None
        secure = self.options.tls or self.options.mutual_tls
        self.url = f"{'https' if secure else 'http'}://localhost:{self._rest_port}"
        self.state = "s3://flink/state" if self.options.s3 else f"file://{self.directory / 'state'}"

    def start(self) -> None:
        """Starts everything and waits until REST answers and all slots are there.

        Raises:
            MissingPrerequisite, StepFailed: Flink cannot be installed or run here.
            ProcessFailed: a process ended or was not ready in time.
        """
        require("java", "Flink runs on Java 17")
        self._lib = distribution(self.version)
        for part in ("state", "upload", "tmp", "logs"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        if self.options.tls or self.options.mutual_tls:
            self.certificates = make_certificates(self.directory / "tls", mutual=self.options.mutual_tls)
        write_configuration(self.directory / "conf", self._configuration())
        if self.options.high_availability:
            self._start_zookeeper()
        self.start_jobmanager(wait=False)
        for _ in range(self.options.taskmanagers):
            self.add_taskmanager(wait=False)
        self._wait_jobmanager()
        self.wait_slots()

    def stop(self) -> None:
        """Ends every process at once; state and logs stay in the directory."""
        for process in self.processes:
            process.signal(signal.SIGKILL)
        for process in self.processes:
            process.stop(grace=0)

    # JobManager

    def start_jobmanager(self, *, wait: bool = True) -> Process:
        """Starts the JobManager and waits until REST answers; on the same port each time. Raises ProcessFailed."""
        options = [f"-Xmx{self.options.jobmanager_heap}", *self._frugal("jobmanager")]
        self._jobmanager = self._java("jobmanager", options, _ENTRYPOINT, "--configDir", str(self.directory / "conf"))
        if wait:
            self._wait_jobmanager()
        return self._jobmanager

    def stop_jobmanager(self, grace: float = 20.0) -> None:
        """SIGTERM, as on a planned restart; SIGKILL after `grace` seconds."""
        if self._jobmanager is not None:
            self._jobmanager.stop(grace)

    def kill_jobmanager(self) -> None:
        """SIGKILL, as on a crash."""
        if self._jobmanager is not None:
            self._jobmanager.kill()

    def restart_jobmanager(self, *, kill: bool = False) -> None:
        """Ends the JobManager (by SIGKILL when `kill`), starts another, and waits until REST answers."""
        self.kill_jobmanager() if kill else self.stop_jobmanager()
        self.start_jobmanager()

    # TaskManagers

    def add_taskmanager(self, *, wait: bool = True) -> str:
        """Starts one more TaskManager, waits for its slots, and returns its name (`tm1`, `tm2`, …)."""
        self._started += 1
        name = f"tm{self._started}"
        jvm, dynamic = taskmanager_parameters(self._lib, self.version, self.directory / "conf")
        self._taskmanagers[name] = self._java(
            name,
            [*jvm, *self._frugal("taskmanager")],
            *(_TASKMANAGER, "--configDir", str(self.directory / "conf"), *dynamic),
            *("-D", f"taskmanager.resource-id={name}"),
        )
        if wait:
            self.wait_slots()
        return name

    def kill_taskmanager(self, name: str | None = None) -> None:
        """SIGKILL to a TaskManager, by default the oldest one, which is then forgotten."""
        self._taskmanagers.pop(name or next(iter(self._taskmanagers))).kill()

    def wait_slots(self, timeout: float = START_TIMEOUT) -> None:
        """Waits until the JobManager knows the slots of all running TaskManagers. Raises ProcessFailed."""
        wanted = sum(p.running for p in self._taskmanagers.values()) * self.options.slots
        wait_until(
            lambda: (found := self._overview()) is not None and found["slots-total"] >= wanted,
            timeout=timeout,
            what=f"{wanted} slots",
            log=self.directory / "logs" / "jobmanager.log",
        )

    # What clients need

    def ssl_context(self) -> ssl.SSLContext | bool:
        """For `httpx.Client(verify=…)`: trusts the CA and presents the client certificate; False without TLS."""
        if self.certificates is None:
            return False
        context = ssl.create_default_context(cafile=self.certificates.ca)
        context.load_cert_chain(self.certificates.client_certificate, self.certificates.client_key)
        return context

    def http(self, timeout: float = 30.0) -> httpx.Client:
        """An HTTP client for the REST endpoint (a context manager; paths are relative to `url`)."""
        return httpx.Client(base_url=self.url, verify=self.ssl_context(), trust_env=False, timeout=timeout)

    @property
    def jobmanager(self) -> Process:
        """The last JobManager that was started."""
        assert self._jobmanager is not None, "not started"
        return self._jobmanager

    @property
    def taskmanagers(self) -> Mapping[str, Process]:
        """The TaskManagers by name, without those that were killed or stopped through this class."""
        return self._taskmanagers

    @property
    def processes(self) -> tuple[Process, ...]:
        """All processes; ended ones included, if not forgotten."""
        some = (self._jobmanager, self._zookeeper, *self._taskmanagers.values())
        return tuple(process for process in some if process is not None)

    # Inside

    def _configuration(self) -> dict[str, str]:
        config = {
            "jobmanager.rpc.port": str(self._rpc_port),
            "rest.port": str(self._rest_port),
            "taskmanager.numberOfTaskSlots": str(self.options.slots),
            "web.upload.dir": str(self.directory / "upload"),
            "io.tmp.dirs": str(self.directory / "tmp"),
            "execution.checkpointing.dir": f"{self.state}/checkpoints",
            "execution.checkpointing.savepoint-dir": f"{self.state}/savepoints",
        }
        if self.options.high_availability:
            config |= {
                "high-availability.type": "zookeeper",
                "high-availability.zookeeper.quorum": f"localhost:{self._zookeeper_port}",
                "high-availability.zookeeper.client.session-timeout": "6000",
                "high-availability.cluster-id": "/local",
                "high-availability.storageDir": f"{self.state}/ha",
            }
        if self.certificates is not None:
            config |= self.certificates.flink_options()
        if self.options.s3 is not None:
            config |= self.options.s3.flink_options()
        return {key: value for key, value in (config | dict(self.options.config)).items() if value}

    def _frugal(self, role: str) -> list[str]:
        """Options for a process that lives for minutes on a machine with few cores."""
        return [*_FRUGAL, *class_data(self.version, role, self.options.class_data)]

    def _java(self, name: str, options: list[str], main: str, *arguments: str) -> Process:
        env = {"FLINK_OPT_DIR": str(self._lib / "opt"), "FLINK_LIB_DIR": str(self._lib / "lib")}
        if self.options.s3 is not None:
            env["FLINK_PLUGINS_DIR"] = str(s3_plugins(self.version))
        logging = f"-Dlog4j.configurationFile={self.directory / 'conf' / 'log4j-console.properties'}"
        return Process(
            name,
            ["java", *options, *JAVA_OPTIONS, logging, "-cp", f"{self._lib / 'lib'}/*", main, *arguments],
            log=self.directory / "logs" / f"{name}.log",
            env=env,
            cwd=self.directory,
        )

    def _start_zookeeper(self) -> None:
        options = ["-Xmx128m", "-XX:TieredStopAtLevel=1", "-Dzookeeper.admin.enableServer=false"]
        data = self.directory / "zookeeper"
        self._zookeeper = self._java("zookeeper", options, _ZOOKEEPER, str(self._zookeeper_port), str(data))

    def _wait_jobmanager(self) -> None:
        self.jobmanager.wait_ready(lambda: self._overview() is not None, timeout=START_TIMEOUT)

    def _overview(self) -> dict[str, Any] | None:
        try:
            with self.http(timeout=5) as http:
                answer = http.get("/overview")
            return dict(answer.json()) if answer.status_code == 200 else None
        except httpx.HTTPError:
            return None
