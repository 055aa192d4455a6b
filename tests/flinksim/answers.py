"""JSON of the simulated cluster about jobs and their snapshots.

Used by: `rest.py`. Invariant: field names and odd spellings are those of real answers (`tests/data/flink`).
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import yaml

from flinkjob.core.flinkmodel import CheckpointKind, FlinkJobState
from flinkjob.core.parameters import split_pairs
from tests.flinksim.checkpointing import Entry
from tests.flinksim.javaerrors import SUPPRESSED, JavaError
from tests.flinksim.job import SimJob
from tests.flinksim.program import Program
from tests.flinksim.settings import RETENTION

_VERTICES = 2
_MARK = "pipeline.global-job-parameters"


def milliseconds(moment: float | None) -> int:
    """Flink's notation of a moment; -1: not yet."""
    return -1 if moment is None else int(moment * 1000)


def tasks(job: SimJob) -> dict[str, int]:
    """Counts of subtasks by state."""
    names = ("running", "canceling", "canceled", "created", "scheduled", "deploying", "reconciling", "finished")
    counts = dict.fromkeys((*names, "initializing", "failed", "total"), 0)
    failed_early = job.terminal and FlinkJobState.RUNNING not in job.state_times
    if job.state in (FlinkJobState.INITIALIZING, FlinkJobState.CREATED) or failed_early:
        return counts
    counts["total"] = total = _VERTICES * job.parallelism
    by_state = {FlinkJobState.FINISHED: "finished", FlinkJobState.CANCELED: "canceled", FlinkJobState.FAILED: "failed"}
    if job.state is FlinkJobState.RUNNING:
        place = "running" if job.tasks_running else "initializing" if job.allocated else "scheduled"
    else:
        place = by_state.get(job.state, "canceled")
    counts[place] = total
    return counts


def overview(job: SimJob) -> dict[str, Any]:
    """Entry of `/jobs/overview`."""
    return {
        "jid": job.job_id,
        "name": job.program.name,
        "jobType": "STREAMING",
        "schedulerType": job.settings.scheduler,
        "start-time": milliseconds(job.start),
        "end-time": milliseconds(job.ended),
        "duration": milliseconds((job.ended or job.events.now) - job.start),
        "state": str(job.state),
        "last-modification": milliseconds(job.modified),
        "tasks": tasks(job),
        "pending-operators": 0,
    }


def details(job: SimJob) -> dict[str, Any]:
    """`/jobs/:id`."""
    states = {state: milliseconds(job.state_times.get(state)) if state in job.state_times else 0 for state in _STATES}
    count = tasks(job)
    common = {"parallelism": job.parallelism, "maxParallelism": job.program.max_parallelism}
    vertices = [
        {"id": vertex, "name": name, "metrics": _times(job, busy)} | common
        for vertex, name, busy in zip(vertex_ids(job.program), ("count", SOURCE), (0.5, 0.25), strict=True)
    ]
    return {
        "jid": job.job_id,
        "name": job.program.name,
        "isStoppable": False,
        "state": str(job.state),
        "job-type": "STREAMING",
        "schedulerType": job.settings.scheduler,
        "start-time": milliseconds(job.start),
        "end-time": milliseconds(job.ended),
        "duration": milliseconds((job.ended or job.events.now) - job.start),
        "now": milliseconds(job.events.now),
        "timestamps": states,
        "vertices": vertices if count["total"] else [],
        "plan": job_plan(job.job_id, job.program, job.parallelism)["plan"],
        "status-counts": {name.upper(): number for name, number in count.items() if name != "total"},
    }


SOURCE = "Source: sequence"


def _times(job: SimJob, busy: float) -> dict[str, float]:
    """What the tasks of a vertex have done since the job runs, in whole seconds as if Flink asked for it so often."""
    running = job.state_times.get(FlinkJobState.RUNNING)
    lasted = int(job.events.now - running) * 1000 * job.parallelism if running is not None else 0
    return {
        "accumulated-busy-time": lasted * busy,
        "accumulated-backpressured-time": int(lasted * 0.125),
        "accumulated-idle-time": int(lasted * (0.875 - busy)),
    }


_STATES = tuple(state for state in FlinkJobState if state is not FlinkJobState.UNKNOWN)


def vertex_ids(program: Program) -> tuple[str, str]:
    """Ids of the two vertices that every simulated job has: that of the counting one follows from its uid."""
    return hashlib.sha256(program.uid.encode()).hexdigest()[:32], "b" * 32


def job_plan(job_id: str, program: Program, parallelism: int) -> dict[str, Any]:
    """The plan of a program or of a job."""
    count, sequence = vertex_ids(program)
    hash_ = {"num": 0, "id": sequence, "ship_strategy": "HASH", "exchange": "pipelined_bounded"}
    common = {"parallelism": parallelism, "operator": "", "operator_strategy": "", "optimizer_properties": {}}
    nodes = [
        common | {"id": count, "description": "count<br/>", "inputs": [hash_]},
        common | {"id": sequence, "description": f"{SOURCE}<br/>"},
    ]
    return {"plan": {"jid": job_id, "name": program.name, "type": "STREAMING", "nodes": nodes}}


