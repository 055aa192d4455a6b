"""The job id as a key against double submission, and the mark of the owner."""

import asyncio

import pytest

from flinkjob.core.errors import SubmitRejected, SubmitRejection, Unreachable
from flinkjob.core.flinkmodel import FlinkJobState, RunRequest
from flinkjob.core.parameters import with_parameters
from tests.contract.target import CAPACITY, Target, new_id


async def _refused_as_duplicate(target: Target, job_id: str) -> None:
    with pytest.raises(SubmitRejected) as refused:
        await target.run(job_id=job_id)
    assert refused.value.kind is SubmitRejection.DUPLICATE
    assert refused.value.message.startswith(target.expected.duplicate)
    assert not refused.value.permanent


@pytest.mark.invariant(4)
@pytest.mark.oldest
async def test_a_repeat_leaves_a_running_job_alone(target: Target) -> None:
    job_id = await target.start()
    before = await target.overview(job_id)
    await _refused_as_duplicate(target, job_id)
    after = await target.overview(job_id)
    assert before is not None
    assert after is not None
    assert after.start_time == before.start_time
    assert after.state is FlinkJobState.RUNNING


@pytest.mark.parametrize("end", ["finished", "cancelled", "failed"])
async def test_a_repeat_does_not_run_an_ended_job_again(target: Target, end: str) -> None:
    arguments = {
        "finished": ("--count", "10"),
        "cancelled": (),
        "failed": ("--fail-after", "1", "--restart", "none"),
    }[end]
    job_id = await target.run(*arguments)
    if end == "cancelled":
        await target.client.cancel(job_id)
    state = await target.state(job_id, FlinkJobState.FINISHED, FlinkJobState.CANCELED, FlinkJobState.FAILED)
    await _refused_as_duplicate(target, job_id)
    assert await target.client.job_status(job_id) is state


async def test_the_id_counts_even_when_the_job_is_forgotten(target: Target) -> None:
    job_id = await target.run("--count", "1")
    await target.state(job_id, FlinkJobState.FINISHED)
    for _ in range(CAPACITY + 1):
        other = await target.run("--count", "1")
        await target.state(other, FlinkJobState.FINISHED)
    assert await target.client.job_status(job_id) is None
    assert await target.overview(job_id) is None
    await _refused_as_duplicate(target, job_id)


async def test_of_five_at_once_one_wins(target: Target) -> None:
    job_id = new_id()
    await target.jar_id()
    outcomes = await asyncio.gather(*(target.run(job_id=job_id) for _ in range(5)), return_exceptions=True)
    assert outcomes.count(job_id) == 1
    refused = [each for each in outcomes if isinstance(each, SubmitRejected)]
    assert [each.kind for each in refused] == [SubmitRejection.DUPLICATE] * 4
    assert [job.job_id for job in await target.client.overview_jobs()].count(job_id) == 1


@pytest.mark.fault("flink-main-sleeps")
async def test_giving_up_does_not_stop_main(target: Target) -> None:
    job_id = new_id()
    request = RunRequest(job_id=job_id, args=("--main-ms", "6000"))
    with pytest.raises(Unreachable) as lost:
        await target.client.run_jar(await target.jar_id(), request, timeout=0.5)
    assert lost.value.reached
    assert await target.client.job_status(job_id) is None
    await target.running(job_id)


async def test_two_mains_at_once_make_one_job(target: Target) -> None:
    job_id = new_id()
    await target.jar_id()
    slow = asyncio.create_task(target.run("--main-ms", "6000", job_id=job_id))
    await target.backend.sleep(0.3)
    assert await target.run(job_id=job_id) == job_id
    with pytest.raises(SubmitRejected) as refused:
        await slow
    assert refused.value.kind is SubmitRejection.DUPLICATE
    assert await target.client.job_status(job_id) is FlinkJobState.RUNNING


@pytest.mark.oldest
async def test_the_mark_of_the_owner_comes_back(target: Target) -> None:
    configuration = {"pipeline.global-job-parameters": "flinkjob.owner:ns/name/uid,x:y"}
    job_id = await target.start(flink_configuration=configuration)
    assert await target.client.job_user_config(job_id) == {"flinkjob.owner": "ns/name/uid", "x": "y"}
    plain = await target.start()
    assert await target.client.job_user_config(plain) == {}


FORMS = ("{a: 'b, c', d: 010}", "a:'b'", "a: b\nc: 'd: e'", "'a:''b,c''',d:e", "{}", None)


@pytest.mark.oldest
@pytest.mark.parametrize("value", FORMS)
async def test_the_parameters_of_a_user_stay_beside_the_mark(target: Target, value: str | None) -> None:
    """They mean what they mean without the mark, also where each is an option of its own."""
    name = "pipeline.global-job-parameters"
    own = {name: value} if value is not None else {f"{name}.a": "b,c:d"}
    alone = await target.client.job_user_config(await target.start(flink_configuration=own))
    both = with_parameters(own, {"flinkjob.dev/owner": "x/y/z"})
    beside = await target.client.job_user_config(await target.start(flink_configuration=both))
    assert alone is not None
    assert beside == {**alone, "flinkjob.dev/owner": "x/y/z"}
    assert value == "{}" or alone
