"""A whole world for the model test: simulated clusters, an API server in memory, and an operator that can crash anywhere.

Everything of the operator is real but its edges: the work queue, cache, observer, core, executor, cluster pollers and tasks.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import httpx
from prometheus_client import CollectorRegistry

from flinkjob.artifacts import build
from flinkjob.artifacts.build import JarBuilder
from flinkjob.artifacts.errors import ArtifactInvalid
from flinkjob.artifacts.fetch import Artifact
from flinkjob.artifacts.mergechild import made
from flinkjob.artifacts.runners import Runners
from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.access.hosts import HostRules
from flinkjob.core.errors import FlinkJobError
from flinkjob.core.flinkmodel import is_below, normalise_location
from flinkjob.core.identity import Owner
from flinkjob.core.program import SQL_ENTRY_CLASS
from flinkjob.core.seen import FoundSnapshot, Listing
from flinkjob.flink.client import FlinkClient
from flinkjob.kube.kinds import Kind, ObjectRef
from flinkjob.net.permits import Permits
from flinkjob.observability.metrics import Metrics
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.clusters import Clusters
from flinkjob.runtime.configmaps import ConfigMaps
from flinkjob.runtime.copy_search import CopySearches
from flinkjob.runtime.copy_tasks import CopyTasks
from flinkjob.runtime.executor import Executor
from flinkjob.runtime.faults import Effect, Faults
from flinkjob.runtime.observer import Observer
from flinkjob.runtime.operator_variables import OperatorVariables
from flinkjob.runtime.pace import Pace
from flinkjob.runtime.queue import WorkQueue
from flinkjob.runtime.reconciler import Reconciler
from flinkjob.runtime.services import Services
from flinkjob.runtime.sharing import Sharing
from flinkjob.runtime.storeaccess import StoreAccesses
from flinkjob.runtime.tasks import Tasks
from flinkjob.runtime.ticks import Ticks
from flinkjob.runtime.variables import VariableSources
from tests.flinksim import FlinkSim, SimSettings, SimTransport, make_jar
from tests.model.memorykube import MemoryKube, Object
from tests.model.virtualtime import LoopClock, VirtualLoop, virtual_time
from tests.model.witness import Witness

IDENTITY = "model"
HOSTS = ("flink-a", "flink-b")
MOST_LONG_CALLS = 8
JARS = {"v1": make_jar(variant="1"), "v2": make_jar(variant="2")}
NEEDED = "words==1.0"
"""What the Python programs here need, in a file that is uploaded beside them."""


BUSY_ROUNDS = 400
"""More rounds a second than two FlinkJobs ever have reason for: something wakes itself. Of more in proportion."""


class Crashed(BaseException):
    """The operator was killed here."""


class CrashingFaults(Faults):
    """Kills the operator at its next effect but `countdown`, before or after it."""

    def __init__(self) -> None:
        super().__init__()
        self.countdown: int | None = None
        self.dead = False
        self._point = ""
        self.seen: list[str] = []

    def kill_at(self, point: str) -> None:
        """Die when this point is passed next."""
        self._point = point

    def require(self, may: Callable[[], None]) -> None:
        """From now on ask before every effect, as a process does that must hold a Lease."""
        self._require = may

    def before(self, effect: Effect) -> None:
        self._require()
        self._passed(f"before:{effect}")

    def after(self, effect: Effect) -> None:
        self._passed(f"after:{effect}")

    def _passed(self, point: str) -> None:
        if self.dead:
            raise Crashed(point)
        self.seen.append(point)
        if point == self._point:
            self.dead = True
            raise Crashed(point)
        if self.countdown is not None:
            self.countdown -= 1
            if self.countdown < 0:
                self.dead = True
                raise Crashed(point)


class Jars:
    """The artifact store: jars by URI, and what the operator has made, on a disk of this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._kept = {hashlib.sha256(NEEDED.encode()).hexdigest(): NEEDED.encode()}

    async def get(self, namespace: str, uri: str, sha256: str | None = None, *, access: object = None) -> Artifact:
        variant = uri.rsplit("/", 1)[-1].removesuffix(".jar")
        if variant not in JARS:
            raise ArtifactInvalid("not-found", f"jar: 404 from {uri}")
        artifact = self._keep(JARS[variant])
        if sha256 not in (None, artifact.digest):
            raise ArtifactInvalid("digest-mismatch", f"jar: {uri} has sha256 {artifact.digest}, not {sha256}")
        return artifact

    def progress(self, namespace: str, uris: object) -> None:
        """Nothing is ever half fetched."""

    def here(self, namespace: str, digest: str) -> Artifact | None:
        return self._keep(self._kept[digest]) if digest in self._kept else None

    async def put(
        self, namespace: str, size: int, write: Callable[[Path], Awaitable[None]], *, private: bool
    ) -> Artifact:
        made = self._directory / "made"
        await write(made)
        return self._keep(made.read_bytes())

    def _keep(self, content: bytes) -> Artifact:
        digest = hashlib.sha256(content).hexdigest()
        self._kept[digest] = content
        path = self._directory / f"{digest}.jar"
        path.write_bytes(content)
        return Artifact(digest=digest, path=path)


