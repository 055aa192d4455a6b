"""The local environment itself, with real processes: it works, stands alone, and leaves nothing behind."""

import collections
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.local import background, plainhttp
from deploy.local.environment import REPOSITORY, Environment
from deploy.local.flink import FlinkOptions
from tests.support.children import child
from tests.support.integration import (
    ControlPlane,
    FlinkCluster,
    ProcessFailed,
    RestDriver,
    build_demo_jar,
    check_exactly_once,
    committed_records,
    restores,
    wait_until,
)

LEFT_OUT = pytest.mark.everything("the demo job on a Flink other than the default")
FAST_CHECKPOINTS = {"execution.checkpointing.interval": "300ms"}
HOLDER = """
import signal, sys
from pathlib import Path
from deploy.local.environment import Environment
with Environment(Path(sys.argv[1])) as environment:
    print(*(p.pid for p in environment.processes), *(p.supervisor_pid for p in environment.processes), flush=True)
    signal.pause()
"""


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"


@pytest.fixture
def driver(flink: FlinkCluster) -> Iterator[RestDriver]:
    with flink.http() as http:
        yield RestDriver(http)


# Life and death


@pytest.mark.slow
@pytest.mark.flink
@pytest.mark.kube
def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    with child([sys.executable, "-c", HOLDER, tmp_path], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 12, "etcd, apiserver, controllers, JobManager, TaskManager, file server, 6 supervisors"
        assert not any(map(gone, pids))
        parent.kill()
        wait_until(lambda: all(map(gone, pids)), timeout=20, what=f"end of {pids}")
    assert (tmp_path / "flink" / "logs" / "jobmanager.log").stat().st_size > 0


@pytest.mark.slow
@pytest.mark.flink
@pytest.mark.kube
@pytest.mark.everything("two environments side by side, as all workers have them")
def test_two_stand_side_by_side(tmp_path: Path, control_plane: ControlPlane, flink: FlinkCluster) -> None:
    with Environment(tmp_path, FlinkOptions(slots=3, taskmanagers=2)) as other:
        other.controlplane.kubectl("create", "namespace", "only-here")
        assert "only-here" not in control_plane.kubectl("get", "namespaces", "--output=name")
        with other.flink.http() as theirs, flink.http() as ours:
            assert theirs.get("/overview").json()["slots-total"] == 6
            RestDriver(theirs).upload(other.demo_jar)
            assert len(theirs.get("/jars").json()["files"]) == 1
            assert {jar["name"] for jar in ours.get("/jars").json()["files"]}.isdisjoint({other.demo_jar.parent.name})
        assert plainhttp.get(other.demo_jar_url, timeout=60).content == other.demo_jar.read_bytes()
        assert "flinkjobs.flinkjob.dev" in other.controlplane.kubectl("get", "crds", "--output=name")
        pids = [process.pid for process in other.processes]
    assert all(map(gone, pids))


@pytest.mark.slow
@pytest.mark.flink
@pytest.mark.kube
def test_the_command_line_starts_shows_and_stops_one(tmp_path: Path) -> None:
    def local(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deploy.local", *arguments, "--root", str(tmp_path)]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert local("status").returncode == 1
    try:
        up = local("up", "--slots", "2")
        assert up.returncode == 0, up.stderr
        variables = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
        assert variables.keys() >= {"KUBECONFIG", "FLINK_URL", "DEMO_JAR", "DEMO_JAR_URL"}
        assert plainhttp.get(f"{variables['FLINK_URL']}/overview", timeout=60).json()["slots-total"] == 2
        assert "already running" in local("up").stderr
        assert "kube-apiserver" in local("status").stdout
        pids = [pid for _, pid, _, _ in background.process_table(tmp_path)]
    finally:
        down = local("down")
    assert "stopped" in down.stderr
    assert all(map(gone, pids))
    assert not (tmp_path / "env").exists()


def test_a_wrong_version_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.local", "up", "--flink-version", "1.17", "--root", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: Flink 1.17 is not one of ")
    assert done.stderr.count("\n") == 1


# Control plane


@pytest.mark.kube
def test_roles_are_enforced_and_requests_are_counted(control_plane: ControlPlane, tmp_path: Path) -> None:
    control_plane.kubectl("create", "namespace", "roles")
    control_plane.kubectl("create", "serviceaccount", "limited", "--namespace=roles")
    before = control_plane.audit_log.stat().st_size
    limited = control_plane.service_account_kubeconfig("roles", "limited", tmp_path / "kubeconfig")
    with pytest.raises(ProcessFailed, match="Forbidden"):
        control_plane.kubectl("get", "flinkjobs", "--kubeconfig", limited)
    user = "system:serviceaccount:roles:limited"

    def verbs() -> collections.Counter[tuple[str, str, int]]:
        events = control_plane.audit_events(before)
        return collections.Counter((each.verb, each.resource, each.code) for each in events if each.user == user)

    wait_until(lambda: verbs()["list", "flinkjobs", 403], timeout=30, what="the refusal in the audit log")
    assert verbs()["list", "flinkjobs", 403] == 1


@pytest.mark.kube
def test_a_namespace_comes_to_its_end(control_plane: ControlPlane) -> None:
    control_plane.kubectl("create", "namespace", "short")
    control_plane.kubectl("delete", "namespace", "short", "--timeout=180s")
    assert "namespace/short" not in control_plane.kubectl("get", "namespaces", "--output=name")


@pytest.mark.slow
@pytest.mark.kube
def test_the_apiserver_can_go_away_and_come_back(tmp_path: Path) -> None:
    with ControlPlane(tmp_path) as plane:
        plane.kubectl("create", "namespace", "kept")
        plane.stop_apiserver()
        with pytest.raises(ProcessFailed):
            plane.kubectl("get", "namespaces", "--request-timeout=2s")
        plane.start_apiserver()
        assert "namespace/kept" in plane.kubectl("get", "namespaces", "--output=name")


# Demo job


@pytest.mark.slow
@pytest.mark.flink
@pytest.mark.parametrize("version", ["2.3.0", pytest.param("1.20.5", marks=LEFT_OUT)])
def test_every_record_is_counted_once_over_savepoints_and_failures(tmp_path: Path, version: str) -> None:
    out, flag = tmp_path / "out", tmp_path / "healed"
    arguments = ["--rate", "500", "--out", str(out)]
    with FlinkCluster(tmp_path / "flink", version=version) as cluster, cluster.http() as http:
        driver = RestDriver(http)
        jar = driver.upload(build_demo_jar(version))

        def committed(more_than: int) -> None:
            wait_until(lambda: len(committed_records(out)) > more_than, timeout=60, what=f"over {more_than} records")

        first = driver.run(jar, *arguments, parallelism=2, config=FAST_CHECKPOINTS)
        committed(200)
        savepoint = driver.stop(first)
        stopped = check_exactly_once(out)
        assert stopped.ok, stopped

        second = driver.run(jar, *arguments, parallelism=3, savepoint=savepoint, config=FAST_CHECKPOINTS)
        committed(stopped.total + 200)
        savepoint = driver.stop(second)
        rescaled = check_exactly_once(out)
        assert rescaled.ok, rescaled

        count = rescaled.highest + 1500
        failing = ["--count", str(count), "--fail-after", "150", "--fail-until", str(flag), "--restart", "100"]
        third = driver.run(jar, *arguments, *failing, parallelism=1, savepoint=savepoint, config=FAST_CHECKPOINTS)
        wait_until(lambda: restores(out)[-1].attempt >= 2, timeout=60, what="two restarts")
        flag.touch()
        driver.wait_state(third, ["FINISHED"])

    assert check_exactly_once(out, upto=count).ok, check_exactly_once(out, upto=count)
    starts = restores(out)
    assert starts[0].fresh
    assert [start.job for start in starts[:3]] == [first, second, third]
    assert starts[1].position == stopped.total
    assert starts[2].position == rescaled.total
    assert [start.parallelism for start in starts[:3]] == [2, 3, 1]


@pytest.mark.flink
def test_a_fresh_start_over_old_output_is_found_out(
    flink: FlinkCluster, driver: RestDriver, demo_jar: Path, tmp_path: Path
) -> None:
    jar = driver.upload(demo_jar)
    for _ in range(2):
        job = driver.run(jar, "--rate", "0", "--count", "50", "--out", str(tmp_path), config=FAST_CHECKPOINTS)
        driver.wait_state(job, ["FINISHED"])
    assert check_exactly_once(tmp_path, upto=50).doubled == tuple(range(50))


@pytest.mark.flink
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--main-throw", "no luck"], "no luck"),
        (["--exit", "3"], "attempted to exit"),
        (["--no-execute", "true"], "No jobs included"),
        (["--executes", "2", "--async", "true"], "more than 1 streaming jobs"),
        (["--throw-after-execute", "too late"], "too late"),
        (["--unknown", "1"], "unknown argument --unknown"),
    ],
)
def test_main_fails_in_every_way(driver: RestDriver, demo_jar: Path, arguments: list[str], words: str) -> None:
    job_id = os.urandom(16).hex()
    with pytest.raises(httpx.HTTPStatusError, match=words):
        driver.run(driver.upload(demo_jar), *arguments, job_id=job_id)
    if (left := driver.overview(job_id)) and left["state"] not in ("FAILED", "CANCELED"):
        driver.cancel(job_id)


