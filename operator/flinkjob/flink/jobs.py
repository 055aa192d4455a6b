"""Looking at jobs and cancelling them; a stop with a savepoint is in `snapshots`.

Used by: `FlinkClient`. Invariant: None (or NOT_FOUND) means that Flink itself said it does not know the job.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from flinkjob.core.errors import FlinkJobError, Unreachable
from flinkjob.core.flinkmodel import CancelResult, FlinkJobState, JobException, JobOverview
from flinkjob.core.jobfailures import JobFailures
from flinkjob.flink import jarwire, wire
from flinkjob.flink.calls import Calls, segment
from flinkjob.flink.error_texts import is_job_not_found
from flinkjob.flink.knownjobs import KnownJobs
from flinkjob.flink.pieces import parse_jobs
from flinkjob.flink.rest import LARGE_BYTES, TOO_LARGE
from flinkjob.flink.values import Many

_OVERVIEW = TypeAdapter(wire.Jobs)
_JOBS = TypeAdapter(Many[wire.Job])
_STATUS = TypeAdapter(wire.JobStatus)
_CONFIG = TypeAdapter(wire.JobConfig)
_VERTICES = TypeAdapter(jarwire.NamedVertices)
_FAILURES = TypeAdapter(wire.Failures)
_FAILURE = TypeAdapter(Many[wire.Failure])
_LEAST_BYTES = 256
"""No job of Flink's takes less in an overview."""
_UNREAD = "the job's exceptions are longer than the operator reads (--max-exceptions-mb)"
_METRICS = TypeAdapter(Many[wire.Metric])

MOST_FAILURES = 20
"""So many failures are asked for; Flink keeps 16 of a job unless `web.exception-history-size` says otherwise."""
RESTARTS = "numRestarts"


class JobCalls(Calls):
    """Calls about jobs."""

    async def overview_jobs(self, known: KnownJobs | None = None) -> tuple[JobOverview, ...]:
        """All jobs that the JobManager holds, terminal ones too. Flink REST: `GET /jobs/overview` (live).

        Args:
            known: of the overviews before; it saves the most where many jobs have not changed.

        A job whose JobMaster does not answer is silently left out: absence proves nothing, ask `job_status`.
        """
        most = self._rest.limits.overview // _LEAST_BYTES
        known = known if known is not None else KnownJobs()
        known.begin()
        answer = await self._rest.call(
            "GET",
            "/jobs/overview",
            timeout=self._rest.timeout,
            limit=self._rest.limits.overview,
            parse=lambda body: parse_jobs(body, lambda entries: known.understand(entries, self._jobs), most),
        )
        if not answer.ok:
            raise self._rest.refusal(answer)
        jobs: tuple[JobOverview, ...] = self._rest.parse(_OVERVIEW, answer).jobs
        known.end()
        return jobs

    def _jobs(self, entries: Sequence[Any]) -> list[JobOverview]:
        return [job.value() for job in self._rest.parse_values(_JOBS, entries)]

    async def job_status(self, job_id: str) -> FlinkJobState | None:
        """State of one job; None when Flink does not know it. Flink REST: `GET /jobs/:id/status` (live).

        Flink answers HTTP 500 for a job it does not know.
        """
        answer = await self._get(f"/jobs/{segment(job_id)}/status")
        if answer.ok:
            return FlinkJobState(self._rest.parse(_STATUS, answer).status)
        if is_job_not_found(answer.errors):
            return None
        raise self._rest.refusal(answer)

    async def vertex_names(self, job_id: str) -> Mapping[str, str] | None:
        """What a job's vertices are called, by their ids; None when Flink does not know it. Flink REST: `GET /jobs/:id`."""
        answer = await self._get(f"/jobs/{segment(job_id)}", limit=LARGE_BYTES)
        if answer.ok:
            return {vertex.id: vertex.name for vertex in self._rest.parse(_VERTICES, answer).vertices}
        if is_job_not_found(answer.errors):
            return None
        raise self._rest.refusal(answer)

    async def job_user_config(self, job_id: str) -> Mapping[str, str] | None:
        """Global job parameters of a job, None when unknown. Flink REST: `GET /jobs/:id/config`."""
        answer = await self._get(f"/jobs/{segment(job_id)}/config", limit=LARGE_BYTES)
        if answer.ok:
            return self._rest.parse(_CONFIG, answer).execution.user
        if is_job_not_found(answer.errors):
            return None
        raise self._rest.refusal(answer)

    async def exceptions(self, job_id: str, limit: int = 1) -> tuple[JobException, ...]:
        """The newest failures of a job, newest first; none for an unknown job. Flink REST: `GET /jobs/:id/exceptions`.

        What a program throws may be of any length. Where it is longer than is read, that is all that is known of it.

        Args:
            limit: the most failures to return, at least 1.
        """
        path = f"/jobs/{segment(job_id)}/exceptions"
        try:
            answer = await self._get(path, maxExceptions=limit, limit=self._rest.limits.exceptions)
        except Unreachable as error:
            if error.reason != TOO_LARGE:
                raise
            return (JobException(time=None, name="", root_cause=_UNREAD, stacktrace_head=""),)
        if answer.ok:
            entries = self._rest.parse(_FAILURES, answer).history.entries[:limit]
            found: list[JobException] = []
            for entry in entries:  # one at a time: each has a long text, which is looked at more than once
                found += await self._rest.parse_entries(_FAILURE, [entry], wire.Failure.value)
            return tuple(found)
        if is_job_not_found(answer.errors):
            return ()
        raise self._rest.refusal(answer)

    async def failures(self, job_id: str) -> JobFailures | None:
        """What made Flink restart a job; None where nothing did, or Flink does not know it.

        Flink REST: `GET /jobs/:id/exceptions` (up to `web.refresh-interval` old), and where there are some
        `GET /jobs/:id/metrics?get=numRestarts` (some 10 s old).
        """
        found = [each for each in await self.exceptions(job_id, limit=MOST_FAILURES) if each.time is not None]
        if not found:
            return None
        times = sorted((each.time for each in found if each.time is not None), reverse=True)
        newest = max(found, key=lambda each: each.time or times[-1])
        return JobFailures(newest=newest, times=tuple(times), restarts=await self._restarts(job_id))

    async def _restarts(self, job_id: str) -> int | None:
        """Flink's own count; None where it cannot be had, which says nothing: it is only shown."""
        try:
            answer = await self._get(f"/jobs/{segment(job_id)}/metrics", get=RESTARTS)
            metrics = await self._rest.parse_entries(
                _METRICS, answer.body if answer.ok else (), lambda each: (each.id, each.number)
            )
        except FlinkJobError:
            return None
        return next((number for name, number in metrics if name == RESTARTS), None)

    async def cancel(self, job_id: str) -> CancelResult:
        """Ask for a cancel; accepted is not yet cancelled. Flink REST: `PATCH /jobs/:id?mode=cancel`."""
        answer = await self._rest.call(
            "PATCH", f"/jobs/{segment(job_id)}", params={"mode": "cancel"}, timeout=self._rest.timeout
        )
        if answer.ok:
            return CancelResult.ACCEPTED
        if answer.status == 409:
            return CancelResult.ALREADY_TERMINAL
        if is_job_not_found(answer.errors):
            return CancelResult.NOT_FOUND
        raise self._rest.refusal(answer)
