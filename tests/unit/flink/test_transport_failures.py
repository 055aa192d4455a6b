"""Every way of not getting Flink's answer is `Unreachable`, never a statement about a job."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from deploy.local import plainhttp
from flinkjob.core.errors import Invalid, Rejected, Transient, Unreachable
from flinkjob.core.flinkmodel import RunRequest
from flinkjob.flink import FlinkClient, rest

JOB = "0" * 32
Handler = Callable[[httpx.Request], httpx.Response]


def _client(handler: Handler, url: str = "http://flink:8081", timeout: float = 5.0) -> FlinkClient:
    return FlinkClient(httpx.AsyncClient(transport=httpx.MockTransport(handler)), url, timeout=timeout)


def _raising(error: Exception) -> Handler:
    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    return handler


@pytest.mark.parametrize(
    ("error", "reason", "reached"),
    [
        (httpx.ConnectError("[Errno 111] Connection refused"), "refused", False),
        (httpx.ConnectTimeout(""), "timeout", False),
        (httpx.PoolTimeout(""), "timeout", False),
        (httpx.ReadTimeout(""), "timeout", True),
        (httpx.WriteTimeout(""), "timeout", True),
        (httpx.ReadError(""), "cut", True),
        (httpx.WriteError(""), "cut", True),
        (httpx.RemoteProtocolError("peer closed connection without sending complete message body"), "cut", True),
    ],
)
async def test_failures_of_the_connection(error: Exception, reason: str, reached: bool) -> None:
    with pytest.raises(Unreachable) as caught:
        await _client(_raising(error)).job_status(JOB)
    assert (caught.value.reason, caught.value.reached) == (reason, reached)
    assert caught.value.message.startswith("http://flink:8081: ")


async def test_a_refused_certificate_never_reached_flink() -> None:
    error = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    error.__cause__ = ssl.SSLError("bad certificate")
    with pytest.raises(Unreachable) as caught:
        await _client(_raising(error)).cluster_config()
    assert (caught.value.reason, caught.value.reached) == ("tls", False)


@pytest.mark.fault("rest-hangs")
@pytest.mark.threat("too-slow")
async def test_a_drip_of_bytes_does_not_stretch_the_time_out() -> None:
    class Drip(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0.01)

    client = _client(lambda _: httpx.Response(200, stream=Drip()), timeout=0.1)
    with pytest.raises(Unreachable) as caught:
        await client.overview_jobs()
    assert caught.value.reason == "timeout"


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (httpx.Response(200, html="<html>login</html>"), "not-json"),
        (httpx.Response(404, html="<html>no such ingress</html>"), "not-json"),
        (httpx.Response(500, text="upstream error"), "not-json"),
        (httpx.Response(200, content=b'{"status":"RUNN'), "not-json"),
        (httpx.Response(200, content=b""), "not-json"),
        (httpx.Response(404, json={"message": "no Route matched"}), "not-flink"),
        (httpx.Response(500, json=["no errors here"]), "not-flink"),
        (httpx.Response(200, json={"other": "service"}), "not-flink"),
        (httpx.Response(200, json={"status": 7}), "not-flink"),
        (httpx.Response(503, json={"errors": ["Service temporarily unavailable due to a leader election."]}), "unavailable"),
        (httpx.Response(502, html="<html>Bad Gateway</html>"), "not-json"),
        (httpx.Response(429, json={}), "unavailable"),
        (httpx.Response(401, html="<html>who are you</html>"), "denied"),
        (httpx.Response(403, json={"errors": ["no"]}), "denied"),
        (httpx.Response(301, headers={"location": "https://flink:8081/"}), "redirect"),
        (httpx.Response(307, headers={"location": "http://evil/"}), "redirect"),
    ],
)  # fmt: skip
async def test_answers_that_are_not_flinks(response: httpx.Response, reason: str) -> None:
    with pytest.raises(Unreachable) as caught:
        await _client(lambda _: response).job_status(JOB)
    assert caught.value.reason == reason


async def test_redirects_are_not_followed() -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(302, headers={"location": "http://evil/jobs"})

    http = httpx.AsyncClient(transport=httpx.MockTransport(handler), follow_redirects=True)
    with pytest.raises(Unreachable):
        await FlinkClient(http, "http://flink:8081").run_jar("x.jar", RunRequest(job_id=JOB))
    assert asked == ["flink"]


@pytest.mark.threat("too-large")
async def test_answers_have_a_largest_size() -> None:
    def client(spaces: int) -> FlinkClient:
        body = b'{"jobs":[' + b" " * spaces + b"]}"
        http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, content=body)))
        return FlinkClient(http, "http://flink:8081", limits=rest.Limits(overview=1000))

    with pytest.raises(Unreachable) as caught:
        await client(1000).overview_jobs()
    assert caught.value.reason == "too-large"
    assert await client(900).overview_jobs() == ()


async def test_flinks_own_failures_are_transient_and_its_refusals_are_not() -> None:
    body = {
        "errors": ["Internal server error.", "<Exception on server side:\njava.lang.NullPointerException\n\tat x.Y\n>"]
    }
    with pytest.raises(Transient, match="NullPointerException") as failed:
        await _client(lambda _: httpx.Response(500, json=body)).job_status(JOB)
    assert not isinstance(failed.value, Unreachable)
    with pytest.raises(Rejected, match="Bad request") as refused:
        await _client(lambda _: httpx.Response(400, json={"errors": ["Bad request"]})).job_status(JOB)
    assert refused.value.code == 400


@pytest.mark.invariant(11)
async def test_secrets_of_the_address_are_not_shown() -> None:
    client = _client(_raising(httpx.ConnectError("no")), "https://user:secret@flink:8081/path?token=hidden")
    with pytest.raises(Unreachable) as caught:
        await client.cluster_config()
    assert caught.value.message == "https://flink:8081/path: no"


async def test_an_address_that_is_none() -> None:
    with pytest.raises(Invalid):
        await FlinkClient(plainhttp.async_client(), "ftp://flink").cluster_config()


async def test_a_path_prefix_is_kept() -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        return httpx.Response(200, json={"jobs": []})

    await _client(handler, "http://proxy/flink/one/").overview_jobs()
    assert asked == ["/flink/one/jobs/overview"]
