"""`kubectl flinkjob` as a person uses it, against a real API server, a real Flink and the operator.

One job lives through all examples of the plugin's page, since each run of a job costs seconds.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from deploy.local import plainhttp
from deploy.local.controlplane import ControlPlane
from deploy.local.processes import wait_until
from deploy.local.sqlrunner import runner_directory
from flinkjob.cli.flinkview import look
from flinkjob.cli.main import INTERRUPTED, run
from flinkjob.cli.query import RUNNER
from flinkjob.kube.kubecontext import KubeContext
from flinkjob.kube.user import UserClient
from tests.support.byhand import run_by_hand
from tests.support.children import child
from tests.support.integration import Lab, Object, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]

PAGE = Path(__file__).parents[2] / "docs" / "kubectl.md"
SOURCES = Path(__file__).parents[1] / "unit" / "cli" / "sources"
WITHOUT_CLUSTER = ("--help", "completion", "explain", "migrate")
SCRIPT = Path(sys.executable).with_name("kubectl-flinkjob")


@dataclass(frozen=True)
class Plugin:
    """The console script with a kubeconfig, in a namespace."""

    kubeconfig: Path
    namespace: str

    def run(self, *arguments: str, stdin: str = "", where: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end, as the console script does; in this process, since a new one costs seconds."""
        out, err = io.StringIO(), io.StringIO()
        command = [*arguments, *(("--namespace", self.namespace) if where else ())]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBECONFIG", str(self.kubeconfig))
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            code = run(command)
        return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())

    @contextmanager
    def watching(self, *arguments: str) -> Iterator[Iterator[str]]:
        """The lines that the console script goes on printing, until it is interrupted; it then ends as kubectl does."""
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
        command = [str(SCRIPT), *arguments, "-n", self.namespace]
        pipe = subprocess.PIPE
        with child(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            yield iter(process.stdout)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == INTERRUPTED
            assert "Traceback" not in process.stderr.read()

    def good(self, *arguments: str, stdin: str = "", where: bool = True) -> str:
        """What a command prints that ends well."""
        done = self.run(*arguments, stdin=stdin, where=where)
        assert done.returncode == 0, f"{arguments}: {done.returncode}: {done.stdout}{done.stderr}"
        assert "\x1b" not in done.stdout + done.stderr, "no colours where nobody looks"
        return done.stdout

    def bad(self, code: int, *arguments: str, stdin: str = "") -> str:
        """The one line that a command says which fails."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == code, f"{arguments}: {done.returncode}: {done.stdout}{done.stderr}"
        lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1, done.stderr
        assert "Traceback" not in done.stderr
        return lines[0].removeprefix("Error: ")


@pytest.fixture
def plugin(lab: Lab) -> Plugin:
    """As administrator, in the shared namespace."""
    return Plugin(lab.kube.kubeconfig, lab.namespace)


class Page:
    """The examples of docs/kubectl.md, one after another, about a job of this module."""

    def __init__(self, plugin: Plugin, directory: Path) -> None:
        blocks = re.findall(r"^```\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        lines = [line for block in blocks for line in block.splitlines() if line.startswith("kubectl flinkjob ")]
        self.left = [line.removeprefix("kubectl flinkjob ").replace("clicks", "plug") for line in lines]
        self._plugin, self._directory = plugin, directory

    def next(self, verb: str) -> str:
        """What the next example prints, which begins so and ends well."""
        command, _, file = self.left.pop(0).partition(" > ")
        assert command.startswith(verb), command
        words = [str(self._directory / word) if word.endswith(".yaml") else word for word in shlex.split(command)]
        printed = self._plugin.good(*words, where=words[0] not in WITHOUT_CLUSTER and "-A" not in words)
        if file:
            (self._directory / file).write_text(printed)
        return printed

    def browsed(self) -> str:
        """What the address that the next example prints shows, which serves it until it is interrupted."""
        words = shlex.split(self.left.pop(0))
        assert words[0] == "ui", words
        with self._plugin.watching(*words) as lines, plainhttp.client(follow_redirects=True) as browser:
            return browser.get(next(lines).strip(), timeout=30).raise_for_status().text


def test_the_page_leads_a_job_through_its_life(
    lab: Lab, plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every example of the page is run, in its order, and does what the page says."""
    monkeypatch.setenv(RUNNER, str(runner_directory()))
    page = Page(plugin, tmp_path)
    manifest = lab.start("plug")
    first = submission(lab.get("plug"))
    lab.checkpointed(first["jobId"], 2)
    assert "Look at FlinkJobs" in page.next("--help")
    assert page.next("completion").startswith("#!/bin/sh")
    assert re.search(r"^plug +True +Running +1 ", page.next("get"), re.MULTILINE)
    assert re.search(rf"^{lab.namespace} +plug +True ", page.next("get -A -o wide"), re.MULTILINE)
    assert yaml.safe_load(page.next("get plug -o yaml"))["metadata"]["name"] == "plug"
    wait_until(
        lambda: re.search(r" 1 RUNNING .*%", plugin.good("status", "plug")), timeout=60, what="how busy its tasks are"
    )
    screen = page.next("status")
    assert re.search(r"Ready: +Running: 2 tasks are running", screen), screen
    assert re.search(r"Run: +1 \(Initial\), up \d+s, job " + first["jobId"], screen), screen
    assert f"Flink data: directly, at {lab.flink.url}" in screen
    rows = re.findall(r"^  .+ 1 RUNNING +(\S+) +(\S+)$", screen, re.MULTILINE)
    assert len(rows) == 2, screen
    assert any(share.endswith("%") for row in rows for share in row), screen
    assert re.search(r"#\d+ +[█▏▎▍▌▋▊▉]+ +\d+ms", screen), screen
    assert re.search(r"run 1 +live since", screen), screen
    assert page.next("exceptions").startswith("no failure is known")
    assert "Submitted" in page.next("events")
    assert re.search(r"^ +1 +live", page.next("history"), re.MULTILINE)
    assert page.next("diff").startswith("the spec is that of revision")
    assert "at least 3 times within 10 minutes" in page.next("explain")
    assert "plug" in page.browsed()

    made = page.next("savepoint").splitlines()
    name = made[-1].split(":")[0]
    assert made[-1] == f"{name}: savepoint {lab.savepoint_phase(name, 'Completed')['status']['location']}"
    assert "would be asked for: to be suspended" in page.next("suspend")
    assert lab.get("plug")["spec"]["state"] == "Running"
    assert last(page.next("suspend")).startswith("plug: Suspended: savepoint ")
    assert lab.live_jobs("plug") == []
    assert plugin.bad(1, "suspend", "plug").startswith("plug is wanted Suspended already")
    assert last(page.next("resume")).startswith("plug: run 2: Running")
    assert last(page.next("restart")).startswith("plug: run 3: Running")
    assert last(page.next("rescale")).startswith("plug: run 4: Running: 4 tasks")
    lab.runs_with(submission(lab.get("plug"))["jobId"], 2, 2)

    lab.kube.patch("FlinkJob", lab.namespace, "plug", {"spec": {"args": [*manifest["spec"]["args"], "--rate", "150"]}})
    lab.running("plug", 5)
    assert "+- '150'" in plugin.good("diff", "plug", "4")
    nonce = lab.get("plug")["spec"]["restartNonce"]
    assert last(page.next("rollback")).startswith("plug: run 6: Running")
    assert lab.get("plug")["spec"]["args"] == manifest["spec"]["args"]
    assert lab.get("plug")["spec"]["restartNonce"] == nonce
    assert re.search(r"plug-\d+-\d+: savepoint ", last(page.next("stop")))
    lab.wait("plug", lambda job: "hold" in job["status"], "held")
    assert last(plugin.good("resume", "plug", "--wait", "--steady", "0s")).startswith("plug: run 7: Running")
    assert last(page.next("cancel")).startswith("plug: Cancelled")
    lab.exactly_once("plug")
    assert [line.split() for line in page.next("query").splitlines()] == [["id", "name"], ["1", "one"], ["2", "two"]]

    (tmp_path / "plug.yaml").write_text(yaml.safe_dump(manifest))
    sources = yaml.safe_load_all((SOURCES / "session-jobs.yaml").read_text())
    usable = next(each for each in sources if each["metadata"]["name"] == "paused")
    (tmp_path / "flinksessionjob.yaml").write_text(yaml.safe_dump(usable))
    page.next("validate")
    page.next("validate")
    assert "kind: FlinkJob" in page.next("migrate")
    plugin.good("validate", "--server", "-f", str(tmp_path / "flinkjob.yaml"))
    assert page.left == []


def last(printed: str) -> str:
    """The last line."""
    return printed.splitlines()[-1]


def test_jobs_are_listed_in_each_format(lab: Lab, plugin: Plugin) -> None:
    lab.apply(lab.job("plug-a", state="Suspended"))
    lab.apply(lab.job("plug-b", state="Suspended"))
    lab.phase("plug-a", "Suspended")
    lab.phase("plug-b", "Suspended")
    table = plugin.good("get", "plug-a", "plug-b")
    assert [line.split()[:3] for line in table.splitlines()] == [
        ["NAME", "READY", "PHASE"],
        ["plug-a", "True", "Suspended"],
        ["plug-b", "True", "Suspended"],
    ]
    everywhere = plugin.good("get", "-A", where=False)
    assert re.search(rf"^{lab.namespace} +plug-a ", everywhere, re.MULTILINE)
    assert "MESSAGE" in plugin.good("get", "-o", "wide")
    assert plugin.good("get", "plug-a", "-o", "name") == "flinkjob.flinkjob.dev/plug-a\n"
    as_json = json.loads(plugin.good("get", "plug-a", "-o", "json"))
    as_yaml = yaml.safe_load(plugin.good("get", "plug-a", "-o", "yaml"))
    assert as_yaml["spec"] == as_json["spec"] == lab.get("plug-a")["spec"]
    assert "managedFields" not in as_yaml["metadata"]
    assert plugin.bad(1, "diff", "plug-a").startswith("plug-a has not run yet")
    both = json.loads(plugin.good("get", "plug-a", "plug-b", "-o", "json"))["items"]
    assert [each["metadata"]["name"] for each in both] == ["plug-a", "plug-b"]
    assert plugin.bad(2, "get", "plug-a", "-A") == "names are of one namespace: leave out -A"


async def test_flink_is_read_through_the_api_server_by_those_who_may(
    lab: Lab, plugin: Plugin, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """By the Service proxy of the real API server, which goes to no loopback address: a relay stands for the JobManager."""
    lab.start("plug-service")
    job_id = submission(lab.get("plug-service"))["jobId"]
    port = int(lab.flink.url.rsplit(":", 1)[-1])
    async with relay(port) as (host, relayed):
        control_plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(service(lab.namespace, host, relayed)))
        address = json.dumps({"status": {"podIP": host, "podIPs": [{"ip": host}]}})
        patch = ("--subresource=status", "--type=merge", "-p", address)
        control_plane.kubectl("patch", "pod", "plug-flink", "-n", lab.namespace, *patch)
        url = f"http://plug-flink.{lab.namespace}.svc:8081"
        async with await UserClient.connect(KubeContext(kubeconfig=plugin.kubeconfig)) as kube:
            seen = await look(kube, url, job_id)
            for _ in range(50):  # the API server hears of a new endpoint a moment later
                if not seen.vertices:
                    await asyncio.sleep(0.2)
                    seen = await look(kube, url, job_id)
        assert seen.way == f"through the API server's proxy of Service {lab.namespace}/plug-flink"
        assert [vertex.tasks for vertex in seen.vertices] == [{"RUNNING": 1}, {"RUNNING": 1}]
        assert seen.checkpoints is not None
        viewer = viewer_of(lab, control_plane, tmp_path, "plug-onlooker")
        async with await UserClient.connect(KubeContext(kubeconfig=viewer.kubeconfig)) as kube:
            denied = await look(kube, url, job_id)
    assert denied.vertices == ()
    assert re.search(r"through the API server's proxy of Service \S+/plug-flink: .*cannot get resource", denied.way), (
        denied.way
    )


@asynccontextmanager
async def relay(port: int) -> AsyncIterator[tuple[str, int]]:
    """An address of this machine that is no loopback one, and a port of it that leads to a port of this machine's own."""

    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("localhost", port)
        try:
            await asyncio.gather(pump(reader, back), pump(there, writer))
        finally:
            for each in (back, writer):
                each.close()
                with suppress(OSError):
                    await each.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(both(reader, writer)))

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: the kernel only chooses an address
        host = str(probe.getsockname()[0])
    server = await asyncio.start_server(accept, host, 0)
    try:
        yield host, int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def service(namespace: str, host: str, port: int) -> list[Object]:
    """A Service whose one endpoint is this address, as that of a Pod: the API server sends requests to nothing else.

    The endpoint is said in both ways, since versions of the API server differ in which they read.
    """
    meta = {"name": "plug-flink", "namespace": namespace}
    labels = {"kubernetes.io/service-name": "plug-flink"}
    pod = {"kind": "Pod", "name": "plug-flink", "namespace": namespace}
    spec = {"containers": [{"name": "flink", "image": "flink"}], "automountServiceAccountToken": False}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"name": "rest", "port": 8081}]}},
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": meta,
            "subsets": [{"addresses": [{"ip": host, "targetRef": pod}], "ports": [{"name": "rest", "port": port}]}],
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": "rest", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [host], "conditions": {"ready": True}, "targetRef": pod}],
        },
    ]


