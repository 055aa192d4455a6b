"""The operator as a person would install it: the manifests of `deploy/kustomize/base`, and the rights that they grant.

Used by the demo. The process ends with the one that started it, even when that one is killed.
"""

import signal
import sys
from pathlib import Path
from typing import Self

import httpx

from deploy.local import plainhttp
from deploy.local.controlplane import ControlPlane
from deploy.local.environment import REPOSITORY
from deploy.local.ports import free_port
from deploy.local.processes import Process

BASE = REPOSITORY / "deploy" / "kustomize" / "base"
NAMESPACE = "flinkjob-system"
SERVICE_ACCOUNT = "flinkjob-operator"
READY_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0


class Operator:
    """One operator that watches every namespace; a context manager that installs, starts and stops it.

    Args:
        control_plane: which runs.
        directory: for its log, its kubeconfig and its cache of jars; made when missing.
        runners: the directory of the runners of SQL jobs.

    Attributes:
        log: its log file.
        url: of `/healthz`, `/readyz` and `/metrics`.
    """

    def __init__(self, control_plane: ControlPlane, directory: Path, runners: Path) -> None:
        self._control_plane = control_plane
        self._runners = runners
        self.directory = directory
        self.log = directory / "operator.log"
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", BASE)
        kubeconfig = self._control_plane.service_account_kubeconfig(
            NAMESPACE, SERVICE_ACCOUNT, self.directory / "kubeconfig"
        )
        self._process = Process(
            "operator",
            [
                *(sys.executable, "-m", "flinkjob", f"--kubeconfig={kubeconfig}", f"--health-port={self._port}"),
                *(f"--cache-dir={self.directory / 'cache'}", "--log-format=text", "--allow-loopback=true"),
                f"--runner-dir={self._runners}",
            ],
            log=self.log,
            env={"PYTHONPATH": str(REPOSITORY / "operator")},
            cwd=self.directory,
        )
        try:
            self._process.wait_ready(self._ready, timeout=READY_TIMEOUT)
        except BaseException:
            self._process.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.signal(signal.SIGTERM)
            self._process.stop(STOP_TIMEOUT)

    @property
    def process(self) -> Process:
        """The running process."""
        assert self._process is not None, "not started"
        return self._process

    def _ready(self) -> bool:
        try:
            return plainhttp.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False
