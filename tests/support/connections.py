"""How the servers of tests in front of Flink and the API server end their connections."""

from __future__ import annotations

import asyncio

from aiohttp import web


async def end_connections(runner: web.AppRunner) -> None:
    """Stop listening and end every connection.

    A connection that is being accepted when its server is closed is forgotten by asyncio, but stays open.
    """
    while accepting := [task for task in asyncio.all_tasks() if "_accept_connection" in repr(task.get_coro())]:
        await asyncio.wait(accepting)
    await runner.cleanup()
