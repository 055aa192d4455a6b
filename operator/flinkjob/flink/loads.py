"""How busy a job is and how far behind its sources are, as far as Flink measures it.

Used by: `FlinkClient`. Flink fetches these numbers from TaskManagers only when somebody asks, at most every ten seconds
(`metrics.fetcher.update-interval`): the first answer has none, later ones are that old.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from flinkjob.core.jobload import JobTimes, SourceLag, VertexTimes
from flinkjob.flink.calls import Calls, segment
from flinkjob.flink.error_texts import is_job_not_found
from flinkjob.flink.rest import LARGE_BYTES
from flinkjob.flink.values import Many, Word

PENDING, LAG = "pendingRecords", "currentEmitEventTimeLag"
"""What sources measure, after the name of their operator: records not read yet, and milliseconds behind the events."""
MOST_OPERATORS = 8
"""So many sources within one vertex are looked at."""
_LONGEST = 10.0**15


def _amount(value: Any) -> Any:
    """None for what is no amount of anything: Flink writes "NaN" as a text, and -1 for what it does not know."""
    return float(value) if isinstance(value, int | float) and 0 <= value <= _LONGEST else None


Amount = Annotated[float | None, BeforeValidator(_amount)]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class _Times(_Wire):
    busy: Annotated[Amount, Field(alias="accumulated-busy-time")] = None
    idle: Annotated[Amount, Field(alias="accumulated-idle-time")] = None
    backpressured: Annotated[Amount, Field(alias="accumulated-backpressured-time")] = None

    def value(self) -> VertexTimes | None:
        if self.busy is None or self.idle is None or self.backpressured is None:
            return None
        return VertexTimes(busy=self.busy, idle=self.idle, backpressured=self.backpressured)


class _Vertex(_Wire):
    id: Word
    metrics: _Times = _Times()


class _Node(_Wire):
    id: Word
    inputs: Annotated[bool, BeforeValidator(bool)] = False


class _Plan(_Wire):
    nodes: Many[_Node] = ()


class _Job(_Wire):
    vertices: Many[_Vertex] = ()
    plan: _Plan = _Plan()


class _Metric(_Wire):
    id: str
    total: Annotated[Amount, Field(alias="sum")] = None
    largest: Annotated[Amount, Field(alias="max")] = None


_JOB: TypeAdapter[_Job] = TypeAdapter(_Job)
_METRICS: TypeAdapter[tuple[_Metric, ...]] = TypeAdapter(Many[_Metric])


class LoadCalls(Calls):
    """Calls about the load of a job."""

    async def job_times(self, job_id: str) -> JobTimes | None:
        """What the vertices of a job have done so far; None when Flink does not know it. Flink REST: `GET /jobs/:id`."""
        answer = await self._get(f"/jobs/{segment(job_id)}", limit=LARGE_BYTES)
        if is_job_not_found(answer.errors):
            return None
        if not answer.ok:
            raise self._rest.refusal(answer)
        job = self._rest.parse(_JOB, answer)
        times = ((vertex.id, vertex.metrics.value()) for vertex in job.vertices)
        return JobTimes(
            vertices={vertex: each for vertex, each in times if each is not None},
            sources=tuple(node.id for node in job.plan.nodes if not node.inputs),
        )

    async def lag_metrics(self, job_id: str, vertex: str) -> tuple[str, ...] | None:
        """What the sources of a vertex measure of their lag: the names of the metrics; None while Flink has no metric of it.

        Flink REST: `GET /jobs/:id/vertices/:id/subtasks/metrics`; a source with many partitions has a long list.
        """
        answer = await self._get(_subtasks(job_id, vertex), limit=LARGE_BYTES)
        if not answer.ok:
            raise self._rest.refusal(answer)
        if not (names := [each.id for each in self._rest.parse(_METRICS, answer)]):
            return None
        found = [name for name in names if name.endswith((f".{PENDING}", f".{LAG}")) and "," not in name]
        return tuple(sorted(found)[: 2 * MOST_OPERATORS])

    async def source_lag(self, job_id: str, vertex: str, names: Sequence[str]) -> SourceLag:
        """How far behind the sources of a vertex are.

        Flink REST: `GET /jobs/:id/vertices/:id/subtasks/metrics?get=…`, put together for all tasks.

        Args:
            names: as `lag_metrics` gives them, at least one.
        """
        answer = await self._get(_subtasks(job_id, vertex), get=",".join(names), agg="sum,max")
        if not answer.ok:
            raise self._rest.refusal(answer)
        found = self._rest.parse(_METRICS, answer)
        pending = [each.total for each in found if each.id.endswith(PENDING) and each.total is not None]
        lags = [each.largest for each in found if each.id.endswith(LAG) and each.largest is not None]
        return SourceLag(pending=int(sum(pending)) if pending else None, seconds=max(lags) / 1000 if lags else None)


def _subtasks(job_id: str, vertex: str) -> str:
    return f"/jobs/{segment(job_id)}/vertices/{segment(vertex)}/subtasks/metrics"
