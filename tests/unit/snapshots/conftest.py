"""A snapshot made by hand, and places for its copies: a mounted directory and a real S3 server."""

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.s3 import S3Server
from flinkjob.snapshots.stores import StoreAddress, open_store

MIB = 1024 * 1024


def metadata(files: dict[str, int], *, absolute: str | None = None, checkpoint_id: int = 7) -> bytes:
    """A `_metadata` of version 4: an operator whose keyed state lies in these files."""
    handles = [b"\x06" + _text(name) + struct.pack(">q", size) for name, size in files.items()]
    if absolute is not None:
        handles.append(b"\x02" + struct.pack(">q", 5) + _text(absolute))
    states = b""
    for index, handle in enumerate(handles):
        keyed = b"\x03" + struct.pack(">iiq", index, 1, 0) + handle
        states += struct.pack(">iii", index, 0, 0) + keyed + b"\x00" + struct.pack(">ii", 0, 0)
    operator = bytes(16) + struct.pack(">ii", len(handles), 128) + b"\x00" + struct.pack(">i", len(handles)) + states
    return struct.pack(">Iiqii", 0x4960672D, 4, checkpoint_id, 0, 1) + operator


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


@pytest.fixture
def make_snapshot(tmp_path: Path) -> Callable[..., Path]:
    """Writes a snapshot with files of the given sizes."""

    def make(sizes: dict[str, int], *, absolute: str | None = None, checkpoint_id: int = 7) -> Path:
        directory = tmp_path / f"savepoint-{checkpoint_id}"
        directory.mkdir()
        for name, size in sizes.items():
            (directory / name).write_bytes(os.urandom(size))
        (directory / "_metadata").write_bytes(metadata(sizes, absolute=absolute, checkpoint_id=checkpoint_id))
        return directory

    return make


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3"), buckets=("backup",)) as started:
        yield started


def s3_address(server: S3Server, prefix: str, endpoint: str | None = None) -> StoreAddress:
    secret = {"accessKeyId": server.access_key, "secretAccessKey": server.secret_key}
    return StoreAddress(
        uri=f"s3://backup/{prefix}", endpoint=endpoint or server.endpoint, region=server.region, secret=secret
    )


@pytest.fixture(params=["s3", "file"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> StoreAddress:
    """Where copies go; a place of its own for each test."""
    if request.param == "file":
        return StoreAddress(uri=f"file://{tmp_path}/mounted")
    return s3_address(request.getfixturevalue("s3"), tmp_path.name)


@pytest.fixture
def store(address: StoreAddress) -> object:
    return open_store(address)
