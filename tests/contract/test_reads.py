"""Looking: unknown jobs, staleness, what the cluster says about itself, and what a checkpoint holds of each vertex."""

import pytest

from flinkjob.core.errors import RescaleUnsupported
from flinkjob.core.flinkmodel import FlinkJobState, RunRequest
from flinkjob.core.job.state_check import left_over
from flinkjob.core.jobfailures import JobFailures
from flinkjob.core.jobload import shares
from flinkjob.flink.client import FlinkClient
from tests.contract.target import REFRESH, Target, new_id


@pytest.mark.oldest
async def test_an_unknown_job_is_unknown_everywhere(target: Target) -> None:
    client, job_id = target.client, new_id()
    assert await client.job_status(job_id) is None
    assert await client.job_user_config(job_id) is None
    assert await client.checkpoints(job_id) is None
    assert await client.checkpoint_config(job_id) is None
    assert await client.exceptions(job_id) == ()
    assert await client.resource_requirements(job_id) is None
    assert not await client.set_resource_requirements(job_id, {new_id(): 2})


@pytest.mark.oldest
async def test_the_status_of_an_unknown_job_is_http_500(target: Target) -> None:
    answer = await target.http.get(f"{target.backend.url}/jobs/{new_id()}/status")
    assert answer.status_code == 500
    assert "FlinkJobNotFoundException" in answer.text
    other = await target.http.get(f"{target.backend.url}/jobs/{new_id()}")
    assert other.status_code == 404


@pytest.mark.oldest
async def test_the_cluster_describes_itself(target: Target) -> None:
    config = await target.client.cluster_config()
    assert config.flink_version == target.version
    assert config.refresh_interval_ms == REFRESH * 1000
    assert config.web_submit
    assert not config.web_rescale
    overview = await target.client.cluster_overview()
    assert overview.flink_version == target.version
    assert overview.slots_available == overview.slots_total == 16
    await target.start(parallelism=3)
    assert (await target.client.cluster_overview()).slots_available == 13


async def test_one_process_has_one_incarnation(target: Target) -> None:
    info = await target.client.jobmanager_config()
    assert len(info.incarnation) == 36
    assert not info.high_availability
    assert (await target.client.jobmanager_config()).incarnation == info.incarnation
    assert "execution.checkpointing.savepoint-dir" in info.config


@pytest.mark.oldest
async def test_the_overview_tells_when_all_tasks_run(target: Target) -> None:
    job_id = await target.run("--name", "named", "--open-ms", "6000", parallelism=2)
    await target.state(job_id, FlinkJobState.RUNNING)
    early = await target.overview(job_id)
    assert early is not None
    assert not early.all_tasks_running
    await target.running(job_id)
    job = await target.overview(job_id)
    assert job is not None
    assert (job.name, job.tasks.total, job.tasks.running) == ("named", 4, 4)
    assert job.start_time is not None
    assert job.end_time is None


async def test_a_finished_job_stays_in_the_overview(target: Target) -> None:
    job_id = await target.run("--count", "10")
    await target.state(job_id, FlinkJobState.FINISHED)
    job = await target.overview(job_id)
    assert job is not None
    assert job.state is FlinkJobState.FINISHED
    assert job.start_time is not None
    assert job.end_time is not None
    assert job.end_time >= job.start_time


@pytest.mark.oldest
async def test_a_failure_is_told_with_its_root_cause(target: Target) -> None:
    job_id = await target.run("--fail-after", "5", "--restart", "none")
    await target.state(job_id, FlinkJobState.FAILED)
    await target.fresh()
    (failure,) = await target.client.exceptions(job_id)
    assert failure.root_cause == "IllegalStateException: fails on purpose after 5 records"
    assert failure.task is not None
    assert "count" in failure.task


@pytest.mark.oldest
async def test_a_restart_shows_in_the_overview_in_the_failures_and_in_the_counter(target: Target) -> None:
    job_id = await target.start("--fail-after", "30", "--rate", "100", "--restart", "1000")
    before = await target.overview(job_id)
    assert before is not None

    async def told() -> JobFailures | None:
        found = await target.client.failures(job_id)
        return found if found is not None and len(found.times) >= 2 else None

    found = await target.until(told)
    assert found.newest.root_cause == "IllegalStateException: fails on purpose after 30 records"
    assert found.newest.task is not None
    assert found.newest.taskmanager is not None
    assert found.newest.time == found.times[0] > found.times[1]

    async def another_change() -> bool:
        job = await target.overview(job_id)
        return job is not None and job.all_tasks_running and job.last_modification != before.last_modification

    await target.until(another_change)

    async def counted() -> bool:
        again = await target.client.failures(job_id)
        return again is not None and (again.restarts or 0) >= 2

    await target.until(counted)


@pytest.mark.oldest
async def test_a_steady_job_has_no_failures_and_does_not_change(target: Target) -> None:
    job_id = await target.start()
    first = await target.overview(job_id)
    assert first is not None
    await target.fresh()
    assert await target.overview(job_id) == first
    assert await target.client.failures(job_id) is None
    assert await target.client.failures(new_id()) is None


