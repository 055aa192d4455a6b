"""Which of the shards this replica has: one Lease a shard, and one for each replica, by which the others see that it lives.

Used by `app` where the clusters are shared out (`--shards`), in place of `leader`. The Leases of shards say whose they are;
only those of replicas, the seats, are renewed. Invariants: a shard is taken only from nobody, or from a replica without a
seat; a seat counts as given up only after it was seen unchanged for its whole duration by this process's own monotonic
clock, and is taken from its replica, which then cannot renew it, before any of its shards is; `require` refuses every
effect unless the seat was renewed less than the renew deadline ago; a replica that lost its seat ends. The Lease of a
single leader belongs to all of them together meanwhile: neither a single leader nor replicas with another number of shards
work beside them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from flinkjob.api.constants import LABEL_SHARED
from flinkjob.core.errors import FlinkJobError
from flinkjob.core.shards import LeaseNames, assignment
from flinkjob.kube.errors import AlreadyExists, Conflict
from flinkjob.runtime.leader import RENEW_DEADLINE, RETRY_SECONDS, NotLeading
from flinkjob.runtime.lease import FOR_EVER, LEASE_SECONDS, Lease, Sightings, body_of

log = logging.getLogger(__name__)

SOON = 0.05
"""Seconds between two looks at least."""
Board = dict[str, Lease]
"""The Leases of this operator by name, as they all were at one moment."""


class LeaseClient(Protocol):
    """What is needed of `KubeClient`."""

    async def read_lease(self, namespace: str, name: str) -> dict[str, Any] | None: ...
    async def list_leases(self, namespace: str, label: str) -> list[dict[str, Any]]: ...
    async def create_lease(self, body: Mapping[str, Any]) -> dict[str, Any]: ...
    async def replace_lease(self, body: Mapping[str, Any]) -> dict[str, Any]: ...


class Shards(Protocol):
    """What is done about the shards that come and go (`runtime/sharing.py`)."""

    async def prepare(self, shards: frozenset[int]) -> None:
        """Know all that their former replicas have written. Nothing is done about them before."""

    def begin(self, shards: frozenset[int]) -> None:
        """They are this replica's from now on."""

    async def end(self, shards: frozenset[int]) -> None:
        """They are not this replica's any more: return when nothing is done about them."""


class Lost(Exception):
    """Another replica may have what this one had."""


