"""A handful of real jobs that differ, for whoever looks at the pages.

One was upgraded and rescaled, one failed and went on, one is suspended, one is over, and one needs a person.

Used by `demopages.py`. Each job runs on the environment's Flink, and everything about it is the operator's doing.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.local.environment import Environment
from deploy.local.processes import wait_until

NAMESPACE = "shop"
DEADLINE = 90.0
_NAMES = ("clicks", "payments", "orders", "imports", "views")

Object = dict[str, Any]


class Gallery:
    """The jobs.

    Args:
        environment: which runs, with an operator.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._jobs = self.jobs()

    def jobs(self) -> dict[str, Object]:
        """The FlinkJobs as they are applied first, by their names."""
        mended = self._directory("payments") / "mended"
        fails = ("--fail-after", "600", "--restart", "10", "--fail-until", str(mended))
        missing = f"{self._environment.fileserver.url}/views-2.0.jar"
        return {
            "clicks": self._job("clicks", "--rate", "200"),
            "payments": self._job("payments", "--rate", "200", *fails),
            "orders": self._job("orders", "--rate", "100"),
            "imports": self._job("imports", "--rate", "500", "--count", "1000"),
            "views": self._job("views", jar={"uri": missing}),
        }

    def hang(self) -> None:
        """Applies all of them and has each live through its story. Raises ProcessFailed: one does not."""
        kubectl = self._environment.controlplane.kubectl
        kubectl("create", "namespace", NAMESPACE)
        for name in _NAMES:
            self._directory(name).mkdir(parents=True, exist_ok=True)
            self._apply(self._jobs[name])
        self._running("clicks", 1)
        self._apply(self._savepoint("clicks-before-the-sale", "clicks"))
        self._wait("flinksavepoint", "clicks-before-the-sale", lambda status: status.get("phase") == "Completed")
        self._change("clicks", args=["--rate", "400", *self._out("clicks")])
        self._running("clicks", 2)
        self._wait("flinkjob", "payments", lambda status: status.get("job", {}).get("restarts", 0) > 0)
        (self._directory("payments") / "mended").touch()
        self._change("orders", state="Suspended")
        self._change("clicks", parallelism=2)
        for name, phase in (("orders", "Suspended"), ("imports", "Finished"), ("payments", "Running")):
            self._phase(name, phase)
        self._running("clicks", 3)
        self._wait("flinkjob", "clicks", lambda status: status.get("job", {}).get("tasksRunning", 0) > 2)
        self._wait("flinkjob", "views", _needs_a_person)

    def _job(self, name: str, *args: str, **spec: Any) -> Object:
        base = {
            "cluster": {"url": self._environment.flink.url},
            "jar": {"uri": self._environment.demo_jar_url},
            "args": [*args, *self._out(name)],
            "checkpoint": {"interval": "1s"},
            "savepoints": {"directory": (self._environment.directory.parent / "savepoints").as_uri()},
        }
        meta = {"name": name, "namespace": NAMESPACE}
        return {"apiVersion": "flinkjob.dev/v1alpha1", "kind": "FlinkJob", "metadata": meta, "spec": base | spec}

    def _savepoint(self, name: str, job: str) -> Object:
        meta = {"name": name, "namespace": NAMESPACE}
        spec = {"jobRef": {"name": job}}
        return {"apiVersion": "flinkjob.dev/v1alpha1", "kind": "FlinkSavepoint", "metadata": meta, "spec": spec}

    def _out(self, name: str) -> tuple[str, str]:
        return "--out", str(self._directory(name) / "out")

    def _directory(self, name: str) -> Path:
        return self._environment.directory / NAMESPACE / name

    def _change(self, name: str, **spec: Any) -> None:
        job = self._jobs[name]
        self._jobs[name] = {**job, "spec": {**job["spec"], **spec}}
        self._apply(self._jobs[name])

    def _apply(self, manifest: Object) -> None:
        text = json.dumps(manifest)
        self._environment.controlplane.kubectl("apply", "--server-side", "-f", "-", stdin=text)

    def _running(self, name: str, number: int) -> None:
        def good(status: Object) -> bool:
            return status.get("phase") == "Running" and status["submission"]["number"] == number

        self._wait("flinkjob", name, good)

    def _phase(self, name: str, phase: str) -> None:
        self._wait("flinkjob", name, lambda status: status.get("phase") == phase)

    def _wait(self, kind: str, name: str, good: Callable[[Object], object]) -> None:
        def attempt() -> object:
            text = self._environment.controlplane.kubectl("get", kind, name, "--namespace", NAMESPACE, "-o", "json")
            return good(json.loads(text).get("status", {}))

        wait_until(attempt, timeout=DEADLINE, what=f"{kind} {name}", interval=0.2)


def _needs_a_person(status: Object) -> bool:
    return any(each["type"] == "Stalled" and each["status"] == "True" for each in status.get("conditions", ()))
