"""The image, the chart and a Flink session cluster on a complete Kubernetes node: the life of a release and of one job.

The tests run in this order and go on from each other: the last but one uninstalls, and the last one begins anew.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from deploy.local.binaries import tool_binary
from deploy.local.environment import REPOSITORY
from deploy.local.helm import NAMESPACE, RELEASE
from deploy.local.image import configuration, oci_archive, remove
from deploy.local.operatorimage import build_operator, commit, layer_digests
from deploy.local.processes import ProcessFailed, wait_until
from deploy.local.release import Release, sha256
from tests.node.world import DEADLINE, JOB, JOBMANAGER_PODS, LOOK, OPERATOR_PODS, TEAM, World
from tests.support import pages
from tests.support.charts import COLUMN
from tests.support.lab import submission

pytestmark = [pytest.mark.node, pytest.mark.slow]
WAIT = f"--timeout={DEADLINE:.0f}s"
PROGRAMS = ("counts", "visits")
TABLES = (
    "CREATE TABLE clicks (id INT, page INT) WITH ('connector' = 'datagen', 'rows-per-second' = '20');"
    "CREATE TABLE counts (id INT, n BIGINT) WITH ('connector' = 'blackhole');"
)
INSERT = "INSERT INTO counts SELECT id, COUNT(*) FROM clicks{} GROUP BY id"
VISITS = """
from pyflink.common import Types
from pyflink.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.table import StreamTableEnvironment


class Visits(KeyedProcessFunction):
    def open(self, context):
        self.visits = context.get_state(ValueStateDescriptor("visits", Types.LONG()))

    def process_element(self, row, context):
        visits = (self.visits.value() or 0) + 1
        self.visits.update(visits)
        yield f"WORD {row[0]} {visits}"


env = StreamExecutionEnvironment.get_execution_environment()
table = StreamTableEnvironment.create(env)
table.execute_sql(
    "CREATE TABLE clicks (id BIGINT) WITH "
    "('connector' = 'datagen', 'rows-per-second' = '20', 'fields.id.min' = '1', 'fields.id.max' = '2')"
)
clicks = table.to_data_stream(table.from_path("clicks"))
visits = clicks.key_by(lambda row: row[0], key_type=Types.LONG()).process(Visits(), Types.STRING()).uid("visits")
visits.print().uid("print")
env.execute("visits")
"""


def program(word: str) -> dict[str, Any]:
    """`spec.python` of a program that counts visits of two visitors, and prints them with a word."""
    return {"file": "job.py", "files": [{"name": "job.py", "text": VISITS.replace("WORD", word)}]}


def test_the_image_says_what_it_is(built: str) -> None:
    config = configuration(built)
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["flinkjob-operator"]
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels.items() >= {"title": "flinkjob-operator", "version": "0.1.0", "licenses": "Apache-2.0"}.items()
    assert labels["revision"] == commit()[1]


@pytest.mark.everything("the operator's image is built a second time")
def test_the_image_is_reproducible(built: str, files: Release, tmp_path: Path) -> None:
    again = f"{built}-again"
    build_operator(again)
    try:
        assert layer_digests(again) == layer_digests(built)
        archived = oci_archive(again, tmp_path / "again.tar", files.image_name, files.stamp)
        assert sha256(archived) == sha256(files.image)
    finally:
        remove(again)


def test_two_replicas_run_and_one_leads(release: World) -> None:
    names = release.operators(2)
    assert release.led_by(*names)
    for pod in release.pods(NAMESPACE, OPERATOR_PODS).values():
        assert [status["restartCount"] for status in pod["status"]["containerStatuses"]] == [0]


def test_a_job_of_a_service_runs_on_pods(job: World) -> None:
    """The cluster is named by `serviceRef`, the jar by a host name: both go through the cluster's DNS."""
    assert job.live_jobs() == [submission(job.job())["jobId"]]
    job.exactly_once()


