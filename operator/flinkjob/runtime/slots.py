"""Slots for long work, such as downloads and copies: how much goes on at the same time, and whose turn is next.

Used by `tasks`, `copy_tasks` and `copy_search`; how many each namespace may have says `core/shares.py`. Invariants: never
more than twice the limit in all, which bounds memory and connections; whatever hangs in one namespace holds up no other, for
it never has all of them; among those that wait, the namespace with the fewest slots goes first, then the one that was served
longest ago, then the place with the fewest, then who has waited longest.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from flinkjob.core.shares import Place, Shares, Usage


@dataclass(eq=False)
class _Ticket:
    namespace: str
    place: str
    turn: asyncio.Future[None]
    given: Place | None = None


class Slots:
    """The slots of one sort of work."""

    def __init__(self, limit: int, share: int | None = None) -> None:
        """
        Args:
            limit: pieces of work at the same time; as many again where each is the first of its namespace.
            share: the most of them for one namespace; None: all. Beyond it one more goes to each place that has none, as
                long as there stays a slot for another namespace.
        """
        self._shares = Shares(limit, each=limit if share is None else share)
        self._places: Counter[tuple[str, str]] = Counter()
        self._served: dict[str, int] = {}
        self._turns = 0
        self._waiting: list[_Ticket] = []

    def usage(self) -> Usage:
        """How many slots there are, are taken, and are waited for."""
        return Usage(self._shares.limit, self._shares.taken, len(self._waiting))

    @asynccontextmanager
    async def hold(self, namespace: str, place: str = "") -> AsyncIterator[None]:
        """Hold a slot, once there is one.

        Args:
            place: what may be slow on its own within the namespace, such as a store.
        """
        ticket = _Ticket(namespace, place, asyncio.get_running_loop().create_future())
        self._waiting.append(ticket)
        self._serve()
        try:
            await ticket.turn
        except BaseException:
            if ticket.given is not None:  # and cancelled at the same moment
                self._release(ticket)
            else:
                self._waiting.remove(ticket)
                self._forget(namespace)
            raise
        try:
            yield
        finally:
            self._release(ticket)

    def _release(self, ticket: _Ticket) -> None:
        assert ticket.given is not None
        ticket.given.give_back()
        place = (ticket.namespace, ticket.place)
        self._places[place] -= 1
        if not self._places[place]:
            del self._places[place]
        self._serve()
        self._forget(ticket.namespace)

    def _forget(self, namespace: str) -> None:
        """Nothing is kept of a namespace that neither has nor wants a slot."""
        if not self._shares.of(namespace) and all(ticket.namespace != namespace for ticket in self._waiting):
            self._served.pop(namespace, None)

    def _serve(self) -> None:
        """Give the slots that are free to those that wait."""
        while wanting := [ticket for ticket in self._waiting if not ticket.turn.cancelled() and self._may(ticket)]:
            ticket = min(wanting, key=self._rank)  # the first of equals
            self._waiting.remove(ticket)
            ticket.given = self._shares.take(ticket.namespace)
            self._places[ticket.namespace, ticket.place] += 1
            self._turns += 1
            self._served[ticket.namespace] = self._turns
            ticket.turn.set_result(None)

    def _rank(self, ticket: _Ticket) -> tuple[int, int, int]:
        namespace = ticket.namespace
        return self._shares.of(namespace), self._served.get(namespace, 0), self._places[namespace, ticket.place]

    def _may(self, ticket: _Ticket) -> bool:
        """Whether there is a slot for this one."""
        namespace, place = ticket.namespace, (ticket.namespace, ticket.place)
        return self._shares.may(namespace) or (not self._places[place] and self._shares.may_exceed(namespace))
