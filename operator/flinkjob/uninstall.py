"""`flinkjob-uninstall`: stop the operator and take its finalizer from every FlinkJob, before an installation is removed.

The chart runs it as its pre-delete hook; with Kustomize it is run by hand (deploy/README.md).
Exit codes: 0 when all is freed, 1 when the API server refused or did not answer, 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from flinkjob.core.errors import FlinkJobError
from flinkjob.core.shards import LeaseNames
from flinkjob.kube.uninstall import uninstall
from flinkjob.observability.logging import configure


def _deployment(text: str) -> tuple[str, str]:
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAMESPACE/NAME")
    return namespace, name


def _arguments(raw: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="flinkjob-uninstall", description="Frees all FlinkJobs of their finalizer.")
    parser.add_argument("--deployment", type=_deployment, required=True, help="NAMESPACE/NAME of the operator")
    parser.add_argument("--namespaces", default="", help="that it watches, separated by commas; none: all")
    parser.add_argument("--lease", default="flinkjob-operator-default", help="by which it leads")
    parser.add_argument("--shards", type=int, default=1, help="into how many parts the clusters were shared out")
    parser.add_argument("--timeout", type=float, default=180.0, help="seconds that its Pods may take to end")
    parser.add_argument("--kubeconfig", type=Path, help="none: the Pod's ServiceAccount")
    return parser.parse_args(raw)


def main() -> None:
    """Free everything, or say in one line why not."""
    given = _arguments(sys.argv[1:])
    configure("json", "INFO")
    log = logging.getLogger("flinkjob.uninstall")
    namespaces = [name for name in given.namespaces.split(",") if name]
    names = LeaseNames(given.lease, given.shards)
    try:
        freed = asyncio.run(
            uninstall(given.kubeconfig, given.deployment, namespaces, leases=names.all(), timeout=given.timeout)
        )
    except FlinkJobError as error:
        log.error("%s", error.message)
        raise SystemExit(1) from error
    log.info("%d finalizers taken", freed)


if __name__ == "__main__":
    main()
