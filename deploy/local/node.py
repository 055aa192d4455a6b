"""A complete Kubernetes of one node on this machine: kubelet, containerd, runc, a CNI network, kube-proxy, CoreDNS and the
whole control plane, all in namespaces of their own that vanish with their first process.

Used by `nodeup.py` and the tests below `tests/node`. Pods run from images that `image.py` built, without a registry. It
needs what `nodecheck.py` looks for. Outside of the namespaces there are only the files below its directory, the control
groups of its Pods and a process that forwards one local port to the API server; several nodes run side by side.
"""

import contextlib
import itertools
import json
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from deploy.local import nodeconfig, plainhttp
from deploy.local.binaries import (
    PACKAGES,
    control_plane_binaries,
    control_plane_binary,
    control_plane_steps,
    program_binary,
)
from deploy.local.image import SMALL, archive, build_pause, pause_program
from deploy.local.nodecgroup import make_cgroup, remove_cgroup, sweep
from deploy.local.nodecheck import obstacle
from deploy.local.ports import free_port
from deploy.local.prerequisites import MissingPrerequisite
from deploy.local.processes import Component, Process, ProcessFailed
from deploy.local.progress import plan

SCRIPTS = Path(__file__).with_name("node")
BINARIES = tuple(PACKAGES)
START_TIMEOUT = 180.0
KUBECTL_SECONDS = 400.0
_NAMESPACES = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")
_numbers = itertools.count()


def prepare() -> None:
    """Builds the programs of a node that are missing. Raises MissingPrerequisite, StepFailed."""
    plan.expect(control_plane_steps(BINARIES))
    control_plane_binaries(BINARIES)
    program_binary("coredns")


