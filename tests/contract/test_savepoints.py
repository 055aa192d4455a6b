"""Savepoints: trigger ids, results, failures, and what becomes of the files."""

import asyncio

import pytest

from flinkjob.core.errors import Rejected, Transient
from flinkjob.core.flinkmodel import (
    CheckpointKind,
    FlinkJobState,
    SavepointFormat,
    TriggeredCheckpoint,
    TriggerState,
    is_below,
    normalise_location,
)
from tests.contract.target import STORE_DURATION, Target, new_id


async def _savepoint(target: Target, job_id: str, directory: str, trigger: str | None = None) -> str:
    trigger = trigger or new_id()
    await target.client.trigger_savepoint(job_id, trigger, directory)
    result = await target.savepoint_result(job_id, trigger)
    assert result.state is TriggerState.COMPLETED, result
    assert result.location is not None
    return result.location


@pytest.mark.parametrize("format_type", list(SavepointFormat))
@pytest.mark.oldest
async def test_a_savepoint_lies_below_the_directory_asked_for(target: Target, format_type: SavepointFormat) -> None:
    job_id = await target.start()
    trigger, directory = new_id(), target.directory()
    await target.client.trigger_savepoint(job_id, trigger, directory, format_type)
    result = await target.savepoint_result(job_id, trigger)
    assert result.location is not None
    assert is_below(result.location, directory)
    assert normalise_location(result.location).rsplit("/", 1)[1].startswith(f"savepoint-{job_id[:6]}-")
    await target.fresh()
    stats = await target.client.checkpoints(job_id)
    assert stats is not None
    assert [each.kind for each in stats.below(directory)] == [CheckpointKind.SAVEPOINT]
    assert stats.latest_savepoint is not None
    assert stats.latest_savepoint.external_path == result.location


@pytest.mark.oldest
async def test_the_same_trigger_id_makes_one_savepoint_whatever_else_is_said(target: Target) -> None:
    job_id, trigger = await target.start(), new_id()
    location = await _savepoint(target, job_id, target.directory(), trigger)
    await target.client.trigger_savepoint(job_id, trigger, target.directory("other"), SavepointFormat.NATIVE, True)
    again = await target.savepoint_result(job_id, trigger)
    assert again.location == location
    assert await target.client.job_status(job_id) is FlinkJobState.RUNNING
    await target.fresh()
    stats = await target.client.checkpoints(job_id)
    assert stats is not None
    assert stats.below(target.directory("other")) == ()


async def test_eight_at_once_with_one_trigger_id_make_one_savepoint(target: Target) -> None:
    job_id, trigger = await target.start(), new_id()
    triggers = (target.client.trigger_savepoint(job_id, trigger, target.directory()) for _ in range(8))
    await asyncio.gather(*triggers)
    await target.savepoint_result(job_id, trigger)
    await target.fresh()
    stats = await target.client.checkpoints(job_id)
    assert stats is not None
    assert len(stats.below(target.directory())) == 1


async def test_two_savepoints_at_once_both_succeed(target: Target) -> None:
    job_id, first, second = await target.start("--snapshot-ms", "800"), new_id(), new_id()
    await target.client.trigger_savepoint(job_id, first, target.directory())
    await target.client.trigger_savepoint(job_id, second, target.directory())
    one = await target.savepoint_result(job_id, first)
    other = await target.savepoint_result(job_id, second)
    assert one.state is other.state is TriggerState.COMPLETED
    assert one.location != other.location


async def test_a_trigger_id_belongs_to_its_job(target: Target) -> None:
    one, other, trigger = await target.start(), await target.start(), new_id()
    assert await _savepoint(target, one, target.directory(), trigger) != await _savepoint(
        target, other, target.directory(), trigger
    )


