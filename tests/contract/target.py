"""What a contract test runs against: a simulated or a real cluster, behind one interface.

Used by: `conftest.py` makes targets, tests use them. Invariant: waiting goes through the target, whose time may be virtual.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx

from deploy.local import plainhttp
from deploy.local.flink import FlinkCluster
from flinkjob.core.flinkmodel import FlinkJobState, JobOverview, RunRequest, TriggerResult, TriggerState
from flinkjob.flink import FlinkClient
from tests.contract.differences import Differences, differences
from tests.flinksim import Damage, FlinkSim, VirtualClock

T = TypeVar("T")
DEADLINE = 60.0
REFRESH = 1.0
"""Seconds for which job details are cached on the clusters of this suite."""
STORE_DURATION = 8.0
"""Seconds for which results of triggers are kept on the clusters of this suite."""
CAPACITY = 12
"""Ended jobs that are kept on the clusters of this suite."""
TICK = 0.005


class Backend(Protocol):
    """What differs between the simulator and a real cluster."""

    version: str
    url: str

    def http(self) -> httpx.AsyncClient:
        """A client for it."""

    def now(self) -> float:
        """Seconds, of any origin."""

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""

    async def restart_jobmanager(self) -> None:
        """Kill the JobManager and wait until another one answers and has all slots."""

    def damage(self, location: str, how: Damage) -> None:
        """Make a snapshot one that no job can start from."""


class Simulated:
    """The simulator; its time runs whenever somebody waits."""

    url = "http://flink:8081"

    def __init__(self, sim: FlinkSim, transport: httpx.AsyncBaseTransport) -> None:
        self.sim = sim
        self.version = sim.settings.version
        self._transport = transport
        assert isinstance(sim.clock, VirtualClock)
        self.clock = sim.clock

    def http(self) -> httpx.AsyncClient:
        """A client whose requests never leave the process."""
        return httpx.AsyncClient(transport=self._transport)

    def now(self) -> float:
        """Virtual seconds."""
        return self.clock.now()

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await self.clock.sleep_until(self.clock.now() + seconds)

    async def run_time(self) -> None:
        """Move time on until cancelled."""
        while True:
            self.clock.advance(TICK)
            await asyncio.sleep(0)

    async def restart_jobmanager(self) -> None:
        """Another process, at once; a second of election where there is one."""
        self.sim.restart_jobmanager(downtime=0.2, election=0.5)
        await self.sleep(1.0)

    def damage(self, location: str, how: Damage) -> None:
        """Note it."""
        self.sim.store.damage(location, how)


class Real:
    """A real cluster."""

    def __init__(self, cluster: FlinkCluster) -> None:
        self.cluster = cluster
        self.version, self.url = cluster.version, cluster.url

    def http(self) -> httpx.AsyncClient:
        """A client for the cluster."""
        return plainhttp.async_client()

    def now(self) -> float:
        """Seconds of the event loop."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def restart_jobmanager(self) -> None:
        """SIGKILL, start, wait for the slots."""
        await asyncio.to_thread(self.cluster.restart_jobmanager, kill=True)
        await asyncio.to_thread(self.cluster.wait_slots)

    def damage(self, location: str, how: Damage) -> None:
        """Change its files. The data of a snapshot lie beside its metadata on the clusters of this suite."""
        directory = Path(location.removeprefix("file:"))
        metadata = directory / "_metadata"
        match how:
            case Damage.NO_METADATA:
                metadata.unlink()
            case Damage.METADATA:
                metadata.write_bytes(b"no snapshot at all")
            case Damage.FILES:
                for file in [each for each in directory.iterdir() if each != metadata]:
                    file.unlink()
            case Damage.BACKEND:
                raise ValueError("files cannot tell")


class Target:
    """A cluster, a client for it, and the demo job."""

    def __init__(self, backend: Backend, http: httpx.AsyncClient, scratch: Path, jar: Path) -> None:
        self.backend, self.http, self.scratch, self.jar = backend, http, scratch, jar
        self.client = FlinkClient(http, backend.url, timeout=30.0)
        self.version = backend.version
        self.expected: Differences = differences(backend.version)
        self._jar_id: str | None = None

    async def jar_id(self) -> str:
        """The demo job's jar, uploaded once."""
        if self._jar_id is None:
            self._jar_id = await self.client.upload_jar(self.jar, "demo.jar")
        return self._jar_id

    def directory(self, name: str = "savepoints") -> str:
        """A URI below this test's own directory."""
        return f"file://{self.scratch / name}"

    async def run(self, *arguments: str, job_id: str | None = None, **request: Any) -> str:
        """Submit the demo job."""
        asked = RunRequest(job_id=job_id or new_id(), args=arguments, **request)
        return await self.client.run_jar(await self.jar_id(), asked, timeout=DEADLINE)

    async def start(self, *arguments: str, **request: Any) -> str:
        """Submit the demo job and wait until all its tasks run."""
        job_id = await self.run(*arguments, **request)
        await self.running(job_id)
        return job_id

    async def overview(self, job_id: str) -> JobOverview | None:
        """The job in the overview."""
        jobs = await self.client.overview_jobs()
        return next((job for job in jobs if job.job_id == job_id), None)

    async def running(self, job_id: str) -> None:
        """Wait until all tasks run."""

        async def probe() -> bool:
            job = await self.overview(job_id)
            return job is not None and job.all_tasks_running

        await self.until(probe)

    async def state(self, job_id: str, *states: FlinkJobState) -> FlinkJobState:
        """Wait until the job has one of the states."""

        async def probe() -> FlinkJobState | None:
            found = await self.client.job_status(job_id)
            return found if found in states else None

        return await self.until(probe)

    async def result(
        self, ask: Callable[[str, str], Awaitable[TriggerResult]], job_id: str, trigger: str
    ) -> TriggerResult:
        """Wait for the result of a trigger."""

        async def probe() -> TriggerResult | None:
            result = await ask(job_id, trigger)
            return None if result.state is TriggerState.IN_PROGRESS else result

        return await self.until(probe)

    async def savepoint_result(self, job_id: str, trigger: str) -> TriggerResult:
        """Wait for the result of a savepoint or stop."""
        return await self.result(self.client.savepoint_result, job_id, trigger)

    async def checkpointed(self, job_id: str) -> None:
        """Wait until statistics show a completed checkpoint."""

        async def probe() -> bool:
            stats = await self.client.checkpoints(job_id)
            return stats is not None and stats.latest_completed is not None

        await self.until(probe)

    async def fresh(self) -> None:
        """Wait until nothing that is cached can be older than this call."""
        await self.backend.sleep(REFRESH * 1.2)

    async def until(self, probe: Callable[[], Awaitable[T | None]], timeout: float = DEADLINE) -> T:
        """Poll until there is something true.

        Raises:
            AssertionError: nothing came in time.
        """
        end = self.backend.now() + timeout
        while True:
            found = await probe()
            if found:
                return found
            assert self.backend.now() < end, "nothing came in time"
            await self.backend.sleep(0.05)

    async def end(self) -> None:
        """Cancel whatever runs, so that the next test finds all slots."""
        for job in await self.client.overview_jobs():
            if not job.state.is_terminal:
                await self.client.cancel(job.job_id)
                await self.state(job.job_id, FlinkJobState.CANCELED, FlinkJobState.FINISHED, FlinkJobState.FAILED)


def new_id() -> str:
    """A job or trigger id."""
    return secrets.token_hex(16)
