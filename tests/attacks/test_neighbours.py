"""What one namespace makes slow, or never lets end, holds up no other: connections, calls, workers, names and the Lease."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from deploy.local import plainhttp
from flinkjob.core.access.hosts import HostRules
from flinkjob.core.actions import RunJob
from flinkjob.core.flinkmodel import RunRequest
from flinkjob.core.seen import JobGraphPhase, JobGraphRequest, RunPhase
from flinkjob.flink.client import FlinkClient
from flinkjob.flink.rest import Limits
from flinkjob.kube.client import KubeClient
from flinkjob.kube.kinds import Kind
from flinkjob.net.checked import CheckedTransport
from flinkjob.net.foreign import Budget
from flinkjob.net.permits import on_account
from flinkjob.net.resolver import EACH, Resolver, ResolvingLoop
from flinkjob.observability.metrics import Metrics
from flinkjob.runtime.clusters import Clusters
from flinkjob.runtime.connections import Connections
from flinkjob.runtime.faults import Faults
from flinkjob.runtime.leader import RENEW_DEADLINE, RENEWAL, RETRY_SECONDS, Leadership
from flinkjob.runtime.observer import ROUND_SECONDS
from flinkjob.runtime.pace import Pace
from flinkjob.runtime.queue import Key
from flinkjob.runtime.tasks import Tasks
from flinkjob.settings import Settings
from tests.attacks.child import MIB
from tests.attacks.hostile import entry, hostile
from tests.flinksim.faults import FaultKind
from tests.model.plant import Plant, plant
from tests.unit.kube.apiserver import api_server

SOON = 20.0
"""Seconds in which anything is done that nothing holds up, on a busy machine; whatever is held up here lasts for ever."""
BAD, GOOD = "bad", "good"
ATTACKS = 200
SPEC: dict[str, Any] = {
    "cluster": {"url": "http://flink-a"},
    "jar": {"uri": "http://jars/v1.jar"},
    "checkpoint": {"interval": "1s"},
    "savepoints": {"directory": "file:/sp"},
}


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that must come soon."""
    async with asyncio.timeout(SOON):
        while not holds():
            await asyncio.sleep(0.005)


@dataclass
class Flink:
    """A cluster that answers what it is asked, but for what it was told to be silent about."""

    url: str = ""
    silent: set[str] = field(default_factory=set)
    open: Counter[str] = field(default_factory=Counter)
    """Requests under way, by the last part of their path."""

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        what = request.path.rsplit("/", 1)[-1]
        self.open[what] += 1
        try:
            if what in self.silent:
                await asyncio.Event().wait()
        finally:
            self.open[what] -= 1
        return web.json_response({"jobs": [], "jobid": "0" * 32})


@asynccontextmanager
async def flink(*silent: str) -> AsyncIterator[Flink]:
    made = Flink(silent=set(silent))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        made.url = str(server.make_url("")).rstrip("/")
        yield made


@asynccontextmanager
async def desk() -> AsyncIterator[tuple[Tasks, Connections]]:
    """Long calls and connections as the operator makes them."""
    nobody: Any = None
    settings = Settings()
    check = HostRules(loopback=True).check_address
    connections = Connections(nobody, check, most=settings.max_connections)
    clusters = Clusters(connections.connect, Pace(), lambda _: None, release=connections.release)
    tasks = Tasks(
        identity="default",
        clusters=clusters,
        builder=nobody,
        faults=Faults(),
        enqueue=lambda _: None,
        most=settings.max_long_calls,
    )
    yield tasks, connections
    await tasks.close()
    await clusters.close()
    await connections.close()


def run(tasks: Tasks, key: Key, url: str) -> Callable[[], bool]:
    """Send a run call; whether it was accepted."""
    tasks.run(key, RunJob(url=url, jar_id="j", attempt=0, request=RunRequest(job_id="0" * 32)))
    return lambda: tasks.run_seen(key, "0" * 32, 0).phase is RunPhase.ACCEPTED


@pytest.mark.invariant(12)
@pytest.mark.isolation("shares")
@pytest.mark.threat("too-slow")
@pytest.mark.parametrize("call", ["run", "plan"])
async def test_calls_that_never_return(call: str) -> None:
    """Measured before: after a hundred of them every cluster of every namespace had "too many requests under way"."""
    share = Settings().max_long_calls // 2
    async with flink(call) as silent, flink() as other, desk() as (tasks, connections):
        if call == "run":
            for number in range(ATTACKS):
                run(tasks, (BAD, str(number)), silent.url)
        else:
            request = JobGraphRequest(url=silent.url, jar_id="j", request=RunRequest(job_id="0" * 32))
            seen = await asyncio.gather(*(tasks.job_graph((BAD, str(n)), request) for n in range(ATTACKS)))
            assert {each.phase for each in seen} == {JobGraphPhase.WORKING}
        await until(lambda: silent.open[call] == share)
        await until(run(tasks, (GOOD, "a"), other.url))
        assert await connections.connect(other.url, None).overview_jobs() == ()
        assert await connections.connect(silent.url, None).overview_jobs() == (), "and the cluster itself is looked at"
        if call == "run":
            run(tasks, (GOOD, "b"), silent.url)
            await until(lambda: silent.open[call] == share + 1)
        assert silent.open[call] <= share + 1


