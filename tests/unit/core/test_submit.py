"""Starting a run: intent, artifact, run call; and a run whose call got no clear answer."""

from dataclasses import replace
from typing import Any

import pytest

from flinkjob.api.flinkjob_status import FlinkJobStatus, Plan
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.api.words import RunResult, SavepointPhase
from flinkjob.core.actions import RecordRevision, RunJob
from flinkjob.core.errors import SubmitRejection
from flinkjob.core.flinkmodel import FlinkJobState
from flinkjob.core.identity import GLOBAL_PARAMETERS, job_id
from flinkjob.core.model import (
    ArtifactPhase,
    ArtifactSeen,
    JobDecision,
    JobSeen,
    Left,
    Listing,
    Needs,
    Presence,
    RunPhase,
    RunSeen,
)
from tests.support.inputs import (
    CHECKPOINTS,
    NOW,
    OWNER,
    READY,
    UID,
    absent,
    acts,
    ago,
    cluster,
    conditions,
    decide,
    digest,
    flink_id,
    job,
    overview,
    present,
    run,
    savepoint,
    seen,
    silent,
    spec,
    told,
    unseen,
)

REJECTED = RunPhase.REJECTED
CHECKPOINTING = {
    "interval": "1500ms",
    "mode": "AtLeastOnce",
    "directory": "file:///c",
    "retention": "DeleteOnCancellation",
}


def _run(decision: JobDecision) -> RunJob:
    return next(action for action in decision.actions if isinstance(action, RunJob))


def _plan(decision: JobDecision) -> tuple[str | None, str | None]:
    plan = decision.status.plan
    return (plan.step, plan.reason) if plan is not None else (None, None)


def _refused(kind: SubmitRejection, message: str = "no") -> RunSeen:
    return RunSeen(phase=REJECTED, rejection=kind, message=message)


def _unseen(decision_plan: Plan | None = None, **fields: Any) -> FlinkJobStatus:
    return FlinkJobStatus(submission=unseen(**fields), plan=decision_plan)


# the first run


def test_the_intent_of_a_first_run() -> None:
    decision = decide(job(held=False), seen())
    submission = decision.status.submission
    assert submission is not None
    assert (submission.number, submission.job_id) == (1, job_id(OWNER, UID, 1))
    assert (submission.incarnation, submission.run_digest, submission.artifact_digest) == (
        "jm-1",
        digest(),
        READY.digest,
    )
    assert acts(decision) == ["AddFinalizer", "RecordRevision", "RunJob"]
    assert _run(decision).request.job_id == submission.job_id
    assert _run(decision).request.savepoint_path is None
    assert decision.status.phase == "Submitting"
    assert conditions(decision) == "Reconciling, health unknown"
    assert told(decision) == ["Submitted"]
    revision = next(action for action in decision.actions if isinstance(action, RecordRevision))
    assert revision.name == submission.revision == decision.status.current_revision


def test_the_run_call_says_what_the_spec_says() -> None:
    wanted = spec(
        args=["--rate", "5"],
        jobName="Clicks",
        parallelism=3,
        flinkConfiguration={"table.exec.mini-batch": "true", GLOBAL_PARAMETERS: "mine:1"},
        checkpoint={
            "interval": "1500ms",
            "mode": "AtLeastOnce",
            "directory": "file:///c",
            "retention": "DeleteOnCancellation",
        },
        restore={"allowNonRestoredState": True},
        jar={"uri": "https://jars.example/clicks.jar", "entryClass": "a.B"},
    )
    request = _run(decide(job(wanted, held=False), seen())).request
    assert (request.entry_class, request.args, request.parallelism) == ("a.B", ("--rate", "5"), 3)
    assert request.allow_non_restored_state
    configuration = dict(request.flink_configuration)
    parameters = configuration.pop(GLOBAL_PARAMETERS)
    assert parameters.startswith(f"mine:1,flinkjob.dev/owner:{OWNER},flinkjob.dev/uid:{UID},flinkjob.dev/submission:1,")
    assert configuration == {
        "pipeline.name": "Clicks",
        "execution.checkpointing.interval": "1500 ms",
        "execution.checkpointing.mode": "AT_LEAST_ONCE",
        "execution.checkpointing.dir": "file:///c",
        "execution.checkpointing.externalized-checkpoint-retention": "DELETE_ON_CANCELLATION",
        "table.exec.mini-batch": "true",
    }


