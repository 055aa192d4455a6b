"""What the other tests here would notice: a reader that raises, takes much memory, or stops the event loop."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import strategies as st

from tests.fuzz import driver
from tests.fuzz.values import DEEP, Again, Names, Raw, Twice, dump, mutated, texts

SEEDS = [{"a": [1, {"b": "c"}], "d": None}]


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "SECONDS", 0.2)


@pytest.mark.parametrize("seconds", [0.0, 5.0])
def test_a_reader_that_raises_is_a_fault(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(driver, "SECONDS", seconds)

    def read(value: int) -> None:
        if value > 3:
            raise KeyError(value)

    with pytest.raises(KeyError):
        driver.fuzz(st.integers(), read)


def test_a_reader_is_tried_for_as_long_as_it_is_asked_to(timed: None) -> None:
    tried: list[int] = []
    begun = time.monotonic()
    driver.fuzz(st.integers(), tried.append)
    assert time.monotonic() - begun >= 0.2
    assert len(tried) > 1


def test_memory_is_seen(timed: None) -> None:
    driver.affordable(lambda: len(bytearray(1024 * 1024)))
    with pytest.raises(AssertionError, match="MiB"):
        driver.affordable(lambda: len(bytearray(b"x" * (100 * 1024 * 1024))))


def test_the_time_of_one_step_of_the_event_loop_is_seen(timed: None) -> None:
    def busy(seconds: float) -> None:
        until = time.thread_time() + seconds
        while time.thread_time() < until:
            pass

    async def in_steps() -> None:
        for _ in range(10):
            busy(0.01)
            await asyncio.sleep(0)

    async def at_once() -> None:
        busy(0.1)

    driver.affordable(lambda: driver.run_watched(in_steps))
    with pytest.raises(AssertionError, match="ms"):
        driver.affordable(lambda: driver.run_watched(at_once))
    driver.affordable(lambda: busy(0.1), in_loop=False)


def test_what_is_written() -> None:
    assert dump({"a": Twice(1, "x"), "b": Raw(b"1e400")}) == b'{"a":1,"a":"x","b":1e400}'
    assert dump(Again({"a": 1}, 24)) == b'[{"a":1},{"a":1},{"a":1}]'
    assert dump(Names(1, 26)) == b'{"00000000":1,"00000001":1}'


def test_real_values_come_and_changed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "SECONDS", 0.0)
    found: set[bytes] = set()
    driver.fuzz(mutated(SEEDS), lambda value: found.add(dump(value)))
    assert dump(SEEDS[0]) in found
    assert len(found) > 5
    driver.fuzz(texts(SEEDS), lambda text: found.add(text))
    assert max(map(len, found)) < 8 * max(DEEP) + 5_000_000
