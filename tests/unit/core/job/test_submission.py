"""Starting a run: intent, artifact, run call; and a run whose call got no clear answer."""

import inspect
import re
from dataclasses import replace
from typing import Any

import pytest

from flinkjob.api import flink_options
from flinkjob.api.cluster_options import acts_only_in_cluster
from flinkjob.api.enums import RunResult, SavepointPhase
from flinkjob.api.flink_options import GLOBAL_PARAMETERS
from flinkjob.api.flinkjob_status import FlinkJobStatus, Plan
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.api.reserved_keys import DUPLICATE_KEYS
from flinkjob.core.actions import DiscardArtifact, PostEvent, RecordRevision, RunJob
from flinkjob.core.errors import SubmitRejection
from flinkjob.core.facts import Artifact, Fact
from flinkjob.core.flinkmodel import FlinkJobState
from flinkjob.core.identity import job_id
from flinkjob.core.job.submission import run_request
from flinkjob.core.model import JobDecision
from flinkjob.core.progress import Progress
from flinkjob.core.seen import ArtifactPhase, ArtifactSeen, FoundSnapshot, JobSeen, Listing, Presence, RunPhase, RunSeen
from tests.support.inputs import (
    CHECKPOINTS,
    JAR,
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
    deleted,
    digest,
    ended,
    flink_id,
    job,
    overview,
    plan_of,
    present,
    run,
    savepoint,
    seen,
    silent,
    spec,
    told,
    unseen,
)
from tests.support.tables import table

REJECTED = RunPhase.REJECTED
CHECKPOINTING = {
    "interval": "1500ms",
    "mode": "AtLeastOnce",
    "directory": "file:///c",
    "retention": "DeleteOnCancellation",
}


def _run(decision: JobDecision) -> RunJob:
    return next(action for action in decision.actions if isinstance(action, RunJob))


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


@pytest.mark.report("options-without-effect")
def test_options_that_do_nothing_for_one_job_are_named_and_the_job_runs() -> None:
    names = [f"taskmanager.option-{number}" for number in range(7)]
    options = {**dict.fromkeys(names, "1"), "table.exec.mini-batch": "true"}
    decision = decide(job(spec(flinkConfiguration=options), held=False), seen())
    assert told(decision) == ["OptionsIgnored", "Submitted"]
    assert "RunJob" in acts(decision)
    suitable = next(each for each in decision.status.conditions if each.type == "ClusterSuitable")
    text = f"flinkConfiguration: set {', '.join(names[:5])} and 2 more in the cluster's own configuration"
    assert text in suitable.message
    assert "table.exec" not in suitable.message


@pytest.mark.parametrize(
    ("option", "alone"),
    [
        ("taskmanager.memory.process.size", True),
        ("taskmanager.numberOfTaskSlots", True),
        ("high-availability.type", True),
        ("env.java.opts.all", True),
        ("rest.port", True),
        ("security.ssl.rest.enabled", True),
        ("kubernetes.cluster-id", True),
        ("io.tmp.dirs", True),
        ("io.example.my-own-option", False),
        ("metrics.latency.interval", False),
        ("execution.checkpointing.timeout", False),
        ("state.backend.type", False),
        ("restart-strategy.type", False),
        ("pipeline.max-parallelism", False),
        ("task.cancellation.timeout", False),
    ],
)
def test_which_options_act_only_in_a_cluster(option: str, alone: bool) -> None:
    assert acts_only_in_cluster(option) is alone


def test_the_run_call_says_what_the_spec_says() -> None:
    wanted = spec(
        args=["--rate", "5"],
        jobName="Clicks",
        runtimeMode="Batch",
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
        "execution.runtime-mode": "BATCH",
        "execution.checkpointing.interval": "1500 ms",
        "execution.checkpointing.mode": "AT_LEAST_ONCE",
        "execution.checkpointing.dir": "file:///c",
        "execution.checkpointing.externalized-checkpoint-retention": "DELETE_ON_CANCELLATION",
        "table.exec.mini-batch": "true",
    }


def test_an_option_that_a_field_sets_cannot_be_set_a_second_time() -> None:
    refused = {key for keys in DUPLICATE_KEYS.values() for key in keys}
    names = set(re.findall(r"flink_options\.([A-Z_]+)", inspect.getsource(run_request)))
    assert len(names) == len(DUPLICATE_KEYS)
    for name in names:
        value = getattr(flink_options, name)
        keys = {value} if isinstance(value, str) else set(value)
        assert keys <= refused, f"{name} has no row in DUPLICATE_KEYS"


