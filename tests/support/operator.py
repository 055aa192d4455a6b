"""The operator as a process of its own, with exactly the rights that the manifests grant, never as administrator.

Used by the integration and crash suites and the benchmarks. The process ends with the test that started it, even when that
one is killed.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx

from deploy.local import plainhttp
from deploy.local.controlplane import ControlPlane
from deploy.local.ports import free_port
from deploy.local.processes import Process
from deploy.local.sqlrunner import runner_directory
from tests.support.prefork import Forked, Prefork
from tests.support.rbac import allow_lease, operator_kubeconfig

REPOSITORY = Path(__file__).resolve().parents[2]
READY_TIMEOUT = 60.0
USER = "system:serviceaccount:flinkjob-system:flinkjob-operator"
"""Who the operator is in the audit log."""

__all__ = ["USER", "OperatorProcess", "operator_kubeconfig"]


class OperatorProcess:
    """One operator; a context manager that starts it, waits until it is ready, and ends it.

    Args:
        control_plane: where it works; the manifests are applied when they were not.
        directory: for its log and its cache of jars; made when missing.
        namespaces: that it watches; none: all.
        identity: the setting of that name.
        artifact_dirs: below which `file:` jars may lie.
        options: more flags without their dashes, such as `poll-slow-ms`.
        fault_kill_at: the fault point at which it kills itself, such as `before:run`.
        prefork: starts the process instead of a new Python, which takes two seconds less.
        module: what Python runs, the operator or a program around it.
        environment: more variables of the process.

    Attributes:
        log: its log file, one for all starts.
        url: of its probes and metrics; another one after each start.
    """

    def __init__(
        self,
        control_plane: ControlPlane,
        directory: Path,
        *,
        namespaces: Sequence[str] = (),
        identity: str = "default",
        artifact_dirs: Sequence[Path] = (),
        options: Mapping[str, str | int] | None = None,
        fault_kill_at: str = "",
        prefork: Prefork | None = None,
        module: str = "flinkjob",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._kubeconfig = operator_kubeconfig(control_plane)
        self.directory = directory
        self.identity = identity
        self.fault_kill_at = fault_kill_at
        self.log = directory / "operator.log"
        self.url = ""
        self._flags: dict[str, str | int] = {
            "kubeconfig": str(self._kubeconfig),
            "cache-dir": str(directory / "cache"),
            "runner-dir": str(runner_directory()),
            "identity": identity,
            "log-format": "text",
            "allow-loopback": "true",
            "workers": 8,
            **(options or {}),
        }
        if "lease-namespace" in self._flags:
            shards = int(self._flags.get("shards", 1))
            allow_lease(control_plane, str(self._flags["lease-namespace"]), identity, shards)
        if namespaces:
            self._flags["namespaces"] = ",".join(namespaces)
        if artifact_dirs:
            self._flags["artifact-dirs"] = ",".join(map(str, artifact_dirs))
        self._prefork = prefork
        self._module, self._environment = module, dict(environment or {})
        self._process: Process | Forked | None = None

    def __enter__(self) -> Self:
        try:
            self.start().wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> Self:
        """Starts it and does not wait. `fault_kill_at` is read anew at each start."""
        assert not self.running, "already running"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.directory.mkdir(parents=True, exist_ok=True)
        flags = {**self._flags, "health-port": port}
        environment = {"PYTHONPATH": str(REPOSITORY / "operator"), "PYTHONWARNINGS": "default", **self._environment}
        environment["FLINKJOB_FAULT_KILL_AT"] = self.fault_kill_at
        arguments = [f"--{name}={value}" for name, value in flags.items()]
        if self._prefork is not None:
            self._process = self._prefork.start(arguments, environment, self.log)
            return self
        command = [sys.executable, "-m", self._module, *arguments]
        self._process = Process("operator", command, log=self.log, env=environment, cwd=REPOSITORY)
        return self

    def wait_ready(self, timeout: float = READY_TIMEOUT) -> Self:
        """Waits until `/readyz` says yes. Raises ProcessFailed when it ends or takes too long."""
        self.process.wait_ready(lambda: self._code("/readyz") == 200, timeout=timeout)
        return self

    @property
    def process(self) -> Process | Forked:
        """The last process that was started."""
        assert self._process is not None, "not started"
        return self._process

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.running

    def stop(self, grace: float = 30.0) -> int:
        """SIGTERM, and waits for the end; returns the exit code. Raises ProcessFailed when it takes longer."""
        self.process.signal(signal.SIGTERM)
        return self.process.wait(grace)

    def kill(self) -> None:
        """SIGKILL, and waits for the end; nothing happens when it does not run."""
        if self._process is not None:
            self._process.kill()

    def wait_killed(self, timeout: float = READY_TIMEOUT) -> None:
        """Waits until it has ended by SIGKILL, as it does at its fault point. Raises ProcessFailed, AssertionError."""
        code = self.process.wait(timeout)
        assert code == 128 + signal.SIGKILL, f"ended with {code}, not at {self.fault_kill_at}:\n{self.said()[-3000:]}"

    def restart(self, *, kill: bool = False) -> None:
        """Ends it (by SIGKILL when `kill`), starts it without a fault point, and waits until it is ready."""
        if self.running:
            self.kill() if kill else self.stop()
        self.fault_kill_at = ""
        self.start().wait_ready()

    def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics`, by its name with labels as they are written there."""
        text = plainhttp.get(f"{self.url}/metrics", timeout=10).raise_for_status().text
        lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def said(self) -> str:
        """Its log so far, of all starts."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def complaints(self) -> list[str]:
        """Lines of the log that must never be there: tracebacks, internal errors, Python's warnings."""
        bad = re.compile(r"Traceback|internal error|never awaited|never retrieved|\bERROR\b|Warning:")
        return [line for line in self.said().splitlines() if bad.search(line) and "will retry" not in line]

    def _code(self, path: str) -> int:
        try:
            return plainhttp.get(self.url + path, timeout=5).status_code
        except httpx.HTTPError:
            return 0
