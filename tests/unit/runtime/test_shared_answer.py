"""Several who ask the same at the same time, and what each of them may be told."""

from __future__ import annotations

import asyncio

import pytest

from flinkjob.core.errors import Unreachable
from flinkjob.runtime.shared_answer import SharedAnswer


class Server:
    """Answers with the number of the request; each waits until it may be answered."""

    def __init__(self) -> None:
        self.requests = 0
        self.may_answer = asyncio.Semaphore(0)
        self.fails = False
        self.shared = SharedAnswer(self.ask)

    async def ask(self) -> int:
        self.requests += 1
        number = self.requests
        await self.may_answer.acquire()
        if self.fails:
            raise Unreachable("refused", "connection refused")
        return number


async def asked(server: Server, times: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(server.shared.get()) for _ in range(times)]
    await asyncio.sleep(0)
    return tasks


async def test_who_asks_while_a_request_is_under_way_gets_the_answer_to_the_next() -> None:
    server = Server()
    first, *later = await asked(server, 5)
    for _ in range(5):
        server.may_answer.release()
    assert await first == 1
    assert await asyncio.gather(*later) == [2, 2, 2, 2]
    assert await server.shared.get() == 3, "who asks later gets a new answer"


async def test_a_failure_is_shared_too() -> None:
    """Else each of many would wait in turn for the time-out of a cluster that does not answer."""
    server = Server()
    server.fails = True
    tasks = await asked(server, 5)
    for _ in range(5):
        server.may_answer.release()
    assert [type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == 5 * [Unreachable]
    assert server.requests == 2


async def test_who_gives_up_leaves_the_others_their_answer() -> None:
    server = Server()
    first, *later = await asked(server, 3)
    first.cancel()
    await asyncio.sleep(0)
    server.may_answer.release()
    assert await asyncio.gather(*later) == [2, 2]
    with pytest.raises(asyncio.CancelledError):
        await first
