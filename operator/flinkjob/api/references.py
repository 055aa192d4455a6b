"""References to Secrets and ConfigMaps of the resource's own namespace; used by the specs of both kinds."""

from typing import Annotated

from pydantic import Field

from flinkjob.api.common import ObjectName
from flinkjob.api.model import SpecModel, exactly_one


class NamedSecret(SpecModel):
    """A Secret of the same namespace."""

    name: Annotated[ObjectName, Field(description="Its name.")]


class NamedConfigMap(SpecModel):
    """A ConfigMap of the same namespace."""

    name: Annotated[ObjectName, Field(description="Its name.")]


class NamedKey(SpecModel):
    """One key of a Secret or ConfigMap of the same namespace."""

    name: Annotated[ObjectName, Field(description="Its name.")]
    key: Annotated[
        Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")], Field(description="The key.")
    ]


class KeyRef(SpecModel):
    """Where a value is."""

    RULES = (exactly_one("spec.cluster.tls.ca", "secretKeyRef", "configMapKeyRef"),)

    secret_key_ref: Annotated[NamedKey | None, Field(description="In a Secret.")] = None
    config_map_key_ref: Annotated[NamedKey | None, Field(description="In a ConfigMap.")] = None


class StoreKeyRef(KeyRef):
    """Where the certificates of a store are."""

    RULES = (
        exactly_one(
            "spec.syncTo.ca, also of savepoints.syncTo, initialState.copies and store",
            "secretKeyRef",
            "configMapKeyRef",
        ),
    )
