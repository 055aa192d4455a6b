"""TLS to a server that asks for a client certificate: large bodies, refusals told as such, rotation under way."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.tls import Certificates, make_certificates
from flinkjob.api.cluster_spec import TlsSpec
from flinkjob.core.errors import Unreachable
from flinkjob.flink.rest import FlinkRest
from flinkjob.runtime.access import AGAIN_SECONDS, RotatingTransport, Vault

LARGE = 3 * 2**20


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"), mutual=True)


class Server:
    """Reads a request with its body, waits until it may answer, answers with as much."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split()[0]) if b"content-length" in head else 2
                body = await reader.readexactly(length) if b"content-length" in head else b"{}"
                self.asked.set()
                await self.answers.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()


class Shelf:
    """The Secret of the client, as it is at the moment."""

    def __init__(self, certificates: Certificates) -> None:
        self.certificates = certificates
        self.extra = b""

    async def read_secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        pair = {
            "tls.crt": self.certificates.client_certificate.read_bytes() + self.extra,
            "tls.key": self.certificates.client_key.read_bytes(),
            "ca.crt": self.certificates.ca.read_bytes(),
        }
        return {"data": {key: base64.b64encode(value).decode() for key, value in pair.items()}}

    async def read_configmap(self, namespace: str, name: str) -> dict[str, Any] | None:
        return None


class Client:
    def __init__(self, certificates: Certificates, port: int, **tls: Any) -> None:
        self.now = 0.0
        self.shelf = Shelf(certificates)
        spec = TlsSpec.model_validate({"ca": {"secretKeyRef": {"name": "client", "key": "ca.crt"}}} | tls)
        vault = Vault(self.shelf, "ns", lambda: self.now)
        self.http = httpx.AsyncClient(transport=RotatingTransport(vault, spec, httpx.Limits(), lambda _: None))
        self.rest = FlinkRest(self.http, f"https://127.0.0.1:{port}", timeout=5)

    async def echo(self, size: int = 0) -> None:
        found = await self.rest.call("POST", "/", json={"text": "x" * size}, timeout=20, limit=2 * LARGE)
        assert found.body == {"text": "x" * size}


@pytest.fixture
async def server(certificates: Certificates) -> AsyncIterator[tuple[Server, int]]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates.ca))
    context.verify_mode = ssl.CERT_REQUIRED
    directory: Path = certificates.directory
    context.load_cert_chain(directory / "server.crt", directory / "server.key")
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    yield server, listening.sockets[0].getsockname()[1]
    listening.close()
    await asyncio.sleep(0.05)  # lets the server's side of the connections go


MUTUAL = {"clientSecretRef": {"name": "client"}}


async def test_large_bodies_both_ways(certificates: Certificates, server: tuple[Server, int]) -> None:
    client = Client(certificates, server[1], **MUTUAL)
    await client.echo()
    await client.echo(LARGE)
    await client.http.aclose()


@pytest.mark.connection("rotated-certificate")
async def test_a_certificate_that_rotates_breaks_nothing_under_way(
    certificates: Certificates, server: tuple[Server, int]
) -> None:
    client = Client(certificates, server[1], **MUTUAL)
    server[0].answers.clear()
    first = asyncio.create_task(client.echo(10))
    await server[0].asked.wait()
    client.shelf.extra, client.now = b"\n", 120.0
    second = asyncio.create_task(client.echo(20))
    await asyncio.sleep(0.05)
    server[0].answers.set()
    await first
    await second
    await client.echo()
    transport = client.http._transport
    assert isinstance(transport, RotatingTransport)
    assert not transport._retired
    await client.http.aclose()


async def test_an_authority_that_was_corrected_is_trusted_at_once(
    certificates: Certificates, server: tuple[Server, int], tmp_path: Path
) -> None:
    client = Client(make_certificates(tmp_path, mutual=True), server[1], **MUTUAL)
    for passed in (0.0, 1.0):
        client.now += passed
        with pytest.raises(Unreachable, match="TLS: ") as refused:
            await client.echo()
        assert refused.value.reason == "tls"
        client.shelf.certificates = certificates
    client.now += AGAIN_SECONDS
    await client.echo()
    await client.http.aclose()


async def test_what_is_wrong_is_said(certificates: Certificates, server: tuple[Server, int]) -> None:
    nameless = Client(certificates, server[1])
    with pytest.raises(Unreachable, match=r"(?i)certificate.required|handshake|broke") as refused:
        await nameless.echo()
    assert refused.value.reason in ("tls", "cut")
    await nameless.http.aclose()

    mistaken = Client(certificates, server[1], serverName="other.example", **MUTUAL)
    with pytest.raises(Unreachable, match=r"TLS: .*other\.example") as caught:
        await mistaken.echo()
    assert (caught.value.reason, caught.value.reached) == ("tls", False)
    await mistaken.http.aclose()


@contextmanager
def strict_server(certificates: Certificates) -> Iterator[int]:
    """Refuses whoever shows no certificate, with the alert that OpenSSL's own sockets send after the handshake."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates.ca))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificates.directory / "server.crt", certificates.directory / "server.key")
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                with client, suppress(OSError), context.wrap_socket(client, server_side=True) as secure:
                    secure.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


async def test_a_refusal_after_the_handshake(certificates: Certificates) -> None:
    with strict_server(certificates) as port:
        nameless = Client(certificates, port)
        for _ in range(3):
            with pytest.raises(Unreachable, match=r"(?i)certificate.required|broke"):
                await nameless.echo()
        await nameless.http.aclose()


async def test_a_name_that_no_server_can_have(certificates: Certificates, server: tuple[Server, int]) -> None:
    client = Client(certificates, server[1], serverName=".x", **MUTUAL)
    with pytest.raises(Unreachable):
        await client.echo()
    await client.http.aclose()


async def test_a_server_that_speaks_no_tls(certificates: Certificates) -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 no\r\n\r\n")
        writer.close()

    plain = await asyncio.start_server(refuse, "127.0.0.1", 0)
    client = Client(certificates, plain.sockets[0].getsockname()[1])
    with pytest.raises(Unreachable) as caught:
        await client.echo()
    assert caught.value.reason == "tls"
    await client.http.aclose()
    plain.close()
    await asyncio.sleep(0.05)