@table(
    ("artifact", "step", "seen_conditions"),
    "a jar on its way is waited for",
    (ArtifactSeen(phase=ArtifactPhase.WORKING), ("Fetch", "FetchingArtifact"), "Reconciling, health unknown"),
    "a jar that cannot be had now is tried again",
    (
        ArtifactSeen(phase=ArtifactPhase.FAILED, message="timeout"),
        ("Fetch", "ArtifactFailed"),
        "Reconciling, unhealthy",
    ),
    "a jar that is not there stalls",
    (
        ArtifactSeen(phase=ArtifactPhase.FAILED, message="404", permanent=True),
        ("Hold", "ArtifactFailed"),
        "Stalled, unhealthy",
    ),
    "a jar that has changed stalls",
    (
        ArtifactSeen(phase=ArtifactPhase.FAILED, message="x", permanent=True, other_content=True),
        ("Hold", "ArtifactChanged"),
        "Stalled, unhealthy",
    ),
)
def test_nothing_is_intended_before_the_artifact_is_on_the_cluster(
    artifact: ArtifactSeen, step: tuple[str, str], seen_conditions: str
) -> None:
    decision = decide(job(held=False), seen(artifact=artifact))
    assert decision.status.submission is None
    assert acts(decision) == []
    assert plan_of(decision) == step
    assert conditions(decision) == seen_conditions


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (None, "the jar is on its way to the cluster"),
        (Progress(name="https://a/b.jar", done=5, size=1000), "the jar is on its way to the cluster"),
        (Progress(name="https://a/b.jar", done=2**25, size=2**26), "https://a/b.jar is fetched: 50% of 64.0Mi"),
    ],
)
def test_of_a_large_download_it_is_said_how_far_it_is(progress: Progress | None, said: str) -> None:
    working = ArtifactSeen(phase=ArtifactPhase.WORKING, progress=progress)
    decision = decide(job(held=False), seen(artifact=working))
    assert decision.status.plan is not None
    assert decision.status.plan.message == said


def _warnings(decision: JobDecision) -> list[str]:
    posts = (action for action in decision.actions if isinstance(action, PostEvent))
    return [f"{post.reason}: {post.message}" for post in posts if post.reason != "ClusterUnsuitable"]


def test_a_jar_that_cannot_be_had_is_an_event_at_its_first_failure_and_when_it_is_given_up() -> None:
    failed = seen(artifact=ArtifactSeen(phase=ArtifactPhase.FAILED, message="timeout"))
    first = decide(job(held=False), failed)
    assert _warnings(first) == ["ArtifactFailed: timeout"]
    pausing = decide(job(status=first.status), failed)
    assert _warnings(pausing) == []

    assert first.status.plan is not None
    over = replace(first.status, plan=replace(first.status.plan, retry_time=ago(1)))
    waiting = decide(job(status=over), seen(artifact=ArtifactSeen(phase=ArtifactPhase.WORKING)))
    assert _warnings(waiting) == []
    second = decide(job(status=waiting.status), failed)
    assert second.status.plan is not None
    assert (second.status.plan.attempts, _warnings(second)) == (2, [])

    gone = seen(artifact=ArtifactSeen(phase=ArtifactPhase.FAILED, message="404", permanent=True))
    given_up = decide(job(status=waiting.status), gone)
    assert _warnings(given_up) == ["ArtifactFailed: 404; correct spec.jar, or set a new restartNonce to look again"]
    assert _warnings(decide(job(status=given_up.status), gone)) == []


@table(
    "known",
    "that has just fallen silent",
    cluster(reachable=False, error="refused"),
    "that is silent for long",
    silent(900),
)
def test_a_cluster_that_does_not_answer_is_waited_for(known: Any) -> None:
    decision = decide(job(held=False), seen(cluster=known))
    assert acts(decision) == []
    assert plan_of(decision) == ("Connect", "ClusterUnreachable")
    assert decision.status.phase == "Pending"


def _done(name: str, minutes: int, **fields: Any) -> Any:
    status = FlinkSavepointStatus(
        phase=SavepointPhase.COMPLETED, location=f"file:/sp/{name}", end_time=ago(minutes * 60)
    )
    return savepoint(name, replace(status, **fields))