@pytest.mark.invariant(12)
@pytest.mark.isolation("shares")
@pytest.mark.threat("too-slow")
async def test_many_clusters_that_never_answer() -> None:
    """Each cluster is an address of its own; all of them are looked at, and rounds ask them."""
    most = 32
    nobody: Any = None
    connections = Connections(nobody, HostRules(loopback=True).check_address, most=most)

    async def look(namespace: str, url: str) -> Any:
        with on_account((namespace,)):
            return await connections.connect(url, None).overview_jobs()

    async with flink("overview") as silent, flink() as other:
        attack = [asyncio.create_task(look(BAD, f"{silent.url}/{number}")) for number in range(ATTACKS)]
        await until(lambda: silent.open["overview"] == most // 2)
        for number in range(most):
            assert await look(GOOD, f"{other.url}/{number}") == (), "connections that are not needed are not kept"
        with on_account((BAD, GOOD)):
            shared = connections.connect(other.url, None).overview_jobs()
            assert await asyncio.create_task(shared) == (), (
                "a cluster of both is looked at on the account that has room"
            )
        assert silent.open["overview"] == most // 2
        for task in attack:
            task.cancel()
        await asyncio.gather(*attack, return_exceptions=True)
        await connections.close()


@pytest.mark.isolation("shares")
@pytest.mark.threat("too-large")
async def test_large_answers_that_never_end() -> None:
    """One namespace has so many that all together would have no room."""
    jobs = 3 * MIB // 2 // len(entry(0))
    large = b'{"jobs":[' + b",".join(map(entry, range(jobs)))
    limits, end = Limits(budget=Budget(4 * MIB)), asyncio.Event()

    async def look(namespace: str, url: str) -> Any:
        with on_account((namespace,)):
            return await FlinkClient(http, url, limits=limits).overview_jobs()

    async with hostile([large], until=end) as drips, hostile([large + b"]}"]) as good, plainhttp.async_client() as http:
        attack = [asyncio.create_task(look(BAD, drips)) for _ in range(5)]
        await until(lambda: sum(task.done() for task in attack) == 4)
        assert limits.budget.free < 3 * MIB, "one of them is read"
        assert len(await look(GOOD, good)) == jobs
        end.set()
        await asyncio.gather(*attack, return_exceptions=True)
    assert limits.budget.free == 4 * MIB


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Plant]:
    with plant(tmp_path) as world:
        yield world


def starts(world: Plant, name: str) -> float:
    """Apply a FlinkJob of another namespace; seconds until it runs."""
    world.kube.apply(Kind.FLINK_JOB, name, SPEC)
    begun = world.clock.monotonic
    while ((world.job(name) or {}).get("status") or {}).get("phase") != "Running":
        assert world.clock.monotonic - begun < 300
        world.pass_time(0.05)
    return world.clock.monotonic - begun


@pytest.mark.invariant(12)
@pytest.mark.isolation("shares")
@pytest.mark.threat("too-slow")
def test_a_cluster_that_takes_its_time_for_each_answer(world: Plant) -> None:
    """Measured before: another namespace's job started after 99 seconds instead of 7."""
    alone = starts(world, "before")
    slow = world.addresses["flink-b.bad.svc"] = world.sims["flink-b"]
    for number in range(30):
        spec = SPEC | {"cluster": {"url": "http://flink-b"}}
        world.kube.apply(Kind.FLINK_JOB, f"slow-{number}", spec, namespace=BAD)
    world.pass_time(5)
    slow.faults.add(FaultKind.DELAY, "(?!/jobs/overview).*", times=None, seconds=9.0)
    for number in range(30):
        wish = {"jobRef": {"name": f"slow-{number}"}}
        world.kube.apply(Kind.FLINK_SAVEPOINT, f"s-{number}", wish, namespace=BAD)
    world.pass_time(1)
    assert world.operator.queue.depth() > 8, "the attack has more keys than there are workers for it"
    assert starts(world, "during") <= 1.5 * alone + 1


