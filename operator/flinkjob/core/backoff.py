"""How long to wait after failures: exponential, capped, jittered without a random source (so that the core stays pure)."""

from __future__ import annotations

import hashlib


def delay_seconds(attempts: int, *, seed: str, initial: float = 1.0, maximum: float = 300.0) -> float:
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
