"""Python programs as jobs: started, upgraded with their state, refused and adopted like every other job, on real Flink."""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.processes import wait_until
from deploy.local.pyflink import pyflink_python
from tests.support.drift import assert_no_drift
from tests.support.integration import ControlPlane, Lab, S3Server, condition, secret, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
JOB = """
import sys

from pyflink.common import Types
from pyflink.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.table import StreamTableEnvironment

from words import shown


class Count(KeyedProcessFunction):
    def open(self, context):
        self.count = context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value, context):
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        yield shown(sys_args[0], value[0], count)


sys_args = sys.argv[1:]
env = StreamExecutionEnvironment.get_execution_environment()
table = StreamTableEnvironment.create(env)
table.execute_sql(
    "CREATE TABLE clicks (id BIGINT) WITH "
    "('connector' = 'datagen', 'rows-per-second' = '50', 'fields.id.min' = '1', 'fields.id.max' = '2')"
)
clicks = table.to_data_stream(table.from_path("clicks"))
counts = clicks.key_by(lambda row: row[0], key_type=Types.LONG()).process(Count(), Types.STRING()).uid("count")
counts.print().uid("print")
env.execute("counts")
"""
WORDS = "def shown(mark, key, count):\n    return f'{mark} {key} {count}'\n"


def python_job(
    lab: Lab, name: str, mark: str, words: str = WORDS, job: str = JOB, more: Mapping[str, Any] = {}, **spec: Any
) -> dict[str, Any]:
    """A FlinkJob that runs a Python program."""
    files = [{"name": "job.py", "text": job}, {"name": "words.py", "text": words}]
    python = {"file": "job.py", "files": files, "executable": str(pyflink_python(lab.flink.version)), **more}
    options = {"python.fn-execution.bundle.time": "100"}
    manifest = lab.job(name, **{"python": python, "args": [mark], "flinkConfiguration": options} | spec)
    del manifest["spec"]["jar"]
    return manifest


NEEDY = """
def shown(mark, key, count):
    import shopwords
    with open("data/word.txt") as file:
        return f"{mark} {key} {count} {shopwords.WORD} {file.read()}"
"""


