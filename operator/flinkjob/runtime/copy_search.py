"""Searches for copies in object stores, as tasks beside the workers: what a first run from `initialState.copies` starts from.

Called by the observer. Invariants: nothing is written to a store; a copy counts only when its manifest is valid and all its
files are there in their length; a copy that was found is given out once, so that the newest is asked for again; the key is
enqueued by the outcome.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from flinkjob.api.initialstate import CopySpec
from flinkjob.api.sync import RestoredCopy
from flinkjob.core.errors import FlinkJobError, Transient
from flinkjob.core.seen import CopyFound, CopySearch
from flinkjob.core.shares import Usage
from flinkjob.net.permits import Permits
from flinkjob.runtime.background import Background
from flinkjob.runtime.queue import Key
from flinkjob.runtime.storeaccess import StoreAccesses, ask_store
from flinkjob.snapshots.apart import find_apart
from flinkjob.snapshots.orders import OUT_OF_MEMORY, CopyThere, FindOrder

log = logging.getLogger(__name__)

MOMENT = 0.5
"""Seconds that an observation waits, so that a store that answers costs no extra round."""
NONE_FOR = 25.0
"""Seconds for which it is believed that no place has a copy."""
PATIENCE = 120.0
"""Seconds for one place; then the next one is tried."""
PARALLEL = 2
"""Searches at the same time; as many again for namespaces and stores without any, see `WaitingList`."""
SMALL_MB = 48
"""Memory of the process that makes one: enough for copies of some thousand files. Those that need more take turns."""


class CopySearches:
    """The searches of this process."""

    def __init__(
        self, *, identity: str, stores: StoreAccesses, enqueue: Callable[[Key], None], memory: int = 88
    ) -> None:
        """
        Args:
            memory: of the process that makes a search which needs much, in MiB.
        """
        self._memory = memory
        self._large = Permits(1)
        self._identity = identity
        self._stores = stores
        self._searching = Permits(PARALLEL)
        self._searches: Background[Key, tuple[CopySpec, ...], CopyFound] = Background(lambda key, _: enqueue(key))

    def usage(self) -> Usage:
        """How many searches there may be at a time, are made, and wait."""
        return self._searching.usage()

    async def find(self, key: Key, copies: tuple[CopySpec, ...]) -> CopyFound:
        """The first of these places that has a complete copy; starts the search when nobody did.

        Args:
            key: of the FlinkJob; its namespace and name stand for those that a place leaves out.
        """
        search = self._searches.get(key)
        if search is None or search.asked != copies or (search.age or 0.0) > NONE_FOR:
            search = self._searches.start(key, copies, self._find(key, copies), title=f"copies {key[0]}/{key[1]}")
        found = await search.wait(MOMENT)
        if found is None:
            return CopyFound(phase=CopySearch.WORKING)
        if found.phase is CopySearch.FOUND:
            self._searches.drop(key)
        return found

    def forget(self, key: Key) -> None:
        """Nobody wants this search any more."""
        self._searches.drop(key)

    async def close(self) -> None:
        """End all searches."""
        await self._searches.close()

    async def _find(self, key: Key, copies: tuple[CopySpec, ...]) -> CopyFound:
        passed: list[str] = []
        for wanted in copies:
            try:
                async with self._searching.hold(key[0], wanted.uri), asyncio.timeout(PATIENCE):
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
        async def order(fresh: bool) -> FindOrder:
            return FindOrder(
                target=await self._stores.address(key[0], wanted.uri, wanted, create=False, fresh=fresh),
                identity=self._identity,
                namespace=wanted.namespace or key[0],
                job=wanted.job or key[1],
                number=wanted.sequence_number,
            )

        found = await ask_store(order, self._look)
        return CopyFound(
            phase=CopySearch.FOUND,
            location=f"{(wanted.flink_uri or wanted.uri).rstrip('/')}/{found.directory}",
            copy=RestoredCopy(
                sequence_number=found.sequence_number,
                identity=found.identity,
                namespace=found.namespace,
                job=found.job,
                time=datetime.fromisoformat(found.time),
            ),
            message="; ".join(filter(None, (passed, *(f"{wanted.uri}: {why}" for why in found.lacking)))),
        )

    async def _look(self, order: FindOrder) -> CopyThere:
        try:
            return await find_apart(order, memory=SMALL_MB)
        except Transient as error:
            if error.reason != OUT_OF_MEMORY:
                raise
        async with self._large.hold(order.namespace):
            return await find_apart(order, memory=self._memory)
