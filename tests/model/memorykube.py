"""An API server in memory, with what the runtime needs of `KubeClient`: the same answers and the same errors.

Used by the model test, for scale and crashes only; the integration suite proves the same calls on a real one. Invariants:
every write checks the resourceVersion; status is written only through its subresource, which never changes the generation;
an object that is being deleted goes when its last finalizer does.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

from flinkjob.api.constants import FINALIZER
from flinkjob.kube.errors import Conflict, Forbidden, Gone
from flinkjob.kube.kinds import Kind

Object = dict[str, Any]
Listener = Callable[[str, Kind, Object], object]


class MemoryKube:
    """FlinkJobs, FlinkSavepoints and ControllerRevisions, of one namespace unless another is named; no name is there twice.

    Attributes:
        listener: told of every change, as a watch tells: (ADDED | MODIFIED | DELETED, kind, object).
        on_status: told of every status that was written.
        status_writes: how many status writes were accepted.
        refusals: how many requests a policy has refused.
        refused: names (as of the shell) that a policy lets the operator neither change nor create nor delete.
    """

    def __init__(self, now: Callable[[], str]) -> None:
        self._now = now
        self._objects: dict[tuple[Kind, str], Object] = {}
        self._revisions: dict[str, Object] = {}
        self._version = 0
        self._uids = 0
        self.listener: Listener = lambda *_: None
        self.on_status: Callable[[Kind, Object], object] = lambda *_: None
        self.status_writes = 0
        self.refused: set[str] = set()
        self.refusals = 0
        self.secrets: dict[str, Object] = {}

    # what people do

    def apply(
        self,
        kind: Kind,
        name: str,
        spec: Object,
        *,
        annotations: Mapping[str, str] | None = None,
        namespace: str = "ns",
    ) -> Object:
        """Create the object or replace its spec."""
        found = self._objects.get((kind, name))
        if found is None:
            self._uids += 1
            meta = {
                "namespace": namespace,
                "name": name,
                "uid": f"uid-{self._uids}",
                "generation": 1,
                "creationTimestamp": self._now(),
                "annotations": dict(annotations or {}),
            }
            return self._store("ADDED", kind, {"kind": kind.kind, "metadata": meta, "spec": copy.deepcopy(spec)})
        changed = copy.deepcopy(found)
        if changed["spec"] != spec:
            changed["spec"] = copy.deepcopy(spec)
            changed["metadata"]["generation"] += 1
        changed["metadata"].setdefault("annotations", {}).update(annotations or {})
        return self._store("MODIFIED", kind, changed)

    def delete(self, kind: Kind, name: str) -> None:
        """Ask for the deletion."""
        found = self._objects.get((kind, name))
        if found is None:
            return
        if not found["metadata"].get("finalizers"):
            self._remove(kind, name)
        elif "deletionTimestamp" not in found["metadata"]:
            changed = copy.deepcopy(found)
            changed["metadata"]["deletionTimestamp"] = self._now()
            changed["metadata"]["generation"] += 1
            self._store("MODIFIED", kind, changed)

    def wipe_status(self, kind: Kind, name: str) -> None:
        """Take the status away, as a restore from a backup does."""
        changed = copy.deepcopy(self._objects[kind, name])
        changed.pop("status", None)
        self._store("MODIFIED", kind, changed)

    def change_status(self, kind: Kind, name: str, patch: Object) -> None:
        """Change the status by hand, as another version of the operator or a person may."""
        changed = copy.deepcopy(self._objects[kind, name])
        changed["status"] = _merge(changed.get("status") or {}, patch)
        self._store("MODIFIED", kind, changed)

    def collect_garbage(self) -> None:
        """Remove what belongs to objects that are gone, which is done at some time after they went."""
        there = {obj["metadata"]["uid"] for obj in self._objects.values()}
        self._revisions = {
            name: revision
            for name, revision in self._revisions.items()
            if any(owner["uid"] in there for owner in revision["metadata"]["ownerReferences"])
        }

    def find(self, kind: Kind, name: str) -> Object | None:
        """The object."""
        return self._objects.get((kind, name))

    def everything(self) -> list[tuple[Kind, Object]]:
        """All objects, as a list at the start of a watch gives them."""
        return [(kind, obj) for (kind, _), obj in self._objects.items()]

    # what the operator does

    async def patch_status(
        self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any], resource_version: str
    ) -> Object:
        self._admit(name)
        changed = self._current(kind, name, resource_version)
        changed["status"] = _merge(changed.get("status") or {}, patch)
        self.status_writes += 1
        stored = self._store("MODIFIED", kind, changed)
        self.on_status(kind, stored)
        return stored

    async def add_finalizer(
        self, kind: Kind, namespace: str, name: str, resource_version: str, finalizers: Sequence[str]
    ) -> Object:
        changed = self._current(kind, name, resource_version)
        changed["metadata"].setdefault("finalizers", []).append(FINALIZER)
        return self._store("MODIFIED", kind, changed)

    async def remove_finalizer(
        self, kind: Kind, namespace: str, name: str, resource_version: str, finalizers: Sequence[str]
    ) -> Object | None:
        if (kind, name) not in self._objects:
            return None
        changed = self._current(kind, name, resource_version)
        changed["metadata"]["finalizers"] = [f for f in changed["metadata"].get("finalizers", []) if f != FINALIZER]
        if "deletionTimestamp" in changed["metadata"] and not changed["metadata"]["finalizers"]:
            self._objects[kind, name] = changed
            self._remove(kind, name)
            return changed
        return self._store("MODIFIED", kind, changed)

    async def annotate(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        annotations: Mapping[str, str | None],
        resource_version: str | None = None,
    ) -> Object:
        changed = self._current(kind, name, resource_version)
        changed["metadata"].setdefault("annotations", {}).update(annotations)
        return self._store("MODIFIED", kind, changed)

    async def create_savepoint(self, body: Mapping[str, Any]) -> Object:
        name = body["metadata"]["name"]
        self._admit(name)
        found = self._objects.get((Kind.FLINK_SAVEPOINT, name))
        if found is not None:
            return copy.deepcopy(found)
        self._uids += 1
        made = copy.deepcopy(dict(body))
        made["metadata"] |= {"uid": f"uid-{self._uids}", "generation": 1, "creationTimestamp": self._now()}
        return self._store("ADDED", Kind.FLINK_SAVEPOINT, made)

    async def delete_savepoint(self, namespace: str, name: str, *, uid: str | None = None) -> bool:
        self._admit(name)
        found = self._objects.get((Kind.FLINK_SAVEPOINT, name))
        if found is None or uid not in (None, found["metadata"]["uid"]):
            return False
        self.delete(Kind.FLINK_SAVEPOINT, name)
        return True

    async def delete_job(self, namespace: str, name: str, *, uid: str) -> bool:
        self.delete(Kind.FLINK_JOB, name)
        return True

    async def create_revision(self, body: Mapping[str, Any]) -> None:
        self._revisions.setdefault(body["metadata"]["name"], copy.deepcopy(dict(body)))

    async def get_revision(self, namespace: str, name: str) -> Object | None:
        return copy.deepcopy(self._revisions.get(name))

    async def list_revisions(self, namespace: str, label_selector: str) -> list[Object]:
        label, _, value = label_selector.partition("=")
        return [r for r in self._revisions.values() if r["metadata"]["labels"].get(label) == value]

    async def delete_revision(self, namespace: str, name: str) -> bool:
        return self._revisions.pop(name, None) is not None

    async def namespace_terminating(self, namespace: str) -> bool:
        return False

    async def namespace_labels(self, namespace: str) -> dict[str, str]:
        return {}

    async def read_secret(self, namespace: str, name: str) -> Object | None:
        return self.secrets.get(name)

    async def read_configmap(self, namespace: str, name: str) -> Object | None:
        return None

    async def read_service(self, namespace: str, name: str) -> Object | None:
        return None

    # inside

    def _admit(self, name: str) -> None:
        if any(fnmatch(name, refused) for refused in self.refused):
            self.refusals += 1
            raise Forbidden(403, f"{name} is denied by a policy")

    def _current(self, kind: Kind, name: str, resource_version: str | None) -> Object:
        found = self._objects.get((kind, name))
        if found is None:
            raise Gone(404, f"{kind.plural} {name} not found")
        if resource_version not in (None, found["metadata"]["resourceVersion"]):
            raise Conflict(409, f"{kind.plural} {name} was changed")
        return copy.deepcopy(found)

    def _store(self, event: str, kind: Kind, obj: Object) -> Object:
        self._version += 1
        stored = json.loads(json.dumps(obj))
        stored["metadata"]["resourceVersion"] = str(self._version)
        self._objects[kind, stored["metadata"]["name"]] = stored
        self.listener(event, kind, copy.deepcopy(stored))
        return copy.deepcopy(stored)

    def _remove(self, kind: Kind, name: str) -> None:
        gone = self._objects.pop((kind, name))
        self.listener("DELETED", kind, gone)


def _merge(old: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(old) if isinstance(old, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged
