"""A snapshot made by hand, and places for its copies: a mounted directory and a real S3 server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.s3 import S3Server
from flinkjob.snapshots.addresses import StoreAddress
from flinkjob.snapshots.stores import open_store
from tests.support.snapshots import write_snapshot


@pytest.fixture
def make_snapshot(tmp_path: Path) -> Callable[..., Path]:
    """Writes a snapshot with files of the given sizes."""

    def make(sizes: dict[str, int], *, absolute: str | None = None, checkpoint_id: int = 7) -> Path:
        directory = tmp_path / f"savepoint-{checkpoint_id}"
        return write_snapshot(directory, sizes, absolute=absolute, checkpoint_id=checkpoint_id)

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
