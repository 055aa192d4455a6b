"""One whole local environment: control plane, Flink, demo jar behind HTTP, and S3 when asked for.

Used by the command line (`python -m deploy.local`), the demo and the benchmarks; tests mostly use the parts. Several
environments run side by side. All processes end when the process that holds the environment ends, SIGKILL included.
"""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.local.controlplane import ControlPlane
from deploy.local.demojob import demo_jar, demo_jar_steps
from deploy.local.fileserver import FileServer
from deploy.local.flink import FlinkCluster, FlinkOptions
from deploy.local.prerequisites import require_java
from deploy.local.processes import Component, Process
from deploy.local.progress import plan
from deploy.local.s3 import S3Server
from deploy.local.sqlrunner import runner_directory, runner_steps

REPOSITORY = Path(__file__).resolve().parents[2]
CRDS = REPOSITORY / "crds"


class Environment(Component):
    """A context manager that starts and stops all parts.

    Args:
        directory: for everything that is written; made when missing.
        flink: how Flink is started; `s3` is filled in when `with_s3`.
        with_s3: also start the S3 server, and keep Flink's state in it.
        crds: directory with CustomResourceDefinitions to apply, or None.
        controllers: see `ControlPlane`.

    Attributes:
        controlplane, flink, fileserver, s3: the parts; `s3` is None without `with_s3`.
        demo_jar: path of the demo job for this Flink version; also served as `demo_jar_url`.
    """

    def __init__(
        self,
        directory: Path,
        flink: FlinkOptions | None = None,
        *,
        with_s3: bool = False,
        crds: Path | None = CRDS,
        controllers: bool = True,
    ) -> None:
        self.directory = directory.resolve()
        self.s3 = S3Server(self.directory / "s3") if with_s3 else None
        options = flink or FlinkOptions()
        self.flink = FlinkCluster(self.directory / "flink", replace(options, s3=self.s3) if self.s3 else options)
        applied = crds if crds and crds.is_dir() else None
        self.controlplane = ControlPlane(self.directory / "controlplane", applied, controllers=controllers)
        self.fileserver = FileServer(self.directory / "files", self.directory / "fileserver.log")
        self.demo_jar = self.directory / "files" / "demo.jar"

    @property
    def demo_jar_url(self) -> str:
        """Where the operator can fetch the demo jar over HTTP."""
        return f"{self.fileserver.url}/{self.demo_jar.name}"

    @property
    def runners(self) -> Path:
        """The directory with the runners of SQL jobs."""
        return runner_directory(self.flink.version)

    @property
    def processes(self) -> tuple[Process, ...]:
        """All processes that were started."""
        s3 = self.s3.processes if self.s3 else ()
        return (*self.controlplane.processes, *self.flink.processes, *self.fileserver.processes, *s3)

    def start(self) -> None:
        """Starts the control plane and Flink at the same time, each as soon as it is made. Raises what the parts raise."""
        self.directory.mkdir(parents=True, exist_ok=True)
        require_java()
        plan.expect([*self.controlplane.steps(), *demo_jar_steps(self.flink.version)])
        plan.expect(runner_steps(self.flink.version))
        parts: list[Callable[[], Any]] = [self.controlplane.start, self._start_flink, self._start_files]
        with ThreadPoolExecutor(len(parts)) as threads:
            for started in [threads.submit(part) for part in parts]:
                started.result()

    def _start_flink(self) -> None:
        if self.s3 is not None:
            self.s3.start()
        self.flink.start()

    def _start_files(self) -> None:
        self.demo_jar.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(demo_jar(self.flink.version), self.demo_jar)
        self.fileserver.start()
        runner_directory(self.flink.version)

    def stop(self) -> None:
        """Ends all processes; the directory stays, with logs and state."""
        self.fileserver.stop()
        self.flink.stop()
        if self.s3 is not None:
            self.s3.stop()
        self.controlplane.stop()

    def variables(self) -> dict[str, str]:
        """What a person or a script needs to use it, as environment variables."""
        found = {
            "KUBECONFIG": str(self.controlplane.kubeconfig),
            "KUBECTL": str(self.controlplane.program("kubectl")),
            "KUBE_AUDIT_LOG": str(self.controlplane.audit_log),
            "FLINK_URL": self.flink.url,
            "FLINK_VERSION": self.flink.version,
            "FLINK_STATE": self.flink.state,
            "DEMO_JAR": str(self.demo_jar),
            "DEMO_JAR_URL": self.demo_jar_url,
            "DEMO_JAR_DIRECTORY": str(self.demo_jar.parent),
            "RUNNER_DIRECTORY": str(self.runners),
            "DEMO_OUT": str(self.directory / "out"),
        }
        if certificates := self.flink.certificates:
            found |= {
                "FLINK_CA": str(certificates.ca),
                "FLINK_CLIENT_CERTIFICATE": str(certificates.client_certificate),
                "FLINK_CLIENT_KEY": str(certificates.client_key),
            }
        if self.s3 is not None:
            found |= {
                "AWS_ENDPOINT_URL": self.s3.endpoint,
                "AWS_ACCESS_KEY_ID": self.s3.access_key,
                "AWS_SECRET_ACCESS_KEY": self.s3.secret_key,
                "AWS_REGION": self.s3.region,
            }
        return found
