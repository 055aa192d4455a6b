"""A Flink cluster, an API server and an Event recorder as plain objects that note what is asked of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from flinkjob.core.errors import Unreachable
from flinkjob.core.flinkmodel import (
    CheckpointDetails,
    CheckpointStats,
    ClusterConfig,
    FlinkJobState,
    JarFile,
    JobManagerInfo,
    JobOverview,
    TaskCounts,
    TriggerResult,
    TriggerState,
)
from flinkjob.core.jobfailures import JobFailures
from flinkjob.kube.errors import Conflict

DOWN = Unreachable("refused", "connection refused")


def job_overview(job_id: str, state: FlinkJobState = FlinkJobState.RUNNING, running: int = 1) -> JobOverview:
    """A job with one task."""
    return JobOverview(job_id=job_id, name="job", state=state, tasks=TaskCounts(total=1, running=running))


class StubFlink:
    """Answers like `FlinkClient`; `down` makes it unreachable, `hangs` keeps the run call, the plan and uploads waiting.

    Attributes:
        lasts: seconds that the overview takes.
        omitted: jobs that the overview leaves out though they are known.
        errors: raised by the method of that name, once each.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, JobOverview] = {}
        self.omitted: set[str] = set()
        self.manager = "jm-1"
        self.down = False
        self.lasts = 0.0
        self.hangs = asyncio.Event()
        self.hangs.set()
        self.calls: list[str] = []
        self.sent: list[Any] = []
        self.errors: dict[str, Exception] = {}
        self.config: dict[str, str] = {}
        self.version = "2.3.0"
        self.stats = CheckpointStats()
        self.details: CheckpointDetails | None = None
        self.names: dict[str, str] | None = None
        self.jars: list[JarFile] = []
        self.results: list[TriggerResult] = []
        self.user_configs: dict[str, dict[str, str]] = {}
        self.asked_configs: list[str] = []
        self.failed: dict[str, JobFailures] = {}
        self.asked_failures: list[str] = []

    def _answer(self, call: str) -> None:
        self.calls.append(call)
        if self.down:
            raise DOWN
        error = self.errors.pop(call, None)
        if error is not None:
            raise error

    async def overview_jobs(self, known: Any = None) -> tuple[JobOverview, ...]:
        await asyncio.sleep(self.lasts)
        self._answer("overview")
        return tuple(job for job_id, job in self.jobs.items() if job_id not in self.omitted)

    async def jobmanager_config(self) -> JobManagerInfo:
        self._answer("manager")
        return JobManagerInfo(incarnation=self.manager, high_availability=False, config=self.config)

    async def job_user_config(self, job_id: str) -> dict[str, str] | None:
        self._answer("user_config")
        self.asked_configs.append(job_id)
        return self.user_configs.get(job_id, {})

    async def cluster_config(self) -> ClusterConfig:
        self._answer("config")
        return ClusterConfig(flink_version=self.version, refresh_interval_ms=1500)

    async def job_status(self, job_id: str) -> FlinkJobState | None:
        self._answer("status")
        return self.jobs[job_id].state if job_id in self.jobs else None

    async def checkpoints(self, job_id: str) -> CheckpointStats | None:
        self._answer("checkpoints")
        return self.stats

    async def newest_details(self, job_id: str) -> CheckpointDetails | None:
        self._answer("newest_details")
        return self.details

    async def vertex_names(self, job_id: str) -> dict[str, str] | None:
        self._answer("vertex_names")
        return self.names

    async def failures(self, job_id: str) -> JobFailures | None:
        self._answer("failures")
        self.asked_failures.append(job_id)
        return self.failed.get(job_id)

    async def list_jars(self) -> tuple[JarFile, ...]:
        self._answer("jars")
        return tuple(self.jars)

    async def upload_jar(self, path: Path, name: str, *, sent: Callable[[int, int], object]) -> str:
        self._answer("upload")
        sent(1, 2)
        await self.hangs.wait()
        self.jars.append(JarFile(id=f"{len(self.jars)}_{name}", name=name))
        return self.jars[-1].id

    async def delete_jar(self, jar_id: str) -> bool:
        self._answer("delete_jar")
        self.jars = [jar for jar in self.jars if jar.id != jar_id]
        return True

    async def run_jar(self, jar_id: str, request: Any, *, timeout: float | None = None) -> str:
        self._answer("run")
        self.sent.append(request)
        await self.hangs.wait()
        return str(request.job_id)

    async def plan_jar(self, jar_id: str, request: Any, *, timeout: float | None = None) -> None:
        self._answer("plan")
        await self.hangs.wait()

    async def stop_with_savepoint(self, *what: Any) -> None:
        self._answer("stop")
        self.sent.append(what)

    async def trigger_savepoint(self, *what: Any) -> None:
        self._answer("savepoint")
        self.sent.append(what)

    async def trigger_checkpoint(self, *what: Any) -> None:
        self._answer("checkpoint")
        self.sent.append(what)

    async def cancel(self, job_id: str) -> None:
        self._answer("cancel")
        self.sent.append(job_id)

    async def set_resource_requirements(self, job_id: str, parallelism: Any) -> None:
        self._answer("rescale")
        self.sent.append((job_id, parallelism))

    async def dispose_savepoint(self, location: str) -> str:
        self._answer("dispose")
        return "r"

    async def disposal_result(self, request: str) -> TriggerResult:
        self._answer("disposal")
        return self.results.pop(0) if self.results else TriggerResult(state=TriggerState.IN_PROGRESS)

    def change(self, job_id: str, **fields: Any) -> None:
        """A job changes."""
        self.jobs[job_id] = replace(self.jobs[job_id], **fields)