@pytest.mark.parametrize(
    ("artifact", "step", "seen_conditions"),
    [
        (ArtifactSeen(phase=ArtifactPhase.WORKING), ("Fetch", "FetchingArtifact"), "Reconciling, health unknown"),
        (
            ArtifactSeen(phase=ArtifactPhase.FAILED, message="timeout"),
            ("Fetch", "ArtifactFailed"),
            "Reconciling, unhealthy",
        ),
        (
            ArtifactSeen(phase=ArtifactPhase.FAILED, message="404", permanent=True),
            ("Hold", "ArtifactFailed"),
            "Stalled, unhealthy",
        ),
        (
            ArtifactSeen(phase=ArtifactPhase.FAILED, message="x", permanent=True, other_content=True),
            ("Hold", "ArtifactChanged"),
            "Stalled, unhealthy",
        ),
    ],
)
def test_nothing_is_intended_before_the_artifact_is_on_the_cluster(
    artifact: ArtifactSeen, step: tuple[str, str], seen_conditions: str
) -> None:
    decision = decide(job(held=False), seen(artifact=artifact))
    assert decision.status.submission is None
    assert acts(decision) == []
    assert _plan(decision) == step
    assert conditions(decision) == seen_conditions


@pytest.mark.parametrize("known", [cluster(reachable=False, error="refused"), silent(900)])
def test_a_cluster_that_does_not_answer_is_waited_for(known: Any) -> None:
    decision = decide(job(held=False), seen(cluster=known))
    assert acts(decision) == []
    assert _plan(decision) == ("Connect", "ClusterUnreachable")
    assert decision.status.phase == "Pending"


def _done(name: str, minutes: int, **fields: Any) -> Any:
    status = FlinkSavepointStatus(
        phase=SavepointPhase.COMPLETED, location=f"file:/sp/{name}", end_time=ago(minutes * 60)
    )
    return savepoint(name, replace(status, **fields))


OLD, NEW = _done("old", 20), _done("new", 10)


@pytest.mark.parametrize(
    ("initial", "start"),
    [
        ({}, "file:/sp/new"),
        ({"strategy": "Earliest"}, "file:/sp/old"),
        ({"strategy": "None"}, None),
        ({"strategy": "Custom", "location": "file:/c"}, "file:/c"),
        ({"strategy": "Custom", "savepointRef": {"name": "old"}}, "file:/sp/old"),
        ({"strategy": "Custom", "savepointRef": {"name": "deleting"}}, "Stalled"),
        ({"strategy": "Custom", "savepointRef": {"name": "pending"}}, "Stalled"),
        ({"strategy": "Custom", "savepointRef": {"name": "nobody"}}, "Stalled"),
    ],
)
def test_the_initial_state(initial: dict[str, Any], start: str | None) -> None:
    deleting, pending = _done("deleting", 1, deleting=True), savepoint("pending")
    known = [OLD, NEW, deleting, pending]
    named = {one.meta.name: one for one in known}
    decision = decide(job(spec(initialState=initial), held=False), seen(), savepoints=known, named=named)
    if start == "Stalled":
        assert acts(decision) == []
        assert _plan(decision) == ("Hold", "SavepointNotFound")
    else:
        assert _run(decision).request.savepoint_path == start


def test_a_restart_uses_the_recorded_artifact_and_another_spec_a_new_one() -> None:
    for wanted, pinned in ((spec(), READY.digest), (spec(args=["new"]), None)):
        asked: list[Needs] = []
        last = run(end=_cancelled())
        decide(job(wanted, FlinkJobStatus(submission=last)), seen(), asked)
        request = next(needs.artifact for needs in asked if needs.artifact is not None)
        assert request.digest == pinned


def _cancelled() -> Any:
    from flinkjob.api.flinkjob_status import RunEnd
    from flinkjob.api.words import SnapshotKind

    return RunEnd(result=RunResult.CANCELLED, time=ago(9), snapshot="file:/s", snapshot_kind=SnapshotKind.SAVEPOINT)


# a run that was never seen


