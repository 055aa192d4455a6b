"""One of several replicas leads, by a Lease; a leader that could not renew in time does nothing any more.

Called by `app` (election before anything is watched, exit on loss), by the gate before every effect, and once more when a
request that changes something is sent. Invariants: another replica's Lease counts as expired only after it was seen unchanged
for its whole duration by this process's own monotonic clock; `require` refuses every effect unless the Lease was renewed less
than the renew deadline ago, also after the process was frozen and woken.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from flinkjob.core.errors import FlinkJobError, Transient
from flinkjob.kube.connection import Bounds
from flinkjob.kube.errors import AlreadyExists, Conflict
from flinkjob.runtime.lease import FOR_EVER, LEASE_SECONDS, Lease, Sightings, body_of

log = logging.getLogger(__name__)

RENEW_DEADLINE = 10.0
RETRY_SECONDS = 2.0
RENEWAL = Bounds(connections=2, seconds=3.0, attempts=1)
"""The Lease is renewed over connections of its own, on which no other request is waited for. A request that is lost, and the
pause after it, leave time for another renewal before the deadline."""


class NotLeading(Transient):
    """Refused: another replica may lead."""

    def __init__(self) -> None:
        super().__init__("not-leading", "the Lease was not renewed in time; another replica may lead")


class LeaseClient(Protocol):
    """What the election needs of `KubeClient`."""

    async def read_lease(self, namespace: str, name: str) -> dict[str, Any] | None: ...
    async def create_lease(self, body: Mapping[str, Any]) -> dict[str, Any]: ...
    async def replace_lease(self, body: Mapping[str, Any]) -> dict[str, Any]: ...


class Leadership:
    """Takes and keeps the Lease of one operator identity."""

    def __init__(self, client: LeaseClient, *, namespace: str, name: str, holder: str) -> None:
        """
        Args:
            name: of the Lease; follows from the operator's identity.
            holder: this process, unique among the replicas.
        """
        self._client = client
        self._namespace = namespace
        self._name = name
        self._holder = holder
        self._lease: Lease | None = None
        self._renewed: float | None = None
        self._sightings = Sightings()

    def leads(self) -> bool:
        """Whether the Lease was renewed less than the renew deadline ago."""
        return self._renewed is not None and time.monotonic() - self._renewed < RENEW_DEADLINE

    def require(self) -> None:
        """Refuse to have an effect without a fresh Lease.

        Raises:
            NotLeading: this process does not lead, or cannot know that it does.
        """
        if not self.leads():
            raise NotLeading

    async def acquire(self) -> None:
        """Wait until this process leads."""
        while not await self._try():  # noqa: ASYNC110 - what is waited for happens in the API server
            await asyncio.sleep(RETRY_SECONDS)
        log.info("leading as %s", self._holder)

    async def keep(self, lost: Callable[[], None]) -> None:
        """Renew until it fails for longer than the renew deadline; then call `lost` and return."""
        try:
            while self.leads():
                await asyncio.sleep(RETRY_SECONDS)
                await self._try()
        except Exception:
            log.exception("the Lease cannot be renewed any more")
        log.error("the Lease was lost")
        lost()

    async def release(self) -> None:
        """Let another replica lead at once."""
        if self._lease is None or not self.leads():
            return
        self._renewed = None
        with suppress(FlinkJobError):
            await self._client.replace_lease(self._body(holder="", seconds=1))

    async def _try(self) -> bool:
        """Take or renew the Lease, if it is ours or nobody's. False: not now."""
        begun = time.monotonic()
        try:
            raw = await self._client.read_lease(self._namespace, self._name)
            self._lease = Lease.of(raw) if raw is not None else None
            if self._lease is None:
                self._lease = Lease.of(await self._client.create_lease(self._body(holder=self._holder)))
            elif self._may_take(self._lease):
                self._lease = Lease.of(await self._client.replace_lease(self._body(holder=self._holder)))
            else:
                return False
        except (Conflict, AlreadyExists):
            return False
        except FlinkJobError as error:
            log.warning("the Lease could not be renewed: %s", error.message)
            return False
        self._renewed = begun
        return True

    def _may_take(self, lease: Lease) -> bool:
        if lease.holder in ("", self._holder):
            return True
        if self._sightings.see(lease) and lease.duration >= FOR_EVER:
            log.warning("the Lease %s belongs to replicas that share the clusters out: %s", lease.name, lease.holder)
        return self._sightings.given_up(lease)

    def _body(self, *, holder: str, seconds: int = LEASE_SECONDS) -> dict[str, Any]:
        return body_of(self._namespace, self._name, self._lease, holder=holder, seconds=seconds)
