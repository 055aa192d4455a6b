"""SELECT for people: the first rows of a query as accumulators, on every version of Flink."""

from __future__ import annotations

import pytest

from deploy.local.sqlrunner import runner_directory
from flinkjob.artifacts.merge import Text, merge
from flinkjob.cli.rows import Rows, result_of, rows_of
from flinkjob.core.errors import SubmitRejected
from flinkjob.core.flinkmodel import FlinkJobState, RunRequest
from flinkjob.flink.view import FlinkView
from tests.contract.target import Target, new_id

pytestmark = [pytest.mark.oldest, pytest.mark.not_simulated]

ODD = (
    """SELECT * FROM (VALUES (1, 'a"b'), (2, 'c\\d' || CHR(10) || '€'), (3, CAST(NULL AS STRING))) """
    "AS t (id, `two words`)"
)
GROUPED = "SELECT id, COUNT(*) AS n FROM (VALUES (1), (2), (1)) AS t (id) GROUP BY id"


async def asked(target: Target, script: str, *, most: int = 100, mode: str = "STREAMING") -> Rows:
    """The rows of a bounded query once it has finished."""
    jar, job_id = target.scratch / "query.jar", new_id()
    merge(jar, [], runner=runner_directory() / "sql-runner-1.jar", script=[Text(script)])
    request = RunRequest(
        job_id=job_id,
        entry_class="dev.flinkjob.runner.SqlQuery",
        args=(str(most), "100000"),
        flink_configuration={"execution.runtime-mode": mode},
        parallelism=1,
    )
    await target.client.run_jar(await target.client.upload_jar(jar, "query.jar"), request, timeout=60)
    await target.state(job_id, FlinkJobState.FINISHED)
    return rows_of(*await FlinkView(target.http, target.backend.url, timeout=10).kept_rows(job_id))


async def test_all_kinds_of_values(target: Target) -> None:
    found = await asked(target, ODD)
    assert found.columns == ("id", "two words")
    assert found.changes == (("+I", ("1", 'a"b')), ("+I", ("2", "c\\d\n€")), ("+I", ("3", None)))
    assert found.seen == 3


async def test_only_the_first_rows_are_kept_and_all_are_counted(target: Target) -> None:
    found = await asked(target, ODD, most=2)
    assert (len(found.changes), found.seen) == (2, 3)


async def test_changes_of_a_stream_and_the_result_of_a_batch(target: Target) -> None:
    stream = await asked(target, f"CREATE TEMPORARY VIEW v AS {GROUPED}; SELECT * FROM v")
    assert [kind for kind, _ in stream.changes if kind != "-U"] == ["+I", "+I", "+U"]
    batch = await asked(target, GROUPED, mode="BATCH")
    assert {kind for kind, _ in batch.changes} == {"+I"}
    assert sorted(result_of(stream.changes)) == sorted(result_of(batch.changes)) == [("1", "2"), ("2", "1")]


async def test_an_update_is_kept_whole(target: Target) -> None:
    one = "SELECT COUNT(*) AS n FROM (VALUES (1), (2), (1)) AS t (id)"
    found = await asked(target, one, most=2)
    assert [kind for kind, _ in found.changes] == ["+I", "-U", "+U"]
    assert result_of(found.changes) == [("2",)]


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("SELECT 1; SELECT 2", "statement 2 (line 1): a second query: only one can be run at a time"),
        ("SHOW TABLES", "the script must have one query and no INSERT"),
        ("SELECT nosuch", "statement 1 (line 1): "),
    ],
)
async def test_what_is_no_query_is_refused(target: Target, script: str, says: str) -> None:
    with pytest.raises(SubmitRejected) as refused:
        await asked(target, script)
    assert says in refused.value.message
