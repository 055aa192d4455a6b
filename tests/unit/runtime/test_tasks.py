"""Long calls beside the workers: artifacts and their memory, job graphs, run calls, disposals; and that they end."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from flinkjob.artifacts.build import JarBuilder
from flinkjob.artifacts.errors import ArtifactInvalid
from flinkjob.artifacts.runners import Runners
from flinkjob.core.actions import RunJob
from flinkjob.core.errors import Rejected, SubmitRejected, SubmitRejection, Transient, Unreachable
from flinkjob.core.flinkmodel import JarFile, RunRequest, TriggerResult, TriggerState
from flinkjob.core.identity import jar_name
from flinkjob.core.longcalls import FAILED_FOR, READY_FOR
from flinkjob.core.program import PYTHON_ENTRY_CLASS, JarPart, Recipe, RunnerSort, ScriptPart, SourceAccess
from flinkjob.core.progress import Progress
from flinkjob.core.seen import (
    ArtifactPhase,
    ArtifactRequest,
    ArtifactSeen,
    DisposalPhase,
    JobGraphPhase,
    JobGraphRequest,
    RunPhase,
    RunSeen,
)
from flinkjob.net.permits import Permits
from flinkjob.runtime.clusters import Clusters
from flinkjob.runtime.faults import Effect, Faults
from flinkjob.runtime.pace import Pace
from flinkjob.runtime.queue import Key
from flinkjob.runtime.tasks import PYTHON_BEGINS, Tasks
from flinkjob.runtime.uploads import UPLOAD_TURN
from tests.support.tables import table
from tests.unit.runtime.conftest import World
from tests.unit.runtime.stubs import StubFlink

KEY, OTHER = ("ns", "a"), ("ns", "b")
URL = "http://flink.example:8081"
RECIPE = Recipe(jars=(JarPart(uri="https://jars.example/a.jar"),))
DIGEST, NEWER = "1" * 64, "2" * 64
REQUEST = RunRequest(job_id="a" * 32)


@dataclass
class Artifact:
    digest: str
    path: Path = Path("a.jar")


class Store:
    """The artifact store: one URI, whose content changes."""

    def __init__(self) -> None:
        self.content = DIGEST
        self.asked: list[str | None] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    def progress(self, namespace: str, uris: Container[str]) -> Progress | None:
        """It is always half there."""
        return Progress(name=namespace, done=1, size=2) if RECIPE.jars[0].uri in uris else None

    async def get(
        self,
        namespace: str,
        uri: str,
        sha256: str | None,
        *,
        script: bool = False,
        access: SourceAccess | None = None,
    ) -> Artifact:
        self.asked.append(sha256)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        if sha256 not in (None, self.content):
            raise ArtifactInvalid("digest-mismatch", "another content")
        return Artifact(self.content)


class Desk:
    """The tasks under test, over one cluster."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.flink, self.store = StubFlink(), Store()
        self.woken: list[Key] = []
        self.passed: list[str] = []
        client: Any = self.flink
        store: Any = self.store
        desk = self

        class Noting(Faults):
            def before(self, effect: Effect) -> None:
                desk.passed.append(f"before:{effect}")

            def after(self, effect: Effect) -> None:
                desk.passed.append(f"after:{effect}")

        async def make() -> Tasks:
            clusters = Clusters(lambda *_: client, Pace(), lambda _: None)
            return Tasks(
                identity="default",
                clusters=clusters,
                builder=JarBuilder(store, Runners(Path("/nowhere")), Permits(1).hold),
                faults=Noting(),
                enqueue=self.woken.append,
                most=4,
            )

        self.tasks = world.run(make())

    def artifact(self, digest: str | None = None, run: str = "r1", key: Key = KEY, **fields: Any) -> ArtifactSeen:
        request = ArtifactRequest(**{"url": URL, "recipe": RECIPE, "digest": digest, "run": run} | fields)
        return self.world.run(self.tasks.artifact(key, request))

    def uploads(self) -> int:
        return self.flink.calls.count("upload")

    def run(self, attempt: int = 0, job_id: str = "a" * 32) -> None:
        async def send() -> None:
            request = RunRequest(job_id=job_id)
            self.tasks.run(KEY, RunJob(url=URL, jar_id="j", attempt=attempt, request=request))

        self.world.run(send())

    def run_seen(self, attempt: int = 0, job_id: str = "a" * 32) -> RunSeen:
        return self.tasks.run_seen(KEY, job_id, attempt)


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