@pytest.mark.parametrize(
    ("answer", "seen_job", "actions", "plan"),
    [
        (RunSeen(phase=RunPhase.WORKING), absent(0.0), [], ("Submit", "Submitting")),
        (RunSeen(phase=RunPhase.ACCEPTED), absent(0.5), [], ("Submit", "Submitting")),
        (RunSeen(phase=RunPhase.ACCEPTED), absent(3.0), ["RecordRevision", "RunJob"], ("Submit", "Submitting")),
        (RunSeen(phase=RunPhase.UNCLEAR, message="cut"), absent(), [], ("Submit", "SubmitFailed")),
        (RunSeen(phase=RunPhase.NONE), absent(), ["RecordRevision", "RunJob"], ("Submit", "Submitting")),
        (RunSeen(phase=RunPhase.NONE), JobSeen(presence=Presence.UNKNOWN), [], ("Submit", "Submitting")),
        (_refused(SubmitRejection.DUPLICATE), absent(0.5), [], ("Submit", "Submitting")),
        (_refused(SubmitRejection.JAR_NOT_FOUND), absent(), ["RecordRevision", "RunJob"], ("Submit", "Submitting")),
        (_refused(SubmitRejection.MAIN_THREW), absent(), [], ("Submit", "SubmitFailed")),
        (_refused(SubmitRejection.OTHER), absent(), [], ("Submit", "SubmitFailed")),
        (_refused(SubmitRejection.ENTRY_CLASS), absent(), [], ("Hold", "SubmitRejected")),
        (_refused(SubmitRejection.NOT_A_JAR), absent(), [], ("Hold", "SubmitRejected")),
        (_refused(SubmitRejection.NO_JOB), absent(), [], ("Hold", "SubmitRejected")),
        (_refused(SubmitRejection.EXIT), absent(), [], ("Hold", "SubmitRejected")),
        (_refused(SubmitRejection.CONFIG), absent(), [], ("Hold", "SubmitRejected")),
        (_refused(SubmitRejection.RESTORE_FAILED), absent(1.0), [], ("Submit", "Submitting")),
        (_refused(SubmitRejection.RESTORE_FAILED), absent(6.0), [], ("Hold", "RestoreFailed")),
        (_refused(SubmitRejection.MULTIPLE_JOBS), absent(1.0), [], ("Submit", "Submitting")),
    ],
)
def test_an_unseen_run_by_the_answer_to_its_call(
    answer: RunSeen, seen_job: JobSeen, actions: list[str], plan: tuple[str, str]
) -> None:
    before = _unseen(restored_from="file:/s", restored_why="a savepoint")
    decision = decide(job(status=before), seen(seen_job, run=answer))
    submission = decision.status.submission
    assert submission is not None
    assert (submission.number, submission.job_id, submission.end) == (1, flink_id(), None)
    assert acts(decision) == actions
    assert _plan(decision) == plan
    if actions:
        sent = _run(decision)
        assert (sent.request.job_id, sent.request.savepoint_path, sent.attempt) == (flink_id(), "file:/s", 1)


OWN = f"{CHECKPOINTS}/{flink_id()}"


@pytest.mark.parametrize(
    ("listing", "result", "left"),
    [
        (Listing(readable=False), RunResult.ENDED_UNSEEN, None),
        (Listing(readable=True), RunResult.ENDED_UNSEEN, None),
        (Listing(readable=True, found=(Left(location=f"{OWN}/chk-2", number=2),)), RunResult.LOST, f"{OWN}/chk-2"),
    ],
)
def test_a_duplicate_that_is_not_there_has_ended_unseen(listing: Listing, result: RunResult, left: str | None) -> None:
    observation = seen(absent(), run=_refused(SubmitRejection.DUPLICATE), listings={OWN: listing})
    decision = decide(job(status=_unseen()), observation)
    assert decision.status.submission is not None
    assert decision.status.submission.end is not None
    assert decision.status.submission.end.result is result
    assert decision.status.submission.end.snapshot == left
    assert "RunJob" not in acts(decision)


