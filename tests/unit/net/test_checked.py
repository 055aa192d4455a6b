"""Names that resolve to refused addresses, and that the address which was checked is the one that is connected to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from aiohttp import web

from flinkjob.core.access.hosts import HostRules
from flinkjob.net.checked import CheckedTransport, artifact_client


class Resolver:
    """Answers of the name service, one after the other; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer]


@pytest.fixture
async def server() -> AsyncIterator[int]:
    """A server on 127.0.0.1; its port."""
    app = web.Application()
    app.router.add_get("/", _answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield int(runner.addresses[0][1])
    await runner.cleanup()


async def _answer(_: web.Request) -> web.Response:
    return web.Response(text="here")


async def get(rules: HostRules, url: str) -> str:
    async with httpx.AsyncClient(transport=CheckedTransport(rules.check_address), trust_env=False) as http:
        return (await http.get(url)).text


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Resolver]:
    def to(*answers: list[str]) -> Resolver:
        resolver = Resolver(*answers)
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolver)
        return resolver

    return to


@pytest.mark.threat("rebinding")
@pytest.mark.parametrize(
    "address", ["169.254.169.254", "127.0.0.1", "0.0.0.0", "100.100.100.200", "::1", "fe80::1", "::ffff:127.0.0.1"]
)
async def test_a_name_that_resolves_to_a_refused_address(
    resolves: Callable[..., Resolver], server: int, address: str
) -> None:
    resolves([address])
    with pytest.raises(httpx.ConnectError, match=r"host innocent\.example: address .* is not allowed"):
        await get(HostRules(), f"http://innocent.example:{server}/")


@pytest.mark.threat("rebinding")
async def test_one_refused_address_among_several_is_enough(resolves: Callable[..., Resolver], server: int) -> None:
    resolves(["127.0.0.1", "169.254.169.254"])
    with pytest.raises(httpx.ConnectError, match="not allowed"):
        await get(HostRules(loopback=True), f"http://innocent.example:{server}/")


@pytest.mark.threat("rebinding")
async def test_what_was_checked_is_connected_to(resolves: Callable[..., Resolver], server: int) -> None:
    resolver = resolves(["127.0.0.1"], ["169.254.169.254"])
    assert await get(HostRules(loopback=True), f"http://rebound.example:{server}/") == "here"
    assert resolver.asked == ["rebound.example"]


async def test_loopback_only_where_it_is_allowed(server: int) -> None:
    assert await get(HostRules(loopback=True), f"http://127.0.0.1:{server}/") == "here"
    assert await get(HostRules.of(["127.0.0.0/8"]), f"http://127.0.0.1:{server}/") == "here"
    with pytest.raises(httpx.ConnectError, match="not allowed"):
        await get(HostRules(), f"http://127.0.0.1:{server}/")


async def test_the_next_address_is_tried_and_a_failure_is_told(resolves: Callable[..., Resolver], server: int) -> None:
    resolves(["127.0.0.2", "127.0.0.1"])
    assert await get(HostRules(loopback=True), f"http://two.example:{server}/") == "here"
    resolves(["127.0.0.2"])
    with pytest.raises(httpx.ConnectError):
        await get(HostRules(loopback=True), f"http://two.example:{server}/")


async def test_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)
    with pytest.raises(httpx.ConnectError, match=r"does not know it; for a Service write NAME\.NAMESPACE\.svc"):
        await get(HostRules(), "http://nowhere.example/")


async def test_artifacts_are_fetched_over_it(server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "example.com")
    async with artifact_client(HostRules().check_address) as http:
        with pytest.raises(httpx.ConnectError, match="not allowed"):
            await http.get(f"http://127.0.0.1:{server}/")


@pytest.mark.connection("hosts-without-proxy")
async def test_a_host_that_no_proxy_names_is_checked_and_others_go_through_the_proxy(
    server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,inside.example")
    async with artifact_client(HostRules().check_address) as http:
        assert (await http.get("http://somewhere.example/")).text == "here"
        with pytest.raises(httpx.ConnectError, match="not allowed"):
            await http.get(f"http://127.0.0.1:{server}/")


@pytest.mark.parametrize(
    ("errno", "said"), [(socket.EAI_NONAME, "does not know it"), (socket.EAI_AGAIN, "gives no answer for it")]
)
async def test_a_name_that_nobody_knows_says_who_looked_and_what_to_write(
    monkeypatch: pytest.MonkeyPatch, errno: int, said: str
) -> None:
    async def unknown(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(errno, "Temporary failure in name resolution")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    with pytest.raises(httpx.ConnectError) as caught:
        await get(HostRules(), "http://flink.shop.svc:8081/")
    text = str(caught.value)
    assert text.startswith("host flink.shop.svc cannot be found: the DNS of the operator's machine or Pod (")
    assert said in text
    assert text.endswith("is there a Service flink in namespace shop?")


async def test_who_does_not_answer_is_said_as_the_system_says_it() -> None:
    with pytest.raises(httpx.ConnectError, match=r"\[Errno 111\] Connect call failed"):
        await get(HostRules(loopback=True), "http://127.0.0.1:1/")


async def test_tls_that_fails_behind_a_proxy_costs_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nno TLS at all")
        await writer.drain()
        writer.close()

    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
    async with artifact_client(HostRules().check_address) as http:
        for _ in range(110):  # more than a pool has places
            with pytest.raises(httpx.ConnectError):
                await http.get("https://somewhere.example/", timeout=5)
    proxy.close()
    await proxy.wait_closed()