def test_kubectl_finds_and_completes_its_plugin(
    lab: Lab, plugin: Plugin, control_plane: ControlPlane, tmp_path: Path
) -> None:
    lab.apply(lab.job("plug-k", state="Suspended"))
    completes = tmp_path / "kubectl_complete-flinkjob"
    completes.write_text(plugin.good("completion", where=False))
    completes.chmod(0o755)
    path = os.pathsep.join((str(SCRIPT.parent), str(tmp_path), os.environ["PATH"]))
    environment = {**os.environ, "KUBECONFIG": str(plugin.kubeconfig), "PATH": path}

    def kubectl(*arguments: str) -> str:
        command = [str(control_plane.program("kubectl")), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=True).stdout

    name = "flinkjob.flinkjob.dev/plug-k\n"
    assert kubectl("flinkjob", "get", "plug-k", "-o", "name", "-n", lab.namespace) == name

    def completed() -> str:
        """What is offered; nothing where the API server takes longer than somebody who types waits."""
        return kubectl("__complete", "flinkjob", "status", "-n", lab.namespace, "plug-k").splitlines()[0]

    wait_until(lambda: completed() == "plug-k", timeout=60, what="the name to be offered")


def test_what_cannot_be_done_is_said_in_one_line(
    lab: Lab, plugin: Plugin, control_plane: ControlPlane, tmp_path: Path
) -> None:
    lab.apply(lab.job("plug-c", state="Suspended"))
    lab.phase("plug-c", "Suspended")
    assert plugin.bad(1, "status", "plug-cc") == (
        f"there is no FlinkJob plug-cc in namespace {lab.namespace}; did you mean plug-c?"
    )
    assert plugin.bad(2, "rescale", "plug-c", "many").endswith("See kubectl flinkjob rescale --help")
    assert plugin.bad(2, "savepoint", "plug-c", "--wait", "--timeout", "soon") == "--timeout soon: such as 90s or 10m"
    assert plugin.bad(1, "stop", "plug-c") == "plug-c has no running job to stop"
    waited = plugin.bad(3, "savepoint", "plug-c", "--name", "plug-never", "--wait", "--timeout", "1s")
    assert waited.startswith("plug-never: not reached within 1 s")

    nobody = control_plane.write_kubeconfig(tmp_path / "nobody", "no-such-token", lab.namespace)
    refused = Plugin(nobody, lab.namespace).bad(1, "get")
    assert "the API server does not accept the credentials: HTTP 401" in refused
    viewer = viewer_of(lab, control_plane, tmp_path, "plug-viewer")
    assert "plug-c" in viewer.good("get")
    denied = viewer.bad(1, "resume", "plug-c")
    assert denied.startswith(f"patch flinkjobs {lab.namespace}/plug-c: ")
    assert "cannot patch resource" in denied
    assert lab.get("plug-c")["spec"]["state"] == "Suspended"


