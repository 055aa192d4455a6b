"""The process that asks stores, for one piece of work: `python -m flinkjob.snapshots.child BYTES`, started by `apart`.

What a store answers cannot be bounded from outside of its client, which collects error bodies and lists. So that client has a
process of its own, with a limit for its memory. Invariants: every write asks the operator first; where the operator has
ended, so has this process; it has the credentials of one namespace, from its standard input.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import threading
import traceback
from collections.abc import Coroutine
from dataclasses import asdict
from datetime import timedelta
from itertools import count
from typing import Any

from flinkjob.core.errors import FlinkJobError, Rejected
from flinkjob.snapshots.addresses import StoreAddress
from flinkjob.snapshots.bandwidth import Bandwidth
from flinkjob.snapshots.copying import CopyRequest, apply_retention, copy_snapshot, find_copy
from flinkjob.snapshots.fetching import fetch_object
from flinkjob.snapshots.malloc import give_blocks_back
from flinkjob.snapshots.orders import (
    CopyMade,
    CopyOrder,
    CopyThere,
    FetchOrder,
    FindOrder,
    ObjectFetched,
    error_from_json,
    error_to_json,
)
from flinkjob.snapshots.outcomes import CopyProgress, NoSnapshot, StoreStep
from flinkjob.snapshots.place import Place
from flinkjob.snapshots.stores import open_store

STACK_BYTES = 1024 * 1024
"""Of a thread: the usual 8 MiB would count although they are never used."""
LONGEST_TRACE = 4096
SAY_SECONDS = 0.5
"""So often it is said how far the work is, where that has changed."""


class Operator(Bandwidth):
    """The other end: it is asked before and after each write, and for each piece of data that passes."""

    def __init__(self) -> None:
        super().__init__(None)
        self.progress = CopyProgress()
        self._said = self._state()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._numbers = count()

    async def before(self, step: StoreStep) -> None:
        """Right before a write. Raises what the operator has against it."""
        await self.ask("before", step=step)

    async def after(self, step: StoreStep) -> None:
        """Right after it."""
        await self.ask("after", step=step)

    async def take(self, size: int) -> None:
        """Wait until so many more bytes may pass."""
        await self.ask("take", size=size)

    async def room(self, size: int) -> None:
        """Have room for so many bytes on the disk."""
        await self.ask("room", size=size)

    async def ask(self, what: str, **more: Any) -> Any:
        """The operator's answer. Raises the error that it answers with."""
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self.say_progress()
        say({"ask": what, "number": number, **more})
        return await answer

    def say_progress(self) -> None:
        """Say how far the work is, where that has changed."""
        now = self._state()
        if now != self._said:
            self._said = now
            say({"progress": asdict(self.progress)})

    def _state(self) -> tuple[int | None, ...]:
        known = self.progress
        return known.sequence_number, known.objects_total, known.objects, known.bytes, known.verified

    def hear(self, line: bytes) -> None:
        """An answer of the operator; its end is the end of this process too."""
        if not line:
            os._exit(1)
        said = json.loads(line)
        answer = self._asked.pop(said["number"])
        if answer.cancelled():
            return
        if "error" in said:
            answer.set_exception(error_from_json(said["error"]))
        else:
            answer.set_result(said.get("answer"))


def say(what: dict[str, Any]) -> None:
    """A line to the operator."""
    sys.stdout.buffer.write(json.dumps(what).encode() + b"\n")
    sys.stdout.buffer.flush()


async def make_copy(order: CopyOrder, operator: Operator) -> CopyMade:
    """Copy a snapshot, then delete outdated copies; that one was made is true also when that fails."""
    try:
        source = open_store(order.source, create=False)
    except Rejected as error:
        raise NoSnapshot(error.message) if error.code == 404 else error from error
    place = Place(
        store=open_store(order.target),
        identity=order.identity,
        namespace=order.namespace,
        job=order.job,
        gate=operator,
    )
    request = CopyRequest(
        source=source,
        location=order.location,
        place=place,
        uploads=open_store(order.target, uploads=True),
        token=order.token,
        job_id=order.job_id,
        format_type=order.format_type,
        flink_version=order.flink_version,
        take_over=order.take_over,
        verify=order.verify,
    )
    manifest = await copy_snapshot(request, bandwidth=operator, progress=operator.progress)
    number, kept = manifest.sequence_number, ""
    if order.retention is not None:
        least, seconds = order.retention
        keep = frozenset({number, *await operator.ask("in-use", root=place.root)})
        try:
            await apply_retention(place, min_count=least, min_age=timedelta(seconds=seconds), keep=keep)
        except FlinkJobError as error:
            kept = error.message
    return CopyMade(
        sequence_number=number,
        directory=place.directory(number, manifest.checkpoint_id),
        objects=len(manifest.files),
        bytes=manifest.size,
        kept=kept,
    )


async def look_for_copy(order: FindOrder) -> CopyThere:
    """The copy to start from. Raises as `find_copy`."""
    store = open_store(order.target, create=False)
    place = Place(store=store, identity=order.identity, namespace=order.namespace, job=order.job)
    manifest, lacking = await find_copy(place, order.number)
    return CopyThere(
        sequence_number=manifest.sequence_number,
        directory=place.directory(manifest.sequence_number, manifest.checkpoint_id),
        identity=manifest.identity,
        namespace=manifest.namespace,
        job=manifest.job,
        time=manifest.time,
        lacking=tuple(lacking),
    )


def _work(order: dict[str, Any], operator: Operator) -> Coroutine[Any, Any, CopyMade | CopyThere | ObjectFetched]:
    if order["do"] == "fetch":
        wanted = FetchOrder(**order["order"] | {"source": StoreAddress(**order["order"]["source"])})
        return fetch_object(wanted, room=operator.room, progress=operator.progress)
    fields = order["order"] | {"target": StoreAddress(**order["order"]["target"])}
    if order["do"] == "copy":
        return make_copy(CopyOrder(**fields | {"source": StoreAddress(**fields["source"])}), operator)
    return look_for_copy(FindOrder(**fields))


async def _main() -> None:
    reader = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    operator = Operator()
    working = asyncio.create_task(_work(json.loads(await reader.readline()), operator))

    async def hear() -> None:
        while True:
            operator.hear(await reader.readline())

    async def report() -> None:
        while True:
            await asyncio.sleep(SAY_SECONDS)
            operator.say_progress()

    beside = [asyncio.create_task(hear()), asyncio.create_task(report())]
    await asyncio.wait({working})
    operator.say_progress()
    error = working.exception()
    if error is not None and not isinstance(error, (FlinkJobError, MemoryError)):
        say({"trace": "".join(traceback.format_exception(error))[-LONGEST_TRACE:]})
    say({"failed": error_to_json(error)} if error is not None else {"done": asdict(working.result())})
    for task in beside:
        task.cancel()


def main() -> None:
    """Do what standard input says, and say to standard output how far it is and how it ended."""
    most = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.stack_size(STACK_BYTES)
    give_blocks_back()
    asyncio.run(_main())


if __name__ == "__main__":
    main()
