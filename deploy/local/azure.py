"""A local server of Azure's blobs (Azurite, on Node.js), whose data are in memory; its version is pinned in `azurite/`."""

import base64
import hashlib
import hmac
import shutil
from email.utils import formatdate
from pathlib import Path

import httpx

from deploy.local import plainhttp
from deploy.local.cache import cache_root, cached
from deploy.local.plan import Step
from deploy.local.ports import free_port
from deploy.local.prerequisites import require
from deploy.local.processes import OneProcess, Process
from deploy.local.progress import run_step

SOURCES = Path(__file__).with_name("azurite")
FILES = ("package.json", "package-lock.json", "server.js")
_VERSION = "2023-11-03"
_OTHER_HEADERS = "\n" * 12
"""Those that a signature also names, none of which is sent."""
_FETCHING = "fetching Azurite (once)"


class AzureServer(OneProcess):
    """One server; a context manager that starts and stops it.

    Args:
        directory: for the log.
        container: made at the start.
    """

    account = "shop"
    key = base64.b64encode(b"a key of the local server").decode()

    def __init__(self, directory: Path, container: str) -> None:
        self.directory = directory
        self._container = container
        self._port = free_port()
        self.endpoint = f"http://127.0.0.1:{self._port}/{self.account}"

    def start(self) -> None:
        """Starts the server and waits until it answers.

        Raises:
            MissingPrerequisite, StepFailed: it cannot be had.
            ProcessFailed: it did not start.
        """
        node = require("node", "a server of Azure's blobs runs on Node.js")
        self.directory.mkdir(parents=True, exist_ok=True)
        self._process = Process(
            "azure",
            [node, azurite_directory() / "server.js", str(self._port), self.directory],
            log=self.directory / "azure.log",
            env={"AZURITE_ACCOUNTS": f"{self.account}:{self.key}"},
        )
        self._process.wait_ready(self._answers, timeout=30)
        self._make_container()

    def _make_container(self) -> None:
        """Signed as Azure's Shared Key is: over the verb, the headers of Azure's own, and the resource."""
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSION}
        listed = "".join(f"{name}:{value}\n" for name, value in headers.items())
        signed = f"PUT{_OTHER_HEADERS}{listed}/{self.account}/{self.account}/{self._container}\nrestype:container"
        signature = base64.b64encode(hmac.digest(base64.b64decode(self.key), signed.encode(), "sha256")).decode()
        headers |= {"Authorization": f"SharedKey {self.account}:{signature}", "Content-Length": "0"}
        where = f"{self.endpoint}/{self._container}?restype=container"
        plainhttp.put(where, headers=headers, timeout=10).raise_for_status()

    def _answers(self) -> bool:
        try:
            return plainhttp.get(self.endpoint, timeout=5).status_code < 500
        except httpx.HTTPError:
            return False


def azurite_directory() -> Path:
    """Where the server's program is; installed once.

    Raises:
        MissingPrerequisite: npm is not installed.
        StepFailed: a package cannot be had, or is not the pinned one.
    """

    def install(target: Path) -> None:
        npm = require("npm", "Azurite is a package of Node.js")
        target.mkdir()
        for name in FILES:
            shutil.copyfile(SOURCES / name, target / name)
        downloads = target / "downloads"
        options = [
            "--ignore-scripts",
            "--omit=dev",
            "--omit=optional",
            "--no-audit",
            "--no-fund",
            "--no-update-notifier",
        ]
        run_step(_FETCHING, [npm, "ci", *options, "--cache", downloads], cwd=target)
        shutil.rmtree(downloads)

    return cached(_entry(), install)


def azurite_steps() -> list[Step]:
    """What `azurite_directory` would do."""
    entry = cache_root() / _entry()
    return [Step(_FETCHING, lambda: not entry.exists())]


def _entry() -> str:
    return f"azurite-{hashlib.sha256(b''.join((SOURCES / name).read_bytes() for name in FILES)).hexdigest()[:16]}"
