"""Simulated Flink clusters as a process of their own, and FlinkJobs for them: many jobs without many machines.

Used by the benchmarks and by `integration/test_frugal.py`. What the clusters do is held to real Flink by the contract suite.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Self

from deploy.local import plainhttp
from deploy.local.processes import Process, wait_until
from tests.flinksim.program import make_jar
from tests.support.kube import Object

REPOSITORY = Path(__file__).resolve().parents[2]
API_VERSION = "flinkjob.dev/v1alpha1"


class SimFleet:
    """The clusters; a context manager.

    Args:
        directory: for the log and the jar; made when missing.
        clusters: how many.
        slots: of each.

    Attributes:
        urls: of the clusters.
        control: the address of the control port.
        jar: a file that they run as the demo job.
    """

    def __init__(self, directory: Path, *, clusters: int, slots: int) -> None:
        self._directory, self._sizes = directory, (clusters, slots)
        self.jar = directory / "jars" / "job.jar"
        self.urls: list[str] = []
        self.control = ""

    def __enter__(self) -> Self:
        self.jar.parent.mkdir(parents=True, exist_ok=True)
        self.jar.write_bytes(make_jar())
        file = self._directory / "fleet.json"
        command = [sys.executable, "-m", "tests.flinksim.fleet", *map(str, self._sizes), str(file)]
        environment = {"PYTHONPATH": str(REPOSITORY / "operator")}
        self._process = Process("fleet", command, log=self._directory / "fleet.log", env=environment, cwd=REPOSITORY)
        self._process.wait_ready(file.exists, timeout=60)
        told = json.loads(file.read_text())
        self.urls, self.control = told["clusters"], told["control"]
        self._http = plainhttp.client(base_url=self.control, timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._process.kill()

    @property
    def pid(self) -> int:
        """Of the process that simulates."""
        return self._process.pid

    def job(self, namespace: str, number: int, **spec: Any) -> Object:
        """FlinkJob `job-NUMBER` on one of the clusters; `spec` replaces whole parts of the spec."""
        base: dict[str, Any] = {
            "cluster": {"url": self.urls[number % len(self.urls)]},
            "jar": {"uri": f"file://{self.jar}"},
            "args": ["--rate", "1"],
            "checkpoint": {"interval": "60s"},
            "savepoints": {"directory": f"file:///savepoints/{number}"},
        }
        meta = {"name": f"job-{number}", "namespace": namespace}
        return {"apiVersion": API_VERSION, "kind": "FlinkJob", "metadata": meta, "spec": base | spec}

    def requests(self) -> Counter[str]:
        """How many requests came so far to all clusters, by method and path; ids are written `:id`, jars `:jar`."""
        return Counter(self._ask("GET", "/counts")["requests"])

    def sent(self) -> int:
        """How many bytes the clusters have answered so far."""
        return int(self._ask("GET", "/counts")["bytes"])

    def all_run(self, number: int, timeout: float) -> None:
        """Waits until so many jobs run with all their tasks. Raises ProcessFailed."""
        wait_until(lambda: self._ask("GET", "/running") == number, timeout=timeout, what=f"{number} jobs", interval=0.1)

    def silence(self, cluster: int) -> None:
        """The cluster takes requests and never answers, until `wake`."""
        self._ask("POST", f"/silence/{cluster}")

    def wake(self, cluster: int) -> None:
        """The cluster answers again."""
        self._ask("POST", f"/wake/{cluster}")

    def _ask(self, method: str, path: str) -> Any:
        return self._http.request(method, path).raise_for_status().json()
