"""SQL scripts: the operator's runner, on every version of Flink."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from deploy.local.sqlrunner import runner_directory
from flinkjob.artifacts.merge import Text, merge
from flinkjob.core.errors import SubmitRejected, SubmitRejection
from flinkjob.core.flinkmodel import FlinkJobState, RunRequest
from flinkjob.core.jobgraph import Topology
from flinkjob.core.program import SQL_ENTRY_CLASS
from tests.contract.target import Target, new_id

pytestmark = [pytest.mark.oldest, pytest.mark.not_simulated]

TABLES = """
CREATE TABLE numbers (id INT, n INT) WITH ('connector' = 'datagen', 'number-of-rows' = '20', 'fields.id.max' = '3',
  'fields.id.min' = '1');
CREATE TABLE nothing (id INT, n BIGINT) WITH ('connector' = 'blackhole');
CREATE TABLE nothing2 LIKE nothing;
CREATE TABLE nothing3 LIKE nothing;
"""
INSERT = "INSERT INTO nothing SELECT id, n FROM numbers"
SECOND, THIRD = INSERT.replace("nothing", "nothing2"), INSERT.replace("nothing", "nothing3")


async def uploaded(target: Target, *script: str) -> str:
    """The jar of a script on the cluster; the pieces before the last one are `initFrom`."""
    jar = target.scratch / "script.jar"
    texts = [Text(piece, f"initFrom[{number}]") for number, piece in enumerate(script[:-1])]
    merge(jar, [], runner=runner_directory() / "sql-runner-1.jar", script=[*texts, Text(script[-1])])
    return await target.client.upload_jar(jar, "script.jar")


def request(configuration: Mapping[str, str], job_id: str | None = None, args: tuple[str, ...] = ()) -> RunRequest:
    return RunRequest(
        job_id=job_id or new_id(),
        entry_class=SQL_ENTRY_CLASS,
        args=args,
        flink_configuration=configuration,
        parallelism=1,
    )


async def plan(target: Target, *script: str, **configuration: str) -> Topology:
    jar = await uploaded(target, *script)
    return await target.client.plan_jar(jar, request(configuration), timeout=60)


def sinks(found: Topology) -> int:
    """How many tables are written to."""
    return sum(vertex.description.count(": Writer") for vertex in found.vertices)


@pytest.mark.parametrize(
    ("script", "tables"),
    [
        (INSERT, 1),
        (f"{INSERT};\n-- and\n{SECOND} /* ; */;", 2),
        (f"BEGIN STATEMENT SET; {INSERT}; {SECOND}; END;", 2),
        (f"EXECUTE STATEMENT SET BEGIN {INSERT}; {SECOND}; END; {THIRD}", 3),
        (
            "EXECUTE STATEMENT SET BEGIN INSERT INTO nothing SELECT CASE WHEN 'END;' = '' THEN 1 ELSE 2 END, n FROM numbers; "
            f"{SECOND}; END",
            2,
        ),
        (f"SET 'pipeline.name' = 'mine';\r\nSET 'table.exec.mini-batch.enabled' = 'false';\r\n{INSERT}", 1),
        ("CREATE TABLE copied WITH ('connector' = 'blackhole') AS SELECT id FROM numbers", 1),
        (
            "CREATE CATALOG c WITH ('type' = 'generic_in_memory'); USE CATALOG c; SHOW TABLES; SET; "
            "USE CATALOG default_catalog; DESCRIBE numbers; CREATE TEMPORARY VIEW v AS SELECT id, n FROM numbers; "
            f"EXPLAIN {INSERT}; EXPLAIN SELECT * FROM v; INSERT INTO nothing SELECT id, n FROM v",
            1,
        ),
        ("INSERT INTO nothing SELECT id, COUNT(*) FROM numbers /*+ OPTIONS('number-of-rows'='5') */ GROUP BY id", 1),
    ],
    ids=["one", "two", "set", "sets", "case", "options", "as-select", "catalogs", "hint"],
)
async def test_a_script_is_one_job(target: Target, script: str, tables: int) -> None:
    found = await plan(target, TABLES, script)
    assert found.vertices
    assert sinks(found) == tables
    if "mine" in script:
        assert found.name == "mine"


async def test_it_runs_under_the_chosen_id_and_name_and_only_once(target: Target) -> None:
    jar, job_id = await uploaded(target, TABLES, f"{INSERT}; {SECOND}"), new_id()
    asked = request({"pipeline.name": "two tables", "table.dml-sync": "true"}, job_id)
    assert await target.client.run_jar(jar, asked, timeout=60) == job_id
    await target.state(job_id, FlinkJobState.FINISHED)
    jobs = [job for job in await target.client.overview_jobs() if job.job_id == job_id]
    assert [job.name for job in jobs] == ["two tables"]
    with pytest.raises(SubmitRejected) as refused:
        await target.client.run_jar(jar, asked, timeout=60)
    assert refused.value.kind is SubmitRejection.DUPLICATE


async def test_a_bounded_job(target: Target) -> None:
    jar, job_id = await uploaded(target, TABLES, INSERT), new_id()
    asked = request({"execution.runtime-mode": "BATCH"}, job_id)
    await target.client.run_jar(jar, asked, timeout=60)
    assert await target.state(job_id, FlinkJobState.FINISHED, FlinkJobState.FAILED) is FlinkJobState.FINISHED


async def test_a_compiled_plan(target: Target) -> None:
    file = target.scratch / "plan.json"
    script = f"COMPILE PLAN '{file}' FOR {INSERT}; EXECUTE PLAN '{file}'"
    assert sinks(await plan(target, TABLES, script)) == 1
    assert file.exists()
    assert sinks(await plan(target, TABLES, f"EXECUTE PLAN '{file}'")) == 1
    other = target.scratch / "other.json"
    both = f"COMPILE AND EXECUTE PLAN '{other}' FOR STATEMENT SET BEGIN {INSERT}; {SECOND}; END"
    assert sinks(await plan(target, TABLES, both)) == 2


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("INSERT INTO nothing\n\n SELECT 1, 1 FROM nosuch", ("statement 5 (line 1): ", "line 3, column 19", "'nosuch' not")),
        (f"{INSERT};\nINSRT x", ("statement 6 (line 2): ", "SQL parse failed")),
        (f"{INSERT};\n\nINSERT INTO nothing SELECT id, 'x' FROM numbers;", ("statement 6 (line 3): ", "do not match")),
        (
            "CREATE TABLE k (a INT) WITH ('connector' = 'nosuch');\nINSERT INTO k SELECT id FROM numbers",
            ("statement 6 (line 2): ", "nosuch", "blackhole"),
        ),
        (f"{INSERT};\nSELECT * FROM numbers", ("statement 6 (line 2): a query has no place for its rows here",)),
        ("SHOW TABLES", ("there is no INSERT in the script",)),
        (f"RESET 'pipeline.name'; {INSERT}", ("statement 5 (line 1): RESET is not supported",)),
        (f"{INSERT};\n SET 'pipeline.name' = 'x'", ("statement 6 (line 2): SET 'pipeline.name' stands after an INSERT",)),
        (f"SET 'table.dml-sync' = 'true';{INSERT}", ("statement 5 (line 1): SET 'table.dml-sync' is refused",)),
        (f"SET '$internal.pipeline.job-id' = '{'a' * 32}';{INSERT}", ("SET '$internal.pipeline.job-id' is refused",)),
        (f"SET 'table.exec.uid.generation' = 'always';{INSERT}", ("SET 'table.exec.uid.generation' is refused",)),
        (f"SET 'execution.runtime-mode' = 'batch';{INSERT}", ("use spec.runtimeMode",)),
        (f"SET parallelism.default = 2; {INSERT}", ("use spec.parallelism",)),
        (f"{INSERT};\nEXECUTE PLAN '/nosuch'", ("statement 6 (line 2): a script is one job, and statement 5 (line 1)",)),
        ("ANALYZE TABLE numbers COMPUTE STATISTICS", ("statement 5 (line 1): ANALYZE TABLE is not supported: it starts",)),
        ("CALL sys.nosuch()", ("statement 5 (line 1): ",)),
        (
            "CREATE FUNCTION f AS 'no.Such';\n INSERT INTO nothing SELECT f(id), n FROM numbers",
            ("statement 6 (line 2): ", "no.Such"),
        ),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_with_its_place_and_flinks_words(
    target: Target, script: str, says: tuple[str, ...]
) -> None:
    with pytest.raises(SubmitRejected) as refused:
        await plan(target, TABLES, script)
    assert refused.value.kind is SubmitRejection.SCRIPT
    assert not refused.value.permanent  # what a script names may only be down: a start tries again
    for words in says:
        assert words in refused.value.message
    assert "SqlScriptException" not in refused.value.message
    assert "dev.flinkjob" not in refused.value.message


async def test_a_refused_script_leaves_no_job(target: Target) -> None:
    jar, job_id = await uploaded(target, TABLES, f"{INSERT}; INSERT INTO nothing SELECT 'x', n FROM numbers"), new_id()
    with pytest.raises(SubmitRejected) as refused:
        await target.client.run_jar(jar, request({}, job_id), timeout=60)
    assert refused.value.kind is SubmitRejection.SCRIPT
    assert await target.client.job_status(job_id) is None


async def test_the_piece_of_the_script_is_named(target: Target) -> None:
    with pytest.raises(SubmitRejected, match=r"statement 1 \(line 2 of initFrom\[0\]\)"):
        await plan(target, "\nCREATE TABL x", INSERT)


VARIABLES = ("--variables", "--value", "rows=5", "--value", "quoted=a; b's", "--secret", "password=canary_sql_77f0")
FOLDED = (*VARIABLES, "--secret", "folded=canary_sql_a   b\n  canary_sql_c")
LARGE = (*VARIABLES, "--value", f"large={'x' * 150_000}")


async def with_variables(target: Target, text: str, args: tuple[str, ...] = VARIABLES) -> Topology:
    """The plan of the tables and this statement with variables."""
    return await target.client.plan_jar(await uploaded(target, f"{TABLES}{text}"), request({}, args=args), timeout=60)


@pytest.mark.threat("leaked-secrets")
async def test_variables_are_put_into_statements_that_were_split(target: Target) -> None:
    insert = "INSERT INTO nothing SELECT id, n FROM numbers WHERE n < $(rows)"
    assert sinks(await with_variables(target, f"{insert} AND '$$(rows)' = '$(rows); INSERT INTO nothing2'")) == 1
    unwritable = "CREATE TABLE t (a INT) WITH ('connector' = 'print', 'x' = '$(password)'); INSERT INTO t SELECT 1"
    for text, args, words in (
        ("INSERT INTO nothing SELECT $(none), n FROM numbers", VARIABLES, "no variable is named none"),
        ("INSERT INTO $(password) SELECT 1", VARIABLES, "******"),
        (unwritable, VARIABLES, "x"),
        ("INSERT INTO `$(folded)` SELECT 1", FOLDED, "******"),
        (f"{insert} AND '$(large)' <> '$(large)'", LARGE, "the script has more than 262144 characters"),
        (insert, (), "statement 5"),
    ):
        with pytest.raises(SubmitRejected) as refused:
            await with_variables(target, text, args)
        assert refused.value.kind is SubmitRejection.SCRIPT
        assert words in refused.value.message
        assert "canary_sql" not in refused.value.message
