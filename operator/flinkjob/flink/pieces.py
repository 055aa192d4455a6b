"""Long lists, understood piece by piece: all of one at once would stop everything else for too long.

Used by `FlinkRest`, and by `JobCalls` for the list of jobs, whose very text is parsed in pieces. The parser holds Python's
lock, so a thread would be of no use. Invariants: no piece takes longer than some milliseconds, and none is kept; what is
long and no list of jobs as Flink writes it is refused before it is parsed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

import orjson

from flinkjob.net.foreign import Refused, count_values, parse_json, require_few_values

WHOLE_BYTES: Final = 256 * 1024
"""A shorter answer is parsed at once."""
PIECE_BYTES: Final = 128 * 1024
_LONGEST_PIECE: Final = 512 * 1024
_AT_ONCE: Final = 2000
"""So many entries of a list, and of the lists and objects in them, are understood before something else has its turn."""
_BEGIN, _NEXT, _END = b'{"jobs":[', b'},{"jid":', b"]}"
"""How Flink writes it. In no JSON text is the second one within a string: a quote that is not escaped ends a string, and what
follows then is no name."""

T = TypeVar("T")


async def parse_jobs(body: bytearray, understand: Callable[[Sequence[Any]], list[T]], most: int) -> Any:
    """The values of an answer; of one that has a list of jobs the jobs are already understood.

    Args:
        most: jobs.

    Raises:
        Refused: it has too many jobs or values, or it is long and not as Flink writes it.
        orjson.JSONDecodeError: it is no JSON.
        FlinkJobError: what `understand` raises.
    """
    values: Any = {} if len(body) > WHOLE_BYTES else parse_json(body)
    if len(body) > WHOLE_BYTES:
        pieces = _pieces(body)
    elif isinstance(values, dict) and isinstance(values.get("jobs"), list):
        pieces = iter([values["jobs"]])
    else:
        return values
    jobs: list[T] = []
    for entries in pieces:
        if len(jobs) + len(entries) > most:
            raise Refused("too-large", f"{len(jobs) + len(entries)} jobs are more than the operator reads")
        jobs += await in_turns(entries, understand)
    return {**values, "jobs": jobs}


async def in_turns(entries: Sequence[Any], understand: Callable[[Sequence[Any]], Iterable[T]]) -> list[T]:
    """What `understand` makes of entries of a list, some at a time, between which the event loop goes on.

    Raises:
        FlinkJobError: what `understand` raises.
    """
    found: list[T] = []
    start = weight = 0
    for at, entry in enumerate(entries):
        heavy = _weight(entry)
        if weight and weight + heavy > _AT_ONCE:
            found += understand(entries[start:at])
            await asyncio.sleep(0)
            start, weight = at, 0
        weight += heavy
    if weight:
        found += understand(entries[start:])
        await asyncio.sleep(0)
    return found


def _weight(entry: Any) -> int:
    """How many values an entry has, as far as somebody looks at them."""
    if not isinstance(entry, dict):
        return 1
    return 1 + len(entry) + sum(len(each) for each in entry.values() if isinstance(each, list | dict))


def _pieces(body: bytearray) -> Iterator[list[Any]]:
    start, end = len(_BEGIN), len(body) - len(_END)
    if not body.startswith(_BEGIN) or not body.endswith(_END):
        raise _not_as_flink(body)
    values = 0
    while start < end:
        found = body.find(_NEXT, start + PIECE_BYTES, end)
        stop = found + 1 if found >= 0 else end
        if stop - start > _LONGEST_PIECE:
            raise _not_as_flink(body)
        piece = b"[%b]" % bytes(body[start:stop])
        values += count_values(piece)
        require_few_values(values, len(body))
        yield orjson.loads(piece)
        start = stop + 1  # beyond the comma


def _not_as_flink(body: bytearray) -> Refused:
    return Refused("too-large", f"the answer is {len(body)} bytes long, and not a list of jobs as Flink writes it")
