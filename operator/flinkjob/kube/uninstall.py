"""Makes room for the end of an installation: stops the operator and takes its finalizers.

Called by `flinkjob.uninstall` alone, which the chart runs before its objects are deleted. Without it a FlinkJob that is
deleted later, with its namespace or with the CRD, would wait for ever for an operator that is gone.

Invariants: no finalizer is taken before the last Pod of the operator has ended, which would add it again; no Flink job
is touched: what runs goes on running.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flinkjob.api.constants import FINALIZER
from flinkjob.kube.client import KubeClient
from flinkjob.kube.connection import MERGE_PATCH, Connection, path_of
from flinkjob.kube.errors import Conflict, Gone, KubeRejected, KubeUnavailable
from flinkjob.kube.kinds import Kind

_LOG = logging.getLogger("flinkjob.uninstall")
POLL_SECONDS = 0.5


async def uninstall(
    kubeconfig: Path | None,
    deployment: tuple[str, str],
    namespaces: Sequence[str],
    *,
    leases: Sequence[str],
    timeout: float,
) -> int:
    """Stops the operator, frees the FlinkJobs, removes the Leases; returns how many finalizers were taken.

    Args:
        kubeconfig: a file; None: the Pod's ServiceAccount.
        deployment: namespace and name of the operator's Deployment.
        namespaces: that the operator watches; none: all.
        leases: names of the Leases by which it leads, in the namespace of the Deployment.
        timeout: seconds that its Pods may take to end.

    Raises:
        KubeUnavailable: no answer, or Pods that do not end.
        KubeRejected: a right is missing, or some object cannot be changed; all others are free then.
    """
    connection = await Connection.open(kubeconfig)
    try:
        await _stop(connection, *deployment, timeout)
        client = KubeClient(connection)
        refused: list[KubeRejected] = []
        freed = sum([await _free(client, kind, namespaces, refused) for kind in Kind])
        for lease in leases:
            await _remove_lease(connection, deployment[0], lease)
        if refused:
            raise refused[0]
        return freed
    finally:
        await connection.close()


async def _stop(connection: Connection, namespace: str, name: str, timeout: float) -> None:
    subject = f"{namespace}/{name}"
    path = f"{path_of('deployments', group_version='apps/v1', namespace=namespace, name=name)}/scale"
    try:
        scale = await connection.request(
            "patch",
            "deployments/scale",
            path,
            subject=subject,
            body={"spec": {"replicas": 0}},
            content_type=MERGE_PATCH,
        )
    except Gone:
        return
    running = "status.phase!=Failed,status.phase!=Succeeded"  # evicted Pods stay, whatever the scale is
    query = {"labelSelector": scale["status"]["selector"], "fieldSelector": running}
    pods = path_of("pods", group_version="v1", namespace=namespace)
    async with _deadline(timeout, f"Pods of {subject} still run"):
        while True:
            found = await connection.request("list", "pods", pods, subject=namespace, query=query)
            if not found.get("items"):
                break
            await asyncio.sleep(POLL_SECONDS)
    _LOG.info("the operator %s is stopped", subject)


async def _free(client: KubeClient, kind: Kind, namespaces: Sequence[str], refused: list[KubeRejected]) -> int:
    """Takes all finalizers of a kind that can be taken; returns how many, and adds to `refused` what was answered else."""
    freed, kept = 0, set[tuple[str, str]]()
    while held := [
        found
        for found in await client.list_all(kind, namespaces or None)
        if FINALIZER in _of(found) and _name(found) not in kept
    ]:
        for found in held:
            meta = found["metadata"]
            try:
                await client.remove_finalizer(
                    kind, meta["namespace"], meta["name"], meta["resourceVersion"], _of(found)
                )
            except Conflict:
                continue
            except KubeRejected as error:
                refused.append(error)
                kept.add(_name(found))
                _LOG.error("%s %s/%s keeps its finalizer: %s", kind.kind, *_name(found), error.message)
                continue
            freed += 1
            _LOG.info("%s %s/%s: finalizer taken", kind.kind, meta["namespace"], meta["name"])
    return freed


async def _remove_lease(connection: Connection, namespace: str, name: str) -> None:
    path = path_of("leases", group_version="coordination.k8s.io/v1", namespace=namespace, name=name)
    try:
        await connection.request("delete", "leases", path, subject=f"{namespace}/{name}")
    except Gone:
        return


def _name(found: dict[str, Any]) -> tuple[str, str]:
    return found["metadata"]["namespace"], found["metadata"]["name"]


def _of(found: dict[str, Any]) -> list[str]:
    return list(found["metadata"].get("finalizers") or ())


class _deadline:  # noqa: N801 - used as a word
    """`asyncio.timeout` whose end is raised as KubeUnavailable."""

    def __init__(self, seconds: float, message: str) -> None:
        self._timeout = asyncio.timeout(seconds)
        self._message = message

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *exception: Any) -> None:
        try:
            await self._timeout.__aexit__(*exception)
        except TimeoutError as error:
            raise KubeUnavailable("timeout", self._message) from error