def viewer_of(lab: Lab, control_plane: ControlPlane, directory: Path, name: str) -> Plugin:
    """Somebody of this name who may only look, by the role that the manifests add to `view`."""
    group = "rbac.authorization.k8s.io"
    control_plane.kubectl("create", "serviceaccount", name, "-n", lab.namespace)
    role = {"apiGroup": group, "kind": "ClusterRole", "name": "flinkjob-operator-view"}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": lab.namespace}
    meta = {"name": name, "namespace": lab.namespace}
    body = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": meta,
        "roleRef": role,
        "subjects": [subject],
    }
    control_plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(body))
    file = control_plane.service_account_kubeconfig(lab.namespace, name, directory / "viewer")
    return Plugin(file, lab.namespace)


def test_what_argo_cd_sets_is_set_back_and_that_is_said(lab: Lab, plugin: Plugin, control_plane: ControlPlane) -> None:
    manifest = lab.job("plug-git", state="Suspended")
    manifest["metadata"]["annotations"] = {
        "argocd.argoproj.io/tracking-id": "shop:flinkjob.dev/FlinkJob:shared/plug-git"
    }
    lab.names.append("plug-git")
    command = ("apply", "--server-side", "--field-manager=argocd-controller", "-f", "-")
    control_plane.kubectl(*command, stdin=yaml.safe_dump(manifest))
    lab.phase("plug-git", "Suspended")
    done = plugin.run("resume", "plug-git", "--dry-run")
    assert done.returncode == 0
    assert done.stderr == (
        "Warning: Argo CD (application shop) applies this object and sets it back when it syncs: "
        "change spec.state in the manifest in Git\n"
    )
    scaled = plugin.run("rescale", "plug-git", "2")
    assert (scaled.returncode, scaled.stderr) == (0, ""), "Git does not set the parallelism"
    assert lab.get("plug-git")["spec"]["parallelism"] == 2