# artifacts


def test_while_a_jar_is_fetched_it_is_seen_how_far_it_is(desk: Desk) -> None:
    desk.store.gate.clear()
    working = ArtifactSeen(phase=ArtifactPhase.WORKING, progress=Progress(name="ns", done=1, size=2))
    assert desk.artifact() == working
    desk.store.gate.set()
    desk.world.pass_time(0.1)
    assert desk.artifact().phase is ArtifactPhase.READY


def test_while_it_is_uploaded_all_who_wait_see_how_far_it_is(desk: Desk) -> None:
    desk.flink.hangs.clear()
    desk.artifact()
    progress = Progress(name="the jar", what="uploaded to the cluster", done=1, size=2)
    assert [desk.artifact(key=key).progress for key in (KEY, OTHER)] == [progress] * 2
    desk.flink.hangs.set()
    desk.world.pass_time(1)
    assert [desk.artifact(key=key).phase for key in (KEY, OTHER)] == [ArtifactPhase.READY] * 2
    desk.flink.hangs.clear()
    desk.flink.jars = []
    desk.world.pass_time(READY_FOR + 1)
    assert desk.artifact(key=OTHER).progress == progress, "of this upload"


def test_an_artifact_is_fetched_and_uploaded_once(desk: Desk) -> None:
    seen = desk.artifact()
    assert (seen.phase, seen.digest) == (ArtifactPhase.READY, DIGEST)
    assert desk.artifact() == seen
    assert (desk.uploads(), desk.store.asked) == (1, [None])
    assert desk.woken == [], "who asked has waited for it"
    assert desk.passed == ["before:upload", "after:upload"]


TEN: list[Key] = [("ns", f"job-{number}") for number in range(10)]


def test_ten_that_bring_the_same_jar_upload_it_once(desk: Desk) -> None:
    desk.flink.hangs.clear()
    assert [desk.artifact(key=key).phase for key in TEN] == [ArtifactPhase.WORKING] * 10
    assert desk.uploads() == 1
    desk.flink.hangs.set()
    desk.world.pass_time(1)
    assert {desk.artifact(key=key).jar_id for key in TEN} == {desk.flink.jars[0].id}
    assert desk.uploads() == 1


def test_an_upload_that_never_ends_is_not_waited_for_by_others(desk: Desk) -> None:
    desk.flink.hangs.clear()
    for key in TEN[:2]:
        desk.artifact(key=key)
    desk.world.pass_time(UPLOAD_TURN - 2)
    assert desk.uploads() == 1
    desk.world.pass_time(3)
    assert desk.uploads() == 2


def test_after_an_upload_that_failed_the_next_one_tries(desk: Desk) -> None:
    desk.flink.hangs.clear()
    for key in TEN[:2]:
        desk.artifact(key=key)
    desk.tasks.forget(TEN[0])
    desk.world.pass_time(1)
    assert desk.uploads() == 2


def test_a_jar_that_is_named_by_its_id_is_neither_fetched_nor_uploaded(desk: Desk) -> None:
    recipe = Recipe(jars=(), on_cluster="1b_by-hand.jar")
    seen = desk.artifact(recipe=recipe)
    assert (seen.phase, seen.permanent) == (ArtifactPhase.FAILED, True)
    assert "the cluster has no jar 1b_by-hand.jar" in seen.message
    desk.flink.jars = (JarFile(id="1b_by-hand.jar", name="by-hand.jar"),)
    there = desk.artifact(recipe=recipe, run="r2")
    assert (there.phase, there.jar_id, there.digest) == (ArtifactPhase.READY, "1b_by-hand.jar", None)
    assert (desk.uploads(), desk.store.asked) == (0, [])


