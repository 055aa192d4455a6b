"""A synchronous, administrative view of the API server, for tests that act as a user and look at what came of it.

Used by the integration and crash suites. It speaks HTTP itself, without the operator's own client, so that a mistake
there cannot hide here.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from deploy.local import plainhttp
from deploy.local.processes import ProcessFailed

GROUP = "/apis/flinkjob.dev/v1alpha1"
PATHS: Mapping[str, str] = {
    "FlinkJob": f"{GROUP}/namespaces/{{namespace}}/flinkjobs",
    "FlinkSavepoint": f"{GROUP}/namespaces/{{namespace}}/flinksavepoints",
    "Event": "/api/v1/namespaces/{namespace}/events",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "ControllerRevision": "/apis/apps/v1/namespaces/{namespace}/controllerrevisions",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases",
    "Namespace": "/api/v1/namespaces",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
}
DEADLINE = 120.0
"""Seconds after which a wait has failed, unless the caller says otherwise."""

Object = dict[str, Any]


class Refused(Exception):
    """The API server said no; the message is its own."""


class Absent(Refused):
    """There is no such object."""


class Kube:
    """The API server as administrator (or as whoever the kubeconfig names); a context manager.

    Args:
        kubeconfig: with a bearer token.
    """

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        self.kubeconfig = kubeconfig
        self._http = plainhttp.client(
            base_url=config["clusters"][0]["cluster"]["server"],
            headers={"Authorization": f"Bearer {config['users'][0]['user']['token']}"},
            timeout=30,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    # single objects

    def apply(self, obj: Mapping[str, Any]) -> Object:
        """Server-side apply, as `kubectl apply --server-side` does; fields left out since the last one are removed."""
        path = self._path(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        query = {"fieldManager": "test", "force": "true", "fieldValidation": "Strict"}
        answer = self._http.patch(
            path, content=json.dumps(obj), params=query, headers={"Content-Type": "application/apply-patch+yaml"}
        )
        return self._checked(answer)

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object, or None when there is none."""
        answer = self._http.get(self._path(kind, namespace, name))
        return None if answer.status_code == 404 else self._checked(answer)

    def raw(self, path: str, **query: str) -> str:
        """What is below a path of the API server, as `kubectl get --raw` prints it. Raises Refused."""
        answer = self._http.get(path, params=query)
        if answer.is_error:
            raise Refused(answer.text)
        return answer.text

    def all(self, kind: str, namespace: str, **fields: str) -> list[Object]:
        """All objects of the kind in the namespace, or those whose `fields` have these values (a field selector)."""
        selector = ",".join(f"{field}={value}" for field, value in fields.items())
        parameters = {"fieldSelector": selector} if selector else {}
        return list(self._checked(self._http.get(self._path(kind, namespace), params=parameters))["items"])

    def patch(self, kind: str, namespace: str, name: str, patch: Mapping[str, Any], *, status: bool = False) -> Object:
        """A merge patch, of the status when `status`."""
        path = self._path(kind, namespace, name) + ("/status" if status else "")
        headers = {"Content-Type": "application/merge-patch+json"}
        return self._checked(self._http.patch(path, content=json.dumps(patch), headers=headers))

    def replace_status(self, kind: str, namespace: str, name: str, status: Mapping[str, Any]) -> Object:
        """The whole status, as a restored backup would have it (an empty one wipes it)."""
        path = self._path(kind, namespace, name)
        for _ in range(20):
            body = self._checked(self._http.get(path)) | {"status": dict(status)}
            answer = self._http.put(f"{path}/status", json=body)
            if answer.status_code != 409:
                return self._checked(answer)
        raise ProcessFailed(f"status of {kind} {namespace}/{name}: always a conflict")

    def scale(self, namespace: str, name: str, replicas: int) -> Object:
        """Sets the replicas of a FlinkJob through its scale subresource, as autoscalers do; returns the Scale."""
        path = self._path("FlinkJob", namespace, name) + "/scale"
        headers = {"Content-Type": "application/merge-patch+json"}
        return self._checked(
            self._http.patch(path, content=json.dumps({"spec": {"replicas": replicas}}), headers=headers)
        )

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Asks for the deletion; an absent object is fine."""
        answer = self._http.delete(self._path(kind, namespace, name))
        if answer.status_code != 404:
            self._checked(answer)

    def create_namespace(self, name: str) -> None:
        """A new namespace; an existing one is fine."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        answer = self._http.post(self._path("Namespace", ""), json=body)
        if answer.status_code != 409:
            self._checked(answer)

    # waiting

    def wait_for(
        self,
        kind: str,
        namespace: str,
        name: str,
        predicate: Callable[[Object], Any],
        *,
        deadline: float = DEADLINE,
        what: str = "as expected",
    ) -> Object:
        """The object as soon as the predicate holds for it.

        Raises:
            AssertionError: it did not in time; the message holds the object's status.
        """

        last: Object | None = None
        for last in self._states(kind, namespace, name, deadline):
            if last is not None and predicate(last):
                return last
        shown = "gone" if last is None else json.dumps(last.get("status", {}), indent=1)
        raise AssertionError(f"{kind} {namespace}/{name} is not {what} after {deadline:.0f} s: {shown}")

    def wait_gone(self, kind: str, namespace: str, name: str, *, deadline: float = DEADLINE) -> None:
        """Waits until there is no such object. Raises AssertionError."""
        last: Object | None = None
        for last in self._states(kind, namespace, name, deadline):
            if last is None:
                return
        raise AssertionError(f"{kind} {namespace}/{name} is still there after {deadline:.0f} s: {last}")

    def _states(self, kind: str, namespace: str, name: str, deadline: float) -> Iterator[Object | None]:
        """The object now and after each change, None where there is none; at least each second, until the deadline is over.

        A watch costs the API server nothing while nothing changes, and misses no state that lasts a moment only.
        """
        end = time.monotonic() + deadline
        while True:
            now = self.get(kind, namespace, name)
            yield now
            if time.monotonic() > end:
                return
            query = {"watch": "1", "fieldSelector": f"metadata.name={name}", "timeoutSeconds": "1"}
            if now is not None:
                query["resourceVersion"] = now["metadata"]["resourceVersion"]
            with self._http.stream("GET", self._path(kind, namespace), params=query) as answer:
                for line in answer.iter_lines() if answer.is_success else ():
                    event = json.loads(line)
                    if event["type"] not in ("ADDED", "MODIFIED"):
                        break
                    yield dict(event["object"])

    # readings

    def events(self, namespace: str, name: str) -> list[Object]:
        """The Events about an object, in order of their creation."""
        about = self.all("Event", namespace, **{"involvedObject.name": name})
        return sorted(about, key=lambda event: int(event["metadata"]["resourceVersion"]))

    def reasons(self, namespace: str, name: str) -> list[str]:
        """The reasons of those Events."""
        return [event["reason"] for event in self.events(namespace, name)]

    def _path(self, kind: str, namespace: str, name: str = "") -> str:
        base = PATHS[kind].format(namespace=namespace)
        return f"{base}/{name}" if name else base

    @staticmethod
    def _checked(answer: httpx.Response) -> Object:
        if answer.is_error:
            try:
                message = answer.json()["message"]
            except (ValueError, KeyError):
                message = answer.text
            kind = Absent if answer.status_code == 404 else Refused
            raise kind(f"{answer.status_code}: {message}")
        return dict(answer.json())


def secret(namespace: str, name: str, use: str = "cluster,store", **data: str | bytes) -> Object:
    """A Secret with these values, which may be sent to clusters and stores unless `use` says otherwise."""
    plain = {key: value.encode() if isinstance(value, str) else value for key, value in data.items()}
    encoded = {key: base64.b64encode(value).decode() for key, value in plain.items()}
    meta = {"name": name, "namespace": namespace, "annotations": {"flinkjob.dev/use": use}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": encoded}


def conditions(obj: Mapping[str, Any]) -> dict[str, str]:
    """The conditions as type → status."""
    return {entry["type"]: entry["status"] for entry in obj.get("status", {}).get("conditions", ())}


def condition(obj: Mapping[str, Any], kind: str) -> Object:
    """One whole condition; empty when there is none."""
    return next((dict(c) for c in obj.get("status", {}).get("conditions", ()) if c["type"] == kind), {})
