"""Copies of snapshots as tasks beside the workers: started, looked at and cancelled by the reconciler.

Invariants: at most one copy of a FlinkJob at a time, and few of all, but a store that crawls holds up no other; every write
to a store passes the gate of the Lease and the fault points; a copy whose FlinkSavepoint is gone is cancelled, and one that
is cut off goes on where it stopped; no credential leaves this module but to the process that makes the copy.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from flinkjob.api.common import duration_seconds
from flinkjob.api.enums import CopyCheck, SavepointErrorCode
from flinkjob.core.copies.savepoint_copy import CopyPhase, CopySeen, CopyWanted
from flinkjob.core.errors import FlinkJobError, Invalid, Rejected
from flinkjob.core.identity import UNNAMED
from flinkjob.core.shares import Usage
from flinkjob.net.permits import Permits
from flinkjob.runtime.background import Background
from flinkjob.runtime.faults import Effect, Faults
from flinkjob.runtime.queue import Key
from flinkjob.runtime.storeaccess import StoreAccesses, ask_store
from flinkjob.snapshots.addresses import parts_of
from flinkjob.snapshots.apart import copy_apart
from flinkjob.snapshots.bandwidth import Bandwidth
from flinkjob.snapshots.manifest import numbers_in
from flinkjob.snapshots.orders import CopyMade, CopyOrder
from flinkjob.snapshots.outcomes import CopyProgress, CopyRefused, StoreStep

log = logging.getLogger(__name__)

MOMENT = 0.2
"""Seconds that a round waits for a copy, so that a small one costs no extra round."""
_EFFECTS = {step: Effect(f"sync-{step}") for step in StoreStep}


@dataclass
class _Copy:
    key: Key
    wanted: CopyWanted
    progress: CopyProgress = field(default_factory=CopyProgress)


class CopyTasks:
    """The copies that this process makes."""

    def __init__(
        self,
        *,
        identity: str,
        stores: StoreAccesses,
        faults: Faults,
        enqueue: Callable[[Key], None],
        in_use: Callable[[], frozenset[str]] = frozenset,
        parallel: int = 2,
        memory: int = 88,
        bandwidth: int | None = None,
        ended: Callable[[str, float, int], None] = lambda result, seconds, size: None,
    ) -> None:
        """
        Args:
            ended: called with how an attempt ended (`Synced`, or the code of its error), its seconds and bytes written.
            in_use: normalised places of the snapshots that some FlinkJob was started from or would start from.
            parallel: copies at the same time, over all FlinkJobs; as many again for namespaces without any, see `Shares`.
            memory: of the process that makes one copy, in MiB.
            bandwidth: bytes a second, over all copies; None: no limit.
        """
        self._identity = identity
        self._stores = stores
        self._faults = faults
        self._memory = memory
        self._in_use = in_use
        self._count = ended
        self._copying = Permits(parallel)
        self._bandwidth = Bandwidth(bandwidth)
        self._copies: Background[str, _Copy, CopySeen] = Background(lambda _, copy: enqueue(copy.key))
        self._busy: dict[tuple[str, str], asyncio.Lock] = {}
        self._wanting: Counter[tuple[str, str]] = Counter()

    def running(self) -> int:
        """Copies that are being made or wait for their turn."""
        return sum(copy.age is None for copy in self._copies.all().values())

    def usage(self) -> Usage:
        """How many copies there may be at a time, are made, and wait."""
        return self._copying.usage()

    async def look(self, key: Key, wanted: CopyWanted) -> CopySeen:
        """How far a copy is; starts it when nobody did. Its outcome is kept until `cancel`: then the status holds it."""
        work = self._copies.get(wanted.uid)
        if work is None or (work.asked.wanted.token, work.asked.wanted.target) != (wanted.token, wanted.target):
            copy = _Copy(key, wanted)
            making = self._make(wanted, copy.progress)
            work = self._copies.start(wanted.uid, copy, making, title=f"copy {wanted.namespace}/{wanted.job}")
        seen = await work.wait(MOMENT)
        return _seen(CopyPhase.WORKING, work.asked.progress) if seen is None else seen

    def retain(self, key: Key, uids: frozenset[str]) -> None:
        """Cancel the copies of a key whose FlinkSavepoints are gone."""
        for uid in [uid for uid, work in self._copies.all().items() if work.asked.key == key and uid not in uids]:
            self.cancel(uid)

    def cancel(self, uid: str) -> None:
        """End a copy, or forget its outcome; what has arrived stays for the next attempt, invisible to readers."""
        self._copies.drop(uid)

    async def end(self, key: Key) -> None:
        """Another replica works on the key: none of its copies goes on when this returns."""
        for uid in [uid for uid, work in self._copies.all().items() if work.asked.key == key]:
            await self._copies.end(uid)

    async def close(self) -> None:
        """End all copies."""
        await self._copies.close()

    async def _make(self, wanted: CopyWanted, progress: CopyProgress) -> CopySeen:
        begun = time.monotonic()
        outcome = await self._attempt(wanted, progress)
        result = "Synced" if outcome.phase is CopyPhase.DONE else str(outcome.code)
        self._count(result, time.monotonic() - begun, max(progress.bytes - progress.skipped, 0))
        return outcome

    async def _attempt(self, wanted: CopyWanted, progress: CopyProgress) -> CopySeen:
        where: list[str] = []
        try:
            async with self._turn((wanted.namespace, wanted.job), _store(wanted)):
                return await self._copy(wanted, progress, where)
        except CopyRefused as error:
            return _failed(progress, where, error.code, error.message, permanent=error.permanent)
        except Invalid as error:
            return _failed(progress, where, SavepointErrorCode.STORE_ERROR, error.message, permanent=True)
        except Rejected as error:
            return _failed(progress, where, SavepointErrorCode.STORE_ERROR, error.message, permanent=error.permanent)
        except FlinkJobError as error:
            return _failed(progress, where, SavepointErrorCode.STORE_ERROR, error.message)
        except Exception as error:
            log.exception("copying %s failed in the operator itself", wanted.location)
            message = f"internal error: {type(error).__name__}"
            return _failed(progress, where, SavepointErrorCode.STORE_ERROR, message)

    @asynccontextmanager
    async def _turn(self, place: tuple[str, str], store: str) -> AsyncIterator[None]:
        """One copy of a job at a time, and few of all."""
        lock = self._busy.setdefault(place, asyncio.Lock())
        self._wanting[place] += 1
        try:
            async with lock, self._copying.hold(place[0], store):
                yield
        finally:
            self._wanting[place] -= 1
            if self._wanting[place] == 0:
                del self._wanting[place], self._busy[place]

    async def _copy(self, wanted: CopyWanted, progress: CopyProgress, where: list[str]) -> CopySeen:
        target, namespace = wanted.target, wanted.namespace
        if self._identity == UNNAMED:
            raise Invalid(
                "copies need an operator with a name of its own (--identity), by which others know whose they are"
            )
        retention = target.retention

        async def order(fresh: bool) -> CopyOrder:
            return CopyOrder(
                source=await self._stores.address(namespace, wanted.location, target.source, create=False, fresh=fresh),
                target=await self._stores.address(namespace, target.uri, target, create=True, fresh=fresh),
                identity=self._identity,
                namespace=namespace,
                job=wanted.job,
                location=wanted.location,
                token=wanted.token,
                job_id=wanted.job_id,
                format_type=wanted.format_type,
                flink_version=wanted.flink_version,
                take_over=target.take_over,
                verify=target.verify is CopyCheck.CHECKSUM,
                retention=(retention.min_count, duration_seconds(retention.min_age)) if retention is not None else None,
            )

        async def copy(order: CopyOrder) -> CopyMade:
            return await copy_apart(order, memory=self._memory, answer=self._answer, progress=progress)

        made = await ask_store(order, copy)
        if made.kept:
            log.warning("outdated copies of %s/%s stay: %s", namespace, wanted.job, made.kept)
        where.append(f"{target.uri.rstrip('/')}/{made.directory}")
        return CopySeen(
            phase=CopyPhase.DONE,
            sequence_number=made.sequence_number,
            uri=where[0],
            objects=made.objects,
            objects_total=made.objects,
            bytes=made.bytes,
            bytes_total=made.bytes,
        )

    async def _answer(self, asked: Mapping[str, Any]) -> Any:
        """What is answered to the process that makes a copy: around each write, and for what passes."""
        match asked["ask"]:
            case "before":
                self._faults.before(_EFFECTS[StoreStep(asked["step"])])
            case "after":
                self._faults.after(_EFFECTS[StoreStep(asked["step"])])
            case "take":
                await self._bandwidth.take(asked["size"])
            case "in-use":
                return sorted(numbers_in(asked["root"], self._in_use()))
            case unknown:
                raise AssertionError(f"nobody asks {unknown}")
        return None


def _store(wanted: CopyWanted) -> str:
    """What may be slow on its own within a namespace: a bucket at an endpoint, or a mounted directory."""
    parts = parts_of(wanted.target.uri)
    bucket = f"{parts.scheme}://{parts.netloc}" if parts.netloc else wanted.target.uri
    return f"{bucket} {wanted.target.endpoint or ''}"


def _seen(phase: CopyPhase, progress: CopyProgress) -> CopySeen:
    known = progress.objects_total > 0
    return CopySeen(
        phase=phase,
        sequence_number=progress.sequence_number,
        objects=progress.objects,
        objects_total=progress.objects_total if known else None,
        bytes=progress.bytes,
        bytes_total=progress.bytes_total if known else None,
    )


def _failed(
    progress: CopyProgress, where: list[str], code: SavepointErrorCode, message: str, *, permanent: bool = False
) -> CopySeen:
    known = progress.objects_total > 0
    return CopySeen(
        phase=CopyPhase.FAILED,
        sequence_number=progress.sequence_number,
        uri=where[0] if where else None,
        objects=progress.objects,
        objects_total=progress.objects_total if known else None,
        bytes=min(progress.bytes, progress.bytes_total) if known else 0,
        bytes_total=progress.bytes_total if known else None,
        code=code,
        message=message,
        permanent=permanent,
    )
