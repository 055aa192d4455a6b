"""What only people look at in a Flink job: its vertices, and how busy they are.

Used by the command line. Invariants as in `client`: only reads here, and an error is one of `flinkjob.core.errors`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, TypeAdapter

from flinkjob.core.errors import FlinkJobError
from flinkjob.flink.calls import segment
from flinkjob.flink.client import FlinkClient
from flinkjob.flink.rest import LARGE_BYTES
from flinkjob.flink.values import Count, Many, Name, Shape, Word

PAUSES = (0.3, 0.7, 1.0)
"""Seconds between questions for numbers that Flink has to fetch first."""
MOST_VERTICES = 40
"""So many vertices are asked for their load."""
BUSY_METRIC, BACKPRESSURE_METRIC = "busyTimeMsPerSecond", "backPressuredTimeMsPerSecond"


@dataclass(frozen=True, kw_only=True, slots=True)
class Vertex:
    """A vertex of a running job.

    Attributes:
        tasks: how many there are in each state that any is in, in Flink's words.
        busy, backpressured: of the busiest task, as a part of the time, from 0 to 1; None where Flink has no number.
    """

    name: str
    parallelism: int
    tasks: Mapping[str, int]
    busy: float | None = None
    backpressured: float | None = None


class _Vertex(Shape):
    id: Word
    name: Name = ""
    parallelism: Count = 0
    tasks: dict[Word, Count] = Field(default_factory=dict)


class _Job(Shape):
    vertices: Many[_Vertex] = ()


class _Load(Shape):
    id: Word
    largest: Annotated[float | str | None, Field(alias="max")] = None

    @property
    def share(self) -> float | None:
        """The part of each second; None where Flink has no number."""
        number = self.largest
        return min(max(number / 1000, 0.0), 1.0) if isinstance(number, float) and number == number else None


class _Accumulator(Shape):
    name: Name = ""
    value: str = ""


class _Accumulators(Shape):
    found: Annotated[Many[_Accumulator], Field(alias="user-task-accumulators")] = ()


_JOB: TypeAdapter[_Job] = TypeAdapter(_Job)
_ACCUMULATORS: TypeAdapter[_Accumulators] = TypeAdapter(_Accumulators)
_LOADS: TypeAdapter[tuple[_Load, ...]] = TypeAdapter(Many[_Load])


class FlinkView(FlinkClient):
    """A client that also reads what only people look at."""

    async def vertices(self, job_id: str) -> tuple[Vertex, ...]:
        """The vertices of a job and how busy they are. Flink REST: `GET /jobs/:id` and the metrics of each vertex."""
        answer = await self._get(f"/jobs/{segment(job_id)}", limit=LARGE_BYTES)
        if not answer.ok:
            raise self._rest.refusal(answer)
        found = self._rest.parse(_JOB, answer).vertices
        loads = [*await self._all_loads(job_id, found[:MOST_VERTICES]), *({} for _ in found[MOST_VERTICES:])]
        return tuple(
            Vertex(
                name=each.name,
                parallelism=each.parallelism,
                tasks={state: count for state, count in each.tasks.items() if count},
                busy=load.get(BUSY_METRIC),
                backpressured=load.get(BACKPRESSURE_METRIC),
            )
            for each, load in zip(found, loads, strict=True)
        )

    async def kept_rows(self, job_id: str) -> tuple[str, int]:
        """What the SQL runner keeps of a query: its rows as JSON, "" while there is none, and how many it saw.

        Flink REST: `GET /jobs/:id/accumulators`; they come with the heartbeats of TaskManagers, every ten seconds by default.
        """
        answer = await self._get(f"/jobs/{segment(job_id)}/accumulators", limit=LARGE_BYTES)
        if not answer.ok:
            return "", 0
        found = {each.name: each.value for each in self._rest.parse(_ACCUMULATORS, answer).found}
        seen = found.get("flinkjob.seen", "0")
        return found.get("flinkjob.rows", ""), int(seen) if seen.isdecimal() else 0

    async def _all_loads(self, job_id: str, vertices: Sequence[_Vertex]) -> list[dict[str, float | None]]:
        """How busy each vertex is. Flink fetches these numbers only once somebody asks, and answers without them first."""
        for pause in (*PAUSES, None):
            loads = await asyncio.gather(*(self._loads(job_id, each.id) for each in vertices))
            if pause is None or any(loads):
                return loads
            await asyncio.sleep(pause)
        raise AssertionError

    async def _loads(self, job_id: str, vertex: str) -> dict[str, float | None]:
        path = f"/jobs/{segment(job_id)}/vertices/{segment(vertex)}/subtasks/metrics"
        try:
            answer = await self._get(path, get=f"{BUSY_METRIC},{BACKPRESSURE_METRIC}", agg="max")
            entries = self._rest.parse(_LOADS, answer) if answer.ok else ()
        except FlinkJobError:
            return {}
        return {each.id: each.share for each in entries}