def test_a_job_that_failed_says_why_and_what_to_do(lab: Lab, plugin: Plugin) -> None:
    arguments = ("--fail-after", "0", "--restart", "none")
    manifest = lab.job("plug-fails", *arguments, restart={"policy": "Never"})
    lab.apply(manifest)
    lab.phase("plug-fails", "Failed")
    screen = plugin.good("status", "plug-fails")
    assert re.search(r"^shared/plug-fails  Failed$", screen, re.MULTILINE), screen
    assert re.search(r"^Stalled: +JobFailed: IllegalStateException: fails on purpose", screen, re.MULTILINE), screen
    assert "What to do: The Flink job has failed" in screen
    assert "Doing:" not in screen, "it is said once"
    assert re.search(r"^ +\d+s ago  .*fails on purpose.*  in .*", screen, re.MULTILINE), screen
    assert "at " in plugin.good("exceptions", "plug-fails"), "the head of the stack trace"
    lab.edit(manifest, args=["--main-throw", "no luck"])  # a task that fails may be seen running before
    lab.stalled("plug-fails", "SubmitRejected")
    refused = plugin.bad(1, "restart", "plug-fails", "--wait", "--timeout", "60s")
    assert refused.startswith("plug-fails: SubmitRejected: ")
    assert "no luck" in refused
    assert re.search(r"^Run: +2 \(Upgrade\), refused by Flink, job ", plugin.good("status", "plug-fails"), re.MULTILINE)
    assert "would be asked for: to be started again" in plugin.good("resume", "plug-fails", "--dry-run")


