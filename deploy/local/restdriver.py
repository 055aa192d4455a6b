"""Drives a Flink session cluster by plain REST calls, without the operator's client, so that tests can check against it.

Synchronous; one object for one `httpx.Client` (see `FlinkCluster.http`).
"""

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from deploy.local.processes import ProcessFailed, wait_until

DEADLINE = 60.0


class RestDriver:
    """Submits, watches and ends jobs. Every method raises `httpx.HTTPError` when Flink refuses."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def upload(self, jar: Path) -> str:
        """Uploads a jar; returns its id (Flink REST: `POST /jars/upload`)."""
        with jar.open("rb") as file:
            answer = self._http.post("/jars/upload", files={"jarfile": (jar.name, file)})
        return str(self._checked(answer)["filename"]).rpartition("/")[2]

    def run(
        self,
        jar_id: str,
        *arguments: str,
        parallelism: int = 1,
        savepoint: str | None = None,
        config: Mapping[str, str] | None = None,
        job_id: str | None = None,
    ) -> str:
        """Starts the jar's main class; returns the job id (Flink REST: `POST /jars/:id/run`)."""
        body: dict[str, Any] = {
            "jobId": job_id or uuid.uuid4().hex,
            "programArgsList": list(arguments),
            "parallelism": parallelism,
            "flinkConfiguration": dict(config or {}),
        }
        if savepoint:
            body["savepointPath"] = savepoint
        return str(self._checked(self._http.post(f"/jars/{jar_id}/run", json=body))["jobid"])

    def overview(self, job_id: str) -> dict[str, Any] | None:
        """What `GET /jobs/overview` says of the job; None when it is not there."""
        jobs = self._checked(self._http.get("/jobs/overview"))["jobs"]
        return next((dict(job) for job in jobs if job["jid"] == job_id), None)

    def wait_state(self, job_id: str, states: Sequence[str], timeout: float = DEADLINE) -> str:
        """Waits until the job has one of the states; RUNNING means that all its tasks run. Raises ProcessFailed."""

        def attempt() -> str | None:
            job = self.overview(job_id)
            if job is None or job["state"] not in states:
                return None
            tasks = job["tasks"]
            if job["state"] == "RUNNING" and tasks["running"] + tasks["finished"] < tasks["total"]:
                return None
            return str(job["state"])

        return wait_until(attempt, timeout=timeout, what=f"job {job_id} {' or '.join(states)}")

    def stop(self, job_id: str, timeout: float = DEADLINE) -> str:
        """Stops with a savepoint; returns its location when the job has FINISHED.

        Flink REST: `POST /jobs/:id/stop`, `GET /jobs/:id/savepoints/:triggerId`.

        Raises:
            ProcessFailed: the savepoint failed or took too long.
        """
        trigger = self._checked(self._http.post(f"/jobs/{job_id}/stop", json={"drain": False}))["request-id"]

        def attempt() -> dict[str, Any] | None:
            answer = self._checked(self._http.get(f"/jobs/{job_id}/savepoints/{trigger}"))
            return answer["operation"] if answer["status"]["id"] == "COMPLETED" else None

        operation = wait_until(attempt, timeout=timeout, what=f"savepoint of {job_id}")
        if "location" not in operation:
            raise ProcessFailed(f"savepoint of {job_id}: {operation}"[:2000])
        self.wait_state(job_id, ["FINISHED"], timeout)
        return str(operation["location"])

    def cancel(self, job_id: str) -> None:
        """Cancels the job and waits until it has ended (Flink REST: `PATCH /jobs/:id`)."""
        self._checked(self._http.patch(f"/jobs/{job_id}", params={"mode": "cancel"}))
        self.wait_state(job_id, ["CANCELED", "FINISHED", "FAILED"])

    @staticmethod
    def _checked(answer: httpx.Response) -> Any:
        if answer.is_error:
            message = f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[-1500:]}"
            raise httpx.HTTPStatusError(message, request=answer.request, response=answer)
        return answer.json()
