"""Jars: upload, list, delete, compile, and every way of refusing a program."""

import pytest

from flinkjob.core.errors import Rejected, SubmitRejected, SubmitRejection
from flinkjob.core.flinkmodel import FlinkJobState, RunRequest
from tests.contract.target import Target, new_id


@pytest.mark.oldest
async def test_an_upload_is_found_by_its_name_and_never_deduplicated(target: Target) -> None:
    name = f"{new_id()}.jar"
    first = await target.client.upload_jar(target.jar, name)
    second = await target.client.upload_jar(target.jar, name)
    assert first != second
    assert first.endswith(f"_{name}")
    found = {jar.id: jar for jar in await target.client.list_jars() if jar.name == name}
    assert set(found) == {first, second}
    assert found[first].entry_classes == ("dev.flinkjob.demo.DemoJob",)


@pytest.mark.oldest
async def test_delete_says_whether_the_jar_was_there(target: Target) -> None:
    jar = await target.client.upload_jar(target.jar, "gone.jar")
    assert await target.client.delete_jar(jar)
    assert not await target.client.delete_jar(jar)
    assert jar not in {each.id for each in await target.client.list_jars()}


async def test_a_running_job_survives_the_deletion_of_its_jar(target: Target) -> None:
    jar = await target.client.upload_jar(target.jar, "other.jar")
    job = await target.client.run_jar(jar, RunRequest(job_id=new_id()), timeout=30)
    await target.running(job)
    assert await target.client.delete_jar(jar)
    assert await target.client.job_status(job) is FlinkJobState.RUNNING


async def test_names_must_end_in_jar_and_paths_are_stripped(target: Target) -> None:
    with pytest.raises(Rejected, match="Only Jar files are allowed"):
        await target.client.upload_jar(target.jar, "demo.txt")
    jar = await target.client.upload_jar(target.jar, "Größe 1.jar")
    assert await target.client.delete_jar(jar)


async def test_content_is_not_checked_before_it_is_run(target: Target) -> None:
    broken = target.scratch / "broken.jar"
    broken.write_bytes(b"no zip")
    jar = await target.client.upload_jar(broken, "broken.jar")
    with pytest.raises(SubmitRejected) as refused:
        await target.client.run_jar(jar, RunRequest(job_id=new_id()), timeout=30)
    assert refused.value.kind is SubmitRejection.NOT_A_JAR


async def test_an_unknown_jar(target: Target) -> None:
    with pytest.raises(SubmitRejected) as refused:
        await target.client.run_jar(f"{new_id()}_x.jar", RunRequest(job_id=new_id()), timeout=30)
    assert refused.value.kind is SubmitRejection.JAR_NOT_FOUND
    assert not refused.value.permanent


@pytest.mark.oldest
async def test_plan_compiles_without_running(target: Target) -> None:
    job_id = new_id()
    plan = await target.client.plan_jar(
        await target.jar_id(), RunRequest(job_id=job_id, args=("--name", "planned"), parallelism=3), timeout=30
    )
    assert plan.name == "planned"
    assert {vertex.parallelism for vertex in plan.vertices} == {3}
    assert await target.client.job_status(job_id) is None


@pytest.mark.parametrize(
    ("arguments", "request_fields", "kind", "says"),
    [
        (("--main-throw", "no such topic"), {}, SubmitRejection.MAIN_THREW, "IllegalStateException: no such topic"),
        (("--no-execute", "true"), {}, SubmitRejection.NO_JOB, "No jobs included in application"),
        ((), {"entry_class": "no.Such"}, SubmitRejection.ENTRY_CLASS, "no.Such"),
        (("--exit", "3"), {}, SubmitRejection.EXIT, "attempted to exit JVM"),
        (
            (),
            {"flink_configuration": {"execution.checkpointing.interval": "abc"}},
            SubmitRejection.CONFIG,
            "Could not parse value 'abc' for key 'execution.checkpointing.interval'",
        ),
        (
            (),
            {"flink_configuration": {"execution.checkpointing.interval": "0 ms"}},
            SubmitRejection.CONFIG,
            "Checkpoint interval must be larger than or equal to 10 ms",
        ),
        ((), {"parallelism": 0}, SubmitRejection.CONFIG, "Parallelism must be at least one"),
    ],
    ids=["main-throws", "no-job", "class", "exit", "option", "no-interval", "parallelism"],
)
async def test_refused_without_a_job(
    target: Target, arguments: tuple[str, ...], request_fields: dict[str, object], kind: SubmitRejection, says: str
) -> None:
    job_id = new_id()
    with pytest.raises(SubmitRejected) as refused:
        await target.run(*arguments, job_id=job_id, **request_fields)
    assert refused.value.kind is kind
    assert says in refused.value.message
    assert await target.client.job_status(job_id) is None
    # The id is not used up.
    assert await target.start(job_id=job_id) == job_id


