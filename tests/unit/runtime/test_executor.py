"""Stages: what must exist, the intent, the calls, the rest; and that without the intent nothing is called."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from flinkjob.api.codec import FlinkJob, parse_job, parse_savepoint
from flinkjob.api.enums import SavepointPhase
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.core.actions import (
    Action,
    AddFinalizer,
    CancelJob,
    CreateSavepoint,
    DeleteObject,
    DeleteSavepoint,
    DiscardArtifact,
    EventType,
    MarkResult,
    PostEvent,
    RecordRevision,
    RecordSavepoint,
    RemoveFinalizer,
    RescaleJob,
    RunJob,
    StopJob,
    TakeCheckpoint,
    TakeSavepoint,
)
from flinkjob.core.errors import Transient, Unreachable
from flinkjob.core.flinkmodel import JarFile, RunRequest, SavepointFormat, TriggeredCheckpoint
from flinkjob.core.hiding import Hiding
from flinkjob.core.identity import jar_name
from flinkjob.core.model import JobDecision, SavepointDecision
from flinkjob.kube.errors import Conflict, Gone, NamespaceTerminating
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.clusters import Clusters
from flinkjob.runtime.executor import ONCE_SECONDS, Executor
from flinkjob.runtime.faults import Faults
from flinkjob.runtime.leader import NotLeading
from flinkjob.runtime.pace import Pace
from flinkjob.runtime.queue import Key
from tests.unit.api import objects
from tests.unit.runtime.conftest import World
from tests.unit.runtime.stubs import StubEvents, StubFlink, StubKube

KEY = ("default", "demo")
URL = "http://flink.example:8081"
RUN = RunJob(url=URL, jar_id="j", attempt=0, request=RunRequest(job_id="a" * 32))
STOP = StopJob(
    url=URL, job_id="a", trigger_id="t", directory="file:/d", format_type=SavepointFormat.CANONICAL, drain=True
)
TAKE = TakeSavepoint(
    url=URL, job_id="a", trigger_id="t", directory="file:/d", format_type=SavepointFormat.NATIVE, cancel=True
)
CHECKPOINT = TakeCheckpoint(url=URL, job_id="a", trigger_id="t", checkpoint_type=TriggeredCheckpoint.FULL)
CANCEL = CancelJob(url=URL, job_id="a")
RESCALE = RescaleJob(url=URL, job_id="a", parallelism=(("v", 2),))
RECORD = RecordSavepoint(
    name="s", origin="Upgrade", location="file:/s", flink_job_id="a", submission=1, time=datetime.now(UTC)
)
REVISION = RecordRevision(name="demo-1", number=1, keep=3)
TELL = PostEvent(type=EventType.NORMAL, reason="Submitted", message="m")
CALLS = {STOP: "stop", TAKE: "savepoint", CHECKPOINT: "checkpoint", CANCEL: "cancel", RESCALE: "rescale"}


def kind_of(case: object) -> str:
    """The name of a case: what is done, or what goes wrong."""
    return type(case).__name__


class Bench:
    """An executor whose every call is noted in one log."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.log: list[str] = []
        self.flink = StubFlink()
        self.flink.calls = self.log
        self.kube = StubKube(self.log)
        self.cache = ObjectCache()
        self.may = True
        client: Any = self.flink
        kube: Any = self.kube
        events: Any = StubEvents(self.log)
        tasks: Any = self

        def require() -> None:
            if not self.may:
                raise NotLeading

        async def make() -> Executor:
            clusters = Clusters(lambda *_: client, Pace(fast=3600.0, slow=3600.0), lambda _: None)
            await clusters.at(URL, KEY).seen()
            return Executor(
                identity="default",
                kube=kube,
                clusters=clusters,
                tasks=tasks,
                cache=self.cache,
                events=events,
                faults=Faults(require=require),
                hiding=lambda key: Hiding(["s3cr3t-value"]),
            )

        self.executor = world.run(make())
        self.log.clear()

    def run(self, key: Key, action: RunJob) -> None:
        """Stands for `Tasks.run`."""
        self.log.append("run")

    def job(self, *actions: Action, status: FlinkJobStatus | None = None, version: str = "5", **meta: Any) -> FlinkJob:
        raw = objects.job({}, {}, resourceVersion=version, **meta)
        self.kube.objects.setdefault("demo", raw)
        self.cache.put_job(raw)
        job = parse_job(raw)
        after = status or FlinkJobStatus(observed_generation=1)
        self.world.run(self.executor.job(KEY, job, JobDecision(status=after, actions=actions)))
        return job

    def savepoint(self, *actions: Action, mark: str | None = None, **fields: Any) -> None:
        raw = objects.savepoint({}, {})
        raw["metadata"] |= {"resourceVersion": "5"}
        self.kube.objects.setdefault("demo-1", raw)
        self.cache.put_savepoint(raw)
        savepoint = parse_savepoint(raw)
        status = replace(savepoint.status, **fields)
        decision = SavepointDecision(status=status, actions=actions, result_mark=mark)
        self.world.run(self.executor.savepoint(KEY, savepoint, decision))


