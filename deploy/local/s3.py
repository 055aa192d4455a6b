"""A local S3 server (versitygw on a directory), for checkpoints, savepoints and the sync to object stores."""

from collections.abc import Mapping
from pathlib import Path

import httpx

from deploy.local import plainhttp
from deploy.local.binaries import tool_binary
from deploy.local.ports import free_port
from deploy.local.processes import OneProcess, Process


class S3Server(OneProcess):
    """One S3 server; a context manager that starts and stops it.

    Args:
        directory: for the data (`data/<bucket>/<key>` are plain files) and the log.
        buckets: made at the start.
    """

    access_key = "local"
    secret_key = "local-secret"
    region = "us-east-1"

    def __init__(self, directory: Path, buckets: tuple[str, ...] = ("flink",)) -> None:
        self.directory = directory
        self.data = directory / "data"
        self._buckets = buckets
        self._port = free_port()
        self.endpoint = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Starts the server, on the same port each time, and waits until it answers.

        Raises:
            MissingPrerequisite, StepFailed: the program cannot be built.
            ProcessFailed: the server did not start.
        """
        program = tool_binary("versitygw")
        for bucket in self._buckets:
            self.bucket(bucket)
        self._process = Process(
            "s3",
            [program, "--port", f"127.0.0.1:{self._port}", "posix", self.data],
            log=self.directory / "s3.log",
            env={"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key},
        )
        self._process.wait_ready(self._answers, timeout=30)

    def stop(self) -> None:
        """Ends the server; the data stays."""
        if self._process is not None:
            self._process.stop(grace=2)

    def bucket(self, name: str) -> Path:
        """The directory of a bucket, which is made when missing."""
        path = self.data / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def flink_options(self) -> Mapping[str, str]:
        """Flink configuration of the S3 file system for this server."""
        return {
            "s3.endpoint": self.endpoint,
            "s3.path.style.access": "true",
            "s3.access-key": self.access_key,
            "s3.secret-key": self.secret_key,
            "s3.directory.marker.retention": "keep",
        }

    def _answers(self) -> bool:
        try:
            return plainhttp.get(self.endpoint, timeout=5).status_code in (200, 403)
        except httpx.HTTPError:
            return False