def test_the_pages_come_from_the_image(job: World) -> None:
    """Through the API server's proxy of their Service, in place of one that asks who somebody is."""
    path = f"/api/v1/namespaces/{NAMESPACE}/services/{RELEASE}-ui:http/proxy"
    of_job = f"{path}/jobs/{TEAM}/{JOB}"
    assert f"{TEAM}/{JOB}" in job.node.kubectl("get", "--raw", f"{path}/")
    page = wait_until(
        lambda: found if "Source: sequence" in (found := job.node.kubectl("get", "--raw", of_job)) else None,
        timeout=DEADLINE,
        what="what Flink itself says of its tasks",
        interval=LOOK,
    )
    assert "<button" not in page
    assert "htmx" in job.node.kubectl("get", "--raw", f"{path}/static/htmx.min.js")


def test_a_savepoint_is_where_the_pods_share_it(job: World) -> None:
    found = job.savepoint("before-the-party")
    assert found["status"]["location"].startswith("file:/flink/savepoints/")


def test_a_script_and_a_program_of_python_run_on_pods_and_keep_their_state(job: World) -> None:
    """The runners are in the operator's image, PyFlink is in that of Flink; the TaskManager, another Pod, gets the rest."""
    job.run("counts", sql={"script": TABLES + INSERT.format("")})
    job.run("visits", python=program("first"))
    first = [submission(job.running(1, name)) for name in PROGRAMS]
    wait_until(lambda: len(job.printed("first")) == 2, timeout=DEADLINE, what="a visit of each", interval=LOOK)
    job.run("counts", sql={"script": TABLES + INSERT.format(" WHERE id < 3")})
    job.run("visits", python=program("second"))
    second = [submission(job.running(2, name)) for name in PROGRAMS]
    assert ["/savepoints/" in run["restoredFrom"] for run in second] == [True, True]
    wait_until(lambda: len(job.printed("second")) == 2, timeout=DEADLINE, what="visits after the change", interval=LOOK)
    last = {key: max(numbers) for key, numbers in job.printed("first").items()}
    assert {key: min(numbers) - 1 for key, numbers in job.printed("second").items()} == last
    live = {run["jobId"] for run in second}
    assert {run["jobId"] for run in (*first, *second)} & set(job.live_jobs()) == live
    job.node.kubectl("delete", "flinkjob", *PROGRAMS, "-n", TEAM, WAIT)
    assert not live & set(job.live_jobs())


@pytest.mark.behaviour(76)
@pytest.mark.fault("operator-pod-and-chart")
def test_an_upgrade_goes_on_when_the_pod_of_the_leader_is_deleted(job: World) -> None:
    before = job.leader()
    job.change_job("--main-ms", "3000")
    job.kube.wait_for(
        *("FlinkJob", TEAM, JOB), lambda found: found["status"]["phase"] == "Upgrading", deadline=DEADLINE
    )
    job.node.kubectl("delete", "pod", before, "-n", NAMESPACE, "--wait=false")
    found = job.running(2)
    assert job.led_by(*job.operators(2)) != before
    assert "/savepoints/" in submission(found)["restoredFrom"]
    assert job.live_jobs() == [submission(found)["jobId"]]
    job.exactly_once()


@pytest.mark.fault("operator-pod-and-chart")
def test_the_chart_is_upgraded_with_another_definition(job: World, later_chart: Path) -> None:
    """The job is not touched, and the operator is never away."""
    assert COLUMN.upper() not in job.node.kubectl("get", "flinkjobs", "-n", TEAM)
    run = submission(job.job())
    values = ("--values", job.values, "--set", "image.tag=0.1.0,podAnnotations.version=later")
    old = set(job.operators(2))
    job.helm.run("upgrade", RELEASE, later_chart, *values, "--wait", "--timeout", f"{DEADLINE:.0f}s")
    assert COLUMN.upper() in job.node.kubectl("get", "flinkjobs", "-n", TEAM)
    assert not old & set(job.operators(2))
    job.savepoint("after-the-upgrade")
    assert submission(job.job())["jobId"] == run["jobId"]
    assert job.live_jobs() == [run["jobId"]]
    job.exactly_once()


