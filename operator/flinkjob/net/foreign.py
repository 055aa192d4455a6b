"""Bytes of an HTTP server that others run: the one way to read them, and what they may cost. (Stores: `snapshots.apart`.)

Used by `FlinkRest` and `HttpSource`. Invariants: what is counted is what came over the line, for nothing is decoded; each
answer has a limit, and those of all clusters together a budget; JSON is parsed only where it cannot become much more than
its bytes, and its values keep no memory beyond the exchange that they are for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import orjson

from flinkjob.net.permits import payer

ACCEPT_IDENTITY: Final = {"Accept-Encoding": "identity"}
"""The header of each request: answers are wanted as they are."""
FREE_BYTES: Final = 256 * 1024
"""So much of each answer needs no room in the budget."""
BUDGET_BYTES: Final = 64 * 1024 * 1024
"""What the larger answers that are read at the same time may have together."""
_SPARE_VALUES: Final = 10_000
_MOST_VALUES: Final = 60_000
"""Of an answer that is parsed at once, which takes up to half a microsecond for each. A checkpoint in Flink's statistics has
some 30, a jar 9."""
_BYTES_A_VALUE: Final = 12
"""Flink's answers have one value for each 15 bytes or so. A value costs up to some 200 bytes of memory."""


class Refused(Exception):
    """An answer that is not read, or not to its end.

    Attributes:
        reason: one word: "encoded", "too-large" or "busy".
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Budget:
    """Bytes that all answers together may have while they are read; those for one namespace at most half of them."""

    def __init__(self, total: int = BUDGET_BYTES) -> None:
        self._free = total
        self._each = total // 2
        self._taken: Counter[str] = Counter()

    @property
    def free(self) -> int:
        """How many bytes are left."""
        return self._free

    def payer(self) -> str:
        """The namespace on whose account an answer is read."""
        return payer(self._taken.__getitem__)

    def take(self, namespace: str, size: int) -> None:
        """Raises `Refused` where so many bytes are not left, of all or for the namespace."""
        if size > self._free or self._taken[namespace] + size > self._each:
            raise Refused("busy", "too many large answers at the same time")
        self._free -= size
        self._taken[namespace] += size

    def give_back(self, namespace: str, size: int) -> None:
        self._free += size
        self._taken[namespace] -= size
        if not self._taken[namespace]:
            del self._taken[namespace]


async def raw_chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it comes.

    Raises:
        Refused: it is encoded, though nobody asked for that.
        httpx.TransportError: the connection broke.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise Refused("encoded", "the answer is compressed or otherwise encoded, which was not asked for")
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for chunk in response.stream:
        yield chunk


@asynccontextmanager
async def body_of(response: httpx.Response, limit: int, budget: Budget) -> AsyncIterator[bytearray]:
    """The whole body, which counts against the budget until the block is left.

    Raises:
        Refused: it is encoded, longer than `limit` bytes, or there is no room for it.
        httpx.TransportError: the connection broke.
    """
    body, taken, namespace = bytearray(), 0, budget.payer()
    try:
        async for chunk in raw_chunks(response):
            if len(body) + len(chunk) > limit:
                raise Refused("too-large", f"the answer is longer than {limit} bytes")
            more = len(body) + len(chunk) - FREE_BYTES - taken
            if more > 0:
                budget.take(namespace, more)
                taken += more
            body += chunk
        yield body
    finally:
        budget.give_back(namespace, taken)


def parse_json(body: bytearray) -> Any:
    """The values of a JSON text.

    Raises:
        Refused: it has too many values, see `require_few_values`, or more than can be parsed at once.
        orjson.JSONDecodeError: it is no JSON, or nested more than a thousand times.
    """
    values = count_values(body)
    require_few_values(values, len(body))
    if values > _MOST_VALUES:
        raise Refused("too-large", f"the answer has {values} values, more than the {_MOST_VALUES} that are read")
    return orjson.loads(body)


def count_values(text: bytes | bytearray) -> int:
    """About how many values a JSON text has, without parsing it."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def require_few_values(values: int, size: int) -> None:
    """Look at what a JSON text of so many bytes has in it.

    Raises:
        Refused: so many small values would take far more memory than the text.
    """
    if values > _SPARE_VALUES + size // _BYTES_A_VALUE:
        raise Refused("too-large", f"the answer has {values} values in {size} bytes")
