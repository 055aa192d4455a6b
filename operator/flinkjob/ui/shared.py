"""The server behind `flinkjob-ui`: the pages for everybody whom a proxy lets come to them. The chart runs it (`ui.enabled`).

Invariants: nothing is changed, whoever asks; what is read is what its own ServiceAccount may read; Flink is asked without any
credential, and only at addresses that the operator would connect to as well.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import httpx

from flinkjob.core.access.hosts import HostRules
from flinkjob.core.errors import FlinkJobError
from flinkjob.kube.kubecontext import KubeContext
from flinkjob.kube.user import UserClient
from flinkjob.net.checked import CheckedTransport
from flinkjob.observability.logging import configure
from flinkjob.ui.app import application
from flinkjob.ui.guard import Gate
from flinkjob.ui.objects import Objects
from flinkjob.ui.serving import answer

REFUSED: Final = 1


def run(raw: Sequence[str]) -> int:
    """Serve until the process is asked to end; returns its exit code."""
    parser = argparse.ArgumentParser(prog="flinkjob-ui", description="FlinkJobs in a browser, without any action.")
    parser.add_argument("--port", type=int, default=8080, help="of all addresses of this machine")
    parser.add_argument("--namespaces", default="", help="that are shown, separated by commas; none: all")
    parser.add_argument("--allowed-hosts", default="", help="of Flink clusters, as the operator's; none: as there")
    parser.add_argument("--kubeconfig", type=Path, help="none: the Pod's ServiceAccount")
    given = parser.parse_args(raw)
    configure("json", "WARNING")
    try:
        rules = HostRules.of(_words(given.allowed_hosts))
    except ValueError as error:
        parser.error(f"--allowed-hosts: {error}")
    try:
        asyncio.run(_serve(given.kubeconfig, _words(given.namespaces), rules, given.port))
    except (FlinkJobError, OSError) as error:
        logging.getLogger("flinkjob.ui").error("%s", error)
        return REFUSED
    return 0


async def _serve(kubeconfig: Path | None, namespaces: Sequence[str], rules: HostRules, port: int) -> None:
    gate = Gate(token=None, hosts=frozenset())
    async with await UserClient.connect(KubeContext(kubeconfig=kubeconfig)) as kube:
        pages = application(Objects(kube, namespaces), gate, partial(_to_flink, rules))
        with _listening(port) as listening:
            await answer(pages, listening)


def _to_flink(rules: HostRules) -> httpx.AsyncClient:
    """A client that connects to no address that the rules refuse."""

    async def allowed(request: httpx.Request) -> None:
        rules.check_host(request.url.host)

    return httpx.AsyncClient(transport=CheckedTransport(rules.check_address), event_hooks={"request": [allowed]})


def _listening(port: int) -> socket.socket:
    """On every address of the machine, of both kinds where it has both."""
    if socket.has_dualstack_ipv6():
        # The kernel may know IPv6 where the machine has none. That the port is taken the next line says again.
        with suppress(OSError):
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)
