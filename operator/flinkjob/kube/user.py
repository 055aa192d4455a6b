"""The API server as a person sees it: with the person's own kubeconfig, context, namespace and rights.

Used by the command line alone. Unlike the operator it gives up soon, and creates and patches whole manifests. Through
`service` it also reads what a Service of the cluster answers, by the API server's proxy.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx
import orjson
import yaml
from kubernetes.aio import config

from flinkjob.api.constants import API_VERSION
from flinkjob.core.errors import one_line
from flinkjob.kube.connection import JSON, MERGE_PATCH, SERVICE_ACCOUNT, Bounds, Connection, path_of
from flinkjob.kube.errors import Gone, KubeUnavailable, NotServed, is_own_answer, rejection
from flinkjob.kube.kinds import Kind
from flinkjob.kube.kubecontext import MANAGER, KubeContext
from flinkjob.kube.mergepatch import apply_patch
from flinkjob.kube.pages import Listing, Page, items
from flinkjob.kube.watching import Followed

# The package has no usable types of its own.
_config: Any = config

PATIENCE = Bounds(connections=64, seconds=15.0, attempts=2)
"""A person waits in front of a terminal."""
MOST_WATCHES = 32
"""Of one client, each of which has a connection; further lists are read again and again."""
Kept = TypeVar("Kept")
USUAL_NAMESPACE = "default"
BAD_REQUEST = 400


class UserClient:
    """One API server. An async context manager."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._api = connection
        self.namespace = namespace
        self._followed: list[Followed[Any]] = []

    @classmethod
    async def connect(cls, chosen: KubeContext) -> Self:
        """Reads credentials; nothing is sent yet.

        Raises:
            KubeUnavailable: there are none that can be used.
        """
        file = _file(chosen)
        namespace = chosen.namespace or _namespace_of(file, chosen.context)
        try:
            connection = await Connection.open(file, bounds=PATIENCE, context=chosen.context, user_agent=MANAGER)
        except _UNUSABLE as error:
            raise _unusable(file, error) from error
        return cls(connection, namespace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        ended = asyncio.gather(*(each.end() for each in self._followed))
        try:
            await asyncio.shield(ended)
        finally:  # also where Ctrl-C arrives only here
            await ended
            await self._api.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        """One object.

        Raises:
            Gone: there is none.
            NotServed: the CRDs are not installed.
        """
        path = path_of(kind.plural, group_version=API_VERSION, namespace=namespace, name=name)
        try:
            return await self._api.request("get", kind.plural, path, subject=f"{namespace}/{name}")
        except Gone as gone:
            await self._served(gone)
            raise

    async def all(self, kind: Kind, namespace: str | None, fields: str = "") -> list[dict[str, Any]]:
        """All objects of a kind, of all namespaces where None; `fields` selects by values of fields.

        Raises:
            NotServed: the CRDs are not installed.
        """
        try:
            found = await _objects(kind, namespace, fields).items(self._api)
        except Gone as gone:
            await self._served(gone)
            raise
        return [_whole(kind, item) for item in found]

    async def events(self, namespace: str, name: str | None) -> list[dict[str, Any]]:
        """The Events about all objects of this name; None: about all objects of the operator's kinds."""
        return await _events(namespace, name).items(self._api)

    def follow(
        self, kind: Kind, namespace: str | None, keep: Callable[[dict[str, Any]], Kept], fields: str = ""
    ) -> Followed[Kept]:
        """What `all` would give at any time, without a request for each time.

        Args:
            keep: makes of an object what is kept of it.
        """
        return self._follow(_objects(kind, namespace, fields), lambda raw: keep(_whole(kind, raw)))

    def follow_events(self, namespace: str, name: str | None) -> Followed[dict[str, Any]]:
        """What `events` would give at any time."""
        return self._follow(_events(namespace, name), dict)

    def _follow(self, of: Listing, keep: Callable[[dict[str, Any]], Kept]) -> Followed[Kept]:
        watches = of.watch(self._api) if len(self._followed) < MOST_WATCHES else None
        made = Followed(lambda: self._pages(of), watches, keep)
        self._followed.append(made)
        return made

    async def _pages(self, of: Listing) -> AsyncIterator[Page | None]:
        try:
            async for page in of.pages(self._api):
                yield page
        except Gone as gone:
            await self._served(gone)
            raise

    async def revisions(self, namespace: str, selector: str) -> list[dict[str, Any]]:
        """The ControllerRevisions that a selector of labels matches."""
        path = path_of("controllerrevisions", group_version="apps/v1", namespace=namespace)
        selection = {"labelSelector": selector}
        return await items(self._api, "controllerrevisions", path, subject=namespace, selection=selection)

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str]:
        """The texts of a ConfigMap.

        Raises:
            Gone: there is none.
        """
        path = path_of("configmaps", group_version="v1", namespace=namespace, name=name)
        found = await self._api.request("get", "configmaps", path, subject=f"{namespace}/{name}")
        return found.get("data") or {}

    async def patch(self, kind: Kind, found: Mapping[str, Any], change: Mapping[str, Any], *, dry_run: bool) -> None:
        """Changes an object as it was read, by a merge patch.

        Raises:
            Conflict: it is another one by now, so that the change may no longer be right.
        """
        meta = found["metadata"]
        namespace, name = meta["namespace"], meta["name"]
        unchanged = {"resourceVersion": meta["resourceVersion"]}
        path = path_of(kind.plural, group_version=API_VERSION, namespace=namespace, name=name)
        await self._api.request(
            "patch",
            kind.plural,
            path,
            subject=f"{namespace}/{name}",
            query=_query(dry_run),
            body={**change, "metadata": {**(change.get("metadata") or {}), **unchanged}},
            content_type=MERGE_PATCH,
        )

    async def create(self, body: Mapping[str, Any], *, dry_run: bool) -> dict[str, Any]:
        """Creates a FlinkJob or FlinkSavepoint; its metadata name the namespace."""
        kind = next(each for each in Kind if each.kind == body["kind"])
        meta = body["metadata"]
        path = path_of(kind.plural, group_version=API_VERSION, namespace=meta["namespace"])
        subject = f"{meta['namespace']}/{meta.get('name') or meta.get('generateName')}"
        query = _query(dry_run) | {"fieldValidation": "Strict"}
        return await self._api.request("create", kind.plural, path, subject=subject, query=query, body=dict(body))

    async def check(self, body: Mapping[str, Any]) -> None:
        """Lets the API server check a manifest as if kubectl applied it; nothing is stored.

        What is there already keeps the fields that were not applied, and loses those that were and are no longer in it.

        Raises:
            KubeRejected: it is refused, and why.
        """
        meta = dict(body["metadata"])
        meta |= {"namespace": meta.get("namespace") or self.namespace, "annotations": meta.get("annotations") or {}}
        manifest = {**{name: value for name, value in body.items() if name != "status"}, "metadata": meta}
        kind = next(each for each in Kind if each.kind == body["kind"])
        try:
            there = await self.get(kind, meta["namespace"], meta["name"]) if meta.get("name") else None
        except Gone:
            there = None
        if there is None:
            await self.create(manifest, dry_run=True)
            return
        name = meta["name"]
        path = path_of(kind.plural, group_version=API_VERSION, namespace=meta["namespace"], name=name)
        await self._api.request(
            "patch",
            kind.plural,
            path,
            subject=f"{meta['namespace']}/{name}",
            query=_query(dry_run=True) | {"fieldValidation": "Strict"},
            body=apply_patch(_last_applied(there), manifest),
            content_type=MERGE_PATCH,
        )

    def service(self, namespace: str, name: str, port: int, scheme: str) -> tuple[httpx.AsyncClient, str]:
        """A client whose requests the API server sends on to a Service, and the address to use with it."""
        to = quote(f"{scheme}:{name}:{port}" if scheme == "https" else f"{name}:{port}", safe=":")
        base = f"http://api-server/api/v1/namespaces/{quote(namespace, safe='')}/services/{to}/proxy"
        return httpx.AsyncClient(transport=_Proxied(self._api)), base

    async def _served(self, gone: Gone) -> None:
        """Finds out whether the kinds are missing rather than an object."""
        try:
            await self._api.request("get", "apiresources", f"/apis/{API_VERSION}", subject=API_VERSION)
        except Gone:
            text = f"this cluster does not serve {API_VERSION}: the CRDs of flinkjob-operator are not installed"
            raise NotServed(gone.code, text) from gone