def test_a_job_that_somebody_started_is_adopted(lab: Lab, plugin: Plugin, tmp_path: Path) -> None:
    manifest = lab.job("plug-found")
    flink_job = run_by_hand(lab, *manifest["spec"]["args"])
    (tmp_path / "found.yaml").write_text(yaml.safe_dump(manifest))
    lab.names.append("plug-found")
    file = str(tmp_path / "found.yaml")
    unknown = plugin.bad(1, "adopt", "plug-found", "f" * 32, "-f", file)
    assert unknown.startswith(f"job {'f' * 32} does not run at {lab.cluster_url}: Flink does not know it")
    assert lab.kube.get("FlinkJob", lab.namespace, "plug-found") is None
    adopted = plugin.good("adopt", "plug-found", flink_job, "-f", file, "--wait", "--steady", "0s", "--timeout", "60s")
    assert last(adopted).startswith("plug-found: run 1: Running")
    assert submission(lab.get("plug-found"))["reason"] == "Adopted"
    assert plugin.bad(1, "adopt", "plug-found", flink_job) == "plug-found has that job already, as run 1"


def test_what_is_watched_goes_on_until_it_is_interrupted(lab: Lab, plugin: Plugin) -> None:
    lab.apply(lab.job("plug-w", state="Suspended"))
    lab.phase("plug-w", "Suspended")
    with plugin.watching("get", "plug-w", "-w") as lines:
        assert next(lines).startswith("NAME")
        assert next(lines).startswith("plug-w ")
        lab.kube.patch("FlinkJob", lab.namespace, "plug-w", {"spec": {"parallelism": 3}})
        assert re.match(r"plug-w +(True|False) +Suspended +- +- +3 ", next(lines))
    with plugin.watching("status", "plug-w", "-w") as lines:
        title = "shared/plug-w  Suspended\n"
        assert next(lines) == title
        assert next(line for line in lines if line == title), "again, a moment later"


def test_manifests_are_checked_by_the_api_server(lab: Lab, plugin: Plugin) -> None:
    good, bad = lab.job("plug-new"), lab.job("plug-bad", parallelism=0)
    both = yaml.safe_dump_all([good, bad])
    offline = plugin.run("validate", "-f", "-", stdin=both)
    assert offline.returncode == 1
    assert "FlinkJob plug-bad: spec.parallelism: Input should be greater than or equal to 1" in offline.stdout
    assert plugin.run("validate", "-f", "-", "--server", stdin=yaml.safe_dump(good)).returncode == 0
    assert lab.kube.get("FlinkJob", lab.namespace, "plug-new") is None
    unknown = good | {"metadata": {"name": "plug-new", "namespace": "nowhere"}}
    refused = plugin.run("validate", "-f", "-", "--server", stdin=yaml.safe_dump(unknown))
    assert refused.returncode == 1
    assert "nowhere" in refused.stdout
