"""Tries examples for as long as it is asked to, and measures what each of them costs.

`FLINKJOB_FUZZ_SECONDS` says for how long each reader is tried, each time with other examples. Without it there are few
examples, the same in every run, and nothing is measured.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import time
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning

from flinkjob.core.errors import MESSAGE_LIMIT, FlinkJobError

T = TypeVar("T")
SECONDS = float(os.environ.get("FLINKJOB_FUZZ_SECONDS") or 0)
FEW = 15
"""Examples of a reader where no time is given."""
MOST_SECONDS = 0.05
"""For so long the event loop does one thing, in seconds of its thread."""
MOST_BYTES = 64 * 1024 * 1024
_AT_A_TIME = 100
_CHECKS = (
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
    HealthCheck.large_base_example,
)


def fuzz(examples: st.SearchStrategy[T], read: Callable[[T], Any]) -> None:
    """Give examples to a reader.

    Args:
        read: asserts what must hold; what it raises is a fault.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HypothesisWarning)  # that what is shown is long
        if SECONDS:
            _for_seconds(examples, read)
        else:
            settings = hypothesis.settings(max_examples=FEW, suppress_health_check=_CHECKS, phases=(Phase.generate,))
            settings(hypothesis.given(examples)(_read_only(read)))()


def _read_only(read: Callable[[T], Any]) -> Callable[[T], None]:
    """Hypothesis wants nothing to be returned."""

    def wrapped(example: T) -> None:
        read(example)

    return wrapped


def _for_seconds(examples: st.SearchStrategy[T], read: Callable[[T], Any]) -> None:
    until = time.monotonic() + SECONDS
    settings = hypothesis.settings(
        max_examples=_AT_A_TIME,
        derandomize=False,
        database=None,
        print_blob=True,
        suppress_health_check=_CHECKS,
        phases=(Phase.generate,),  # to shrink what takes long takes very long
    )

    def read_in_time(example: T) -> None:
        if time.monotonic() < until:
            read(example)

    while time.monotonic() < until:
        seed = random.SystemRandom().getrandbits(32)
        hypothesis.seed(seed)(settings(hypothesis.given(examples)(read_in_time)))()


def affordable(read: Callable[[], Any], *, in_loop: bool = True) -> None:
    """Read once; where time is given, look at what it costs.

    What costs too much is tried twice more: the machine may have been busy.

    Args:
        in_loop: whether the event loop waits for it.
    """
    if not SECONDS:
        read()
        return
    for last in (False, False, True):
        said = _too_dear(read, in_loop=in_loop)
        if not said:
            return
        assert not last, said


def _too_dear(read: Callable[[], Any], *, in_loop: bool) -> str:
    gc.collect()
    gc.freeze()  # as the operator does: what is there already is not looked through again and again
    try:
        before = _forget_peak()
        begun = time.thread_time()
        longest = read()
        lasted = longest if isinstance(longest, float) else time.thread_time() - begun
        grown = _memory("VmHWM") - before
    finally:
        gc.unfreeze()
    if grown > MOST_BYTES:
        return f"{grown / 2**20:.0f} MiB"
    return f"{lasted * 1000:.0f} ms" if in_loop and lasted > MOST_SECONDS else ""


def _forget_peak() -> int:
    """The memory of this process now, in bytes, from which on its peak is counted."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def run_watched(work: Callable[[], Awaitable[None]]) -> float:
    """Does it in an event loop; the longest time, in seconds of its thread, for which the loop did one thing."""

    async def watched() -> float:
        longest, before, task = 0.0, time.thread_time(), asyncio.ensure_future(work())
        while not task.done():
            await asyncio.sleep(0)
            longest, before = max(longest, time.thread_time() - before), time.thread_time()
        await task
        return longest

    return asyncio.run(watched())


def numbers_fit(value: Any) -> bool:
    """Whether a status could hold every number in it."""
    match value:
        case bool() | float() | str() | bytes() | None:
            return True
        case int():
            return -(2**63) <= value < 2**63
        case dict():
            return all(map(numbers_fit, value.values()))
        case list() | tuple() | set() | frozenset():
            return all(map(numbers_fit, value))
        case _:
            names = getattr(type(value), "__dataclass_fields__", {})
            return all(numbers_fit(getattr(value, name)) for name in names)


def require_shown(error: FlinkJobError) -> None:
    """Make sure that a refusal can be shown to people."""
    assert 0 < len(error.message) <= MESSAGE_LIMIT
    assert error.message.isprintable()
    assert "u:p@" not in error.message
