"""Answers of a hostile Flink or artifact server: refused early, whatever they would become."""

from __future__ import annotations

import asyncio
import gc
import gzip
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local import plainhttp
from flinkjob.artifacts.cache import ArtifactCache
from flinkjob.artifacts.errors import ArtifactInvalid
from flinkjob.artifacts.http import HttpSource
from flinkjob.artifacts.jarfile import Sort, check_is_jar
from flinkjob.core.errors import FlinkJobError, Unreachable
from flinkjob.flink import wire
from flinkjob.flink.client import FlinkClient
from flinkjob.flink.pieces import in_turns
from flinkjob.flink.rest import Limits
from flinkjob.net.foreign import BUDGET_BYTES, Budget
from tests.attacks.child import MIB, peak_of
from tests.attacks.hostile import Endless, entry, hostile

JOB = "a" * 32
PIECE = 64 * 1024
ENDPOINTS: dict[str, Callable[[FlinkClient], Awaitable[Any]]] = {
    "overview": lambda client: client.overview_jobs(),
    "status": lambda client: client.job_status(JOB),
    "config": lambda client: client.job_user_config(JOB),
    "checkpoints": lambda client: client.checkpoints(JOB),
    "checkpoint config": lambda client: client.checkpoint_config(JOB),
    "checkpoint details": lambda client: client.checkpoint_details(JOB, 7),
    "vertices": lambda client: client.vertex_names(JOB),
    "trigger": lambda client: client.savepoint_result(JOB, JOB),
    "cluster": lambda client: client.cluster_config(),
    "slots": lambda client: client.cluster_overview(),
    "jobmanager": lambda client: client.jobmanager_config(),
    "jars": lambda client: client.list_jars(),
    "requirements": lambda client: client.resource_requirements(JOB),
}


def bomb(layers: int = 3, size: int = 256 * MIB) -> bytes:
    """A few hundred bytes that become `size` when they are decoded as often as they were encoded."""
    content = gzip.compress(bytes(size), 1)
    for _ in range(layers - 1):
        content = gzip.compress(content)
    return content


ENCODED = f"Content-Encoding: {', '.join(['gzip'] * 3)}\r\n"


@pytest.mark.threat("too-large")
@pytest.mark.parametrize("endpoint", sorted(ENDPOINTS))
async def test_an_encoded_answer_is_refused(endpoint: str) -> None:
    async with hostile([bomb(size=MIB)], headers=ENCODED) as url, plainhttp.async_client() as http:
        with pytest.raises(Unreachable) as caught:
            await ENDPOINTS[endpoint](FlinkClient(http, url))
    assert caught.value.reason == "encoded"


@pytest.mark.threat("too-large")
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "x-gzip", "identity, gzip"])
async def test_no_encoding_but_identity_is_taken(encoding: str) -> None:
    headers = f"Content-Encoding: {encoding}\r\n"
    async with hostile([b'{"jobs": []}'], headers=headers) as url, plainhttp.async_client() as http:
        with pytest.raises(Unreachable) as caught:
            await FlinkClient(http, url).overview_jobs()
        assert caught.value.reason == "encoded"
    async with (
        hostile([b'{"jobs": []}'], headers="Content-Encoding: Identity\r\n") as url,
        plainhttp.async_client() as http,
    ):
        assert await FlinkClient(http, url).overview_jobs() == ()