OLD, NEW = _done("old", 20), _done("new", 10)


@table(
    ("initial", "start"),
    "the newest savepoint by default",
    ({}, "file:/sp/new"),
    "the oldest where Earliest is wanted",
    ({"strategy": "Earliest"}, "file:/sp/old"),
    "none where None is wanted",
    ({"strategy": "None"}, None),
    "the location that is given",
    ({"strategy": "Custom", "location": "file:/c"}, "file:/c"),
    "the savepoint that is named",
    ({"strategy": "Custom", "savepointRef": {"name": "old"}}, "file:/sp/old"),
    "nothing while the named one is being deleted",
    ({"strategy": "Custom", "savepointRef": {"name": "deleting"}}, "Stalled"),
    "nothing while the named one is pending",
    ({"strategy": "Custom", "savepointRef": {"name": "pending"}}, "Stalled"),
    "nothing while the named one does not exist",
    ({"strategy": "Custom", "savepointRef": {"name": "nobody"}}, "Stalled"),
)
def test_the_initial_state(initial: dict[str, Any], start: str | None) -> None:
    deleting, pending = _done("deleting", 1, deleting=True), savepoint("pending")
    known = [OLD, NEW, deleting, pending]
    named = {one.meta.name: one for one in known}
    decision = decide(job(spec(initialState=initial), held=False), seen(), savepoints=known, named=named)
    if start == "Stalled":
        assert acts(decision) == []
        assert plan_of(decision) == ("Hold", "SavepointNotFound")
    else:
        assert _run(decision).request.savepoint_path == start


def test_a_restart_uses_the_recorded_artifact_and_another_spec_a_new_one() -> None:
    for wanted, pinned in ((spec(), READY.digest), (spec(args=["new"]), None)):
        asked: list[Fact[Any]] = []
        last = run(end=_cancelled())
        decide(job(wanted, FlinkJobStatus(submission=last)), seen(), asked)
        request = next(fact.request for fact in asked if isinstance(fact, Artifact))
        assert request.digest == pinned


def _cancelled() -> Any:
    from flinkjob.api.enums import SnapshotKind
    from flinkjob.api.flinkjob_status import RunEnd

    return RunEnd(result=RunResult.CANCELLED, time=ago(9), snapshot="file:/s", snapshot_kind=SnapshotKind.SAVEPOINT)


# a run that was never seen


