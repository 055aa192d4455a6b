"""What lies in a snapshot or a store: `_metadata`, manifests, the small objects of a place, and a store's own answers."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import strategies as st
from obstore.store import MemoryStore, S3Store

from flinkjob.core.errors import FlinkJobError
from flinkjob.snapshots.manifest import Manifest, ManifestFile
from flinkjob.snapshots.metadata import read_metadata
from flinkjob.snapshots.place import Place
from tests.attacks.hostile import hostile
from tests.fuzz.driver import affordable, fuzz, numbers_fit, require_shown
from tests.fuzz.values import dump, mutated, spoiled
from tests.support.snapshots import metadata

FILES = {f"shared/{number:08x}": number * 1000 for number in range(20)}
METADATA = (
    metadata({"a": 5, "b": 6}, checkpoint_id=42),
    metadata(FILES),
    metadata({"a": 1}, absolute="file:/state/chk-1/x"),
)


@contextmanager
def _only_errors_of_the_tree() -> Iterator[None]:
    try:
        yield
    except FlinkJobError as error:
        require_shown(error)


def _read_metadata(content: bytes) -> None:
    with _only_errors_of_the_tree():
        found = read_metadata(content)
        assert numbers_fit(found)
        assert not any(name.startswith("/") or ".." in name.split("/") for name in found.files)
        found.require_self_contained()


@pytest.mark.threat("too-large", "smuggled-names")
def test_a_metadata_is_understood_or_refused() -> None:
    fuzz(spoiled(METADATA), lambda content: affordable(lambda: _read_metadata(content), in_loop=False))


MANIFEST = json.loads(
    Manifest(
        identity="default",
        namespace="ns",
        job="job",
        sequence_number=3,
        checkpoint_id=7,
        source="file:/sp/savepoint-1",
        time="2026-01-01T00:00:00+00:00",
        token="uid",
        job_id="a" * 32,
        files=(
            ManifestFile(name="_metadata", size=5, sha256="0" * 64),
            ManifestFile(name="a", size=6, sha256="1" * 64),
        ),
    ).dump()
)


def _signed(value: Any) -> bytes:
    """With the checksum of whoever writes it."""
    content = dump(value)
    try:
        body = json.loads(content)
        body.pop("checksum")
        body["checksum"] = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        return json.dumps(body).encode()
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError):
        return content


MANIFESTS = mutated([MANIFEST]).map(_signed) | spoiled([dump(MANIFEST)])


def _read_manifest(content: bytes) -> None:
    with _only_errors_of_the_tree():
        found = Manifest.load(content)
        assert numbers_fit(found)
        assert found.size >= 0
        assert Manifest.load(found.dump()) == found


@pytest.mark.threat("lying-store")
def test_a_manifest_is_understood_or_refused() -> None:
    fuzz(MANIFESTS, lambda content: affordable(lambda: _read_manifest(content), in_loop=False))


OWNER = {"identity": "default", "namespace": "ns", "name": "job"}
RESERVED = {"token": "uid", "checkpointId": 7, "identity": "default"}
LATEST = {"sequenceNumber": 3, "directory": f"{3:019}-7"}
PATHS = (
    "owner.json",
    f"reserved/{3:019}.json",
    "latest.json",
    f"{3:019}-7/manifest.json",
    "reserved/9.json",
    "reserved/x",
)
OBJECTS = mutated([OWNER, RESERVED, LATEST]).map(dump) | MANIFESTS


async def _used(objects: dict[str, bytes], take_over: str | None) -> None:
    store = MemoryStore()
    for name, content in objects.items():
        await store.put_async(f"ns/job/{name}", content)
    place = Place(store=store, identity="default", namespace="ns", job="job")
    await _asked(place, take_over)


async def _asked(place: Place, take_over: str | None) -> None:
    with _only_errors_of_the_tree():
        await place.own(take_over)
    with _only_errors_of_the_tree():
        await place.reserve("uid", 7)
    with _only_errors_of_the_tree():
        manifest = await place.newest()
        await place.publish(manifest)
    with _only_errors_of_the_tree():
        await place.prune_reserved(1)
    with _only_errors_of_the_tree():
        await place.left_behind(3, 7)


@pytest.mark.threat("lying-store")
def test_the_objects_of_a_place_are_understood_or_refused() -> None:
    cases = st.tuples(
        st.dictionaries(st.sampled_from(PATHS), OBJECTS, max_size=4), st.sampled_from((None, "default", "b"))
    )
    fuzz(cases, lambda case: affordable(lambda: asyncio.run(_used(*case)), in_loop=False))


ENTRY = (
    b"<Contents><Key>ns/job/reserved/0000000000000000003.json</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    b'<ETag>"a"</ETag><Size>5</Size></Contents>'
)
LISTING = (
    b'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>b</Name><Prefix>ns</Prefix><KeyCount>1</KeyCount>'
    b"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>%b"
    b"<CommonPrefixes><Prefix>ns/job/0000000000000000003-7/</Prefix></CommonPrefixes></ListBucketResult>"
)
REFUSAL = b"<Error><Code>NoSuchKey</Code><Message>x</Message></Error>"
BODIES = (
    LISTING % ENTRY,
    LISTING % (ENTRY * 2000),
    LISTING % b"",
    REFUSAL,
    dump(OWNER),
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
)
HEADERS = (
    "",
    'ETag: "a"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n',
    "ETag: \xff\r\nLast-Modified: yesterday\r\nContent-Length: 10\r\n",
    "Content-Range: bytes 0-9/99999999999999999999\r\n",
    "Location: http://127.0.0.1:1/\r\n",
    "Content-Encoding: gzip\r\n",
)
STATUSES = ("200 OK", "200 OK", "200 OK", "206 X", "301 X", "400 X", "403 X", "404 X", "409 X", "412 X", "200 \x01")


async def _listed(status: str, headers: str, body: bytes) -> None:
    async with hostile([body], status=status, headers=headers) as url:
        store = S3Store(
            "b",
            config={"endpoint": url, "access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"},
            client_options={"allow_http": True, "connect_timeout": "60s", "timeout": "60s"},
            retry_config={"max_retries": 0},
        )
        await _asked(Place(store=store, identity="default", namespace="ns", job="job"), None)


@pytest.mark.threat("lying-store")
def test_what_a_store_answers_is_understood_or_refused() -> None:
    cases = st.tuples(st.sampled_from(STATUSES), st.sampled_from(HEADERS), spoiled(BODIES))
    fuzz(cases, lambda case: affordable(lambda: asyncio.run(_listed(*case)), in_loop=False))
