"""By which way Flink is read: the API server's Service proxy, else directly, else not at all; each is said."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from flinkjob.cli.errors import CommandFailed
from flinkjob.cli.flinkview import look
from flinkjob.cli.flinkway import ServiceAddress, service_of
from flinkjob.cli.output import Output
from flinkjob.cli.session import Session
from flinkjob.flink import view
from flinkjob.kube.errors import KubeRejected, KubeUnavailable, NotServed
from flinkjob.kube.kinds import Kind
from flinkjob.kube.kubecontext import KubeContext
from flinkjob.kube.user import UserClient
from tests.unit.cli.objects import JOB_ID, raw
from tests.unit.kube.apiserver import ApiServer, api_server, refuses, says

VERTEX = {"id": "v1", "name": "Source: \x1b[31morders", "parallelism": 2, "tasks": {"RUNNING": 2, "FAILED": 0}}
LOADS = [{"id": "busyTimeMsPerSecond", "max": 970.0}, {"id": "backPressuredTimeMsPerSecond", "max": "NaN"}]
COUNTS = dict.fromkeys(("total", "completed", "failed", "in_progress", "restored"), 0)
PROXY = "/api/v1/namespaces/shop/services/flink:8081/proxy"
URL = "http://flink.shop.svc:8081"


class Flink:
    """Answers like Flink below a path; numbers of load only from the second question on."""

    def __init__(self, below: str) -> None:
        self.below = below
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(self.below)
        self.asked.append(path)
        if path == request.path and self.below:
            return web.json_response({"kind": "Status", "message": "no", "code": 404}, status=404)
        known: dict[str, Any] = {
            f"/jobs/{JOB_ID}": {"vertices": [VERTEX]},
            f"/jobs/{JOB_ID}/exceptions": {"exceptionHistory": {"entries": []}},
            f"/jobs/{JOB_ID}/checkpoints": {"counts": COUNTS, "latest": {}, "history": []},
            f"/jobs/{JOB_ID}/vertices/v1/subtasks/metrics": LOADS if self.asked.count(path) > 1 else [],
        }
        if path in known:
            return web.json_response(known[path])
        return web.json_response({"errors": [f"Job {path} not found"]}, status=404)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "PAUSES", (0.0,))


async def connect(api: ApiServer, directory: Path) -> UserClient:
    return await UserClient.connect(KubeContext(kubeconfig=api.kubeconfig(directory), namespace="shop"))


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://flink.shop.svc:8081", ServiceAddress("shop", "flink", 8081, "http", "")),
        ("https://flink.shop.svc.cluster.local/flink/", ServiceAddress("shop", "flink", 443, "https", "/flink")),
        ("http://flink:8081", None),
        ("http://flink.shop.svc:8081/../../../../secrets", None),
        ("http://flink.shop.svc:8081/%2e%2e/x", None),
        ("http://flink.example.com", None),
        ("http://pod.flink.shop.svc", None),
        ("http://[::1", None),
        ("ftp://flink.shop.svc", None),
        ("", None),
    ],
)
def test_which_addresses_are_services(url: str, found: ServiceAddress | None) -> None:
    assert service_of(url) == found


async def test_a_service_is_read_through_the_api_server_with_the_users_rights(tmp_path: Path) -> None:
    flink = Flink(PROXY)
    async with api_server(flink.answer) as api, await connect(api, tmp_path) as kube:
        seen = await look(kube, URL, JOB_ID)
    assert seen.way == "through the API server's proxy of Service shop/flink"
    [vertex] = seen.vertices
    assert (vertex.name, vertex.parallelism, vertex.tasks) == ("Source: \\x1b[31morders", 2, {"RUNNING": 2})
    assert (vertex.busy, vertex.backpressured) == (0.97, None)
    assert seen.checkpoints is not None
    assert {each.token for each in api.seen} == {"Bearer t0"}
    assert {each.method for each in api.seen} == {"GET"}


async def test_without_the_right_it_is_tried_directly(tmp_path: Path) -> None:
    flink = Flink("")
    denied = refuses(403, "Forbidden", "services flink:8081 is forbidden: cannot get resource services/proxy")
    async with api_server(flink.answer) as jobmanager, api_server(denied) as api, await connect(api, tmp_path) as kube:
        seen = await look(kube, jobmanager.url, JOB_ID)
        assert seen.way == f"directly, at {jobmanager.url}"
        assert len(seen.vertices) == 1
        nothing = await look(kube, "http://flink.shop.svc:1", JOB_ID)
    assert nothing.vertices == ()
    assert nothing.way.startswith(
        "not readable from here, so only what the status has is shown (through the API server's proxy of Service shop/flink: "
    )
    assert "cannot get resource services/proxy" in nothing.way
    assert "directly: http://flink.shop.svc:1: " in nothing.way


async def test_a_service_that_is_not_there_and_an_api_server_that_is_not(tmp_path: Path) -> None:
    async with (
        api_server(refuses(404, "NotFound", 'services "flink" not found')) as api,
        await connect(api, tmp_path) as kube,
    ):
        assert 'services "flink" not found' in (await look(kube, URL, JOB_ID)).way
    async with await connect(api, tmp_path) as kube:
        assert "does not answer" in (await look(kube, URL, JOB_ID)).way


async def test_a_job_that_was_never_sent_is_not_looked_for(tmp_path: Path) -> None:
    async with api_server(says({})) as api, await connect(api, tmp_path) as kube:
        assert (await look(kube, "", "")).way == "no job was sent to Flink yet"
    assert api.seen == []


async def test_a_name_that_is_not_there_gets_suggestions(tmp_path: Path) -> None:
    def session(kube: UserClient) -> Session:
        return Session(kube=kube, output=Output(), namespace="shop")

    absent, listed = refuses(404, "NotFound"), says({"items": [raw("clicks"), raw("views")]})
    served = says({"resources": []})
    async with api_server(absent, served, listed) as api, await connect(api, tmp_path) as kube:
        with pytest.raises(CommandFailed, match=r"there is no FlinkJob clic in namespace shop; did you mean clicks\?"):
            await session(kube).job("clic")
    async with api_server(absent, served, says({"items": []})) as api, await connect(api, tmp_path) as kube:
        with pytest.raises(CommandFailed, match="nor any other; see kubectl flinkjob get -A"):
            await session(kube).job("clicks")
    async with api_server(absent) as api, await connect(api, tmp_path) as kube:
        with pytest.raises(NotServed, match="the CRDs of flinkjob-operator are not installed"):
            await session(kube).job("clicks")
        with pytest.raises(NotServed, match="not installed"):
            await kube.all(Kind.FLINK_JOB, None)


async def test_a_list_is_read_page_by_page_and_what_it_leaves_out_is_added(tmp_path: Path) -> None:
    first = says({"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "more"}})
    second = says({"items": [{"metadata": {"name": "b"}}], "metadata": {}})
    async with api_server(first, second) as api, await connect(api, tmp_path) as kube:
        found = await kube.all(Kind.FLINK_JOB, None, fields="status.phase=Held")
    assert [(each["kind"], each["metadata"]["name"]) for each in found] == [("FlinkJob", "a"), ("FlinkJob", "b")]
    assert [each.query for each in api.seen] == [
        {"limit": "500", "fieldSelector": "status.phase=Held"},
        {"limit": "500", "fieldSelector": "status.phase=Held", "continue": "more"},
    ]


async def test_changes_are_sent_as_what_they_are_and_dry_runs_store_nothing(tmp_path: Path) -> None:
    async with api_server(says(raw())) as api, await connect(api, tmp_path) as kube:
        await kube.patch(Kind.FLINK_JOB, raw(), {"spec": {"parallelism": 2}}, dry_run=True)
        await kube.create(raw("new"), dry_run=False)
    sent = [(each.method, each.path.rsplit("/", 1)[-1], each.content_type, each.query) for each in api.seen]
    assert api.seen[0].body == {"spec": {"parallelism": 2}, "metadata": {"resourceVersion": "7"}}
    assert {each.agent for each in api.seen} == {"flinkjob-plugin"}
    manager = {"fieldManager": "flinkjob-plugin"}
    assert sent == [
        ("PATCH", "clicks", "application/merge-patch+json", manager | {"dryRun": "All"}),
        ("POST", "flinkjobs", "application/json", manager | {"fieldValidation": "Strict"}),
    ]


async def test_a_manifest_is_checked_as_kubectl_applies_it(tmp_path: Path) -> None:
    """A field that another manager left is not merged into it, and one that was applied before is taken away."""
    applied = json.dumps(
        {
            "metadata": {"annotations": {"a": "b"}},
            "spec": {"args": ["old"], "jar": {"uri": "https://a/b.jar", "sha256": "0"}},
        }
    )
    there = raw(
        "new", parallelism=4, metadata={"annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}}
    )
    manifest = raw("new", restartNonce=1)
    async with api_server(says(there)) as api, await connect(api, tmp_path) as kube:
        await kube.check({**manifest, "status": {}})
    assert [each.method for each in api.seen] == ["GET", "PATCH"]
    sent = api.seen[-1]
    assert sent.query == {"fieldManager": "flinkjob-plugin", "dryRun": "All", "fieldValidation": "Strict"}
    assert sent.content_type == "application/merge-patch+json"
    jar = {"uri": "https://repo.example.com/clicks.jar", "sha256": None}
    assert sent.body["spec"] == {**manifest["spec"], "jar": jar, "args": None}
    assert sent.body["metadata"]["annotations"] == {"a": None}, "those of others stay"
    missing, served = refuses(404, "NotFound"), says({})
    async with api_server(missing, served) as api, await connect(api, tmp_path) as kube:
        await kube.check(raw("new"))
    assert [each.method for each in api.seen] == ["GET", "GET", "POST"]
    assert api.seen[-1].query["dryRun"] == "All"


async def test_credentials_that_are_refused_are_called_so(tmp_path: Path) -> None:
    async with api_server(refuses(401, "Unauthorized")) as api, await connect(api, tmp_path) as kube:
        with pytest.raises(KubeUnavailable, match="the API server does not accept the credentials: HTTP 401"):
            await kube.get(Kind.FLINK_JOB, "shop", "clicks")
    async with api_server(refuses(409, "AlreadyExists", "it exists")) as api, await connect(api, tmp_path) as kube:
        with pytest.raises(KubeRejected, match="create flinkjobs shop/new: it exists"):
            await kube.create(raw("new"), dry_run=False)


def test_the_namespace_is_that_of_the_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\n"
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: t}}]\n"
        "contexts:\n- {name: a, context: {cluster: c, user: u, namespace: shop}}\n"
        "- {name: b, context: {cluster: c, user: u}}\n"
    )
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))

    async def namespace(chosen: KubeContext) -> str:
        async with await UserClient.connect(chosen) as kube:
            return kube.namespace

    assert asyncio.run(namespace(KubeContext())) == "shop"
    assert asyncio.run(namespace(KubeContext(context="b"))) == "default"
    assert asyncio.run(namespace(KubeContext(namespace="other"))) == "other"
    for chosen in (KubeContext(context="nope"), KubeContext(context="nope", namespace="shop")):
        with pytest.raises(KubeUnavailable, match="no usable Kubernetes credentials"):
            asyncio.run(namespace(chosen))
    without = (tmp_path / "config").read_text().replace("current-context: a\n", "")
    (tmp_path / "config").write_text(without)
    assert asyncio.run(namespace(KubeContext(context="a"))) == "shop"
    with pytest.raises(KubeUnavailable, match="no usable Kubernetes credentials"):
        asyncio.run(namespace(KubeContext()))


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"a: [",
        b"- a",
        b"",
        b"text",
        b"contexts: {a: b}",
        b"current-context: c\ncontexts: [{name: c}]",
        b"contexts: 1",
    ],
)
@pytest.mark.parametrize("namespace", [None, "shop"])
def test_a_file_that_is_no_kubeconfig_is_named(tmp_path: Path, content: bytes, namespace: str | None) -> None:
    file = tmp_path / "config"
    file.write_bytes(content)

    async def connect_by_it() -> None:
        async with await UserClient.connect(KubeContext(kubeconfig=file, namespace=namespace)):
            raise AssertionError

    with pytest.raises(KubeUnavailable, match="no usable Kubernetes credentials"):
        asyncio.run(connect_by_it())
