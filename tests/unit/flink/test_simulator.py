"""The simulator itself: faults, lineage, restarts, its clock. What Flink does is in `tests/contract`."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from deploy.local import plainhttp
from flinkjob.core.errors import Rejected, SubmitRejected, Transient, Unreachable
from flinkjob.core.flinkmodel import (
    CheckpointKind,
    ClaimMode,
    FlinkJobState,
    RunRequest,
    TriggerState,
)
from flinkjob.flink import FlinkClient
from tests.flinksim import FaultKind, FlinkSim, RealClock, SimSettings, SimTransport, VirtualClock, make_jar, serve

JOB, OTHER, TRIGGER = "a" * 32, "b" * 32, "c" * 32


class Bench:
    """A simulated cluster with a client and a jar."""

    def __init__(self, settings: SimSettings | None = None) -> None:
        self.clock = VirtualClock()
        self.sim = FlinkSim(self.clock, settings)
        http = httpx.AsyncClient(transport=SimTransport(self.sim))
        self.client = FlinkClient(http, "http://flink:8081", timeout=10)
        self.jar = self.sim.add_jar()

    async def start(self, job_id: str = JOB, *arguments: str, savepoint: str | None = None) -> None:
        """Run a job until its tasks run and one checkpoint is complete."""
        request = RunRequest(job_id=job_id, args=arguments, savepoint_path=savepoint)
        await self.client.run_jar(self.jar, request)
        self.clock.advance(0.5)

    async def stop(self, job_id: str = JOB) -> str:
        """Stop with a savepoint."""
        await self.client.stop_with_savepoint(job_id, TRIGGER, "file:///sp")
        self.clock.advance(1)
        location = (await self.client.savepoint_result(job_id, TRIGGER)).location
        assert location is not None
        return location


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_snapshot_knows_the_state_and_where_it_came_from(bench: Bench) -> None:
    await bench.start(JOB, "--rate", "10")
    bench.clock.advance(10)
    first = await bench.stop()
    await bench.start(OTHER, "--rate", "10", savepoint=first)
    bench.clock.advance(10)
    second = await bench.stop(OTHER)
    one, two = bench.sim.store.find(first), bench.sim.store.find(second)
    assert one is not None
    assert two is not None
    assert 100 <= one.counter < 120
    assert one.counter + 100 <= two.counter < one.counter + 120
    assert two.ancestry == (one.location,)
    old, new = bench.sim.runs
    assert new.restored_from == one == old.newest_snapshot
    assert (old.ended, new.ended) == ("FINISHED", "FINISHED")
    assert bench.sim.newest_state("") == two


async def test_lost_state_and_double_runs_show(bench: Bench) -> None:
    ids = [f"{'1' * 16}{number:016x}" for number in range(4)]
    await bench.start(ids[0])
    bench.clock.advance(20)
    location = await bench.stop(ids[0])
    await bench.start(OTHER)
    await bench.start(ids[1], savepoint=location)
    assert bench.sim.lossy_runs() == []
    assert bench.sim.double_runs() == []
    await bench.start(ids[2], savepoint=location)
    assert [run.job_id for run in bench.sim.lossy_runs()] == [ids[2]]
    (double,) = bench.sim.double_runs()
    assert (double.job_id, double.live_before) == (ids[2], (ids[1],))
    await bench.start(ids[3])
    assert [run.job_id for run in bench.sim.lossy_runs()] == ids[2:]


async def test_a_claimed_snapshot_is_deleted_after_the_next_checkpoint(bench: Bench) -> None:
    await bench.start()
    location = await bench.stop()
    request = RunRequest(job_id=OTHER, savepoint_path=location, claim_mode=ClaimMode.CLAIM)
    await bench.client.run_jar(bench.jar, request)
    assert bench.sim.store.find(location) is not None
    bench.clock.advance(1)
    assert bench.sim.store.find(location) is None


async def test_a_restart_goes_back_to_the_last_checkpoint(bench: Bench) -> None:
    await bench.start(JOB, "--rate", "100")
    bench.clock.advance(7)
    job = bench.sim.job(JOB)
    before = job.counter
    job.task_failed("java.lang.RuntimeException", "x")
    assert job.state is FlinkJobState.RESTARTING
    bench.clock.advance(1.2)
    kept = job.last_checkpoint
    assert kept is not None
    assert kept.kind is CheckpointKind.CHECKPOINT
    assert kept.counter < before
    assert bench.sim.runs[0].restores == [kept]
    assert kept.counter <= job.counter < before


async def test_jobs_end_by_hand(bench: Bench) -> None:
    for job_id, end in ((JOB, "fail"), (OTHER, "finish"), ("d" * 32, "cancel")):
        await bench.start(job_id)
        getattr(bench.sim.job(job_id), end)()
    bench.clock.advance(1)
    assert list(bench.sim.states().values()) == [FlinkJobState.FAILED, FlinkJobState.FINISHED, FlinkJobState.CANCELED]
    assert [run.ended for run in bench.sim.runs] == ["FAILED", "FINISHED", "CANCELED"]
    assert bench.sim.live_jobs() == ()


async def test_without_high_availability_a_restart_loses_jobs_and_ids(bench: Bench) -> None:
    await bench.start()
    incarnation = (await bench.client.jobmanager_config()).incarnation
    bench.sim.restart_jobmanager(downtime=5)
    with pytest.raises(Unreachable) as refused:
        await bench.client.overview_jobs()
    assert not refused.value.reached
    bench.clock.advance(5)
    assert await bench.client.overview_jobs() == ()
    assert (await bench.client.jobmanager_config()).incarnation != incarnation
    assert bench.sim.runs[0].ended == "LOST"
    assert bench.sim.store.find(f"file:/flink/checkpoints/{JOB}/chk-1") is not None
    await bench.start(JOB)
    assert len(bench.sim.runs) == 2


async def test_with_high_availability_live_jobs_go_on_and_ended_ones_are_forgotten() -> None:
    bench = Bench(SimSettings(high_availability=True))
    await bench.start(JOB)
    await bench.start(OTHER)
    bench.sim.job(OTHER).finish()
    bench.clock.advance(10)
    bench.sim.restart_jobmanager(downtime=2, election=3)
    bench.clock.advance(3)
    with pytest.raises(Unreachable) as electing:
        await bench.client.overview_jobs()
    assert electing.value.reason == "unavailable"
    bench.clock.advance(3)
    (job,) = await bench.client.overview_jobs()
    assert (job.job_id, job.all_tasks_running) == (JOB, True)
    assert bench.sim.runs[0].restores[0] is not None
    with pytest.raises(SubmitRejected):
        await bench.start(JOB)
    await bench.start(OTHER)
    stats = await bench.client.checkpoints(JOB)
    assert stats is not None
    assert stats.restored is not None


async def test_main_that_exits_takes_the_cluster_down(bench: Bench) -> None:
    await bench.start()
    with pytest.raises(Unreachable):
        await bench.client.run_jar(bench.jar, RunRequest(job_id=OTHER, args=("--exit", "1")))
    assert await bench.client.overview_jobs() == ()
    assert bench.sim.runs[0].ended == "LOST"


@pytest.mark.parametrize(
    ("kind", "raised", "effect"),
    [
        (FaultKind.REFUSE, "refused", False),
        (FaultKind.BREAK_BEFORE, "cut", False),
        (FaultKind.HANG_BEFORE, "timeout", False),
        (FaultKind.UNAVAILABLE, "unavailable", False),
        (FaultKind.HTML, "not-json", False),
        (FaultKind.LOSE, "cut", True),
        (FaultKind.HANG, "timeout", True),
        (FaultKind.CUT, "cut", True),
        (FaultKind.TRUNCATE, "not-json", True),
    ],
)
async def test_faults_of_a_submission(bench: Bench, kind: FaultKind, raised: str, effect: bool) -> None:
    fault = bench.sim.faults.add(kind, "/jars/.*/run", method="POST")
    with pytest.raises(Unreachable) as caught:
        await bench.client.run_jar(bench.jar, RunRequest(job_id=JOB), timeout=30)
    assert caught.value.reason == raised
    assert (await bench.client.job_status(JOB) is not None) is effect
    assert fault.hits == 1


async def test_a_failure_of_flink_itself(bench: Bench) -> None:
    bench.sim.faults.add(FaultKind.ERROR, "/jobs/overview")
    with pytest.raises(Transient, match="TimeoutException") as caught:
        await bench.client.overview_jobs()
    assert not isinstance(caught.value, Unreachable)
    assert await bench.client.overview_jobs() == ()


async def test_a_delay_longer_than_patience_is_a_time_out(bench: Bench) -> None:
    bench.sim.faults.add(FaultKind.DELAY, "/jobs/overview", seconds=5, times=1)
    before = bench.clock.now()
    assert await bench.client.overview_jobs() == ()
    assert bench.clock.now() - before >= 5
    bench.sim.faults.add(FaultKind.DELAY, "/jobs/overview", seconds=50)
    with pytest.raises(Unreachable) as caught:
        await bench.client.overview_jobs()
    assert caught.value.reason == "timeout"


async def test_faults_can_wait_and_repeat(bench: Bench) -> None:
    fault = bench.sim.faults.add(FaultKind.REFUSE, "/overview", skip=1, times=2)
    await bench.client.cluster_overview()
    for _ in range(2):
        with pytest.raises(Unreachable):
            await bench.client.cluster_overview()
    await bench.client.cluster_overview()
    assert fault.hits == 2
    bench.sim.faults.add(FaultKind.REFUSE, times=None)
    with pytest.raises(Unreachable):
        await bench.client.cluster_config()
    bench.sim.faults.clear()
    await bench.client.cluster_config()


@pytest.mark.fault("rest-job-omitted")
async def test_a_job_can_be_left_out_of_the_overview(bench: Bench) -> None:
    await bench.start()
    bench.sim.omitted.add(JOB)
    assert await bench.client.overview_jobs() == ()
    assert await bench.client.job_status(JOB) is FlinkJobState.RUNNING


async def test_triggers_can_be_forgotten_and_expire(bench: Bench) -> None:
    await bench.start()
    await bench.client.trigger_savepoint(JOB, TRIGGER, "file:///sp")
    bench.clock.advance(299)
    assert (await bench.client.savepoint_result(JOB, TRIGGER)).state is TriggerState.COMPLETED
    bench.clock.advance(2)
    assert (await bench.client.savepoint_result(JOB, TRIGGER)).state is TriggerState.FORGOTTEN
    await bench.client.trigger_savepoint(JOB, TRIGGER, "file:///sp")
    bench.sim.forget_triggers(JOB)
    assert (await bench.client.savepoint_result(JOB, TRIGGER)).state is TriggerState.FORGOTTEN


@pytest.mark.behaviour(45)
@pytest.mark.parametrize(("fault", "state"), [("restarts", FlinkJobState.RUNNING), ("fails", FlinkJobState.FAILED)])
async def test_a_stop_may_fail_after_its_savepoint(bench: Bench, fault: str, state: FlinkJobState) -> None:
    await bench.start()
    bench.sim.stop_faults[JOB] = fault
    await bench.client.stop_with_savepoint(JOB, TRIGGER, "file:///sp")
    bench.clock.advance(5)
    result = await bench.client.savepoint_result(JOB, TRIGGER)
    assert result.state is TriggerState.FAILED
    assert result.failure_path is not None
    made = bench.sim.store.find(result.failure_path)
    assert made is not None
    assert made.kind is CheckpointKind.SYNC_SAVEPOINT
    assert await bench.client.job_status(JOB) is state


async def test_a_stop_may_be_left_out_by_the_tasks_until_its_time_is_over(bench: Bench) -> None:
    await bench.start()
    bench.sim.stop_faults[JOB] = "hangs"
    await bench.client.stop_with_savepoint(JOB, TRIGGER, "file:///sp")
    bench.clock.advance(599)
    assert (await bench.client.savepoint_result(JOB, TRIGGER)).state is TriggerState.IN_PROGRESS
    assert bench.sim.job(JOB).tasks_running
    bench.clock.advance(5)
    result = await bench.client.savepoint_result(JOB, TRIGGER)
    assert result.failure == "CheckpointException: Checkpoint expired before completing."
    assert (bench.sim.job(JOB).restarts, bench.sim.job(JOB).tasks_running) == (1, True)


async def test_savepoints_fail_when_told(bench: Bench) -> None:
    await bench.start()
    bench.sim.fail_savepoints(JOB, "org.apache.flink.runtime.checkpoint.CheckpointException", "Checkpoint expired.")
    await bench.client.trigger_savepoint(JOB, TRIGGER, "file:///sp")
    result = await bench.client.savepoint_result(JOB, TRIGGER)
    assert result.failure == "CheckpointException: Checkpoint expired."
    await bench.client.trigger_savepoint(JOB, OTHER, "file:///sp")
    bench.clock.advance(1)
    assert (await bench.client.savepoint_result(JOB, OTHER)).state is TriggerState.COMPLETED


async def test_the_second_of_two_stops_can_win() -> None:
    bench = Bench(SimSettings(second_stop="second-wins"))
    await bench.start(JOB, "--snapshot-ms", "1000")
    bench.clock.advance(2)
    await bench.client.stop_with_savepoint(JOB, TRIGGER, "file:///sp")
    await bench.client.stop_with_savepoint(JOB, OTHER, "file:///sp")
    bench.clock.advance(5)
    assert (await bench.client.savepoint_result(JOB, TRIGGER)).state is TriggerState.FAILED
    assert (await bench.client.savepoint_result(JOB, OTHER)).state is TriggerState.COMPLETED
    assert await bench.client.job_status(JOB) is FlinkJobState.FINISHED


async def test_ended_jobs_expire_but_their_ids_stay_used() -> None:
    bench = Bench(SimSettings(job_expiration=60))
    await bench.start(JOB)
    bench.sim.job(JOB).finish()
    bench.clock.advance(61)
    assert await bench.client.job_status(JOB) is None
    with pytest.raises(SubmitRejected):
        await bench.start(JOB)


async def test_slots_come_and_go(bench: Bench) -> None:
    bench.sim.set_slots(0)
    await bench.start()
    job = bench.sim.job(JOB)
    assert job.state is FlinkJobState.RUNNING
    assert not job.tasks_running
    bench.sim.set_slots(1)
    bench.clock.advance(1)
    assert job.tasks_running
    bench.sim.set_slots(0)
    assert job.state is FlinkJobState.RESTARTING


@pytest.mark.fault("flink-uploads-wiped")
async def test_jars_are_lost_with_a_temporary_upload_directory() -> None:
    bench = Bench(SimSettings(upload_directory=False))
    bench.sim.restart_jobmanager()
    assert await bench.client.list_jars() == ()


async def test_what_nobody_claims_stays_until_it_is_disposed_of(bench: Bench) -> None:
    await bench.start()
    location = await bench.stop()
    from_savepoint = RunRequest(job_id=OTHER, savepoint_path=location)
    await bench.client.run_jar(bench.jar, from_savepoint)
    bench.clock.advance(10)
    assert bench.sim.store.find(location) is not None
    await bench.client.cancel(OTHER)
    request = await bench.client.dispose_savepoint(location)
    assert (await bench.client.disposal_result(request)).state is TriggerState.COMPLETED
    assert bench.sim.store.find(location) is None


async def test_time_that_only_the_test_moves() -> None:
    clock = VirtualClock(auto=False)
    sim = FlinkSim(clock)
    client = FlinkClient(httpx.AsyncClient(transport=SimTransport(sim)), "http://flink")
    running = asyncio.create_task(client.run_jar(sim.add_jar(), RunRequest(job_id=JOB, args=("--main-ms", "60000"))))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not running.done()
    assert await client.job_status(JOB) is None
    clock.advance(61)
    assert await running == JOB


async def test_clusters_by_host_and_hosts_that_are_not_there() -> None:
    one, other = FlinkSim(settings=SimSettings(slots=1)), FlinkSim(settings=SimSettings(slots=2))
    http = httpx.AsyncClient(transport=SimTransport({"one": one, "other": other}))
    assert (await FlinkClient(http, "http://one").cluster_overview()).slots_total == 1
    assert (await FlinkClient(http, "http://other").cluster_overview()).slots_total == 2
    with pytest.raises(Unreachable):
        await FlinkClient(http, "http://none").cluster_overview()


@pytest.fixture
async def served() -> AsyncIterator[tuple[FlinkSim, FlinkClient]]:
    sim = FlinkSim(RealClock())
    async with serve(sim) as url, plainhttp.async_client() as http:
        yield sim, FlinkClient(http, url, timeout=5)


async def test_a_real_server_speaks_the_same(served: tuple[FlinkSim, FlinkClient]) -> None:
    sim, client = served
    jar = sim.add_jar()
    assert await client.run_jar(jar, RunRequest(job_id=JOB)) == JOB
    assert await client.job_status(JOB) is FlinkJobState.RUNNING
    with pytest.raises(SubmitRejected):
        await client.run_jar(jar, RunRequest(job_id=JOB))
    with pytest.raises(Rejected):
        await client.trigger_savepoint(JOB, "xyz", None)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(FaultKind.REFUSE, "cut"), (FaultKind.LOSE, "cut"), (FaultKind.CUT, "cut"), (FaultKind.HTML, "not-json")],
)
async def test_a_real_server_breaks_connections(
    served: tuple[FlinkSim, FlinkClient], kind: FaultKind, reason: str
) -> None:
    sim, client = served
    sim.faults.add(kind, "/jobs/overview")
    with pytest.raises(Unreachable) as caught:
        await client.overview_jobs()
    assert caught.value.reason == reason
    assert await client.overview_jobs() == ()


def test_jars_differ_by_variant_only() -> None:
    assert make_jar() == make_jar()
    assert make_jar(variant="1") != make_jar(variant="2")
