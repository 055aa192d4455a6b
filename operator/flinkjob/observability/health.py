"""Liveness, readiness and metrics over HTTP.

Started by `app`. The checks are functions that return None when all is well, else one line that says what is not; they
must be quick, and one that raises counts as a failure that is reported, never as a hanging probe.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Self

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

log = logging.getLogger(__name__)

Check = Callable[[], str | None]


class HealthServer:
    """`/healthz`, `/readyz` and `/metrics` on one port. An async context manager."""

    def __init__(
        self, port: int, metrics_registry: CollectorRegistry, live: Check, ready: Check, *, host: str | None = None
    ) -> None:
        """
        Args:
            port: 0 takes a free one of 127.0.0.1; see `port`.
            live: not None has the Pod restarted.
            ready: not None takes the Pod out of its Service.
            host: all addresses, IPv4 and IPv6, unless given.
        """
        self._wanted_port = port
        self._host = host or (None if port else "127.0.0.1")  # with None each family would get another free port
        self._registry = metrics_registry
        app = web.Application()
        app.router.add_get("/healthz", _probe("live", live))
        app.router.add_get("/readyz", _probe("ready", ready))
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    @property
    def port(self) -> int:
        """The port that is bound.

        Raises:
            RuntimeError: not started.
        """
        if not self._runner.addresses:
            raise RuntimeError("the health server is not started")
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """Binds the port.

        Raises:
            OSError: it is taken.
        """
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._wanted_port).start()

    async def stop(self) -> None:
        """Closes the port."""
        await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})


def _probe(name: str, check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        try:
            problem = check()
        except Exception as error:
            log.exception("the %s check failed", name)
            problem = f"the check failed: {type(error).__name__}"
        return web.Response(text=f"{problem or 'ok'}\n", status=503 if problem else 200)

    return answer
