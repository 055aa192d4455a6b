"""Writes `crds/*.yaml` and `crds/README.md` from the models: `python -m flinkjob.api.crd [--check] [--directory crds]`.

A tool for people and CI, never imported by the running operator. Invariant: the same models give the same bytes.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from flinkjob.api import constants as names
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.api.reference import render
from flinkjob.api.schema import Schema, spec_schema, status_schema

_HEADER: Final = "# Generated from the models by `python -m flinkjob.api.crd`; do not edit.\n"


def flinkjob_crd() -> dict[str, Any]:
    """The CustomResourceDefinition of FlinkJob."""
    return _crd(
        kind=names.JOB_KIND,
        plural=names.JOB_PLURAL,
        short="fj",
        spec=spec_schema(FlinkJobSpec),
        status=status_schema(FlinkJobStatus),
        rules=[
            {
                "rule": f"size(self.metadata.name) <= {names.MAX_JOB_NAME}",
                "message": f"metadata.name must have at most {names.MAX_JOB_NAME} characters",
            }
        ],
        columns=[
            _column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status'),
            _column("Phase", "string", ".status.phase"),
            _column("State", "string", ".status.job.state"),
            _column("Parallelism", "integer", ".spec.parallelism"),
            _column("Savepoint Age", "date", ".status.lastSavepoint.time"),
            _column("Restarts", "integer", ".status.job.restarts"),
            _column("Age", "date", ".metadata.creationTimestamp"),
            _column("Job ID", "string", ".status.job.id", wide=True),
            _column("Cluster", "string", ".status.cluster.url", wide=True),
            _column("Version", "string", ".status.cluster.flinkVersion", wide=True),
            _column("Message", "string", '.status.conditions[?(@.type=="Ready")].message', wide=True),
        ],
        selectable=[".status.phase"],
        scale={
            "specReplicasPath": ".spec.parallelism",
            "statusReplicasPath": ".status.parallelism",
            "labelSelectorPath": ".status.selector",
        },
    )


def flinksavepoint_crd() -> dict[str, Any]:
    """The CustomResourceDefinition of FlinkSavepoint."""
    return _crd(
        kind=names.SAVEPOINT_KIND,
        plural=names.SAVEPOINT_PLURAL,
        short="fsp",
        spec=spec_schema(FlinkSavepointSpec),
        status=status_schema(FlinkSavepointStatus),
        rules=[],
        columns=[
            _column("Job", "string", ".spec.jobRef.name"),
            _column("Mode", "string", ".spec.mode"),
            _column("Phase", "string", ".status.phase"),
            _column("Location", "string", ".status.location"),
            _column("Size", "string", ".status.size"),
            _column("Duration", "string", ".status.duration"),
            _column("Age", "date", ".metadata.creationTimestamp"),
            _column("Message", "string", '.status.conditions[?(@.type=="Ready")].message', wide=True),
        ],
        selectable=[".spec.jobRef.name", ".status.phase"],
        scale=None,
    )


def _column(name: str, kind: str, path: str, *, wide: bool = False) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    return column | {"priority": 1} if wide else column


def _crd(
    *,
    kind: str,
    plural: str,
    short: str,
    spec: Schema,
    status: Schema,
    rules: list[dict[str, str]],
    columns: list[dict[str, Any]],
    selectable: list[str],
    scale: dict[str, str] | None,
) -> dict[str, Any]:
    root: Schema = {"description": spec["description"], "type": "object", "required": ["spec"]}
    if rules:
        root["x-kubernetes-validations"] = rules
    root["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": spec,
        # never equal to a generation, so that kstatus calls an object that nobody has looked at yet in progress
        "status": status | {"default": {"observedGeneration": 0}},
    }
    subresources: dict[str, Any] = {"status": {}}
    if scale:
        subresources["scale"] = scale
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["flink"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": subresources,
                    "selectableFields": [{"jsonPath": path} for path in selectable],
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": root},
                }
            ],
        },
    }


def files() -> dict[str, str]:
    """Every generated file's text by its name."""
    job, savepoint = flinkjob_crd(), flinksavepoint_crd()
    return {
        f"{names.JOB_PLURAL}.yaml": _yaml(job),
        f"{names.SAVEPOINT_PLURAL}.yaml": _yaml(savepoint),
        "README.md": render(job, savepoint),
    }


def _yaml(document: dict[str, Any]) -> str:
    class NoAliases(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return _HEADER + yaml.dump(document, Dumper=NoAliases, sort_keys=False, width=120, allow_unicode=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the files, or with `--check` only compares them.

    Returns: 1 when `--check` found a stale file, else 0.
    """
    parser = argparse.ArgumentParser(prog="python -m flinkjob.api.crd", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    parser.add_argument("--directory", type=Path, default=Path("crds"), help="where the files are (default: crds)")
    options = parser.parse_args(arguments)
    stale = []
    for name, text in files().items():
        path = options.directory / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(str(path))
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if options.check and stale:
        print(f"stale: {', '.join(stale)}; run `python -m flinkjob.api.crd`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