class StubKube:
    """Notes writes in order; refuses a write whose version is not the one it has, as the API server does."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.objects: dict[str, dict[str, Any]] = {}
        self.fails: dict[str, Callable[[], Exception]] = {}

    def _write(self, what: str, name: str, version: str | None = None) -> dict[str, Any]:
        self.log.append(what)
        if what in self.fails:
            raise self.fails[what]()
        known = self.objects[name]
        if version is not None and known["metadata"]["resourceVersion"] != version:
            raise Conflict(409, "the object has been modified")
        raised = str(int(known["metadata"]["resourceVersion"]) + 1)
        known = known | {"metadata": known["metadata"] | {"resourceVersion": raised}}
        self.objects[name] = known
        return known

    async def patch_status(self, kind: Any, namespace: str, name: str, patch: Any, version: str) -> dict[str, Any]:
        raw = self._write("status", name, version)
        self.objects[name] = raw | {"status": _merged(raw.get("status") or {}, patch)}
        return self.objects[name]

    async def add_finalizer(self, kind: Any, namespace: str, name: str, version: str, held: Any) -> dict[str, Any]:
        raw = self._write("finalizer", name, version)
        raw["metadata"]["finalizers"] = [*held, "flinkjob.dev/job-cleanup"]
        return raw

    async def remove_finalizer(
        self, kind: Any, namespace: str, name: str, version: str, held: Any
    ) -> dict[str, Any] | None:
        raw = self._write("release", name, version)
        raw["metadata"]["finalizers"] = []
        return raw

    async def annotate(self, kind: Any, namespace: str, name: str, marks: Any, version: str) -> dict[str, Any]:
        raw = self._write("mark", name, version)
        raw["metadata"]["annotations"] = dict(marks)
        return raw

    async def create_revision(self, body: Any) -> None:
        self.log.append("revision")

    async def list_revisions(self, namespace: str, selector: str) -> list[dict[str, Any]]:
        return []

    async def delete_revision(self, namespace: str, name: str) -> None:
        self.log.append("revision-delete")

    async def create_savepoint(self, body: dict[str, Any]) -> dict[str, Any]:
        self.log.append("record")
        return body | {"metadata": body["metadata"] | {"uid": "u-new", "resourceVersion": "1", "generation": 1}}

    async def delete_savepoint(self, namespace: str, name: str, *, uid: str) -> None:
        self.log.append("savepoint-delete")

    async def delete_job(self, namespace: str, name: str, *, uid: str) -> None:
        self.log.append("delete")


def _merged(before: Any, patch: Any) -> Any:
    if not isinstance(before, dict) or not isinstance(patch, dict):
        return patch
    merged = {key: _merged(before.get(key), value) for key, value in patch.items() if value is not None}
    return {key: value for key, value in before.items() if key not in patch} | merged


class StubEvents:
    """Notes Events."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def post(self, ref: Any, *, type: str, reason: str, message: str) -> bool:
        self.log.append(f"event {reason}")
        return True
