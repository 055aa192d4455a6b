"""A process of its own, for work of which others choose how much it takes: started here, and ended whatever happens.

Used by `artifacts/build.py` and `snapshots/apart.py`; the limits are set by what runs in it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

_FEW_ARENAS = {"MALLOC_ARENA_MAX": "2"}
"""Memory that is only reserved counts, too."""


@asynccontextmanager
async def child(
    module: str, *arguments: str, limit: int, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Process]:
    """A running `python -m module`, with pipes for input and output; killed at the end.

    Args:
        limit: the longest line that is read of it, in bytes.
        environment: in addition to that of this process.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module, *arguments),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        limit=limit,
        start_new_session=True,  # what ends the operator ends it in order
        env={**os.environ, **_FEW_ARENAS, **(environment or {})},
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
