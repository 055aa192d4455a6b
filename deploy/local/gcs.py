"""A local server of Google's storage (fake-gcs-server on a directory), which asks nobody who he is."""

from pathlib import Path

import httpx

from deploy.local import plainhttp
from deploy.local.binaries import tool_binary
from deploy.local.ports import free_port
from deploy.local.processes import OneProcess, Process


class GcsServer(OneProcess):
    """One server; a context manager that starts and stops it.

    Args:
        directory: for the data and the log.
        bucket: made at the start.
    """

    def __init__(self, directory: Path, bucket: str) -> None:
        self.directory = directory
        self._bucket = bucket
        self._port = free_port()
        self.endpoint = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Starts the server and waits until it answers.

        Raises:
            MissingPrerequisite, StepFailed: the program cannot be built.
            ProcessFailed: the server did not start.
        """
        data = self.directory / "data"
        (data / self._bucket).mkdir(parents=True, exist_ok=True)
        where = [
            "-scheme",
            "http",
            "-host",
            "127.0.0.1",
            "-port",
            str(self._port),
            "-public-host",
            f"127.0.0.1:{self._port}",
        ]
        command: list[str | Path] = [
            tool_binary("fake-gcs-server"),
            *where,
            "-filesystem-root",
            data,
            "-log-level",
            "warn",
        ]
        self._process = Process("gcs", command, log=self.directory / "gcs.log")
        self._process.wait_ready(self._answers, timeout=30)

    def put(self, name: str, content: bytes) -> None:
        """Stores an object. The server knows uploads only as Google's JSON interface has them."""
        where = f"{self.endpoint}/upload/storage/v1/b/{self._bucket}/o"
        query = {"uploadType": "media", "name": name}
        plainhttp.post(where, params=query, content=content, timeout=30).raise_for_status()

    def _answers(self) -> bool:
        try:
            return plainhttp.get(f"{self.endpoint}/storage/v1/b", timeout=5).status_code < 500
        except httpx.HTTPError:
            return False
