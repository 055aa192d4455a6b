"""Services of other namespaces may be connected to only where they say so: annotation `flinkjob.dev/allow-from: ns1,ns2`.

Asked by the observer about every address that a person can name, as `serviceRef` or as the host of a URL. Which Services a
name may lead to says `core.access.services`; of a short one, whether it does, DNS. Invariants: what cannot be found out is no
permission; who was allowed is believed for a minute, and on while it cannot be asked again.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import httpx

from flinkjob.api.constants import ANNOTATION_ALLOW_FROM
from flinkjob.core.access.services import Service, ServiceNames, search_list
from flinkjob.core.errors import FlinkJobError, Transient

SERVICE_SECONDS = 60.0
"""How long it is believed whom a Service allows."""
NAME_SECONDS = 5.0
"""How long it is believed whether a short name leads to a Service."""
RESOLVE_SECONDS = 5.0
MOST_KEPT = 2000
"""So many answers are kept before the old ones are thrown away."""
RESOLVER_FILE = Path("/etc/resolv.conf")

K = TypeVar("K")
V = TypeVar("V")


class ServiceReader(Protocol):
    """What is needed of `KubeClient`."""

    async def read_service(self, namespace: str, name: str) -> dict[str, Any] | None: ...


class Services:
    """Knows which Services addresses name, and whom those allow."""

    def __init__(
        self,
        reader: ServiceReader,
        *,
        search: Sequence[str] = (),
        exists: Callable[[str], Awaitable[bool]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            search: the domains in which short names are looked for, see `search_list`.
            exists: whether DNS knows an absolute name; raises `Transient` where it does not answer.
        """
        self._names = ServiceNames(search)
        self._allowed: _Remembered[Service, frozenset[str]] = _Remembered(
            lambda service: _allowed_by(reader, service), SERVICE_SECONDS, clock
        )
        self._exists: _Remembered[str, bool] = _Remembered(exists or _exists, NAME_SECONDS, clock)

    async def refusal(self, url: str, namespace: str) -> str:
        """Why objects of a namespace may not use an address, as far as Services are concerned; "" where they may.

        Raises:
            Transient: it cannot be found out now.
        """
        host = _host(url)
        for service, short in self._names.of(host):
            if service.namespace == namespace or (short and not await self._exists.get(short)):
                continue
            if namespace not in await self._allowed.get(service):
                where = f"Service {service.namespace}/{service.name}"
                return f"{where} does not allow namespace {namespace} (annotation {ANNOTATION_ALLOW_FROM})"
        return ""


class _Remembered(Generic[K, V]):
    """Answers that are used again for a while, and for longer where there is no new one to be had."""

    def __init__(self, ask: Callable[[K], Awaitable[V]], seconds: float, clock: Callable[[], float]) -> None:
        self._ask = ask
        self._seconds = seconds
        self._clock = clock
        self._known: dict[K, tuple[float, V]] = {}

    async def get(self, question: K) -> V:
        known = self._known.get(question)
        if known is not None and self._clock() - known[0] < self._seconds:
            return known[1]
        try:
            answer = await self._ask(question)
        except FlinkJobError:
            if known is None:
                raise
            return known[1]
        now = self._clock()
        if len(self._known) >= MOST_KEPT:
            self._known = {key: kept for key, kept in self._known.items() if now - kept[0] < self._seconds}
        self._known[question] = (now, answer)
        return answer


def own_search_list(file: Path = RESOLVER_FILE) -> tuple[str, ...]:
    """The search list of this process; empty where it has none."""
    try:
        return search_list(file.read_text(errors="replace"))
    except OSError:
        return ()


@lru_cache(maxsize=1024)
def _host(url: str) -> str:
    """The host as the HTTP client will ask for it: lower case, and in ASCII whatever full stops it was written with."""
    try:
        return httpx.URL(url).raw_host.decode("ascii").lower()
    except (httpx.InvalidURL, ValueError):
        return ""


async def _allowed_by(reader: ServiceReader, service: Service) -> frozenset[str]:
    """The namespaces that a Service allows: none where it does not exist, or may not be read."""
    found = await reader.read_service(service.namespace, service.name)
    annotations = ((found or {}).get("metadata") or {}).get("annotations") or {}
    words = str(annotations.get(ANNOTATION_ALLOW_FROM, "")).split(",")
    return frozenset(word.strip() for word in words if word.strip())


async def _exists(name: str) -> bool:
    """Whether DNS has addresses of this name.

    Raises:
        Transient: it does not answer.
    """
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA):
            return False
        raise Transient("dns", f"DNS does not answer for {name}") from None
    except (TimeoutError, OSError):
        raise Transient("dns", f"DNS does not answer for {name}") from None
    except UnicodeError:
        return False  # a label that is longer than DNS has
    return True
