"""What an artifact server answers: status, headers, redirects and a jar, and addresses of all sorts, changed at random."""

from __future__ import annotations

import asyncio
import io
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from hypothesis import strategies as st

from flinkjob.artifacts.cache import ArtifactCache
from flinkjob.artifacts.fetch import ArtifactStore
from flinkjob.artifacts.http import HttpSource, Validators
from flinkjob.artifacts.jarfile import Sort, check_is_jar
from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.access.hosts import HostRules
from flinkjob.core.errors import FlinkJobError, Invalid
from flinkjob.net.permits import Permits
from flinkjob.runtime.storeaccess import StoreAccesses
from flinkjob.snapshots.addresses import StoreAddress, store_host
from flinkjob.snapshots.listing import SnapshotLister
from tests.fuzz.driver import affordable, fuzz, require_shown, run_watched
from tests.fuzz.values import one_of_these, spoiled
from tests.unit.artifacts.jarserver import Keys

MIB = 1024 * 1024
NAMES = (
    b"Location",
    b"Content-Length",
    b"Content-Encoding",
    b"ETag",
    b"Last-Modified",
    b"Content-Type",
    b"Retry-After",
)
VALUES = (
    b"",
    b"/other.jar",
    b"http://other/a.jar",
    b"https://u:p@other/a.jar?token=x#y",
    b"http://[",
    b"http://[::1",
    b"http://h:99999999/",
    b"http://h:port/",
    b"http://\xff\xfe/",
    b"http://xn--a\xc3\xa4/",
    b"http://" + b"a" * 300 + b"/",
    b"file:///etc/passwd",
    b"//",
    b"?",
    b"http://169.254.169.254/",
    b"http://%31%36%39.254.169.254/",
    b"jar",
    b"-1",
    b"12",
    b"\xb2",
    b"9" * 5000,
    b"1e3",
    b"identity",
    b"gzip",
    b'"' + b"e" * 60_000 + b'"',
    b"Wed, 21 Oct 2015 07:28:00 GMT",
    b"\xe2\x80\xae",
)
STATUSES = (200, 200, 200, 301, 302, 302, 302, 304, 307, 308, 300, 206, 404, 401, 408, 429, 500, 503, 599)
URLS = (
    b"http://jars/a.jar",
    b"https://jars:8443/a/b.jar?x=y",
    b"http://10.0.0.1/a",
    b"file:///jars/a.jar",
    b"http://[::1]/a",
)


def _jar() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nMain-Class: a.B\r\n\r\n")
        jar.writestr("a/B.class", bytes(range(256)))
    return content.getvalue()


@dataclass(frozen=True)
class Reply:
    """An answer of an artifact server."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def __repr__(self) -> str:
        headers = [(name, value[:60]) for name, value in self.headers]
        return f"Reply({self.status}, {headers}, {self.body[:1000]!r} of {len(self.body)})"


_VALUE = one_of_these(VALUES) | st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20).map(
    lambda text: text.encode("latin-1")
)
_TELLING = st.tuples(st.just(b"Location"), one_of_these(VALUES) | spoiled(URLS)) | st.tuples(
    st.just(b"Content-Length"), one_of_these([b"\xb2", b"9" * 5000, b"-1", b"12", b"1e3", b"0x10", b" 5"])
)
REPLIES = st.builds(
    Reply,
    status=st.sampled_from(STATUSES),
    headers=st.lists(st.tuples(st.sampled_from(NAMES), _VALUE) | _TELLING, max_size=4).map(tuple),
    body=spoiled([_jar()]),
)


async def _fetched(replies: list[Reply], pinned: bool) -> None:
    told = iter(replies)

    def answer(_: httpx.Request) -> httpx.Response:
        reply = next(told, replies[-1])
        return httpx.Response(reply.status, headers=list(reply.headers), stream=httpx.ByteStream(reply.body))

    with tempfile.TemporaryDirectory() as directory:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            source = HttpSource(
                http,
                ArtifactCache(Path(directory), max_bytes=4 * MIB),
                sort=Sort(MIB, check_is_jar),
                timeout_seconds=60,
                check_url=HostRules().check_url,
            )
            try:
                await source.fetch("http://jars/a.jar", Validators('"a"', None) if pinned else None, "ns")
            except FlinkJobError as error:
                require_shown(error)


@pytest.mark.threat("artifact-redirect", "too-large")
def test_a_download_ends_in_a_jar_or_a_refusal() -> None:
    fuzz(
        st.tuples(st.lists(REPLIES, min_size=1, max_size=3), st.booleans()),
        lambda case: affordable(lambda: run_watched(lambda: _fetched(*case))),
    )


PLACES = (
    b"s3://bucket/prefix",
    b"s3a://bucket/%2e%2e/x",
    b"gs://bucket",
    b"abfss://container@account.dfs.core.windows.net/x",
    b"file:///copies/a",
    b"file:/state/chk-1",
    b"/state/chk-1",
    b"s3://a[b/c",
    b"//[",
    b"file:///a%00b",
    b"http://[",
    b"file:///" + b"a/" * 3000,
    b"file:///" + b"a" * 300,
)


async def _places(text: str, directory: Path) -> None:
    """All that is read from an address that a person or a cluster has written."""
    listed = await SnapshotLister((directory,)).list(text)
    assert not listed.found
    address = StoreAddress(
        uri=text, endpoint="https://store.example", secret={"accessKeyId": "a", "secretAccessKey": "b"}
    )
    access = StoreAccesses(
        reader=NoSecrets(), grants=StoreGrants.of([f"*=file://{directory}"]), hosts=HostRules.of(["store.example"])
    )
    store = ArtifactStore(
        directory / "cache",
        httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(404))),
        allowed_directories=(directory,),
        max_bytes=MIB,
        timeout_seconds=60,
        max_cache_bytes=MIB,
        check_url=HostRules().check_url,
        credentials=Keys(),
        turn=Permits(1).hold,
    )
    for ask in (
        lambda: asyncio.to_thread(store_host, address),
        lambda: asyncio.to_thread(store_host, replace(address, uri="s3://bucket", endpoint=text)),
        lambda: access.address("ns", text, None, create=False),
        lambda: access.address("ns", text, None, create=True),
        lambda: store.get("ns", text),
    ):
        try:
            await ask()
        except FlinkJobError as error:
            require_shown(error)


class NoSecrets:
    """A namespace that has none."""

    async def read_secret(self, namespace: str, name: str) -> None:
        return None

    async def read_configmap(self, namespace: str, name: str) -> None:
        return None


@pytest.mark.threat("foreign-store", "file-jar", "smuggled-names")
def test_a_place_is_found_or_refused(tmp_path: Path) -> None:
    places = spoiled(PLACES).map(lambda place: place[:8192].decode("latin-1"))
    fuzz(places, lambda text: affordable(lambda: run_watched(lambda: _places(text, tmp_path))))


def _checked(url: bytes) -> None:
    try:
        HostRules.of(["*.example.com", "10.0.0.0/8"]).check_url(url.decode("latin-1"))
        HostRules().check_url(url.decode("latin-1"))
    except Invalid as error:
        require_shown(error)


@pytest.mark.threat("metadata-service")
def test_an_address_is_allowed_or_refused() -> None:
    fuzz(spoiled([*URLS, *VALUES]), lambda url: affordable(lambda: _checked(url[:10_000])))
