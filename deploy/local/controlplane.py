"""A real Kubernetes control plane without nodes: etcd, kube-apiserver and, when asked for, kube-controller-manager.

Used by `environment.py` and by the fixtures of the tests. It runs no Pods; everything else is as in any cluster: RBAC,
ServiceAccount tokens, garbage collection, the end of namespaces, admission, the audit log. Ready in about 3 s.
Without the controllers it needs no kube-controller-manager, which ready-made sets of programs do not hold: nothing is
garbage-collected then, and namespaces do not end. Everything it writes lies below its directory.
"""

import functools
import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import yaml

from deploy.local import plainhttp
from deploy.local.audit import POLICY, AuditEvent, audit_events
from deploy.local.binaries import OLDEST, control_plane_binaries, control_plane_steps
from deploy.local.plan import Step
from deploy.local.ports import free_port
from deploy.local.prerequisites import require
from deploy.local.processes import Component, Process, ProcessFailed, wait_until

CONTROLLERS = (
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    "deployment-controller",
    "replicaset-controller",
    "endpointslice-controller",
)
PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
CONTROLLER_MANAGER = "kube-controller-manager"
_GO = {"GOGC": "400", "GOMEMLIMIT": "1GiB"}
"""Collects garbage less often: a fifth of the API server's CPU in a test run."""
START_TIMEOUT = 90.0


