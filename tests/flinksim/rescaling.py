"""Resource requirements of the simulated cluster: the adaptive scheduler changes the parallelism of running jobs.

Used by: `rest.py`.
"""

from collections.abc import Mapping

from tests.flinksim import javaerrors
from tests.flinksim.answers import job_plan, vertex_ids
from tests.flinksim.cluster import FlinkSim
from tests.flinksim.job import SimJob
from tests.flinksim.reply import Response
from tests.flinksim.request import Request, Route

_STABILIZATION = 1.0


def _job(sim: FlinkSim, job_id: str) -> SimJob | Response:
    job = sim.jobs.get(job_id)
    if job is None or job.terminal:
        return Response(500, javaerrors.server_side(javaerrors.job_not_found(job_id)))
    if sim.settings.scheduler != "Adaptive":
        text = (
            "The DefaultScheduler does not support changing the parallelism without a job restart."
            " This feature is currently only expected to work with the AdaptiveScheduler."
        )
        unsupported = javaerrors.error(("java.lang.UnsupportedOperationException", text))
        return Response(500, javaerrors.server_side(unsupported))
    return job


def _plan(sim: FlinkSim, _: Request, at: Mapping[str, str]) -> Response:
    job = sim.jobs.get(at["job"])
    if job is None:
        text = f"Job {at['job']} not found"
        missing = javaerrors.error(("org.apache.flink.runtime.rest.NotFoundException", text))
        return Response(404, javaerrors.told(missing))
    return Response(200, job_plan(job.job_id, job.program, job.parallelism))


def _get(sim: FlinkSim, _: Request, at: Mapping[str, str]) -> Response:
    job = _job(sim, at["job"])
    if isinstance(job, Response):
        return job
    bounds = {"parallelism": {"lowerBound": 1, "upperBound": job.wanted_parallelism}}
    return Response(200, dict.fromkeys(vertex_ids(job.program), bounds))


def _put(sim: FlinkSim, request: Request, at: Mapping[str, str]) -> Response:
    job = _job(sim, at["job"])
    if isinstance(job, Response):
        return job
    for vertex in vertex_ids(job.program):
        if vertex not in request.body:
            return _refused(f"The request was incomplete, missing job vertex [{vertex}].")
        upper = int(request.body[vertex]["parallelism"]["upperBound"])
        if not 1 <= upper <= job.program.max_parallelism:
            return _refused(
                f"The new upper bound ({upper}) of job vertex [{vertex}] exceeds its maximum parallelism"
                f" ({job.program.max_parallelism})."
                if upper > 0
                else f"The requirements for vertex [{vertex}] contained an upper bound lower than one: {upper}"
            )
    job.wanted_parallelism = int(request.body[vertex_ids(job.program)[0]]["parallelism"]["upperBound"])
    wait = max(_STABILIZATION, job.last_rescale + sim.settings.cooldown - sim.events.now)
    sim.events.after(wait, lambda: job.rescale(min(job.wanted_parallelism, sim.free_slots + job.parallelism)))
    return Response(200, {})


def _refused(message: str) -> Response:
    return Response(400, javaerrors.told(javaerrors.error((javaerrors.REST, message))))


def rescale_routes(job: str) -> tuple[Route, ...]:
    """The routes; `job` is the pattern of a job's path."""
    return (
        ("GET", f"{job}/plan", _plan),
        ("GET", f"{job}/resource-requirements", _get),
        ("PUT", f"{job}/resource-requirements", _put),
    )
