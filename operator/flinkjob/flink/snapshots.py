"""Stopping a job with a savepoint; checkpoints and savepoints: triggering, statistics, disposal.

Used by: `FlinkClient`. Invariants: a trigger that was accepted (202) says nothing about success, its result does;
a failure comes with HTTP 200; FORGOTTEN means that Flink does not know the trigger id (5 minutes after the result, or
another JobManager process) and that sending it again would make a second snapshot.
"""

from dataclasses import replace

from pydantic import TypeAdapter

from flinkjob.core.errors import Rejected
from flinkjob.core.flinkmodel import (
    CheckpointConfig,
    CheckpointDetails,
    CheckpointStats,
    SavepointFormat,
    TriggeredCheckpoint,
    TriggerResult,
    TriggerState,
)
from flinkjob.flink import jarwire, wire
from flinkjob.flink.calls import Calls, segment
from flinkjob.flink.error_texts import (
    is_checkpoint_not_found,
    is_checkpointing_off,
    is_job_not_found,
    is_operation_not_found,
)
from flinkjob.flink.rest import LARGE_BYTES, Answer
from flinkjob.flink.values import Many

_STATS = TypeAdapter(wire.Checkpoints)
_HISTORY = TypeAdapter(Many[wire.Snapshot])
_DETAILS = TypeAdapter(jarwire.CheckpointDetails)
_SETTINGS = TypeAdapter(wire.CheckpointSettings)
_TRIGGERED = TypeAdapter(wire.Triggered)
_REQUEST = TypeAdapter(wire.RequestId)


