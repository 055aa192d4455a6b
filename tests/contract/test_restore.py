"""Checkpoints that stay, restoring from snapshots, and who deletes them."""

import asyncio

import pytest

from flinkjob.core.errors import RestoreFailure, SubmitRejected, SubmitRejection
from flinkjob.core.flinkmodel import CheckpointKind, CheckpointStats, ClaimMode, FlinkJobState
from tests.contract.target import Target, new_id
from tests.flinksim import Damage

_OFTEN = {"execution.checkpointing.interval": "500ms"}


async def _stats(target: Target, job_id: str) -> CheckpointStats:
    await target.fresh()
    stats = await target.client.checkpoints(job_id)
    assert stats is not None
    return stats


async def _stopped(target: Target, *arguments: str) -> str:
    job_id, trigger = await target.start(*arguments), new_id()
    await target.client.stop_with_savepoint(job_id, trigger, target.directory())
    location = (await target.savepoint_result(job_id, trigger)).location
    assert location is not None
    return location


@pytest.mark.oldest
async def test_a_cancelled_job_leaves_its_last_checkpoint(target: Target) -> None:
    job_id = await target.start(flink_configuration=_OFTEN)
    await target.checkpointed(job_id)
    config = await target.client.checkpoint_config(job_id)
    assert config is not None
    assert config.retained_on_cancellation
    await target.client.cancel(job_id)
    await target.state(job_id, FlinkJobState.CANCELED)
    kept = (await _stats(target, job_id)).newest_completed(CheckpointKind.CHECKPOINT)
    assert kept is not None
    assert kept.is_usable
    restored = await target.start(savepoint_path=kept.external_path)
    origin = (await _stats(target, restored)).restored
    assert origin is not None
    assert origin.external_path == kept.external_path


async def test_a_failed_job_leaves_its_last_checkpoint(target: Target) -> None:
    arguments = ("--fail-after", "500", "--rate", "50", "--restart", "none")
    job_id = await target.start(*arguments, flink_configuration=_OFTEN)
    await target.state(job_id, FlinkJobState.FAILED)
    kept = (await _stats(target, job_id)).newest_completed(CheckpointKind.CHECKPOINT)
    assert kept is not None
    assert kept.is_usable


async def test_checkpoints_are_not_kept_when_asked_so(target: Target) -> None:
    retention = {"execution.checkpointing.externalized-checkpoint-retention": "DELETE_ON_CANCELLATION"}
    job_id = await target.start(flink_configuration=retention | _OFTEN)
    await target.checkpointed(job_id)
    config = await target.client.checkpoint_config(job_id)
    assert config is not None
    assert config.retained
    assert not config.retained_on_cancellation
    await target.client.cancel(job_id)
    await target.state(job_id, FlinkJobState.CANCELED)
    kept = (await _stats(target, job_id)).newest_completed(CheckpointKind.CHECKPOINT)
    assert kept is None or not kept.is_usable


@pytest.mark.parametrize("suffix", ["", "/", "/_metadata"])
async def test_a_path_may_be_spelled_in_several_ways(target: Target, suffix: str) -> None:
    location = await _stopped(target)
    job_id = await target.start(savepoint_path=location + suffix)
    origin = (await _stats(target, job_id)).restored
    assert origin is not None


async def test_two_jobs_may_start_from_one_savepoint_that_stays(target: Target) -> None:
    location = await _stopped(target)
    for _ in range(2):
        job_id = await target.start(savepoint_path=location, claim_mode=ClaimMode.NO_CLAIM, flink_configuration=_OFTEN)
        await target.checkpointed(job_id)
    stats = await _stats(target, job_id)
    assert stats.restored is not None
    assert stats.restored.is_savepoint
    assert stats.restored_count == 1


@pytest.mark.oldest
async def test_claim_deletes_the_savepoint_soon(target: Target) -> None:
    location = await _stopped(target)
    job_id = await target.start(savepoint_path=location, claim_mode=ClaimMode.CLAIM, flink_configuration=_OFTEN)
    await target.checkpointed(job_id)
    stats = await _stats(target, job_id)
    assert stats.restored is not None
    assert not stats.restored.is_savepoint
    # A newer checkpoint subsumes it; one is made for certain.
    trigger = new_id()
    await target.client.trigger_checkpoint(job_id, trigger)
    await target.result(target.client.checkpoint_result, job_id, trigger)

    async def gone() -> bool:
        outcome = (await asyncio.gather(target.run(savepoint_path=location), return_exceptions=True))[0]
        if isinstance(outcome, str):
            await target.client.cancel(outcome)
            return False
        assert isinstance(outcome, SubmitRejected)
        return outcome.kind is SubmitRejection.RESTORE_FAILED

    await target.until(gone)


