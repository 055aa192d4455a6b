"""The kinds this operator serves, and references to their objects.

Used by everything that talks to the API server. Only names, no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from flinkjob.api.constants import API_VERSION, JOB_KIND, JOB_PLURAL, SAVEPOINT_KIND, SAVEPOINT_PLURAL


class Kind(Enum):
    """A custom resource of the operator: its value is (kind, plural)."""

    FLINK_JOB = (JOB_KIND, JOB_PLURAL)
    FLINK_SAVEPOINT = (SAVEPOINT_KIND, SAVEPOINT_PLURAL)

    @property
    def kind(self) -> str:
        """The name in manifests, as in `kind: FlinkJob`."""
        return self.value[0]

    @property
    def plural(self) -> str:
        """The name in URLs and RBAC rules."""
        return self.value[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectRef:
    """What an Event is about, in the words of `core/v1 ObjectReference`."""

    kind: str
    namespace: str
    name: str
    uid: str = ""
    api_version: str = API_VERSION
    resource_version: str = ""

    @classmethod
    def of(cls, obj: Mapping[str, Any]) -> ObjectRef:
        """The reference to an object as the API server returned it."""
        meta = obj["metadata"]
        return cls(
            kind=obj["kind"],
            api_version=obj["apiVersion"],
            namespace=meta.get("namespace", ""),
            name=meta["name"],
            uid=meta.get("uid", ""),
            resource_version=meta.get("resourceVersion", ""),
        )

    def as_dict(self) -> dict[str, str]:
        """The reference as it is written into an object, empty parts left out."""
        full = {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
            "resourceVersion": self.resource_version,
        }
        return {key: value for key, value in full.items() if value}