async def make_here(order: dict[str, Any], size: int) -> str:
    """Makes a jar without a process of its own, which virtual time would not wait for."""
    answer = made(order)
    if "note" not in answer:
        raise ArtifactInvalid(answer["reason"], answer["message"])
    return answer["note"]


def put_runners(directory: Path) -> Path:
    """A directory with runners that the simulated clusters know."""
    runners = directory / "runners"
    runners.mkdir(exist_ok=True)
    (runners / "sql-runner-1.jar").write_bytes(make_jar(entry_class=SQL_ENTRY_CLASS))
    (runners / "python-runner-1.py").write_text("run()")
    return runners


class Disk:
    """What lies in the clusters' shared directories, as a mounted volume shows it."""

    def __init__(self, sims: dict[str, FlinkSim]) -> None:
        self._sims = sims
        self.mounted = True

    async def list(self, directory: str) -> Listing:
        if not self.mounted:
            return Listing(readable=False)
        found = []
        for sim in self._sims.values():
            for record in sim.store.all():
                parent = normalise_location(record.location).rpartition("/")[0]
                if is_below(record.location, directory) and parent == normalise_location(directory).rstrip("/"):
                    chk = record.location.rstrip("/").rpartition("/")[2]
                    number = int(chk.removeprefix("chk-")) if chk.startswith("chk-") else None
                    found.append(FoundSnapshot(location=record.location, number=number))
        return Listing(readable=True, found=tuple(sorted(found, key=lambda left: left.number or 0, reverse=True)))


@dataclass
class Told:
    """An Event."""

    reason: str
    message: str
    kind: str
    name: str