def entry(snapshot: Entry) -> dict[str, Any]:
    """A snapshot in statistics."""
    duration = milliseconds((snapshot.ended or snapshot.triggered) - snapshot.triggered)
    told: dict[str, Any] = {
        "className": snapshot.status.lower(),
        "id": snapshot.id,
        "status": snapshot.status,
        "is_savepoint": snapshot.kind is not CheckpointKind.CHECKPOINT,
        "savepointFormat": snapshot.format,
        "trigger_timestamp": milliseconds(snapshot.triggered),
        "latest_ack_timestamp": milliseconds(snapshot.ended),
        "checkpointed_size": 1000,
        "state_size": 1000,
        "end_to_end_duration": duration,
        "num_subtasks": 2,
        "num_acknowledged_subtasks": 2 if snapshot.status == "COMPLETED" else 0,
        "checkpoint_type": str(snapshot.kind),
        "tasks": {},
    }
    if snapshot.status == "COMPLETED":
        told |= {"external_path": snapshot.location, "discarded": snapshot.discarded}
    if snapshot.status == "FAILED":
        message = snapshot.failure.causes[-1][1] if snapshot.failure else None
        told |= {"failure_timestamp": milliseconds(snapshot.ended), "failure_message": message}
    return told


def statistics(job: SimJob) -> dict[str, Any]:
    """`/jobs/:id/checkpoints`."""
    made = job.checkpointing
    restored = None
    if job.restored is not None:
        restored = {
            "id": job.restored.checkpoint_id,
            "restore_timestamp": milliseconds(job.start),
            "is_savepoint": job.claim != "CLAIM",
            "external_path": job.restored.location,
        }
    latest = {key: entry(made.latest[key]) if key in made.latest else None for key in _LATEST}
    none = dict.fromkeys(("p50", "p90", "p95", "p99", "p999"), "NaN") | {"min": 0, "max": 0, "avg": 0}
    return {
        "counts": {
            "restored": int(job.restored is not None),
            "total": made.completed + made.failed + len(made.pending),
            "in_progress": len(made.pending),
            "completed": made.completed,
            "failed": made.failed,
        },
        "summary": {"state_size": none, "end_to_end_duration": none},
        "latest": latest | {"restored": restored},
        "history": [entry(each) for each in made.history],
    }


_LATEST = ("completed", "savepoint", "failed")


def checkpoint_details(job: SimJob) -> dict[int, dict[str, Any]]:
    """`/jobs/:id/checkpoints/details/:n`, by number: of what is in the statistics."""
    made = job.checkpointing
    return {each.id: entry(each) | {"tasks": _shares(job, each)} for each in (*made.latest.values(), *made.history)}


def _shares(job: SimJob, snapshot: Entry) -> dict[str, Any]:
    """Both vertices have state."""
    sizes = (900, 100) if snapshot.status == "COMPLETED" else (0, 0)
    common = {"id": snapshot.id, "status": snapshot.status, "num_subtasks": job.parallelism}
    return {
        vertex: common | {"checkpointed_size": size, "state_size": size}
        for vertex, size in zip(vertex_ids(job.program), sizes, strict=True)
    }


def checkpoint_settings(job: SimJob) -> dict[str, Any]:
    """`/jobs/:id/checkpoints/config`."""
    retention = job.config.get(RETENTION, "NO_EXTERNALIZED_CHECKPOINTS")
    interval = job.checkpoint_interval
    return {
        "mode": "exactly_once",
        "interval": 2**63 - 1 if interval is None else int(interval * 1000),
        "timeout": 600_000,
        "min_pause": 0,
        "max_concurrent": 1,
        "externalization": {
            "enabled": retention != "NO_EXTERNALIZED_CHECKPOINTS",
            "delete_on_cancellation": retention != "RETAIN_ON_CANCELLATION",
        },
        "state_backend": "HashMapStateBackend",
        "checkpoint_storage": "FileSystemCheckpointStorage",
        "unaligned_checkpoints": False,
        "tolerable_failed_checkpoints": 0,
        "checkpoints_after_tasks_finish": True,
    }


def _parameters(configuration: Mapping[str, str]) -> dict[str, str]:
    """The global job parameters: one value for all, else one for each."""
    whole = configuration.get(_MARK)
    if whole is None:
        begin = f"{_MARK}."
        return {key.removeprefix(begin): value for key, value in configuration.items() if key.startswith(begin)}
    try:
        found = yaml.load(whole, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        found = None
    return found if isinstance(found, dict) else split_pairs(whole) or {}


def job_config(job: SimJob) -> dict[str, Any]:
    """`/jobs/:id/config`."""
    user = {"own": job.program.own_parameters} if job.program.own_parameters else _parameters(job.run.configuration)
    execution = {"restart-strategy": "Cluster level default restart strategy", "job-parallelism": job.parallelism}
    return {
        "jid": job.job_id,
        "name": job.program.name,
        "execution-config": execution | {"object-reuse-mode": False, "user-config": user},
    }


def exceptions(job: SimJob, limit: int) -> dict[str, Any]:
    """`/jobs/:id/exceptions`."""
    entries = [_exception(moment, failure) for moment, failure in job.exceptions[:limit]]
    return {"exceptionHistory": {"entries": entries, "truncated": len(job.exceptions) > limit}}


def _exception(moment: float, failure: JavaError) -> dict[str, Any]:
    """An entry; the one that ends a job names its task only in its concurrent failures."""
    told = {
        "exceptionName": failure.name,
        "stacktrace": failure.text,
        "timestamp": milliseconds(moment),
        "failureLabels": {},
        "concurrentExceptions": [],
    }
    task = {"taskName": "count (1/1) - execution #0", "endpoint": "localhost:40000", "taskManagerId": "tm1"}
    if failure.name != SUPPRESSED[0]:
        return told | task
    inner = JavaError(failure.causes[1:])
    concurrent = told | task | {"exceptionName": inner.name, "stacktrace": inner.text}
    del concurrent["concurrentExceptions"]
    return told | {"concurrentExceptions": [concurrent]}
