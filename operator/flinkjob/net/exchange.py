"""One HTTP exchange as a whole: a time limit for all of it, and an end that leaves the pool of connections in order.

Used by `FlinkRest` and `HttpSource`. httpx limits each wait by itself (to connect, for each piece of an answer), and
cancelling a task in the middle of its pool can lose a place in that pool for ever: after a hundred of them nothing is sent
any more. So an exchange runs in a task of its own, which is not cancelled: its limit, and the end of whoever waits for it,
end what it waits for on its socket (`patience`), and httpx puts everything away as after any time-out.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar

GRACE: Final = 1.0
"""How long an exchange may last after its end because it waits for something else than its socket, in seconds."""

T = TypeVar("T")


class _Exchange:
    """When an exchange ends at the latest, and what it waits for just now."""

    def __init__(self, seconds: float) -> None:
        self.ends_at = asyncio.get_running_loop().time() + seconds
        self.limits: set[asyncio.Timeout] = set()

    def end(self) -> None:
        """Let no more be waited for."""
        self.ends_at = asyncio.get_running_loop().time()
        for limit in self.limits:
            if not limit.expired():
                limit.reschedule(self.ends_at)


_current: ContextVar[_Exchange | None] = ContextVar("exchange", default=None)


@asynccontextmanager
async def patience(seconds: float | None) -> AsyncIterator[None]:
    """Wait inside at most `seconds` (None: for ever) and not beyond the end of the exchange that this is part of.

    Raises:
        TimeoutError: it took longer.
    """
    exchange = _current.get()
    until = math.inf if seconds is None else asyncio.get_running_loop().time() + seconds
    if exchange is not None:
        until = min(until, exchange.ends_at)
    async with asyncio.timeout_at(None if until == math.inf else until) as limit:
        if exchange is None:
            yield
            return
        exchange.limits.add(limit)
        try:
            yield
        finally:
            exchange.limits.discard(limit)


async def complete(call: Callable[[], Coroutine[Any, Any, T]], seconds: float) -> T:
    """The outcome of `call`, which makes one exchange.

    When the caller is cancelled the exchange has ended before the cancellation goes on.

    Args:
        seconds: for everything together.

    Raises:
        TimeoutError: it took longer (or whatever `call` makes of a time-out of its socket).
        BaseException: what `call` raises.
    """
    exchange = _Exchange(seconds)

    async def within() -> T:
        _current.set(exchange)
        return await call()

    task = asyncio.create_task(within())
    task.add_done_callback(_retrieved)
    try:
        await asyncio.wait({task}, timeout=seconds + GRACE)
    except asyncio.CancelledError:
        exchange.end()
        await asyncio.wait({task}, timeout=GRACE)
        task.cancel()
        raise
    if not task.done():
        task.cancel()
        raise TimeoutError
    return task.result()


def _retrieved(task: asyncio.Task[Any]) -> None:
    """Nobody may be left who asks how it ended."""
    if not task.cancelled():
        task.exception()
