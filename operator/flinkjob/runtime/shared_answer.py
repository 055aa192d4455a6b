"""One answer for several who ask the same at the same time: in a burst each FlinkJob of a cluster has the same questions.

Used by `cluster`. Invariants: nobody gets an answer to a request that was sent before he asked; who gets no answer, or is
cancelled, leaves the others theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from flinkjob.core.errors import FlinkJobError

T = TypeVar("T")


class SharedAnswer(Generic[T]):
    """The answers to one question."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._turn = asyncio.Lock()
        self._sent = 0
        self._answer: tuple[int, T | FlinkJobError] | None = None

    async def get(self) -> T:
        """The answer as of now.

        Raises:
            FlinkJobError: as the call that all share.
        """
        before = self._sent
        async with self._turn:
            if self._answer is None or self._answer[0] <= before:
                self._sent += 1
                self._answer = self._sent, await self._asked()
            answer = self._answer[1]
        if isinstance(answer, FlinkJobError):
            raise answer
        return answer

    async def _asked(self) -> T | FlinkJobError:
        try:
            return await self._ask()
        except FlinkJobError as error:
            return error
