"""The client against recorded answers of every supported version."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from flinkjob.core.errors import Rejected, RescaleUnsupported, RestoreFailure, SubmitRejected, SubmitRejection
from flinkjob.core.flinkmodel import (
    CancelResult,
    CheckpointKind,
    FlinkJobState,
    RunRequest,
    TriggerState,
    is_below,
)
from flinkjob.flink import FlinkClient
from tests.unit.flink.recordings import VERSIONS, playing, recorded

JOB = "0" * 32
pytestmark = pytest.mark.parametrize("version", VERSIONS)


def test_all_supported_versions_are_recorded(version: str) -> None:
    assert VERSIONS == ("1.20.5", "2.0.2", "2.1.3", "2.2.1", "2.3.0")
    assert recorded(version, "config")["body"]["flink-version"] == version


async def test_cluster(version: str) -> None:
    config = await playing(version, "config").cluster_config()
    assert (config.flink_version, config.refresh_interval_ms, config.web_submit) == (version, 200, True)
    overview = await playing(version, "overview").cluster_overview()
    assert overview.slots_total == 16
    info = await playing(version, "jobmanager-config").jobmanager_config()
    assert len(info.incarnation) == 36
    assert not info.high_availability


async def test_jobs(version: str) -> None:
    jobs = await playing(version, "jobs-overview").overview_jobs()
    ids = {job.state for job in jobs}
    assert ids == {FlinkJobState.RUNNING, FlinkJobState.FAILED}
    running = next(job for job in jobs if job.all_tasks_running)
    assert running.start_time is not None
    assert running.start_time > datetime(2020, 1, 1, tzinfo=UTC)
    assert running.end_time is None
    assert running.tasks.total == 2
    assert await playing(version, "job-status").job_status(JOB) is FlinkJobState.RUNNING
    assert await playing(version, "job-config").job_user_config(JOB) == {"flinkjob.owner": "ns/name/uid", "x": "y"}


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("job-status-unknown", lambda client: client.job_status(JOB)),
        ("job-config-unknown", lambda client: client.job_user_config(JOB)),
        ("checkpoints-unknown", lambda client: client.checkpoints(JOB)),
        ("checkpoints-config-unknown", lambda client: client.checkpoint_config(JOB)),
        ("checkpoint-details-unknown", lambda client: client.checkpoint_details(JOB, 123_456)),
        ("job-unknown", lambda client: client.vertex_names(JOB)),
        ("resource-requirements-unknown", lambda client: client.resource_requirements(JOB)),
    ],
)
async def test_unknown_is_none(version: str, name: str, ask: Callable[[FlinkClient], Awaitable[Any]]) -> None:
    assert await ask(playing(version, name)) is None


async def test_a_route_that_is_not_there_is_no_unknown_job(version: str) -> None:
    client = playing(version, "route-unknown")
    for ask in (client.job_status, client.checkpoints, client.cancel, client.job_user_config):
        with pytest.raises(Rejected):
            await ask(JOB)
    with pytest.raises(Rejected):
        await client.savepoint_result(JOB, JOB)


async def test_checkpoints(version: str) -> None:
    stats = await playing(version, "checkpoints").checkpoints(JOB)
    assert stats is not None
    stopped = stats.newest_completed(CheckpointKind.SYNC_SAVEPOINT)
    assert stopped is not None
    assert stopped == stats.latest_savepoint
    assert stopped.external_path is not None
    assert is_below(stopped.external_path, "file:///flink/state/recorded")
    kept = stats.newest_completed(CheckpointKind.CHECKPOINT)
    assert kept is not None
    assert kept.discarded
    assert not kept.is_usable
    assert [each.checkpoint_id for each in stats.snapshots()] == sorted(
        (each.checkpoint_id for each in stats.snapshots()), reverse=True
    )
    config = await playing(version, "checkpoints-config").checkpoint_config(JOB)
    assert config is not None
    assert (config.interval_ms, config.timeout_ms, config.retained_on_cancellation) == (5000, 600_000, True)


async def test_what_a_checkpoint_holds_of_each_vertex(version: str) -> None:
    names = await playing(version, "job").vertex_names(JOB)
    assert names is not None
    assert sorted(names.values()) == ["Source: sequence", "count -> discard: Writer"]
    details = await playing(version, "checkpoint-details").checkpoint_details(JOB, 1)
    assert details is not None
    assert details.aligned
    assert set(details.vertex_bytes) == set(names)
    assert all(size > 0 for size in details.vertex_bytes.values())


async def test_results(version: str) -> None:
    async def result(name: str) -> Any:
        return await playing(version, name).savepoint_result(JOB, JOB)

    assert (await result("savepoint-in-progress")).state is TriggerState.IN_PROGRESS
    for name in ("savepoint-completed", "stop-completed"):
        completed = await result(name)
        assert completed.state is TriggerState.COMPLETED
        assert is_below(completed.location, "file:///flink/state/recorded")
    failed = await result("savepoint-failed")
    assert failed.state is TriggerState.FAILED
    assert failed.failure.startswith("IOException: Failed to create savepoint directory at file:/proc/nope")
    suspended = await result("stop-suspended")
    assert suspended.failure == "CheckpointException: Checkpoint Coordinator is suspending."
    late = await result("stop-not-found")
    assert late.failure.startswith("FlinkJobNotFoundException: Could not find Flink job")
    assert (await result("savepoint-forgotten")).state is TriggerState.FORGOTTEN


async def test_results_of_checkpoints_and_disposals(version: str) -> None:
    completed = await playing(version, "checkpoint-completed").checkpoint_result(JOB, JOB)
    assert completed.checkpoint_id is not None
    failed = await playing(version, "checkpoint-failed").checkpoint_result(JOB, JOB)
    assert failed.failure is not None
    assert failed.failure.startswith("FlinkJobNotFoundException")
    assert (await playing(version, "checkpoint-forgotten").checkpoint_result(JOB, JOB)).state is TriggerState.FORGOTTEN
    for name in ("disposal-completed", "disposal-missing"):
        result = await playing(version, name).disposal_result(JOB)
        assert (result.state, result.missing) == (TriggerState.COMPLETED, name == "disposal-missing")
    assert (await playing(version, "disposal-forgotten").disposal_result(JOB)).state is TriggerState.FORGOTTEN


async def test_cancels(version: str) -> None:
    assert await playing(version, "cancel").cancel(JOB) is CancelResult.ACCEPTED
    assert await playing(version, "cancel-finished").cancel(JOB) is CancelResult.ALREADY_TERMINAL
    assert await playing(version, "cancel-unknown").cancel(JOB) is CancelResult.NOT_FOUND


async def test_exceptions(version: str) -> None:
    (failure,) = await playing(version, "exceptions").exceptions(JOB)
    assert failure.root_cause == "IllegalStateException: fails on purpose after 5 records"
    assert failure.name == "org.apache.flink.runtime.JobException"
    assert failure.stacktrace_head.startswith("org.apache.flink.runtime.JobException: Recovery is suppressed")
    assert failure.time is not None
    assert failure.taskmanager is not None
    assert await playing(version, "exceptions-unknown").exceptions(JOB) == ()


@pytest.mark.parametrize(
    ("name", "kind", "at_once"),
    [
        ("exceptions-no-metadata", RestoreFailure.MISSING, True),
        ("exceptions-files-gone", RestoreFailure.FILES_GONE, False),
        ("exceptions-other-backend", RestoreFailure.OTHER_BACKEND, False),
        ("exceptions", None, False),
    ],
)
async def test_failures_to_restore(version: str, name: str, kind: RestoreFailure | None, at_once: bool) -> None:
    (failure,) = await playing(version, name).exceptions(JOB)
    assert (failure.restore, failure.not_initialized) == (kind, at_once)


async def test_jars(version: str) -> None:
    (jar,) = await playing(version, "jars").list_jars()
    assert jar.name == "demo.jar"
    assert jar.id.endswith("_demo.jar")
    assert jar.entry_classes == ("dev.flinkjob.demo.DemoJob",)
    assert await playing(version, "jars-delete").delete_jar(jar.id)
    assert not await playing(version, "jars-delete-unknown").delete_jar(jar.id)
    plan = await playing(version, "plan").plan_jar(jar.id, RunRequest(job_id=JOB))
    assert plan.name == "planned"
    assert len(plan.vertices) == 2
    job_id = await playing(version, "run").run_jar(jar.id, RunRequest(job_id=JOB))
    assert job_id == recorded(version, "run")["body"]["jobid"]


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("run-duplicate", SubmitRejection.DUPLICATE, "has already been submitted."),
        ("run-main-throws", SubmitRejection.MAIN_THREW, "IllegalStateException: no such topic"),
        ("run-throws-after", SubmitRejection.MAIN_THREW, "IllegalStateException: too late"),
        ("run-no-job", SubmitRejection.NO_JOB, "No jobs included in application."),
        ("run-two-jobs", SubmitRejection.MULTIPLE_JOBS, "Cannot have more than "),
        ("run-exit", SubmitRejection.EXIT, "UserSystemExitException"),
        ("run-no-class", SubmitRejection.ENTRY_CLASS, "no.Such"),
        ("run-no-jar", SubmitRejection.JAR_NOT_FOUND, "0_no.jar does not exist"),
        ("run-no-zip", SubmitRejection.NOT_A_JAR, ""),
        ("run-no-snapshot", SubmitRejection.RESTORE_FAILED, "Cannot find checkpoint or savepoint file/directory"),
        ("run-no-file-system", SubmitRejection.RESTORE_FAILED, "gopher"),
        ("run-not-mapped", SubmitRejection.RESTORE_FAILED, "Cannot map checkpoint/savepoint state"),
        ("run-no-metadata", SubmitRejection.RESTORE_FAILED, "Cannot find meta data file '_metadata' in directory"),
        ("run-no-magic", SubmitRejection.RESTORE_FAILED, "Unexpected magic number."),
        ("run-cut-metadata", SubmitRejection.RESTORE_FAILED, "EOFException"),
        ("run-max-parallelism", SubmitRejection.RESTORE_FAILED, "Max parallelism mismatch"),
        ("run-bad-option", SubmitRejection.CONFIG, "Could not parse value 'abc' for key"),
        ("run-bad-parallelism", SubmitRejection.CONFIG, "arallelism must be"),
        ("run-bad-id", SubmitRejection.CONFIG, "Cannot parse JobID"),
    ],
)
async def test_refusals(version: str, name: str, kind: SubmitRejection, says: str) -> None:
    with pytest.raises(SubmitRejected) as refused:
        await playing(version, name).run_jar("x.jar", RunRequest(job_id=JOB))
    assert refused.value.kind is kind
    assert says in refused.value.message
    assert "\n" not in refused.value.message
    assert "org.apache" not in refused.value.message.split(":")[0]


async def test_the_default_scheduler_does_not_rescale(version: str) -> None:
    with pytest.raises(RescaleUnsupported, match="DefaultScheduler does not support"):
        await playing(version, "resource-requirements-default").resource_requirements(JOB)