class Membership:
    """Takes and keeps a seat, and its share of the shards."""

    def __init__(self, client: LeaseClient, *, namespace: str, name: str, shards: int, holder: str) -> None:
        """
        Args:
            name: of the Lease of a single leader; those of the shards and seats are named after it.
            shards: into how many the clusters are shared out, the same in all replicas.
            holder: this process, unique among the replicas.
        """
        self._client = client
        self._namespace = namespace
        self._name = name
        self._holder = holder
        self._all = f"{shards} shards"
        names = LeaseNames(name, shards)
        self._shards, self._seats = names.shards, names.seats
        self._sightings = Sightings()
        self._seat: str | None = None
        self._renewed: float | None = None
        self._owned: frozenset[int] = frozenset()
        self._begun: frozenset[int] = frozenset()
        self._ended: frozenset[int] = frozenset()
        self._writes = 0
        self._served: asyncio.Future[Shards] = asyncio.get_running_loop().create_future()
        self._move: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    def leads(self) -> bool:
        """Whether the seat was renewed less than the renew deadline ago."""
        return self._renewed is not None and time.monotonic() - self._renewed < RENEW_DEADLINE

    def require(self) -> None:
        """Refuse to have an effect without a seat that is fresh.

        Raises:
            NotLeading: another replica may have the shards of this one, as far as it can know.
        """
        if not self.leads():
            raise NotLeading

    def shards(self) -> frozenset[int]:
        """Those that are this replica's."""
        return self._begun

    async def join(self) -> None:
        """Wait until this process has a seat."""
        while not await self._tried(self._join):  # noqa: ASYNC110 - what is waited for happens in the API server
            await asyncio.sleep(RETRY_SECONDS)
        log.info("%s has the seat %s", self._holder, self._seat)

    def start(self, lost: Callable[[], None]) -> None:
        """From now on renew the seat and own shards, which are worked on from `serve` on; call `lost` without the seat."""
        self._keeping = asyncio.create_task(self._keep(lost), name="lease")

    def serve(self, shards: Shards) -> None:
        """All objects are known: work on the shards as they come."""
        self._served.set_result(shards)

    async def _keep(self, lost: Callable[[], None]) -> None:
        try:
            while self.leads():
                begun = time.monotonic()
                await self._tried(self._go_on)
                await asyncio.sleep(max(begun + self._pause() - time.monotonic(), SOON))
        except Lost as why:
            log.error("%s", why)
        except Exception:
            log.exception("the Leases cannot be renewed any more")
        log.error("the Lease was lost")
        lost()

    async def release(self) -> None:
        """Let the others have the shards at once, and where there are none, a single leader."""
        for task in (self._keeping, self._move):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        if self._seat is None or not self.leads():
            return
        self._renewed, seat = None, self._seat
        with suppress(FlinkJobError):
            board = await self._look()
            if board[seat].holder == self._holder:
                await self._write(seat, board[seat], holder="", seconds=1)
            lease = await self._read()
            if lease is not None and not self._living(await self._look(), self._seats):
                await self._write(self._name, lease, holder="", seconds=1)

    async def _tried(self, step: Callable[[], Any]) -> bool:
        """Whether a step was made; it is tried again where the API server does not answer or somebody else was faster."""
        try:
            return bool(await step())
        except (Conflict, AlreadyExists):
            return False
        except FlinkJobError as error:
            log.warning("the Lease could not be renewed: %s", error.message)
            return False

    def _pause(self) -> float:
        """Seconds until the next look: sooner where a seat is given up sooner."""
        return min([RETRY_SECONDS, *(max(0.01, left) for left in self._sightings.left())])

    # joining

    async def _join(self) -> bool:
        lease, board = await self._read(), await self._look()
        seat = self._free_seat(board)
        if seat is None or not self._may_share(lease, board):
            return False
        begun = time.monotonic()
        taken = await self._write(seat, board.get(seat), holder=self._holder)
        try:
            # in this order: whoever else takes the operator's Lease sees the seat before, or this write fails
            lease, board = await self._read(), await self._look()
            shared = self._may_share(lease, board)
            if shared:
                await self._write(self._name, lease, holder=self._all, seconds=FOR_EVER)
        except FlinkJobError:
            await self._write(seat, taken, holder="", seconds=1)
            raise
        if not shared:
            await self._write(seat, taken, holder="", seconds=1)
            return False
        self._seat, self._renewed = seat, begun
        return True

    def _free_seat(self, board: Board) -> str | None:
        free = [name for name in self._seats if name not in board or not board[name].holder]
        given_up = [name for name in self._seats if name in board and self._given_up(board[name])]
        return next(iter([*free, *given_up]), None)

    def _may_share(self, lease: Lease | None, board: Board) -> bool:
        """Whether the operator's own Lease is nobody's, or that of replicas with as many shards as this one."""
        if lease is None or lease.holder in ("", self._all):
            return True
        if lease.duration >= FOR_EVER:
            return not self._living(board, board.keys() - {self._name, *self._seats})
        return self._given_up(lease)

    def _living(self, board: Board, names: Any) -> set[str]:
        """Who has one of these Leases and lives."""
        found = (board[name] for name in names if name in board and LeaseNames.is_seat(name))
        return {lease.holder for lease in found if lease.holder and not self._given_up(lease)}

    def _given_up(self, lease: Lease) -> bool:
        return self._sightings.given_up(lease)

    # going on

    async def _go_on(self) -> bool:
        begun = time.monotonic()
        board = await self._look()
        seat = board.get(self._seat or "")
        if seat is None or seat.holder != self._holder:
            raise Lost("another replica has taken the seat of this one")
        if (lease := board.get(self._name)) is None or lease.holder != self._all:
            raise Lost(f"the Lease {self._name} was taken from the replicas that share the clusters out")
        board[seat.name] = await self._write(seat.name, seat, holder=self._holder)
        self._renewed, self._writes = begun, 0
        until = begun + RENEW_DEADLINE / 4
        await self._take_seats(board, until)
        await self._share(board, until)
        return True

    def _may_write(self, until: float) -> bool:
        """Of an API server that is slow the rest is asked after the next renewal, but for one write."""
        return not self._writes or time.monotonic() <= until

    async def _take_seats(self, board: Board, until: float) -> None:
        """Take the seats away of replicas that do not renew them."""
        for name in self._seats:
            lease = board.get(name)
            if not self._may_write(until):
                return
            if lease is not None and lease.holder and name != self._seat and self._given_up(lease):
                log.warning("replica %s does not renew its seat, and its shards are taken", lease.holder)
                with suppress(Conflict):
                    board[name] = await self._write(name, lease, holder="", seconds=1)

    async def _share(self, board: Board, until: float) -> None:
        """Give back what has ended, take what is free and this replica's to have, and move on."""
        for name, number in self._shards.items():
            if number in self._ended and self._may_write(until):
                board[name] = await self._write(name, board[name], holder="", seconds=1)
                self._ended -= {number}
        living = {board[name].holder for name in self._seats if name in board and board[name].holder}
        held = {number: board[name].holder for name, number in self._shards.items() if name in board}
        if taken := [number for number in sorted(self._begun) if held.get(number) != self._holder]:
            raise Lost(f"the Leases of the shards {taken} are not this replica's any more")
        held = {number: holder for number, holder in held.items() if holder in living}
        wanted = assignment(held, living, len(self._shards))
        for name, number in self._shards.items():
            if wanted[number] == self._holder and number not in held and self._may_write(until):
                with suppress(Conflict, AlreadyExists):
                    await self._write(name, board.get(name), holder=self._holder, seconds=FOR_EVER)
                    held[number] = self._holder
        self._owned = frozenset(number for number, holder in held.items() if holder == self._holder)
        if self._move is None or self._move.done():
            excess = frozenset(number for number in self._begun if wanted[number] != self._holder)
            if new := self._owned - self._begun - self._ended:
                self._move = asyncio.create_task(self._take(new), name="shards taken")
            elif excess:
                self._begun -= excess
                self._move = asyncio.create_task(self._give_back(excess), name="shards given back")

    async def _take(self, new: frozenset[int]) -> None:
        shards = await asyncio.shield(self._served)
        try:
            await shards.prepare(new)
        except FlinkJobError as error:
            log.warning("the shards %s are taken later: %s", sorted(new), error.message)
            return
        self._begun |= new
        log.info("%s has the shards %s, %s of them new", self._holder, sorted(self._begun), len(new))
        shards.begin(new)

    async def _give_back(self, excess: frozenset[int]) -> None:
        log.info("%s gives the shards %s back", self._holder, sorted(excess))
        await self._served.result().end(excess)
        self._ended |= excess

    # Leases

    async def _read(self) -> Lease | None:
        """The operator's own Lease."""
        raw = await self._client.read_lease(self._namespace, self._name)
        if raw is None:
            return None
        lease = Lease.of(raw)
        self._sightings.see(lease)
        return lease

    async def _look(self) -> Board:
        found = await self._client.list_leases(self._namespace, f"{LABEL_SHARED}={self._name}")
        board = {lease.name: lease for lease in map(Lease.of, found)}
        for lease in board.values():
            if LeaseNames.is_seat(lease.name) and lease.holder != self._holder:
                self._sightings.see(lease)
        return board

    async def _write(self, name: str, lease: Lease | None, *, holder: str, seconds: int = LEASE_SECONDS) -> Lease:
        body = body_of(self._namespace, name, lease, holder=holder, seconds=seconds, labels={LABEL_SHARED: self._name})
        self._writes += 1
        make = self._client.create_lease if lease is None else self._client.replace_lease
        return Lease.of(await make(body))