def _objects(kind: Kind, namespace: str | None, fields: str) -> Listing:
    path = path_of(kind.plural, group_version=API_VERSION, namespace=namespace)
    selection = {"fieldSelector": fields} if fields else {}
    return Listing(resource=kind.plural, path=path, subject=namespace or "", selection=selection)


def _events(namespace: str, name: str | None) -> Listing:
    path = path_of("events", group_version="v1", namespace=namespace)
    about = f"name={name}" if name is not None else f"apiVersion={API_VERSION}"
    return Listing(
        resource="events", path=path, subject=namespace, selection={"fieldSelector": f"involvedObject.{about}"}
    )


def _whole(kind: Kind, item: dict[str, Any]) -> dict[str, Any]:
    """The object with what a list leaves out of its items."""
    return {"apiVersion": API_VERSION, "kind": kind.kind, **item}


class _Proxied(httpx.AsyncBaseTransport):
    """Sends requests through the connection to the API server, with its credentials.

    Raises:
        KubeRejected: the API server itself said no, before it came to the Service.
    """

    def __init__(self, connection: Connection) -> None:
        self._api = connection

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        verb, path = _VERBS[request.method], request.url.raw_path.decode()
        content, content_type = await request.aread(), request.headers.get("Content-Type", JSON)
        seconds = (request.extensions.get("timeout") or {}).get("read")
        status, body = await self._api.pass_on(verb, path, content, content_type, seconds=seconds)
        if status >= BAD_REQUEST and is_own_answer(body):
            raise rejection(status, body, f"{verb} {path.partition('?')[0]}")
        return httpx.Response(status, content=body, request=request)


