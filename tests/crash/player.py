"""Plays one case of the crash suite: prepare, act with an operator that kills itself, start it again, look at the outcome.

Used by `conftest.py`, from several threads.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from deploy.local.controlplane import ControlPlane
from deploy.local.flink import FlinkCluster
from deploy.local.processes import wait_until
from tests.crash.stories import DEADLINE, NAME, STORIES, Story
from tests.support.kube import Kube
from tests.support.lab import Lab
from tests.support.operator import OperatorProcess
from tests.support.prefork import Prefork


@dataclass(frozen=True)
class Case:
    """A story and the fault point at which the operator dies, such as `before:run` or `after:job-status#2`."""

    story: str
    point: str

    @property
    def name(self) -> str:
        """For namespaces and test ids."""
        return f"{self.story}-{self.point}".replace(":", "-").replace("#", "-")

    @property
    def place(self) -> str:
        """The fault point without its count."""
        return self.point.partition("#")[0]


@dataclass(frozen=True)
class Stage:
    """What all cases share."""

    control_plane: ControlPlane
    kube: Kube
    flink: FlinkCluster
    adaptive: FlinkCluster | None
    jar: Path
    directory: Path
    prefork: Prefork


class Reviver:
    """Starts the operator again when it has died; a context manager."""

    def __init__(self, operator: OperatorProcess) -> None:
        self._operator = operator
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="reviver")
        self.died = threading.Event()

    def __enter__(self) -> Reviver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closing.wait(0.02):
            if not self._operator.running:
                assert self._operator.process.wait() == 137, self._operator.said()[-2000:]
                self.died.set()
                self._operator.fault_kill_at = ""
                self._operator.start()
                return


def play(stage: Stage, case: Case) -> None:
    """Plays the case. Raises AssertionError or ProcessFailed when it goes wrong."""
    story = STORIES[case.story]
    namespace = f"c-{case.name}"
    directory = stage.directory / case.name
    stage.kube.create_namespace(namespace)
    operator = OperatorProcess(
        stage.control_plane,
        directory / "operator",
        namespaces=[namespace],
        identity=namespace,
        artifact_dirs=[directory],
        options={
            "poll-fast-ms": 50,
            "poll-slow-ms": 500,
            "workers": 2,
            "store-grants": f"{namespace}=file://{directory}",
        },
        prefork=stage.prefork,
    )
    flink = stage.adaptive if story.adaptive else stage.flink
    assert flink is not None
    lab = Lab(stage.kube, flink, operator, namespace, stage.jar, directory)
    try:
        with operator:
            story.prepare(lab)
            lab.quiet()  # else the next operator writes what this one could not, and dies before anything has happened
            operator.kill()
            operator.fault_kill_at = case.point
            with operator, Reviver(operator) as reviver:
                story.act(lab)
                assert reviver.died.wait(DEADLINE), f"{case.point} was not reached:\n{operator.said()[-3000:]}"
                story.settle(lab)
                check(lab, story)
                lab.clean()
    finally:
        lab.close()
    assert operator.complaints() == []


def check(lab: Lab, story: Story) -> None:
    """One job, no state lost, no snapshot twice."""
    jobs = lab.flink_jobs(NAME)
    assert len(jobs) == story.runs, jobs
    assert len(lab.live_jobs(NAME)) == story.live, jobs
    if story.snapshots is not None:
        assert len(lab.savepoints_on_disk(NAME)) == story.snapshots, lab.savepoints_on_disk(NAME)
        begun = lab.savepoints_begun(NAME)
        assert len(begun) == story.snapshots, f"begun more than once: {begun}"
    if story.counts:
        if story.live:
            lab.checkpointed(jobs[-1]["jid"], 2)
        lab.exactly_once(NAME)
        assert lab.started_fresh(NAME) == story.fresh
    if story.live == 0:
        wait_until(lambda: not lab.live_jobs(NAME), timeout=10, what="nothing live")
