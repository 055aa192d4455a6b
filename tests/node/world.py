"""What the tests on the node do and look at: the release, a session cluster of Pods, and one FlinkJob on it.

Used by the fixtures and tests here. Everything is done as a user does it: with helm, kubectl and manifests of `deploy/`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import yaml

from deploy.local.demojob import demo_jar
from deploy.local.environment import REPOSITORY
from deploy.local.helm import NAMESPACE, RELEASE, Helm
from deploy.local.node import Node
from deploy.local.nodeup import OPERATOR
from deploy.local.processes import ProcessFailed, wait_until
from deploy.local.records import check_exactly_once, committed_records, restores
from tests.support.kube import Kube, Object, Refused
from tests.support.lab import observed, submission

TEAM = "shop"
JOB = "clicks"
OPERATOR_PODS = "app.kubernetes.io/name=flinkjob-operator"
JOBMANAGER_PODS = "app.kubernetes.io/component=jobmanager"
TASKMANAGER_PODS = "app.kubernetes.io/component=taskmanager"
EXAMPLE = REPOSITORY / "deploy" / "examples" / "flink-session"
LEASE = "flinkjob-operator-default"
DEADLINE = 180.0
"""Seconds; a machine of two busy cores needs a tenth of it."""
LOOK = 0.2
"""Seconds between two looks at what may take long."""
_MANIFESTS = Path(__file__).with_name("artifacts.yaml")


class World:
    """A context manager around the API server of a node.

    Attributes:
        node: which runs.
        helm: of the release.
        chart: that is installed.
        kube: the API server as administrator.
    """

    def __init__(self, node: Node, helm: Helm, chart: Path) -> None:
        self.node, self.helm, self.chart = node, helm, chart
        self.kube = Kube(node.kubeconfig)
        self._state = node.directory / "state"
        self.values = Path()
        self._arguments = ["--rate", "100", "--out", "/flink/out"]

    def __enter__(self) -> Self:
        for name in (NAMESPACE, TEAM):
            self.node.kubectl("create", "namespace", name)
            self.node.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
            self.node.volume(name, self._state, name, "flink-state")
        return self

    def __exit__(self, *_: object) -> None:
        self.kube.__exit__()

    # steps

    def install(self, values: Path) -> None:
        """Installs the chart with the pages, and waits for both replicas, which can read the state of the session cluster."""
        claim = yaml.safe_load((EXAMPLE / "state.yaml").read_text())
        self.node.kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=yaml.safe_dump(claim))
        self.values = values
        values.write_text(
            yaml.safe_dump(
                {
                    "operator": {"stateDirs": ["/flink"]},
                    "ui": {"enabled": True},
                    "extraVolumes": [{"name": "state", "persistentVolumeClaim": {"claimName": "flink-state"}}],
                    "extraVolumeMounts": [{"name": "state", "mountPath": "/flink", "readOnly": True}],
                }
            )
        )
        self.helm.run("install", RELEASE, self.chart, "--values", values, "--wait", "--timeout", f"{DEADLINE:.0f}s")

    def apply_flink(self) -> None:
        """Applies the example as it is, and a Pod with a Service that serves the demo job's jar; does not wait."""
        self.node.kubectl("apply", "-n", TEAM, "-k", EXAMPLE)
        self.node.kubectl("create", "configmap", "jars", "-n", TEAM, f"--from-file=demo.jar={demo_jar()}")
        manifests = _MANIFESTS.read_text().replace("IMAGE", OPERATOR)
        self.node.kubectl("apply", "-n", TEAM, "-f", "-", stdin=manifests)

    def wait_flink(self) -> None:
        """Waits until a TaskManager is there."""
        available = ("wait", "deployment", "--all", "-n", TEAM, "--for=condition=Available")
        self.node.kubectl(*available, f"--timeout={DEADLINE:.0f}s")
        wait_until(
            lambda: self.overview()["taskmanagers"] == 1,
            timeout=DEADLINE,
            what="a TaskManager registered",
            interval=LOOK,
        )

    def start_job(self) -> None:
        """Applies the FlinkJob and waits until it runs."""
        self.kube.apply(self._manifest())
        self.running(1)

    def change_job(self, *arguments: str) -> None:
        """Gives it more arguments."""
        self._arguments += arguments
        self.kube.apply(self._manifest())

    def run(self, name: str, **program: Any) -> None:
        """Applies a FlinkJob that runs a script or a program of Python instead of a jar."""
        manifest = self._manifest()
        manifest["metadata"]["name"] = name
        manifest["spec"] = {key: manifest["spec"][key] for key in ("cluster", "checkpoint")} | program
        manifest["spec"]["deletion"] = {"policy": "Cancel"}
        self.kube.apply(manifest)

    def savepoint(self, name: str) -> Object:
        """Asks for a FlinkSavepoint and waits until it is complete; returns it."""
        body = {
            "apiVersion": "flinkjob.dev/v1alpha1",
            "kind": "FlinkSavepoint",
            "metadata": {"name": name, "namespace": TEAM},
            "spec": {"jobRef": {"name": JOB}},
        }
        self.kube.apply(body)
        return self.kube.wait_for(
            "FlinkSavepoint",
            TEAM,
            name,
            lambda found: found.get("status", {}).get("phase") == "Completed",
            deadline=DEADLINE,
            what="Completed",
        )

    def running(self, number: int, name: str = JOB) -> Object:
        """A FlinkJob as soon as it runs as that submission, under the present spec."""

        def good(found: Object) -> bool:
            status = found.get("status", {})
            quiet = observed(found) and status.get("phase") == "Running" and "operation" not in status
            return quiet and submission(found)["number"] == number

        return self.kube.wait_for(
            "FlinkJob", TEAM, name, good, deadline=DEADLINE, what=f"Running as submission {number}"
        )

    # readings

    def job(self) -> Object:
        """The FlinkJob."""
        found = self.kube.get("FlinkJob", TEAM, JOB)
        assert found is not None
        return found

    def overview(self) -> dict[str, Any]:
        """What Flink says of itself; no TaskManagers while it does not answer."""
        try:
            return self._flink("overview")
        except Refused:
            return {"taskmanagers": 0}

    def live_jobs(self) -> list[str]:
        """The ids of the jobs that run on the cluster."""
        jobs = self._flink("jobs/overview")["jobs"]
        return [str(each["jid"]) for each in jobs if each["state"] not in ("FINISHED", "CANCELED", "FAILED")]

    def printed(self, word: str) -> dict[str, list[int]]:
        """The numbers that jobs on the TaskManager have printed in lines of a word, a key and a number, by key."""
        (name,) = self.pods(TEAM, TASKMANAGER_PODS)
        found: dict[str, list[int]] = {}
        for line in self.kube.raw(f"/api/v1/namespaces/{TEAM}/pods/{name}/log").splitlines():
            if line.startswith(f"{word} "):
                _, key, number = line.split()
                found.setdefault(key, []).append(int(number))
        return found

    def operators(self, count: int) -> list[str]:
        """The operator's Pods as soon as so many are there and ready, and no others."""

        def ready() -> list[str]:
            pods = self.pods(NAMESPACE, OPERATOR_PODS)
            good = [name for name, pod in pods.items() if _is_ready(pod)]
            return good if len(good) == len(pods) == count else []

        return wait_until(ready, timeout=DEADLINE, what=f"{count} Pods of the operator", interval=LOOK)

    def pods(self, namespace: str, selector: str) -> dict[str, Object]:
        """All Pods of a selector, by name."""
        text = self.kube.raw(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector)
        return {pod["metadata"]["name"]: pod for pod in json.loads(text)["items"]}

    def evictable(self) -> int:
        """How many Pods of the operator may be evicted now, as the budget of the chart has counted them."""
        text = self.kube.raw(f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets")
        (budget,) = json.loads(text)["items"]
        return int(budget.get("status", {}).get("disruptionsAllowed", 0))

    def leader(self) -> str:
        """The Pod that holds the Lease."""
        lease = self.kube.get("Lease", NAMESPACE, LEASE)
        holder = str((lease or {}).get("spec", {}).get("holderIdentity", ""))
        (found,) = [name for name in self.pods(NAMESPACE, OPERATOR_PODS) if name in holder] or [""]
        return found

    def led_by(self, *names: str) -> str:
        """The Pod that leads, as soon as it is one of these."""

        def found() -> str:
            leader = self.leader()
            return leader if leader in names else ""

        return wait_until(found, timeout=DEADLINE, what=f"one of {', '.join(names)} leads", interval=LOOK)

    def exactly_once(self, more: int = 100) -> None:
        """Waits until more records are there; asserts that none is lost or doubled and that state was always kept."""
        out = self._state / "out"
        before = len(committed_records(out))
        wait_until(
            lambda: len(committed_records(out)) >= before + more, timeout=DEADLINE, what="more records", interval=LOOK
        )
        found = check_exactly_once(out)
        assert found.ok, found
        assert [start.fresh for start in restores(out)].count(True) == 1, "it started without its state"

    def described(self) -> str:
        """What a person looks at first when something is wrong."""
        tail = ("--tail=40", "--prefix", "--all-containers")
        said = []
        for command in (
            ("get", "pods,deployments,jobs", "-A", "-o", "wide"),
            ("get", "events", "-A", "--sort-by=.lastTimestamp"),
            ("get", "flinkjobs,flinksavepoints", "-n", TEAM, "-o", "yaml"),
            ("logs", "-n", NAMESPACE, "--selector", OPERATOR_PODS, *tail),
            ("logs", "-n", TEAM, "--selector", "app.kubernetes.io/name=flink", *tail),
        ):
            try:
                said.append(self.node.kubectl(*command)[-6000:])
            except ProcessFailed as error:
                said.append(str(error))
        return "\n".join(said)

    def _flink(self, path: str) -> dict[str, Any]:
        proxied = f"/api/v1/namespaces/{TEAM}/services/flink-jobmanager:8081/proxy/{path}"
        return dict(json.loads(self.kube.raw(proxied)))

    def _manifest(self) -> Object:
        return {
            "apiVersion": "flinkjob.dev/v1alpha1",
            "kind": "FlinkJob",
            "metadata": {"name": JOB, "namespace": TEAM},
            "spec": {
                "cluster": {"serviceRef": {"name": "flink-jobmanager"}},
                "jar": {"uri": f"http://artifacts.{TEAM}.svc.cluster.local/demo.jar"},
                "args": list(self._arguments),
                "checkpoint": {"interval": "500ms"},
                "restart": {"initialDelay": "1s", "maxDelay": "1s"},
            },
        }


def _is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