@pytest.mark.fault("operator-pod-and-chart")
def test_a_drain_leaves_one_replica_that_works(job: World) -> None:
    """There is no other node to go to, so the budget lets one Pod be evicted and not the second."""
    pods = job.operators(2)
    wait_until(lambda: job.evictable() == 1, timeout=DEADLINE, what="a budget that has counted both", interval=LOOK)
    drain = ("drain", "local", f"--pod-selector={OPERATOR_PODS}", "--delete-emptydir-data", "--force")
    with pytest.raises(ProcessFailed, match="disruption budget"):
        job.node.kubectl(*drain, "--ignore-daemonsets", "--timeout=8s")
    try:
        left = job.pods(NAMESPACE, OPERATOR_PODS)
        (stays,) = [name for name in pods if name in left and "deletionTimestamp" not in left[name]["metadata"]]
        job.savepoint("while-drained")
        assert job.led_by(stays)
        assert {name: pod["status"]["phase"] for name, pod in left.items()}[stays] == "Running"
    finally:
        job.node.kubectl("uncordon", "local")
    job.operators(2)


@pytest.mark.behaviour(47)
@pytest.mark.fault("jobmanager-ended")
def test_a_deleted_jobmanager_pod_costs_no_record(job: World) -> None:
    """Without high availability its jobs are gone with it: the operator starts this one again from its newest checkpoint."""
    before = submission(job.job())
    (name,) = job.pods(TEAM, JOBMANAGER_PODS)
    job.node.kubectl("delete", "pod", name, "-n", TEAM, "--wait=false")
    found = job.running(before["number"] + 1)
    assert f"{before['jobId']}/chk-" in submission(found)["restoredFrom"]
    assert found["status"]["history"][0]["result"] == "Lost"
    assert "JobLost" in job.kube.reasons(TEAM, JOB)
    assert job.live_jobs() == [submission(found)["jobId"]]
    job.exactly_once()


@pytest.mark.fault("operator-pod-and-chart")
def test_uninstalled_nothing_is_left(job: World) -> None:
    """The job runs on, and its FlinkJob, which no operator holds any more, can be deleted at once."""
    run = submission(job.job())
    started = time.monotonic()
    job.helm.run("uninstall", RELEASE, "--wait", "--timeout", f"{DEADLINE:.0f}s")
    wait_until(lambda: not job.pods(NAMESPACE, ""), timeout=DEADLINE, what="no Pod left", interval=LOOK)
    print(f"uninstalled after {time.monotonic() - started:.1f} s")
    kinds = "deployments,replicasets,jobs,services,leases,pdb,networkpolicies,roles,rolebindings,secrets"
    wait_until(  # ReplicaSets go a moment after their Deployment
        lambda: job.node.kubectl("get", kinds, "-n", NAMESPACE, "-o", "name").split() == [],
        timeout=DEADLINE,
        what="nothing left",
        interval=1.0,
    )
    accounts = job.node.kubectl("get", "serviceaccounts", "-n", NAMESPACE, "-o", "name").split()
    assert accounts == ["serviceaccount/default"]
    cluster = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingwebhookconfigurations"
    assert "flinkjob" not in job.node.kubectl("get", cluster, "-o", "name")
    found = json.loads(job.node.kubectl("get", "flinkjobs,flinksavepoints", "-n", TEAM, "-o", "json"))["items"]
    assert JOB in [each["metadata"]["name"] for each in found]
    assert [each["metadata"]["name"] for each in found if each["metadata"].get("finalizers")] == []
    assert job.live_jobs() == [run["jobId"]]
    job.exactly_once()
    job.node.kubectl("delete", "flinkjobs,flinksavepoints", "--all", "-n", TEAM, "--wait=true", WAIT)


def test_the_block_of_the_readme_ends_with_a_running_job(job: World, tmp_path: Path) -> None:
    """Its commands as they stand there, on the node and with the session cluster that are there already."""
    (block,) = [text for page, _, text in pages.blocks() if page == "README.md" and "make node-up" in text]
    up, variables, *commands, down = block.splitlines()
    assert (up, variables, down) == ("make node-up", "set -a; . .local/node/env; set +a", "make node-down")
    assert commands[-1] == "$KUBECTL get fj"
    given = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **job.node.variables(), "HELM": str(tool_binary("helm"))}
    given["KUBECTL"] += f" --namespace {TEAM}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],
        cwd=REPOSITORY,
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^sql +True +Running +RUNNING ", done.stdout, re.MULTILINE), done.stdout
    job.node.kubectl("delete", "flinkjob", "sql", "-n", TEAM, WAIT)