def needs(directory: Path) -> dict[str, Any]:
    """A package that is installed, and an archive."""
    wheel, archive = directory / "shopwords-1.0-py3-none-any.whl", directory / "data.zip"
    info = {
        "METADATA": "Metadata-Version: 2.1\nName: shopwords\nVersion: 1.0\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("shopwords.py", "WORD = 'installed'")
        for name, text in info.items():
            made.writestr(f"shopwords-1.0.dist-info/{name}", text)
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("word.txt", "unpacked")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    return {
        "requirements": {"text": f"shopwords @ {wheel.as_uri()}"},
        "archives": [{"uri": archive.as_uri(), "sha256": digest, "name": "data"}],
    }


def printed(lab: Lab) -> str:
    """What jobs have printed, and the logs of the TaskManagers."""
    return "".join(log.read_text(errors="replace") for log in (lab.flink.directory / "logs").glob("tm*.log"))


def counted(lab: Lab, mark: str) -> int:
    """The highest count that was printed."""
    return max([0, *(int(number) for number in re.findall(rf"{mark} \d (\d+)", printed(lab)))])


@pytest.mark.every_flink("Python programs on the oldest Flink")
@pytest.mark.invariant(13)
def test_the_life_of_a_python_program(python_lab: Lab, tmp_path: Path) -> None:
    lab = python_lab
    manifest = python_job(lab, "python-life", "life1")
    lab.apply(manifest)
    run = submission(lab.running("python-life", 1, deadline=120))
    assert run["artifactDigest"].startswith("python-1-")
    (job,) = lab.live_jobs("python-life")
    assert (job["jid"], job["name"]) == (run["jobId"], "counts"), "the program's own name wins"
    marks = lab.rest(f"/jobs/{job['jid']}/config")["execution-config"]["user-config"]
    assert marks["flinkjob.dev/owner"].endswith("/python-life")
    wait_until(lambda: counted(lab, "life1") > 20, timeout=120, what="some counts")

    lab.apply(python_job(lab, "python-life", "life2", job="import words\nimport nosuch\n"))
    message = condition(lab.stalled("python-life", "PreflightFailed", deadline=120), "Stalled")["message"]
    assert "job.py, line 2: ModuleNotFoundError: No module named 'nosuch'; add it to spec.python.files" in message
    assert [each["jid"] for each in lab.live_jobs("python-life")] == [job["jid"]]

    changed = python_job(lab, "python-life", "life2", NEEDY, more=needs(tmp_path))
    lab.apply(changed)
    run = submission(lab.running("python-life", 2, deadline=120))
    restored = lab.checkpoints(run["jobId"])["latest"]["restored"]
    assert restored["external_path"].removeprefix("file:").lstrip("/") in run["restoredFrom"]
    before = counted(lab, "life1")
    wait_until(lambda: counted(lab, "life2") > before, timeout=120, what="higher counts")
    assert re.search(r"life2 \d \d+ installed unpacked", printed(lab))
    assert len(run["uploads"]) == 2
    lab.checkpointed(run["jobId"], deadline=60)

    lab.edit(changed, deletion={"policy": "Orphan"})
    lab.delete("python-life")
    lab.gone("python-life")
    lab.apply(changed)
    assert submission(lab.running("python-life"))["jobId"] == run["jobId"], "adopted"
    assert len(lab.flink_jobs("python-life")) == 2


@pytest.mark.everything("a JobManager that loses the uploads of a Python program")
@pytest.mark.fault("jobmanager-killed")
def test_a_jobmanager_that_loses_what_was_uploaded(forgetful_python_lab: Lab, tmp_path: Path) -> None:
    """The program and what is beside it are uploaded again, and found where the new JobManager keeps them."""
    lab, soon = forgetful_python_lab, {"initialDelay": "1s", "maxDelay": "1s"}
    lab.apply(python_job(lab, "python-lost", "lost1", NEEDY, more=needs(tmp_path), restart=soon))
    first = submission(lab.running("python-lost", 1, deadline=120))
    wait_until(lambda: counted(lab, "lost1") > 20, timeout=120, what="some counts")
    lab.checkpointed(first["jobId"], deadline=60)
    names, before = {jar["name"] for jar in lab.jars()}, counted(lab, "lost1")
    lab.flink.restart_jobmanager(kill=True)
    assert lab.jars() == []

    run = submission(lab.running("python-lost", 2, deadline=180))
    assert f"{first['jobId']}/chk-" in str(run["restoredFrom"])
    assert (run["artifactDigest"], run["uploads"]) == (first["artifactDigest"], first["uploads"])
    assert {jar["name"] for jar in lab.jars()} == names
    assert len(names) == 3
    wait_until(lambda: counted(lab, "lost1") > before + 5, timeout=120, what="higher counts")


TABLE_JOB = """
from pyflink.table import DataTypes, EnvironmentSettings, TableEnvironment
from pyflink.table.udf import udf


@udf(result_type=DataTypes.STRING())
def named(page):
    import shopwords
    with open("data/word.txt") as file:
        return f"example {page} {shopwords.WORD} {file.read()}"


table = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
table.create_temporary_function("named", named)
table.execute_sql("CREATE TABLE clicks (page INT) WITH ('connector' = 'datagen', 'number-of-rows' = '3')")
table.execute_sql("CREATE TABLE shown (page STRING) WITH ('connector' = 'print')")
table.execute_sql("INSERT INTO shown SELECT named(page) FROM clicks")
"""


@pytest.mark.parametrize("name", ["python", "python-table"])
def test_an_example(python_lab: Lab, control_plane: ControlPlane, s3: S3Server, tmp_path: Path, name: str) -> None:
    lab, needed = python_lab, needs(tmp_path)
    (archive,) = needed["archives"]
    stored = s3.bucket("data") / "clicks" / "data.zip"
    stored.parent.mkdir(exist_ok=True)
    shutil.copyfile(tmp_path / "data.zip", stored)
    keys = {"accessKeyId": s3.access_key, "secretAccessKey": s3.secret_key}
    lab.kube.apply(secret(lab.namespace, "data-store", **keys))
    files = {"clicks.py": TABLE_JOB, "requirements.txt": needed["requirements"]["text"]}
    meta = {"name": "python-clicks", "namespace": lab.namespace}
    lab.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": files})
    text = (EXAMPLES / f"flinkjob-{name}.yaml").read_text().replace("http://flink-jobmanager:8081", lab.cluster_url)
    text = text.replace("https://s3.example.com", s3.endpoint)
    text = text.replace("3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d92c8a3f3fbb2f4c0f3f6b1", archive["sha256"])
    manifest = yaml.safe_load(text)
    manifest["metadata"]["namespace"] = lab.namespace
    lab.apply(manifest)
    lab.phase(name, "Finished", deadline=120)
    assert_no_drift(control_plane, lab.kube, manifest)
    says = "Ada is here for the 2. time" if name == "python" else r"example -?\d+ installed unpacked"
    wait_until(lambda: re.search(says, printed(lab)), timeout=30, what=says)
