"""`spec.cluster` of a FlinkJob, and of the target of a FlinkSavepoint: where a Flink cluster is and how to connect to it.

Invariant: every field declares its class, itself or through the field that holds it.
"""

import re
from typing import Annotated

from pydantic import Field

from flinkjob.api.common import ClusterUrl
from flinkjob.api.enums import Requirement
from flinkjob.api.fieldclass import FieldClass
from flinkjob.api.model import Rule, SpecModel, exactly_one
from flinkjob.api.references import KeyRef, NamedSecret

_SHORT_HOST = re.compile(r"^(https?://(?!localhost(?:[:/]|$))[a-z](?:[-a-z0-9]*[a-z0-9])?)(?=[:/]|$)", re.IGNORECASE)
"""A host without dots that can be the name of a Service; `localhost` is this machine everywhere."""


class TlsSpec(SpecModel):
    """How the REST endpoint is trusted, and how the operator shows who it is."""

    ca: Annotated[
        KeyRef | None, Field(description="Certificates (PEM) that are trusted. Defaults to those of the system.")
    ] = None
    client_secret_ref: Annotated[
        NamedSecret | None, Field(description="A Secret with tls.crt and tls.key, shown to the cluster (mTLS).")
    ] = None
    server_name: Annotated[
        Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-.a-zA-Z0-9]+$")] | None,
        Field(description="The name that the cluster's certificate has, where it is not the one of the address."),
    ] = None
    insecure_skip_verify: Annotated[bool, Field(description="Trust any certificate: for tests only.")] = False


class ServiceRef(SpecModel):
    """A Service in front of the JobManager."""

    name: Annotated[
        Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")],
        Field(description="Its name."),
    ]
    namespace: Annotated[
        Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] | None,
        Field(
            description="Its namespace. Defaults to this object's. Another one must allow it by the annotation "
            "flinkjob.dev/allow-from: ns1,ns2 on the Service."
        ),
    ] = None
    port: Annotated[int, Field(ge=1, le=65535, description="Its port.")] = 8081


class ClusterSpec(SpecModel):
    """The Flink cluster that runs the job."""

    RULES = (
        exactly_one("spec.cluster", "url", "serviceRef"),
        Rule(
            "!has(self.tls) || !has(self.url) || self.url.startsWith('https://')",
            "spec.cluster.url: tls needs https",
            lambda cluster: cluster.tls is None or cluster.url is None or cluster.url.startswith("https://"),
        ),
    )

    url: Annotated[
        ClusterUrl | None,
        Field(
            description="The JobManager's REST endpoint, such as http://flink-jobmanager:8081, of any Flink "
            "cluster from 1.20 to 2.3, whoever runs it. Without user information. A host without dots is the Service of "
            "that name in this object's namespace, unless it is localhost; with a dot at its end (http://flink.:8081) it "
            "is a host of the operator's network. A Service of another namespace (NAME.NAMESPACE.svc) must allow this one, "
            "as for serviceRef."
        ),
    ] = None
    service_ref: Annotated[
        ServiceRef | None,
        Field(description="The Service in front of it, instead of url; https when tls is present."),
    ] = None
    auth_secret_ref: Annotated[
        NamedSecret | None,
        Field(
            description="A Secret with username and password, or with token (bearer), and with the annotation "
            "flinkjob.dev/use: cluster."
        ),
        FieldClass.LIVE,
    ] = None
    tls: Annotated[
        TlsSpec | None, Field(description="Trust and client certificate of the REST endpoint."), FieldClass.LIVE
    ] = None
    require: Annotated[
        tuple[Requirement, ...],
        Field(
            max_length=3,
            description="What the cluster must offer; not met = ClusterSuitable is False and nothing is submitted.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
        FieldClass.LIVE,
    ] = ()

    def address(self, namespace: str) -> str:
        """The address of the REST endpoint, for an object of this namespace."""
        if self.service_ref is None:
            return _in_namespace(self.url or "", namespace)
        scheme = "http" if self.tls is None else "https"
        service = self.service_ref
        return f"{scheme}://{service.name}.{service.namespace or namespace}.svc:{service.port}"


def _in_namespace(url: str, namespace: str) -> str:
    """The address with a host without dots as the Service of that name in the namespace."""
    return _SHORT_HOST.sub(rf"\1.{namespace}.svc", url)
