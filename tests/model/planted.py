"""Bugs to be planted into the operator, one at a time, and what brings each of them to light.

Used by `test_planted.py`: the model must find every one of them, and must find nothing without them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from flinkjob.api.enums import RunResult, SubmissionReason
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import Operation, RunEnd, Submission
from flinkjob.core.actions import RunJob
from flinkjob.core.errors import Transient
from flinkjob.core.facts import Triggered
from flinkjob.core.flinkmodel import TriggerState
from flinkjob.core.identity import Owner, job_id
from flinkjob.core.job import decide, lost_run, observe_run, restart, restore_failure, stopping, submission
from flinkjob.core.job.draft import Draft, Halt
from flinkjob.core.job.restore_point import StartFrom
from flinkjob.core.pauses import FAST
from flinkjob.core.seen import JobSeen, Presence, RunPhase
from flinkjob.kube.kinds import Kind
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.cluster import Cluster
from flinkjob.runtime.executor import Executor
from flinkjob.runtime.faults import Effect
from tests.flinksim import Damage
from tests.model.memorykube import Object
from tests.model.plant import IDENTITY, CrashingFaults, OperatorInstance, Plant

SPEC: Object = {
    "cluster": {"url": "http://flink-a"},
    "jar": {"uri": "http://jars/v1.jar"},
    "checkpoint": {"interval": "1s"},
    "restart": {"initialDelay": "1s"},
}
Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Planted:
    """A bug, and what people and clusters do so that it shows."""

    name: str
    plant: Patch
    provoke: Callable[[Plant], None]


# A new number after an unclear answer


def _new_number(patch: pytest.MonkeyPatch) -> None:
    right = submission.resume_unseen

    def wrong(draft: Draft, spec: FlinkJobSpec) -> Halt | None:
        run = draft.live_run
        assert run is not None
        if draft.observation.run.phase not in (RunPhase.UNCLEAR, RunPhase.NONE):
            return right(draft, spec)
        draft.update(rejected=True)
        kind = submission.same_state(run)
        draft.end_run(RunResult.NEVER_STARTED, snapshot=run.restored_from, kind=kind)
        draft.requeue_after(FAST)
        return None

    patch.setattr(submission, "resume_unseen", wrong)


def _die_while_main_runs(world: Plant) -> None:
    _apply(world, args=["--main-ms", "5000"])
    world.pass_time(1)
    world.restart()
    world.pass_time(20)


# Absence from the overview taken for lost


def _overview_is_all(patch: pytest.MonkeyPatch) -> None:
    async def wrong(self: Cluster, flink_job_id: str) -> JobSeen:
        return JobSeen(presence=Presence.ABSENT, absent_for=100.0)

    patch.setattr(Cluster, "_confirm_absence", wrong)


def _leave_out_of_the_overview(world: Plant) -> None:
    _running(world)
    sim = world.sims["flink-a"]
    sim.omitted.update(world.live("a"))
    world.pass_time(30)
    sim.omitted.clear()
    world.pass_time(5)


# The same id on a new incarnation


def _same_id_again(patch: pytest.MonkeyPatch) -> None:
    def wrong(draft: Draft, run: Submission) -> None:
        draft.update(seen=False, running=False)

    patch.setattr(observe_run, "_absent", wrong)


def _restart_the_jobmanager(world: Plant) -> None:
    _running(world)
    world.sims["flink-a"].restart_jobmanager()
    world.pass_time(30)


# An empty start


def _from_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(submission, "start_of_next", lambda draft, spec: StartFrom(location=None, why="whatever"))


def _upgrade(world: Plant) -> None:
    _running(world)
    _apply(world, args=["--rate", "7"])
    world.pass_time(10)


# A stop twice


def _stop_again(patch: pytest.MonkeyPatch) -> None:
    right = stopping._follow_stop

    def wrong(draft: Draft, known: Operation, run: Submission) -> Halt | None:
        asked = Triggered(known.flink_job_id, known.trigger)
        if draft.need(asked).state is TriggerState.IN_PROGRESS and draft.spec is not None:
            base = (known.directory or "").rsplit("/ns/", 1)[0]
            kind = draft.spec.savepoints.format_type
            return stopping.begin_stop(draft, run, by=known.by or "", base=base, format_type=kind)
        return right(draft, known, run)

    patch.setattr(stopping, "_follow_stop", wrong)


def _stop_slowly(world: Plant) -> None:
    _running(world, args=["--snapshot-ms", "3000"])
    _apply(world, args=["--snapshot-ms", "3000"], state="Suspended")
    world.pass_time(20)


# A forgotten trigger id repeated without looking


def _without_looking(patch: pytest.MonkeyPatch) -> None:
    def wrong(draft: Draft, known: Operation, run: Submission, overview: Any) -> None:
        stopping._send(draft, known)
        draft.requeue_after(FAST)

    patch.setattr(stopping, "_forgotten", wrong)


def _forget_the_trigger(world: Plant) -> None:
    _running(world)
    sim = world.sims["flink-a"]
    sim.stop_faults[world.live("a")[0]] = "restarts"
    world.operator.faults.kill_at("after:stop")
    _apply(world, state="Suspended")
    world.pass_time(10, revive=False)
    sim.forget_triggers()
    world.pass_time(30)


# Older state after a lost stop


def _forget_the_stop(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lost_run, "_stop_ended_nothing", lambda draft, run, known: True)


def _lose_the_stop(world: Plant) -> None:
    calm = {"checkpoint": {"interval": "40s"}}
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | calm)
    world.pass_time(5)
    sim = world.sims["flink-a"]
    sim.stop_faults[world.live("a")[0]] = "restarts"
    world.operator.faults.kill_at("after:stop")
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | calm | {"args": ["--rate", "7"]})
    world.pass_time(0.1, revive=False)
    sim.restart_jobmanager()
    world.pass_time(60)


# A latch released by a generation


def _run_again(patch: pytest.MonkeyPatch) -> None:
    right = restart._by_result

    def wrong(draft: Draft, spec: FlinkJobSpec, last: Submission, end: RunEnd) -> SubmissionReason | Halt | None:
        if draft.given.job.status.observed_generation != draft.job.meta.generation:
            return SubmissionReason.RESUME
        return right(draft, spec, last, end)

    patch.setattr(restart, "_by_result", wrong)


def _edit_a_finished_job(world: Plant) -> None:
    _apply(world, args=["--count", "200"])
    world.pass_time(40)
    _apply(world, args=["--count", "200"], savepoints={"timeout": "77s"})
    world.pass_time(20)


# Disposal of what is in use


def _nothing_is_in_use(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ObjectCache, "in_use", lambda self, places: frozenset())


def _delete_what_a_held_job_needs(world: Plant) -> None:
    _running(world)
    spec = {"jobRef": {"name": "a"}, "mode": "Stop", "deletion": {"policy": "Delete"}}
    world.kube.apply(Kind.FLINK_SAVEPOINT, "s", spec)
    world.pass_time(10)
    world.kube.delete(Kind.FLINK_SAVEPOINT, "s")
    world.pass_time(10)


# A write after the Lease was lost


class _FreezingKube:
    """The API server as a process sees it that is frozen right after its first intent."""

    def __init__(self, kube: Any) -> None:
        self._kube = kube
        self.awake = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kube, name)

    async def patch_status(self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any], version: str) -> Any:
        stored = await self._kube.patch_status(kind, namespace, name, patch, version)
        if "submission" in patch:
            await self.awake.wait()
        return stored


def _without_a_lease(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CrashingFaults, "before", lambda self, effect: self._passed(f"before:{effect}"))


def _wake_a_frozen_leader(world: Plant) -> None:
    async def lead() -> OperatorInstance:
        return OperatorInstance(world)

    def lost_lease() -> None:
        raise Transient("not-leading", "the Lease was not renewed in time")

    frozen, kube = world.operator, _FreezingKube(world.kube)
    frozen.use(kube)
    _apply(world)
    world.pass_time(2)
    frozen.faults.require(lost_lease)
    world.operator = world.run(lead())
    try:
        world.pass_time(5)
        _apply(world, args=["--rate", "7"])
        world.pass_time(10)
        world.sims["flink-a"].restart_jobmanager()
        world.pass_time(30)
        kube.awake.set()
        world.pass_time(10)
    finally:
        kube.awake.set()
        world.run(frozen.kill())


# The effect before its intent


def _effect_first(patch: pytest.MonkeyPatch) -> None:
    right = Executor.job

    async def wrong(self: Executor, key: tuple[str, str], job: Any, decision: Any) -> None:
        for action in decision.actions:
            if isinstance(action, RunJob):
                self._faults.before(Effect.RUN)
                self._tasks.run(key, action)
                await asyncio.sleep(0.05)
        rest = tuple(action for action in decision.actions if not isinstance(action, RunJob))
        await right(self, key, job, replace(decision, actions=rest))

    patch.setattr(Executor, "job", wrong)


# The object let go while its job may live


def _let_go_early(patch: pytest.MonkeyPatch) -> None:
    from flinkjob.core.actions import RemoveFinalizer

    patch.setattr(decide, "_tidy", lambda draft: draft.act(RemoveFinalizer()))


def _look_at_the_finalizer(world: Plant) -> None:
    _running(world)
    job = world.job("a")
    assert job is not None
    assert job["metadata"].get("finalizers"), "a live job's object is not held"


# A restore in vain, repeated


def _restore_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(restore_failure, "halt_after_end", lambda draft, spec, last, end: None)


def _damage_what_a_suspended_job_left(world: Plant) -> None:
    _running(world)
    _apply(world, state="Suspended")
    world.pass_time(10)
    job = world.job("a")
    assert job is not None
    sim = world.sims["flink-a"]
    sim.store.damage(job["status"]["submission"]["end"]["snapshot"], Damage.METADATA)
    _apply(world)
    world.pass_time(60)
    assert len(sim.runs) == 2, "a restore that cannot succeed is repeated"


PLANTED = (
    Planted("a new number after an unclear answer", _new_number, _die_while_main_runs),
    Planted("absence from the overview taken for lost", _overview_is_all, _leave_out_of_the_overview),
    Planted("the same id on a new incarnation", _same_id_again, _restart_the_jobmanager),
    Planted("an empty start", _from_nothing, _upgrade),
    Planted("a stop twice", _stop_again, _stop_slowly),
    Planted("a forgotten trigger id repeated without looking", _without_looking, _forget_the_trigger),
    Planted("older state after a lost stop", _forget_the_stop, _lose_the_stop),
    Planted("a latch released by a generation", _run_again, _edit_a_finished_job),
    Planted("disposal of what is in use", _nothing_is_in_use, _delete_what_a_held_job_needs),
    Planted("a write after the Lease was lost", _without_a_lease, _wake_a_frozen_leader),
    Planted("the effect before its intent", _effect_first, _upgrade),
    Planted("the object let go while its job lives", _let_go_early, _look_at_the_finalizer),
    Planted("a restore in vain, repeated", _restore_again, _damage_what_a_suspended_job_left),
)


def _apply(world: Plant, **changes: Any) -> None:
    world.kube.apply(Kind.FLINK_JOB, "a", SPEC | changes)


def _running(world: Plant, **changes: Any) -> None:
    _apply(world, **changes)
    world.pass_time(12)
    expected = job_id(Owner(IDENTITY, "ns", "a"), "uid-1", 1)
    assert world.live("a")[:1] == [expected]
