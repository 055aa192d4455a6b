"""The command `ui`, and the server behind it."""

from __future__ import annotations

import socket
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from flinkjob.cli.session import Session
from flinkjob.ui.app import application
from flinkjob.ui.guard import TOKEN_PARAMETER, Gate, new_token
from flinkjob.ui.objects import Objects

MOST_CONNECTIONS: Final = 256
LOOPBACK: Final = "127.0.0.1"
NAMES: Final = frozenset({LOOPBACK, "localhost", "[::1]"})


async def serve(session: Session, *, everywhere: bool, port: int, read_only: bool) -> None:
    """Serve the pages on a loopback address until the server is ended; the address with its token is printed.

    Args:
        everywhere: the objects of all namespaces.
        port: 0: any that is free.

    Raises:
        OSError: the port is taken.
    """
    objects = Objects(session.kube, () if everywhere else (session.namespace,))
    gate = Gate(token=new_token(), hosts=NAMES, changes=not read_only)
    with socket.create_server((LOOPBACK, port)) as listening:
        address = f"http://{LOOPBACK}:{listening.getsockname()[1]}/?{TOKEN_PARAMETER}={gate.token}"
        session.output.lines([address])
        session.output.progress("Open this address in a browser of this machine. Ctrl-C ends it.")
        await answer(application(objects, gate), listening)


async def answer(app: ASGIApp, listening: socket.socket) -> None:
    """Answer requests until the process is asked to end."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=1,
    )
    await uvicorn.Server(config).serve(sockets=[listening])
