"""Retries, time-outs and credentials, against a real HTTP server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from flinkjob.core.errors import Transient
from flinkjob.kube import connection
from flinkjob.kube.client import KubeClient
from flinkjob.kube.connection import USUAL, Bounds
from flinkjob.kube.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Gone,
    KubeRejected,
    KubeUnavailable,
    NamespaceTerminating,
)
from flinkjob.kube.events import EventRecorder
from flinkjob.kube.kinds import Kind, ObjectRef
from flinkjob.kube.kubecontext import KubeContext
from flinkjob.kube.user import UserClient
from tests.unit.kube.apiserver import Answer, ApiServer, api_server, cuts_off, hangs, refuses, says

OBJECT = {"metadata": {"name": "clicks", "resourceVersion": "8"}}
Counted = list[tuple[str, str, str]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off of milliseconds; Retry-After is honoured as it is."""
    monkeypatch.setattr(connection, "FIRST_DELAY_SECONDS", 0.001)


@asynccontextmanager
async def connected(
    tmp_path: Path, *script: Answer, bounds: Bounds = USUAL
) -> AsyncIterator[tuple[KubeClient, ApiServer, Counted]]:
    counted: Counted = []
    async with api_server(*script) as server:
        path = server.kubeconfig(tmp_path)
        connect = KubeClient.connect(path, bounds=bounds, on_request=lambda *request: counted.append(request))
        async with await connect as client:
            yield client, server, counted


@pytest.mark.fault("api-conflicts-and-trouble")
async def test_a_busy_server_is_asked_again_after_the_time_it_names(tmp_path: Path) -> None:
    busy = refuses(429, "TooManyRequests")
    busy_for = says({}, 429, {"Retry-After": "0.2"})
    async with connected(tmp_path, busy_for, busy, says(OBJECT)) as (client, server, counted):
        before = time.monotonic()
        assert await client.get(Kind.FLINK_JOB, "apps", "clicks") == OBJECT
        assert time.monotonic() - before >= 0.2
    assert [code for _, _, code in counted] == ["429", "429", "200"]
    assert {(verb, resource) for verb, resource, _ in counted} == {("get", "flinkjobs")}
    assert server.seen[0].path == "/apis/flinkjob.dev/v1alpha1/namespaces/apps/flinkjobs/clicks"


@pytest.mark.fault("api-conflicts-and-trouble")
@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        pytest.param(says({}, 500), "500", id="500"),
        pytest.param(says({}, 503), "503", id="503"),
        pytest.param(refuses(401, "Unauthorized"), "401", id="401"),
        pytest.param(cuts_off, "ClientPayloadError", id="cut-off"),
    ],
)
async def test_trouble_is_retried_and_then_told(tmp_path: Path, trouble: Answer, code: str) -> None:
    async with connected(tmp_path, trouble) as (client, _, counted):
        with pytest.raises(KubeUnavailable, match=f"get flinkjobs apps/clicks: .*{code}"):
            await client.get(Kind.FLINK_JOB, "apps", "clicks")
    assert [counted_code for _, _, counted_code in counted] == [code] * connection.USUAL.attempts


@pytest.mark.fault("operator-lease-lost")
@pytest.mark.threat("frozen-replica")
async def test_whoever_lost_the_lease_meanwhile_repeats_no_write(tmp_path: Path) -> None:
    asked: list[bool] = []

    def require() -> None:
        asked.append(True)
        if len(asked) > 1:
            raise Transient("not-leading", "another replica may lead")

    async with connected(tmp_path, refuses(503, "busy"), says(OBJECT)) as (client, server, _):
        client.ask_before_writes(require)
        with pytest.raises(Transient, match="another replica"):
            await client.patch_status(Kind.FLINK_JOB, "apps", "clicks", {"phase": "Running"}, "8")
        assert [request.method for request in server.seen] == ["PATCH"]
        assert await client.get(Kind.FLINK_JOB, "apps", "clicks") == OBJECT, "whoever reads needs no Lease"
        await client.replace_lease({"metadata": {"namespace": "system", "name": "lease"}})
        assert await client.create_event(event()), "it tells what was done already"
    assert [request.method for request in server.seen] == ["PATCH", "GET", "PUT", "POST"]


def event() -> dict[str, Any]:
    """An Event."""
    about = {"kind": "FlinkJob", "name": "clicks"}
    return {
        "metadata": {"namespace": "apps", "name": "e"},
        "involvedObject": about,
        "reason": "Running",
        "message": "m",
    }


async def test_no_repetition_after_the_budget(tmp_path: Path) -> None:
    async with connected(tmp_path, says({}, 429, {"Retry-After": "3600"})) as (client, server, _):
        with pytest.raises(KubeUnavailable, match="429"):
            await client.get(Kind.FLINK_JOB, "apps", "clicks")
    assert len(server.seen) == 1


