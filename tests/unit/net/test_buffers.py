"""What a TLS connection takes in memory, and that large bodies pass all the same."""

from __future__ import annotations

import asyncio
import ssl
import tracemalloc
from asyncio import sslproto
from collections.abc import AsyncIterator

import pytest

from deploy.local.tls import Certificates, make_certificates
from flinkjob.net.buffers import TLS_BUFFER, small_tls_buffers

CONNECTIONS = 10
LARGE = 3 * 2**20


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def port(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """Of a server that sends back what it gets."""
    monkeypatch.setattr(sslproto.SSLProtocol, "max_size", sslproto.SSLProtocol.max_size)  # so that it is reset
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.directory / "server.crt", certificates.directory / "server.key")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(TLS_BUFFER):
            writer.write(piece)
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield listening.sockets[0].getsockname()[1]
    listening.close()


async def connected(certificates: Certificates, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    trust = ssl.create_default_context(cafile=str(certificates.ca))
    return await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost")


async def both_ends(certificates: Certificates, port: int) -> float:
    """Bytes of memory that a connection takes, both ends of it."""
    tracemalloc.start()
    try:
        opened = [await connected(certificates, port) for _ in range(CONNECTIONS)]
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    for _, writer in opened:
        writer.close()
        await writer.wait_closed()
    return taken / CONNECTIONS


async def test_a_connection_takes_little(certificates: Certificates, port: int) -> None:
    usual = await both_ends(certificates, port)
    small_tls_buffers()
    small = await both_ends(certificates, port)
    assert small < 2 * TLS_BUFFER + 100_000 < usual / 3


async def test_a_large_body_passes(certificates: Certificates, port: int) -> None:
    small_tls_buffers()
    reader, writer = await connected(certificates, port)
    writer.write(b"x" * LARGE)
    assert await reader.readexactly(LARGE) == b"x" * LARGE
    writer.close()
    await writer.wait_closed()
