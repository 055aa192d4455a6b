"""SQL on Kafka, with Flink's connector as a dependency: its state is kept, and many upgrades leave nothing behind."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from deploy.local.demojob import demo_jar
from deploy.local.flink import FlinkCluster
from deploy.local.kafkabroker import KafkaBroker
from deploy.local.kafkajob import kafka_jar
from deploy.local.processes import ProcessFailed, wait_until
from tests.places import SHARED
from tests.support.integration import Kube, Lab, OperatorProcess, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]

LINES = 50
MIB = 1024**2
SCRIPT = """
CREATE TABLE clicks (line STRING) WITH ('connector' = 'kafka', 'topic' = 'clicks', 'format' = 'raw',
  'properties.bootstrap.servers' = '{address}', 'scan.startup.mode' = 'earliest-offset');
CREATE TABLE counts (even BOOLEAN, n BIGINT) WITH ('connector' = 'print', 'print-identifier' = '{mark}');
INSERT INTO counts SELECT MOD(CAST(line AS INT), 2) = 0, COUNT(*) FROM clicks WHERE CAST(line AS INT) >= {least}
GROUP BY MOD(CAST(line AS INT), 2) = 0
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker with one topic."""
    with KafkaBroker(tmp_path / "kafka", topic="clicks", lines=LINES) as started:
        started.wait_ready()
        yield started


def kafka_sql(lab: Lab, name: str, broker: KafkaBroker, *, least: int = 0) -> dict[str, Any]:
    """A FlinkJob that counts the lines of the topic that are at least so large."""
    script, connector = SCRIPT.format(address=broker.address, mark=name, least=least), lab.directory / "connector.jar"
    if not connector.exists():
        shutil.copyfile(kafka_jar(lab.flink.version), connector)
    manifest = lab.job(name, sql={"script": script})
    manifest["spec"]["dependencies"] = {"jars": [{"uri": f"file://{connector}"}]}
    manifest["spec"] = {key: value for key, value in manifest["spec"].items() if key not in ("jar", "args")}
    return manifest


def printed(lab: Lab, mark: str) -> list[str]:
    """What was printed by the jobs of this mark."""
    logs = (log.read_text(errors="replace") for log in (lab.flink.directory / "logs").glob("*.log"))
    return [line for text in logs for line in text.splitlines() if line.startswith(f"{mark}")]


@pytest.mark.parametrize("own_lab", [{"job-metrics": "1"}], indirect=True)
def test_a_connector_is_a_dependency_and_the_place_in_the_topic_is_kept(own_lab: Lab, broker: KafkaBroker) -> None:
    """That nothing is pending is known of this source, unlike of one that generates its lines."""
    lab = own_lab
    lab.apply(kafka_sql(lab, "sql-kafka", broker))
    wait_until(
        lambda: f"+U[true, {LINES // 2}]" in "".join(printed(lab, "sql-kafka")), timeout=60, what="all lines counted"
    )
    lab.checkpointed(submission(lab.get("sql-kafka"))["jobId"])
    pending = f'flinkjob_job_pending_records{{name="sql-kafka",namespace="{lab.namespace}"}}'
    wait_until(lambda: lab.operator.metrics().get(pending) == 0, timeout=60, what="how many lines are pending")
    before = len(printed(lab, "sql-kafka"))
    lab.apply(kafka_sql(lab, "sql-kafka", broker, least=1))
    run = submission(lab.running("sql-kafka", 2))
    assert run["restoredFrom"]
    lab.checkpointed(run["jobId"], 2)
    assert len(printed(lab, "sql-kafka")) == before, "no line is read again"


def size(file: Path) -> int:
    """Bytes of a file; none of what is gone meanwhile."""
    return file.stat().st_size if file.is_file() else 0


@pytest.mark.everything("ten upgrades of a SQL job with a connector")
def test_ten_upgrades_leave_disk_and_metaspace_where_they_were(
    kube: Kube, shared_operator: OperatorProcess, broker: KafkaBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured on the JobManager after the second upgrade and after the twelfth: all that it loads once is loaded by then.

    Flink keeps what it compiled of expressions by soft references. Java clears them when the metaspace is full, here at once.
    """
    temporary = tmp_path / "java"
    temporary.mkdir()
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", f"-Djava.io.tmpdir={temporary} -XX:SoftRefLRUPolicyMSPerMB=0")
    with FlinkCluster(tmp_path / "flink") as flink:
        lab = Lab(kube, flink, shared_operator, SHARED, demo_jar(flink.version), tmp_path)

        def used() -> tuple[int, float, int]:
            """Bytes of the JobManager's files, MiB of its metaspace after a collection, and how many jars it has.

            A TaskManager keeps the jars of jobs that ended for an hour (`blob.service.cleanup.interval`).
            """
            places = (temporary, flink.directory / "tmp", flink.directory / "upload")
            files = [
                file
                for place in places
                for file in place.rglob("*")
                if not any(d.startswith("tm_") for d in file.parts)
            ]
            jcmd = ["jcmd", str(flink.jobmanager.pid)]
            subprocess.run([*jcmd, "GC.run"], check=True, capture_output=True)
            said = subprocess.run([*jcmd, "VM.metaspace"], check=True, capture_output=True, text=True).stdout
            (metaspace,) = re.findall(r"Both: .*?([0-9.]+) MB \([^)]*\) used", said) or [said]
            return sum(map(size, files)), float(metaspace), len(lab.jars())

        lab.apply(kafka_sql(lab, "sql-often", broker))
        lab.running("sql-often", 1)
        seen = []
        for number in range(1, 13):
            lab.apply(kafka_sql(lab, "sql-often", broker, least=number))
            run = submission(lab.running("sql-often", number + 1))
            lab.checkpointed(run["jobId"])
            seen.append(used())
        with suppress(
            ProcessFailed
        ):  # the classes of the last job may be in use for a moment; what stays is said below
            wait_until(lambda: used()[1] <= seen[1][1] + 8, timeout=60, what="the metaspace to be freed")
        seen.append(used())
        print("files, metaspace, jars after each upgrade:", seen)
        lab.clean()
        lab.close()
    (files, metaspace, jars), (files_then, metaspace_then, jars_then) = seen[1], seen[-1]
    assert jars_then <= jars
    assert files_then <= files + MIB
    assert metaspace_then <= metaspace + 8
