"""What the state machine has found, in its shortest form: each of these once went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flinkjob.api.constants import FINALIZER
from flinkjob.core.flinkmodel import CheckpointKind
from flinkjob.kube.kinds import Kind
from tests.flinksim import Damage, FaultKind
from tests.model.plant import Plant, plant

SPEC = {
    "cluster": {"url": "http://flink-a"},
    "jar": {"uri": "http://jars/v1.jar"},
    "checkpoint": {"interval": "1s"},
    "restart": {"initialDelay": "1s"},
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Plant]:
    """One FlinkJob `a`, running."""
    with plant(tmp_path) as world:
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
        world.pass_time(3)
        assert _status(world)["phase"] == "Running"
        yield world
        world.witness.check()


def _status(world: Plant) -> dict[str, object]:
    job = world.job("a")
    assert job is not None
    status: dict[str, object] = job["status"]
    return status


def _lose_the_status(world: Plant) -> None:
    job = world.job("a")
    assert job is not None
    world.witness.wiped(job["metadata"]["uid"])
    world.kube.wipe_status(Kind.FLINK_JOB, "a")


def test_a_job_that_the_overview_leaves_out_is_found_without_a_status(world: Plant) -> None:
    sim = world.sims["flink-a"]
    (job_id,) = world.live("a")
    sim.omitted.add(job_id)
    _lose_the_status(world)
    world.pass_time(30)
    assert len(sim.runs) == 1
    sim.omitted.clear()
    world.pass_time(30)
    assert world.live("a") == [job_id]
    assert _status(world)["phase"] == "Running"


def test_an_object_without_a_status_stays_held_while_its_cluster_does_not_answer(world: Plant) -> None:
    world.sims["flink-a"].faults.add(FaultKind.REFUSE, times=None)
    world.pass_time(5)
    _lose_the_status(world)
    world.pass_time(30)
    job = world.job("a")
    assert job is not None
    assert job["metadata"]["finalizers"] == [FINALIZER]
    world.sims["flink-a"].faults.clear()
    world.pass_time(10)
    assert len(world.sims["flink-a"].runs) == 1
    assert _status(world)["phase"] == "Running"


def test_a_run_call_that_is_lost_on_the_way_is_repeated(world: Plant) -> None:
    world.sims["flink-a"].faults.add(FaultKind.HANG_BEFORE, "/jars/.*/run")
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"args": ["--rate", "5"]})
    world.pass_time(900)
    assert _status(world)["phase"] == "Running"
    assert len(world.sims["flink-a"].runs) == 2


def test_a_savepoint_of_a_failed_stop_is_not_forgotten(world: Plant) -> None:
    sim = world.sims["flink-a"]
    (job_id,) = world.live("a")
    sim.stop_faults[job_id] = "fails"
    spec = {"jobRef": {"name": "a"}, "mode": "Stop"}
    world.kube.apply(Kind.FLINK_SAVEPOINT, "s", spec)
    world.pass_time(0.6)
    sim.forget_job(job_id)
    world.pass_time(60)
    status = _status(world)
    assert status["phase"] != "Running" or len(sim.runs) == 2


def test_a_stop_that_failed_is_not_sent_again_before_its_pause(world: Plant) -> None:
    sim = world.sims["flink-a"]
    (job_id,) = world.live("a")
    sim.fail_savepoints(job_id, "java.io.IOException", "Failed to create savepoint directory")
    world.kube.apply(Kind.FLINK_SAVEPOINT, "s", {"jobRef": {"name": "a"}, "mode": "Stop"})
    world.pass_time(60)
    stops = [path for method, path in sim.requests if method == "POST" and path.endswith("/stop")]
    assert len(stops) == 1
    assert world.live("a") == [job_id]


def test_a_jar_that_cannot_be_had_after_an_unclear_answer_is_held_in_peace(tmp_path: Path) -> None:
    with plant(tmp_path) as world:
        world.sims["flink-a"].faults.add(FaultKind.REFUSE, r"/jars/[^/]+/run", times=4)
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
        world.pass_time(0.3)
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"jar": {"uri": "http://jars/missing.jar"}})
        world.pass_time(20)
        written = world.kube.status_writes
        world.pass_time(60)
        assert world.kube.status_writes - written <= 1
        assert _status(world)["plan"]["reason"] == "ArtifactFailed"  # type: ignore[index]


def test_an_upgrade_waits_for_a_stop_that_the_tasks_left_out_and_tries_again(world: Plant) -> None:
    sim = world.sims["flink-a"]
    (job_id,) = world.live("a")
    sim.stop_faults[job_id] = "hangs"
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"args": ["--rate", "5"]})
    world.pass_time(500)
    assert world.live("a") == [job_id]
    assert _status(world)["plan"]["reason"] == "Upgrading"  # type: ignore[index]
    world.pass_time(150)
    (upgraded,) = world.live("a")
    assert upgraded != job_id
    assert _status(world)["phase"] == "Running"
    stops = [path for method, path in sim.requests if method == "POST" and path.endswith("/stop")]
    assert len(stops) == 2
    restored = sim.runs[-1].restored_from
    assert restored is not None
    assert restored.kind is CheckpointKind.SYNC_SAVEPOINT


def test_a_deletion_ends_by_its_deadline_when_the_tasks_leave_out_the_stop(world: Plant) -> None:
    sim = world.sims["flink-a"]
    sim.stop_faults[world.live("a")[0]] = "hangs"
    world.kube.delete(Kind.FLINK_JOB, "a")
    world.pass_time(690)
    assert world.job("a") is None
    assert world.live("a") == []


@pytest.mark.invariant(2)
def test_a_flinkjob_that_is_created_again_and_again_goes_on_from_its_newest_savepoint(world: Plant) -> None:
    sim = world.sims["flink-a"]
    for again in range(1, 4):
        world.kube.delete(Kind.FLINK_JOB, "a")
        world.pass_time(10)
        assert world.job("a") is None
        left = sim.runs[-1].snapshots[-1]
        assert left.kind is CheckpointKind.SYNC_SAVEPOINT
        recorded = [one for kind, one in world.kube.everything() if kind is Kind.FLINK_SAVEPOINT]
        assert len({one["status"]["location"] for one in recorded}) == again
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
        world.pass_time(10)
        assert sim.runs[-1].restored_from == left


@pytest.mark.invariant(2)
def test_savepoints_that_are_restored_from_a_backup_are_as_old_as_they_were(world: Plant) -> None:
    kept = {}
    for name in ("older", "newer"):
        world.kube.apply(Kind.FLINK_SAVEPOINT, name, {"jobRef": {"name": "a"}})
        world.pass_time(5)
        kept[name] = world.kube.find(Kind.FLINK_SAVEPOINT, name)
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"deletion": {"policy": "Cancel"}})
    world.kube.delete(Kind.FLINK_JOB, "a")
    world.pass_time(10)
    for name in ("newer", "older"):
        world.kube.delete(Kind.FLINK_SAVEPOINT, name)
        world.pass_time(5)
        backup = kept[name]
        assert backup is not None
        marks = backup["metadata"]["annotations"]
        world.kube.apply(Kind.FLINK_SAVEPOINT, name, backup["spec"], annotations=marks)
        world.pass_time(5)
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
    world.pass_time(10)
    assert kept["newer"] is not None
    assert _status(world)["submission"]["restoredFrom"] == kept["newer"]["status"]["location"]  # type: ignore[index]


def test_a_flinksavepoint_with_the_longest_name_stops_its_job_and_is_complete(world: Plant) -> None:
    name = "s" * 253
    world.kube.apply(Kind.FLINK_SAVEPOINT, name, {"jobRef": {"name": "a"}, "mode": "Stop", "timeout": "60s"})
    world.pass_time(90)
    assert world.live("a") == []
    stopped = world.kube.find(Kind.FLINK_SAVEPOINT, name)
    assert stopped is not None
    assert stopped["status"]["phase"] == "Completed"
    assert stopped["status"]["location"] == _status(world)["hold"]["location"]  # type: ignore[index]


def test_the_spec_of_a_run_is_kept_though_that_of_an_earlier_flinkjob_of_the_name_goes(world: Plant) -> None:
    world.kube.delete(Kind.FLINK_JOB, "a")
    world.pass_time(10)
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
    world.pass_time(10)
    world.kube.collect_garbage()
    revision = _status(world)["currentRevision"]
    assert world.run(world.kube.get_revision("ns", str(revision))) is not None


@pytest.mark.invariant(1)
def test_a_deleted_job_that_did_not_answer_until_the_deadline_runs_beside_no_other(world: Plant) -> None:
    sim = world.sims["flink-a"]
    (job_id,) = world.live("a")
    sim.omitted.add(job_id)
    world.pass_time(30)
    world.kube.delete(Kind.FLINK_JOB, "a")
    world.pass_time(690)
    assert world.job("a") is None
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
    world.pass_time(30)
    assert not sim.double_runs()
    assert job_id not in world.live("a")


def test_a_job_that_shall_wait_for_a_person_is_not_stopped_again_and_again(world: Plant) -> None:
    sim = world.sims["flink-a"]
    (job_id,) = world.live("a")
    for _ in range(20):
        sim.fail_savepoints(job_id, "java.io.IOException", "No space left on device")
    careful = SPEC | {"upgrade": {"fallback": "Fail"}, "args": ["--rate", "5"]}
    world.kube.apply(Kind.FLINK_JOB, "a", careful)
    world.pass_time(300)
    stops = [path for method, path in sim.requests if method == "POST" and path.endswith("/stop")]
    assert len(stops) == 3
    assert world.live("a") == [job_id]
    world.restart()
    sim.faults.add(FaultKind.REFUSE, times=20)
    world.pass_time(300)
    stops = [path for method, path in sim.requests if method == "POST" and path.endswith("/stop")]
    assert len(stops) == 3, "neither another operator nor a cluster that was away tries again"
    assert _status(world)["plan"] | {"reason": "SavepointFailed", "step": "Hold"} == _status(world)["plan"]  # type: ignore[operator]
    sim.savepoint_failures.clear()
    world.kube.apply(Kind.FLINK_JOB, "a", careful | {"args": ["--rate", "6"]})
    world.pass_time(30)
    assert world.live("a") != [job_id]
    assert _status(world)["phase"] == "Running"


def test_a_finished_job_stays_finished_when_its_cluster_is_gone(world: Plant) -> None:
    sim = world.sims["flink-a"]
    sim.job(world.live("a")[0]).finish()
    world.pass_time(60)
    assert _status(world)["phase"] == "Finished"
    ready = next(each for each in _status(world)["conditions"] if each["type"] == "Ready")  # type: ignore[attr-defined]
    sim.faults.add(FaultKind.REFUSE, times=None)
    world.restart()
    world.pass_time(400)
    assert _status(world)["phase"] == "Finished"
    assert ready in _status(world)["conditions"]  # type: ignore[operator]
    assert "plan" not in _status(world)


@pytest.mark.parametrize("how", list(Damage))
def test_a_restore_that_never_succeeds_is_not_repeated(world: Plant, how: Damage) -> None:
    sim = world.sims["flink-a"]
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"state": "Suspended"})
    world.pass_time(10)
    location = _status(world)["submission"]["end"]["snapshot"]  # type: ignore[index]
    sim.store.damage(location, how)
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
    world.pass_time(20)
    assert _stalled(world)
    assert str(location) in str(_status(world)["plan"])
    runs = len(sim.runs)
    assert runs == 2
    world.restart()
    world.pass_time(900)
    assert _stalled(world)
    assert len(sim.runs) == runs
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"initialState": {"strategy": "None", "nonce": 1}})
    world.pass_time(20)
    assert _status(world)["phase"] == "Running"


@pytest.mark.parametrize("upgraded", [False, True])
@pytest.mark.parametrize("bounded", [False, True])
def test_a_program_with_two_jobs_is_named_and_its_first_job_left_alone(
    world: Plant, upgraded: bool, bounded: bool
) -> None:
    arguments = ["--executes", "2", *(["--count", "500"] if bounded else [])]
    name = "a" if upgraded else "b"
    world.kube.apply(Kind.FLINK_JOB, name, SPEC | {"args": arguments})
    world.pass_time(30)
    job = world.job(name)
    assert job is not None
    assert job["status"]["plan"]["reason"] == "MultipleJobs"
    assert world.live(name) == ([] if bounded else [job["status"]["submission"]["jobId"]])
    runs = len(world.sims["flink-a"].runs)
    world.restart()
    world.pass_time(900)
    job = world.job(name)
    assert job is not None
    assert job["status"]["plan"]["reason"] == "MultipleJobs"
    assert len(world.sims["flink-a"].runs) == runs
    world.kube.apply(Kind.FLINK_JOB, name, SPEC | {"args": ["--name", "one"]})
    world.pass_time(30)
    job = world.job(name)
    assert job is not None
    assert job["status"]["phase"] == "Running"
    assert "reason" not in job["status"].get("plan", {})


def _stalled(world: Plant) -> bool:
    conditions = _status(world)["conditions"]
    assert isinstance(conditions, list)
    return any(each["type"] == "Stalled" and each["status"] == "True" for each in conditions)


def test_a_job_is_suspended_though_the_call_that_starts_it_is_never_answered(tmp_path: Path) -> None:
    with plant(tmp_path) as world:
        world.sims["flink-a"].faults.add(FaultKind.HANG_BEFORE, "/jars/.*/run")
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
        world.pass_time(3)
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC | {"state": "Suspended"})
        world.pass_time(700)
        assert _status(world)["phase"] == "Suspended"
        world.kube.apply(Kind.FLINK_JOB, "a", SPEC)
        world.pass_time(30)
        assert _status(world)["phase"] == "Running"
        assert len(world.live("a")) == 1