@table(
    ("answer", "seen_job", "actions", "plan"),
    "under way: it waits",
    (RunSeen(phase=RunPhase.WORKING), absent(0.0), [], ("Submit", "Submitting")),
    "accepted and absent for a moment: it waits",
    (RunSeen(phase=RunPhase.ACCEPTED), absent(0.5), [], ("Submit", "Submitting")),
    "accepted and absent for seconds: it is sent again",
    (RunSeen(phase=RunPhase.ACCEPTED), absent(3.0), ["RecordRevision", "RunJob"], ("Submit", "Submitting")),
    "no clear answer: it pauses",
    (RunSeen(phase=RunPhase.UNCLEAR, message="cut"), absent(), [], ("Submit", "SubmitFailed")),
    "no call known: it is sent",
    (RunSeen(phase=RunPhase.NONE), absent(), ["RecordRevision", "RunJob"], ("Submit", "Submitting")),
    "no call known and nothing known of the job: it waits",
    (RunSeen(phase=RunPhase.NONE), JobSeen(presence=Presence.UNKNOWN), [], ("Submit", "Submitting")),
    "refused as a duplicate: it waits",
    (_refused(SubmitRejection.DUPLICATE), absent(0.5), [], ("Submit", "Submitting")),
    "refused for want of the jar: it is sent again",
    (_refused(SubmitRejection.JAR_NOT_FOUND), absent(), ["RecordRevision", "RunJob"], ("Submit", "Submitting")),
    "refused because main threw: it pauses",
    (_refused(SubmitRejection.MAIN_THREW), absent(), [], ("Submit", "SubmitFailed")),
    "refused for its script, whose catalog may be down: it pauses",
    (_refused(SubmitRejection.SCRIPT), absent(), [], ("Submit", "SubmitFailed")),
    "refused for an unknown reason: it pauses",
    (_refused(SubmitRejection.OTHER), absent(), [], ("Submit", "SubmitFailed")),
    "refused for its entry class: it stalls",
    (_refused(SubmitRejection.ENTRY_CLASS), absent(), [], ("Hold", "SubmitRejected")),
    "refused because it is no jar: it stalls",
    (_refused(SubmitRejection.NOT_A_JAR), absent(), [], ("Hold", "SubmitRejected")),
    "refused because main made no job: it stalls",
    (_refused(SubmitRejection.NO_JOB), absent(), [], ("Hold", "SubmitRejected")),
    "refused because main exits: it stalls",
    (_refused(SubmitRejection.EXIT), absent(), [], ("Hold", "SubmitRejected")),
    "refused for its configuration: it stalls",
    (_refused(SubmitRejection.CONFIG), absent(), [], ("Hold", "SubmitRejected")),
    "refused for its state, absent for a moment: it waits",
    (_refused(SubmitRejection.RESTORE_FAILED), absent(1.0), [], ("Submit", "Submitting")),
    "refused for its state, absent for seconds: it stalls",
    (_refused(SubmitRejection.RESTORE_FAILED), absent(6.0), [], ("Hold", "RestoreFailed")),
    "refused because main made several jobs: it waits",
    (_refused(SubmitRejection.MULTIPLE_JOBS), absent(1.0), [], ("Submit", "Submitting")),
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
    assert plan_of(decision) == plan
    if actions:
        sent = _run(decision)
        assert (sent.request.job_id, sent.request.savepoint_path, sent.attempt) == (flink_id(), "file:/s", 1)


def test_a_run_call_that_is_not_sent_yet_is_not_said_to_be() -> None:
    for queued, said in ((True, "waits for its turn"), (False, "was sent")):
        answer = RunSeen(phase=RunPhase.WORKING, queued=queued)
        plan = decide(job(status=_unseen()), seen(absent(), run=answer)).status.plan
        assert plan is not None
        assert said in (plan.message or "")


OWN = f"{CHECKPOINTS}/{flink_id()}"


@table(
    ("listing", "result", "left"),
    "unseen where its directory cannot be read",
    (Listing(readable=False), RunResult.ENDED_UNSEEN, None),
    "unseen where its directory is empty",
    (Listing(readable=True), RunResult.ENDED_UNSEEN, None),
    "lost where it left a checkpoint",
    (Listing(readable=True, found=(FoundSnapshot(location=f"{OWN}/chk-2", number=2),)), RunResult.LOST, f"{OWN}/chk-2"),
)
def test_a_duplicate_that_is_not_there_has_ended_unseen(listing: Listing, result: RunResult, left: str | None) -> None:
    observation = seen(absent(), run=_refused(SubmitRejection.DUPLICATE), listings={OWN: listing})
    decision = decide(job(status=_unseen()), observation)
    assert decision.status.submission is not None
    assert decision.status.submission.end is not None
    assert decision.status.submission.end.result is result
    assert decision.status.submission.end.snapshot == left
    assert "RunJob" not in acts(decision)


LIB = {"dependencies": {"jars": [{"uri": "https://jars.example/lib.jar"}]}}
PYTHON = {"jar": None, "python": {"file": "a.py", "files": [{"name": "a.py", "text": ""}]}}
SCRIPT = {"jar": None, "sql": {"script": "INSERT INTO a SELECT 1"}}


@table(
    ("fields", "correct"),
    "a jar",
    ({}, "spec.jar"),
    "a jar and others beside it",
    (LIB, "spec.jar or spec.dependencies"),
    "a script",
    (SCRIPT, "spec.sql"),
    "a Python program",
    (PYTHON, "spec.python"),
    "a script and jars beside it",
    (SCRIPT | LIB, "spec.sql or spec.dependencies"),
)
def test_what_to_correct_is_what_the_jar_is_made_of(fields: dict[str, Any], correct: str) -> None:
    missing = ArtifactSeen(phase=ArtifactPhase.FAILED, message="404", permanent=True)
    decision = decide(job(spec(**fields), held=False), seen(artifact=missing))
    assert decision.status.plan is not None
    assert decision.status.plan.message == f"404; correct {correct}, or set a new restartNonce to look again"


@table(
    ("kind", "says"),
    "a program",
    (
        SubmitRejection.MAIN_THREW,
        "main() failed on the JobManager: boom; correct the program or its args, or set a new restartNonce to try again",
    ),
    "a script",
    (SubmitRejection.SCRIPT, "boom; correct spec.sql, or set a new restartNonce to try again"),
)
def test_a_main_that_throws_is_tried_three_times(kind: SubmitRejection, says: str) -> None:
    status, tries = _unseen(), 0
    for step in range(200):
        now = NOW.replace(minute=step // 60, second=step % 60)
        decision = decide(job(status=status), seen(absent(), run=_refused(kind, "boom"), now=now))
        tries += acts(decision).count("RunJob")
        status = decision.status
        if "Stalled" in conditions(decision):
            break
    assert tries == 2
    assert plan_of(decision) == ("Hold", "SubmitRejected")
    assert status.plan is not None
    assert status.plan.message == says
    restarted = decide(job(status=status), seen(absent()))
    assert acts(restarted) == []
    assert plan_of(restarted) == ("Hold", "SubmitRejected")


@pytest.mark.parametrize("phase", [REJECTED, RunPhase.NONE])
def test_another_spec_is_tried_at_once_under_the_same_id(phase: RunPhase) -> None:
    before = _unseen(Plan(step="Hold", reason="SubmitRejected"), rejected=True, restored_from="file:/s")
    answer = _refused(SubmitRejection.CONFIG) if phase is REJECTED else RunSeen()
    decision = decide(job(spec(args=["fixed"]), before), seen(absent(), run=answer))
    sent = _run(decision)
    assert (sent.request.job_id, sent.request.savepoint_path) == (flink_id(), "file:/s")
    assert decision.status.submission is not None
    assert decision.status.submission.run_digest == digest(args=["fixed"])


@table(
    "change",
    "another cluster",
    {"cluster": {"url": "http://other.example:8081"}},
    "another initial state",
    {"initialState": {"nonce": 5}},
)
def test_a_run_that_was_refused_for_certain_is_given_up_for_another_cluster_or_state(change: dict[str, Any]) -> None:
    """Neither is part of the digest, so the same id at the same place would be refused for ever."""
    before = _unseen(Plan(step="Hold", reason="SubmitRejected", message="no"), rejected=True)
    other = replace(cluster(), url=change.get("cluster", {}).get("url", "http://flink.example:8081"))
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
@table(
    ("answer", "fields", "given_up"),
    "no call known: it is waited for",
    (RunSeen(), {}, False),
    "no call known for ten minutes: it is given up",
    (RunSeen(), {"intent_time": ago(601)}, True),
    "under way for ten minutes: it is waited for",
    (RunSeen(phase=RunPhase.WORKING), {"intent_time": ago(601)}, False),
    "no clear answer: it is waited for",
    (RunSeen(phase=RunPhase.UNCLEAR), {}, False),
    "no clear answer for ten minutes: it is given up",
    (RunSeen(phase=RunPhase.UNCLEAR), {"intent_time": ago(601)}, True),
    "accepted and not seen for ten minutes: it is given up",
    (RunSeen(phase=RunPhase.ACCEPTED), {"intent_time": ago(601)}, True),
    "refused as a duplicate: it is waited for",
    (_refused(SubmitRejection.DUPLICATE), {}, False),
    "refused: it is given up",
    (_refused(SubmitRejection.CONFIG), {}, True),
    "refused before: it is given up",
    (RunSeen(), {"rejected": True}, True),
    "refused before and one call without an answer: it is waited for",
    (RunSeen(), {"rejected": True, "unanswered": True}, False),
    "refused and one call without an answer: it is waited for",
    (_refused(SubmitRejection.CONFIG), {"unanswered": True}, False),
    "refused and one call without an answer for ten minutes: it is given up",
    (_refused(SubmitRejection.CONFIG), {"unanswered": True, "intent_time": ago(601)}, True),
)
def test_an_unseen_run_that_nobody_wants_any_more(
    state: str, answer: RunSeen, fields: dict[str, Any], given_up: bool
) -> None:
    decision = decide(job(spec(state=state), _unseen(**fields)), seen(absent(), run=answer))
    assert decision.status.submission is not None
    assert (decision.status.submission.end is not None) == given_up
    if not given_up:
        assert plan_of(decision) == ("Submit", "WaitingForSubmission")
        assert acts(decision) == []


@table(
    ("answer", "fields", "unanswered"),
    "no call known: one may be without an answer",
    (RunSeen(), {}, True),
    "no call known and refused before: none is without an answer",
    (RunSeen(), {"rejected": True}, False),
    "refused for want of the jar: none is without an answer",
    (_refused(SubmitRejection.JAR_NOT_FOUND), {}, False),
    "refused for want of the jar after one without an answer: that one still is",
    (_refused(SubmitRejection.JAR_NOT_FOUND), {"unanswered": True}, True),
    "accepted and absent: it may be without an answer",
    (RunSeen(phase=RunPhase.ACCEPTED), {}, True),
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
    from flinkjob.api.enums import SnapshotKind
    from flinkjob.api.flinkjob_status import RunEnd

    end = RunEnd(result=RunResult.NEVER_STARTED, time=ago(60), snapshot_kind=SnapshotKind.EMPTY)
    status = FlinkJobStatus(submission=unseen(end=end))
    decision = decide(job(spec(state="Suspended"), status, held=False), seen(owned_jobs=(overview(),)))
    assert decision.status.submission is not None
    assert decision.status.submission.end is None
    then = decide(job(spec(state="Suspended"), decision.status), seen(present(), owned_jobs=(overview(),)))
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


def test_a_python_program_is_given_the_place_of_its_jar_whatever_the_options_are() -> None:
    python = {"file": "a.py", "files": [{"name": "a.py", "text": "x"}], "executable": "/venv/python"}
    wanted = spec(jar=None, python=python, args=["--x"], flinkConfiguration={"python.fn-execution.bundle.size": "10"})
    there = ArtifactSeen(phase=ArtifactPhase.READY, digest="python-1-x", jar_id="1_jar", places=("/uploads/1_jar",))
    decision = decide(job(wanted, held=False), seen(artifact=there))
    (call,) = (action for action in decision.actions if isinstance(action, RunJob))
    assert call.jar_id == "1_jar"
    assert call.request.entry_class == "org.apache.flink.client.python.PythonDriver"
    assert call.request.args == ("-pym", "flinkjob_main", f"job:{call.request.job_id}", "file:a.py", "--x")
    given = {key: value for key, value in call.request.flink_configuration.items() if key.startswith("python.")}
    assert given == {
        "python.files": "/uploads/1_jar",
        "python.executable": "/venv/python",
        "python.client.executable": "/venv/python",
        "python.fn-execution.bundle.size": "10",
    }


def test_what_was_uploaded_beside_a_jar_goes_with_it_unless_the_next_run_has_it_too() -> None:
    def wanted(*names: str, requirements: str) -> dict[str, Any]:
        archives = [{"uri": f"https://a/{name}.zip", "sha256": name * 64, "name": name} for name in names]
        return spec(jar=None, python={"module": "a", "archives": archives, "requirements": {"text": requirements}})

    first = decide(job(wanted("b", "c", requirements="x"), held=False), seen())
    before = first.status.submission
    assert before is not None
    assert before.uploads[1:] == ("b" * 64, "c" * 64)
    over = replace(first.status, submission=ended(RunResult.STOPPED, "file:///s", uploads=before.uploads))
    second = decide(job(wanted("c", requirements="x"), over), seen())
    discarded = [action.digest for action in second.actions if isinstance(action, DiscardArtifact)]
    assert discarded == ["b" * 64]
    assert second.status.submission is not None
    assert over.submission is not None
    stopped = replace(second.status, submission=replace(second.status.submission, end=over.submission.end))
    gone = decide(job(wanted("c", requirements="x"), stopped, **deleted()), seen())
    discarded = [action.digest for action in gone.actions if isinstance(action, DiscardArtifact)]
    assert discarded == [JAR, before.uploads[0], "c" * 64]


def test_a_python_program_that_meets_others_is_tried_until_it_begins() -> None:
    status, tries = _unseen(), 0
    for step in range(900):
        now = NOW.replace(minute=step // 60, second=step % 60)
        busy = _refused(SubmitRejection.PYTHON_BUSY, "another program")
        decision = decide(job(status=status), seen(absent(), run=busy, now=now))
        tries += acts(decision).count("RunJob")
        status = decision.status
        assert "Stalled" not in conditions(decision)
    assert tries > 3
