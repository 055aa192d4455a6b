"""Changing the parallelism of a running job under the adaptive scheduler."""

import pytest

from flinkjob.core.errors import Rejected
from flinkjob.core.flinkmodel import FlinkJobState, RunRequest
from flinkjob.core.jobgraph import ParallelismBounds
from tests.contract.target import Target

pytestmark = pytest.mark.cluster_kind("adaptive")


async def test_a_running_job_changes_its_parallelism_in_place(target: Target) -> None:
    assert (await target.client.cluster_config()).web_rescale
    job_id = await target.start()
    bounds = await target.client.resource_requirements(job_id)
    assert bounds is not None
    assert {each.upper for each in bounds.values()} == {1}
    assert await target.client.set_resource_requirements(job_id, dict.fromkeys(bounds, 3))
    assert await target.client.resource_requirements(job_id) == dict.fromkeys(
        bounds, ParallelismBounds(lower=1, upper=3)
    )

    async def rescaled() -> bool:
        job = await target.overview(job_id)
        return job is not None and job.all_tasks_running and job.tasks.total == 6

    await target.until(rescaled)
    assert await target.client.job_status(job_id) is FlinkJobState.RUNNING
    graph = await target.client.running_graph(job_id)
    assert graph is not None
    assert (graph.elastic, graph.words) == (True, "3")


@pytest.mark.parametrize("name", ["same", "own"])
async def test_a_program_and_its_job_have_the_same_graph(target: Target, name: str) -> None:
    """Whatever the parallelism, and also where the program sets it."""
    own = ("--own-parallelism", "2") if name == "own" else ()
    job_id = await target.start(*own, parallelism=1)
    running = await target.client.running_graph(job_id)
    asked = RunRequest(job_id=job_id, args=own, parallelism=3)
    planned = await target.client.plan_jar(await target.jar_id(), asked, timeout=30)
    assert running is not None
    assert planned.same_structure(running)
    assert (running.words, planned.words) == (("2", "2") if own else ("1", "3"))


async def test_bounds_out_of_range_are_refused_and_name_the_vertex(target: Target) -> None:
    job_id = await target.start("--max-parallelism", "8")
    bounds = await target.client.resource_requirements(job_id)
    assert bounds is not None
    for parallelism in (0, 9):
        with pytest.raises(Rejected) as refused:
            await target.client.set_resource_requirements(job_id, dict.fromkeys(bounds, parallelism))
        assert any(vertex in refused.value.message for vertex in bounds)


@pytest.mark.fault("flink-no-slots")
async def test_without_slots_a_job_is_created_and_then_runs_with_what_there_is(target: Target) -> None:
    job_id = await target.run(parallelism=40)
    await target.state(job_id, FlinkJobState.CREATED)

    async def runs() -> bool:
        job = await target.overview(job_id)
        return job is not None and job.all_tasks_running and job.tasks.total == 32

    await target.until(runs)
