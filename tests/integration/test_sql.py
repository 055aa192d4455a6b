"""SQL scripts as jobs: started, upgraded, refused, taken back and adopted like every other job, on real Flink."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from deploy.local.flinkdist import distribution
from deploy.local.javajar import compiled, write_jar
from deploy.local.processes import wait_until
from tests.support.integration import Lab, condition, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]

TABLES = """
CREATE TABLE clicks (id INT, page INT) WITH ('connector' = 'datagen', 'rows-per-second' = '50', 'fields.id.min' = '1', 'fields.id.max' = '3');
CREATE TABLE nothing (id INT) WITH ('connector' = 'blackhole');
CREATE TABLE counts (id INT, n BIGINT) WITH ('connector' = 'print', 'print-identifier' = '{mark}');
"""  # noqa: E501
COUNT = "INSERT INTO counts SELECT id, COUNT(*) FROM clicks GROUP BY id"
FUNCTION = """
package shop;
public class Shout extends org.apache.flink.table.functions.ScalarFunction {
    public String eval(Integer value) { return value + "!"; }
}
"""


def sql_job(lab: Lab, name: str, script: str, **spec: Any) -> dict[str, Any]:
    """A FlinkJob that runs a script."""
    manifest = lab.job(name, **{"sql": {"script": script}} | spec)
    manifest["spec"] = {key: value for key, value in manifest["spec"].items() if key not in ("jar", "args")}
    return manifest


def script(mark: str, *inserts: str) -> str:
    """The tables, and what is written to them."""
    return ";\n".join([TABLES.format(mark=mark).strip().removesuffix(";"), *inserts])


def counted(lab: Lab, mark: str) -> int:
    """The highest count that was printed."""
    found = [0]
    for log in (lab.flink.directory / "logs").glob("*.log"):
        found += [int(n) for n in re.findall(rf"{mark}(?::\d+)?> \+[IU]\[\d, (\d+)\]", log.read_text(errors="replace"))]
    return max(found)


@pytest.mark.every_flink
def test_the_life_of_a_script(lab: Lab) -> None:
    manifest = sql_job(lab, "sql-life", script("life1", COUNT))
    lab.apply(manifest)
    begun = lab.running("sql-life", 1)
    run = submission(begun)
    assert run["artifactDigest"].startswith("sql-1-")
    (job,) = lab.live_jobs("sql-life")
    assert (job["jid"], job["name"]) == (run["jobId"], "sql-life")
    marks = lab.rest(f"/jobs/{job['jid']}/config")["execution-config"]["user-config"]
    assert marks["flinkjob.dev/owner"].endswith("/sql-life")
    wait_until(lambda: counted(lab, "life1") > 20, timeout=120, what="some counts")

    filtered = COUNT.replace("GROUP", "WHERE id < 4 GROUP")
    manifest = lab.edit(manifest, sql={"script": script("life2", filtered)})
    run = submission(lab.running("sql-life", 2))
    restored = lab.checkpoints(run["jobId"])["latest"]["restored"]
    assert restored["external_path"].removeprefix("file:").lstrip("/") in run["restoredFrom"]
    before = counted(lab, "life1")
    wait_until(lambda: counted(lab, "life2") > before, timeout=120, what="higher counts")
    lab.checkpointed(run["jobId"])

    lab.edit(manifest, deletion={"policy": "Orphan"})
    lab.delete("sql-life")
    lab.gone("sql-life")
    lab.apply(manifest)
    assert submission(lab.running("sql-life"))["jobId"] == run["jobId"], "adopted"
    assert len(lab.flink_jobs("sql-life")) == 2


def test_a_compiled_plan_outlives_the_statement_that_it_was_made_of(lab: Lab, tmp_path: Path) -> None:
    """On a storage that all see. What is compiled on the cluster before the upgrade leaves the plan as it is, too."""
    plan = f"{tmp_path.as_uri()}/counts.json"
    compiling = f"COMPILE PLAN '{plan}' IF NOT EXISTS FOR {{}}"
    manifest = sql_job(lab, "sql-plan", script("plan", compiling.format(COUNT), f"EXECUTE PLAN '{plan}'"))
    lab.apply(manifest)
    lab.running("sql-plan", 1)
    wait_until(lambda: counted(lab, "plan") > 20, timeout=120, what="some counts")
    written = (tmp_path / "counts.json").read_text()

    changed = COUNT.replace("COUNT(*)", "COUNT(*) + MAX(id)")  # whose state would be another one
    lab.edit(manifest, sql={"script": script("plan", compiling.format(changed), f"EXECUTE PLAN '{plan}'")})
    run, before = submission(lab.running("sql-plan", 2)), counted(lab, "plan")
    restored = lab.checkpoints(run["jobId"])["latest"]["restored"]
    assert restored["external_path"].removeprefix("file:").lstrip("/") in run["restoredFrom"]
    wait_until(lambda: counted(lab, "plan") > before + 5, timeout=120, what="higher counts")
    lab.checkpointed(run["jobId"])
    assert (tmp_path / "counts.json").read_text() == written


@pytest.mark.invariant(10, 13)
def test_a_script_that_cannot_run_touches_nothing(lab: Lab) -> None:
    manifest = sql_job(lab, "sql-bad", script("bad", COUNT, "INSERT INTO nothing SELECT id FROM clicks"))
    lab.apply(manifest)
    job_id = submission(lab.running("sql-bad", 1))["jobId"]
    assert [job["jid"] for job in lab.live_jobs("sql-bad")] == [job_id], "both INSERTs are one job"
    refusals = {
        "INSERT INTO nothing\nSELECT id FROM nosuch": ("PreflightFailed", "statement 4 (line 4): ", "'nosuch' not found"),
        "SHOW TABLES": ("PreflightFailed", "there is no INSERT in the script"),
        "SELECT * FROM clicks": ("PreflightFailed", "statement 4 (line 4): a query has no place for its rows"),
        "INSERT INTO nothing SELECT 'x": ("ArtifactFailed", "sql: line 4: a ' is not closed"),
    }  # fmt: skip
    for statement, (reason, *says) in refusals.items():
        lab.edit(manifest, sql={"script": script("bad", statement)})
        found = lab.stalled("sql-bad", reason)
        message = condition(found, "Stalled")["message"]
        assert all(words in message for words in says), message
        assert "SqlScriptException" not in message
    lab.checkpointed(job_id)
    without = {"script": script("bad", "INSERT INTO nothing SELECT id FROM clicks")}
    lab.edit(manifest, sql=without)
    found = lab.stalled("sql-bad", "StateNotMapped")
    assert "run 1 has state in what the new program lacks: GroupAggregate" in condition(found, "Stalled")["message"]
    assert [job["jid"] for job in lab.live_jobs("sql-bad")] == [job_id]
    lab.edit(manifest)
    assert submission(lab.running("sql-bad", 1))["jobId"] == job_id


def test_a_script_with_another_aggregate_is_taken_back(lab: Lab) -> None:
    rollback = {"policy": "Enabled", "healthyAfter": "500ms", "deadline": "5s"}
    manifest = sql_job(lab, "sql-back", script("back", COUNT), upgrade={"rollback": rollback})
    lab.apply(manifest)
    lab.wait("sql-back", lambda job: job["status"].get("healthyRevision"), "healthy")
    wait_until(lambda: counted(lab, "back") > 5, timeout=120, what="some counts")
    other = "INSERT INTO counts SELECT id, COUNT(*) + MAX(id) FROM clicks GROUP BY id"
    lab.edit(manifest, sql={"script": script("back", other)})
    lab.stalled("sql-back", "RolledBack", deadline=60)
    run = submission(lab.wait("sql-back", lambda job: submission(job).get("running"), "running again"))
    assert (run["number"], run["reason"]) == (3, "Rollback")
    assert run["artifactDigest"] == lab.get("sql-back")["status"]["healthyArtifact"]


@pytest.mark.invariant(10)
def test_a_script_in_a_config_map(spare_lab: Lab) -> None:
    lab = spare_lab
    texts = {"tables.sql": TABLES.format(mark="map"), "main.sql": COUNT}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sql", "namespace": lab.namespace}}
    lab.kube.apply(config_map | {"data": texts})
    named = [{"configMapKeyRef": {"name": "sql", "key": key}} for key in texts]
    manifest = sql_job(lab, "sql-map", "", sql={**named[1], "initFrom": [named[0]]})
    lab.apply(manifest)
    lab.running("sql-map", 1)
    lab.operator.restart()
    lab.quiet()
    assert submission(lab.running("sql-map", 1))["number"] == 1

    lab.kube.apply(config_map | {"data": texts | {"main.sql": f"{COUNT};\n\n INSERT INTO nosuch SELECT 1"}})
    message = condition(lab.stalled("sql-map", "PreflightFailed", deadline=60), "Stalled")["message"]
    assert "statement 5 (line 3): " in message
    lab.kube.apply(config_map | {"data": texts | {"main.sql": f"{COUNT}; -- the same, and a comment"}})
    lab.running("sql-map", 2, deadline=60)

    lab.kube.delete("ConfigMap", lab.namespace, "sql")
    found = lab.stalled("sql-map", "ScriptNotFound", deadline=60)
    assert condition(found, "Healthy")["status"] == "True"
    assert condition(found, "Stalled")["message"] == "spec.sql: ConfigMap sql does not exist"
    assert len(lab.live_jobs("sql-map")) == 1
    lab.kube.apply(config_map | {"data": texts | {"main.sql": f"{COUNT}; -- the same, and a comment"}})
    lab.running("sql-map", 2, deadline=60)


@pytest.mark.every_flink
def test_functions_of_a_jar(lab: Lab, tmp_path: Path) -> None:
    sources, functions, clash = tmp_path / "src", tmp_path / "functions.jar", tmp_path / "clash.jar"
    sources.mkdir()
    (sources / "Shout.java").write_text(FUNCTION)
    library = f"{distribution(lab.flink.version) / 'lib'}/*"
    classes = compiled("compiling a function", sources, [library], tmp_path / "classes")
    write_jar(functions, None, classes)
    write_jar(clash, None, [(name, b"another") for name, _ in classes])
    statements = script(
        "udf",
        "CREATE FUNCTION shout AS 'shop.Shout'",
        "INSERT INTO nothing SELECT CHAR_LENGTH(shout(id)) FROM clicks",
    )
    jars = {"jars": [{"uri": functions.as_uri()}, {"uri": clash.as_uri()}]}
    lab.apply(sql_job(lab, "sql-udf", statements, dependencies=jars))
    lab.running("sql-udf", 1)
    lab.told_once("ClassesDiffer", "sql-udf")
    run = submission(lab.get("sql-udf"))
    (uploaded,) = [jar for jar in lab.jars() if jar["id"] == run["jarId"]]
    assert run["artifactDigest"] in uploaded["name"]

    lab.start("jar-udf", dependencies={"jars": [{"uri": functions.as_uri()}]})
    assert submission(lab.get("jar-udf"))["artifactDigest"].startswith("jar-")
    lab.exactly_once("jar-udf")