_VERBS = {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}


def _last_applied(there: Mapping[str, Any]) -> Mapping[str, Any]:
    """The manifest that kubectl applied last; empty where it applied none."""
    written = (there["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/last-applied-configuration")
    try:
        found = orjson.loads(written) if written else {}
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _query(dry_run: bool) -> dict[str, str]:
    return {"fieldManager": MANAGER} | ({"dryRun": "All"} if dry_run else {})


def _file(chosen: KubeContext) -> Path | None:
    """The kubeconfig to read; None: what the Pod has."""
    if chosen.kubeconfig is None and _in_pod():
        return None
    file = chosen.kubeconfig or _usual_file()
    if not any(Path(each).is_file() for each in str(file).split(os.pathsep)):
        raise KubeUnavailable("credentials", f"no cluster is named: there is no kubeconfig {file}")
    return file


def _usual_file() -> Path:
    """The kubeconfig that kubectl reads; KUBECONFIG may name several, which the package merges."""
    named = os.environ.get("KUBECONFIG", "")
    return Path(named) if named else Path.home() / ".kube" / "config"


def _in_pod() -> bool:
    """Whether there is a ServiceAccount and no kubeconfig, which comes first for a person."""
    usual = os.environ.get("KUBECONFIG") or (Path.home() / ".kube" / "config").is_file()
    return not usual and (SERVICE_ACCOUNT / "token").is_file()


def _namespace_of(file: Path | None, context: str | None) -> str:
    """The namespace of a context; `default` where it names none."""
    if file is None:
        try:
            return (SERVICE_ACCOUNT / "namespace").read_text().strip()
        except OSError:
            return USUAL_NAMESPACE
    try:
        found = _config.kube_config.KubeConfigMerger(str(file)).config.value
        named = context or found.get("current-context")
        chosen: Any = next((each.value for each in found["contexts"] if each.value["name"] == named), {})
        return str((chosen.get("context") or {}).get("namespace") or USUAL_NAMESPACE)
    except _UNUSABLE as error:
        raise _unusable(file, error) from error


_UNUSABLE: Final = (
    _config.ConfigException,
    OSError,
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    yaml.YAMLError,
)
"""What the package raises for a file that is no kubeconfig: another YAML, no YAML, no UTF-8."""


def _unusable(file: Path | None, error: Exception) -> KubeUnavailable:
    said = one_line(str(error), 200) if isinstance(error, _config.ConfigException | OSError) else "it is no kubeconfig"
    return KubeUnavailable("credentials", f"no usable Kubernetes credentials in {file}: {said}")