def test_a_main_that_throws_is_tried_three_times() -> None:
    status, tries = _unseen(), 0
    for step in range(200):
        now = NOW.replace(minute=step // 60, second=step % 60)
        decision = decide(job(status=status), seen(absent(), run=_refused(SubmitRejection.MAIN_THREW, "boom"), now=now))
        tries += acts(decision).count("RunJob")
        status = decision.status
        if "Stalled" in conditions(decision):
            break
    assert tries == 2
    assert _plan(decision) == ("Hold", "SubmitRejected")
    restarted = decide(job(status=status), seen(absent()))
    assert acts(restarted) == []
    assert _plan(restarted) == ("Hold", "SubmitRejected")


@pytest.mark.parametrize("phase", [REJECTED, RunPhase.NONE])
def test_another_spec_is_tried_at_once_under_the_same_id(phase: RunPhase) -> None:
    before = _unseen(Plan(step="Hold", reason="SubmitRejected"), rejected=True, restored_from="file:/s")
    answer = _refused(SubmitRejection.CONFIG) if phase is REJECTED else RunSeen()
    decision = decide(job(spec(args=["fixed"]), before), seen(absent(), run=answer))
    sent = _run(decision)
    assert (sent.request.job_id, sent.request.savepoint_path) == (flink_id(), "file:/s")
    assert decision.status.submission is not None
    assert decision.status.submission.run_digest == digest(args=["fixed"])


@pytest.mark.parametrize("change", [{"cluster": {"url": "http://other:8081"}}, {"initialState": {"nonce": 5}}])
def test_a_run_that_was_refused_for_certain_is_given_up_for_another_cluster_or_state(change: dict[str, Any]) -> None:
    """Neither is part of the digest, so the same id at the same place would be refused for ever."""
    before = _unseen(Plan(step="Hold", reason="SubmitRejected", message="no"), rejected=True)
    other = replace(cluster(), url=change.get("cluster", {}).get("url", "http://flink:8081"))
    decision = decide(job(spec(**change), before), seen(absent(), target=other))
    status = decision.status
    for _ in range(3):
        if status.submission is not None and status.submission.number == 2:
            break
        decision = decide(job(spec(**change), status), seen(target=other))
        status = decision.status
    assert status.submission is not None
    assert (status.submission.number, status.submission.cluster_url) == (2, other.url)
    assert _run(decision).url == other.url


@pytest.mark.parametrize("state", ["Suspended", "Cancelled", "Drained"])
@pytest.mark.parametrize(
    ("answer", "fields", "given_up"),
    [
        (RunSeen(), {}, False),
        (RunSeen(), {"intent_time": ago(601)}, True),
        (RunSeen(phase=RunPhase.WORKING), {"intent_time": ago(601)}, False),
        (RunSeen(phase=RunPhase.UNCLEAR), {}, False),
        (_refused(SubmitRejection.DUPLICATE), {}, False),
        (_refused(SubmitRejection.CONFIG), {}, True),
        (RunSeen(), {"rejected": True}, True),
        (RunSeen(), {"rejected": True, "unanswered": True}, False),
        (_refused(SubmitRejection.CONFIG), {"unanswered": True}, False),
        (_refused(SubmitRejection.CONFIG), {"unanswered": True, "intent_time": ago(601)}, True),
    ],
)
def test_an_unseen_run_that_nobody_wants_any_more(
    state: str, answer: RunSeen, fields: dict[str, Any], given_up: bool
) -> None:
    decision = decide(job(spec(state=state), _unseen(**fields)), seen(absent(), run=answer))
    assert decision.status.submission is not None
    assert (decision.status.submission.end is not None) == given_up
    if not given_up:
        assert _plan(decision) == ("Submit", "WaitingForSubmission")
        assert acts(decision) == []


@pytest.mark.parametrize(
    ("answer", "fields", "unanswered"),
    [
        (RunSeen(), {}, True),
        (RunSeen(), {"rejected": True}, False),
        (_refused(SubmitRejection.JAR_NOT_FOUND), {}, False),
        (_refused(SubmitRejection.JAR_NOT_FOUND), {"unanswered": True}, True),
        (RunSeen(phase=RunPhase.ACCEPTED), {}, True),
    ],
)
def test_a_repeat_remembers_a_call_that_was_not_answered(
    answer: RunSeen, fields: dict[str, Any], unanswered: bool
) -> None:
    decision = decide(job(spec(args=["x"]), _unseen(**fields)), seen(absent(), run=answer))
    assert "RunJob" in acts(decision)
    assert decision.status.submission is not None
    assert decision.status.submission.unanswered is unanswered


def test_when_it_appears_it_is_stopped() -> None:
    decision = decide(job(spec(state="Suspended"), _unseen()), seen(present()))
    assert acts(decision) == ["StopJob"]


def test_a_run_that_counted_as_never_started_is_taken_up_when_it_appears() -> None:
    from flinkjob.api.flinkjob_status import RunEnd
    from flinkjob.api.words import SnapshotKind

    end = RunEnd(result=RunResult.NEVER_STARTED, time=ago(60), snapshot_kind=SnapshotKind.EMPTY)
    status = FlinkJobStatus(submission=unseen(end=end))
    decision = decide(job(spec(state="Suspended"), status, held=False), seen(kin=(overview(),)))
    assert decision.status.submission is not None
    assert decision.status.submission.end is None
    then = decide(job(spec(state="Suspended"), decision.status), seen(present(), kin=(overview(),)))
    assert acts(then) == ["StopJob"]


def test_an_unseen_run_on_another_jobmanager_is_lost_and_starts_again_from_the_same_state() -> None:
    status = _unseen(restored_from="file:/s")
    lost = decide(job(status=status), seen(absent(), cluster=cluster(incarnation="jm-2")))
    assert lost.status.submission is not None
    assert lost.status.submission.end is not None or lost.status.submission.number == 2


@pytest.mark.parametrize("state", [FlinkJobState.INITIALIZING, FlinkJobState.CREATED, FlinkJobState.RUNNING])
def test_the_manager_that_shows_a_run_first_is_the_one_it_runs_on(state: FlinkJobState) -> None:
    """The JobManager may have been restarted between the intent and the run call."""
    decision = decide(job(status=_unseen()), seen(present(state), cluster=cluster(incarnation="jm-2")))
    assert decision.status.submission is not None
    assert decision.status.submission.incarnation == "jm-2"