def test_a_made_jar_that_is_on_the_cluster_is_not_made_again(desk: Desk) -> None:
    pinned = Recipe(jars=(JarPart(uri="https://a/a.jar", sha256=DIGEST), JarPart(uri="https://a/b.jar", sha256=NEWER)))
    known = pinned.digest([DIGEST, NEWER], None)
    desk.flink.jars = [JarFile(id="7_x", name=jar_name("default", known))]
    seen = desk.artifact(recipe=pinned)
    assert (seen.phase, seen.digest, seen.jar_id) == (ArtifactPhase.READY, known, "7_x")
    assert desk.store.asked == []


def test_without_a_runner_a_script_is_refused_for_good(desk: Desk) -> None:
    script = Recipe(jars=(), script=(ScriptPart(text="a", sha256=DIGEST),), runner=RunnerSort.SQL)
    seen = desk.artifact(recipe=script)
    assert (seen.phase, seen.permanent) == (ArtifactPhase.FAILED, True)
    assert "no SQL runner in /nowhere" in seen.message


def test_a_python_program_is_told_where_its_jar_is(desk: Desk) -> None:
    python = Recipe(jars=(), script=(ScriptPart(text="a", sha256=DIGEST, name="a.py"),), runner=RunnerSort.PYTHON)
    missing = desk.artifact(recipe=python)
    assert "no Python runner in /nowhere" in missing.message
    recorded = python.digest([], 1)
    desk.flink.jars = [JarFile(id="7_x", name=jar_name("default", recorded))]
    for number, directory in enumerate(("/tmp/flink-web-1", "/tmp/flink-web-2")):
        desk.flink.config = {"web.tmpdir": directory}
        seen = desk.artifact(recorded, recipe=python, run=f"r{number}")
        assert (seen.phase, seen.jar_id) == (ArtifactPhase.READY, "7_x")
        assert seen.places == (f"{directory}/flink-web-upload/7_x",)
        desk.world.pass_time(READY_FOR + 1)


def test_what_a_python_program_needs_is_uploaded_beside_its_jar_once(desk: Desk) -> None:
    python = Recipe(jars=(), script=(), runner=RunnerSort.PYTHON)
    known, archive = python.digest([], 1), ScriptPart(uri="https://a/b.zip", sha256=DIGEST, name="data")
    desk.flink.jars = [JarFile(id="7_x", name=jar_name("default", known))]
    seen = desk.artifact(known, recipe=python, uploads=(archive,))
    assert (seen.phase, seen.jar_id, desk.uploads()) == (ArtifactPhase.READY, "7_x", 1)
    assert [place.rpartition("/")[2] for place in seen.places] == ["7_x", desk.flink.jars[-1].id]
    assert desk.flink.jars[-1].name == jar_name("default", DIGEST)
    again = desk.artifact(known, recipe=python, uploads=(archive,), key=OTHER)
    assert (again.places, desk.uploads()) == (seen.places, 1)
    desk.store.error = ArtifactInvalid("not-found", "jar: https://a/c.zip: 404")
    missing = desk.artifact(known, recipe=python, uploads=(replace(archive, sha256=NEWER),))
    assert (missing.phase, missing.permanent) == (ArtifactPhase.FAILED, True)
    assert missing.message == "python: https://a/c.zip: 404"


def test_a_jar_that_is_on_the_cluster_is_neither_fetched_nor_uploaded(desk: Desk) -> None:
    desk.flink.jars = [JarFile(id="7_x", name=jar_name("default", DIGEST))]
    assert desk.artifact(DIGEST).jar_id == "7_x"
    assert (desk.uploads(), desk.store.asked) == (0, [])
    assert desk.artifact(key=OTHER).jar_id == "7_x"
    assert (desk.uploads(), desk.store.asked) == (0, [None])


def test_the_jar_of_another_operator_is_not_used(desk: Desk) -> None:
    desk.flink.jars = [JarFile(id="7_x", name=jar_name("another", DIGEST))]
    assert desk.artifact(DIGEST).jar_id != "7_x"
    assert desk.uploads() == 1