@pytest.mark.invariant(12)
def test_a_round_ends_however_much_it_would_ask(world: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many savepoints of one job, and an answer takes nine seconds: each of them has its turn."""
    rounds: list[float] = []
    monkeypatch.setattr(Metrics, "reconciled", lambda _, kind, result, seconds: rounds.append(seconds))
    starts(world, "a")
    world.sims["flink-a"].faults.add(FaultKind.DELAY, "(?!/jobs/overview).*", times=None, seconds=9.0)
    names = [f"s-{number:02}" for number in range(30)]
    for name in names:
        world.kube.apply(Kind.FLINK_SAVEPOINT, name, {"jobRef": {"name": "a"}, "timeout": "2h"})
    world.pass_time(1800)
    found = [world.kube.find(Kind.FLINK_SAVEPOINT, name) or {} for name in names]
    assert Counter(each["status"]["phase"] for each in found) == {"Completed": 30}
    assert max(rounds) < ROUND_SECONDS + 10


@pytest.mark.invariant(12)
def test_a_compilation_ends(world: Plant) -> None:
    """Measured before: a plan call was waited for as long as the process lived."""
    starts(world, "a")
    world.sims["flink-a"].faults.add(FaultKind.HANG, "/jars/.*/plan", times=None)
    request = JobGraphRequest(url="http://flink-a.ns.svc:8081", jar_id="j", request=RunRequest(job_id="0" * 32))

    def compiled() -> JobGraphPhase:
        phase: JobGraphPhase = world.run(world.operator.tasks.job_graph(("ns", "a"), request)).phase
        return phase

    assert compiled() is JobGraphPhase.WORKING
    world.pass_time(595)
    assert compiled() is JobGraphPhase.WORKING
    world.pass_time(4.5)
    assert compiled() is JobGraphPhase.UNCLEAR


class Dns:
    """Blocks until it is ended for each name that begins with `silent`."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.asked: Counter[str] = Counter()

    def __call__(self, host: str, port: int, *_: Any) -> Any:
        self.asked[host] += 1
        if host.startswith("silent"):
            self.end.wait(120)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.mark.invariant(12)
@pytest.mark.isolation("shares")
@pytest.mark.threat("too-slow")
def test_names_that_dns_is_silent_about() -> None:
    """Measured before: with six of them no name was found, no jar hashed and no file read any more."""
    dns, trust = Dns(), httpx.create_ssl_context()

    async def get(namespace: str, url: str) -> int:
        with on_account((namespace,)):
            transport = CheckedTransport(lambda _: None, verify=trust)
            async with httpx.AsyncClient(transport=transport, trust_env=False) as http:
                return (await http.get(url, timeout=120)).status_code

    async def attacked() -> None:
        async with flink() as cluster:
            port = cluster.url.rpartition(":")[2]
            attack = [asyncio.create_task(get(BAD, f"http://silent-{n}.example:{port}/")) for n in range(40)]
            await until(lambda: len(dns.asked) == EACH)
            async with asyncio.timeout(SOON):
                assert await get(GOOD, f"http://flink.example:{port}/") == 200
                assert await asyncio.to_thread(lambda: hashlib.sha256(b"jar").hexdigest())
                assert await get(BAD, cluster.url) == 200, "an address needs no look-up"
            assert len(dns.asked) == EACH + 1
            for task in attack:
                task.cancel()
            await asyncio.gather(*attack, return_exceptions=True)
            dns.end.set()
            await until(lambda: not [one for one in threading.enumerate() if one.name == "look up"])
        assert len(dns.asked) == EACH + 1, "a name that nobody waits for any more is not looked up"

    with asyncio.Runner(loop_factory=lambda: ResolvingLoop(Resolver(dns))) as runner:
        try:
            runner.run(attacked())
        finally:
            dns.end.set()


@pytest.mark.invariant(12)
@pytest.mark.fault("operator-lease-lost")
async def test_the_lease_is_renewed_whatever_else_is_sent(tmp_path: Path) -> None:
    """Measured before: 110 FlinkJobs in one apply, and the Lease was lost, since its renewal waited behind their writes."""
    leases: list[str] = []
    writes: list[str] = []
    lost: set[int] = set()

    async def answer(request: web.Request) -> web.StreamResponse:
        if "/leases" not in request.path:
            writes.append(request.path)
            await asyncio.Event().wait()
        leases.append(request.method)
        if len(leases) in lost:
            await asyncio.Event().wait()
        body = await request.json() if request.can_read_body else {"spec": {}}
        return web.json_response(body | {"metadata": {"namespace": "system", "name": "l", "resourceVersion": "1"}})

    async with api_server(answer) as server:
        path = server.kubeconfig(tmp_path)
        async with await KubeClient.connect(path) as kube, await KubeClient.connect(path, bounds=RENEWAL) as own:
            leadership = Leadership(own, namespace="system", name="l", holder="me")
            patches = [
                asyncio.create_task(kube.patch_status(Kind.FLINK_JOB, BAD, str(n), {"phase": "Running"}, "1"))
                for n in range(ATTACKS)
            ]
            await until(lambda: len(writes) >= 32)
            await leadership.acquire()
            done = len(leases)
            lost.add(done + 1)
            ended: list[bool] = []
            keeping = asyncio.create_task(leadership.keep(lambda: ended.append(True)))
            async with asyncio.timeout(RENEW_DEADLINE):
                while len(leases) < done + 3:  # one that is not answered, and a whole renewal after it
                    await asyncio.sleep(0.05)
            await until(lambda: leases[-1] == "PUT")
            assert leadership.leads()
            assert not ended
            for task in (keeping, *patches):
                task.cancel()
            await asyncio.gather(keeping, *patches, return_exceptions=True)


def test_a_lost_renewal_leaves_time_for_another() -> None:
    assert 2 * (RETRY_SECONDS + RENEWAL.seconds) <= RENEW_DEADLINE
    assert RENEWAL.attempts == 1
