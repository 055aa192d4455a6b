"""Stores are spoken to where their address says and nowhere else, and no message tells what a server or a key file holds."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import GCSStore

from flinkjob.core.errors import FlinkJobError, Invalid
from flinkjob.snapshots import stores
from flinkjob.snapshots.addresses import StoreAddress, store_host
from flinkjob.snapshots.stores import open_store, store_errors

KEYS = {"accessKeyId": "key", "secretAccessKey": "hidden-secret"}
INNER = b"<html>inner-secret</html>"


class Server(ThreadingHTTPServer):
    """Answers every request alike, and notes it."""

    daemon_threads = True

    def __init__(self, host: str, status: int, headers: dict[str, str], body: bytes, pause: float) -> None:
        asked = self.asked = list[str]()
        sent = self.sent = dict[str, str]()

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                asked.append(f"{self.command} {self.path}")
                sent.update(self.headers.items())
                time.sleep(pause)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                with contextlib.suppress(ConnectionError):
                    self.end_headers()
                    self.wfile.write(body)

            do_GET = do_PUT = do_POST = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                return

        super().__init__((host, 0), Handler)
        self.url = f"http://{host}:{self.server_port}"


@pytest.fixture
def serve() -> Iterator[Any]:
    """Starts servers."""
    started: list[Server] = []

    def start(
        host: str, status: int = 200, headers: dict[str, str] | None = None, body: bytes = INNER, pause: float = 0.0
    ) -> Server:
        server = Server(host, status, headers or {}, body, pause)
        started.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def few_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "RETRIES", 0)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def read(address: StoreAddress) -> bytes:
    with store_errors("object"):
        got = await obstore.get_async(open_store(address), "object")
        return bytes(await got.bytes_async())


async def test_a_store_may_say_nothing_for_longer_while_it_receives(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "SILENCE", timedelta(seconds=0.5))
    server = serve("127.0.0.1", headers={"ETag": '"1"'}, pause=1.5)
    address = StoreAddress(uri="s3://bucket", endpoint=server.url, secret=KEYS)
    with pytest.raises(FlinkJobError), store_errors("object"):
        await obstore.put_async(open_store(address), "object", b"x", use_multipart=False)
    await obstore.put_async(open_store(address, uploads=True), "object", b"x", use_multipart=False)
    assert server.asked == ["PUT /bucket/object"] * 2


@pytest.mark.copying("only-its-host")
@pytest.mark.threat("other-host")
async def test_a_redirect_to_another_host_is_not_followed(serve: Any) -> None:
    inner = serve("127.0.0.2", headers={"Last-Modified": "Tue, 24 Nov 2026 18:00:00 GMT", "ETag": '"1"'})
    outer = serve("127.0.0.1", 307, {"Location": f"{inner.url}/metadata"}, b"")
    with pytest.raises(FlinkJobError):
        await read(StoreAddress(uri="s3://bucket", endpoint=outer.url, secret=KEYS))
    assert (len(outer.asked) > 0, inner.asked) == (True, [])


@pytest.mark.threat("other-host")
async def test_a_key_file_does_not_choose_the_host(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = serve("127.0.0.2")
    key = {"type": "service_account", "private_key": "x", "private_key_id": "y", "client_email": "z@z"}
    elsewhere = key | {"gcs_base_url": inner.url, "disable_oauth": True}
    with pytest.raises(FlinkJobError):
        await read(StoreAddress(uri="gs://bucket", secret={"serviceAccountKey.json": json.dumps(elsewhere)}))
    assert inner.asked == []


@pytest.mark.threat("other-host")
@pytest.mark.parametrize("endpoint", [None, "https://storage.example"])
def test_nor_does_it_behind_a_proxy(monkeypatch: pytest.MonkeyPatch, endpoint: str | None) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    key = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, text=True, check=True).stdout
    file = {"private_key": key, "private_key_id": "y", "client_email": "z@z", "gcs_base_url": "https://evil.example"}
    secret = {"serviceAccountKey.json": json.dumps(file)}
    store = open_store(StoreAddress(uri="gs://bucket", endpoint=endpoint, secret=secret))
    assert isinstance(store, GCSStore)
    assert store.config["base_url"] == (endpoint or "https://storage.googleapis.com")


@pytest.mark.copying("own-identity")
@pytest.mark.threat("own-identity-leaked")
@pytest.mark.parametrize(
    ("uri", "secret"),
    [("s3://bucket", KEYS), ("az://box", {"accountName": "shop", "accountKey": "aGlkZGVuLXNlY3JldA=="})],
)
async def test_nothing_of_the_own_identity_is_sent_with_a_secret(
    serve: Any, monkeypatch: pytest.MonkeyPatch, uri: str, secret: dict[str, str]
) -> None:
    own = {
        "AWS_SESSION_TOKEN": "own-identity",
        "AWS_SERVER_SIDE_ENCRYPTION": "aws:kms",
        "AWS_SSE_KMS_KEY_ID": "own-identity",
        "AZURE_STORAGE_TOKEN": "own-identity",
        "azure_storage_client_id": "own-identity",
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    server = serve("127.0.0.1", 404)
    store = open_store(StoreAddress(uri=uri, endpoint=server.url, secret=secret))
    assert {name: os.environ.get(name) for name in own} == own
    for work in (obstore.get_async(store, "object"), obstore.put_async(store, "object", b"x", use_multipart=False)):
        with pytest.raises(FlinkJobError), store_errors("object"):
            await work
    assert len(server.asked) == 2
    assert "own-identity" not in str(server.sent)


async def test_without_a_secret_the_own_identity_is_used(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "own-identity")
    server = serve("127.0.0.1", 404)
    with pytest.raises(FlinkJobError):
        await read(StoreAddress(uri="s3://bucket", endpoint=server.url))
    assert "own-identity" in server.sent["x-amz-security-token"]


async def test_a_directory_that_is_empty_again_is_removed(tmp_path: Path) -> None:
    store = open_store(StoreAddress(uri=f"file://{tmp_path}/place"))
    await obstore.put_async(store, "team/job/1/object", b"x")
    await obstore.put_async(store, "team/other", b"x")
    await obstore.delete_async(store, "team/job/1/object")
    assert [path.name for path in (tmp_path / "place" / "team").iterdir()] == ["other"]


@pytest.mark.threat("other-host")
@pytest.mark.parametrize("status", [400, 500, 404, 403, 409, 412, 304, 501])
async def test_what_a_server_answered_is_not_told(serve: Any, status: int) -> None:
    server = serve("127.0.0.1", status)
    with pytest.raises(FlinkJobError) as caught:
        await read(StoreAddress(uri="s3://bucket", endpoint=server.url, secret=KEYS))
    assert "inner-secret" not in str(caught.value)
    assert "hidden-secret" not in str(caught.value)
    if status not in (404, 403):
        assert str(status) in str(caught.value)


async def test_the_word_of_s3_for_an_error_is_told(serve: Any) -> None:
    server = serve("127.0.0.1", 400, body=b"<Error><Code>ExpiredToken</Code><Message>inner-secret</Message></Error>")
    with pytest.raises(FlinkJobError, match=r"400 Bad Request \(ExpiredToken\)$"):
        await read(StoreAddress(uri="s3://bucket", endpoint=server.url, secret=KEYS))


@pytest.mark.parametrize(
    ("uri", "fields"),
    [
        ("s3://bucket/a//b", {}),
        ("s3://bucket/a/%2e%2e/b", {}),
        ("file:///copies/%2e%2e/b", {}),
        ("s3://169.254.169.254\\/a", {}),
        ("s3://user@bucket/a", {}),
        ("abfss://c@a@evil/x", {}),
        ("ftp://bucket/a", {}),
        ("s3://bu[cket/a", {}),
        ("s3://bucket", {"endpoint": "https://[store", "secret": KEYS}),
        ("gs://bucket", {"secret": {"serviceAccountKey.json": '{"type": 5, "private_key": "hidden-secret"}'}}),
        ("gs://bucket", {"secret": {"serviceAccountKey.json": "hidden-secret"}}),
        ("s3://bucket", {"endpoint": "https://store.example", "ca": "hidden-secret", "secret": KEYS}),
    ],
)
def test_an_address_that_cannot_be_used(uri: str, fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        open_store(StoreAddress(uri=uri, **fields), create=False)
    assert "hidden-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "fields", "host"),
    [
        ("s3://bucket/a", {"region": "eu-west-1"}, "s3.eu-west-1.amazonaws.com"),
        ("s3a://bucket/a", {"endpoint": "http://store.example:9000"}, "store.example"),
        ("s3://bucket/a", {"endpoint": "http://[::1]:9000"}, "::1"),
        ("gs://bucket/a", {}, "storage.googleapis.com"),
        ("gs://bucket/a", {"endpoint": "https://storage.example"}, "storage.example"),
        ("az://box/a", {"secret": {"accountName": "shop"}}, "shop.blob.core.windows.net"),
        ("abfss://box@shop.dfs.core.windows.net/a", {}, "shop.blob.core.windows.net"),
    ],
)
def test_the_host_that_is_checked(uri: str, fields: dict[str, Any], host: str) -> None:
    assert store_host(StoreAddress(uri=uri, **fields)) == host


@pytest.mark.threat("other-host")
@pytest.mark.parametrize(
    "fields",
    [
        {"endpoint": "http://169.254.169.254\\x"},
        {"endpoint": "http://"},
        {"uri": "az://box", "secret": {"accountName": "169.254.169.254/#"}},
        {"uri": "az://box", "secret": {"accountName": "x,*"}},
    ],
    ids=str,
)
def test_a_host_that_readers_of_urls_disagree_about(fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        store_host(StoreAddress(**{"uri": "s3://bucket", **fields}))