def test_a_slow_artifact_is_not_waited_for(desk: Desk) -> None:
    desk.flink.hangs.clear()
    begun = desk.world.now()
    assert desk.artifact().phase is ArtifactPhase.WORKING
    assert desk.artifact().phase is ArtifactPhase.WORKING
    assert desk.world.now() - begun == pytest.approx(1.0)
    desk.flink.hangs.set()
    desk.world.pass_time(0.1)
    assert desk.woken == [KEY]
    assert desk.artifact().phase is ArtifactPhase.READY
    assert desk.uploads() == 1


def test_what_was_brought_is_believed_to_be_there_for_a_while(desk: Desk) -> None:
    desk.artifact()
    desk.world.pass_time(READY_FOR - 1)
    desk.artifact()
    assert len(desk.store.asked) == 1
    desk.flink.jars.clear()
    desk.world.pass_time(2)
    desk.artifact()
    assert (len(desk.store.asked), desk.uploads()) == (2, 2)


def test_another_run_gets_what_the_address_gives_by_then(desk: Desk) -> None:
    """A new jar was put there, and the run was changed to take it: what is remembered is the old one."""
    assert desk.artifact(run="r1").digest == DIGEST
    desk.store.content = NEWER
    assert desk.artifact(run="r1").digest == DIGEST
    assert desk.artifact(run="r2").digest == NEWER
    assert desk.artifact(NEWER, run="r3").digest == NEWER
    assert len(desk.store.asked) == 2


def test_a_pinned_content_is_the_one_that_is_brought(desk: Desk) -> None:
    desk.artifact()
    desk.store.content = NEWER
    assert desk.artifact(DIGEST).digest == DIGEST
    seen = desk.artifact("3" * 64)
    assert (seen.phase, seen.permanent, seen.other_content) == (ArtifactPhase.FAILED, True, True)