async def test_main_that_throws_after_execute_leaves_a_job_that_runs(target: Target) -> None:
    job_id = new_id()
    with pytest.raises(SubmitRejected, match="IllegalStateException: too late") as refused:
        await target.run("--throw-after-execute", "too late", job_id=job_id)
    assert refused.value.kind is SubmitRejection.MAIN_THREW
    await target.running(job_id)


async def test_main_that_executes_twice_leaves_the_first_job_running(target: Target) -> None:
    job_id = new_id()
    with pytest.raises(SubmitRejected) as refused:
        await target.run("--executes", "2", job_id=job_id)
    assert refused.value.kind is SubmitRejection.MULTIPLE_JOBS
    assert target.expected.two_jobs in refused.value.message
    await target.running(job_id)


@pytest.mark.oldest
async def test_a_missing_snapshot_leaves_a_failed_job_and_uses_the_id_up(target: Target) -> None:
    job_id = new_id()
    with pytest.raises(SubmitRejected) as refused:
        await target.run(job_id=job_id, savepoint_path=target.directory("nothing"))
    assert refused.value.kind is SubmitRejection.RESTORE_FAILED
    assert "Cannot find checkpoint or savepoint" in refused.value.message
    assert await target.state(job_id, FlinkJobState.FAILED)
    with pytest.raises(SubmitRejected) as again:
        await target.run(job_id=job_id)
    assert again.value.kind is SubmitRejection.DUPLICATE


async def test_an_unknown_file_system_is_a_failed_restore(target: Target) -> None:
    with pytest.raises(SubmitRejected) as refused:
        await target.run(savepoint_path="gopher://host/x")
    assert refused.value.kind is SubmitRejection.RESTORE_FAILED
    assert "gopher" in refused.value.message


@pytest.mark.oldest
async def test_the_first_run_answers_with_the_id_alone_before_2_3(target: Target) -> None:
    jar = await target.jar_id()
    answer = await target.http.post(f"{target.backend.url}/jars/{jar}/run", json={"jobId": new_id()}, timeout=30)
    assert ("applicationId" in answer.json()) == target.expected.application_id


@pytest.mark.oldest
async def test_fields_that_flink_does_not_know_are_ignored(target: Target) -> None:
    jar, job_id = await target.jar_id(), new_id()
    body = {"jobId": job_id, "recoveryClaimMode": "NONSENSE", "programArguments": ["--main-throw", "x"], "typo": 1}
    answer = await target.http.post(f"{target.backend.url}/jars/{jar}/run", json=body, timeout=30)
    assert answer.status_code == 200
    await target.running(job_id)


@pytest.mark.oldest
async def test_arguments_in_one_text_are_ignored_since_2_0(target: Target) -> None:
    body = {"jobId": new_id(), "programArgs": "--main-throw x"}
    url = f"{target.backend.url}/jars/{await target.jar_id()}/run"
    answer = await target.http.post(url, json=body, timeout=30)
    assert answer.status_code == (400 if target.expected.program_args else 200)


async def test_a_bad_job_id_is_refused_before_main_runs(target: Target) -> None:
    with pytest.raises(SubmitRejected) as refused:
        await target.run(job_id="xyz")
    assert refused.value.kind is SubmitRejection.CONFIG