@pytest.mark.threat("too-large")
@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
@pytest.mark.parametrize("endpoint", sorted(ENDPOINTS))
async def test_an_endless_answer_is_left(endpoint: str, status: str) -> None:
    pieces = Endless(b" " * PIECE, 100 * MIB // PIECE)
    limits = Limits()
    async with hostile(pieces, status=status) as url, plainhttp.async_client() as http:
        with pytest.raises(Unreachable) as caught:
            await ENDPOINTS[endpoint](FlinkClient(http, url, limits=limits))
    assert caught.value.reason == "too-large"
    assert pieces.taken * PIECE <= limits.overview + 16 * MIB  # what the sockets hold
    assert limits.budget.free == BUDGET_BYTES


@pytest.mark.threat("too-large")
async def test_exceptions_that_are_too_long_are_only_not_known(tmp_path: Path) -> None:
    """What a program throws may be of any length: its cluster is not away therefore."""
    async with hostile(Endless(b" " * PIECE, 10 * MIB // PIECE)) as url, plainhttp.async_client() as http:
        (found,) = await FlinkClient(http, url).exceptions(JOB)
    assert "longer than the operator reads" in found.root_cause


@pytest.mark.threat("too-large")
async def test_large_answers_share_a_budget() -> None:
    limits, end = Limits(budget=Budget(6 * MIB)), asyncio.Event()
    large = b'{"jobs":[' + b",".join(map(entry, range(2 * MIB // len(entry(0)))))
    async with (
        hostile([large], until=end) as drips,
        hostile([large + b"]}"]) as second,
        hostile([b'{"jobs": []}']) as small,
        plainhttp.async_client() as http,
    ):
        first = asyncio.create_task(FlinkClient(http, drips, limits=limits).overview_jobs())
        async with asyncio.timeout(10):
            while limits.budget.free > 5 * MIB:
                await asyncio.sleep(0.01)
        with pytest.raises(Unreachable) as caught:
            await FlinkClient(http, second, limits=limits).overview_jobs()
        assert caught.value.reason == "busy"
        assert await FlinkClient(http, small, limits=limits).overview_jobs() == ()
        end.set()
        with pytest.raises(Unreachable):
            await first
        assert len(await FlinkClient(http, second, limits=limits).overview_jobs()) > 1000
    assert limits.budget.free == 6 * MIB


@asynccontextmanager
async def watched_loop() -> AsyncIterator[list[float]]:
    """The longest time, in seconds of its thread, for which the event loop does one thing, as the only entry of a list."""
    longest, end = [0.0], asyncio.Event()

    async def look() -> None:
        before = time.thread_time()
        while not end.is_set():
            await asyncio.sleep(0)
            longest[0], before = max(longest[0], time.thread_time() - before), time.thread_time()

    watching = asyncio.create_task(look())
    await asyncio.sleep(0)
    yield longest
    end.set()
    await watching


async def longest_stop(body: bytes) -> tuple[float, int]:
    """For how long the loop stands still while a list of jobs is read; how many there are."""
    parts = [body[start : start + PIECE] for start in range(0, len(body), PIECE)]
    async with hostile(parts) as url, plainhttp.async_client() as http, watched_loop() as longest:
        jobs = await FlinkClient(http, url, timeout=60).overview_jobs()
    return longest[0], len(jobs)


@pytest.mark.threat("too-large")
async def test_a_long_list_of_jobs_never_stops_the_operator_for_long() -> None:
    """The parser cannot be interrupted: a list of 8 MiB is understood in pieces, none of which takes long."""
    count = 8 * MIB // (len(entry(1)) + 1) - 1
    body = b'{"jobs":[' + b",".join(map(entry, range(count))) + b"]}"
    assert 7 * MIB < len(body) <= 8 * MIB
    gc.freeze()  # as the operator does when it has started: what is there then is not looked through again and again
    try:
        stopped, found = await longest_stop(body)
    finally:
        gc.unfreeze()
    assert found == count
    assert stopped < 0.05


@pytest.mark.threat("too-large")
@pytest.mark.parametrize(
    "body",
    [
        b'{"jobs":[' + b" " * (2 * MIB) + b"]}",
        b'{"jobs": [' + b",".join(map(entry, range(5000))) + b"]}",
        b'{"x":1,"jobs":[' + b",".join(map(entry, range(5000))) + b"]}",
        b'{"jobs":[' + b",".join([entry(1).replace(b'"jid"', b'"id"')] * 5000) + b"]}",
        b'{"jobs":[' + b",".join(map(entry, range(5000))) + b"],[]}",
    ],
)
async def test_a_long_answer_that_is_no_list_of_jobs_is_not_parsed(body: bytes) -> None:
    async with hostile([body]) as url, plainhttp.async_client() as http:
        with pytest.raises(Unreachable) as caught:
            await FlinkClient(http, url).overview_jobs()
    assert caught.value.reason in ("too-large", "not-json")


@pytest.mark.threat("too-large", "too-slow")
@pytest.mark.parametrize(
    ("count", "entry"),
    [
        (50_000, {"id": "x"}),
        (20_000, {"id": "x", "inputs": [{"id": "y"}] * 5}),
        (30, {"inputs": ["y"] * 1000}),
        (5000, "x"),
    ],
)
async def test_a_list_is_understood_some_entries_at_a_time(count: int, entry: Any) -> None:
    """Measured before: 2.6 seconds for the exceptions of one job, 0.6 for a list of jars."""
    turns, over = [0], asyncio.Event()

    async def others() -> None:
        while not over.is_set():
            turns.append(0)
            await asyncio.sleep(0)

    def understand(some: Sequence[Any]) -> Sequence[Any]:
        turns[-1] += sum(1 + len(str(each).split("'id'")) + str(each).count("'y'") for each in some)
        return some

    waiting = asyncio.create_task(others())
    assert await in_turns([entry] * count, understand) == [entry] * count
    over.set()
    await waiting
    assert max(turns) <= 2 * 2000
    assert len([each for each in turns if each]) > 2


@pytest.mark.threat("too-large")
async def test_an_answer_with_very_many_values_is_not_parsed() -> None:
    padded = b'{"id":"%b"}' % (b"x" * 40)
    async with hostile([b'{"files":[' + b",".join([padded] * 60_000) + b"]}"]) as url, plainhttp.async_client() as http:
        with pytest.raises(Unreachable, match="values") as caught:
            await FlinkClient(http, url).list_jars()
    assert caught.value.reason == "too-large"


@pytest.mark.threat("too-slow")
async def test_only_the_failures_that_are_asked_for_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    value = wire.Failure.value
    monkeypatch.setattr(wire.Failure, "value", lambda failure: seen.append(failure.name) or value(failure))
    entries = b",".join(b'{"exceptionName":"e%d","timestamp":5}' % number for number in range(1000))
    async with (
        hostile([b'{"exceptionHistory":{"entries":[' + entries + b"]}}"]) as url,
        plainhttp.async_client() as http,
    ):
        found = await FlinkClient(http, url).exceptions(JOB, limit=3)
    assert seen == [each.name for each in found] == ["e0", "e1", "e2"]


WRONG: dict[str, Callable[[], bytes]] = {
    "small values": lambda: b'{"jobs": [' + b"[],{}," * 1_000_000 + b"0]}",
    "wrong entries": lambda: b'{"jobs": [' + b'{"jid": 1234567},' * 400_000 + b"0]}",
    "tiny jobs": lambda: b'{"jobs": [' + b",".join([b'{"jid":"x","state":"RUNNING"}'] * 270_000) + b"]}",
    "wrong settings": lambda: b"[" + b'{"key": 12345678},' * 50_000 + b"0]",
    "wrong vertices": lambda: b"{" + b",".join(b'"%016d": 123' % number for number in range(40_000)) + b"}",
    "wrong tasks": lambda: b'{"tasks": {' + b",".join(b'"%016d": 123' % number for number in range(40_000)) + b"}}",
    "wrong history": lambda: b'{"counts": {}, "latest": {}, "history": [' + b'{"id": "x", "y": 1},' * 150_000 + b"0]}",
    "nested": lambda: b"[" * 1_000_000,
}
ASKED = {
    "wrong settings": "jobmanager",
    "wrong vertices": "requirements",
    "wrong tasks": "checkpoint details",
    "wrong history": "checkpoints",
}


def read_all_wrong() -> dict[str, str]:
    """In a child: asks for each answer that is no answer of Flink; why it is refused."""
    return {name: read_wrong(name) for name in WRONG}


def read_wrong(name: str) -> str:
    """Why it is refused."""
    body = WRONG[name]()
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(body)))

    async def ask() -> str:
        async with httpx.AsyncClient(transport=transport) as http:
            try:
                await ENDPOINTS[ASKED.get(name, "overview")](FlinkClient(http, "http://flink"))
            except FlinkJobError as error:
                return error.message
        return ""

    return asyncio.run(ask())


@pytest.mark.threat("too-large")
def test_a_wrong_answer_takes_no_memory() -> None:
    said, mib = peak_of("tests.attacks.test_answers", "read_all_wrong")
    assert set(said) == set(WRONG)
    assert all(0 < len(why) <= 512 for why in said.values())
    assert mib <= 160


@pytest.mark.threat("too-large")
async def test_an_encoded_jar_is_refused(tmp_path: Path) -> None:
    async with hostile([bomb(size=MIB)], headers=ENCODED) as url, plainhttp.async_client() as http:
        source = HttpSource(
            http,
            ArtifactCache(tmp_path, max_bytes=MIB),
            sort=Sort(MIB, check_is_jar),
            timeout_seconds=10,
            check_url=lambda _: None,
        )
        with pytest.raises(ArtifactInvalid) as caught:
            await source.fetch(f"{url}/job.jar", None, "ns")
    assert caught.value.reason == "encoded"


TEXTS = {
    "line feeds": "\n" * 120_000,
    "spaces": " " * 1_000_000,
    "causes": "\nCaused by: " * 80_000,
    "classes": "a.b.CException: " * 60_000,
    "addresses": "a." * 500_000 + "://x",
    "jobs": 'Cannot parse JobID from "' * 40_000,
}


@pytest.mark.threat("too-large")
@pytest.mark.parametrize("name", sorted(TEXTS))
async def test_a_text_of_a_program_does_not_stop_the_operator(name: str) -> None:
    """Measured before: eight and a half minutes for 120,000 line feeds in the message of an exception."""
    trace = f"java.lang.RuntimeException: {TEXTS[name]}\n\tat com.acme.Job.main(Job.java:1)\n"
    trace += "Caused by: java.io.IOException: x"
    failure = {"exceptionName": "java.lang.RuntimeException", "stacktrace": trace, "timestamp": 1}
    answers = {
        "exceptions": {"exceptionHistory": {"entries": [failure]}},
        "savepoints": {"status": {"id": "COMPLETED"}, "operation": {"failure-cause": {"stack-trace": trace}}},
        "status": {"errors": ["Internal server error.", trace]},
    }

    def answer(request: httpx.Request) -> httpx.Response:
        word = next(word for word in answers if word in request.url.path)
        return httpx.Response(500 if word == "status" else 200, json=answers[word])

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        client = FlinkClient(http, "http://flink")
        begun = time.process_time()
        (found,) = await client.exceptions(JOB)
        result = await client.savepoint_result(JOB, JOB)
        with pytest.raises(FlinkJobError) as caught:
            await client.job_status(JOB)
    assert time.process_time() - begun < 1.0
    assert found.root_cause.startswith("IOException: x")
    assert result.failure == "IOException: x"
    assert "IOException: x" in caught.value.message
