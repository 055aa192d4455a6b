"""Work that outlasts a round: started under a name, looked at by later rounds, kept until nobody wants it any more.

Used by `tasks`, `copy_tasks` and `copy_search`. Invariants: at most one piece of work has a name; who replaces or drops one
cancels it, and its end is then announced to nobody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)
Asked = TypeVar("Asked")
Outcome = TypeVar("Outcome")


class Work(Generic[Asked, Outcome]):
    """One piece of work: what it was asked for, and its outcome once it has ended."""

    def __init__(self, asked: Asked, task: asyncio.Task[Outcome]) -> None:
        self.asked = asked
        self._task = task
        self._ended: float | None = None
        self._waiting = 0
        self._call: Callable[[], None] = lambda: None
        task.add_done_callback(self._note_end)

    @property
    def outcome(self) -> Outcome | None:
        """None while it goes on, and when it was cancelled."""
        return self._task.result() if self._task.done() and not self._task.cancelled() else None

    @property
    def age(self) -> float | None:
        """Seconds since its end; None while it goes on."""
        return time.monotonic() - self._ended if self._ended is not None else None

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody is in `wait` just now, who gets the outcome."""
        return self._waiting > 0

    async def wait(self, seconds: float) -> Outcome | None:
        """The outcome, waited for so long at most. Who waits when it ends is not called as well (`Background`)."""
        self._waiting += 1
        heard = False
        try:
            await asyncio.wait({self._task}, timeout=seconds)
            heard = True
        finally:
            self._waiting -= 1
            if not heard and self._task.done():
                self._call()
        return self.outcome

    def cancel(self) -> None:
        """End it."""
        self._task.cancel()

    def when_done(self, call: Callable[[], None]) -> None:
        """Have this called at its end, and once more where who waited for it was cancelled at that moment."""
        self._call = call
        self._task.add_done_callback(lambda _: call())

    async def close(self) -> None:
        """End it, and wait until it has ended."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _note_end(self, _: asyncio.Task[Outcome]) -> None:
        self._ended = time.monotonic()


class Background(Generic[Name, Asked, Outcome]):
    """Pieces of work of one sort."""

    def __init__(self, ended: Callable[[Name, Asked], None] = lambda name, asked: None) -> None:
        """
        Args:
            ended: called at the end of work that is still wanted, and that nobody waits for just then.
        """
        self._works: dict[Name, Work[Asked, Outcome]] = {}
        self._announce = ended

    def get(self, name: Name) -> Work[Asked, Outcome] | None:
        """The work of this name."""
        return self._works.get(name)

    def start(
        self, name: Name, asked: Asked, work: Coroutine[Any, Any, Outcome], *, title: str
    ) -> Work[Asked, Outcome]:
        """Begin to work, in place of what had the name.

        Args:
            title: of the task, for people who debug.
        """
        self.drop(name)
        begun = self._works[name] = Work(asked, asyncio.create_task(work, name=title))
        begun.when_done(lambda: self._end(name, begun))
        return begun

    def drop(self, name: Name) -> None:
        """Nobody wants this any more: it is cancelled, and forgotten with its outcome."""
        work = self._works.pop(name, None)
        if work is not None:
            work.cancel()

    async def end(self, name: Name) -> None:
        """The same, and wait until it has ended."""
        work = self._works.pop(name, None)
        if work is not None:
            await work.close()

    def all(self) -> dict[Name, Work[Asked, Outcome]]:
        """All of them by their names."""
        return dict(self._works)

    async def close(self) -> None:
        """End all of them."""
        works = list(self._works.values())
        for work in works:
            work.cancel()
        for work in works:
            await work.close()

    def _end(self, name: Name, work: Work[Asked, Outcome]) -> None:
        if self._works.get(name) is work and not work.is_waited_for:
            self._announce(name, work.asked)
