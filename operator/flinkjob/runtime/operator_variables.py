"""The variables that an operator has for several namespaces: a ConfigMap that its settings name.

Given to the sources of variables. Invariants: a namespace has them only while it carries the label by which its administrator
allows that; where that cannot be found out it has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from flinkjob.api.constants import LABEL_VARIABLES
from flinkjob.core.errors import Transient
from flinkjob.kube.errors import Forbidden
from flinkjob.runtime.access import NotThere

ALLOWED = "allowed"


class NamespaceReader(Protocol):
    """What is needed of `KubeClient`."""

    async def namespace_labels(self, namespace: str) -> Mapping[str, str]: ...
    async def read_configmap(self, namespace: str, name: str) -> dict[str, Any] | None: ...


class OperatorVariables:
    """Knows whose they are, and reads them."""

    def __init__(self, reader: NamespaceReader, place: str | None) -> None:
        """
        Args:
            place: namespace and name of the ConfigMap, with / between them; None: there is none.
        """
        self._reader = reader
        self._place = place

    async def of(self, namespace: str) -> Mapping[str, bytes]:
        """Those that FlinkJobs of a namespace may use.

        Raises:
            NotThere: the operator has none.
            Transient: this namespace has none, or they cannot be read.
        """
        if self._place is None:
            raise NotThere("the ConfigMap of the operator's variables (--variables-config-map)")
        where, _, name = self._place.partition("/")
        try:
            labels = await self._reader.namespace_labels(namespace)
            if labels.get(LABEL_VARIABLES) != ALLOWED:
                steps = f"kubectl label namespace {namespace} {LABEL_VARIABLES}={ALLOWED}"
                raise Transient(
                    "variables",
                    f"namespace {namespace} may not use the operator's variables; an administrator can allow it: {steps}",
                )
            found = await self._reader.read_configmap(where, name)
        except Forbidden as error:
            raise Transient("variables", f"the operator may not read its variables: {error.message}") from error
        if found is None:
            raise NotThere(f"ConfigMap {self._place} of the operator's variables")
        return {key: str(value).encode() for key, value in (found.get("data") or {}).items()}