class ControlPlane(Component):
    """One control plane; a context manager that starts and stops it.

    Args:
        directory: for data, logs, keys and the kubeconfig; made when missing.
        crds: directory of CustomResourceDefinitions to apply before the controllers start, or None. The garbage collector
            notices kinds that come later only after half a minute.
        controllers: whether a kube-controller-manager runs `CONTROLLERS`.

    Attributes:
        kubeconfig: file with the administrator's credentials (user `admin`, group `system:masters`).
        url: of the kube-apiserver.
        audit_log: file, see `audit.py`.
    """

    def __init__(self, directory: Path, crds: Path | None = None, *, controllers: bool = True) -> None:
        self.directory = directory
        self._names = (*PROGRAMS, CONTROLLER_MANAGER) if controllers else PROGRAMS
        self._oldest = None if controllers else OLDEST
        self._programs: dict[str, Path] = {}
        self._crds = crds
        self.kubeconfig = directory / "kubeconfig"
        self.audit_log = directory / "audit.log"
        self._port = free_port()
        self._etcd_port = free_port()
        self._admin_token = secrets.token_hex(16)
        self._etcd: Process | None = None
        self._apiserver: Process | None = None
        self._controllers: Process | None = None
        self.url = f"https://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Starts all and waits until namespaces and ServiceAccounts work.

        Raises:
            MissingPrerequisite, StepFailed: a program has to be built and cannot be.
            ProcessFailed: one of them ended or was not ready in time.
        """
        self._programs = control_plane_binaries(self._names, self._oldest)
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "tokens.csv").write_text(f'{self._admin_token},admin,admin,"system:masters"\n')
        (self.directory / "audit-policy.yaml").write_text(POLICY)
        key = self.directory / "sa.key"
        if not key.exists():
            openssl = require("openssl", "key of the ServiceAccount tokens")
            subprocess.run([openssl, "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        self.write_kubeconfig(self.kubeconfig, self._admin_token)
        self._start_etcd()
        self.start_apiserver()
        if self._crds is not None:
            self.apply_crds(self._crds)
        if CONTROLLER_MANAGER in self._names:
            self._start_controllers()

    def program(self, name: str) -> Path:
        """The path of one of `PROGRAMS`, as it runs here; only after the start."""
        return self._programs[name]

    def steps(self) -> list[Step]:
        """What `start` has to make before."""
        return control_plane_steps(self._names, self._oldest)

    def _start_controllers(self) -> None:
        self._controllers = Process(
            CONTROLLER_MANAGER,
            [
                self.program(CONTROLLER_MANAGER),
                f"--kubeconfig={self.kubeconfig}",
                f"--service-account-private-key-file={self.directory / 'sa.key'}",
                f"--root-ca-file={self._certificate}",
                "--use-service-account-credentials=true",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                "--secure-port=0",
                f"--controllers={','.join(CONTROLLERS)}",
            ],
            log=self.directory / "kube-controller-manager.log",
        )
        wait_until(
            lambda: self._get("/api/v1/namespaces/default/serviceaccounts/default"),
            timeout=START_TIMEOUT,
            what="default ServiceAccount",
            log=self._controllers.log,
        )

    def stop(self) -> None:
        """Ends all at once; the data stays in the directory."""
        for process in (self._controllers, self._apiserver, self._etcd):
            if process is not None:
                process.stop(grace=0)

    @property
    def _certificate(self) -> Path:
        return self.directory / "certs" / "apiserver.crt"

    def _start_etcd(self) -> None:
        client = f"http://127.0.0.1:{self._etcd_port}"
        self._etcd = Process(
            "etcd",
            [
                self.program("etcd"),
                f"--data-dir={self.directory / 'etcd'}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls=http://127.0.0.1:{free_port()}",
                "--unsafe-no-fsync=true",
                "--log-level=warn",
            ],
            log=self.directory / "etcd.log",
            env=_GO,
        )

    def start_apiserver(self) -> None:
        """Starts the kube-apiserver, on the same port each time, and waits until it is ready. Raises ProcessFailed."""
        key = self.directory / "sa.key"
        self._apiserver = Process(
            "kube-apiserver",
            [
                self.program("kube-apiserver"),
                f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
                "--bind-address=127.0.0.1",
                f"--secure-port={self._port}",
                f"--cert-dir={self.directory / 'certs'}",
                f"--service-account-key-file={key}",
                f"--service-account-signing-key-file={key}",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-cluster-ip-range=10.0.0.0/24",
                f"--token-auth-file={self.directory / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                f"--audit-policy-file={self.directory / 'audit-policy.yaml'}",
                f"--audit-log-path={self.audit_log}",
                "--audit-log-maxsize=10000",
            ],
            log=self.directory / "kube-apiserver.log",
            env=_GO,
        )
        self._apiserver.wait_ready(lambda: self._get("/readyz"), timeout=START_TIMEOUT)

    def stop_apiserver(self, grace: float = 0) -> None:
        """Ends the kube-apiserver alone, as in an outage; `start_apiserver` brings it back."""
        if self._apiserver is not None:
            self._apiserver.stop(grace)

    @property
    def processes(self) -> tuple[Process, ...]:
        """The processes that were started, ended ones included."""
        return tuple(p for p in (self._etcd, self._apiserver, self._controllers) if p is not None)

    def _get(self, path: str) -> bool:
        try:
            answer = plainhttp.get(
                self.url + path,
                headers={"Authorization": f"Bearer {self._admin_token}"},
                timeout=10,
            )
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    def write_kubeconfig(self, path: Path, token: str, namespace: str = "default") -> Path:
        """Writes a kubeconfig for a bearer token and returns `path`."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "local",
            "clusters": [{"name": "local", "cluster": {"server": self.url, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "local", "user": {"token": token}}],
            "contexts": [
                {"name": "local", "context": {"cluster": "local", "user": "local", "namespace": namespace}},
            ],
        }
        path.write_text(yaml.safe_dump(config))
        path.chmod(0o600)
        return path

    def service_account_kubeconfig(self, namespace: str, name: str, path: Path) -> Path:
        """Writes a kubeconfig with a fresh token (one day) of a ServiceAccount, which must exist."""
        token = self.kubectl("create", "token", name, "--namespace", namespace, "--duration=24h").strip()
        return self.write_kubeconfig(path, token, namespace)

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Runs kubectl as administrator and returns what it printed.

        Raises:
            ProcessFailed: the exit code is not 0; the message is what kubectl printed, on standard error if it did there.
        """
        done = subprocess.run(
            [self.program("kubectl"), f"--kubeconfig={self.kubeconfig}", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ProcessFailed(f"kubectl {arguments[0]}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def apply_crds(self, directory: Path) -> None:
        """Applies every CustomResourceDefinition of `directory` (`*.yaml`) and waits until they are served."""
        files = sorted(directory.glob("*.yaml"))
        if not files:
            return
        names = [f"--filename={file}" for file in files]
        self.kubectl("apply", "--server-side", "--force-conflicts", *names)
        self.wait_established(*names)

    def wait_established(self, *names: str | Path) -> None:
        """Waits until definitions (`crd/NAME`, or `--filename=…`) are served; `kubectl wait` fails where no status is yet.

        Raises:
            ProcessFailed: they are not after half a minute.
        """
        for name in names:
            wait_until(functools.partial(self._established, name), timeout=30, what=f"{name} served")

    def _established(self, name: str | Path) -> bool:
        conditions = json.loads(self.kubectl("get", name, "-o=json")).get("status", {}).get("conditions") or ()
        return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)

    def audit_events(self, offset: int = 0) -> Iterator[AuditEvent]:
        """The requests so far, see `audit.py`; `offset` in bytes skips older ones (`audit_log.stat().st_size`)."""
        return audit_events(self.audit_log, offset)
