"""One place of work for a test: a namespace, a Flink cluster, the demo job, and an operator that looks after it.

Used by the integration and crash suites. A test speaks the language of users here (apply, edit, wait for a phase) and looks
at Flink itself, not through the operator.
"""

from __future__ import annotations

import contextlib
import copy
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deploy.local.flink import FlinkCluster
from deploy.local.processes import ProcessFailed, wait_until
from deploy.local.records import check_exactly_once, restores
from flinkjob.core.identity import Owner
from tests.support.kube import DEADLINE, Absent, Kube, Object, condition
from tests.support.operator import OperatorProcess

API_VERSION = "flinkjob.dev/v1alpha1"
NO_CHECKPOINT = {"interval": "1000h"}
"""`spec.checkpoint` of a job that takes none: Flink takes the first one at a random moment of the first interval."""
TERMINAL = frozenset({"FINISHED", "CANCELED", "FAILED"})


class Lab:
    """Everything a test works with.

    Args:
        kube: the API server, as administrator.
        flink: the cluster.
        operator: that watches `namespace`.
        namespace: which exists.
        jar: the demo job.
        directory: for what the jobs write.

    Attributes:
        cluster_url: what FlinkJobs name as their cluster; a test may put a proxy's address here.
        names: the FlinkJobs that were applied, for the clean-up.
    """

    def __init__(
        self,
        kube: Kube,
        flink: FlinkCluster,
        operator: OperatorProcess,
        namespace: str,
        jar: Path,
        directory: Path,
    ) -> None:
        self.kube, self.flink, self.operator, self.namespace = kube, flink, operator, namespace
        self.jar, self.directory = jar, directory
        self.cluster_url = flink.url
        self.names: list[str] = []
        self._http = flink.http()

    def close(self) -> None:
        """Closes the connection to Flink."""
        self._http.close()

    # manifests

    def job(self, name: str, *args: str, **spec: Any) -> Object:
        """A FlinkJob of the demo job that writes to `out(name)`; `spec` replaces whole parts of the spec."""
        base: dict[str, Any] = {
            "cluster": {"url": self.cluster_url},
            "jar": {"uri": f"file://{self.jar}"},
            "args": ["--rate", "200", "--out", str(self.out(name)), *args],
            "checkpoint": {"interval": "500ms"},
            "savepoints": {"directory": self.savepoint_directory(name)},
        }
        meta = {"name": name, "namespace": self.namespace}
        return {"apiVersion": API_VERSION, "kind": "FlinkJob", "metadata": meta, "spec": base | spec}

    def savepoint(self, name: str, job: str, **spec: Any) -> Object:
        """A FlinkSavepoint of a FlinkJob."""
        meta = {"name": name, "namespace": self.namespace}
        whole = {"jobRef": {"name": job}} | spec
        return {"apiVersion": API_VERSION, "kind": "FlinkSavepoint", "metadata": meta, "spec": whole}

    def target(self, name: str, job_id: str, **spec: Any) -> Object:
        """A FlinkSavepoint of a Flink job of the cluster, by its id."""
        manifest = self.savepoint(name, "")
        where = {"directory": self.savepoint_directory(name)} if spec.get("mode") != "Existing" else {}
        manifest["spec"] = {"target": {"cluster": {"url": self.cluster_url}, "jobId": job_id}} | where | spec
        return manifest

    def out(self, name: str) -> Path:
        """Where the job writes its records."""
        return self.directory / name / "out"

    def savepoint_directory(self, name: str) -> str:
        """Where its savepoints go, as a URI."""
        return f"file://{self.directory / name / 'savepoints'}"

    def own_jar(self, name: str) -> Path:
        """A jar of the demo job that no other job uses."""
        made = self.directory / f"{name}.jar"
        shutil.copyfile(self.jar, made)
        with zipfile.ZipFile(made, "a") as jar:
            jar.writestr(f"META-INF/{self.namespace}-{name}.txt", str(self.directory))
        return made

    # acting as a user

    def apply(self, obj: Object) -> Object:
        """Applies a manifest."""
        if obj["kind"] == "FlinkJob":
            self.names.append(obj["metadata"]["name"])
        return self.kube.apply(obj)

    def start(self, name: str, *args: str, **spec: Any) -> Object:
        """Applies a FlinkJob and waits until it is running; returns its manifest."""
        manifest = self.job(name, *args, **spec)
        self.apply(manifest)
        self.running(name)
        return manifest

    def edit(self, manifest: Object, **spec: Any) -> Object:
        """Applies the manifest with parts of its spec replaced (removed where None); returns the new manifest."""
        changed = copy.deepcopy(manifest)
        changed["spec"].update(spec)
        changed["spec"] = {key: value for key, value in changed["spec"].items() if value is not None}
        self.kube.apply(changed)
        return changed

    def delete(self, name: str, kind: str = "FlinkJob") -> None:
        """Asks for a deletion."""
        self.kube.delete(kind, self.namespace, name)

    # waiting

    def wait(self, name: str, predicate: Callable[[Object], Any], what: str, deadline: float = DEADLINE) -> Object:
        """The FlinkJob as soon as it was looked at and the predicate holds for it."""

        def good(job: Object) -> Any:
            return "phase" in job.get("status", {}) and predicate(job)

        return self.kube.wait_for("FlinkJob", self.namespace, name, good, what=what, deadline=deadline)

    def phase(self, name: str, phase: str, deadline: float = DEADLINE) -> Object:
        """The FlinkJob as soon as it is in the phase, for the spec that is there now."""
        return self.wait(name, lambda job: observed(job) and job["status"].get("phase") == phase, phase, deadline)

    def running(self, name: str, number: int | None = None, deadline: float = DEADLINE) -> Object:
        """The FlinkJob as soon as it runs under the present spec, and as this submission when a number is given."""

        def good(job: Object) -> bool:
            status = job.get("status", {})
            return (
                observed(job)
                and status.get("phase") == "Running"
                and "operation" not in status
                and number in (None, status["submission"]["number"])
            )

        return self.wait(name, good, f"Running as submission {number or 'any'}", deadline)

    def stalled(self, name: str, reason: str, deadline: float = DEADLINE) -> Object:
        """The FlinkJob as soon as it is stalled for that reason."""

        def good(job: Object) -> bool:
            found = condition(job, "Stalled")
            return observed(job) and found.get("status") == "True" and found["reason"] == reason

        return self.wait(name, good, f"stalled: {reason}", deadline)

    def gone(self, name: str, deadline: float = DEADLINE) -> None:
        """Waits until there is no such FlinkJob."""
        self.kube.wait_gone("FlinkJob", self.namespace, name, deadline=deadline)

    def get(self, name: str) -> Object:
        """The FlinkJob, which must exist."""
        found = self.kube.get("FlinkJob", self.namespace, name)
        assert found is not None, f"{name} is gone"
        return found

    def reasons(self, name: str, kind: str = "FlinkJob") -> list[str]:
        """The reasons of the Events about this very object, not about an earlier one of its name."""
        found = self.kube.get(kind, self.namespace, name)
        assert found is not None, f"{name} is gone"
        uid = found["metadata"]["uid"]
        about = self.kube.events(self.namespace, name)
        return [event["reason"] for event in about if event["involvedObject"]["uid"] == uid]

    def told_once(self, reason: str, name: str, kind: str = "FlinkJob") -> None:
        """Waits for the Event with that reason, which is written a moment after the status; there is no second one."""
        self.told_exactly(name, kind, **{reason: 1})

    def told_exactly(self, name: str, kind: str = "FlinkJob", **times: int) -> None:
        """Waits until there are as many Events with each of these reasons; there is no further one."""
        wait_until(
            lambda: all(self.reasons(name, kind).count(reason) >= wanted for reason, wanted in times.items()),
            timeout=DEADLINE,
            what=f"Events of {name}: {times}",
        )
        told = self.reasons(name, kind)
        assert {reason: told.count(reason) for reason in times} == times

    def told(self, *reasons: str, name: str) -> None:
        """Waits for Events with these reasons about whatever has or had this name."""
        wait_until(
            lambda: set(reasons) <= set(self.kube.reasons(self.namespace, name)),
            timeout=DEADLINE,
            what=f"Events {', '.join(reasons)} of {name}",
        )

    def savepoint_phase(self, name: str, phase: str, deadline: float = DEADLINE) -> Object:
        """The FlinkSavepoint as soon as it is in the phase."""
        return self.kube.wait_for(
            "FlinkSavepoint",
            self.namespace,
            name,
            lambda found: found.get("status", {}).get("phase") == phase,
            what=phase,
            deadline=deadline,
        )

    def savepoints_of(self, name: str) -> list[Object]:
        """The FlinkSavepoints of a FlinkJob."""
        found = self.kube.all("FlinkSavepoint", self.namespace)
        return [each for each in found if each["spec"].get("jobRef", {}).get("name") == name]

    def checkpointed(self, job_id: str, more: int = 1, deadline: float = DEADLINE) -> None:
        """Waits until Flink has completed so many checkpoints more of the job."""
        before = wait_until(
            lambda: (self._completed(job_id) + 1) or None, timeout=deadline, what=f"statistics of {job_id}"
        )
        before -= 1
        wait_until(
            lambda: self._completed(job_id) >= before + more,
            timeout=deadline,
            what=f"{more} checkpoints of {job_id}",
        )

    def quiet(self, seconds: float = 1.0) -> None:
        """Waits until the operator has written no status for so long."""
        written, since = self._versions(), time.monotonic()

        def still() -> bool:
            nonlocal written, since
            if (now := self._versions()) != written:
                written, since = now, time.monotonic()
            return time.monotonic() - since >= seconds

        wait_until(still, timeout=DEADLINE, what=f"nothing written for {seconds:g} s", interval=0.1)

    def _versions(self) -> list[str]:
        kinds = ("FlinkJob", "FlinkSavepoint")
        return [each["metadata"]["resourceVersion"] for kind in kinds for each in self.kube.all(kind, self.namespace)]

    # looking at Flink

    def flink_jobs(self, name: str) -> list[dict[str, Any]]:
        """Every job that Flink knows of the FlinkJob, in any state, oldest first."""
        prefix = Owner(self.operator.identity, self.namespace, name).prefix
        jobs = self._http.get("/jobs/overview").raise_for_status().json()["jobs"]
        return sorted((j for j in jobs if j["jid"].startswith(prefix)), key=lambda job: int(job["start-time"]))

    def live_jobs(self, name: str) -> list[dict[str, Any]]:
        """Those that have not ended."""
        return [job for job in self.flink_jobs(name) if job["state"] not in TERMINAL]

    def rest(self, path: str) -> Any:
        """What Flink answers to a GET."""
        return self._http.get(path).raise_for_status().json()

    def runs_with(self, job_id: str, *parallelism: int) -> None:
        """Waits until Flink shows the job's vertices with these numbers, sorted.

        Flink answers from a cache that may be three seconds old, and may show what a rescale passed through.
        """
        expected, last = sorted(parallelism), list[int]()

        def attempt() -> bool:
            last[:] = sorted(vertex["parallelism"] for vertex in self.rest(f"/jobs/{job_id}")["vertices"])
            return last == expected

        try:
            wait_until(attempt, timeout=10, what="vertices")
        except ProcessFailed as error:
            raise AssertionError(f"{job_id} runs with {last}, expected {expected}") from error

    def state_in_flink(self, job_id: str) -> str:
        """The state of a job, which this endpoint of Flink's does not take from its cache."""
        return str(self.rest(f"/jobs/{job_id}/status")["status"])

    def cancel_in_flink(self, job_id: str) -> None:
        """Cancels a job behind the operator's back."""
        self._http.patch(f"/jobs/{job_id}", params={"mode": "cancel"})

    def jars(self) -> list[dict[str, Any]]:
        """The jars on the cluster."""
        return list(self.rest("/jars")["files"])

    def checkpoints(self, job_id: str) -> Any:
        """Flink's checkpoint statistics of a job."""
        return self.rest(f"/jobs/{job_id}/checkpoints")

    def savepoints_on_disk(self, name: str) -> list[Path]:
        """The directories below the job's savepoint directory that hold a complete savepoint."""
        root = Path(self.savepoint_directory(name).removeprefix("file://"))
        return sorted(found.parent for found in root.rglob("_metadata"))

    def savepoints_begun(self, name: str) -> list[Path]:
        """The directories that Flink made for the job's savepoints: one for each time that one was triggered."""
        root = Path(self.savepoint_directory(name).removeprefix("file://"))
        return sorted(found for found in root.rglob("savepoint-*-*") if found.is_dir())

    def _completed(self, job_id: str) -> int:
        """How many checkpoints are complete; -1 while the job has just begun and Flink has no statistics."""
        answer = self._http.get(f"/jobs/{job_id}/checkpoints")
        return int(answer.json()["counts"]["completed"]) if answer.status_code == 200 else -1

    # proofs

    def exactly_once(self, name: str) -> None:
        """Asserts that no record was lost or counted twice."""
        found = check_exactly_once(self.out(name))
        assert found.ok, found

    def started_fresh(self, name: str) -> int:
        """How often the job's tasks started without state."""
        return sum(start.fresh for start in restores(self.out(name)))

    def only_runs(self, name: str, runs: int) -> None:
        """Asserts that no more than so many jobs are started in a time in which a failed job is started several times."""
        with contextlib.suppress(ProcessFailed):
            wait_until(lambda: len(self.flink_jobs(name)) > runs, timeout=2, what="another run")
        assert len(self.flink_jobs(name)) == runs

    # clean-up

    def clean(self) -> None:
        """Lets go of everything that the test made, whether its operator lives or not."""
        for name in self.names:
            for savepoint in self.savepoints_of(name):
                self._let_go("FlinkSavepoint", savepoint["metadata"]["name"])
            self._let_go("FlinkJob", name)
        for name in self.names:
            self.gone(name)

    def _let_go(self, kind: str, name: str) -> None:
        if self.operator.running and kind == "FlinkJob":
            self._patch(kind, name, {"spec": {"deletion": {"policy": "Cancel"}}})
            self._patch(kind, name, {"metadata": {"annotations": {"flinkjob.dev/force-delete": "true"}}})
            self.delete(name)
            return
        self.delete(name, kind)
        self._patch(kind, name, {"metadata": {"finalizers": None}})
        for job in self.live_jobs(name) if kind == "FlinkJob" else ():
            self.cancel_in_flink(job["jid"])

    def _patch(self, kind: str, name: str, patch: Mapping[str, Any]) -> None:
        with contextlib.suppress(Absent):
            self.kube.patch(kind, self.namespace, name, patch)


def observed(job: Object) -> bool:
    """Whether the status speaks of the present spec."""
    return bool(job.get("status", {}).get("observedGeneration") == job["metadata"]["generation"])


def submission(job: Object) -> dict[str, Any]:
    """The submission of a FlinkJob's status; empty when there is none."""
    return dict(job["status"].get("submission", {}))
