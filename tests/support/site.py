"""What an integration test builds its places of work from: the API server, the demo job, and operators of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local.controlplane import ControlPlane
from deploy.local.flink import FlinkCluster
from deploy.local.s3 import S3Server
from tests.support.kube import Kube, secret
from tests.support.lab import Lab
from tests.support.operator import OperatorProcess


@dataclass(frozen=True)
class Site:
    """Makes operators and places of work.

    Attributes:
        control_plane: where the operators work.
        kube: its API server, as administrator.
        jar: the demo job.
        paths: where directories are made.
        flags: of every operator, without their dashes.
    """

    control_plane: ControlPlane
    kube: Kube
    jar: Path
    paths: pytest.TempPathFactory
    flags: Mapping[str, str | int]

    def operator(self, namespace: str, *others: str, **flags: str | int) -> OperatorProcess:
        """An operator for a namespace, which is made and has the operator's identity; it may read all that tests write.

        Args:
            others: further namespaces that it watches.
            flags: have underscores where the command line has dashes.
        """
        for made in (namespace, *others):
            self.kube.create_namespace(made)
        given = {name.replace("_", "-"): value for name, value in flags.items()}
        return OperatorProcess(
            self.control_plane,
            self.paths.mktemp(f"operator-{namespace}"),
            namespaces=[namespace, *others],
            identity=namespace,
            artifact_dirs=[self.jar.parents[2], self.paths.getbasetemp()],
            options={**self.flags, **given},
        )

    def grants(self, namespace: str) -> str:
        """The flag `store-grants` that gives the namespace all that tests write."""
        return f"{namespace}=file://{self.paths.getbasetemp()}"

    def store(self, namespace: str, s3: S3Server, name: str = "store") -> None:
        """A Secret with the keys of the store."""
        self.kube.apply(secret(namespace, name, accessKeyId=s3.access_key, secretAccessKey=s3.secret_key))

    @contextmanager
    def lab(self, operator: OperatorProcess, flink: FlinkCluster, directory: Path) -> Iterator[Lab]:
        """A place of work in the namespace of `operator`; what was made in it is deleted at the end."""
        place = Lab(self.kube, flink, operator, operator.identity, self.jar, directory)
        try:
            yield place
            place.clean()
        finally:
            place.close()
