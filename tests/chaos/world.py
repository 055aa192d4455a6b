"""The real components that chaos is done to, and the FlinkJobs that live through it.

Used by `tests.chaos`. The wishes of a person are kept beside the cluster, so that at the end the last spec can be asked for.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.local.environment import Environment
from deploy.local.flink import FlinkOptions
from deploy.local.records import Summary, check_exactly_once, restores
from tests.support.kube import Kube
from tests.support.lab import Lab, observed
from tests.support.operator import OperatorProcess

NAMESPACE = "chaos"
SETTLED_WITHIN = 180.0
"""Seconds, after the last fault, in which every job must run under its last spec."""


@dataclass
class Victim:
    """One FlinkJob and what is wanted of it."""

    name: str
    manifest: dict[str, Any]
    savepoints: int = 0
    edits: int = 0
    wanted: dict[str, Any] = field(default_factory=dict)


class World:
    """A control plane, a Flink cluster without high availability, an operator, and some FlinkJobs."""

    def __init__(self, directory: Path, *, jobs: int, seed: int) -> None:
        self.random = random.Random(seed)
        config = {"heartbeat.timeout": "6000", "heartbeat.interval": "2000"}
        options = FlinkOptions(taskmanagers=2, slots=jobs * 3 + 2, config=config)
        self.environment = Environment(directory / "environment", options)
        self._directory = directory
        self._jobs = jobs
        self.victims: list[Victim] = []

    def start(self) -> None:
        """Start everything and wait until all jobs run."""
        self.environment.start()
        control_plane = self.environment.controlplane
        self.kube = Kube(control_plane.kubeconfig)
        self.kube.create_namespace(NAMESPACE)
        self.operator = OperatorProcess(
            control_plane,
            self._directory / "operator",
            namespaces=[NAMESPACE],
            identity=NAMESPACE,
            artifact_dirs=[self._directory],
            options={"state-dirs": str(self._directory)},
        )
        self.operator.start().wait_ready()
        jar = self.environment.demo_jar
        self.lab = Lab(self.kube, self.environment.flink, self.operator, NAMESPACE, jar, self._directory)
        for number in range(self._jobs):
            self._add(f"job-{number}", ("Savepoint", "LastState")[number % 2])
        for victim in self.victims:
            self.lab.running(victim.name, deadline=120)

    def _add(self, name: str, strategy: str) -> None:
        manifest = self.lab.job(
            name,
            checkpoint={"interval": "500ms"},
            upgrade={"strategy": strategy},
            restart={"initialDelay": "1s", "maxDelay": "5s"},
        )
        manifest["spec"]["args"] = ["--rate", "50", "--out", str(self.lab.out(name))]
        self.lab.apply(manifest)
        self.victims.append(Victim(name, manifest))

    def stop(self) -> None:
        """End everything."""
        self.lab.close()
        self.kube.__exit__()
        self.operator.kill()
        self.environment.stop()

    # the end

    def settle(self) -> None:
        """Ask for every job to run under its last spec, and wait for it.

        Raises:
            ProcessFailed: one did not get there.
        """
        for victim in self.victims:
            victim.manifest = self.lab.edit(victim.manifest, state="Running")
        for victim in self.victims:
            self.lab.wait(victim.name, _runs_as_wanted, "Running under its last spec", SETTLED_WITHIN)

    def suspend(self) -> None:
        """Stop every job with a savepoint, so that what it counted is committed."""
        for victim in self.victims:
            victim.manifest = self.lab.edit(victim.manifest, state="Suspended")
        for victim in self.victims:
            self.lab.phase(victim.name, "Suspended", SETTLED_WITHIN)

    def violations(self) -> list[str]:
        """Everything that must not be, in words; empty after good work."""
        found = []
        for victim in self.victims:
            summary = self.counted(victim)
            if not summary.ok or summary.total == 0:
                found.append(f"{victim.name}: {summary}")
            fresh = sum(1 for start in restores(self.lab.out(victim.name)) if start.fresh and start.attempt == 0)
            if fresh != 1:
                found.append(f"{victim.name}: started {fresh} times without state")
            if live := self.lab.live_jobs(victim.name):
                found.append(f"{victim.name}: {len(live)} jobs live though it is suspended")
        return found

    def counted(self, victim: Victim) -> Summary:
        """What the job's files say."""
        return check_exactly_once(self.lab.out(victim.name))

    def two_live(self) -> list[str]:
        """FlinkJobs that have two live jobs right now; Flink may be down, then nothing is known."""
        try:
            return [victim.name for victim in self.victims if len(self.lab.live_jobs(victim.name)) > 1]
        except Exception:  # noqa: BLE001 - it is being killed
            return []


def _runs_as_wanted(job: dict[str, Any]) -> bool:
    status = job.get("status", {})
    submission = status.get("submission", {})
    wanted = job["spec"]
    return bool(
        observed(job)
        and status.get("phase") == "Running"
        and "operation" not in status
        and submission.get("parallelism") == wanted.get("parallelism", 1)
        and any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
    )
