"""Routes of the simulated cluster: a request comes in, a reply goes out.

Used by: `exchange.py`. Invariants: the effect of a request happens here and at once, whatever becomes of the answer; job
details and statistics are answered from a cache as old as `SimSettings.refresh`, the overview and `/status` are live.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.flinksim import answers, javaerrors
from tests.flinksim.cluster import FlinkSim
from tests.flinksim.jarroutes import jar_routes
from tests.flinksim.reply import Reply, Response
from tests.flinksim.request import Handler, Request
from tests.flinksim.rescaling import rescale_routes
from tests.flinksim.triggers import trigger_routes

_JOB = r"/jobs/(?P<job>[^/]+)"


def respond(sim: FlinkSim, request: Request) -> Reply:
    """Let a request have its effect."""
    sim.settle()
    for method, pattern, handler in _ROUTES:
        match = re.fullmatch(pattern, request.path)
        if match is None or method != request.method:
            continue
        job = match.groupdict().get("job")
        if job is not None and not re.fullmatch("[0-9a-fA-F]{32}", job):
            text = f'Bad request, could not parse parameters: Cannot resolve path parameter (jobid) from value "{job}".'
            return Reply.now(Response(400, javaerrors.told(javaerrors.error((javaerrors.REST, text)))))
        answer = handler(sim, request, match.groupdict())
        return answer if isinstance(answer, Reply) else Reply.now(answer)
    return Reply.now(Response(404, javaerrors.plain(f"Unable to load requested file {request.path}.")))


def _config(sim: FlinkSim, _: Request, __: Mapping[str, str]) -> Response:
    features = {"web-submit": True, "web-cancel": True, "web-rescale": sim.settings.scheduler == "Adaptive"}
    refresh = int(sim.settings.refresh * 1000)
    return Response(200, {"refresh-interval": refresh, "flink-version": sim.settings.version, "features": features})


def _overview(sim: FlinkSim, _: Request, __: Mapping[str, str]) -> Response:
    return Response(
        200,
        {
            "taskmanagers": sim.settings.taskmanagers,
            "slots-total": sim.slots,
            "slots-available": max(0, sim.free_slots),
            "jobs-running": sum(not job.terminal for job in sim.jobs.values()),
            "flink-version": sim.settings.version,
            "flink-commit": "simulated",
        },
    )


def _jobmanager_config(sim: FlinkSim, _: Request, __: Mapping[str, str]) -> Response:
    config = sim.config | {"web.tmpdir": sim.temporary_place}
    return Response(200, [{"key": key, "value": value} for key, value in config.items()])


def _jobs_overview(sim: FlinkSim, _: Request, __: Mapping[str, str]) -> Response:
    seen = [job for job in sim.jobs.values() if job.job_id not in sim.omitted]
    return Response(200, {"jobs": [answers.overview(job) for job in reversed(seen)]})


def _status(sim: FlinkSim, _: Request, at: Mapping[str, str]) -> Response:
    job = sim.jobs.get(at["job"])
    if job is None:
        return Response(500, javaerrors.server_side(javaerrors.job_not_found(at["job"])))
    return Response(200, {"status": str(job.state)})


def _cancel(sim: FlinkSim, request: Request, at: Mapping[str, str]) -> Response:
    job = sim.jobs.get(at["job"])
    mode = request.query.get("mode", "cancel")
    if mode != "cancel":
        return Response(400, javaerrors.plain(f"Bad request, could not parse parameters: {mode}"))
    if job is None:
        return Response(404, javaerrors.told(javaerrors.error((javaerrors.REST, "Job could not be found."))))
    if job.state in ("FINISHED", "FAILED"):
        text = "Job cancellation failed because the job has already reached another terminal state"
        return Response(409, javaerrors.told(javaerrors.error((javaerrors.REST, f"{text} ({job.state})."))))
    job.cancel()
    return Response(202, {})


def _cached(sim: FlinkSim, job_id: str) -> dict[str, Any] | None:
    """What is told about a job, at most `refresh` seconds old; None: unknown (which is never cached)."""
    known = sim.cache.get(job_id)
    if known is not None and sim.events.now < known[0]:
        return known[1]
    job = sim.jobs.get(job_id)
    if job is None:
        return None
    told: dict[str, Any] = {
        "details": answers.details(job),
        "checkpoints": answers.statistics(job),
        "checkpoints/config": answers.checkpoint_settings(job),
        "checkpoints/details": answers.checkpoint_details(job),
        "config": answers.job_config(job),
        "exceptions": [answers.exceptions(job, limit) for limit in range(21)],
    }
    sim.cache[job_id] = (sim.events.now + sim.settings.refresh, told)
    return told


def _told(part: str) -> Handler:
    def handle(sim: FlinkSim, request: Request, at: Mapping[str, str]) -> Response:
        told = _cached(sim, at["job"])
        if told is None:
            text = f"Job {at['job']} not found"
            missing = javaerrors.error(("org.apache.flink.runtime.rest.NotFoundException", text))
            return Response(404, javaerrors.told(missing))
        body = told[part]
        if part == "checkpoints/details" and int(at["number"]) not in body:
            text = f"Could not find checkpointing statistics for checkpoint {at['number']}."
            return Response(404, javaerrors.told(javaerrors.error((javaerrors.REST, text))))
        if part == "checkpoints/details":
            body = body[int(at["number"])]
        if part == "exceptions":
            body = body[min(20, int(request.query.get("maxExceptions", "20")))]
        return Response(200, body)

    return handle


def _metrics(sim: FlinkSim, request: Request, at: Mapping[str, str]) -> Response:
    """Only the one metric that is asked for; like Flink an empty list for a job that it does not know."""
    job = sim.jobs.get(at["job"])
    wanted = request.query.get("get", "").split(",")
    found = [{"id": "numRestarts", "value": str(job.restarts)}] if job is not None and "numRestarts" in wanted else []
    return Response(200, found)


def _source_metrics(sim: FlinkSim, request: Request, at: Mapping[str, str]) -> Response:
    """What a vertex of a running job measures; without a question only the names.

    Nothing at first: Flink fetches them from the TaskManagers when somebody has asked.
    """
    job = sim.jobs.get(at["job"])
    if job is None or not job.metrics_fetched:
        if job is not None:
            job.metrics_fetched = True
        return Response(200, [])
    values = {"numRecordsIn": 1.0}
    if at["vertex"] == answers.vertex_ids(job.program)[1]:
        values |= {"Source__sequence.pendingRecords": 6.0, "Source__sequence.currentEmitEventTimeLag": 1500.0}
    if "get" not in request.query:
        return Response(200, [{"id": name} for name in values])
    wanted = request.query["get"].split(",")
    found = [name for name in values if name in wanted]
    return Response(200, [{"id": name, "max": values[name], "sum": values[name] * job.parallelism} for name in found])


_Route = tuple[str, str, Callable[[FlinkSim, Request, Mapping[str, str]], Response | Reply]]
_ROUTES: tuple[_Route, ...] = (
    ("GET", "/config", _config),
    ("GET", "/overview", _overview),
    ("GET", "/jobmanager/config", _jobmanager_config),
    ("GET", "/jobs/overview", _jobs_overview),
    ("GET", f"{_JOB}/status", _status),
    ("PATCH", _JOB, _cancel),
    ("GET", _JOB, _told("details")),
    ("GET", f"{_JOB}/checkpoints", _told("checkpoints")),
    ("GET", f"{_JOB}/checkpoints/config", _told("checkpoints/config")),
    ("GET", f"{_JOB}/checkpoints/details/(?P<number>[0-9]+)", _told("checkpoints/details")),
    ("GET", f"{_JOB}/config", _told("config")),
    ("GET", f"{_JOB}/exceptions", _told("exceptions")),
    ("GET", f"{_JOB}/metrics", _metrics),
    ("GET", f"{_JOB}/vertices/(?P<vertex>[0-9a-f]{{32}})/subtasks/metrics", _source_metrics),
    *jar_routes(),
    *trigger_routes(_JOB),
    *rescale_routes(_JOB),
)
