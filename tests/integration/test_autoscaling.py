"""The examples of autoscalers: the real controller of HorizontalPodAutoscalers scales a job by the operator's own metrics."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from deploy.local.controlplane import CONTROLLER_MANAGER, ControlPlane
from deploy.local.environment import REPOSITORY
from deploy.local.processes import Process
from tests.support.integration import Lab, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]
EXAMPLES = REPOSITORY / "deploy" / "examples" / "autoscaling"
GROUP = "external.metrics.k8s.io"
VERSION = f"{GROUP}/v1beta1"
NAME = "minimal"


class Adapter:
    """Serves the operator's metrics as external metrics, as an adapter of Prometheus does; a context manager."""

    def __init__(self, lab: Lab, certificates: Path) -> None:
        self.asked: set[str] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(outer.answer(lab, self.path))

            def reply(self, found: dict[str, Any] | None) -> None:
                body = json.dumps(found).encode()
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "apiserver.crt", certificates / "apiserver.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port

    def answer(self, lab: Lab, path: str) -> dict[str, Any] | None:
        parts = urlsplit(path)
        if parts.path == f"/apis/{VERSION}":
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": VERSION, "resources": []}
        _, _, rest = parts.path.partition(f"/apis/{VERSION}/namespaces/")
        namespace, _, metric = rest.partition("/")
        if not metric:
            return None
        self.asked.add(metric)
        _, _, name = parse_qs(parts.query)["labelSelector"][0].partition("=")
        value = lab.operator.metrics().get(f'{metric}{{name="{name}",namespace="{namespace}"}}')
        items = [] if value is None else [{"metricName": metric, "value": f"{round(1000 * value)}m", "timestamp": None}]
        return {"kind": "ExternalMetricValueList", "apiVersion": VERSION, "metadata": {}, "items": items}

    def __enter__(self) -> Adapter:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def adapter(own_lab: Lab, control_plane: ControlPlane) -> Iterator[Adapter]:
    """External metrics that the API server knows."""
    with Adapter(own_lab, control_plane.directory / "certs") as started:
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "adapter", "namespace": own_lab.namespace},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }
        where = {"name": "adapter", "namespace": own_lab.namespace, "port": started.port}
        spec = {"group": GROUP, "version": "v1beta1", "service": where, "insecureSkipTLSVerify": True}
        served = {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"v1beta1.{GROUP}"},
            "spec": spec | {"groupPriorityMinimum": 100, "versionPriority": 100},
        }
        control_plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([service, served]))
        yield started
        control_plane.kubectl("delete", "apiservice", f"v1beta1.{GROUP}")


@pytest.fixture
def autoscaler(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Process]:
    """The controller, which looks each second."""
    command = (
        *(control_plane.program(CONTROLLER_MANAGER), f"--kubeconfig={control_plane.kubeconfig}"),
        *("--controllers=horizontal-pod-autoscaler-controller", "--horizontal-pod-autoscaler-sync-period=1s"),
        *("--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port=0"),
    )
    process = Process("autoscaler", command, log=tmp_path / "autoscaler.log")
    yield process
    process.stop(grace=0)


@pytest.mark.fault("people-autoscaler")
@pytest.mark.parametrize("own_lab", [{"job-metrics": "1"}], indirect=True)
def test_the_horizontal_pod_autoscaler_of_the_example_scales_a_job_that_is_busy(
    own_lab: Lab, control_plane: ControlPlane, adapter: Adapter, autoscaler: Process
) -> None:
    """The target is far below what the job is busy, so that a slow machine decides as a fast one does."""
    own_lab.start(NAME)
    example = (EXAMPLES / "hpa.yaml").read_text()
    for here, there in (("700m", "1m"), ("maxReplicas: 8", "maxReplicas: 2"), ("Seconds: 60\n", "Seconds: 0\n")):
        assert example.count(here) == 1
        example = example.replace(here, there)
    control_plane.kubectl("apply", "--validate=strict", "-n", own_lab.namespace, "-f", "-", stdin=example)
    own_lab.wait(NAME, lambda job: job["spec"].get("parallelism") == 2, "scaled", 60)
    found = own_lab.running(NAME, 2)
    assert submission(found)["parallelism"] == found["status"]["parallelism"] == 2
    assert submission(found)["restoredFrom"]
    assert adapter.asked == {"flinkjob_job_busy_tasks"}
