"""Parallelism of a running job under the adaptive scheduler.

Used by: `FlinkClient`. Invariant: accepted is not done; only the observed number of tasks is success.
"""

from collections.abc import Mapping

from pydantic import TypeAdapter

from flinkjob.core.errors import Rejected, RescaleUnsupported, Transient
from flinkjob.core.jobgraph import ParallelismBounds, Topology
from flinkjob.flink import jarwire
from flinkjob.flink.calls import Calls, segment
from flinkjob.flink.error_texts import is_job_not_found, is_rescale_unsupported
from flinkjob.flink.jars import plan_in
from flinkjob.flink.rest import Answer

_REQUIREMENTS = TypeAdapter(jarwire.Requirements)


class RescaleCalls(Calls):
    """Calls about the parallelism of running jobs."""

    async def resource_requirements(self, job_id: str) -> Mapping[str, ParallelismBounds] | None:
        """Bounds by vertex id; None: unknown or ended job. Flink REST: `GET /jobs/:id/resource-requirements`.

        Raises:
            RescaleUnsupported: the job's scheduler is not the adaptive one.
        """
        answer = await self._get(f"/jobs/{segment(job_id)}/resource-requirements")
        if answer.ok:
            found = self._rest.parse(_REQUIREMENTS, answer)
            return {vertex: requirement.value() for vertex, requirement in found.items()}
        if is_job_not_found(answer.errors):
            return None
        raise self._not_rescaled(answer)

    async def running_graph(self, job_id: str) -> Topology | None:
        """The graph of a job, with the parallelism that its scheduler is asked for; None: unknown or ended job.

        Flink REST: `GET /jobs/:id/plan`, and `GET /jobs/:id/resource-requirements`, which the default scheduler refuses.
        """
        answer = await self._get(f"/jobs/{segment(job_id)}/plan")
        if is_job_not_found(answer.errors):
            return None
        if not answer.ok:
            raise self._rest.refusal(answer)
        graph = await plan_in(self._rest, answer)
        try:
            bounds = await self.resource_requirements(job_id)
        except RescaleUnsupported:
            return graph
        return graph.bounded_by(bounds) if bounds is not None else None

    async def set_resource_requirements(self, job_id: str, parallelism: Mapping[str, int]) -> bool:
        """Ask for 1 to so many subtasks of each vertex, all of which must be named.

        Returns: False for an unknown job. Flink REST: `PUT /jobs/:id/resource-requirements`.

        Raises:
            RescaleUnsupported: the job's scheduler is not the adaptive one.
            Rejected: a bound is out of range, or a vertex is missing; the message names the vertex.
        """
        answer = await self._rest.call(
            "PUT",
            f"/jobs/{segment(job_id)}/resource-requirements",
            json={
                vertex: {"parallelism": {"lowerBound": 1, "upperBound": number}}
                for vertex, number in parallelism.items()
            },
            timeout=self._rest.timeout,
        )
        if answer.ok:
            return True
        if is_job_not_found(answer.errors):
            return False
        raise self._not_rescaled(answer)

    def _not_rescaled(self, answer: Answer) -> Transient | Rejected:
        if is_rescale_unsupported(answer.errors):
            return RescaleUnsupported(answer.status, answer.cause)
        return self._rest.refusal(answer)