@pytest.mark.oldest
async def test_state_that_does_not_map_is_refused_unless_allowed(target: Target) -> None:
    location = await _stopped(target)
    job_id = new_id()
    with pytest.raises(SubmitRejected) as refused:
        await target.run("--uid", "another", job_id=job_id, savepoint_path=location)
    assert refused.value.kind is SubmitRejection.RESTORE_FAILED
    assert refused.value.permanent
    assert "Cannot map checkpoint/savepoint state" in refused.value.message
    await target.state(job_id, FlinkJobState.FAILED)
    await target.start("--uid", "another", savepoint_path=location, allow_non_restored_state=True)


@pytest.mark.oldest
@pytest.mark.parametrize(
    ("how", "failure"), [(Damage.NO_METADATA, RestoreFailure.MISSING), (Damage.METADATA, RestoreFailure.DAMAGED)]
)
async def test_a_snapshot_without_metadata_fails_the_job_at_once(
    target: Target, how: Damage, failure: RestoreFailure
) -> None:
    location = await _stopped(target)
    target.backend.damage(location, how)
    job_id = new_id()
    with pytest.raises(SubmitRejected) as refused:
        await target.run(job_id=job_id, savepoint_path=location)
    assert refused.value.kind is SubmitRejection.RESTORE_FAILED
    await target.state(job_id, FlinkJobState.FAILED)
    (told,) = await target.client.exceptions(job_id)
    assert (told.restore, told.not_initialized) == (failure, True)
    overview = await target.overview(job_id)
    assert overview is not None
    assert overview.tasks.running == 0


@pytest.mark.oldest
async def test_a_snapshot_whose_files_are_gone_fails_the_tasks_again_and_again(target: Target) -> None:
    location = await _stopped(target)
    target.backend.damage(location, Damage.FILES)
    job_id = await target.run("--restart", "100", savepoint_path=location)
    await target.state(job_id, FlinkJobState.RESTARTING)
    told = (await target.client.exceptions(job_id))[0]
    assert (told.restore, told.not_initialized) == (RestoreFailure.FILES_GONE, False)


async def test_checkpoint_ids_go_on_after_a_restore(target: Target) -> None:
    """Ids order the snapshots of a lineage: those of a restored job are higher than what it was restored from."""
    location = await _stopped(target)
    job_id = await target.start(savepoint_path=location, flink_configuration=_OFTEN)
    await target.checkpointed(job_id)
    stats = await _stats(target, job_id)
    assert stats.restored is not None
    assert stats.latest_completed is not None
    assert stats.latest_completed.checkpoint_id > stats.restored.checkpoint_id


async def test_a_restarted_job_goes_on_from_its_last_checkpoint(target: Target) -> None:
    flag = target.scratch / "healed"
    arguments = ("--fail-after", "100", "--rate", "50", "--restart", "50", "--fail-until", str(flag))
    job_id = await target.start(*arguments, flink_configuration=_OFTEN)
    await target.checkpointed(job_id)

    async def restarted() -> bool:
        stats = await target.client.checkpoints(job_id)
        return stats is not None and stats.restored is not None

    await target.until(restarted)
    flag.touch()
    failures = await target.client.exceptions(job_id)
    assert len(failures) == 1
    assert failures[0].root_cause.startswith("IllegalStateException: fails on purpose")
    assert failures[0].time is not None
    assert "\n" not in failures[0].root_cause
    await target.running(job_id)


async def test_when_the_first_checkpoint_is_made(target: Target) -> None:
    job_id = await target.start(flink_configuration={"execution.checkpointing.interval": "1000h"})
    if target.expected.first_checkpoint_at_once:
        await target.checkpointed(job_id)
        return
    await target.backend.sleep(2.0)
    assert (await _stats(target, job_id)).latest_completed is None, "it comes at some time within the interval"
