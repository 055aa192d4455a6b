"""How much memory a TLS connection of the event loop takes.

Called once by `__main__`. Invariant: nothing else depends on it; records of TLS are no longer than half of it.
"""

from __future__ import annotations

from asyncio import sslproto
from typing import Final

TLS_BUFFER: Final = 32 * 1024
"""Bytes that are read at once. asyncio takes eight times as much, for each connection and as long as it is open: 16 MiB for
the connections to an API server, whose answers seldom have more than this."""


def small_tls_buffers() -> None:
    """From now on, for new connections."""
    sslproto.SSLProtocol.max_size = TLS_BUFFER
