"""Look-ups of names: once at a time, what fails is not asked again at once, and who gives up leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from typing import Any

import pytest

from flinkjob.net import resolver
from flinkjob.net.permits import on_account
from flinkjob.net.resolver import EACH, THREADS, Resolver, ResolvingLoop

ANSWER = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", 80))]


class Dns:
    """Answers once it goes on; unknown names begin with `no`."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.asked: Counter[str] = Counter()
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, host: str, *_: Any) -> Any:
        with self._lock:
            self.asked[host] += 1
            self._now += 1
            self.most = max(self.most, self._now)
        self.goes_on.wait(30)
        with self._lock:
            self._now -= 1
        if host.startswith("no"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ANSWER


async def until(holds: Any) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.002)


async def test_a_name_is_looked_up_once_however_many_ask() -> None:
    dns = Dns()
    dns.goes_on.clear()
    names = Resolver(dns)
    asked = [asyncio.create_task(names.resolve(("a", 80))) for _ in range(20)]
    await until(lambda: dns.asked["a"])
    dns.goes_on.set()
    assert await asyncio.gather(*asked) == [ANSWER] * 20
    assert dns.asked == {"a": 1}
    assert await names.resolve(("a", 80)) == ANSWER
    assert dns.asked == {"a": 2}, "an answer is not kept: an address may change"


async def test_a_failure_is_believed_for_a_while() -> None:
    now = [100.0]
    dns = Dns()
    names = Resolver(dns, clock=lambda: now[0])
    for _ in range(3):
        with pytest.raises(socket.gaierror) as caught:
            await names.resolve(("nobody", 80))
        assert caught.value.errno == socket.EAI_NONAME
    assert dns.asked == {"nobody": 1}
    now[0] += 1.01
    dns.goes_on.clear()
    asked = asyncio.create_task(names.resolve(("nobody", 80)))
    while dns.asked["nobody"] != 2:
        await asyncio.sleep(0)
    now[0] += 20
    with pytest.raises(socket.gaierror) as silent:
        await names.resolve(("nobody", 80))
    assert silent.value.errno == socket.EAI_AGAIN, "DNS has been silent: who asks now does not wait too"
    dns.goes_on.set()
    with pytest.raises(socket.gaierror):
        await asked
    now[0] += 19
    with pytest.raises(socket.gaierror):
        await names.resolve(("nobody", 80))
    assert dns.asked == {"nobody": 2}
    now[0] += 2
    with pytest.raises(socket.gaierror):
        await names.resolve(("nobody", 80))
    assert dns.asked == {"nobody": 3}


async def test_failures_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(resolver, "MOST_FAILURES", 5)
    names = Resolver(Dns(), clock=lambda: now[0])
    for number in range(12):
        now[0] += 0.5
        with pytest.raises(socket.gaierror):
            await names.resolve((f"no-{number}", 80))
        assert len(names._failed) <= 5


@pytest.mark.invariant(12)
async def test_each_namespace_has_its_share_of_the_threads() -> None:
    dns = Dns()
    dns.goes_on.clear()
    names = Resolver(dns)
    asked = []
    for number in range(100):
        with on_account((f"ns-{number % 10}",)):
            asked.append(asyncio.create_task(names.resolve((f"a-{number}", 80))))
    await until(lambda: len(dns.asked) == 10)
    dns.goes_on.set()
    assert await asyncio.gather(*asked) == [ANSWER] * 100
    assert dns.most <= 2 * THREADS


async def test_who_gives_up_before_the_look_up_began_leaves_nothing() -> None:
    dns = Dns()
    dns.goes_on.clear()
    names = Resolver(dns)
    asked = [asyncio.create_task(names.resolve((f"a-{number}", 80))) for number in range(EACH + 3)]
    await until(lambda: len(dns.asked) == EACH)
    for task in asked:
        task.cancel()
    await asyncio.wait(asked)
    dns.goes_on.set()
    await until(lambda: not names._under_way)
    assert len(dns.asked) == EACH
    assert await names.resolve(("a-0", 80)) == ANSWER


async def test_who_asks_the_moment_another_gives_up_gets_an_answer() -> None:
    dns = Dns()
    dns.goes_on.clear()
    names = Resolver(dns)
    others = [asyncio.create_task(names.resolve((f"a-{number}", 80))) for number in range(EACH)]
    for turns in range(6):
        given_up = asyncio.create_task(names.resolve((f"late-{turns}", 80)))
        for _ in range(turns):
            await asyncio.sleep(0)
        given_up.cancel()
        again = asyncio.create_task(names.resolve((f"late-{turns}", 80)))
        await asyncio.sleep(0)
        others.append(again)
        await asyncio.wait({given_up})
    dns.goes_on.set()
    assert await asyncio.gather(*others) == [ANSWER] * len(others)
    assert not names._under_way


def test_an_address_needs_no_look_up() -> None:
    dns = Dns()

    async def look() -> None:
        loop = asyncio.get_running_loop()
        for address in ("127.0.0.1", "::1", None):
            assert await loop.getaddrinfo(address, 80, type=socket.SOCK_STREAM)
        assert await loop.getaddrinfo("name.example", 80, type=socket.SOCK_STREAM) == ANSWER

    with asyncio.Runner(loop_factory=lambda: ResolvingLoop(Resolver(dns))) as runner:
        runner.run(look())
    assert dns.asked == {"name.example": 1}


def test_nobody_waits_for_a_silent_name_at_the_end() -> None:
    dns = Dns()
    dns.goes_on.clear()

    async def look() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.get_running_loop().getaddrinfo("name.example", 80)

    with asyncio.Runner(loop_factory=lambda: ResolvingLoop(Resolver(dns))) as runner:
        runner.run(look())
    assert not dns.goes_on.is_set()
    dns.goes_on.set()
