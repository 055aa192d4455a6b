"""Searches for copies in object stores, as tasks beside the workers: what a first run from `initialState.copies` starts from.

Called by the observer. Invariants: nothing is written to a store; a copy counts only when its manifest is valid and all its
files are there in their length; a copy that was found is given out once, so that the newest is asked for again; the key is
enqueued by the outcome.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from flinkjob.api.flinkjob_status import RestoredCopy
from flinkjob.api.initialstate import CopySpec
from flinkjob.core.errors import FlinkJobError
from flinkjob.core.model import CopyFound, CopySearch
from flinkjob.runtime.queue import Key
from flinkjob.runtime.storeaccess import StoreAccesses
from flinkjob.snapshots.copying import VerifyFailed, check_copy
from flinkjob.snapshots.manifest import LARGEST_NUMBER, Manifest
from flinkjob.snapshots.place import NoCopy, Place

log = logging.getLogger(__name__)

MOMENT = 0.5
"""Seconds that an observation waits, so that a store that answers costs no extra round."""
NONE_FOR = 25.0
"""Seconds for which it is believed that no place has a copy."""
PATIENCE = 120.0
"""Seconds for one place; then the next one is tried."""
MOST_LOOKED_AT = 5
"""Of the copies in a place, the newest first: where so many lack a file, the next place is tried."""


@dataclass
class _Search:
    copies: tuple[CopySpec, ...]
    task: asyncio.Task[CopyFound]
    done: float = 0.0


class CopySearches:
    """The searches of this process."""

    def __init__(self, *, identity: str, stores: StoreAccesses, enqueue: Callable[[Key], None]) -> None:
        self._identity = identity
        self._stores = stores
        self._enqueue = enqueue
        self._searches: dict[Key, _Search] = {}

    async def find(self, key: Key, copies: tuple[CopySpec, ...]) -> CopyFound:
        """The first of these places that has a complete copy; starts the search when nobody did.

        Args:
            key: of the FlinkJob; its namespace and name stand for those that a place leaves out.
        """
        search = self._searches.get(key)
        if search is None or search.copies != copies or self._stale(search):
            self.forget(key)
            task = asyncio.create_task(self._find(key, copies), name=f"copies {key[0]}/{key[1]}")
            search = self._searches[key] = _Search(copies, task)
            task.add_done_callback(lambda _: self._ended(key, search))
        await asyncio.wait({search.task}, timeout=MOMENT)
        if not search.task.done() or search.task.cancelled():
            return CopyFound(phase=CopySearch.WORKING)
        found = search.task.result()
        if found.phase is CopySearch.FOUND:
            del self._searches[key]
        return found

    def forget(self, key: Key) -> None:
        """Nobody wants this search any more."""
        search = self._searches.pop(key, None)
        if search is not None:
            search.task.cancel()

    async def close(self) -> None:
        """End all searches."""
        tasks = [search.task for search in self._searches.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _stale(self, search: _Search) -> bool:
        return search.task.done() and time.monotonic() - search.done > NONE_FOR

    def _ended(self, key: Key, search: _Search) -> None:
        search.done = time.monotonic()
        if self._searches.get(key) is search:
            self._enqueue(key)

    async def _find(self, key: Key, copies: tuple[CopySpec, ...]) -> CopyFound:
        passed: list[str] = []
        for wanted in copies:
            try:
                async with asyncio.timeout(PATIENCE):
                    return await self._at(key, wanted, "; ".join(passed))
            except FlinkJobError as error:
                passed.append(f"{wanted.uri}: {error.message}")
            except TimeoutError:
                passed.append(f"{wanted.uri}: no answer within {PATIENCE:.0f} s")
            except Exception as error:
                log.exception("looking for a copy failed in the operator itself")
                passed.append(f"{wanted.uri}: internal error: {type(error).__name__}")
        return CopyFound(phase=CopySearch.NONE, message="; ".join(passed))

    async def _at(self, key: Key, wanted: CopySpec, passed: str) -> CopyFound:
        place = Place(
            store=await self._stores.open(key[0], wanted.uri, wanted, create=False),
            identity=self._identity,
            namespace=wanted.namespace or key[0],
            job=wanted.job or key[1],
        )
        manifest, lacking = await _whole(place, wanted.sequence_number)
        directory = place.directory(manifest.sequence_number, manifest.checkpoint_id)
        return CopyFound(
            phase=CopySearch.FOUND,
            location=f"{(wanted.flink_uri or wanted.uri).rstrip('/')}/{directory}",
            copy=RestoredCopy(
                sequence_number=manifest.sequence_number,
                identity=manifest.identity,
                namespace=manifest.namespace,
                job=manifest.job,
                time=datetime.fromisoformat(manifest.time),
            ),
            message="; ".join(filter(None, (passed, *(f"{wanted.uri}: {why}" for why in lacking)))),
        )


async def _whole(place: Place, number: int | None) -> tuple[Manifest, list[str]]:
    """The copy with this number, or the newest that lacks nothing; and what newer ones lack.

    Raises:
        NoCopy, VerifyFailed: there is none among the newest few.
    """
    lacking: list[str] = []
    below = LARGEST_NUMBER + 1
    while len(lacking) < MOST_LOOKED_AT:
        manifest = await place.find(number, below=below)
        if manifest is None:
            break
        try:
            await check_copy(place, manifest)
        except VerifyFailed as error:
            if number is not None:
                raise
            lacking.append(error.message)
            below = manifest.sequence_number
        else:
            return manifest, lacking
    if lacking:
        raise NoCopy("; ".join(lacking))
    return await place.newest(number), lacking