@pytest.mark.flink
def test_a_savepoint_fails_while_the_flag_is_there(
    flink: FlinkCluster, driver: RestDriver, demo_jar: Path, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    arguments = ["--snapshot-fail-while", str(flag), "--restart", "none"]
    config = {"execution.checkpointing.interval": "1000h"}
    job = driver.run(driver.upload(demo_jar), *arguments, config=config)
    driver.wait_state(job, ["RUNNING"])
    with flink.http() as http:
        wait_until(
            lambda: http.get(f"/jobs/{job}/checkpoints").json()["counts"]["completed"],
            timeout=60,
            what="the checkpoint that Flink takes at the start",
        )
    flag.touch()
    with pytest.raises(ProcessFailed, match="failure-cause"):
        driver.stop(job)
    driver.wait_state(job, ["FAILED"])


# Clusters of other shapes


@pytest.mark.slow
@pytest.mark.flink
def test_processes_of_flink_can_be_killed_and_replaced(tmp_path: Path) -> None:
    with FlinkCluster(tmp_path, slots=2, high_availability=True) as cluster, cluster.http() as http:
        driver = RestDriver(http)
        job = driver.run(driver.upload(build_demo_jar()), "--out", str(tmp_path / "out"), config=FAST_CHECKPOINTS)
        driver.wait_state(job, ["RUNNING"])
        old = cluster.jobmanager.pid
        cluster.restart_jobmanager(kill=True)
        assert cluster.jobmanager.pid != old
        driver.wait_state(job, ["RUNNING"])
        cluster.add_taskmanager()
        cluster.kill_taskmanager("tm1")
        assert list(cluster.taskmanagers) == ["tm2"]
        before = len(committed_records(tmp_path / "out"))
        wait_until(
            lambda: len(committed_records(tmp_path / "out")) > before,
            timeout=60,
            what="records from the new TaskManager",
        )
        driver.wait_state(job, ["RUNNING"])
        driver.stop(job)
    assert check_exactly_once(tmp_path / "out").ok
    assert not restores(tmp_path / "out")[-1].fresh


@pytest.mark.slow
@pytest.mark.flink
def test_state_can_live_in_s3_and_rest_behind_mutual_tls(tmp_path: Path) -> None:
    options = FlinkOptions(slots=2, mutual_tls=True)
    with Environment(tmp_path, options, with_s3=True) as environment:
        assert environment.flink.url.startswith("https://")
        with pytest.raises(httpx.TransportError):
            plainhttp.get(f"{environment.flink.url}/overview")
        with environment.flink.http() as http:
            driver = RestDriver(http)
            job = driver.run(driver.upload(environment.demo_jar))
            driver.wait_state(job, ["RUNNING"])
            savepoint = driver.stop(job)
        assert savepoint.startswith("s3://flink/state/savepoints/savepoint-")
        assert environment.s3 is not None
        assert (environment.s3.bucket("flink") / savepoint.removeprefix("s3://flink/") / "_metadata").is_file()


@pytest.mark.slow
@pytest.mark.flink
@LEFT_OUT
@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2"])
def test_the_other_versions_run_the_demo_job(tmp_path: Path, version: str) -> None:
    with FlinkCluster(tmp_path, version=version, slots=2) as cluster, cluster.http() as http:
        assert http.get("/overview").json()["flink-version"].startswith(version)
        driver = RestDriver(http)
        job = driver.run(
            driver.upload(build_demo_jar(version)),
            *("--rate", "0", "--count", "100", "--out", str(tmp_path / "out")),
            config=FAST_CHECKPOINTS,
        )
        driver.wait_state(job, ["FINISHED"])
    assert check_exactly_once(tmp_path / "out", upto=100).ok
