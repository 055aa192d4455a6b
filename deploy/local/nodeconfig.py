"""The files that the parts of a node are started with: keys, tokens, kubeconfigs and configurations.

Used by `node.py` alone. All addresses are those of the node's own network, where nothing else is, so they are constants.
"""

import json
import secrets
import subprocess
from pathlib import Path
from typing import Any

import yaml

from deploy.local.image import SMALL
from deploy.local.nodecheck import cni_directory
from deploy.local.prerequisites import require
from deploy.local.progress import StepFailed

NAME = "local"
ADDRESS, BITS, GATEWAY = "10.200.0.2", 24, "10.200.0.1"
PODS = "10.88.0.0/16"
SERVICES = "10.96.0.0/16"
API_SERVICE, DNS_SERVICE = "10.96.0.1", "10.96.0.10"
API_PORT = 6443
CONTAINERD = "/run/containerd.sock"
_DAYS = "365"
_USERS = {
    "admin": ("admin", "system:masters"),
    "kubelet": (f"system:node:{NAME}", "system:nodes"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
}


def write_files(directory: Path, cgroup: str) -> None:
    """Writes everything below `directory` (which is made); `cgroup` is the root of the Pods' control groups."""
    directory.mkdir(parents=True, exist_ok=True)
    _write_keys(directory)
    tokens = {name: secrets.token_hex(16) for name in _USERS}
    lines = [f'{tokens[name]},{user},{user},"{group}"\n' for name, (user, group) in _USERS.items()]
    (directory / "tokens.csv").write_text("".join(lines))
    for name in _USERS:
        write_kubeconfig(directory, directory / f"{name}.kubeconfig", tokens[name], API_PORT)
    _write(directory / "kubelet.yaml", _kubelet(directory, cgroup))
    _write(directory / "proxy.yaml", _proxy(directory))
    _write(directory / "cni" / "10-node.conflist", _network(directory))
    (directory / "containerd.toml").write_text(_containerd(directory))
    (directory / "Corefile").write_text(
        f".:53 {{\n  errors\n  health 127.0.0.1:8083\n  kubernetes cluster.local {{\n"
        f"    kubeconfig {directory}/admin.kubeconfig local\n  }}\n}}\n"
    )


def write_kubeconfig(directory: Path, path: Path, token: str, port: int) -> Path:
    """Writes a kubeconfig of the API server at 127.0.0.1:`port`, whose CA lies in `directory`; returns `path`."""
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(directory / "ca.crt")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "local",
        "clusters": [{"name": "local", "cluster": cluster}],
        "users": [{"name": "local", "user": {"token": token}}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "local"}}],
    }
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return path


def admin_token(directory: Path) -> str:
    """The administrator's token, once the files are written."""
    return (directory / "tokens.csv").read_text().split(",", 1)[0]


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))


def _kubelet(directory: Path, cgroup: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "failSwapOn": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(directory / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(directory / "kubelet.crt"),
        "tlsPrivateKeyFile": str(directory / "kubelet.key"),
        "podLogsDir": "/var/log/pods",
        "volumePluginDir": "/var/lib/kubelet/plugins",
        "resolvConf": "",
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "50Mi"},
        "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": "5s",
        "registerNode": True,
    }


def _proxy(directory: Path) -> dict[str, Any]:
    unset = {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(directory / "kube-proxy.kubeconfig")},
        "clusterCIDR": PODS,
        "hostnameOverride": NAME,
        "conntrack": unset,
        "oomScoreAdj": 0,
    }


def _network(directory: Path) -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(directory / "addresses"),
    }
    bridge = {"type": "bridge", "bridge": "pods0", "isGateway": True, "ipMasq": False, "hairpinMode": True}
    return {"cniVersion": "1.0.0", "name": "node", "plugins": [{**bridge, "ipam": addresses}]}


def _containerd(directory: Path) -> str:
    plugin = 'plugins."io.containerd.grpc.v1.cri"'
    return (
        f'version = 2\nroot = "{directory}/containerd"\nstate = "/run/containerd"\n'
        f'[grpc]\n  address = "{CONTAINERD}"\n'
        f'[{plugin}]\n  sandbox_image = "{SMALL}"\n  restrict_oom_score_adj = true\n'
        f'[{plugin}.cni]\n  bin_dir = "{cni_directory()}"\n  conf_dir = "{directory}/cni"\n'
    )


def _write_keys(directory: Path) -> None:
    """A CA with the extensions that Python 3.13 asks for, what it signed, and the key of ServiceAccount tokens."""
    openssl = require("openssl", "certificates of the node")

    def run(*arguments: str) -> None:
        done = subprocess.run([openssl, *arguments], cwd=directory, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StepFailed(f"openssl {arguments[0]}: {done.stderr.strip()}")

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    usage = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    run("req", "-x509", *new, "-days", _DAYS, "-subj", "/CN=node", "-keyout", "ca.key", "-out", "ca.crt", *usage)
    service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    names = [*(f"DNS:{name}" for name in service), *(f"IP:{each}" for each in ("127.0.0.1", API_SERVICE, ADDRESS))]
    for name, subject, purpose, alternatives in (
        ("apiserver", "/CN=kube-apiserver", "serverAuth", names),
        ("kubelet", f"/CN=system:node:{NAME}", "serverAuth", [f"DNS:{NAME}", f"IP:{ADDRESS}"]),
        ("kubelet-client", "/O=system:masters/CN=kube-apiserver", "clientAuth", []),
    ):
        (directory / f"{name}.ext").write_text(
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
            f"extendedKeyUsage={purpose}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
            + (f"subjectAltName={','.join(alternatives)}\n" if alternatives else "")
        )
        run("req", *new, "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-days", _DAYS, "-extfile", f"{name}.ext", "-out", f"{name}.crt"),
        )
    run("genrsa", "-out", "sa.key", "2048")
