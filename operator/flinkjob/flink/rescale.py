"""Parallelism of a running job under the adaptive scheduler.

Used by: `FlinkClient`. Invariant: accepted is not done; only the observed number of tasks is success.
"""

from collections.abc import Mapping

from pydantic import TypeAdapter

from flinkjob.core.errors import Rejected, RescaleUnsupported, Transient
from flinkjob.core.flinkmodel import ParallelismBounds
from flinkjob.flink import jarwire
from flinkjob.flink.calls import Calls, segment
from flinkjob.flink.error_texts import is_job_not_found, is_rescale_unsupported
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

    async def set_resource_requirements(self, job_id: str, parallelism: int, *, before: int | None = None) -> bool:
        """Ask for 1 to `parallelism` subtasks of the vertices that may have `before` now (of all when None).

        Returns: False for an unknown job. Flink REST: `GET`, then `PUT /jobs/:id/resource-requirements`, which wants
        every vertex named.

        Raises:
            RescaleUnsupported: the job's scheduler is not the adaptive one.
            Rejected: a bound is out of range; the message names the vertex.
        """
        current = await self.resource_requirements(job_id)
        if current is None:
            return False
        wanted = {
            vertex: ParallelismBounds(lower=1, upper=parallelism) if before in (None, bounds.upper) else bounds
            for vertex, bounds in current.items()
        }
        answer = await self._rest.call(
            "PUT",
            f"/jobs/{segment(job_id)}/resource-requirements",
            json={
                vertex: {"parallelism": {"lowerBound": bounds.lower, "upperBound": bounds.upper}}
                for vertex, bounds in wanted.items()
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