@pytest.fixture
def bench(world: World) -> Bench:
    return Bench(world)


def test_the_stages_of_a_first_run(bench: Bench) -> None:
    bench.job(TELL, RUN, REVISION, AddFinalizer())
    assert sorted(bench.log[:2]) == ["finalizer", "revision"]
    assert bench.log[2:] == ["status", "run", "event Submitted"]
    job = bench.cache.job(KEY)
    assert job is not None
    assert job.meta.finalizers == ("flinkjob.dev/job-cleanup",)
    assert job.status.observed_generation == 1


def test_a_savepoint_is_recorded_before_the_run_forgets_it(bench: Bench) -> None:
    bench.job(RECORD, CreateSavepoint(name="p", origin="Periodic", delete_data=True, timeout="7m"), RUN)
    assert bench.log == ["record", "record", "status", "run"]
    recorded = bench.cache.savepoint("default", "s")
    assert recorded is not None
    assert "file:/s" in recorded.meta.annotations["flinkjob.dev/result"]
    asked = bench.cache.savepoint("default", "p")
    assert asked is not None
    assert asked.spec is not None
    assert asked.spec.timeout == "7m"


def test_what_must_exist_first_is_made_at_the_same_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that waits for it is not running meanwhile."""
    recorded = asyncio.Event()

    async def record(body: dict[str, Any]) -> dict[str, Any]:
        recorded.set()
        return await create(body)

    async def keep(body: dict[str, Any]) -> None:
        await asyncio.wait_for(recorded.wait(), 5)

    create = bench.kube.create_savepoint
    monkeypatch.setattr(bench.kube, "create_savepoint", record)
    monkeypatch.setattr(bench.kube, "create_revision", keep)
    bench.job(REVISION, AddFinalizer(), RECORD, RUN)
    assert sorted(bench.log[:2]) == ["finalizer", "record"]
    assert bench.log[2:] == ["status", "run"]


def test_where_one_of_them_fails_the_others_end_first_and_nothing_follows(bench: Bench) -> None:
    bench.kube.fails["finalizer"] = lambda: Conflict(409, "changed")
    with pytest.raises(Conflict):
        bench.job(AddFinalizer(), REVISION, RECORD, RUN)
    assert sorted(bench.log) == ["finalizer", "record", "revision"]


def test_a_namespace_that_is_being_deleted_takes_no_record_and_holds_nothing_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(body: dict[str, Any]) -> dict[str, Any]:
        raise NamespaceTerminating(403, "the namespace is being terminated")

    monkeypatch.setattr(bench.kube, "create_savepoint", refuse)
    bench.job(RECORD, RUN)
    assert bench.log == ["status", "run"]


@pytest.mark.parametrize("action", list(CALLS), ids=kind_of)
def test_a_call_follows_its_intent(bench: Bench, action: Action) -> None:
    bench.job(action)
    assert bench.log == ["status", CALLS[action]]


@pytest.mark.parametrize("action", [*CALLS, RUN], ids=kind_of)
@pytest.mark.parametrize("error", [Conflict(409, "changed"), Gone(404, "gone")], ids=kind_of)
def test_without_the_intent_nothing_is_called(bench: Bench, action: Action, error: Exception) -> None:
    bench.kube.fails["status"] = lambda: error
    with pytest.raises(type(error)):
        bench.job(action, TELL, RemoveFinalizer())
    assert bench.log == ["status"]


def test_an_object_that_was_changed_meanwhile_is_not_decided_on(bench: Bench) -> None:
    bench.kube.objects["demo"] = objects.job({}, {}, resourceVersion="9")
    with pytest.raises(Conflict):
        bench.job(STOP)
    assert bench.log == ["status"]


def test_a_finalizer_of_this_round_is_no_conflict_and_somebody_elses_write_is(bench: Bench) -> None:
    bench.job(AddFinalizer(), RUN)
    assert bench.log == ["finalizer", "status", "run"]
    bench.log.clear()
    bench.kube.objects["demo"] = objects.job({}, {}, resourceVersion="70")
    with pytest.raises(Conflict):
        bench.job(AddFinalizer(), RUN, version="69")
    assert bench.log == ["finalizer"]


def test_when_nothing_changed_nothing_is_written(bench: Bench) -> None:
    bench.job(status=FlinkJobStatus())
    assert bench.log == []
    bench.job(CANCEL, status=FlinkJobStatus())
    assert bench.log == ["cancel"]


def test_what_many_would_say_of_one_thing_is_said_once(bench: Bench) -> None:
    about_cluster = replace(TELL, once_for=URL)
    for _ in range(3):
        bench.job(about_cluster, TELL, status=FlinkJobStatus())
    assert bench.log.count("event Submitted") == 1 + 3
    bench.job(replace(about_cluster, message="another finding"), status=FlinkJobStatus())
    bench.job(replace(about_cluster, once_for="http://other.example:8081"), status=FlinkJobStatus())
    assert bench.log.count("event Submitted") == 4 + 2
    bench.world.pass_time(ONCE_SECONDS + 1)
    bench.job(about_cluster, status=FlinkJobStatus())
    assert bench.log.count("event Submitted") == 6 + 1


@pytest.mark.parametrize("action", list(CALLS), ids=kind_of)
def test_a_call_without_a_clear_answer_is_no_error(bench: Bench, action: Action) -> None:
    bench.flink.errors[CALLS[action]] = Unreachable("timeout", "timed out")
    bench.job(action, TELL)
    assert bench.log == ["status", CALLS[action], "event Submitted"]


@pytest.mark.parametrize("action", [*CALLS, DiscardArtifact(url=URL, digest="d")], ids=kind_of)
def test_the_words_of_a_refusal_are_logged_without_the_values_of_secrets(
    bench: Bench, action: Action, caplog: pytest.LogCaptureFixture
) -> None:
    bench.flink.errors[CALLS.get(action, "jars")] = Unreachable("refused", "no such user: s3cr3t-value")
    with caplog.at_level("INFO"):
        bench.job(action)
    assert "no such user: ******" in caplog.text
    assert "s3cr3t-value" not in caplog.text


@pytest.mark.parametrize(
    "action", [*CALLS, RUN, RECORD, REVISION, AddFinalizer(), RemoveFinalizer(), DeleteObject()], ids=kind_of
)
def test_who_does_not_lead_has_no_effect(bench: Bench, action: Action) -> None:
    bench.may = False
    with pytest.raises(Transient):
        bench.job(action, status=FlinkJobStatus(observed_generation=1))
    assert bench.log == []


@pytest.mark.parametrize("action", list(CALLS), ids=kind_of)
def test_who_lost_the_lease_between_intent_and_call_does_not_call(bench: Bench, action: Action) -> None:
    bench.may = False
    with pytest.raises(NotLeading):
        bench.job(action, TELL, status=FlinkJobStatus())
    assert bench.log == [], "nor does it tell what did not happen"
    with pytest.raises(NotLeading):
        bench.savepoint(action, TELL)
    assert bench.log == []


def test_who_lost_the_lease_leaves_the_jar_and_what_comes_after(bench: Bench) -> None:
    bench.flink.jars = [JarFile(id="7_x", name=jar_name("default", "d"))]
    bench.flink.errors["jars"] = NotLeading()
    with pytest.raises(NotLeading):
        bench.job(DiscardArtifact(url=URL, digest="d"), RemoveFinalizer(), finalizers=["flinkjob.dev/job-cleanup"])
    assert bench.log == ["status", "jars"]


def test_what_only_tidies_up_comes_last(bench: Bench) -> None:
    bench.flink.jars = [JarFile(id="7_x", name=jar_name("default", "d")), JarFile(id="8_y", name="another")]
    bench.job(
        RemoveFinalizer(), DiscardArtifact(url=URL, digest="d"), CANCEL, TELL, finalizers=["flinkjob.dev/job-cleanup"]
    )
    assert bench.log == ["status", "cancel", "event Submitted", "release", "jars", "delete_jar"]
    assert [jar.id for jar in bench.flink.jars] == ["8_y"]


def test_a_jar_that_cannot_be_removed_stays(bench: Bench) -> None:
    bench.flink.errors["jars"] = Unreachable("refused", "refused")
    bench.job(DiscardArtifact(url=URL, digest="d"))
    assert bench.log == ["status", "jars"]


def test_an_object_without_its_last_finalizer_is_forgotten(bench: Bench) -> None:
    bench.job(RemoveFinalizer(), deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["flinkjob.dev/job-cleanup"])
    assert bench.cache.job(KEY) is None


def test_marks_and_ends(bench: Bench) -> None:
    bench.job(MarkResult(mark="{}"), DeleteSavepoint(name="s", uid="u"), DeleteObject())
    assert bench.log == ["status", "mark", "savepoint-delete", "delete"]
    job = bench.cache.job(KEY)
    assert job is not None
    assert job.meta.annotations == {"flinkjob.dev/result": "{}"}


# FlinkSavepoints


def test_the_stages_of_a_flinksavepoint(bench: Bench) -> None:
    bench.savepoint(AddFinalizer(), TAKE, TELL, phase=SavepointPhase.IN_PROGRESS)
    assert bench.log == ["finalizer", "status", "savepoint", "event Submitted"]


def test_its_mark_follows_its_status(bench: Bench) -> None:
    bench.savepoint(mark="{}", phase=SavepointPhase.COMPLETED)
    assert bench.log == ["status", "mark"]
    known = bench.cache.savepoint("default", "demo-1")
    assert known is not None
    assert known.status.phase is SavepointPhase.COMPLETED
    assert "flinkjob.dev/result" in known.meta.annotations


def test_without_its_intent_nothing_is_triggered(bench: Bench) -> None:
    bench.kube.fails["status"] = lambda: Conflict(409, "changed")
    with pytest.raises(Conflict):
        bench.savepoint(TAKE, phase=SavepointPhase.IN_PROGRESS)
    assert bench.log == ["status"]


def test_it_goes_with_its_finalizer(bench: Bench) -> None:
    bench.savepoint(RemoveFinalizer())
    assert bench.log == ["release"]
    assert bench.cache.savepoint("default", "demo-1") is None
