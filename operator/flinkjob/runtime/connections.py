"""Connections to Flink clusters: a few to each cluster, long calls apart from short ones, and a share for each namespace.

Made by `app`, used by `Clusters` to make its clients. Invariants: no cluster takes the connections of another one; a call
that may take minutes takes no connection of those that are answered at once; connections of all clusters together are
bounded, and each namespace has its share of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import httpx

from flinkjob.core.shares import Usage
from flinkjob.flink.client import FlinkClient
from flinkjob.flink.rest import LONG, Limits
from flinkjob.net.backend import AddressCheck
from flinkjob.net.checked import CheckedTransport
from flinkjob.net.permits import Permits
from flinkjob.runtime.access import Access, RotatingTransport, SecretAuth, SecretReader, Vault

SHORT_CALLS: Final = httpx.Limits(max_connections=16, max_keepalive_connections=8)
"""To one cluster. Its poller needs one of them, and each round that asks it something."""
LONG_CALLS: Final = httpx.Limits(max_connections=128, max_keepalive_connections=0)
"""To one cluster; what one namespace may have at all is less."""

Hooks = Mapping[str, list[Callable[..., Awaitable[Any]]]]
"""Event hooks of an httpx client."""


class Lanes(httpx.AsyncBaseTransport):
    """The connections to one cluster."""

    def __init__(self, make: Callable[[httpx.Limits], httpx.AsyncBaseTransport]) -> None:
        """
        Args:
            make: connections with these limits.
        """
        self._short, self._long = make(SHORT_CALLS), make(LONG_CALLS)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        lane = self._long if request.extensions.get(LONG) else self._short
        return await lane.handle_async_request(request)

    async def aclose(self) -> None:
        await self._short.aclose()
        await self._long.aclose()


class Connections:
    """The HTTP clients of all clusters, one for each address and way of access."""

    def __init__(
        self,
        reader: SecretReader,
        check: AddressCheck,
        *,
        most: int,
        limits: Limits | None = None,
        hooks: Hooks | None = None,
        credentials_over_http: bool = False,
    ) -> None:
        """
        Args:
            reader: of Secrets and ConfigMaps.
            check: refuses addresses that names resolve to, see `net.checked`.
            most: connections of all clusters; one namespace may have half of them.
            limits: what the answers of all clusters may cost.
            hooks: of each exchange.
            credentials_over_http: whether credentials may be sent where everybody on the way can read them.
        """
        self._credentials_over_http = credentials_over_http
        self._reader = reader
        self._check = check
        self._limits = limits or Limits()
        self._hooks = {name: list(called) for name, called in (hooks or {}).items()}
        self._permits = Permits(most, each=(most + 1) // 2)
        self._made: dict[tuple[str, Access | None], tuple[httpx.AsyncClient, Lanes]] = {}

    def usage(self) -> Usage:
        """How many connections there may be, are, and are waited for."""
        return self._permits.usage()

    def connect(self, url: str, access: Access | None) -> FlinkClient:
        """A client of the cluster at an address; None: nobody has to prove who he is."""
        made = self._made.get((url, access))
        if made is None:
            made = self._made[url, access] = self._make(access)
        return FlinkClient(made[0], url, limits=self._limits)

    async def release(self, url: str, access: Access | None) -> None:
        """Nobody needs the cluster any more; whoever asks it all the same finds that the connection broke."""
        made = self._made.pop((url, access), None)
        if made is not None:
            await made[1].aclose()

    async def close(self) -> None:
        """Close what is still open."""
        for url, access in tuple(self._made):
            await self.release(url, access)

    def _make(self, access: Access | None) -> tuple[httpx.AsyncClient, Lanes]:
        vault = Vault(self._reader, access.namespace) if access is not None else None

        def transport(limits: httpx.Limits) -> httpx.AsyncBaseTransport:
            if vault is not None and access is not None and access.tls is not None:
                return RotatingTransport(vault, access.tls, limits, self._check, self._permits)
            return CheckedTransport(self._check, limits=limits, permits=self._permits)

        lanes = Lanes(transport)
        secret = access.auth_secret if access is not None else None
        auth = None
        if vault is not None and secret is not None:
            auth = SecretAuth(vault, secret, plain=self._credentials_over_http)
        http = httpx.AsyncClient(auth=auth, transport=lanes, trust_env=False, event_hooks=self._hooks)
        return http, lanes