@pytest.mark.invariant(4)
@pytest.mark.fault("rest-result-expired")
async def test_a_result_is_forgotten_and_the_trigger_id_then_makes_another(target: Target) -> None:
    job_id, trigger = await target.start(), new_id()
    first = await _savepoint(target, job_id, target.directory(), trigger)

    async def forgotten() -> bool:
        return (await target.client.savepoint_result(job_id, trigger)).state is TriggerState.FORGOTTEN

    since = target.backend.now()
    await target.until(forgotten, timeout=STORE_DURATION * 3)
    assert target.backend.now() - since > STORE_DURATION * 0.7
    assert await _savepoint(target, job_id, target.directory(), trigger) != first


async def test_unknown_trigger_ids_are_forgotten_ones(target: Target) -> None:
    job_id = await target.start()
    assert (await target.client.savepoint_result(job_id, new_id())).state is TriggerState.FORGOTTEN
    assert (await target.client.savepoint_result(new_id(), new_id())).state is TriggerState.FORGOTTEN
    assert (await target.client.checkpoint_result(job_id, new_id())).state is TriggerState.FORGOTTEN
    assert (await target.client.disposal_result(new_id())).state is TriggerState.FORGOTTEN


@pytest.mark.oldest
async def test_a_failure_comes_with_http_200_and_sticks_to_its_trigger_id(target: Target) -> None:
    job_id, trigger = await target.start(), new_id()
    await target.client.trigger_savepoint(job_id, trigger, "file:///proc/nope")
    result = await target.savepoint_result(job_id, trigger)
    assert result.state is TriggerState.FAILED
    assert result.failure is not None
    assert "Failed to create savepoint directory" in result.failure
    assert result.failure_path is None
    await target.client.trigger_savepoint(job_id, trigger, target.directory())
    assert (await target.savepoint_result(job_id, trigger)).failure == result.failure
    assert await target.client.job_status(job_id) is FlinkJobState.RUNNING
    await _savepoint(target, job_id, target.directory())


async def test_unknown_file_systems_fail_later(target: Target) -> None:
    job_id, trigger = await target.start(), new_id()
    await target.client.trigger_savepoint(job_id, trigger, "gopher://host/x")
    result = await target.savepoint_result(job_id, trigger)
    assert result.failure is not None
    assert "Could not find a file system implementation for scheme 'gopher'" in result.failure


@pytest.mark.parametrize("end", ["unknown", "finished", "cancelled"])
async def test_a_job_that_does_not_run_is_told_only_by_the_result(target: Target, end: str) -> None:
    job_id, trigger = new_id(), new_id()
    if end != "unknown":
        await target.run(*(("--count", "10") if end == "finished" else ()), job_id=job_id)
        if end == "cancelled":
            await target.client.cancel(job_id)
        await target.state(job_id, FlinkJobState.FINISHED, FlinkJobState.CANCELED)
    await target.client.trigger_savepoint(job_id, trigger, target.directory())
    result = await target.savepoint_result(job_id, trigger)
    assert result.state is TriggerState.FAILED
    assert result.failure is not None
    # Right after a cancel the JobMaster may still be there, without the coordinator of checkpoints.
    assert result.failure.startswith("FlinkJobNotFoundException") or "is not a streaming job" in result.failure


async def test_tasks_that_do_not_run_yet_fail_a_savepoint_at_once(target: Target) -> None:
    job_id, trigger = await target.run("--open-ms", "10000"), new_id()
    await target.state(job_id, FlinkJobState.RUNNING)
    await target.client.trigger_savepoint(job_id, trigger, target.directory())
    result = await target.savepoint_result(job_id, trigger)
    assert result.failure is not None
    assert "Not all required tasks are currently running" in result.failure


async def test_a_cancel_fails_the_savepoint_under_way(target: Target) -> None:
    job_id, trigger = await target.start("--snapshot-ms", "2000"), new_id()
    await target.client.trigger_savepoint(job_id, trigger, target.directory())
    await target.client.cancel(job_id)
    result = await target.savepoint_result(job_id, trigger)
    assert result.failure is not None
    assert result.failure.startswith("CheckpointException: "), "suspending, unless the cancel came before it had begun"
    assert await target.state(job_id, FlinkJobState.CANCELED)


