"""How long to wait after failures: exponential, capped, jittered without a random source (so that the core stays pure)."""

from __future__ import annotations

import hashlib
from datetime import datetime

LONGEST = 300.0
"""Seconds of the longest pause where nothing else is said."""
CLOCKS_DIFFER = 60.0
"""Seconds by which the clocks of the API server and of the operator may differ."""


def delay_seconds(attempts: int, *, seed: str, initial: float = 1.0, maximum: float = LONGEST) -> float:
    """The pause after the `attempts`-th failure in a row, in seconds: 80-120 % of `initial * 2**(attempts-1)`, capped.

    Args:
        attempts: failures so far, at least 1.
        seed: what the jitter is derived from (a uid): different resources do not retry in step.
        initial: the first pause, seconds.
        maximum: the cap, seconds, jitter included.
    """
    exponential = min(initial * 2.0 ** min(max(attempts, 1) - 1, 40), maximum)
    share = int.from_bytes(hashlib.sha256(f"{seed}/{attempts}".encode()).digest()[:4], "big") / 2**32
    return min(exponential * (0.8 + 0.4 * share), maximum)


def remaining_seconds(until: datetime | None, now: datetime, *, longest: float = LONGEST) -> float:
    """How long a pause lasts yet, in seconds, 0 where it is over.

    One that would last longer than any can was noted while the clock was ahead: it is over too.
    """
    remaining = (until - now).total_seconds() if until is not None else 0.0
    return remaining if 0 < remaining <= longest else 0.0
