"""The JobManager process ends: without high availability everything is gone, with it the jobs that ran go on."""

import pytest

from flinkjob.core.errors import SubmitRejected, SubmitRejection, Unreachable
from flinkjob.core.flinkmodel import FlinkJobState, JobManagerInfo, TriggerState
from tests.contract.target import Target, new_id

_CLEANED_UP = 5.0
"""Seconds after which Flink has surely removed what high availability kept of an ended job."""


async def _restart(target: Target) -> tuple[JobManagerInfo, JobManagerInfo]:
    before = await target.client.jobmanager_config()
    await target.backend.restart_jobmanager()

    async def answers() -> JobManagerInfo | None:
        try:
            return await target.client.jobmanager_config()
        except Unreachable:
            return None

    return before, await target.until(answers)


async def test_without_high_availability_all_jobs_are_gone(target: Target) -> None:
    job_id, trigger = await target.start(), new_id()
    await target.client.trigger_savepoint(job_id, trigger, target.directory())
    location = (await target.savepoint_result(job_id, trigger)).location
    before, after = await _restart(target)
    assert after.incarnation != before.incarnation
    assert not after.high_availability
    assert await target.client.overview_jobs() == ()
    assert await target.client.job_status(job_id) is None
    assert (await target.client.savepoint_result(job_id, trigger)).state is TriggerState.FORGOTTEN
    # The jar is there, the snapshot too, and the same id starts from nothing unless told otherwise.
    assert await target.start(job_id=job_id, savepoint_path=location) == job_id


@pytest.mark.cluster_kind("ha")
async def test_with_high_availability_a_running_job_goes_on(target: Target) -> None:
    job_id, trigger = await target.start(), new_id()
    await target.checkpointed(job_id)
    await target.client.trigger_savepoint(job_id, trigger, target.directory())
    await target.savepoint_result(job_id, trigger)
    before, after = await _restart(target)
    assert after.incarnation != before.incarnation
    assert after.high_availability
    await target.running(job_id)
    with pytest.raises(SubmitRejected) as refused:
        await target.run(job_id=job_id)
    assert refused.value.kind is SubmitRejection.DUPLICATE
    assert (await target.client.savepoint_result(job_id, trigger)).state is TriggerState.FORGOTTEN
    await target.fresh()
    stats = await target.client.checkpoints(job_id)
    assert stats is not None
    assert stats.restored is not None
    assert stats.latest_savepoint is None


@pytest.mark.cluster_kind("ha")
async def test_with_high_availability_an_ended_job_is_forgotten_and_its_id_free(target: Target) -> None:
    """Once Flink has cleaned up: a process killed right after the end leaves a result that the next one still tells."""
    job_id = await target.run("--count", "1")
    await target.state(job_id, FlinkJobState.FINISHED)
    await target.backend.sleep(_CLEANED_UP)
    await _restart(target)
    assert await target.client.job_status(job_id) is None
    assert await target.run("--count", "1", job_id=job_id) == job_id
    assert await target.state(job_id, FlinkJobState.FINISHED)