class SnapshotCalls(Calls):
    """Calls about checkpoints and savepoints."""

    async def checkpoints(self, job_id: str) -> CheckpointStats | None:
        """Statistics, up to 3 s old; None: unknown job. Flink REST: `GET /jobs/:id/checkpoints`."""
        answer = await self._get(f"/jobs/{segment(job_id)}/checkpoints", limit=LARGE_BYTES)
        if answer.ok:
            stats = self._rest.parse(_STATS, answer)
            return stats.value(await self._rest.parse_entries(_HISTORY, stats.history, wire.Snapshot.value))
        if is_job_not_found(answer.errors):
            return None
        if is_checkpointing_off(answer.errors):
            return CheckpointStats()
        raise self._rest.refusal(answer)

    async def newest_details(self, job_id: str) -> CheckpointDetails | None:
        """What the newest completed snapshot holds of each vertex; None: there is none that Flink knows.

        The number of that snapshot comes from fresh statistics: one that is known for minutes may be forgotten by now.
        Flink REST: `GET /jobs/:id/checkpoints`, and where one is complete that of `checkpoint_details`.
        """
        stats = await self.checkpoints(job_id)
        newest = stats.newest_completed() if stats is not None else None
        return await self.checkpoint_details(job_id, newest.checkpoint_id) if newest is not None else None

    async def checkpoint_details(self, job_id: str, checkpoint_id: int) -> CheckpointDetails | None:
        """What a completed snapshot holds of each vertex; None: unknown job, or a snapshot that Flink has forgotten.

        Flink remembers the newest ten. For an older one it may answer with another job's of the same number.
        Flink REST: `GET /jobs/:id/checkpoints/details/:checkpointid`.
        """
        path = f"/jobs/{segment(job_id)}/checkpoints/details/{checkpoint_id}"
        answer = await self._get(path, limit=LARGE_BYTES)
        if answer.ok:
            return self._rest.parse(_DETAILS, answer).value()
        if any(is_gone(answer.errors) for is_gone in (is_job_not_found, is_checkpoint_not_found, is_checkpointing_off)):
            return None
        raise self._rest.refusal(answer)

    async def checkpoint_config(self, job_id: str) -> CheckpointConfig | None:
        """How the job checkpoints; None: unknown job. Flink REST: `GET /jobs/:id/checkpoints/config`."""
        answer = await self._get(f"/jobs/{segment(job_id)}/checkpoints/config")
        if answer.ok:
            return self._rest.parse(_SETTINGS, answer).value()
        if is_job_not_found(answer.errors):
            return None
        if is_checkpointing_off(answer.errors):
            return CheckpointConfig()
        raise self._rest.refusal(answer)

    async def trigger_savepoint(
        self,
        job_id: str,
        trigger_id: str,
        directory: str | None,
        format_type: SavepointFormat = SavepointFormat.CANONICAL,
        cancel_job: bool = False,
    ) -> None:
        """Ask for a savepoint. Flink REST: `POST /jobs/:id/savepoints`.

        Args:
            trigger_id: 32 hex digits; the same one again makes no second savepoint while Flink remembers it.
            directory: place below which Flink makes the savepoint's directory; None: the cluster's default.
        """
        body: dict[str, object] = {
            "triggerId": trigger_id,
            "formatType": str(format_type),
            "cancel-job": cancel_job,
        }
        if directory is not None:
            body["target-directory"] = directory
        self._trigger_accepted(await self._post(f"/jobs/{segment(job_id)}/savepoints", body), trigger_id)

    async def stop_with_savepoint(
        self,
        job_id: str,
        trigger_id: str,
        directory: str | None,
        format_type: SavepointFormat = SavepointFormat.CANONICAL,
        drain: bool = False,
    ) -> None:
        """Ask the job to make a savepoint and finish. Flink REST: `POST /jobs/:id/stop`.

        Never send a second one with another trigger id while one is under way: they abort each other. A trigger id
        that was used for a plain savepoint is swallowed.
        """
        body: dict[str, object] = {"triggerId": trigger_id, "formatType": str(format_type), "drain": drain}
        if directory is not None:
            body["targetDirectory"] = directory
        self._trigger_accepted(await self._post(f"/jobs/{segment(job_id)}/stop", body), trigger_id)

    async def savepoint_result(self, job_id: str, trigger_id: str) -> TriggerResult:
        """What became of a savepoint or stop. Flink REST: `GET /jobs/:id/savepoints/:triggerId`."""
        return await self._result(f"/jobs/{segment(job_id)}/savepoints/{segment(trigger_id)}")

    async def trigger_checkpoint(
        self,
        job_id: str,
        trigger_id: str,
        checkpoint_type: TriggeredCheckpoint = TriggeredCheckpoint.CONFIGURED,
    ) -> None:
        """Ask for a checkpoint. Flink REST: `POST /jobs/:id/checkpoints`."""
        body: dict[str, object] = {"triggerId": trigger_id, "checkpointType": str(checkpoint_type)}
        self._trigger_accepted(await self._post(f"/jobs/{segment(job_id)}/checkpoints", body), trigger_id)

    async def checkpoint_result(self, job_id: str, trigger_id: str) -> TriggerResult:
        """What became of a triggered checkpoint: its id. Flink REST: `GET /jobs/:id/checkpoints/:triggerId`."""
        return await self._result(f"/jobs/{segment(job_id)}/checkpoints/{segment(trigger_id)}")

    async def dispose_savepoint(self, path: str) -> str:
        """Ask for the deletion of a snapshot; returns the request's id. Flink REST: `POST /savepoint-disposal`."""
        answer = await self._post("/savepoint-disposal", {"savepoint-path": path})
        if not answer.ok:
            raise self._rest.refusal(answer)
        return self._rest.parse(_REQUEST, answer).id

    async def disposal_result(self, request_id: str) -> TriggerResult:
        """What became of a disposal; COMPLETED also when there was nothing to dispose of.

        Flink REST: `GET /savepoint-disposal/:triggerid`.
        """
        result = await self._result(f"/savepoint-disposal/{segment(request_id)}")
        if result.missing:
            return replace(result, state=TriggerState.COMPLETED, failure=None)
        return result

    def _trigger_accepted(self, answer: Answer, trigger_id: str) -> None:
        if not answer.ok:
            raise self._rest.refusal(answer)
        if self._rest.parse(_REQUEST, answer).id != trigger_id:
            raise Rejected(answer.status, "Flink did not take the trigger id: too old a version", permanent=True)

    async def _result(self, path: str) -> TriggerResult:
        answer = await self._get(path, limit=LARGE_BYTES)
        if answer.ok:
            return self._rest.parse(_TRIGGERED, answer).value()
        if answer.status == 404 and (is_operation_not_found(answer.errors) or is_job_not_found(answer.errors)):
            return TriggerResult(state=TriggerState.FORGOTTEN)
        raise self._rest.refusal(answer)
