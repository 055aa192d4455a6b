"""A store without an end costs the operator nothing: its client has a process of its own, which is ended."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from flinkjob.api.constants import ANNOTATION_USE
from flinkjob.api.enums import SavepointErrorCode
from flinkjob.api.sync import SyncToSpec
from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.access.hosts import HostRules
from flinkjob.core.copies.savepoint_copy import CopyPhase, CopySeen, CopyWanted
from flinkjob.core.errors import FlinkJobError
from flinkjob.runtime.copy_tasks import CopyTasks
from flinkjob.runtime.faults import Faults
from flinkjob.runtime.storeaccess import StoreAccesses
from flinkjob.snapshots import apart, pace
from flinkjob.snapshots.addresses import StoreAddress
from flinkjob.snapshots.apart import copy_apart, find_apart
from flinkjob.snapshots.orders import CopyOrder, FindOrder
from flinkjob.snapshots.outcomes import CopyProgress
from tests.attacks.child import peak_of
from tests.attacks.hostile import Endless, hostile
from tests.support.snapshots import write_snapshot

MIB = 1024 * 1024
MEMORY = 88
SECRET = {"accessKeyId": "a", "secretAccessKey": "b"}
ENTRY = b"<Contents><Key>a/b</Key><LastModified>2026-01-01T00:00:00Z</LastModified><Size>1</Size></Contents>"
BODIES = {
    "an error": ("403 Forbidden", b"", b"x" * 65536),
    "an error that may pass": ("400 Bad Request", b"<Error><Code>", b"x" * 65536),
    "a list": ("200 OK", b"<ListBucketResult>", ENTRY * 600),
}


def _address(url: str) -> StoreAddress:
    return StoreAddress(uri="s3://bucket", endpoint=url, secret=SECRET)


def work_on_endless(name: str, work: str, directory: str) -> dict[str, Any]:
    """In a child: what it says of such a store, and the largest process that it started, in MiB."""
    status, head, piece = BODIES[name]

    async def attempt() -> str:
        pieces = Endless(piece, 2**30 // len(piece))
        async with hostile(_after(head, pieces), status=status) as url:
            target, of = _address(url), {"identity": "east", "namespace": "team", "job": "clicks"}
            try:
                async with asyncio.timeout(60):
                    if work == "find":
                        await find_apart(FindOrder(target=target, **of), memory=MEMORY)
                    else:
                        place = StoreAddress(uri=f"file://{directory}")
                        order = CopyOrder(source=place, target=target, location=f"file://{directory}", token="t", **of)
                        await copy_apart(order, memory=MEMORY, answer=_yes, progress=CopyProgress())
            except FlinkJobError as error:
                return error.message
        return ""

    said = asyncio.run(attempt())
    return {"said": said, "child": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024}


async def _yes(_: Any) -> None:
    return None


def _after(head: bytes, pieces: Endless) -> Any:
    yield head
    yield from pieces


@pytest.mark.threat("too-large")
@pytest.mark.parametrize(
    ("name", "work"), [("a list", "find"), ("an error", "copy"), ("an error that may pass", "find")]
)
def test_an_endless_body_of_a_store_costs_the_operator_nothing(name: str, work: str, tmp_path: Path) -> None:
    """Measured before: killed for memory within two to four seconds."""
    snapshot = write_snapshot(tmp_path / "savepoint-1", {"a": 1000})
    seen, mib = peak_of("tests.attacks.test_apart", "work_on_endless", name, work, str(snapshot))
    assert "--max-sync-memory-mb" in seen["said"], seen
    assert seen["child"] <= MEMORY + 32, "what it has of the programs themselves is in this too"
    assert mib <= 24


class Pages:
    """A store that has an owner's file for the asking, and whose lists go on and on without anything in them."""

    def __init__(self) -> None:
        self.pages = 0
        self.lists_end = False
        self.seconds = 0.0
        self.objects: dict[str, bytes] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(self.seconds)
        if request.method == "PUT":
            if request.path in self.objects and "If-None-Match" in request.headers:
                return web.Response(status=412)
            self.objects[request.path] = await request.read()
            return web.Response(headers={"ETag": '"1"'})
        if "list-type" in request.query:
            self.pages += 1
            await asyncio.sleep(0.02)  # it has time, and the machine has other work
            more = "<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>"
            more = "" if self.lists_end else more
            return web.Response(text=f"<ListBucketResult>{more}</ListBucketResult>", content_type="application/xml")
        content = self.objects.get(request.path)
        if content is None:
            return web.Response(status=404)
        return web.Response(body=content, headers={"ETag": '"1"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"})


@asynccontextmanager
async def endless_pages() -> AsyncIterator[tuple[Pages, str]]:
    pages, app = Pages(), web.Application()
    app.router.add_route("*", "/{path:.*}", pages.answer)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        yield pages, str(server.make_url("/")).rstrip("/")


class Shelf:
    """The Secret of each namespace."""

    async def read_secret(self, namespace: str, name: str) -> dict[str, Any]:
        meta = {"annotations": {ANNOTATION_USE: "store"}}
        return {"metadata": meta, "data": {"accessKeyId": "YQ==", "secretAccessKey": "Yg=="}}

    async def read_configmap(self, namespace: str, name: str) -> dict[str, Any] | None:
        return None


def tasks(directory: Path) -> CopyTasks:
    stores = StoreAccesses(
        reader=Shelf(), grants=StoreGrants.of([f"*=file://{directory}"]), hosts=HostRules.of((), loopback=True)
    )
    return CopyTasks(identity="east", stores=stores, faults=Faults(), enqueue=lambda _: None)


def wanted(namespace: str, job: str, directory: Path, target: dict[str, Any]) -> CopyWanted:
    return CopyWanted(
        uid=f"{namespace}-{job}",
        namespace=namespace,
        job=job,
        token="t",
        location=f"file:{directory}/savepoint-1",
        target=SyncToSpec.model_validate(target),
    )


async def ended(one: CopyTasks, request: CopyWanted) -> CopySeen:
    async with asyncio.timeout(60):
        while (seen := await one.look((request.namespace, request.job), request)).phase is CopyPhase.WORKING:
            pass
    return seen


async def fastest(one: CopyTasks, namespace: str, directory: Path) -> float:
    """Seconds that the fastest of three copies took: each starts a process, which a busy machine can hold up."""
    took = []
    for number in range(3):
        begun = time.monotonic()
        request = wanted(namespace, f"job-{number}", directory, {"uri": f"file://{directory}/copies"})
        assert (await ended(one, request)).phase is CopyPhase.DONE
        took.append(time.monotonic() - begun)
    return min(took)


@pytest.mark.invariant(12)
@pytest.mark.threat("too-slow")
async def test_endless_pages_of_a_store_hold_no_slot_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do they hold up the copies of another namespace, which is as fast as without them."""
    write_snapshot(tmp_path / "savepoint-1", {"a": 1000})
    one = tasks(tmp_path)
    alone = await fastest(one, "undisturbed", tmp_path)
    async with endless_pages() as (pages, url):
        hostile_target = {"endpoint": url, "credentialsSecretRef": {"name": "s"}}
        evil = [
            wanted("evil", f"job-{number}", tmp_path, hostile_target | {"uri": f"s3://bucket-{number}"})
            for number in range(6)
        ]
        for request in evil:
            await one.look(("evil", request.job), request)
        await until(lambda: pages.pages > 20)
        assert await fastest(one, "team", tmp_path) <= 1.5 * alone + 1
        assert one.running() == len(evil)
        monkeypatch.setattr(apart, "STANDSTILL", 1.0)
        last = replace(evil[0], uid="once-more", job="once-more")
        for request in evil:
            one.cancel(request.uid)
        seen = await ended(one, last)
        assert (seen.phase, seen.code, seen.permanent) == (CopyPhase.FAILED, SavepointErrorCode.STORE_ERROR, False)
        assert "has not got on" in seen.message
    await one.close()


@pytest.mark.invariant(12)
@pytest.mark.threat("too-slow", "greedy-copy")
async def test_a_store_that_crawls_holds_no_slot_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never silent for long: each of its answers takes a moment, and the copy would have taken as long as it likes."""
    write_snapshot(tmp_path / "savepoint-1", {f"{number:03}": 10 for number in range(200)})
    monkeypatch.setattr(pace, "WINDOW", 1.0)
    one = tasks(tmp_path)
    async with endless_pages() as (pages, url):
        pages.lists_end, pages.seconds = True, 0.05
        target = {"endpoint": url, "credentialsSecretRef": {"name": "s"}, "uri": "s3://bucket"}
        seen = await ended(one, wanted("evil", "job", tmp_path, target))
    assert (seen.phase, seen.code, seen.permanent) == (CopyPhase.FAILED, SavepointErrorCode.STORE_ERROR, False)
    assert "crawls" in seen.message
    await one.close()


def processes_of(parent: int) -> list[int]:
    """The processes that speak to stores for this one."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            words = status.read_text().split()
            of = (status.parent / "cmdline").read_text()
            if int(words[words.index("PPid:") + 1]) == parent and "flinkjob.snapshots.child" in of:
                found.append(int(status.parent.name))
    return found


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until(condition: Callable[[], object]) -> None:
    """Wait for it; two processes that begin may take a minute on a busy machine."""
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_process_has_ended_when_whoever_waited_for_it_was_cancelled() -> None:
    async with endless_pages() as (pages, url):
        order = FindOrder(target=_address(url), identity="east", namespace="team", job="clicks")
        looking = asyncio.create_task(find_apart(order, memory=MEMORY))
        await until(lambda: pages.pages > 10)
        (process,) = processes_of(os.getpid())
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        assert not is_running(process)


LOOK = """
import asyncio, sys
from tests.attacks.test_apart import MEMORY, FindOrder, _address, find_apart
order = FindOrder(target=_address(sys.argv[1]), identity="east", namespace="team", job="clicks")
asyncio.run(find_apart(order, memory=MEMORY))
"""


async def test_the_process_ends_with_an_operator_that_is_killed() -> None:
    async with endless_pages() as (pages, url):
        operator = await asyncio.create_subprocess_exec(sys.executable, "-c", LOOK, url, cwd=Path(__file__).parents[2])
        try:
            await until(lambda: pages.pages > 10)
            (process,) = processes_of(operator.pid)
        finally:
            operator.kill()
            await operator.wait()
        await until(lambda: not is_running(process))