async def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    async with connected(tmp_path, hangs, says(OBJECT), bounds=Bounds(seconds=0.5)) as (client, _, counted):
        assert await client.get(Kind.FLINK_JOB, "apps", "clicks") == OBJECT
    codes = [code for _, _, code in counted]
    assert codes[-1] == "200"
    assert set(codes[:-1]) == {"timeout"}


async def test_nobody_listens(tmp_path: Path) -> None:
    async with api_server(says()) as server:
        path = server.kubeconfig(tmp_path)
    async with await KubeClient.connect(path) as client:
        with pytest.raises(KubeUnavailable, match=r"ClientConnectorError: Cannot connect to host 127\.0\.0\.1"):
            await client.get(Kind.FLINK_JOB, "apps", "clicks")


async def test_something_else_that_answers(tmp_path: Path) -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>please log in</html>", content_type="text/html")

    async with connected(tmp_path, page) as (client, _, _):
        with pytest.raises(KubeUnavailable, match="the answer is not JSON"):
            await client.get(Kind.FLINK_JOB, "apps", "clicks")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(refuses(404, "NotFound"), Gone, id="404"),
        pytest.param(refuses(409, "Conflict"), Conflict, id="409"),
        pytest.param(refuses(422, "Invalid", "the server rejected our request"), Conflict, id="test-failed"),
        pytest.param(refuses(422, "Invalid", causes=[{"reason": "FieldValueInvalid"}]), KubeRejected, id="invalid"),
        pytest.param(refuses(403, "Forbidden"), Forbidden, id="403"),
        pytest.param(says("no status object", 400), KubeRejected, id="400"),
    ],
)
async def test_a_no_is_not_retried(tmp_path: Path, answer: Answer, error: type[KubeRejected]) -> None:
    async with connected(tmp_path, answer) as (client, server, _):
        with pytest.raises(KubeRejected) as caught:
            await client.patch_status(Kind.FLINK_JOB, "apps", "clicks", {"phase": "Running"}, "7")
    assert type(caught.value) is error
    assert str(caught.value).startswith("patch flinkjobs/status apps/clicks: ")
    assert len(server.seen) == 1


async def test_creating_in_a_dying_namespace(tmp_path: Path) -> None:
    dying = refuses(403, "Forbidden", "it is being terminated", causes=[{"reason": "NamespaceTerminating"}])
    async with connected(tmp_path, dying) as (client, _, _):
        with pytest.raises(NamespaceTerminating):
            await client.create_savepoint({"metadata": {"namespace": "apps", "name": "sp"}})


async def test_creating_what_exists_returns_it(tmp_path: Path) -> None:
    exists = refuses(409, "AlreadyExists")
    async with connected(tmp_path, exists, says(OBJECT)) as (client, server, _):
        assert await client.create_savepoint({"metadata": {"namespace": "apps", "name": "sp"}}) == OBJECT
    assert [seen.method for seen in server.seen] == ["POST", "GET"]
    assert issubclass(AlreadyExists, KubeRejected)


async def test_a_status_patch_is_compare_and_set(tmp_path: Path) -> None:
    async with connected(tmp_path, says(OBJECT)) as (client, server, _):
        await client.patch_status(Kind.FLINK_JOB, "apps", "clicks", {"phase": "Running", "hold": None}, "7")
    (seen,) = server.seen
    assert (seen.method, seen.content_type) == ("PATCH", "application/merge-patch+json")
    assert seen.path.endswith("/flinkjobs/clicks/status")
    assert seen.body == {"metadata": {"resourceVersion": "7"}, "status": {"phase": "Running", "hold": None}}


