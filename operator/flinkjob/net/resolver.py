"""Look-ups of names, in threads of their own: a name that DNS keeps silent about holds up no other name, file or digest.

`ResolvingLoop` is the event loop of the process: whatever is connected to in it, its name is looked up here, and its default
threads are left to files and digests. Invariants: each namespace has its share of the threads; a name is looked up once at a
time, however many ask; a failure is believed for about as long as it took; nobody waits for a thread at the end.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from flinkjob.core.shares import Usage
from flinkjob.net.permits import Permits

THREADS: Final = 8
EACH: Final = 4
"""Threads of one namespace."""
SILENT_SECONDS: Final = 5.0
"""Who asks for a name that DNS has kept silent about for so long gets no answer at once."""
BELIEVED_SECONDS: Final = (1.0, 30.0)
"""A failure is believed for as long as it took, at least and at most so long."""
MOST_FAILURES: Final = 1000

Question = tuple[Any, ...]
"""The arguments of `socket.getaddrinfo`."""
Found = Any
"""What it returns."""


class _LookUp:
    """One look-up, when it got a thread, and how many wait for it."""

    def __init__(self) -> None:
        self.task: asyncio.Task[Found] | None = None
        self.begun: float | None = None
        self.waiting = 0


class Resolver:
    """Looks names up."""

    def __init__(
        self, look_up: Callable[..., Found] = socket.getaddrinfo, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            look_up: blocks until it knows, like `socket.getaddrinfo`.
        """
        self._look_up = look_up
        self._clock = clock
        self._threads = Permits(THREADS, each=EACH)
        self._under_way: dict[Question, _LookUp] = {}
        self._failed: dict[Question, tuple[float, OSError]] = {}

    def usage(self) -> Usage:
        """How many threads there are, are at work, and are waited for."""
        return self._threads.usage()

    async def resolve(self, question: Question) -> Found:
        """The addresses of a name.

        Raises:
            socket.gaierror, OSError: there are none, or none is to be had now.
            UnicodeError: it is no name.
        """
        now = self._clock()
        until, error = self._failed.get(question, (0.0, None))
        if error is not None and now < until:
            raise type(error)(*error.args)
        found = self._under_way.get(question)
        if found is None:
            found = self._under_way[question] = _LookUp()
            found.task = asyncio.create_task(self._ask(question, found))
            found.task.add_done_callback(_retrieved)
        elif found.begun is not None and now - found.begun > SILENT_SECONDS:
            raise socket.gaierror(socket.EAI_AGAIN, "DNS does not answer")
        assert found.task is not None
        found.waiting += 1
        try:
            return await asyncio.shield(found.task)
        finally:
            found.waiting -= 1
            if not found.waiting and found.begun is None:
                found.task.cancel()
                self._forget(question, found)

    async def _ask(self, question: Question, found: _LookUp) -> Found:
        try:
            async with self._threads.hold():
                found.begun = begun = self._clock()
                try:
                    return await _in_thread(partial(self._look_up, *question))
                except OSError as error:
                    self._note(question, self._clock() - begun, error)
                    raise
        finally:
            self._forget(question, found)

    def _forget(self, question: Question, found: _LookUp) -> None:
        """Who asks from now on has it looked up anew."""
        if self._under_way.get(question) is found:
            del self._under_way[question]

    def _note(self, question: Question, lasted: float, error: OSError) -> None:
        now, (least, most) = self._clock(), BELIEVED_SECONDS
        if len(self._failed) >= MOST_FAILURES:
            self._failed = {asked: failed for asked, failed in self._failed.items() if failed[0] > now}
        self._failed[question] = (now + min(max(lasted, least), most), error)


class ResolvingLoop(asyncio.SelectorEventLoop):
    """An event loop that looks names up by a `Resolver`."""

    def __init__(self, resolver: Resolver | None = None) -> None:
        super().__init__()
        self.resolver = resolver or Resolver()

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Found:
        """As its base; an address needs no thread."""
        with suppress(socket.gaierror):
            return socket.getaddrinfo(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
        return await self.resolver.resolve((host, port, family, type, proto, flags))


def _in_thread(work: Callable[[], Found]) -> asyncio.Future[Found]:
    """What `work` returns or raises, from a thread that may outlive the event loop."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Found] = loop.create_future()

    def run() -> None:
        try:
            settle = partial(_settle, future, work(), None)
        except (OSError, UnicodeError) as error:
            settle = partial(_settle, future, [], error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle)

    threading.Thread(target=run, name="look up", daemon=True).start()
    return future


def _settle(future: asyncio.Future[Found], found: Found, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(found)


def _retrieved(task: asyncio.Task[Found]) -> None:
    """Nobody may be left who asks how it ended."""
    if not task.cancelled():
        task.exception()
