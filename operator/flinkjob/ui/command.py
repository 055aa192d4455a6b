"""ui: the pages in a browser; what they need is imported when they are asked for, and said where it is not installed."""

from __future__ import annotations

from typing import Annotated

import typer

from flinkjob.cli.errors import CommandFailed
from flinkjob.cli.session import Session

NEEDED = ("starlette", "jinja2", "uvicorn")


async def ui(
    session: Session,
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Show all namespaces.")] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Defaults to one that is free.")] = 0,
    read_only: Annotated[bool, typer.Option("--read-only", help="Without the actions.")] = False,
) -> None:
    """Show FlinkJobs in a browser of this machine, with your own rights."""
    try:
        from flinkjob.ui.serving import serve
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        raise CommandFailed("the pages are not installed: pip install 'flinkjob-operator[ui]'") from None
    try:
        await serve(session, everywhere=all_namespaces, port=port, read_only=read_only)
    except OSError as error:
        raise CommandFailed(f"port {port} cannot be used: {error.strerror}") from error
