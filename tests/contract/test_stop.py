"""Stop with savepoint, overlaps, cancel."""

import pytest

from flinkjob.core.flinkmodel import CancelResult, CheckpointKind, FlinkJobState, TriggerResult, TriggerState, is_below
from tests.contract.target import REFRESH, Target, new_id

_EXPIRED = "CheckpointException: Checkpoint expired before completing."
_SLOW = ("--snapshot-ms", "2000")
_OFTEN = {"execution.checkpointing.interval": "500ms"}


@pytest.mark.parametrize("drain", [False, True])
@pytest.mark.oldest
async def test_when_a_stop_is_complete_the_job_is_finished(target: Target, drain: bool) -> None:
    job_id, trigger = await target.start(flink_configuration=_OFTEN), new_id()
    await target.checkpointed(job_id)
    await target.client.stop_with_savepoint(job_id, trigger, target.directory(), drain=drain)
    result = await target.savepoint_result(job_id, trigger)
    assert result.state is TriggerState.COMPLETED
    assert result.location is not None
    assert is_below(result.location, target.directory())
    assert await target.client.job_status(job_id) is FlinkJobState.FINISHED
    await target.client.stop_with_savepoint(job_id, trigger, target.directory("again"))
    assert (await target.savepoint_result(job_id, trigger)).location == result.location


@pytest.mark.oldest
async def test_the_savepoint_of_a_stop_is_in_the_history_and_checkpoints_are_gone(target: Target) -> None:
    job_id, trigger = await target.start(flink_configuration=_OFTEN), new_id()
    await target.checkpointed(job_id)
    await target.client.stop_with_savepoint(job_id, trigger, target.directory())
    location = (await target.savepoint_result(job_id, trigger)).location
    await target.fresh()
    stats = await target.client.checkpoints(job_id)
    assert stats is not None
    stopped = stats.newest_completed(CheckpointKind.SYNC_SAVEPOINT)
    assert stopped is not None
    assert stopped.external_path == location
    assert stopped.is_usable
    assert stats.newest_completed() == stopped
    kept = stats.newest_completed(CheckpointKind.CHECKPOINT)
    assert kept is not None
    assert kept.discarded


async def test_statistics_are_stale_for_a_while_but_the_state_is_not(target: Target) -> None:
    job_id, trigger = await target.start(flink_configuration=_OFTEN), new_id()
    await target.checkpointed(job_id)
    await target.fresh()
    asked = target.backend.now()
    assert await target.client.checkpoints(job_id) is not None
    await target.client.stop_with_savepoint(job_id, trigger, target.directory())
    await target.state(job_id, FlinkJobState.FINISHED)
    stats = await target.client.checkpoints(job_id)
    assert stats is not None
    if target.backend.now() - asked < REFRESH:
        assert stats.newest_completed(CheckpointKind.SYNC_SAVEPOINT) is None
    job = await target.overview(job_id)
    assert job is not None
    assert job.state is FlinkJobState.FINISHED
    await target.fresh()
    later = await target.client.checkpoints(job_id)
    assert later is not None
    assert later.newest_completed(CheckpointKind.SYNC_SAVEPOINT) is not None


@pytest.mark.oldest
async def test_a_failed_stop_leaves_the_job_running(target: Target) -> None:
    job_id, trigger = await target.start(), new_id()
    await target.client.stop_with_savepoint(job_id, trigger, "file:///proc/nope")
    result = await target.savepoint_result(job_id, trigger)
    assert result.state is TriggerState.FAILED
    await target.running(job_id)
    await target.client.stop_with_savepoint(job_id, trigger, target.directory())
    assert (await target.savepoint_result(job_id, trigger)).failure == result.failure
    second = new_id()
    await target.client.stop_with_savepoint(job_id, second, target.directory())
    assert (await target.savepoint_result(job_id, second)).state is TriggerState.COMPLETED


async def test_a_stop_that_takes_longer_than_a_checkpoint_may_fails_and_restarts_the_tasks(target: Target) -> None:
    limits = {
        "execution.checkpointing.interval": "1000h",
        "execution.checkpointing.timeout": "5s",
        "execution.checkpointing.tolerable-failed-checkpoints": "100",
    }
    job_id = await target.start("--snapshot-ms", "20000", "--restart", "3", flink_configuration=limits)
    trigger = new_id()
    await target.client.stop_with_savepoint(job_id, trigger, target.directory())
    assert (await target.savepoint_result(job_id, trigger)).failure == _EXPIRED
    (failure,) = await target.until(lambda: target.client.exceptions(job_id))
    assert failure.root_cause == "FlinkRuntimeException: Stop-with-savepoint failed."
    await target.running(job_id)


