"""The last look at the Lease: when a request that changes something at Flink is about to be written to its connection.

Given by `app` to the HTTP client of all clusters. The gate of `faults` is passed before the call; reading credentials,
waiting for a place in the pool, resolving, connecting and TLS come after it, and a process may be frozen in any of them.
Invariant: of a request that is refused here not a byte of what is about to be written is sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

READS = frozenset({"GET", "HEAD"})
PARTS = (".send_request_headers.started", ".send_request_body.started")
"""What httpcore2 reports right before it writes: without its body Flink acts on no request that has one."""


def before_sending(require: Callable[[], None]) -> Callable[[httpx.Request], Awaitable[None]]:
    """A request hook for an HTTP client.

    Args:
        require: raises where this process may not have effects now; the request ends with what it raises.
    """

    async def look(event: str, _: Mapping[str, Any]) -> None:
        if event.endswith(PARTS):
            require()

    async def hook(request: httpx.Request) -> None:
        if request.method not in READS:
            request.extensions["trace"] = look

    return hook
