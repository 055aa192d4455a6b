"""Savepoints, stops, checkpoints and disposals of the simulated cluster: triggers and their results.

Used by: `rest.py`. Invariants: nearly everything is accepted (202) and fails later with HTTP 200; savepoints and stops share
their trigger ids; checkpoints have trigger ids of their own.
"""

import re
from collections.abc import Callable, Mapping

from tests.flinksim import javaerrors
from tests.flinksim.cluster import FlinkSim
from tests.flinksim.javaerrors import JavaError
from tests.flinksim.job import SimJob
from tests.flinksim.operations import Operation, completes
from tests.flinksim.reply import Response
from tests.flinksim.request import Request, Route
from tests.flinksim.settings import SAVEPOINTS

_HEX = re.compile("[0-9a-fA-F]{32}")
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):")
_FORMATS = ("CANONICAL", "NATIVE")


def _refused(message: str) -> Response:
    return Response(400, javaerrors.told(javaerrors.error((javaerrors.REST, message))))


def _savepoint(sim: FlinkSim, request: Request, at: Mapping[str, str]) -> Response:
    body = request.body

    def begin(job: SimJob, directory: str, operation: Operation) -> None:
        done = completes(operation, lambda: sim.events.now)
        job.savepoint(directory, _format(request), done, cancel=bool(body.get("cancel-job")))

    return _trigger(sim, request, at["job"], body.get("target-directory"), begin)


def _stop(sim: FlinkSim, request: Request, at: Mapping[str, str]) -> Response:
    def begin(job: SimJob, directory: str, operation: Operation) -> None:
        done = completes(operation, lambda: sim.events.now)
        job.stop(directory, _format(request), done, fault=sim.stop_faults.pop(job.job_id, None))

    return _trigger(sim, request, at["job"], request.body.get("targetDirectory"), begin)


def _format(request: Request) -> str:
    return str(request.body.get("formatType") or "CANONICAL")


def _trigger(
    sim: FlinkSim,
    request: Request,
    job_id: str,
    directory: str | None,
    begin: Callable[[SimJob, str, Operation], None],
) -> Response:
    trigger = str(request.body.get("triggerId") or sim.unique() + sim.unique() + "0" * 8)
    if not _HEX.fullmatch(trigger) or _format(request) not in _FORMATS:
        return _refused("Request did not match expected format SavepointTriggerRequestBody.")
    directory = directory if directory is not None else sim.config.get(SAVEPOINTS)
    if directory is None:
        return _refused(f"Config key [{SAVEPOINTS}] is not set. Property [target-directory] must be provided.")
    key = (job_id, trigger)
    if sim.savepoints.find(key, sim.events.now) is None:
        operation = sim.savepoints.new(key)
        job = sim.jobs.get(job_id)
        failure = _not_possible(sim, job_id, job, directory)
        if failure is not None:
            operation.ended, operation.failure = sim.events.now, failure
        else:
            assert job is not None
            begin(job, directory, operation)
    return Response(202, {"request-id": trigger})


def _not_possible(sim: FlinkSim, job_id: str, job: SimJob | None, directory: str) -> JavaError | None:
    if job is None or job.terminal:
        return javaerrors.job_not_found(job_id)
    planned = sim.savepoint_failures.get(job_id)
    if planned:
        return planned.popleft()
    if job.state == "INITIALIZING":
        name = "org.apache.flink.runtime.dispatcher.UnavailableDispatcherOperationException"
        text = "Unable to get JobMasterGateway for initializing job. The requested operation is not available."
        return javaerrors.error((javaerrors.COMPLETION, text), (name, text))
    if not job.tasks_running:
        return javaerrors.not_running(job_id)
    scheme = _SCHEME.match(directory)
    if scheme and scheme.group(1) not in sim.settings.schemes:
        causes = javaerrors.no_file_system(scheme.group(1))
        return javaerrors.error((javaerrors.COMPLETION, causes[0][1]), *causes)
    path = re.sub("^file:/*", "/", directory)
    if any(path == bad or path.startswith(f"{bad}/") for bad in sim.settings.unwritable):
        text = f"Failed to create savepoint directory at file:{path}"
        return javaerrors.error((javaerrors.COMPLETION, text), ("java.io.IOException", text))
    return None


