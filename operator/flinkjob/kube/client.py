"""What the operator does to objects of the Kubernetes API.

Used by `runtime` (status, finalizer, revisions, savepoint records), `events` and `app`. Objects are plain JSON dicts.
Invariants: a status or finalizer write carries the resourceVersion of the object that the decision was made on, so a
stale one is a `Conflict` and changes nothing; repeating any call is harmless; only transport trouble is retried here.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from flinkjob.api.constants import API_VERSION, FINALIZER
from flinkjob.core.errors import FlinkJobError
from flinkjob.kube.connection import JSON_PATCH, MERGE_PATCH, USUAL, Bounds, Connection, OnRequest, path_of
from flinkjob.kube.errors import AlreadyExists, Conflict, Forbidden, Gone, KubeUnavailable, NotServed
from flinkjob.kube.kinds import Kind
from flinkjob.kube.pages import items, pages

log = logging.getLogger(__name__)

LEASES = "coordination.k8s.io/v1"


class KubeClient:
    """One API server, through one connection pool. An async context manager."""

    def __init__(self, connection: Connection) -> None:
        self._api = connection

    @classmethod
    async def connect(
        cls, kubeconfig: Path | None = None, *, bounds: Bounds = USUAL, on_request: OnRequest | None = None
    ) -> Self:
        """Reads credentials (nothing is sent yet).

        Args:
            kubeconfig: a kubeconfig file; None: the Pod's ServiceAccount, else the user's own kubeconfig.
            bounds: what its requests may cost.
            on_request: called with (verb, resource, code) of every request, for metrics.

        Raises:
            KubeUnavailable: no usable credentials.
        """
        return cls(await Connection.open(kubeconfig, bounds=bounds, on_request=on_request))

    def ask_before_writes(self, require: Callable[[], None]) -> None:
        """From now on `require` is called right before each request that changes something, repeated ones too.

        What it raises ends the call. Leases are exempt, since by them it is found out who may write, and Events, since they
        know what was done already.
        """
        self._api.ask_before_writes(require)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections."""
        await self._api.close()

    # -- the operator's own kinds ----------------------------------------------------------------------------------

    async def crds_present(self) -> None:
        """Checks that both kinds are served.

        Raises:
            NotServed: naming what is missing.
            KubeUnavailable: the API server does not answer.
        """
        try:
            served = await self._api.request("get", "apiresources", f"/apis/{API_VERSION}", subject=API_VERSION)
        except Gone as gone:
            raise NotServed(gone.code, f"{API_VERSION} is not served: install the CRDs first") from gone
        plurals = {resource.get("name") for resource in served.get("resources", [])}
        missing = [kind.plural for kind in Kind if kind.plural not in plurals]
        if missing:
            raise NotServed(404, f"{API_VERSION} does not serve {', '.join(missing)}: install the CRDs first")

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
        """The object as it is now; None when there is none."""
        try:
            return await self._of(kind, "get", namespace, name)
        except Gone:
            return None

    async def list_all(self, kind: Kind, namespaces: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """All objects of a kind, in the whole cluster when `namespaces` is None."""
        found = {}
        async for page in self.pages(kind, namespaces):
            found.update({(item["metadata"].get("namespace"), item["metadata"]["name"]): item for item in page})
        return list(found.values())

    async def pages(self, kind: Kind, namespaces: Sequence[str] | None = None) -> AsyncIterator[list[dict[str, Any]]]:
        """The same, 500 at a time; an object comes twice where the list had to begin again."""
        for namespace in namespaces if namespaces is not None else (None,):
            path = path_of(kind.plural, group_version=API_VERSION, namespace=namespace)
            async for page in pages(self._api, kind.plural, path, subject=namespace or ""):
                found = page.items if page is not None else []
                for item in found:  # a list leaves them out of its items
                    item.setdefault("apiVersion", API_VERSION)
                    item.setdefault("kind", kind.kind)
                yield found

    async def patch_status(
        self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any], resource_version: str
    ) -> dict[str, Any]:
        """Writes status by compare-and-set, and returns the whole object.

        Args:
            patch: merge patch (RFC 7386) of the *content* of `.status`, as `merge_patch(old, new)` makes it: what is
                to be removed must be there as None.
            resource_version: of the object that the decision was made on.

        Raises:
            Conflict: the object was changed meanwhile (also: deleted and created again).
            Gone: it does not exist any more.
        """
        body = {"metadata": {"resourceVersion": resource_version}, "status": dict(patch)}
        return await self._of(kind, "patch", namespace, name, subresource="status", body=body, content_type=MERGE_PATCH)

    async def add_finalizer(
        self, kind: Kind, namespace: str, name: str, resource_version: str, finalizers: Sequence[str]
    ) -> dict[str, Any]:
        """Adds the operator's finalizer; `finalizers` are those of the object as it was seen.

        Raises:
            Conflict: the object was changed meanwhile.
            Gone: it does not exist any more.
            KubeRejected: it is being deleted (the API server takes no new finalizer then).
        """
        if FINALIZER in finalizers:
            return await self._of(kind, "get", namespace, name)
        change = (
            {"op": "add", "path": "/metadata/finalizers/-", "value": FINALIZER}
            if finalizers
            else {"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]}
        )
        return await self._json_patch(kind, namespace, name, [_test_version(resource_version), change])

    async def remove_finalizer(
        self, kind: Kind, namespace: str, name: str, resource_version: str, finalizers: Sequence[str]
    ) -> dict[str, Any] | None:
        """Removes the operator's finalizer; None when the object is gone already.

        The returned object of a deletion that this completes is the last there was.

        Raises:
            Conflict: the object was changed meanwhile.
        """
        if FINALIZER not in finalizers:
            return await self.get(kind, namespace, name)
        at = f"/metadata/finalizers/{list(finalizers).index(FINALIZER)}"
        changes = [
            _test_version(resource_version),
            {"op": "test", "path": at, "value": FINALIZER},
            {"op": "remove", "path": at},
        ]
        try:
            return await self._json_patch(kind, namespace, name, changes)
        except Gone:
            return None

    async def annotate(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        annotations: Mapping[str, str | None],
        resource_version: str | None = None,
    ) -> dict[str, Any]:
        """Sets annotations, None removes one; compare-and-set when `resource_version` is given.

        Raises:
            Conflict, Gone: as for `patch_status`.
        """
        metadata: dict[str, Any] = {"annotations": dict(annotations)}
        if resource_version is not None:
            metadata["resourceVersion"] = resource_version
        return await self._of(kind, "patch", namespace, name, body={"metadata": metadata}, content_type=MERGE_PATCH)

    async def delete_job(self, namespace: str, name: str, *, uid: str) -> bool:
        """Asks for the deletion of a FlinkJob; False when it was not there, or is another one by now."""
        path = path_of(Kind.FLINK_JOB.plural, group_version=API_VERSION, namespace=namespace, name=name)
        return await self._delete(Kind.FLINK_JOB.plural, path, f"{namespace}/{name}", uid)

    async def create_savepoint(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Creates a FlinkSavepoint; where one of this name exists, returns that one, whatever it says.

        Raises:
            NamespaceTerminating: nothing can be created there any more.
        """
        meta = body["metadata"]
        kind, namespace, name = Kind.FLINK_SAVEPOINT, meta["namespace"], meta["name"]
        path = path_of(kind.plural, group_version=API_VERSION, namespace=namespace)
        try:
            return await self._api.request("create", kind.plural, path, subject=f"{namespace}/{name}", body=dict(body))
        except AlreadyExists:
            return await self._of(kind, "get", namespace, name)

    async def delete_savepoint(self, namespace: str, name: str, *, uid: str | None = None) -> bool:
        """Asks for the deletion of a FlinkSavepoint; False when it was not there (or, with `uid`, is another one)."""
        path = path_of(Kind.FLINK_SAVEPOINT.plural, group_version=API_VERSION, namespace=namespace, name=name)
        return await self._delete(Kind.FLINK_SAVEPOINT.plural, path, f"{namespace}/{name}", uid)

    # -- ControllerRevisions ---------------------------------------------------------------------------------------

    async def create_revision(self, body: Mapping[str, Any]) -> None:
        """Creates an `apps/v1` ControllerRevision; one of this name that exists already is left as it is.

        The name must follow from the content (a digest), since ControllerRevisions cannot be changed.
        """
        meta = body["metadata"]
        path = path_of("controllerrevisions", group_version="apps/v1", namespace=meta["namespace"])
        subject = f"{meta['namespace']}/{meta['name']}"
        try:
            await self._api.request("create", "controllerrevisions", path, subject=subject, body=dict(body))
        except AlreadyExists:
            log.debug("revision %s exists", subject)

    async def get_revision(self, namespace: str, name: str) -> dict[str, Any] | None:
        """One ControllerRevision; None when there is none."""
        path = path_of("controllerrevisions", group_version="apps/v1", namespace=namespace, name=name)
        try:
            return await self._api.request("get", "controllerrevisions", path, subject=f"{namespace}/{name}")
        except Gone:
            return None

    async def list_revisions(self, namespace: str, label_selector: str) -> list[dict[str, Any]]:
        """The ControllerRevisions that the selector (`flinkjob.dev/job-uid=…`) matches."""
        path = path_of("controllerrevisions", group_version="apps/v1", namespace=namespace)
        selection = {"labelSelector": label_selector}
        return await items(self._api, "controllerrevisions", path, subject=namespace, selection=selection)

    async def delete_revision(self, namespace: str, name: str) -> bool:
        """Deletes a ControllerRevision; False when it was not there."""
        path = path_of("controllerrevisions", group_version="apps/v1", namespace=namespace, name=name)
        return await self._delete("controllerrevisions", path, f"{namespace}/{name}", None)

    # -- Leases ----------------------------------------------------------------------------------------------------

    async def read_lease(self, namespace: str, name: str) -> dict[str, Any] | None:
        """A Lease; None when there is none."""
        path = path_of("leases", group_version=LEASES, namespace=namespace, name=name)
        try:
            return await self._api.request("get", "leases", path, subject=f"{namespace}/{name}")
        except Gone:
            return None

    async def list_leases(self, namespace: str, label: str) -> list[dict[str, Any]]:
        """The Leases that have a label (`name=value`), as they all were at one moment."""
        path = path_of("leases", group_version=LEASES, namespace=namespace)
        return await items(self._api, "leases", path, subject=namespace, selection={"labelSelector": label})

    async def create_lease(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Creates a Lease. Raises `AlreadyExists` where somebody else was faster."""
        meta = body["metadata"]
        path = path_of("leases", group_version=LEASES, namespace=meta["namespace"])
        subject = f"{meta['namespace']}/{meta['name']}"
        return await self._api.request("create", "leases", path, subject=subject, body=dict(body))

    async def replace_lease(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replaces a Lease by compare-and-set. Raises `Conflict` where somebody else was faster."""
        meta = body["metadata"]
        path = path_of("leases", group_version=LEASES, namespace=meta["namespace"], name=meta["name"])
        subject = f"{meta['namespace']}/{meta['name']}"
        return await self._api.request("update", "leases", path, subject=subject, body=dict(body))

    # -- the rest --------------------------------------------------------------------------------------------------

    async def create_event(self, body: Mapping[str, Any]) -> bool:
        """Creates a `core/v1` Event; False where it is refused, which a namespace that is being deleted does.

        Raises:
            KubeUnavailable: no answer.
        """
        meta = body["metadata"]
        path = path_of("events", group_version="v1", namespace=meta["namespace"])
        subject = f"{meta['namespace']}/{meta['name']}"
        try:
            await self._api.request("create", "events", path, subject=subject, body=dict(body))
        except AlreadyExists:
            return True
        except KubeUnavailable:
            raise
        except FlinkJobError as error:
            log.info("%s", error.message)
            return False
        return True

    async def read_secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        """A Secret, its `data` still in base64; None when there is none.

        Raises:
            Forbidden: the operator was not granted Secrets of this namespace.
        """
        return await self._read_core("secrets", namespace, name)

    async def read_configmap(self, namespace: str, name: str) -> dict[str, Any] | None:
        """A ConfigMap; None when there is none. Raises `Forbidden` like `read_secret`."""
        return await self._read_core("configmaps", namespace, name)

    async def read_service(self, namespace: str, name: str) -> dict[str, Any] | None:
        """A Service; None when there is none, or the operator may not look."""
        try:
            return await self._read_core("services", namespace, name)
        except Forbidden:
            return None

    async def namespace_terminating(self, namespace: str) -> bool:
        """Whether the namespace is being deleted, or is gone. False when the operator may not look."""
        path = path_of("namespaces", group_version="v1", name=namespace)
        try:
            found = await self._api.request("get", "namespaces", path, subject=namespace)
        except Gone:
            return True
        except Forbidden:
            log.debug("may not read namespace %s", namespace)
            return False
        return "deletionTimestamp" in found["metadata"]

    async def namespace_labels(self, namespace: str) -> Mapping[str, str]:
        """The labels of a namespace; none where there is none. Raises `Forbidden` where the operator may not look."""
        path = path_of("namespaces", group_version="v1", name=namespace)
        try:
            found = await self._api.request("get", "namespaces", path, subject=namespace)
        except Gone:
            return {}
        labels: Mapping[str, str] = found["metadata"].get("labels") or {}
        return labels

    async def _read_core(self, resource: str, namespace: str, name: str) -> dict[str, Any] | None:
        path = path_of(resource, group_version="v1", namespace=namespace, name=name)
        try:
            return await self._api.request("get", resource, path, subject=f"{namespace}/{name}")
        except Gone:
            return None

    async def _of(
        self, kind: Kind, verb: str, namespace: str, name: str, *, subresource: str | None = None, **more: Any
    ) -> dict[str, Any]:
        path = path_of(kind.plural, group_version=API_VERSION, namespace=namespace, name=name, subresource=subresource)
        resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
        return await self._api.request(verb, resource, path, subject=f"{namespace}/{name}", **more)

    async def _json_patch(self, kind: Kind, namespace: str, name: str, changes: list[dict[str, Any]]) -> dict[str, Any]:
        return await self._of(kind, "patch", namespace, name, body=changes, content_type=JSON_PATCH)

    async def _delete(self, resource: str, path: str, subject: str, uid: str | None) -> bool:
        body = {"preconditions": {"uid": uid}} if uid else None
        try:
            await self._api.request("delete", resource, path, subject=subject, body=body)
        except Gone:
            return False
        except Conflict:
            return False
        return True


def _test_version(resource_version: str) -> dict[str, str]:
    return {"op": "test", "path": "/metadata/resourceVersion", "value": resource_version}
