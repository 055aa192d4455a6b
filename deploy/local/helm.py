"""The real helm against a control plane, and the checkers of what a chart renders to.

Used by the tests of the chart and by `make chart`.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.local.binaries import module_files, tool_binary
from deploy.local.controlplane import ControlPlane
from deploy.local.processes import ProcessFailed

CHART = Path(__file__).resolve().parents[1] / "chart"
NAMESPACE = "flinkjob-system"
RELEASE = "flinkjob-operator"
KEDA = ("github.com/kedacore/keda/v2", "v2.17.2")
PROMETHEUS_OPERATOR = ("github.com/prometheus-operator/prometheus-operator", "v0.85.0")


class Helm:
    """helm with a home of its own.

    Args:
        home: for its caches; made when missing.
        kubeconfig: of the cluster; None: only for `template` and `lint`.
    """

    def __init__(self, home: Path, kubeconfig: Path | None = None) -> None:
        self._home = home
        self._kubeconfig = kubeconfig
        home.mkdir(parents=True, exist_ok=True)

    def run(self, *arguments: str | Path) -> str:
        """Runs it and returns what it printed. Raises ProcessFailed with its words."""
        environment = {**os.environ, "HOME": str(self._home), "HELM_NAMESPACE": NAMESPACE}
        if self._kubeconfig is not None:
            environment["KUBECONFIG"] = str(self._kubeconfig)
        command = [str(tool_binary("helm")), *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ProcessFailed(f"helm {arguments[0]}: {(done.stdout + done.stderr).strip()}")
        return done.stdout

    def template(self, *arguments: str | Path, chart: Path = CHART) -> list[dict[str, Any]]:
        """The objects that the chart renders to, hooks included."""
        text = self.run("template", RELEASE, chart, *arguments)
        return [found for found in yaml.safe_load_all(text) if found]


def write_schemas(control_plane: ControlPlane, directory: Path) -> Path:
    """JSON schemas, as kubeconform wants them, of every kind that the API server serves; returns `directory`."""
    api = json.loads(control_plane.kubectl("get", "--raw", "/openapi/v2"))
    directory.mkdir(parents=True, exist_ok=True)
    definitions: dict[str, Any] = api["definitions"]
    for definition in definitions.values():
        _tighten(definition)
    (directory / "all.json").write_text(
        json.dumps({"definitions": definitions}).replace("#/definitions", "all.json#/definitions")
    )
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            group = kind["group"].split(".")[0]
            parts = [kind["kind"], *([group] if group else []), kind["version"]]
            file = directory / f"{'-'.join(parts).lower()}.json"
            file.write_text(json.dumps({"$ref": f"all.json#/definitions/{name}"}))
    return directory


def _tighten(schema: dict[str, Any]) -> None:
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        schema.clear()
        schema["type"] = ["string", "integer"]
    if schema.get("description", "").startswith("Quantity is"):
        schema["type"] = ["string", "number"]
    properties: Mapping[str, Any] = schema.get("properties", {})
    if properties and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    for inner in (*properties.values(), schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, dict):
            _tighten(inner)


def kubeconform(schemas: Path, objects: list[dict[str, Any]]) -> str:
    """Checks objects; returns its summary. Raises ProcessFailed naming what is wrong."""
    location = f"{schemas}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
    done = subprocess.run(
        [tool_binary("kubeconform"), "-strict", "-summary", "-schema-location", location],
        input=yaml.safe_dump_all(objects),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ProcessFailed(f"kubeconform: {(done.stdout + done.stderr).strip()}")
    return done.stdout.strip()


def keda_crd() -> Path:
    """The definition of KEDA's ScaledObject, from its own sources."""
    return module_files(*KEDA, "config/crd/bases") / "keda.sh_scaledobjects.yaml"


def monitoring_crds() -> list[Path]:
    """The definitions of ServiceMonitor and PrometheusRule, from the Prometheus operator's own sources."""
    directory = module_files(*PROMETHEUS_OPERATOR, "example/prometheus-operator-crd")
    return [directory / f"monitoring.coreos.com_{name}.yaml" for name in ("servicemonitors", "prometheusrules")]