def _savepoint_result(sim: FlinkSim, _: Request, at: Mapping[str, str]) -> Response:
    operation = sim.savepoints.find((at["job"], at["trigger"]), sim.events.now)
    return _result(
        operation, "failure-cause", f"savepoint operation with triggerId={at['trigger']} for job {at['job']}"
    )


def _checkpoint(sim: FlinkSim, request: Request, at: Mapping[str, str]) -> Response:
    body = request.body
    trigger = str(body.get("triggerId") or sim.unique() + sim.unique() + "0" * 8)
    if body.get("checkpointType") == "INCREMENTAL":
        text = "Flink does not support triggering incremental checkpoint explicitly. See FLINK-33723."
        return Response(500, javaerrors.server_side(javaerrors.error(("java.lang.IllegalStateException", text))))
    key = (at["job"], trigger)
    if sim.checkpoints.find(key, sim.events.now) is None:
        operation = sim.checkpoints.new(key)
        job = sim.jobs.get(at["job"])
        if job is None or job.terminal:
            operation.ended, operation.failure = sim.events.now, javaerrors.job_not_found(at["job"])
        elif not job.tasks_running:
            operation.ended, operation.failure = sim.events.now, javaerrors.not_running(at["job"])
        else:
            job.checkpoint(completes(operation, lambda: sim.events.now))
    return Response(202, {"request-id": trigger})


def _checkpoint_result(sim: FlinkSim, _: Request, at: Mapping[str, str]) -> Response:
    operation = sim.checkpoints.find((at["job"], at["trigger"]), sim.events.now)
    return _result(
        operation, "failureCause", f"checkpoint operation with triggerId={at['trigger']} for job {at['job']}"
    )


def _result(operation: Operation | None, failure_field: str, what: str) -> Response:
    if operation is None:
        return Response(404, javaerrors.told(javaerrors.error((javaerrors.REST, f"There is no {what}."))))
    return Response(200, operation.body(failure_field))


def _dispose(sim: FlinkSim, request: Request, _: Mapping[str, str]) -> Response:
    path = request.body.get("savepoint-path")
    if path is None:
        return _refused("Field savepoint-path must not be omitted or be null.")
    request_id = sim.unique() + sim.unique() + "0" * 8
    operation = sim.disposals.new(("", request_id))
    operation.ended = sim.events.now
    if not path:
        text = "empty checkpoint pointer"
        operation.failure = javaerrors.error(
            (javaerrors.COMPLETION, text), ("java.lang.IllegalArgumentException", text)
        )
    elif not sim.store.delete(path):
        text = f"Cannot find checkpoint or savepoint file/directory '{path}' on file system 'file'."
        operation.failure = javaerrors.error((javaerrors.FLINK, text), ("java.io.FileNotFoundException", text))
    return Response(200, {"request-id": request_id})


def _disposal_result(sim: FlinkSim, _: Request, at: Mapping[str, str]) -> Response:
    operation = sim.disposals.find(("", at["trigger"]), sim.events.now)
    if operation is None:
        text = "Operation not found under key: org.apache.flink.runtime.rest.handler.async.OperationKey@1f"
        missing = javaerrors.error(("org.apache.flink.runtime.rest.NotFoundException", text))
        return Response(404, javaerrors.told(missing))
    return Response(200, operation.body("failure-cause"))


def trigger_routes(job: str) -> tuple[Route, ...]:
    """The routes; `job` is the pattern of a job's path."""
    return (
        ("POST", f"{job}/savepoints", _savepoint),
        ("POST", f"{job}/stop", _stop),
        ("GET", f"{job}/savepoints/(?P<trigger>[^/]+)", _savepoint_result),
        ("POST", f"{job}/checkpoints", _checkpoint),
        ("GET", f"{job}/checkpoints/(?P<trigger>[0-9a-f]{{32}})", _checkpoint_result),
        ("POST", "/savepoint-disposal", _dispose),
        ("GET", "/savepoint-disposal/(?P<trigger>[^/]+)", _disposal_result),
    )
