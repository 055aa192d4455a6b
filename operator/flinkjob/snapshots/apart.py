"""Work on a store in a process of its own, which is ended when it takes too much memory or does not get on.

Called by `copy_tasks`, `copy_search` and `sourceaccess`. Invariants: whatever a store answers costs the operator nothing; a
process has ended before whoever waits for it goes on, also when they are cancelled; credentials are given on its standard
input only.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from flinkjob.childprocess import child
from flinkjob.core.errors import FlinkJobError, Transient
from flinkjob.snapshots.orders import (
    OUT_OF_MEMORY,
    CopyMade,
    CopyOrder,
    CopyThere,
    FetchOrder,
    FindOrder,
    ObjectFetched,
    error_from_json,
    error_to_json,
)
from flinkjob.snapshots.outcomes import CopyProgress
from flinkjob.snapshots.pace import LeastPace

log = logging.getLogger(__name__)

MIB = 1024 * 1024
STANDSTILL = 600.0
"""Seconds: no progress for so long ends it. A piece of 4 MiB, a page of a list or an answer never takes that long."""
LONGEST_LINE = 64 * 1024
_FEW_THREADS = {"TOKIO_WORKER_THREADS": "2"}

Answer = Callable[[Mapping[str, Any]], Awaitable[Any]]
"""What is said to a question of the process; raises `FlinkJobError` where it must not go on."""


async def copy_apart(order: CopyOrder, *, memory: int, answer: Answer, progress: CopyProgress) -> CopyMade:
    """Make a copy.

    Args:
        memory: of the process, in MiB.
        progress: is kept up to date.

    Raises:
        FlinkJobError: as `copy_snapshot`; Transient where the process took too much memory, or did not get on.
    """
    return CopyMade(**await _Apart(memory, answer, progress).run({"do": "copy", "order": asdict(order)}))


async def find_apart(order: FindOrder, *, memory: int) -> CopyThere:
    """Find a copy. Raises as `find_copy` and `copy_apart` do; the reason of too much memory is `OUT_OF_MEMORY`."""
    found = await _Apart(memory, _no_answer, CopyProgress()).run({"do": "find", "order": asdict(order)})
    return CopyThere(**found | {"lacking": tuple(found["lacking"])})


async def fetch_apart(order: FetchOrder, *, memory: int, room: Callable[[int], Awaitable[None]]) -> ObjectFetched:
    """Write an object to a file. Raises as `fetch_object` and `copy_apart` do.

    Args:
        room: called with its length before anything is written; raises where there is none.
    """

    async def answer(asked: Mapping[str, Any]) -> None:
        await room(int(asked["size"]))

    return ObjectFetched(**await _Apart(memory, answer, CopyProgress()).run({"do": "fetch", "order": asdict(order)}))


async def _no_answer(_: Mapping[str, Any]) -> None:
    raise AssertionError("who looks for a copy writes nothing")


class _Apart:
    def __init__(self, memory: int, answer: Answer, progress: CopyProgress) -> None:
        self._memory = memory
        self._answer = answer
        self._progress = progress
        self._pace = LeastPace()

    async def run(self, order: Mapping[str, Any]) -> dict[str, Any]:
        memory = str(self._memory * MIB)
        async with child("flinkjob.snapshots.child", memory, limit=LONGEST_LINE, environment=_FEW_THREADS) as process:
            await _say(process, order)
            return await self._follow(process)

    async def _follow(self, process: Process) -> dict[str, Any]:
        assert process.stdout is not None
        while True:
            try:
                async with asyncio.timeout(STANDSTILL):
                    line = await process.stdout.readline()
            except TimeoutError:
                raise Transient("store", f"the store has not got on for {STANDSTILL:.0f} s") from None
            if not line:
                raise self._ended(await process.wait())
            said = json.loads(line)
            self._pace.note(self._progress.bytes + self._progress.verified)
            if "ask" in said:
                await _say(process, {"number": said["number"], **await self._answered(said)})
            elif "progress" in said:
                for name, value in said["progress"].items():
                    setattr(self._progress, name, value)
            elif "trace" in said:
                log.error("asking a store failed in the operator itself: %s", said["trace"])
            elif "done" in said:
                done: dict[str, Any] = said["done"]
                return done
            else:
                error = error_from_json(said["failed"])
                raise self._too_much() if getattr(error, "reason", "") == OUT_OF_MEMORY else error

    async def _answered(self, said: Mapping[str, Any]) -> dict[str, Any]:
        self._pace.step()
        try:
            with self._pace.paused():
                return {"answer": await self._answer(said)}
        except FlinkJobError as error:
            return {"error": error_to_json(error)}

    def _ended(self, code: int) -> Transient:
        if code == -signal.SIGABRT:  # what the store's client does where it gets no memory
            return self._too_much()
        return Transient("store", f"the process that asks the store has ended ({code})")

    def _too_much(self) -> Transient:
        return Transient(
            OUT_OF_MEMORY,
            f"more memory is needed than the {self._memory} MiB of --max-sync-memory-mb: the store answers with more than "
            "it should, or the snapshot is too large for it",
        )


async def _say(process: Process, what: Mapping[str, Any]) -> None:
    assert process.stdin is not None
    with suppress(ConnectionError):  # it has ended: its last words are read next
        process.stdin.write(json.dumps(what).encode() + b"\n")
        await process.stdin.drain()
