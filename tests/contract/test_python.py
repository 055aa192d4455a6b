"""Python programs: the operator's runner under Flink's PythonDriver, on each Flink whose PyFlink is pinned."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from deploy.local.pyflink import VERSIONS, pyflink_python
from deploy.local.sqlrunner import runner_directory
from flinkjob.artifacts.merge import File, Python, merge
from flinkjob.core.errors import SubmitRejected, SubmitRejection
from flinkjob.core.flinkmodel import FlinkJobState, RunRequest
from flinkjob.core.jobmanagers import configured
from flinkjob.core.program import PYTHON_ENTRY_CLASS
from tests.contract.target import Target, new_id

pytestmark = [pytest.mark.oldest, pytest.mark.not_simulated, pytest.mark.versions(*VERSIONS)]

TABLE_JOB = """
import sys
from pyflink.table import EnvironmentSettings, TableEnvironment
from shop.names import SINK

table = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
table.execute_sql("CREATE TABLE numbers (id INT) WITH ('connector' = 'datagen', 'number-of-rows' = '20')")
table.execute_sql(f"CREATE TABLE {SINK} (id INT) WITH ('connector' = '{open('sink.txt').read()}')")
assert sys.argv[1:] == ["--rows", "a b"], sys.argv
table.execute_sql(f"INSERT INTO {SINK} SELECT id FROM numbers")
"""
FILES = {"job.py": TABLE_JOB, "shop/__init__.py": "", "shop/names.py": "SINK = 'nothing'", "sink.txt": "blackhole"}


async def uploaded(target: Target, files: dict[str, str], main: str, name: str = "python") -> tuple[str, str]:
    """The jar of a program on the cluster, and where it is there."""
    jar = target.scratch / f"{name}.jar"
    program = Python(
        runner_directory() / "python-runner-1.py", [File(text, name) for name, text in files.items()], main
    )
    merge(jar, [], python=program)
    jar_id = await target.client.upload_jar(jar, "python.jar")
    config = (await target.client.jobmanager_config()).config
    return jar_id, f"{configured(config)['upload_directory']}/{jar_id}"


def request(place: str, *args: str, executable: str, job_id: str | None = None) -> RunRequest:
    job_id = job_id or new_id()
    options = {"python.files": place, "python.client.executable": executable, "python.executable": executable}
    return RunRequest(
        job_id=job_id,
        entry_class=PYTHON_ENTRY_CLASS,
        args=("-pym", "flinkjob_main", f"job:{job_id}", *args),
        flink_configuration=options | {"pipeline.name": "from Python"},
        parallelism=1,
    )


async def refusal(target: Target, program: str, executable: str = "") -> SubmitRejected:
    """Why a program is not compiled."""
    executable = executable or str(pyflink_python(target.version))
    jar, place = await uploaded(target, {"job.py": program}, "job.py")
    with pytest.raises(SubmitRejected) as refused:
        await target.client.plan_jar(jar, request(place, "file:job.py", executable=executable), timeout=120)
    return refused.value


@pytest.mark.parametrize("what", ["file:job.py", "module:job"])
async def test_it_runs_with_its_modules_files_and_arguments_and_only_once(target: Target, what: str) -> None:
    jar, place = await uploaded(target, FILES, "job.py")
    python, job_id = str(pyflink_python(target.version)), new_id()
    asked = request(place, what, "--rows", "a b", executable=python, job_id=job_id)
    assert await target.client.run_jar(jar, asked, timeout=120) == job_id
    await target.state(job_id, FlinkJobState.FINISHED)
    with pytest.raises(SubmitRejected) as refused:
        await target.client.run_jar(jar, asked, timeout=120)
    assert refused.value.kind is SubmitRejection.DUPLICATE


async def test_programs_that_begin_at_the_same_time_are_never_taken_for_each_other(target: Target) -> None:
    python, left = str(pyflink_python(target.version)), {new_id() for _ in range(3)}

    async def run(job_id: str) -> None:
        jar, place = await uploaded(target, FILES, "job.py", job_id)
        asked = request(place, "file:job.py", "--rows", "a b", executable=python, job_id=job_id)
        named = replace(asked, flink_configuration={**asked.flink_configuration, "pipeline.name": job_id})
        try:
            await target.client.run_jar(jar, named, timeout=120)
        except SubmitRejected as refused:
            refusals.append((refused.kind, refused.message))
        else:
            left.remove(job_id)

    refusals: list[tuple[SubmitRejection, str]] = []
    wanted = set(left)
    for _ in range(2):
        await asyncio.gather(*map(run, sorted(left)))
    for job_id in sorted(left):
        await run(job_id)  # alone, each begins
    busy = "another program was compiled or started on the JobManager at the same time"
    assert set(refusals) <= {(SubmitRejection.PYTHON_BUSY, busy)}
    names = {job.job_id: job.name for job in await target.client.overview_jobs()}
    assert {job_id: names.get(job_id) for job_id in wanted} == {job_id: job_id for job_id in wanted}


@pytest.mark.parametrize(
    ("program", "kind", "permanent", "says"),
    [
        ("def f():\n    raise ValueError('no\\nway')\nf()", SubmitRejection.MAIN_THREW, False, "line 2: ValueError: no way"),
        ("x = (", SubmitRejection.MAIN_THREW, False, "job.py, line 1: SyntaxError: '(' was never closed"),
        ("import sys\nsys.exit(7)", SubmitRejection.EXIT, True, "job.py, line 2: SystemExit: 7"),
        ("import shop.rules", SubmitRejection.PYTHON_MODULE, True, "ModuleNotFoundError: No module named 'shop'"),
        (
            "from pyflink.table import *\n"
            "TableEnvironment.create(EnvironmentSettings.in_streaming_mode()).execute_sql('SELECT 1 FROM a')",
            SubmitRejection.MAIN_THREW,
            False,
            "Object 'a' not found",
        ),
    ],
    ids=["throws", "syntax", "exit", "module", "table"],
)  # fmt: skip
async def test_what_a_program_ends_with_is_said(
    target: Target, program: str, kind: SubmitRejection, permanent: bool, says: str
) -> None:
    refused = await refusal(target, program)
    assert (refused.kind, refused.permanent) == (kind, permanent)
    assert says in refused.message
    assert "UnsuccessfulExecutionException" not in refused.message


async def test_a_module_that_is_not_there(target: Target) -> None:
    jar, place = await uploaded(target, {}, "")
    python = str(pyflink_python(target.version))
    with pytest.raises(SubmitRejected, match=r"^ModuleNotFoundError: No module named 'shop'; add") as refused:
        await target.client.plan_jar(jar, request(place, "module:shop.main", executable=python), timeout=120)
    assert refused.value.kind is SubmitRejection.PYTHON_MODULE


async def test_a_cluster_without_python_or_without_pyflink(target: Target) -> None:
    refused = await refusal(target, "", "/no/python")
    assert (refused.kind, refused.permanent) == (SubmitRejection.PYTHON_MISSING, True)
    assert 'Cannot run program "/no/python"' in refused.message
    refused = await refusal(target, "", "/usr/bin/python3")
    assert (refused.kind, refused.permanent) == (SubmitRejection.PYFLINK_MISSING, True)
    assert refused.message.startswith("the JobManager's Python has no PyFlink")
