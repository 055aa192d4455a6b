"""The story that the demo tells: what a user does with kubectl, and what Kubernetes, Flink and the job itself say then.

Called by `demo.py`. Nothing here is assumed: each step waits for the real components, reads what it reports from them, and
raises `Disproved` when they contradict what the operator promises. Times are wall-clock seconds as a user sees them.
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.local.environment import Environment
from deploy.local.processes import ProcessFailed, wait_until
from deploy.local.records import check_exactly_once, restores

NAMESPACE = "demo"
JOB = "clicks"
DEADLINE = 60.0
FEW_RECORDS = 300
TERMINAL = frozenset({"FINISHED", "CANCELED", "FAILED"})

Object = dict[str, Any]


class Disproved(Exception):
    """A real component contradicts what the demo is there to show; the message is one line."""


def claim(holds: object, message: str) -> None:
    """Raises `Disproved` with the message when it does not hold."""
    if not holds:
        raise Disproved(message)


class Story:
    """The steps in the order of their names here; each returns what it measured, as one line for people.

    Args:
        environment: which runs, with an operator.
        directory: for the manifests that are applied.

    Attributes:
        out: where the job writes its records.
    """

    def __init__(self, environment: Environment, directory: Path) -> None:
        self._environment = environment
        self._directory = directory
        self._http = environment.flink.http()
        self.out = environment.directory / "out"
        self._savepoint = ""
        self._written = 0

    def close(self) -> None:
        """Closes the connection to Flink."""
        self._http.close()

    # the steps

    def deploy(self) -> str:
        """A FlinkJob is applied and runs."""
        self.kubectl("create", "namespace", NAMESPACE)
        started = time.monotonic()
        self.apply("flinkjob.yaml", self.job())
        found = self._phase("Running")
        seconds = time.monotonic() - started
        job_id = found["status"]["job"]["id"]
        claim(self._tasks_run(job_id), f"status says Running, but not all tasks of Flink job {job_id} run")
        return f"RUNNING after {seconds:.1f} s, Flink job {job_id}"

    def take_savepoint(self) -> str:
        """A FlinkSavepoint is applied and completes; the job runs on."""
        self._some_records()
        started = time.monotonic()
        name = f"{JOB}-manual"
        self.apply("flinksavepoint.yaml", self.savepoint(name))
        found = self._wait("flinksavepoint", name, lambda s: s.get("phase") in ("Completed", "Failed"))["status"]
        seconds = time.monotonic() - started
        claim(found["phase"] == "Completed", f"savepoint {name}: {found.get('error', {}).get('message')}")
        claim(_on_disk(found["location"]), f"there is no savepoint at {found['location']}")
        return f"completed after {seconds:.1f} s, the job runs on\n{found['location']}"

    def upgrade(self) -> str:
        """The arguments change: stop with savepoint, start from that very savepoint."""
        old = self._get("flinkjob", JOB)["status"]["submission"]
        started = time.monotonic()
        self.apply("flinkjob.yaml", self.job(rate=400))
        new = self._running_as(old["number"] + 1)
        seconds = time.monotonic() - started
        before = self._finished(old["jobId"])
        saved = self._newest_savepoint("Upgrade")
        claim(new.get("restoredFrom") == saved, f"restored from {new.get('restoredFrom')} and not from {saved}")
        self._continued(new["jobId"])
        downtime = self._first_all_running(new["jobId"]) - before["end-time"] / 1000
        return (
            f"upgraded in {seconds:.1f} s, down for {downtime:.1f} s of it, continued from its own savepoint\n{saved}"
        )

    def suspend(self) -> str:
        """`state: Suspended` stops the job with a savepoint."""
        old = self._get("flinkjob", JOB)["status"]["submission"]
        self._some_records()
        started = time.monotonic()
        self.apply("flinkjob.yaml", self.job(rate=400, state="Suspended"))
        found = self._phase("Suspended")
        seconds = time.monotonic() - started
        claim(not self._live_jobs(), f"suspended, but Flink still runs {self._live_jobs()}")
        self._savepoint = found["status"]["submission"]["end"]["snapshot"]
        claim(self._savepoint == self._newest_savepoint("Suspend"), "its savepoint is not recorded as a FlinkSavepoint")
        self._finished(old["jobId"])
        self._written = check_exactly_once(self.out).total
        return f"suspended after {seconds:.1f} s, 0 jobs run, its state is kept\n{self._savepoint}"

    def resume(self) -> str:
        """`state: Running` continues from that savepoint."""
        number = self._get("flinkjob", JOB)["status"]["submission"]["number"]
        started = time.monotonic()
        self.apply("flinkjob.yaml", self.job(rate=400))
        new = self._running_as(number + 1)
        seconds = time.monotonic() - started
        source = new.get("restoredFrom")
        claim(source == self._savepoint, f"restored from {source} and not from {self._savepoint}")
        position = self._continued(new["jobId"])
        claim(position == self._written, f"continues after {position} records, but {self._written} were written")
        return f"RUNNING again after {seconds:.1f} s, from that savepoint and after exactly {position} records"

    def delete(self) -> str:
        """The FlinkJob is deleted: stopped with a last savepoint, nothing stays but what a garbage collector removes."""
        self._some_records()
        uid = self._get("flinkjob", JOB)["metadata"]["uid"]
        started = time.monotonic()
        self.kubectl("delete", "flinkjob", JOB, "--namespace", NAMESPACE)
        seconds = time.monotonic() - started
        last = self._newest_savepoint("Deletion")
        claim(_on_disk(last), f"there is no savepoint at {last}")
        self.kubectl("delete", "flinksavepoint", "--all", "--namespace", NAMESPACE)
        wait_until(
            lambda: not (self._live_jobs() or self._jars() or self._left_in_kubernetes(uid)),
            timeout=DEADLINE,
            what="empty",
        )
        owned = sum(owned_by_alone(revision, uid) for revision in self._listed("controllerrevisions"))
        left = (
            "left in Flink: 0 live jobs, 0 jars; in Kubernetes: 0 FlinkJobs, 0 FlinkSavepoints, "
            f"{owned} ControllerRevisions of the job for the garbage collector, which does not run here"
        )
        return f"gone after {seconds:.1f} s with a last savepoint\n{last}\n{left}"

    def counted(self) -> str:
        """The job's own output: every number once, counted with the right state, over all runs."""
        found, starts = check_exactly_once(self.out), restores(self.out)
        claim(found.ok, f"the job's output is wrong: {found}")
        fresh = sum(start.fresh for start in starts)
        claim(fresh == 1, f"{fresh} of {len(starts)} runs started without state")
        from_state = len(starts) - fresh
        return f"{found.total} records in {len(starts)} runs ({from_state} from state): 0 lost, 0 doubled"

    # what is applied

    def job(self, *, rate: int = 200, state: str = "Running") -> Object:
        """The FlinkJob."""
        return {
            "apiVersion": "flinkjob.dev/v1alpha1",
            "kind": "FlinkJob",
            "metadata": {"name": JOB, "namespace": NAMESPACE},
            "spec": {
                "cluster": {"url": self._environment.flink.url},
                "jar": {"uri": self._environment.demo_jar_url},
                "args": ["--rate", str(rate), "--out", str(self.out)],
                "state": state,
                "checkpoint": {"interval": "500ms"},
                "upgrade": {"strategy": "Savepoint"},
            },
        }

    def savepoint(self, name: str) -> Object:
        """A FlinkSavepoint of it."""
        return {
            "apiVersion": "flinkjob.dev/v1alpha1",
            "kind": "FlinkSavepoint",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"jobRef": {"name": JOB}},
        }

    def kubectl(self, *arguments: str) -> str:
        """Runs kubectl and returns what it printed. Raises ProcessFailed."""
        return self._environment.controlplane.kubectl(*arguments)

    def apply(self, file: str, manifest: Mapping[str, Any]) -> None:
        """Writes the manifest and applies it as a user would."""
        path = self._directory / file
        path.write_text(yaml.safe_dump(dict(manifest), sort_keys=False))
        self.kubectl("apply", "--filename", str(path))

    # what is looked at

    def _get(self, kind: str, name: str) -> Object:
        found: Object = json.loads(self.kubectl("get", kind, name, "--namespace", NAMESPACE, "--output", "json"))
        return found

    def _wait(self, kind: str, name: str, good: Callable[[Object], object]) -> Object:
        last: Object = {}

        def attempt() -> Object | None:
            nonlocal last
            last = self._get(kind, name)
            status = last.get("status", {})
            return last if status.get("observedGeneration") == last["metadata"]["generation"] and good(status) else None

        try:
            return wait_until(attempt, timeout=DEADLINE, what=name, interval=0.02)
        except ProcessFailed:
            shown = {key: last.get("status", {}).get(key) for key in ("phase", "plan", "lastFailure")}
            raise Disproved(f"{kind} {name}: not as expected after {DEADLINE:.0f} s: {shown}") from None

    def _phase(self, phase: str) -> Object:
        return self._wait("flinkjob", JOB, lambda status: status.get("phase") == phase)

    def _running_as(self, number: int) -> Object:
        def good(status: Object) -> bool:
            return status.get("phase") == "Running" and status["submission"]["number"] == number

        found: Object = self._wait("flinkjob", JOB, good)["status"]["submission"]
        return found

    def _rest(self, path: str) -> Any:
        return self._http.get(path).raise_for_status().json()

    def _overview(self) -> list[Object]:
        return list(self._rest("/jobs/overview")["jobs"])

    def _live_jobs(self) -> list[str]:
        return [job["jid"] for job in self._overview() if job["state"] not in TERMINAL]

    def _jars(self) -> list[str]:
        return [jar["id"] for jar in self._rest("/jars")["files"]]

    def _listed(self, kinds: str) -> list[Object]:
        found: list[Object] = json.loads(self.kubectl("get", kinds, "--namespace", NAMESPACE, "--output", "json"))[
            "items"
        ]
        return found

    def _left_in_kubernetes(self, uid: str) -> list[Object]:
        """What would stay for ever: all but the objects that belong to the deleted job alone."""
        kinds = "flinkjobs,flinksavepoints,controllerrevisions"
        return [found for found in self._listed(kinds) if not owned_by_alone(found, uid)]

    def _job(self, job_id: str) -> Object:
        found = [job for job in self._overview() if job["jid"] == job_id]
        claim(found, f"Flink does not know job {job_id}")
        return found[0]

    def _tasks_run(self, job_id: str) -> bool:
        job = self._job(job_id)
        return bool(job["state"] == "RUNNING" and job["tasks"]["running"] == job["tasks"]["total"])

    def _finished(self, job_id: str) -> Object:
        job = self._job(job_id)
        claim(job["state"] == "FINISHED", f"Flink job {job_id} is {job['state']} and was not stopped with a savepoint")
        return job

    def _first_all_running(self, job_id: str) -> float:
        """When Flink saw the last task of the job begin to run, in epoch seconds."""

        def attempt() -> list[int] | None:
            since = [
                task["timestamps"]["RUNNING"]
                for vertex in self._rest(f"/jobs/{job_id}")["vertices"]
                for task in self._rest(f"/jobs/{job_id}/vertices/{vertex['id']}/subtasktimes")["subtasks"]
            ]
            return since if since and min(since) > 0 else None

        return max(wait_until(attempt, timeout=DEADLINE, what="start times of the tasks")) / 1000

    def _newest_savepoint(self, origin: str) -> str:
        """Where the FlinkSavepoint lies that the operator wrote last for this reason; waits for its status."""
        selector = f"--selector=flinkjob.dev/job={JOB},flinkjob.dev/origin={origin}"

        def attempt() -> str | None:
            listed = self.kubectl("get", "flinksavepoints", selector, "--namespace", NAMESPACE, "--output", "json")
            found = sorted(json.loads(listed)["items"], key=lambda item: str(item["metadata"]["creationTimestamp"]))
            return found[-1].get("status", {}).get("location") if found else None

        return wait_until(attempt, timeout=DEADLINE, what=f"a FlinkSavepoint with the origin {origin}")

    def _continued(self, job_id: str) -> int:
        """How many records the job itself says that it had counted in the state it found."""

        def attempt() -> bool:
            return any(start.job == job_id for start in restores(self.out))

        wait_until(attempt, timeout=DEADLINE, what="the job's own word on its start")
        (start,) = (start for start in restores(self.out) if start.job == job_id)
        claim(start.position, f"Flink job {job_id} started without state")
        return start.position or 0

    def _some_records(self) -> None:
        """Waits until this run has committed some records."""
        before = check_exactly_once(self.out).total
        wait_until(lambda: check_exactly_once(self.out).total >= before + FEW_RECORDS, timeout=DEADLINE, what="records")


def owned_by_alone(found: Mapping[str, Any], uid: str) -> bool:
    """Whether a garbage collector removes the object as soon as the owner of this uid is gone: it has no other owner."""
    return {owner["uid"] for owner in found["metadata"].get("ownerReferences", ())} == {uid}


def _on_disk(location: str) -> bool:
    return (Path(location.removeprefix("file:")) / "_metadata").is_file()