@pytest.mark.parametrize(("existing", "op"), [([], "/metadata/finalizers"), (["x/y"], "/metadata/finalizers/-")])
async def test_adding_the_finalizer_tests_the_version(tmp_path: Path, existing: list[str], op: str) -> None:
    async with connected(tmp_path, says(OBJECT)) as (client, server, _):
        await client.add_finalizer(Kind.FLINK_JOB, "apps", "clicks", "7", existing)
    (seen,) = server.seen
    assert seen.content_type == "application/json-patch+json"
    assert seen.body[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    assert seen.body[1]["path"] == op


async def test_removing_the_finalizer_takes_only_ours(tmp_path: Path) -> None:
    async with connected(tmp_path, says(OBJECT)) as (client, server, _):
        await client.remove_finalizer(Kind.FLINK_JOB, "apps", "clicks", "7", ["x/y", "flinkjob.dev/job-cleanup"])
    assert server.seen[0].body[1:] == [
        {"op": "test", "path": "/metadata/finalizers/1", "value": "flinkjob.dev/job-cleanup"},
        {"op": "remove", "path": "/metadata/finalizers/1"},
    ]


async def test_removing_the_finalizer_of_what_is_gone(tmp_path: Path) -> None:
    async with connected(tmp_path, refuses(404, "NotFound")) as (client, _, _):
        held = ["flinkjob.dev/job-cleanup"]
        assert await client.remove_finalizer(Kind.FLINK_JOB, "apps", "clicks", "7", held) is None


async def test_a_list_is_paged_and_begun_again_when_it_expires(tmp_path: Path) -> None:
    first = says({"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "more"}})
    rest = says({"items": [{"metadata": {"name": "b"}}], "metadata": {}})
    async with connected(tmp_path, first, refuses(410, "Expired"), first, rest) as (client, server, _):
        found = await client.list_all(Kind.FLINK_JOB)
    assert [item["metadata"]["name"] for item in found] == ["a", "b"]
    assert {item["kind"] for item in found} == {"FlinkJob"}
    assert [seen.query.get("continue") for seen in server.seen] == [None, "more", None, "more"]


async def test_a_persons_list_is_begun_again_too(tmp_path: Path) -> None:
    first = says({"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "more"}})
    rest = says({"items": [{"metadata": {"name": "b"}}], "metadata": {}})
    async with api_server(first, refuses(410, "Expired"), first, rest) as server:
        chosen = KubeContext(kubeconfig=server.kubeconfig(tmp_path))
        async with await UserClient.connect(chosen) as client:
            found = await client.all(Kind.FLINK_JOB, "apps", "metadata.name=clicks")
    assert [item["metadata"]["name"] for item in found] == ["a", "b"]
    assert [seen.query.get("continue") for seen in server.seen] == [None, "more", None, "more"]
    assert {seen.query["fieldSelector"] for seen in server.seen} == {"metadata.name=clicks"}


@pytest.mark.behaviour(53)
async def test_an_event_that_is_refused_is_a_log_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clicks = ObjectRef(kind="FlinkJob", namespace="apps", name="clicks")
    async with (
        connected(tmp_path, refuses(403, "Forbidden")) as (client, _, _),
        EventRecorder(client, "flinkjob-operator", "test") as events,
    ):
        events.post(clicks, reason="LeftBehind", message="0a1b is still running")
    assert "FlinkJob apps/clicks LeftBehind: 0a1b is still running" in caplog.text


async def test_names_are_quoted_in_paths(tmp_path: Path) -> None:
    async with connected(tmp_path, says(OBJECT)) as (client, server, _):
        await client.read_secret("apps", "../../nodes?x")
    assert server.seen[0].path == "/api/v1/namespaces/apps/secrets/..%2F..%2Fnodes%3Fx"


async def test_the_token_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text("t1")
    async with api_server(says(OBJECT)) as server:
        path = server.kubeconfig(tmp_path, {"tokenFile": str(token)})
        async with await KubeClient.connect(path) as client:
            await client.get(Kind.FLINK_JOB, "apps", "clicks")
            token.write_text("t2")
            await client.get(Kind.FLINK_JOB, "apps", "clicks")
            monkeypatch.setattr(connection, "CREDENTIAL_AGE_SECONDS", 0.0)
            await client.get(Kind.FLINK_JOB, "apps", "clicks")
    assert [seen.token for seen in server.seen] == ["Bearer t1", "Bearer t1", "Bearer t2"]


async def test_in_a_pod_the_service_account_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text("of-the-pod\n")
    (tmp_path / "ca.crt").write_text("read when the client is made")
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    configuration = await connection.load_configuration(None)
    assert configuration.host == "https://10.0.0.1:443"
    assert await configuration.get_api_key_with_prefix("BearerToken") == "Bearer of-the-pod"
    token.write_text("newer")
    monkeypatch.setattr(connection, "CREDENTIAL_AGE_SECONDS", 0.0)
    assert await configuration.get_api_key_with_prefix("BearerToken") == "Bearer newer"


async def test_no_credentials(tmp_path: Path) -> None:
    with pytest.raises(KubeUnavailable, match="no usable Kubernetes credentials"):
        await KubeClient.connect(tmp_path / "missing")


async def test_requests_share_a_pool(tmp_path: Path) -> None:
    peers = set()

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return await says(OBJECT)(request)

    async with connected(tmp_path, answer) as (client, server, _):
        await asyncio.gather(*(client.get(Kind.FLINK_JOB, "apps", "clicks") for _ in range(200)))
    assert len(server.seen) == 200
    assert len(peers) <= connection.USUAL.connections


async def test_a_file_of_passwords_is_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read at each request otherwise, and no request can be sent where it names the API server."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with connected(tmp_path, says(OBJECT)) as (client, server, _):
        assert await client.get(Kind.FLINK_JOB, "apps", "clicks") == OBJECT
    assert [seen.token for seen in server.seen] == ["Bearer t0"]


@pytest.mark.parametrize(("exempt", "through"), [("", True), ("127.0.0.1", False)])
async def test_the_proxy_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exempt: str, through: bool
) -> None:
    for name in ("http_proxy", "no_proxy", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with api_server(says({"by": "proxy"})) as proxy, api_server(says({"by": "server"})) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", exempt)
        async with await KubeClient.connect(server.kubeconfig(tmp_path)) as client:
            answer = await client.get(Kind.FLINK_JOB, "apps", "clicks")
    assert answer == {"by": "proxy" if through else "server"}
