"""FlinkJobs and what belongs to them, as the API server gives them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flinkjob.api.codec import FlinkJob, FlinkSavepoint, parse_job, parse_savepoint
from flinkjob.cli.flinkview import FlinkSeen
from flinkjob.core.flinkmodel import (
    Checkpoint,
    CheckpointKind,
    CheckpointStats,
    CheckpointStatus,
    JobException,
)
from flinkjob.core.identity import revision_name
from flinkjob.flink.view import Vertex

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
JOB_ID = "0123456789abcdef0123456789abcdef"
THIRD, SECOND = (revision_name("clicks", "uid-clicks", f"{number * 10}cccc") for number in "32")
"""The revisions of two earlier runs."""
EVIL = "\x1b]0;owned\x07\x1b[31mred\u202e\r\nnext"


def ago(seconds: float) -> datetime:
    """So many seconds before now."""
    return NOW - timedelta(seconds=seconds)


def stamp(seconds: float) -> str:
    """The same as a status has it."""
    return ago(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    """A condition."""
    moment = {"lastTransitionTime": stamp(60), "observedGeneration": 1}
    return {"type": kind, "status": status, "reason": reason, "message": message, **moment}


def conditions(ready: str, stalled: str, reason: str, message: str) -> list[dict[str, Any]]:
    """The conditions that always are there."""
    return [condition("Ready", ready, reason, message), condition("Stalled", stalled, reason, message)]


def raw(
    name: str = "clicks", *, generation: int = 1, metadata: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """A FlinkJob without a status."""
    meta = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "generation": generation, "resourceVersion": "7"}
    meta |= {"creationTimestamp": stamp(7200), **(metadata or {})}
    base = {"cluster": {"url": "http://flink:8081"}, "jar": {"uri": "https://repo.example.com/clicks.jar"}}
    return {"apiVersion": "flinkjob.dev/v1alpha1", "kind": "FlinkJob", "metadata": meta, "spec": base | spec}


def running(
    name: str = "clicks", number: int = 4, *, generation: int = 1, spec: Any = None, **status: Any
) -> dict[str, Any]:
    """A FlinkJob that runs."""
    found = raw(name, generation=generation, **(spec or {}))
    run = {"number": number, "jobId": JOB_ID, "reason": "Upgrade", "running": True, "seen": True, "operations": 0}
    run |= {"startedTime": stamp(3660), "clusterUrl": "http://flink.shop.svc:8081", "revision": "clicks-4444444444"}
    run |= {"restoredFrom": "s3://state/sp/savepoint-3"}
    found["status"] = {
        "observedGeneration": generation,
        "phase": "Running",
        "conditions": conditions("True", "False", "Running", "2 tasks are running"),
        "submission": run,
        "currentRevision": "clicks-4444444444",
        "cluster": {"url": "http://flink.shop.svc:8081", "flinkVersion": "2.3.0"},
        "job": {"id": JOB_ID, "state": "RUNNING", "tasksRunning": 2, "tasksTotal": 2, "parallelism": 2, "restarts": 1},
        **status,
    }
    return found


def refused(*, rejected: bool = True, stalled: bool = True, **status: Any) -> dict[str, Any]:
    """A FlinkJob whose run 4 is intended and was never seen, after one that ran; Flink refused it, if `rejected`."""
    said = conditions("False", str(stalled), "SubmitRejected", "main() failed")
    found = running(phase="Held" if stalled else "Submitting", conditions=said, **status)
    run = found["status"]["submission"]
    run |= {"seen": False, "running": False, "rejected": rejected, "jobId": "c" * 32}
    del run["startedTime"]
    found["status"]["job"] |= {"state": "FINISHED"}
    return found


def job(found: dict[str, Any]) -> FlinkJob:
    """The parsed object."""
    return parse_job(found)


def savepoint(name: str, location: str | None = None, *, of: str = "clicks", **status: Any) -> FlinkSavepoint:
    """A FlinkSavepoint."""
    meta = {"name": name, "namespace": "shop", "uid": name, "generation": 1, "resourceVersion": "1"}
    meta |= {"creationTimestamp": stamp(600)}
    place = {"location": location} if location else {}
    return parse_savepoint({"metadata": meta, "spec": {"jobRef": {"name": of}}, "status": {**place, **status}})


def checkpoint(number: int, milliseconds: int | None = 400, **more: Any) -> Checkpoint:
    """A checkpoint, complete unless it says otherwise."""
    fields: dict[str, Any] = {"status": CheckpointStatus.COMPLETED, "kind": CheckpointKind.CHECKPOINT}
    fields |= {"state_bytes": 2048, "trigger_time": ago(100 - number), "duration_ms": milliseconds}
    return Checkpoint(checkpoint_id=number, **(fields | more))


def flink(*checkpoints: Checkpoint, exceptions: tuple[JobException, ...] = ()) -> FlinkSeen:
    """What Flink says of a job of two vertices."""
    vertices = (
        Vertex(name="Source: orders", parallelism=2, tasks={"RUNNING": 2}, busy=0.97, backpressured=0.2),
        Vertex(name="Sink", parallelism=1, tasks={"RUNNING": 1, "FAILED": 1}),
    )
    stats = CheckpointStats(completed=len(checkpoints), history=checkpoints)
    return FlinkSeen(way="directly, at http://flink:8081", vertices=vertices, exceptions=exceptions, checkpoints=stats)


def event(reason: str, seconds: float, message: str, **more: Any) -> dict[str, Any]:
    """An Event about the FlinkJob."""
    about = {"kind": "FlinkJob", "name": "clicks", "namespace": "shop"}
    return {"involvedObject": about, "reason": reason, "message": message, "lastTimestamp": stamp(seconds), **more}
