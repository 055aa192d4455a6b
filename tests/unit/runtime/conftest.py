"""Virtual time for the runtime: minutes of waiting cost nothing, and nothing depends on the machine's speed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from tests.model.virtualtime import LoopClock, VirtualLoop, virtual_time

T = TypeVar("T")


class World:
    """An event loop in virtual time."""

    def __init__(self, loop: VirtualLoop, clock: LoopClock) -> None:
        self._loop = loop
        self._clock = clock

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it to its end; what it leaves running stays."""
        return self._loop.run_until_complete(coroutine)

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.run(asyncio.sleep(seconds))

    def now(self) -> float:
        """Seconds, since some moment."""
        return self._clock.monotonic


@pytest.fixture
def world() -> Iterator[World]:
    """An event loop in virtual time, whose tasks are ended with the test."""
    with virtual_time() as (loop, clock):
        yield World(loop, clock)
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
