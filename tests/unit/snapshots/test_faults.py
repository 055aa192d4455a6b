"""A real S3 server that is cut off or unavailable, and a copying process that is killed: no reader sees half a copy."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from obstore.store import LocalStore

from deploy.local.s3 import S3Server
from flinkjob.core.errors import Transient
from flinkjob.snapshots.copying import CopyRequest, check_copy, copy_snapshot
from flinkjob.snapshots.outcomes import CopyProgress
from flinkjob.snapshots.place import Place
from flinkjob.snapshots.stores import open_store
from flinkjob.snapshots.transfer import MIB
from tests.support.storeproxy import StoreProxy
from tests.unit.snapshots.conftest import s3_address

Make = Callable[..., Path]
SIZES = {f"part-{number}": 12 * MIB for number in range(8)}


def _request(snapshot: Path, s3: S3Server, prefix: str, endpoint: str | None = None) -> CopyRequest:
    store = open_store(s3_address(s3, prefix, endpoint))
    place = Place(store=store, identity="one", namespace="team", job="clicks")
    return CopyRequest(source=LocalStore(snapshot), location=f"file:{snapshot}", place=place, token="t", verify=True)


@pytest.mark.fault("store-cut-off")
async def test_a_store_that_is_cut_off_again_and_again(make_snapshot: Make, s3: S3Server, tmp_path: Path) -> None:
    snapshot = make_snapshot(SIZES)
    with StoreProxy(s3.endpoint) as wire:
        wire.budget = 30 * MIB
        request = _request(snapshot, s3, tmp_path.name, wire.url)
        with pytest.raises(Transient):
            await asyncio.wait_for(copy_snapshot(request), 120)
        assert wire.cuts > 0
        assert await _request(snapshot, s3, tmp_path.name).place.find() is None
        wire.heal()
        manifest = await copy_snapshot(request)
    await check_copy(_request(snapshot, s3, tmp_path.name).place, manifest)


@pytest.mark.fault("store-403-or-503")
async def test_a_store_that_is_unavailable(make_snapshot: Make, s3: S3Server, tmp_path: Path) -> None:
    snapshot = make_snapshot({"a": 10})
    with StoreProxy(s3.endpoint) as wire:
        wire.status = 503
        request = _request(snapshot, s3, tmp_path.name, wire.url)
        with pytest.raises(Transient) as caught:
            await asyncio.wait_for(copy_snapshot(request), 120)
        assert s3.secret_key not in str(caught.value)
        wire.heal()
        assert (await copy_snapshot(request)).sequence_number == 1


CHILD = """
import asyncio, sys
from pathlib import Path
from obstore.store import LocalStore
from flinkjob.snapshots.copying import CopyRequest, copy_snapshot
from flinkjob.snapshots.place import Place
from flinkjob.snapshots.addresses import StoreAddress
from flinkjob.snapshots.stores import open_store
from flinkjob.snapshots.bandwidth import Bandwidth
snapshot, uri, endpoint, key, secret, limit = sys.argv[1:]
store = open_store(StoreAddress(uri=uri, endpoint=endpoint, secret={"accessKeyId": key, "secretAccessKey": secret}))
place = Place(store=store, identity="one", namespace="team", job="clicks")
request = CopyRequest(source=LocalStore(snapshot), location=snapshot, place=place, token="t", verify=True)
asyncio.run(copy_snapshot(request, bandwidth=Bandwidth(int(limit))))
"""


@pytest.mark.slow
async def test_a_process_that_is_killed_at_every_step_goes_on(
    make_snapshot: Make, s3: S3Server, tmp_path: Path
) -> None:
    """Killed as soon as each step shows in the store: invisible until complete, one number, nothing brought twice."""
    snapshot = make_snapshot(SIZES)
    address = s3_address(s3, tmp_path.name)
    place = _request(snapshot, s3, tmp_path.name).place
    root = s3.data / "backup" / tmp_path.name / "team" / "clicks"
    copy = root / "0000000000000000001-7"
    steps = (
        "owner.json",
        "reserved/*.json",
        f"{copy.name}/part-*",
        f"{copy.name}/journal.json",
        f"{copy.name}/_metadata",
    )
    for step in steps:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            CHILD,
            *(str(snapshot), address.uri, s3.endpoint, s3.access_key, s3.secret_key, str(24 * MIB)),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        async with asyncio.timeout(90):
            while not any(root.glob(step)):
                assert child.returncode is None, f"it ended before {step} was there"
                await asyncio.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        await child.wait()
        assert await place.find() is None
    noted = len(json.loads((copy / "journal.json").read_bytes())["files"])
    progress = CopyProgress()
    manifest = await copy_snapshot(_request(snapshot, s3, tmp_path.name), progress=progress)
    await check_copy(place, manifest)
    assert manifest.sequence_number == 1
    assert progress.skipped == noted * 12 * MIB > 0
    assert [path.name for path in (root / "reserved").iterdir()] == ["0000000000000000001.json"]