@pytest.mark.oldest
async def test_tasks_without_slots_are_told_apart(target: Target) -> None:
    job_id = await target.run(parallelism=17)

    async def waits() -> bool:
        job = await target.overview(job_id)
        return job is not None and job.waits_for_slots and not job.all_tasks_running

    await target.until(waits)
    assert (await target.client.cluster_overview()).slots_available < 17


async def test_failures_are_as_old_as_the_cache(target: Target) -> None:
    job_id = await target.start("--fail-after", "500", "--rate", "50", "--restart", "none")
    assert await target.client.exceptions(job_id) == ()
    await target.state(job_id, FlinkJobState.FAILED)

    async def told() -> bool:
        return bool(await target.client.exceptions(job_id))

    await target.until(told)


async def test_the_default_scheduler_does_not_rescale(target: Target) -> None:
    job_id = await target.start()
    with pytest.raises(RescaleUnsupported):
        await target.client.resource_requirements(job_id)
    graph = await target.client.running_graph(job_id)
    assert graph is not None
    with pytest.raises(RescaleUnsupported):
        await target.client.set_resource_requirements(job_id, dict.fromkeys(graph.numbers, 2))


async def test_an_ended_job_has_no_resource_requirements(target: Target) -> None:
    job_id = await target.run("--count", "1")
    await target.state(job_id, FlinkJobState.FINISHED)

    async def none_left() -> bool:
        try:
            return await target.client.resource_requirements(job_id) is None
        except RescaleUnsupported:
            return False  # its JobMaster is there for a few milliseconds more

    await target.until(none_left)


async def test_unknown_routes_are_no_statement_about_jobs(target: Target) -> None:
    answer = await target.http.get(f"{target.backend.url}/no/such/route")
    assert answer.status_code == 404
    assert "errors" in answer.json()


@pytest.mark.oldest
async def test_the_configuration_of_a_run_is_that_jobs_own(target: Target) -> None:
    job_id = await target.start(flink_configuration={"execution.checkpointing.interval": "7s"})
    config = await target.client.checkpoint_config(job_id)
    assert config is not None
    assert config.interval_ms == 7000


@pytest.mark.oldest
async def test_the_newest_checkpoint_tells_which_vertices_have_state_that_another_program_lacks(target: Target) -> None:
    job_id = await target.start(flink_configuration={"execution.checkpointing.interval": "1s"})
    await target.checkpointed(job_id)
    client, jar_id = target.client, await target.jar_id()
    held, names = await client.newest_details(job_id), await client.vertex_names(job_id)
    assert held is not None
    assert names is not None
    assert held.aligned
    assert set(held.vertex_bytes) == set(names)
    same = await client.plan_jar(jar_id, RunRequest(job_id=new_id()))
    assert left_over(held, names, same) is None
    other = await client.plan_jar(jar_id, RunRequest(job_id=new_id(), args=("--uid", "another")))
    found = left_over(held, names, other)
    assert found is not None
    ((name, size),) = found.vertices
    assert name.startswith("count")
    assert size > 0
    assert await client.checkpoint_details(job_id, 123_456) is None


@pytest.mark.oldest
async def test_a_job_without_a_checkpoint_has_no_details_of_one(target: Target) -> None:
    # Flink may begin the first checkpoint at once, whatever the interval: this one is not complete before the test ends
    config = {"execution.checkpointing.interval": "1000h"}
    job_id = await target.start("--snapshot-ms", "60000", flink_configuration=config)
    assert await target.client.newest_details(job_id) is None
    for unknown in (job_id, new_id()):
        assert await target.client.checkpoint_details(unknown, 123_456) is None
    assert await target.client.newest_details(new_id()) is None
    assert await target.client.vertex_names(new_id()) is None


async def _lag_metrics(client: FlinkClient, job_id: str, vertex: str) -> list[tuple[str, ...]]:
    """In a list; none while Flink has no metrics of the vertex."""
    found = await client.lag_metrics(job_id, vertex)
    return [] if found is None else [found]


@pytest.mark.oldest
async def test_two_readings_say_how_busy_the_tasks_of_a_job_were_in_between(target: Target) -> None:
    """And the sources are those that nothing goes into; what they measure is asked by its name."""
    client = target.client
    job_id = await target.start(parallelism=2)
    before = await client.job_times(job_id)
    assert before is not None

    async def busy() -> tuple[float, float] | None:
        after = await client.job_times(job_id)
        return shares(before, after) if after is not None else None

    found = await target.until(busy)
    assert 0 < found[0] <= 1
    assert 0 <= found[1] <= 1
    (source,) = before.sources
    assert source in before.vertices

    names = await target.until(lambda: client.lag_metrics(job_id, source))
    assert "Source__sequence.currentEmitEventTimeLag" in names
    lag = await client.source_lag(job_id, source, names)
    assert lag.seconds is None or lag.seconds >= 0
    (other,) = before.vertices.keys() - {source}
    assert await target.until(lambda: _lag_metrics(client, job_id, other)) == [()]
    assert await client.job_times(new_id()) is None