@pytest.mark.behaviour(41)
async def test_a_job_whose_tasks_do_not_run_cannot_be_stopped(target: Target) -> None:
    job_id, trigger = await target.run("--open-ms", "10000"), new_id()
    await target.state(job_id, FlinkJobState.RUNNING)
    await target.client.stop_with_savepoint(job_id, trigger, target.directory())
    result = await target.savepoint_result(job_id, trigger)
    assert result.failure is not None
    assert "Not all required tasks are currently running" in result.failure
    assert await target.client.job_status(job_id) is FlinkJobState.RUNNING


@pytest.mark.fault("flink-finishes-during-a-stop")
async def test_a_job_may_end_by_itself_under_a_stop(target: Target) -> None:
    job_id, trigger = await target.start("--count", "600", "--rate", "100", "--snapshot-ms", "8000"), new_id()
    await target.client.stop_with_savepoint(job_id, trigger, target.directory())
    result = await target.savepoint_result(job_id, trigger)
    assert result.state is TriggerState.COMPLETED
    assert result.location is not None
    assert await target.client.job_status(job_id) is FlinkJobState.FINISHED


@pytest.mark.parametrize("end", ["unknown", "finished"])
async def test_stopping_what_does_not_run(target: Target, end: str) -> None:
    job_id, trigger = new_id(), new_id()
    if end == "finished":
        await target.run("--count", "1", job_id=job_id)
        await target.state(job_id, FlinkJobState.FINISHED)
    await target.client.stop_with_savepoint(job_id, trigger, target.directory())
    result = await target.savepoint_result(job_id, trigger)
    assert result.failure is not None
    # Right after the end the JobMaster may still be there, without the coordinator of checkpoints.
    assert result.failure.startswith("FlinkJobNotFoundException") or "is not a streaming job" in result.failure


@pytest.mark.oldest
async def test_stop_then_stop_with_the_same_trigger_id_is_one_stop(target: Target) -> None:
    job_id, trigger = await target.start(*_SLOW), new_id()
    await target.client.stop_with_savepoint(job_id, trigger, target.directory())
    await target.client.stop_with_savepoint(job_id, trigger, target.directory())
    assert (await target.savepoint_result(job_id, trigger)).state is TriggerState.COMPLETED
    assert await target.client.job_status(job_id) is FlinkJobState.FINISHED


# What overlaps: Flink takes up requests of the same moment in any order, aborts what has begun, and may never answer for one
# of them: its result stays in progress after the job has ended. A snapshot may also overtake an earlier one on its way to
# the tasks, which then leave out the earlier: that one ends at the checkpoint timeout.

_LIMIT = {"execution.checkpointing.timeout": "15s"}


async def _outcomes(target: Target, job_id: str, *triggers: str) -> list[TriggerResult]:
    """The results when all are there, or the job has ended and those are that will be."""

    async def over() -> list[TriggerResult] | None:
        results = [await target.client.savepoint_result(job_id, each) for each in triggers]
        all_there = all(each.state is not TriggerState.IN_PROGRESS for each in results)
        return results if all_there or await target.client.job_status(job_id) is FlinkJobState.FINISHED else None

    await target.until(over)
    await target.backend.sleep(0.5)
    return [await target.client.savepoint_result(job_id, each) for each in triggers]


def _aborted_or(result: TriggerResult, *states: TriggerState) -> bool:
    return result.state in states or (result.failure or "").startswith("CheckpointException: ")


async def test_of_two_stops_with_different_trigger_ids_one_at_most_succeeds(target: Target) -> None:
    job_id, triggers = await target.start(*_SLOW, flink_configuration=_LIMIT), (new_id(), new_id())
    for each in triggers:
        await target.client.stop_with_savepoint(job_id, each, target.directory())
    outcomes = await _outcomes(target, job_id, *triggers)
    states = [each.state for each in outcomes]
    assert states.count(TriggerState.COMPLETED) <= 1
    assert all(_aborted_or(each, TriggerState.COMPLETED, TriggerState.IN_PROGRESS) for each in outcomes)
    if states == [TriggerState.FAILED] * 2:
        await target.running(job_id)
    else:
        assert await target.client.job_status(job_id) is FlinkJobState.FINISHED


