"""The real Prometheus, for tests of what is asked of it: Debian's package, unpacked into the cache and not installed.

An installed one is used where there is one. Nothing of the machine is changed: no service, no user.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from deploy.local import plainhttp
from deploy.local.debian import unpacked
from deploy.local.ports import free_port
from deploy.local.processes import OneProcess, Process

PACKAGE = "prometheus"
START_SECONDS = 30.0


def program() -> Path:
    """The path of the program. Raises MissingPrerequisite, StepFailed: it cannot be had here."""
    if found := shutil.which(PACKAGE):
        return Path(found)
    return unpacked(PACKAGE, "Prometheus comes as Debian's package") / "usr" / "bin" / PACKAGE


class Prometheus(OneProcess):
    """A Prometheus that scrapes one address each second.

    Args:
        directory: for its data and log; made when missing.
        target: host and port of what it scrapes.
        labels: that it gives to all from there.
        honor_labels: whether labels that are there already stay as they are.

    Attributes:
        url: of its API.
    """

    def __init__(
        self, directory: Path, target: str, labels: Mapping[str, str] | None = None, *, honor_labels: bool = False
    ) -> None:
        self._directory = directory
        self._target = target
        self._labels = dict(labels or {})
        self._honor_labels = honor_labels
        self.url = ""

    def start(self) -> None:
        """Starts it and waits until it is ready. Raises MissingPrerequisite, StepFailed, ProcessFailed."""
        self._directory.mkdir(parents=True, exist_ok=True)
        targets = {"targets": [self._target], "labels": self._labels}
        scrape = {"job_name": "operator", "honor_labels": self._honor_labels, "static_configs": [targets]}
        config = self._directory / "prometheus.yml"
        config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}))
        address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}"
        command = (
            *(program(), f"--config.file={config}", f"--web.listen-address={address}"),
            f"--storage.tsdb.path={self._directory / 'data'}",
        )
        self._process = Process(PACKAGE, command, log=self._directory / "prometheus.log")
        self._process.wait_ready(self._is_ready, timeout=START_SECONDS)

    def stop(self) -> None:
        """Ends it; its data stay."""
        if self._process is not None:
            self._process.stop()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression is now: its series. Raises HTTPStatusError: Prometheus does not understand it."""
        asked = {"query": expression}
        answer = plainhttp.get(f"{self.url}/api/v1/query", params=asked, timeout=10).raise_for_status()
        return list(answer.json()["data"]["result"])

    def _is_ready(self) -> bool:
        try:
            return plainhttp.get(f"{self.url}/-/ready", timeout=5).is_success
        except httpx.HTTPError:
            return False