class Events:
    """Keeps Events."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def post(self, ref: ObjectRef, *, type: str = "Normal", reason: str, message: str) -> bool:
        self.told.append(Told(str(reason), message, ref.kind, ref.name))
        return True


class OperatorInstance:
    """One life of the operator, or of one replica of several."""

    def __init__(self, plant: Plant, *, shards: int = 1, mine: frozenset[int] = frozenset()) -> None:
        """
        Args:
            shards: into how many the clusters are shared out; `mine` are those of this replica.
        """
        self._plant = plant
        self._rounds: list[float] = []
        self.cache = ObjectCache()
        self.sharing = Sharing(self.cache, shards=shards, mine=lambda: mine)
        self.faults = CrashingFaults()
        self.http = httpx.AsyncClient(transport=plant.witness.carry(SimTransport(plant.addresses)), trust_env=False)
        self.ticks = Ticks(self._enqueue)
        pace = Pace(fast=0.5, slow=20.0)
        self.clusters = Clusters(lambda url, _: FlinkClient(self.http, url), pace, self._enqueue, news=self.ticks.news)
        kube: Any = plant.kube
        store: Any = Jars(plant.directory)
        events: Any = plant.events
        disk: Any = plant.disk
        self.tasks = Tasks(
            identity=IDENTITY,
            clusters=self.clusters,
            builder=JarBuilder(store, Runners(plant.runners), Permits(1).hold),
            faults=self.faults,
            enqueue=self._enqueue,
            most=MOST_LONG_CALLS,
        )
        stores = StoreAccesses(reader=kube, grants=StoreGrants(), hosts=HostRules())
        observer = Observer(
            identity=IDENTITY,
            clusters=self.clusters,
            tasks=self.tasks,
            kube=kube,
            snapshots=disk,
            hosts=HostRules(),
            services=Services(kube),
            copies=CopySearches(identity=IDENTITY, stores=stores, enqueue=self._enqueue),
            config_maps=ConfigMaps(kube, self.cache.jobs, self._enqueue),
            variables=VariableSources(kube, OperatorVariables(kube, None)),
            now=plant.clock.date,
        )
        self._executor = executor = Executor(
            identity=IDENTITY,
            kube=kube,
            clusters=self.clusters,
            tasks=self.tasks,
            cache=self.cache,
            events=events,
            faults=self.faults,
        )
        self.reconciler = Reconciler(
            identity=IDENTITY,
            cache=self.cache,
            observer=observer,
            executor=executor,
            clusters=self.clusters,
            tasks=self.tasks,
            copy_tasks=CopyTasks(identity=IDENTITY, stores=stores, faults=self.faults, enqueue=self._enqueue),
            metrics=Metrics(CollectorRegistry()),
            ticks=self.ticks,
            sharing=self.sharing,
        )
        self.queue = WorkQueue(self._reconcile, workers=16, share=8)
        plant.hearing.append(self)
        for kind, obj in plant.kube.everything():
            self.cache.put_job(obj) if kind is Kind.FLINK_JOB else self.cache.put_savepoint(obj)
        for key in sorted(self.cache.keys()):
            self._enqueue(key)

    async def _reconcile(self, key: tuple[str, str]) -> float | None:
        """Reconcile, and notice when that never comes to rest."""
        now = self._plant.clock.monotonic
        rounds = self._rounds = [moment for moment in self._rounds if moment > now - 1.0]
        rounds.append(now)
        if len(rounds) > BUSY_ROUNDS * max(1, len(self.cache.keys()) // 2):
            self.faults.dead = True
            self._plant.busy = f"{len(rounds)} rounds within a second of {key}: {self._plant.job(key[1])}"
            raise Crashed("busy")
        try:
            return await self.reconciler.reconcile(key)
        except FlinkJobError:
            raise
        except Exception as error:
            self._plant.busy = f"a round of {key} has failed in the operator itself: {error!r}"
            raise

    def _enqueue(self, key: tuple[str, str]) -> None:
        if self.sharing.concerns(key):
            self.queue.add(key)

    def hear(self, event: str, kind: Kind, obj: Object) -> None:
        if self.faults.dead:
            return
        if event == "DELETED" or not self.cache.has(kind, obj):
            key = self.cache.drop(kind, obj) if event == "DELETED" else self.cache.put(kind, obj)
            if key is not None:
                self._enqueue(key)
        if kind is Kind.FLINK_JOB:
            return
        for waiting in self.cache.waiting_for("ns", obj["metadata"]["name"]):
            self._enqueue(waiting)

    def use(self, kube: Any) -> None:
        """Reach the API server through something else."""
        self._executor._kube = kube

    async def kill(self) -> None:
        """The process is gone; what was sent is on its way."""
        self.faults.dead = True
        self._plant.hearing.remove(self)
        await self.queue.drain(0)
        await self.tasks.close()
        self.ticks.close()
        await self.clusters.close()
        await self.http.aclose()


SPEC: dict[str, Any] = {
    "cluster": {"url": "http://flink-a"},
    "jar": {"uri": "http://jars/v1.jar"},
    "checkpoint": {"interval": "1s"},
    "savepoints": {"directory": "file:/sp"},
    "deletion": {"policy": "Cancel", "timeout": "20s"},
}
"""Of a FlinkJob that has all that a life needs."""


class Plant:
    """The world; use `plant()`."""

    def __init__(self, loop: VirtualLoop, clock: LoopClock, directory: Path, *, high_availability: bool) -> None:
        self.loop, self.clock, self.directory = loop, clock, directory
        self.runners = put_runners(directory)
        settings = SimSettings(high_availability=high_availability)
        self.sims = {host: FlinkSim(clock, settings) for host in HOSTS}
        self.kube = MemoryKube(lambda: clock.date().strftime("%Y-%m-%dT%H:%M:%SZ"))
        self.addresses = {f"{host}.ns.svc": sim for host, sim in self.sims.items()}
        self.witness = Witness(self.kube, self.sims)
        self.disk = Disk(self.sims)
        self.events = Events()
        self.hearing: list[OperatorInstance] = []
        self.kube.listener = self._tell
        self.crashes = 0
        self.busy = ""
        self.operator = self.run(self._make())

    async def _make(self) -> OperatorInstance:
        return OperatorInstance(self)

    def _tell(self, event: str, kind: Kind, obj: Object) -> None:
        for one in self.hearing:
            self.loop.call_soon(one.hear, event, kind, obj)

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine in virtual time."""
        return self.loop.run_until_complete(coroutine)

    def pass_time(self, seconds: float, *, revive: bool = True) -> None:
        """Let time pass; an operator that crashed meanwhile is started again."""
        end = self.clock.monotonic + seconds
        while self.clock.monotonic < end:
            self.run(asyncio.sleep(min(0.5, end - self.clock.monotonic)))
            assert not self.busy, self.busy
            if self.operator.faults.dead and revive:
                self.restart()

    def live_through(self, *, deletion: float) -> None:
        """A FlinkJob "a" runs, has a savepoint "s" taken, is changed and deleted.

        Args:
            deletion: so many seconds pass after that.
        """
        self.kube.apply(Kind.FLINK_JOB, "a", SPEC)
        self.pass_time(8)
        self.kube.apply(Kind.FLINK_SAVEPOINT, "s", {"jobRef": {"name": "a"}, "mode": "Trigger"})
        self.pass_time(8)
        self.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"args": ["--rate", "5"]})
        self.pass_time(8)
        self.kube.delete(Kind.FLINK_JOB, "a")
        self.pass_time(deletion)

    def restart(self) -> None:
        """Kill the operator and start another one."""
        self.crashes += 1
        self.run(self.operator.kill())
        self.operator = self.run(self._make())

    def close(self) -> None:
        self.run(self.operator.kill())

    # looking

    def job(self, name: str) -> Object | None:
        return self.kube.find(Kind.FLINK_JOB, name)

    def live(self, name: str) -> list[str]:
        """Live Flink jobs of a FlinkJob, on all clusters."""
        prefix = Owner(IDENTITY, "ns", name).prefix
        return [job.job_id for sim in self.sims.values() for job in sim.live_jobs() if job.job_id.startswith(prefix)]


P = TypeVar("P", bound=Plant)


@contextmanager
def plant(directory: Path, *, high_availability: bool = False, of: type[P] = Plant) -> Iterator[P]:  # type: ignore[assignment]
    """A world in virtual time."""
    with virtual_time() as (loop, clock):
        loop.set_exception_handler(_quiet)
        asyncio.set_event_loop(loop)
        random.seed(0)
        patch = mock.patch.object(build, "_make", make_here)
        patch.start()
        world = of(loop, clock, directory, high_availability=high_availability)
        try:
            yield world
        finally:
            world.close()
            patch.stop()
            asyncio.set_event_loop(None)


def _quiet(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A crash leaves tasks behind whose exception nobody takes; anything else is a bug."""
    if not isinstance(context.get("exception"), Crashed):
        loop.default_exception_handler(context)