async def test_savepoint_then_stop_stops_and_may_fail_the_savepoint(target: Target) -> None:
    """The savepoint is aborted unless it was nearly done, or had hardly begun, when the stop came."""
    job_id, first, second = await target.start(*_SLOW, flink_configuration=_LIMIT), new_id(), new_id()
    await target.client.trigger_savepoint(job_id, first, target.directory())
    await target.client.stop_with_savepoint(job_id, second, target.directory())
    plain, stopped = await _outcomes(target, job_id, first, second)
    assert _aborted_or(plain, TriggerState.COMPLETED, TriggerState.IN_PROGRESS)
    if stopped.state is TriggerState.FAILED:
        assert stopped.failure == _EXPIRED
        await target.running(job_id)
    else:
        assert await target.client.job_status(job_id) is FlinkJobState.FINISHED


@pytest.mark.copying("never-answered")
async def test_stop_then_savepoint_leaves_the_stop_alone_and_may_hide_it(target: Target) -> None:
    """The plain savepoint succeeds or not; when it does, it and not that of the stop is the latest."""
    job_id, first, second = await target.start(*_SLOW, flink_configuration=_LIMIT), new_id(), new_id()
    await target.client.stop_with_savepoint(job_id, first, target.directory("stop"))
    await target.client.trigger_savepoint(job_id, second, target.directory("plain"))
    stopped, plain = await _outcomes(target, job_id, first, second)
    if stopped.state is TriggerState.FAILED:
        assert stopped.failure == _EXPIRED
        await target.running(job_id)
        return
    assert await target.client.job_status(job_id) is FlinkJobState.FINISHED
    assert _aborted_or(plain, TriggerState.COMPLETED, TriggerState.IN_PROGRESS)
    await target.fresh()
    stats = await target.client.checkpoints(job_id)
    assert stats is not None
    newest = stats.newest_completed(CheckpointKind.SYNC_SAVEPOINT)
    assert newest is not None
    assert newest.external_path is not None
    assert is_below(newest.external_path, target.directory("stop"))
    assert stopped.location in (None, newest.external_path)
    assert stats.latest_savepoint is not None
    latest = stats.latest_savepoint.external_path
    assert latest is not None
    assert latest == newest.external_path or is_below(latest, target.directory("plain"))
    assert plain.location in (None, latest)


async def test_stop_then_cancel_cancels_without_a_savepoint(target: Target) -> None:
    job_id, trigger = await target.start(*_SLOW), new_id()
    await target.client.stop_with_savepoint(job_id, trigger, target.directory())
    assert await target.client.cancel(job_id) is CancelResult.ACCEPTED
    result = await target.savepoint_result(job_id, trigger)
    assert result.state is TriggerState.FAILED
    assert _aborted_or(result)
    assert await target.state(job_id, FlinkJobState.CANCELED)


async def test_a_stop_with_the_trigger_id_of_a_savepoint_is_swallowed(target: Target) -> None:
    job_id, trigger = await target.start(), new_id()
    await target.client.trigger_savepoint(job_id, trigger, target.directory("plain"))
    await target.client.stop_with_savepoint(job_id, trigger, target.directory("stop"))
    result = await target.savepoint_result(job_id, trigger)
    assert result.location is not None
    assert is_below(result.location, target.directory("plain"))
    await target.backend.sleep(1.0)
    assert await target.client.job_status(job_id) is FlinkJobState.RUNNING


@pytest.mark.behaviour(41)
@pytest.mark.oldest
async def test_cancel_is_accepted_again_and_refused_for_other_ends(target: Target) -> None:
    job_id = await target.start()
    assert await target.client.cancel(job_id) is CancelResult.ACCEPTED
    await target.state(job_id, FlinkJobState.CANCELED)
    assert await target.client.cancel(job_id) is CancelResult.ACCEPTED
    finished = await target.run("--count", "1")
    await target.state(finished, FlinkJobState.FINISHED)

    async def refused() -> bool:
        return await target.client.cancel(finished) is CancelResult.ALREADY_TERMINAL

    await target.until(refused)  # its JobMaster accepts for a few milliseconds more
    assert await target.client.job_status(finished) is FlinkJobState.FINISHED
    assert await target.client.cancel(new_id()) is CancelResult.NOT_FOUND


async def test_a_job_that_waits_for_slots_can_be_cancelled(target: Target) -> None:
    job_id = await target.run(parallelism=64)
    await target.state(job_id, FlinkJobState.RUNNING)
    job = await target.overview(job_id)
    assert job is not None
    assert not job.all_tasks_running
    assert job.tasks.running == 0
    assert await target.client.cancel(job_id) is CancelResult.ACCEPTED
    await target.state(job_id, FlinkJobState.CANCELED)