@pytest.mark.oldest
async def test_cancel_job_cancels_after_the_savepoint(target: Target) -> None:
    job_id, trigger = await target.start(), new_id()
    await target.client.trigger_savepoint(job_id, trigger, target.directory(), cancel_job=True)
    assert (await target.savepoint_result(job_id, trigger)).location is not None
    await target.state(job_id, FlinkJobState.CANCELED)


@pytest.mark.parametrize(("restart", "state"), [("none", FlinkJobState.FAILED), ("3", FlinkJobState.RUNNING)])
async def test_a_snapshot_that_throws_fails_the_task(target: Target, restart: str, state: FlinkJobState) -> None:
    flag = target.scratch / "fail"
    job_id = await target.start("--restart", restart, "--snapshot-fail-while", str(flag), **_rarely())
    flag.touch()
    trigger = new_id()
    await target.client.trigger_savepoint(job_id, trigger, target.directory())
    assert (await target.savepoint_result(job_id, trigger)).state is TriggerState.FAILED
    flag.unlink()
    if state is FlinkJobState.FAILED:
        await target.state(job_id, state)
    else:
        await target.running(job_id)


async def test_malformed_triggers_are_refused_at_once(target: Target) -> None:
    job_id = await target.start()
    with pytest.raises(Rejected):
        await target.client.trigger_savepoint(job_id, "xyz", target.directory())


async def test_the_field_of_the_other_endpoint_is_silently_ignored(target: Target) -> None:
    """`targetDirectory` is for `/stop`: `/savepoints` takes the cluster's default directory instead."""
    job_id, trigger = await target.start(), new_id()
    body = {"targetDirectory": target.directory(), "triggerId": trigger}
    answer = await target.http.post(f"{target.backend.url}/jobs/{job_id}/savepoints", json=body)
    assert answer.status_code == 202
    result = await target.savepoint_result(job_id, trigger)
    assert result.location is not None
    assert not is_below(result.location, target.directory())


@pytest.mark.behaviour(55)
@pytest.mark.oldest
async def test_a_checkpoint_can_be_asked_for(target: Target) -> None:
    job_id, trigger = await target.start(), new_id()
    await target.client.trigger_checkpoint(job_id, trigger)
    result = await target.result(target.client.checkpoint_result, job_id, trigger)
    assert result.checkpoint_id is not None
    await target.client.trigger_checkpoint(job_id, trigger)
    again = await target.result(target.client.checkpoint_result, job_id, trigger)
    assert again.checkpoint_id == result.checkpoint_id
    await target.fresh()
    stats = await target.client.checkpoints(job_id)
    assert stats is not None
    made = next(each for each in stats.snapshots() if each.checkpoint_id == result.checkpoint_id)
    assert made.external_path is not None
    assert made.external_path.endswith(f"{job_id}/chk-{result.checkpoint_id}")


async def test_a_checkpoint_of_an_unknown_job_fails_later(target: Target) -> None:
    job_id, trigger = new_id(), new_id()
    await target.client.trigger_checkpoint(job_id, trigger)
    result = await target.result(target.client.checkpoint_result, job_id, trigger)
    assert result.failure is not None
    assert result.failure.startswith("FlinkJobNotFoundException")


async def test_incremental_checkpoints_cannot_be_asked_for(target: Target) -> None:
    job_id = await target.start()
    with pytest.raises(Transient, match="incremental"):
        await target.client.trigger_checkpoint(job_id, new_id(), TriggeredCheckpoint.INCREMENTAL)


@pytest.mark.oldest
async def test_disposal_deletes_and_may_be_repeated(target: Target) -> None:
    job_id = await target.start()
    location = await _savepoint(target, job_id, target.directory())
    for _ in range(2):
        request = await target.client.dispose_savepoint(location)

        async def done(request: str = request) -> bool:
            return (await target.client.disposal_result(request)).state is TriggerState.COMPLETED

        await target.until(done)
    await target.client.cancel(job_id)
    with pytest.raises(Rejected, match="Cannot find checkpoint or savepoint"):
        await target.run(savepoint_path=location)


def _rarely() -> dict[str, dict[str, str]]:
    return {"flink_configuration": {"execution.checkpointing.interval": "1000h"}}