class Node(Component):
    """One node; a context manager that starts and stops it.

    Args:
        directory: for its files and those of its Pods; made when missing; not on an overlay file system.
        images: that its Pods may use (`imagePullPolicy` Never or IfNotPresent): the name in the store of `image.py`, by the
            name in the node.

    Attributes:
        kubeconfig: file with the administrator's credentials, for programs outside of the node.
    """

    def __init__(self, directory: Path, images: Mapping[str, str | Path] | None = None) -> None:
        self.directory = directory.resolve()
        self.kubeconfig = self.directory / "kubeconfig"
        self._images: dict[str, str | Path] = dict(images or {})
        self._files = self.directory / "etc"
        self._processes: list[Process] = []
        self._first = 0
        self._cgroup = ""

    def start(self) -> None:
        """Starts everything and waits until the node is ready and has its images.

        Raises:
            MissingPrerequisite: it cannot run on this machine; the message is `nodecheck.obstacle`'s.
            StepFailed, ProcessFailed: a program or image could not be built, or something was not ready in time.
        """
        if why := obstacle():
            raise MissingPrerequisite(f"no node can run here: {why}")
        prepare()
        pause = build_pause()
        sweep()
        self.directory.mkdir(parents=True, exist_ok=True)
        self._cgroup = make_cgroup(next(_numbers))
        nodeconfig.write_files(self._files, self._cgroup)
        self._start_namespaces()
        containerd = self._run("containerd", "containerd", "--config", self._files / "containerd.toml")
        self._start_etcd()
        with ThreadPoolExecutor(1) as threads:
            containerd.wait_ready(self._containerd_answers, timeout=START_TIMEOUT)
            imported = threads.submit(self._import, {SMALL: pause, **self._images})
            self._start_control_plane()
            self._start_node()
            imported.result()

    def stop(self) -> None:
        """Ends everything at once; logs stay in the directory, images and containers do not."""
        for process in self._processes[:1]:
            process.stop(grace=0)
        for process in self._processes:
            process.stop(grace=0)
        if self._cgroup:
            remove_cgroup(self._cgroup)
            self._cgroup = ""
        shutil.rmtree(self._files / "containerd", ignore_errors=True)

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Runs kubectl as administrator and returns what it printed. Raises ProcessFailed with its words."""
        done = subprocess.run(
            [control_plane_binary("kubectl"), f"--kubeconfig={self.kubeconfig}", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=KUBECTL_SECONDS,
        )
        if done.returncode:
            raise ProcessFailed(f"kubectl {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def volume(self, name: str, path: Path, namespace: str = "", claim: str = "") -> None:
        """Makes a PersistentVolume of a directory that every Pod may write to, for one claim or for the first that fits."""
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)
        spec = {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(path)},
        } | ({"claimRef": {"namespace": namespace, "name": claim}} if claim else {})
        body = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    def variables(self) -> dict[str, str]:
        """What a person or a script needs to use it, as environment variables."""
        return {"KUBECONFIG": str(self.kubeconfig), "KUBECTL": str(control_plane_binary("kubectl"))}

    @property
    def processes(self) -> tuple[Process, ...]:
        """The processes that were started, without those of Pods."""
        return tuple(self._processes)

    # Inside

    def _start_namespaces(self) -> None:
        ready = self._files / "ready"
        address = f"{nodeconfig.ADDRESS}/{nodeconfig.BITS}"
        script: list[str | Path] = ["bash", SCRIPTS / "init.sh", address, nodeconfig.GATEWAY, nodeconfig.DNS_SERVICE]
        outer = self._started("node", "unshare", *_NAMESPACES, *script, ready, pause_program())
        outer.wait_ready(ready.exists, timeout=START_TIMEOUT)
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        self._first = int(children[0])

    def _start_etcd(self) -> None:
        url = "http://127.0.0.1:2379"
        self._run(
            "etcd",
            *(control_plane_binary("etcd"), f"--data-dir={self.directory / 'etcd'}", "--unsafe-no-fsync=true"),
            *(f"--listen-client-urls={url}", f"--advertise-client-urls={url}", "--log-level=warn"),
        )

    def _start_control_plane(self) -> None:
        files = self._files
        apiserver = self._run(
            "kube-apiserver",
            control_plane_binary("kube-apiserver"),
            "--etcd-servers=http://127.0.0.1:2379",
            "--bind-address=0.0.0.0",
            f"--advertise-address={nodeconfig.ADDRESS}",
            f"--secure-port={nodeconfig.API_PORT}",
            f"--tls-cert-file={files / 'apiserver.crt'}",
            f"--tls-private-key-file={files / 'apiserver.key'}",
            f"--token-auth-file={files / 'tokens.csv'}",
            "--authorization-mode=Node,RBAC",
            f"--service-account-key-file={files / 'sa.key'}",
            f"--service-account-signing-key-file={files / 'sa.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-cluster-ip-range={nodeconfig.SERVICES}",
            f"--kubelet-client-certificate={files / 'kubelet-client.crt'}",
            f"--kubelet-client-key={files / 'kubelet-client.key'}",
            f"--kubelet-certificate-authority={files / 'ca.crt'}",
            "--kubelet-preferred-address-types=InternalIP",
        )
        port = free_port()
        self._started(
            "forward", "python3", "-I", SCRIPTS / "forward.py", str(self._first), str(port), str(nodeconfig.API_PORT)
        )
        nodeconfig.write_kubeconfig(files, self.kubeconfig, nodeconfig.admin_token(files), port)
        apiserver.wait_ready(lambda: self._ready(port), timeout=START_TIMEOUT)
        common = ("--leader-elect=false", "--bind-address=127.0.0.1")
        self._run(
            "kube-controller-manager",
            *(control_plane_binary("kube-controller-manager"), *common),
            f"--kubeconfig={files / 'kube-controller-manager.kubeconfig'}",
            f"--service-account-private-key-file={files / 'sa.key'}",
            f"--root-ca-file={files / 'ca.crt'}",
            "--use-service-account-credentials=true",
        )
        config = f"--kubeconfig={files / 'kube-scheduler.kubeconfig'}"
        self._run("kube-scheduler", control_plane_binary("kube-scheduler"), *common, config)

    def _start_node(self) -> None:
        files = self._files
        kubelet = self._run(
            "kubelet",
            control_plane_binary("kubelet"),
            f"--config={files / 'kubelet.yaml'}",
            f"--kubeconfig={files / 'kubelet.kubeconfig'}",
            f"--hostname-override={nodeconfig.NAME}",
            f"--node-ip={nodeconfig.ADDRESS}",
            f"--root-dir={self.directory / 'kubelet'}",
            f"--cert-dir={files / 'kubelet-pki'}",
        )
        self._run("kube-proxy", control_plane_binary("kube-proxy"), f"--config={files / 'proxy.yaml'}")
        self._run("coredns", program_binary("coredns"), "-conf", files / "Corefile")
        kubelet.wait_ready(self._node_is_ready, timeout=START_TIMEOUT, what="node ready")

    def _run(self, name: str, *command: str | Path) -> Process:
        """Starts a program inside of the namespaces."""
        enter = ("nsenter", f"--target={self._first}", "--mount", "--net", "--pid", f"--wd={self.directory}", "--")
        return self._started(name, *enter, *command)

    def _started(self, name: str, *command: str | Path) -> Process:
        process = Process(name, command, log=self.directory / "logs" / f"{name}.log")
        self._processes.append(process)
        return process

    def _ctr(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        enter = ("nsenter", f"--target={self._first}", "--mount", "--net", "--pid", "--")
        command = (*enter, "ctr", f"--address={nodeconfig.CONTAINERD}", "--namespace=k8s.io", *arguments)
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)

    def _containerd_answers(self) -> bool:
        return self._ctr("version").returncode == 0

    def _import(self, images: Mapping[str, str | Path]) -> None:
        made = self.directory / "image.tar"
        for name, image in images.items():
            file = image if isinstance(image, Path) else archive(image, made, name)
            done = self._ctr("images", "import", file)
            made.unlink(missing_ok=True)
            if done.returncode:
                raise ProcessFailed(f"importing {image}: {done.stderr.strip()}")

    def _ready(self, port: int) -> bool:
        token = nodeconfig.admin_token(self._files)
        with contextlib.suppress(httpx.HTTPError):
            url = f"https://127.0.0.1:{port}/readyz"
            headers = {"Authorization": f"Bearer {token}"}
            return plainhttp.get(url, headers=headers, timeout=10).status_code == 200
        return False

    def _node_is_ready(self) -> bool:
        try:
            found = json.loads(self.kubectl("get", "node", nodeconfig.NAME, "--output=json"))
            self.kubectl("get", "serviceaccount", "default")
        except ProcessFailed:
            return False
        conditions = found["status"].get("conditions") or ()
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