@table(
    ("error", "permanent", "message"),
    "a jar that is not there stays so",
    (ArtifactInvalid("not-found", "jar: 404"), True, "jar: 404"),
    "a time-out passes",
    (Transient("timeout", "jar: timed out"), False, "jar: timed out"),
    "a refusal for good stays so",
    (Rejected(413, "too large", permanent=True), True, "too large"),
    "a refusal for now passes",
    (Rejected(400, "no", permanent=False), False, "no"),
    "an error of the operator passes and is not shown",
    (RuntimeError("a secret"), False, "internal error: RuntimeError"),
)
def test_a_failure_is_an_outcome(
    desk: Desk, error: Exception, permanent: bool, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    desk.store.error = error
    with caplog.at_level(logging.CRITICAL, "flinkjob"):
        seen = desk.artifact()
    assert (seen.phase, seen.permanent, seen.message) == (ArtifactPhase.FAILED, permanent, message)


def test_a_failure_is_looked_at_again_with_the_next_attempt_or_after_a_while(desk: Desk) -> None:
    desk.store.error = ArtifactInvalid("not-found", "jar: 404")
    desk.artifact()
    desk.artifact()
    assert len(desk.store.asked) == 1
    desk.artifact(attempt=1)
    assert len(desk.store.asked) == 2
    desk.artifact(attempt=1, run="r2")
    assert len(desk.store.asked) == 3
    desk.world.pass_time(FAILED_FOR + 1)
    desk.artifact(attempt=1, run="r2")
    assert len(desk.store.asked) == 4


def test_another_wish_ends_the_fetch_in_flight(desk: Desk) -> None:
    desk.flink.hangs.clear()
    desk.artifact()
    assert desk.artifact(run="r2").phase is ArtifactPhase.WORKING
    assert desk.uploads() == 2
    desk.flink.hangs.set()
    desk.world.pass_time(0.1)
    assert desk.artifact(run="r2").phase is ArtifactPhase.READY
    assert desk.uploads() == 2


# run calls


def test_a_run_call_by_its_outcome(desk: Desk) -> None:
    assert desk.run_seen() == RunSeen()
    desk.flink.hangs.clear()
    desk.run()
    assert desk.run_seen().phase is RunPhase.WORKING
    desk.world.pass_time(3600)
    assert desk.run_seen().phase is RunPhase.WORKING
    desk.flink.hangs.set()
    desk.world.pass_time(0.1)
    assert desk.run_seen().phase is RunPhase.ACCEPTED
    assert desk.woken == [KEY]
    assert desk.passed == ["after:run"]


@pytest.mark.invariant(12)
def test_a_namespace_has_its_share_of_the_run_calls(desk: Desk) -> None:
    """The desk may send four at a time."""
    desk.flink.hangs.clear()
    keys = [("ns", "1"), ("ns", "2"), ("ns", "3"), ("other", "4"), ("third", "5")]

    async def send(keys: list[Key], attempt: int = 0) -> None:
        for key in keys:
            request = RunRequest(job_id="a" * 32)
            desk.tasks.run(key, RunJob(url=URL, jar_id="j", attempt=attempt, request=request))

    def queued() -> list[bool]:
        return [desk.tasks.run_seen(key, "a" * 32, 0).queued for key in keys]

    desk.world.run(send(keys))
    desk.world.pass_time(0.1)
    assert queued() == [False, False, True, False, False]
    assert len(desk.flink.sent) == 4
    desk.world.run(send(keys[2:3], attempt=1))
    desk.world.pass_time(0.1)
    assert len(desk.flink.sent) == 4
    desk.tasks.forget(keys[0])
    desk.world.pass_time(0.1)
    assert len(desk.flink.sent) == 5
    desk.flink.hangs.set()
    desk.world.pass_time(0.1)
    assert not desk.tasks.run_seen(keys[2], "a" * 32, 1).queued
    assert desk.tasks.run_seen(keys[2], "a" * 32, 1).phase is RunPhase.ACCEPTED


def test_python_programs_begin_one_after_the_other_on_a_cluster(desk: Desk) -> None:
    """One that hangs holds up the others only for a while, and those of other clusters and sorts not at all."""
    desk.flink.hangs.clear()
    keys = [("ns", "1"), ("other", "2"), ("third", "3")]

    async def send(key: Key, url: str = URL, entry_class: str | None = PYTHON_ENTRY_CLASS) -> None:
        request = RunRequest(job_id="a" * 32, entry_class=entry_class)
        desk.tasks.run(key, RunJob(url=url, jar_id="j", attempt=0, request=request))

    def sent() -> int:
        desk.world.pass_time(0.1)
        return len(desk.flink.sent)

    for key in keys[:2]:
        desk.world.run(send(key))
    assert sent() == 1
    assert [desk.tasks.run_seen(key, "a" * 32, 0).queued for key in keys[:2]] == [False, True]
    desk.world.run(send(keys[2], entry_class=None))
    assert sent() == 2
    desk.world.pass_time(PYTHON_BEGINS)
    assert sent() == 3
    desk.world.run(send(("fourth", "4"), url="http://elsewhere.example:8081"))
    assert sent() == 4
    desk.flink.hangs.set()
    desk.world.pass_time(2 * PYTHON_BEGINS)
    desk.world.run(send(keys[0]))
    assert sent() == 5, "and is free again"


@table(
    ("error", "phase", "rejection"),
    "main threw: refused",
    (SubmitRejected(400, SubmitRejection.MAIN_THREW, "boom"), RunPhase.REJECTED, SubmitRejection.MAIN_THREW),
    "a duplicate: refused",
    (SubmitRejected(400, SubmitRejection.DUPLICATE, "again"), RunPhase.REJECTED, SubmitRejection.DUPLICATE),
    "cut off: not clear",
    (Unreachable("cut", "cut off"), RunPhase.UNCLEAR, None),
    "an error of the server: not clear",
    (Rejected(500, "html"), RunPhase.UNCLEAR, None),
    "an error of the operator: not clear",
    (RuntimeError("x"), RunPhase.UNCLEAR, None),
)
def test_what_is_no_clear_answer_says_nothing(
    desk: Desk,
    error: Exception,
    phase: RunPhase,
    rejection: SubmitRejection | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk.flink.errors["run"] = error
    with caplog.at_level(logging.CRITICAL, "flinkjob"):
        desk.run()
        desk.world.pass_time(0.1)
    seen = desk.run_seen()
    assert (seen.phase, seen.rejection) == (phase, rejection)


def test_an_outcome_belongs_to_one_attempt_of_one_job(desk: Desk) -> None:
    desk.run(attempt=1)
    desk.world.pass_time(0.1)
    assert desk.run_seen(1).phase is RunPhase.ACCEPTED
    assert desk.run_seen(0) == RunSeen()
    assert desk.run_seen(2) == RunSeen()
    assert desk.run_seen(1, "b" * 32) == RunSeen()


def test_a_repeat_takes_the_place_of_a_call_in_flight(desk: Desk) -> None:
    desk.flink.hangs.clear()
    desk.run(0)
    desk.world.pass_time(0.1)
    desk.run(1)
    desk.flink.hangs.set()
    desk.world.pass_time(0.1)
    assert desk.run_seen(1).phase is RunPhase.ACCEPTED
    assert desk.woken == [KEY]


def test_a_jar_that_is_not_there_is_brought_again(desk: Desk) -> None:
    desk.artifact()
    desk.flink.jars.clear()
    desk.flink.errors["run"] = SubmitRejected(500, SubmitRejection.JAR_NOT_FOUND, "no jar")
    desk.run()
    desk.world.pass_time(0.1)
    assert desk.artifact().phase is ArtifactPhase.READY
    assert desk.uploads() == 2


# job graphs


def _plan(desk: Desk, job_id: str = "a" * 32) -> JobGraphPhase:
    request = JobGraphRequest(url=URL, jar_id="j", request=RunRequest(job_id=job_id))
    return desk.world.run(desk.tasks.job_graph(KEY, request)).phase


def test_a_program_is_compiled_once(desk: Desk) -> None:
    assert [_plan(desk), _plan(desk)] == [JobGraphPhase.COMPILED] * 2
    assert desk.flink.calls.count("plan") == 1
    assert _plan(desk, "b" * 32) is JobGraphPhase.COMPILED
    assert desk.flink.calls.count("plan") == 2


@pytest.mark.threat("leaked-secrets")
def test_what_was_sent_is_not_kept(desk: Desk) -> None:
    class Sent(RunRequest):
        """One whose end can be seen."""

    sent = Sent(job_id="a" * 32, args=("--password", "hunter2"))
    kept = weakref.ref(sent)

    async def send(request: RunRequest) -> None:
        desk.tasks.run(KEY, RunJob(url=URL, jar_id="j", attempt=0, request=request))
        await desk.tasks.job_graph(KEY, JobGraphRequest(url=URL, jar_id="j", request=request))

    desk.world.run(send(sent))
    desk.world.pass_time(1)
    del sent
    desk.flink.sent.clear()
    gc.collect()
    assert kept() is None
    assert desk.run_seen().phase is RunPhase.ACCEPTED


def test_of_another_request_another_job_graph_is_wanted() -> None:
    said = JobGraphRequest(url=URL, jar_id="j", request=REQUEST)
    others = (
        {"args": ("a",)},
        {"flink_configuration": {"a": "b"}},
        {"entry_class": "a.B"},
        {"parallelism": 7},
        {"savepoint_path": "file:/s"},
        {"allow_non_restored_state": True},
    )
    digests = {replace(said, request=replace(REQUEST, **fields)).digest for fields in others}
    digests |= {said.digest, replace(said, jar_id="k").digest, replace(said, url="http://other").digest}
    assert len(digests) == len(others) + 3
    assert replace(said, request=replace(REQUEST, flink_configuration={})).digest == said.digest


@table(
    ("error", "phase", "kept"),
    "refused: after minutes",
    (SubmitRejected(400, SubmitRejection.ENTRY_CLASS, "no class"), JobGraphPhase.REFUSED, FAILED_FOR),
    "it met another Python program: asked again soon",
    (SubmitRejected(400, SubmitRejection.PYTHON_BUSY, "another"), JobGraphPhase.UNCLEAR, 1.0),
    "cut off: at once",
    (Unreachable("cut", "cut off"), JobGraphPhase.UNCLEAR, 1.0),
)
def test_a_program_that_was_not_compiled_is_tried_again(
    desk: Desk, error: Exception, phase: JobGraphPhase, kept: float
) -> None:
    desk.flink.errors["plan"] = error
    assert _plan(desk) is phase
    desk.world.pass_time(kept - 0.5)
    assert _plan(desk) is phase
    desk.world.pass_time(1)
    assert _plan(desk) is JobGraphPhase.COMPILED


def test_a_main_that_never_returns_holds_up_nobody(desk: Desk) -> None:
    desk.flink.hangs.clear()
    begun = desk.world.now()
    assert _plan(desk) is JobGraphPhase.WORKING
    assert desk.world.now() - begun == pytest.approx(0.5)


# disposals


@table(
    ("results", "phase"),
    "completed: done",
    ([TriggerResult(state=TriggerState.COMPLETED)], DisposalPhase.DONE),
    "the snapshot is gone already: done",
    ([TriggerResult(state=TriggerState.COMPLETED, missing=True)], DisposalPhase.DONE),
    "failed for another reason: failed",
    ([TriggerResult(state=TriggerState.FAILED, failure="denied")], DisposalPhase.FAILED),
    "forgotten: failed",
    ([TriggerResult(state=TriggerState.FORGOTTEN)], DisposalPhase.FAILED),
)
def test_a_disposal_by_its_outcome(desk: Desk, results: list[TriggerResult], phase: DisposalPhase) -> None:
    desk.flink.results = results
    seen = desk.world.run(desk.tasks.dispose(KEY, (URL,), "file:/s"))
    assert seen.phase is phase
    assert desk.passed == ["before:dispose", "after:dispose"]


@pytest.mark.parametrize(
    ("place", "phase"), [("file:/s", DisposalPhase.FAILED), ("s3://b/s", DisposalPhase.DONE)], ids=["local", "store"]
)
def test_the_next_cluster_disposes_where_the_first_cannot(desk: Desk, place: str, phase: DisposalPhase) -> None:
    """That another machine has nothing at a local path says nothing."""
    desk.flink.errors["dispose"] = Unreachable("cut", "cut")
    desk.flink.results = [TriggerResult(state=TriggerState.COMPLETED, missing=True)]
    seen = desk.world.run(desk.tasks.dispose(KEY, (URL, "http://other.example:8081"), place))
    assert seen.phase is phase
    assert ("http://flink.example:8081: cut" in seen.message) == (phase is DisposalPhase.FAILED)
    desk.flink.results = [TriggerResult(state=TriggerState.COMPLETED)]
    assert desk.world.run(desk.tasks.dispose(KEY, (URL,), place)).phase is DisposalPhase.DONE
    assert desk.world.run(desk.tasks.dispose(KEY, (), place)).phase is DisposalPhase.FAILED


def test_a_slow_disposal_is_not_waited_for_and_sent_once(desk: Desk) -> None:
    for _ in range(3):
        assert desk.world.run(desk.tasks.dispose(KEY, (URL,), "file:/s")).phase is DisposalPhase.WORKING
    assert desk.flink.calls.count("dispose") == 1
    desk.flink.errors["disposal"] = Unreachable("cut", "cut")
    desk.world.pass_time(1)
    assert desk.world.run(desk.tasks.dispose(KEY, (URL,), "file:/s")).phase is DisposalPhase.FAILED
    assert desk.world.run(desk.tasks.dispose(KEY, (URL,), "file:/s")).phase is DisposalPhase.WORKING
    assert desk.flink.calls.count("dispose") == 2


# ends


def test_a_key_that_is_gone_leaves_nothing(desk: Desk) -> None:
    desk.flink.hangs.clear()
    desk.artifact()
    desk.run()
    _plan(desk)
    desk.tasks.forget(KEY)
    desk.world.pass_time(0.1)
    assert desk.run_seen() == RunSeen()
    assert desk.woken == []
    desk.tasks.forget(OTHER)


def test_an_end_cancels_what_is_in_flight(desk: Desk) -> None:
    desk.flink.hangs.clear()
    desk.artifact()
    desk.run()
    _plan(desk)
    desk.world.run(desk.tasks.dispose(KEY, (URL,), "file:/s"))
    desk.world.run(asyncio.wait_for(desk.tasks.close(), 1))
