"""Permits that are waited for: so many things at the same time, with a share for each namespace.

Used for connections (`checked`), look-ups of names (`resolver`), and in `runtime/` for long calls (`tasks`), copies
(`copy_tasks`), searches (`copy_search`) and downloads; bytes of answers (`foreign`) are not waited for, but have the same
accounts. Who is next says `core/shares.py`. For which namespaces something is done is noted where it begins, see
`on_account`, and holds for every task that is made from there; downloads, copies and searches name theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Final, ParamSpec, TypeVar

from flinkjob.core.shares import Permit, Shares, Usage, WaitingList

T = TypeVar("T")
P = ParamSpec("P")
OPERATOR: Final = ("",)
"""Whose account it is where nobody asked for it."""

_accounts: ContextVar[tuple[str, ...]] = ContextVar("accounts", default=OPERATOR)


@contextmanager
def on_account(namespaces: tuple[str, ...]) -> Iterator[None]:
    """What is done inside is done for these namespaces: what it takes counts as that one's which has least.

    Where there are none it is done for whom it was done before.
    """
    before = _accounts.set(namespaces or _accounts.get())
    try:
        yield
    finally:
        _accounts.reset(before)


def payer(taken: Callable[[str], int]) -> str:
    """Whose account something is taken on now.

    Args:
        taken: how much a namespace has.
    """
    return min(_accounts.get(), key=taken)


def paid_by(namespaces: Callable[[], tuple[str, ...]], ask: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """`ask`, done for the namespaces that there are when it is called."""

    async def paid(*arguments: P.args, **named: P.kwargs) -> T:
        with on_account(namespaces()):
            return await ask(*arguments, **named)

    return paid


class Permits:
    """Permits with a share for each namespace; who waits gets one when it is next."""

    def __init__(self, limit: int, *, each: int | None = None) -> None:
        """
        Args:
            limit, each: see `Shares`; without `each` a namespace may have all.
        """
        self._shares = Shares(limit, each=limit if each is None else each)
        self._waiting: WaitingList[asyncio.Future[Permit]] = WaitingList(self._shares)

    @property
    def taken(self) -> int:
        """How many permits are taken."""
        return self._shares.taken

    def usage(self) -> Usage:
        """How many there are, are taken, and are waited for."""
        return Usage(self._shares.limit, self._shares.taken, len(self._waiting))

    @property
    def crowded(self) -> bool:
        """Whether half of the permits are taken, of all or of the share of who asks: hold none that is not needed."""
        return self._shares.crowded(payer(self._shares.of))

    @asynccontextmanager
    async def hold(self, namespace: str | None = None, part: str = "") -> AsyncIterator[None]:
        """Hold a permit inside, once there is one. The arguments are those of `take`."""
        permit = await self.take(namespace, part)
        try:
            yield
        finally:
            self.give_back(permit)

    async def take(self, namespace: str | None = None, part: str = "") -> Permit:
        """Take a permit, once there is one, until it is given back.

        Args:
            namespace: whose it is; None: on whose account it is done.
            part: what may be slow on its own within the namespace, such as a store.
        """
        group = payer(self._shares.of) if namespace is None else namespace
        if (permit := self._waiting.enter(group, part)) is not None:
            return permit
        turn: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._waiting.add(group, part, turn)
        try:
            return await turn
        except BaseException:
            self._waiting.discard(group, part, turn)
            if turn.done() and not turn.cancelled():  # it was its turn at the moment of its end
                self.give_back(turn.result())
            raise

    def give_back(self, permit: Permit) -> None:
        """Give a permit back; others get it."""
        self._waiting.give_back(permit)
        while (found := self._waiting.take()) is not None:
            turn, given = found
            if turn.done():  # it has just been given up
                self._waiting.give_back(given)
            else:
                turn.set_result(given)
