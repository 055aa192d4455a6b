"""How many copies are made at the same time, and whose turn is next: a store that crawls holds up no other.

Used by `copy_tasks`. Invariants: never more than twice the limit in all, which bounds the memory; beyond the limit only one
to each store; among those that wait the store with the fewest copies under way goes first, then who has waited longest.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(eq=False)
class _Ticket:
    store: str
    turn: asyncio.Future[None]
    given: bool = False


class Slots:
    """The slots of all copies."""

    def __init__(self, limit: int) -> None:
        """
        Args:
            limit: copies at the same time; as many again where each is the only one of its store.
        """
        self._limit = limit
        self._running: Counter[str] = Counter()
        self._waiting: list[_Ticket] = []

    @asynccontextmanager
    async def hold(self, store: str) -> AsyncIterator[None]:
        """Hold a slot for a copy to this store, once there is one."""
        ticket = _Ticket(store, asyncio.get_running_loop().create_future())
        self._waiting.append(ticket)
        self._serve()
        try:
            await ticket.turn
        except BaseException:
            if ticket.given:  # and cancelled at the same moment
                self._release(store)
            else:
                self._waiting.remove(ticket)
            raise
        try:
            yield
        finally:
            self._release(store)

    def _release(self, store: str) -> None:
        self._running[store] -= 1
        if self._running[store] == 0:
            del self._running[store]
        self._serve()

    def _serve(self) -> None:
        """Give the slots that are free to those that wait."""
        while wanting := [ticket for ticket in self._waiting if not ticket.turn.cancelled()]:
            ticket = min(wanting, key=lambda one: self._running[one.store])  # the first of equals
            total = self._running.total()
            if total >= self._limit and (self._running[ticket.store] or total >= 2 * self._limit):
                return
            self._waiting.remove(ticket)
            self._running[ticket.store] += 1
            ticket.given = True
            ticket.turn.set_result(None)
