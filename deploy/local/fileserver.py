"""Serves a directory over HTTP, so that the operator can fetch the demo jar as from an artifact server."""

import sys
from pathlib import Path

import httpx

from deploy.local import plainhttp
from deploy.local.ports import free_port
from deploy.local.processes import OneProcess, Process


class FileServer(OneProcess):
    """One HTTP file server; a context manager that starts and stops it.

    Args:
        directory: what is served (files added later are served too).
        log: the access log.
    """

    def __init__(self, directory: Path, log: Path) -> None:
        self.directory = directory
        self.log = log
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Starts the server and waits until it answers. Raises ProcessFailed."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command: list[str | Path] = [
            "-m",
            "http.server",
            "--bind",
            "127.0.0.1",
            "--directory",
            self.directory,
            str(self._port),
        ]
        self._process = Process("fileserver", [sys.executable, *command], log=self.log)
        self._process.wait_ready(self._answers, timeout=30)

    def stop(self) -> None:
        """Ends the server."""
        if self._process is not None:
            self._process.stop(grace=0)

    def _answers(self) -> bool:
        try:
            return plainhttp.get(self.url, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False
