"""The tests' own proxy in front of a store: what it leaves behind would be blamed on whichever test runs next."""

from __future__ import annotations

import gc
import socket
import warnings
from urllib.parse import urlsplit

from tests.support.storeproxy import StoreProxy


def test_a_proxy_that_ends_leaves_no_connection_open() -> None:
    """Whatever it was at: those it had just accepted, and those that it was just about to pass on."""
    with warnings.catch_warnings(record=True) as left, socket.create_server(("127.0.0.1", 0)) as store:
        warnings.simplefilter("always", ResourceWarning)
        upstream = f"http://127.0.0.1:{store.getsockname()[1]}"
        for count in range(30):
            clients: list[socket.socket] = []
            with StoreProxy(upstream) as wire:
                address = urlsplit(wire.url)
                for _ in range(1 + count % 5):
                    clients.append(socket.create_connection((address.hostname or "", address.port or 0), timeout=10))
            for client in clients:
                client.close()
        gc.collect()  # what was not closed says so now
    assert [str(warning.message) for warning in left] == []
