"""A round in one pure call: what is asked about which object, and all that is to be carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.api.constants import FINALIZER
from flinkjob.api.enums import RunResult, SavepointErrorCode, SavepointPhase
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.api.sync import SyncStatus
from flinkjob.core.copies.savepoint_copy import CopyPhase, CopyProgress, CopySeen
from flinkjob.core.facts import (
    Accessible,
    Claims,
    Disposal,
    Fact,
    InUse,
    JarOfOthers,
    JobsOfNamespace,
    Named,
    RecordedElsewhere,
)
from flinkjob.core.flinkmodel import TriggerState
from flinkjob.core.model import SavepointDecision
from flinkjob.core.round import decide_round, is_over
from flinkjob.core.roundmodel import Look, Question, Round, RoundInput, SavepointRound, Watch
from flinkjob.core.seen import DisposalPhase, DisposalSeen
from tests.support.inputs import (
    IDENTITY,
    JAR,
    NAMESPACE,
    NOW,
    OWNER,
    RUNNING,
    UNKNOWN,
    URL,
    World,
    acts,
    ago,
    chk,
    cluster,
    deleted,
    directory,
    ended,
    error_of,
    flink_id,
    job,
    operation,
    present,
    run,
    savepoint,
    seen,
    spec,
    stats,
    triggered,
)
from tests.support.tables import table

NOBODY = seen(UNKNOWN, cluster=cluster(url="", reachable=False))
FOREIGN = "http://foreign.example:8081"
OTHERS_JOB = "b" * 32
TARGET: dict[str, Any] = {"jobRef": None, "target": {"cluster": {"url": FOREIGN}, "jobId": OTHERS_JOB}}
HELD: dict[str, Any] = {"finalizers": [FINALIZER]}
DELETE: dict[str, Any] = {"deletion": {"policy": "Delete"}}
RESTS = FlinkSavepointStatus(phase=SavepointPhase.COMPLETED, location="s3://b/old", end_time=ago(3600))
ASKED = FlinkSavepointStatus(
    phase=SavepointPhase.IN_PROGRESS,
    trigger_id="t",
    directory=directory(),
    attempt=1,
    job_id=flink_id(),
    submission=1,
    start_time=ago(10),
    cluster_url=URL,
)


@dataclass
class Outside:
    """What is answered to questions, and which were asked."""

    world: World = field(default_factory=lambda: seen(present(), accessible=frozenset({URL})))
    at_target: World = field(default_factory=lambda: seen(present(number=2), cluster=cluster(url=FOREIGN)))
    closed: frozenset[str] = frozenset()
    jobs: tuple[FlinkJob, ...] = ()
    jars: frozenset[str] = frozenset()
    copy: CopySeen = field(default_factory=lambda: CopySeen(phase=CopyPhase.WORKING))
    fails: Mapping[str, Exception] = field(default_factory=dict)
    asked: list[tuple[str, Fact[Any]]] = field(default_factory=list)

    def of(self, kind: type[Fact[Any]]) -> list[Any]:
        """The questions of this kind."""
        return [fact for _, fact in self.asked if isinstance(fact, kind)]

    def answer(self, given: RoundInput, question: Question) -> RoundInput:
        """With the answer, as the reconciler has it found."""
        about, fact = question.about, question.fact
        self.asked.append((about, fact))
        if about in self.fails:
            return given.failing(question, self.fails[about])
        match fact:
            case Look(target=None) if not about:
                return given.answering(question, self.world if given.job is not None else NOBODY)
            case Look(target=None):
                return given.answering(question, given.of(about))
            case Look():
                return given.answering(question, self.at_target)
        known = given.of(about)
        assert isinstance(known, World)
        known = (
            replace(known, answers=known.answers.having(fact, self._here(fact)))
            if fact.where.name == "HERE"
            else known.answering(fact)
        )
        return given.answering(question, known)

    def _here(self, fact: Fact[Any]) -> Any:
        match fact:
            case Accessible(addresses, most):
                urls = dict.fromkeys(one.url for one in addresses)
                return tuple(url for url in urls if url and url not in self.closed)[:most]
            case JobsOfNamespace():
                return self.jobs
            case JarOfOthers(digest):
                return digest in self.jars
            case Named():
                return None
            case CopyProgress():
                return self.copy
            case Claims():
                return ()
            case InUse():
                return frozenset()
            case RecordedElsewhere():
                return False
        raise AssertionError(fact)


def work(
    about: FlinkJob | None, *savepoints: FlinkSavepoint, outside: Outside | None = None, **fields: Any
) -> tuple[Round, Outside]:
    """All that is decided about these objects, and what was asked for that."""
    outside = outside or Outside()
    given = RoundInput(identity=IDENTITY, now=NOW, job=about, savepoints=savepoints, unmarked=True, **fields)
    for _ in range(50):
        answer = decide_round(given)
        if isinstance(answer, Round):
            return answer, outside
        given = outside.answer(given, answer)
    raise AssertionError("the round asks without end")


def of(decided: Round, name: str = "sp") -> SavepointRound:
    """What is decided for the FlinkSavepoint of this name."""
    (found,) = (one for one in decided.savepoints if one.savepoint.meta.name == name)
    return found


def decision_of(decided: Round, name: str = "sp") -> SavepointDecision:
    """The same where nothing went wrong."""
    found = of(decided, name)
    assert found.error is None
    assert found.decision is not None
    return found.decision


# several FlinkSavepoints


@pytest.mark.parametrize("mode", ["Stop", "Cancel", "Trigger"])
def test_two_of_one_target_do_not_begin_in_one_round(mode: str) -> None:
    decided, _ = work(None, savepoint("a", mode=mode, **TARGET), savepoint("b", mode=mode, **TARGET))
    assert [len(acts(decision_of(decided, name))) for name in ("a", "b")] == [1, 0]
    assert decision_of(decided, "b").status.phase is SavepointPhase.PENDING


def test_each_sees_what_the_job_is_about_to_do() -> None:
    """A stop that begins in this round is not shown as begun: it is not stored yet."""
    stop = savepoint("sp", FlinkSavepointStatus(phase=SavepointPhase.PENDING), mode="Stop", directory="file:///sp")
    decided, _ = work(job(status=RUNNING), stop)
    assert decided.job is not None
    assert decided.job.decision.status.operation is not None
    assert decision_of(decided).status.phase is SavepointPhase.PENDING


def test_the_end_that_the_job_forgets_now_is_known_to_the_savepoint_of_that_operation() -> None:
    status = replace(RUNNING, operation=operation(by="FlinkSavepoint/sp"))
    failed = triggered(TriggerState.FAILED, failure="disk full")
    decided, _ = work(
        job(status=status), savepoint(mode="Stop", backoffLimit=0), outside=Outside(seen(present(), trigger=failed))
    )
    assert decided.job is not None
    assert decided.job.decision.status.operation is None
    assert error_of(decision_of(decided)) == SavepointErrorCode.SAVEPOINT_FAILED


LAST_DAY = replace(RESTS, end_time=datetime(9999, 12, 31, tzinfo=UTC))
"""Nothing is later: a time to live cannot be added."""


def test_what_is_wrong_with_one_ends_the_round_of_no_other() -> None:
    spoiled = savepoint("a", LAST_DAY, ttlSecondsAfterFinished=2_000_000_000)
    decided, _ = work(job(status=RUNNING), spoiled, savepoint("b", ASKED), outside=in_progress())
    assert isinstance(of(decided, "a").error, OverflowError)
    assert of(decided, "a").copies, "a copy of it is left alone too"
    assert decision_of(decided, "b").status.phase is SavepointPhase.IN_PROGRESS
    assert decided.job is not None


def in_progress(**fields: Any) -> Outside:
    return Outside(seen(present(), trigger=triggered(TriggerState.IN_PROGRESS), accessible=frozenset({URL})), **fields)


def test_a_question_that_cannot_be_answered_ends_the_round_of_no_other() -> None:
    wrong = ValueError("a bug")
    decided, _ = work(
        job(status=RUNNING), savepoint("a", ASKED), savepoint("b", ASKED), outside=in_progress(fails={"u-a": wrong})
    )
    assert of(decided, "a").error is wrong
    assert decision_of(decided, "b").status.phase is SavepointPhase.IN_PROGRESS


def test_those_that_were_refused_are_left_alone_for_a_while() -> None:
    decided, outside = work(
        job(status=RUNNING),
        savepoint("a", ASKED),
        savepoint("b"),
        outside=in_progress(),
        paused={"u-a": 7.0, "u-1": 9.0},
        refused=frozenset({"u-a", "u-1"}),
    )
    assert [one.savepoint.meta.name for one in decided.savepoints] == ["b"]
    assert (decided.job, decided.requeue_after) == (None, 7.0)
    assert "u-a" not in {about for about, _ in outside.asked}


def test_those_that_were_missed_come_first() -> None:
    three = [savepoint(name, RESTS) for name in ("a", "b", "c")]
    decided, _ = work(job(status=RUNNING), *three, missed=frozenset({"u-c"}))
    assert [one.savepoint.meta.name for one in decided.savepoints] == ["c", "a", "b"]


def test_only_what_has_to_do_with_its_cluster_is_looked_at() -> None:
    outside = in_progress()
    work(job(status=RUNNING), savepoint("rests", RESTS), savepoint("asked", ASKED), outside=outside)
    assert [about for about, fact in outside.asked if isinstance(fact, Look)] == ["", "u-asked"]


def test_what_is_decided_is_not_decided_again() -> None:
    given = RoundInput(
        identity=IDENTITY,
        now=NOW,
        job=job(status=RUNNING),
        savepoints=(savepoint("a", RESTS), savepoint("b", ASKED)),
    )
    outside, question = in_progress(), decide_round(given)
    while isinstance(question, Question) and question.about != "u-b":
        given, question = (after := outside.answer(given, question)), decide_round(after)
    assert isinstance(question, Question)
    assert question.decided.job is not None
    assert [one.savepoint.meta.name for one in question.decided.savepoints] == ["a"]


def test_an_answer_for_one_is_no_answer_for_another() -> None:
    """Each is asked for anew: between two answers the job may have changed."""
    outside = in_progress()
    work(job(status=RUNNING), savepoint("a", ASKED), savepoint("b", ASKED), outside=outside)
    asked = [about for about, fact in outside.asked if type(fact).__name__ == "Triggered"]
    assert asked == ["u-a", "u-b"]


# data that are deleted


@pytest.mark.invariant(7)
def test_the_data_stay_until_the_end_of_a_newer_savepoint_is_stored() -> None:
    """It completes in this very round: were its status refused, nothing would say where the newest state is."""
    stored = replace(RESTS, location=f"{directory()}/sp-1", job_id=flink_id(), checkpoint_id=4, deleting=True)
    newer = replace(ASKED, directory=directory(attempt=2), attempt=2)
    done = triggered(TriggerState.COMPLETED, f"{directory(attempt=2)}/sp-2", checkpoint_id=5)
    world = seen(present(), trigger=done, checkpoints=stats(), disposal=DisposalSeen(phase=DisposalPhase.DONE))
    old = savepoint("old", stored, meta=HELD | deleted(uid="u-old", name="old", namespace=NAMESPACE), **DELETE)
    decided, outside = work(job(status=RUNNING), savepoint("new", newer), old, outside=Outside(world))
    assert decision_of(decided, "new").status.phase is SavepointPhase.COMPLETED
    assert outside.of(Disposal) == []
    complete = savepoint("new", decision_of(decided, "new").status)
    _, later = work(job(status=RUNNING), complete, old, outside=Outside(world))
    assert len(later.of(Disposal)) == 1


def disposed(location: str, **fields: Any) -> tuple[Disposal, ...]:
    """What is asked to dispose of data that this place made."""
    status = replace(RESTS, location=location, cluster_url="http://made-it:8081", deleting=True)
    meta = HELD | deleted(uid="u-sp", name="sp", namespace=NAMESPACE)
    others = tuple(
        job(spec(cluster={"url": f"http://other-{number}.example:8081"}), name=f"other-{number}") for number in range(9)
    )
    done = DisposalSeen(phase=DisposalPhase.DONE)
    outside = Outside(seen(present(), disposal=done, accessible=frozenset({URL})), jobs=others, **fields)
    work(job(status=RUNNING), savepoint("sp", status, meta=meta, **DELETE), outside=outside)
    return tuple(outside.of(Disposal))


def test_who_made_the_data_disposes_of_them_then_the_job_s_cluster_then_others_of_the_namespace() -> None:
    (asked,) = disposed(directory().replace("file:///", "s3://b/") + "/sp-1")
    assert asked.urls == (
        "http://made-it:8081",
        URL,
        "http://other-0.example:8081",
        "http://other-1.example:8081",
        "http://other-2.example:8081",
    )


def test_what_is_on_a_local_path_is_left_to_those_who_see_it() -> None:
    (asked,) = disposed(f"{directory()}/sp-1")
    assert asked.urls == ("http://made-it:8081", URL)


@pytest.mark.threat("foreign-service")
def test_nobody_disposes_of_data_who_may_not_be_connected_to() -> None:
    (asked,) = disposed(f"{directory()}/sp-1", closed=frozenset({"http://made-it:8081"}))
    assert asked.urls == (URL,)


# what can wait


@table(
    ("status", "state", "waits"),
    "a savepoint that is asked for",
    (FlinkSavepointStatus(), TriggerState.IN_PROGRESS, True),
    "the end of one, which the FlinkJob may forget in this round",
    (ASKED, TriggerState.COMPLETED, False),
    "one that goes on",
    (ASKED, TriggerState.IN_PROGRESS, False),
)
def test_what_can_wait_for_the_next_round(status: FlinkSavepointStatus, state: TriggerState, waits: bool) -> None:
    """Where calls are slow, a round ends after some of them."""
    world = seen(present(), trigger=triggered(state, f"{directory()}/sp-1"), accessible=frozenset({URL}))
    decided, _ = work(job(status=RUNNING), savepoint("sp", status), outside=Outside(world))
    assert of(decided).calls_flink is waits


# what is watched


def watched(decided: Round) -> Watch | None:
    assert decided.job is not None
    return decided.job.watch


def test_a_job_at_rest_is_watched_slowly_and_asks_nothing_of_this_process() -> None:
    decided, outside = work(job(status=RUNNING), savepoint("rests", RESTS))
    assert watched(decided) == Watch(url=URL, prefixes=frozenset(OWNER.prefixes), moving=False)
    assert [fact for _, fact in outside.asked if fact.where.name == "HERE"] == [Look()]


def test_a_job_that_moves_is_watched_fast() -> None:
    status = replace(RUNNING, operation=operation())
    watch = watched(work(job(status=status), outside=in_progress())[0])
    assert watch is not None
    assert watch.moving


def test_an_adopted_job_is_watched_by_its_own_id() -> None:
    adopted = replace(RUNNING, submission=run(job_id="c" * 32))
    watch = watched(work(job(status=adopted))[0])
    assert watch is not None
    assert watch.prefixes == {*OWNER.prefixes, "c" * 16}


def test_no_cluster_is_watched_that_may_not_be_connected_to() -> None:
    outside = Outside(seen(present()), closed=frozenset({URL}))
    assert watched(work(job(status=RUNNING), outside=outside)[0]) is None


@table(
    ("fields", "status", "watch"),
    "a snapshot of a target in progress has its cluster polled fast",
    (TARGET, None, Watch(url=FOREIGN, prefixes=frozenset({OTHERS_JOB[:16]}), moving=True)),
    "one that rests is not watched",
    (TARGET, RESTS, None),
    "one of a FlinkJob is watched with it",
    ({}, ASKED, None),
)
def test_what_a_savepoint_watches(
    fields: dict[str, Any], status: FlinkSavepointStatus | None, watch: Watch | None
) -> None:
    about = None if fields else job(status=RUNNING)
    decided, _ = work(about, savepoint("sp", status, **fields), outside=in_progress())
    assert of(decided).watch == watch


@table(
    ("about", "savepoints", "over"),
    "nothing is left",
    (None, [], True),
    "a target's snapshot is in progress",
    (None, [savepoint("a", RESTS), savepoint("b", ASKED)], False),
    "all rest",
    (None, [savepoint("a", RESTS)], True),
    "one is being deleted, and others hold it",
    (None, [savepoint("a", RESTS, meta=deleted(name="a", finalizers=["other/holds"]))], False),
    "the FlinkJob is there",
    (job(status=RUNNING), [], False),
)
def test_when_a_key_is_over(about: FlinkJob | None, savepoints: list[FlinkSavepoint], over: bool) -> None:
    assert is_over(about, savepoints, NOW) is over


def test_of_a_key_without_objects_nothing_is_asked() -> None:
    decided, outside = work(None)
    assert (decided, outside.asked) == (Round(), [])


# jars


def discards(**fields: Any) -> list[str]:
    gone = FlinkJobStatus(submission=ended(RunResult.STOPPED, "file:/s"))
    decided, _ = work(job(status=gone, **deleted()), outside=Outside(**fields))
    assert decided.job is not None
    return acts(decided.job.decision)


@table(
    ("fields", "actions"),
    "a jar that nobody needs is removed",
    ({}, ["DiscardArtifact", "RemoveFinalizer"]),
    "one that another FlinkJob was started from stays",
    ({"jars": frozenset({JAR})}, ["RemoveFinalizer"]),
    "one on a cluster that may not be connected to stays",
    ({"world": seen(present()), "closed": frozenset({URL})}, ["RemoveFinalizer"]),
)
def test_which_jars_are_removed(fields: dict[str, Any], actions: list[str]) -> None:
    assert sorted(discards(**fields)) == sorted(actions)


# copies


COPIED: dict[str, Any] = {"syncTo": {"uri": "s3://b/copies"}}
BEGUN = replace(RESTS, phase=SavepointPhase.SYNCING, sync=SyncStatus(start_time=ago(60), observed_time=ago(60)))


@table(
    ("status", "copy", "copies", "copied"),
    "a copy that has its intent goes on",
    (BEGUN, CopyPhase.WORKING, True, False),
    "the outcome of one that has ended is kept until it is stored",
    (BEGUN, CopyPhase.DONE, True, True),
    "so is a failure",
    (BEGUN, CopyPhase.FAILED, True, True),
    "one without an intent is not begun",
    (RESTS, CopyPhase.DONE, False, False),
)
def test_copies(status: FlinkSavepointStatus, copy: CopyPhase, copies: bool, copied: bool) -> None:
    outside = Outside(copy=CopySeen(phase=copy))
    decided, _ = work(job(status=RUNNING), savepoint("sp", status, **COPIED), outside=outside)
    assert (of(decided).copies, of(decided).copied) == (copies, copied)
    assert len(outside.of(CopyProgress)) == copies


def test_a_copy_behind_another_is_not_asked_for() -> None:
    first, second = replace(BEGUN, end_time=ago(900)), replace(BEGUN, end_time=ago(600))
    outside = Outside()
    work(job(status=RUNNING), savepoint("b", second, **COPIED), savepoint("a", first, **COPIED), outside=outside)
    assert [asked.wanted.uid for asked in outside.of(CopyProgress)] == ["u-a"]


# whose job it is


@table(
    ("job_id", "asked"),
    "the id of the run shows that it is this one's",
    (None, []),
    "an adopted job may be claimed by others",
    ("c" * 32, [Claims("c" * 32, by_others=True)]),
)
def test_who_else_claims_the_job_is_asked_only_where_its_id_does_not_say(job_id: str | None, asked: list[Any]) -> None:
    status = replace(RUNNING, submission=run(job_id=job_id or flink_id()))
    assert work(job(status=status))[1].of(Claims) == asked


@table(
    ("fields", "asked"),
    "a retention with nothing beyond it asks for no place",
    ({"savepoints": {"interval": "1h", "retention": {"minCount": 1, "minAge": "1h"}}}, (0, 0)),
    "a FlinkSavepoint that is named is looked for",
    ({"initialState": {"strategy": "Custom", "savepointRef": {"name": "first"}}}, (0, 1)),
)
def test_what_is_looked_for_among_other_objects(fields: dict[str, Any], asked: tuple[int, int]) -> None:
    _, outside = work(job(spec(**fields), status=RUNNING), outside=Outside(seen(present(), checkpoints=stats(chk(3)))))
    assert (len(outside.of(InUse)), len(outside.of(Named))) == asked


# what cannot be read


def test_a_job_that_cannot_be_read_is_reported_and_nothing_is_asked() -> None:
    about = replace(job(status=RUNNING), status_error="status.phase: Dancing")
    decided, outside = work(about, savepoint("a", ASKED), savepoint("b", RESTS, meta=HELD | deleted(name="b")))
    assert decided.unreadable == (about,)
    assert decided.job is None
    assert of(decided, "a").decision is None
    assert of(decided, "a").copies, "its copy goes on"
    assert acts(decision_of(decided, "b")) == ["RemoveFinalizer"]
    assert outside.asked == []


def test_a_job_that_cannot_be_read_and_is_deleted_is_mended() -> None:
    about = replace(job(status=RUNNING, **deleted()), status_error="status.phase: Dancing")
    decided, _ = work(about)
    assert decided.unreadable == ()
    assert decided.job is not None
    assert not decided.job.follows
    assert decided.job.decision.status.submission is not None


def test_a_savepoint_that_cannot_be_read_is_reported_and_holds_up_no_other() -> None:
    spoiled = replace(savepoint("a", ASKED), status_error="status.phase: Dancing")
    decided, outside = work(job(status=RUNNING), spoiled, savepoint("b", ASKED), outside=in_progress())
    assert decided.unreadable == (spoiled,)
    assert "u-a" not in {about for about, _ in outside.asked}
    assert decision_of(decided, "b").status.phase is SavepointPhase.IN_PROGRESS
