"""First start without a status: what is found on the cluster is taken over, by number, mark or annotation."""

import json
from dataclasses import replace
from typing import Any

import pytest

from flinkjob.api.enums import OperationKind, RunResult, SubmissionReason
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.core.actions import CancelJob, RescaleJob, StopJob
from flinkjob.core.flinkmodel import FlinkJobState, JobOverview
from flinkjob.core.identity import Mark, Owner, earlier_job_id, job_id
from flinkjob.core.model import JobDecision
from flinkjob.core.seen import MarkedJob
from tests.support.inputs import (
    IDENTITY,
    OWNER,
    UID,
    acts,
    chk,
    cluster,
    conditions,
    decide,
    decide_sp,
    deleted,
    digest,
    event_of,
    flink_id,
    job,
    operation,
    overview,
    present,
    run,
    savepoint,
    seen,
    silent,
    spec,
    stats,
    told,
    unseen,
)
from tests.support.tables import table

OTHERS = "f" * 32


def _mark(number: int = 1, owner: str = str(OWNER), what: str | None = None, uid: str = UID) -> Mark:
    return Mark(owner=owner, uid=uid, number=number, digest=digest() if what is None else what)


def _on_cluster(*owned_jobs: tuple[JobOverview, Mark | None]) -> dict[str, object]:
    return {
        "owned_jobs": tuple(one for one, _ in owned_jobs),
        "marked": tuple(MarkedJob(overview=one, mark=mark) for one, mark in owned_jobs),
    }


def _taken(decision: JobDecision) -> tuple[int, str | None] | None:
    submission = decision.status.submission
    return (submission.number, submission.job_id) if submission is not None else None


def test_nothing_there_starts_the_first_run() -> None:
    assert "RunJob" in acts(decide(job(held=False), seen()))


@pytest.mark.parametrize("state", [state for state in FlinkJobState if not state.is_terminal])
@pytest.mark.parametrize("number", [1, 7])
def test_a_live_job_is_adopted(state: FlinkJobState, number: int) -> None:
    there = seen(**_on_cluster((overview(state, number), _mark(number))))  # type: ignore[arg-type]
    decision = decide(job(held=False), there)
    assert _taken(decision) == (number, flink_id(number))
    assert acts(decision) == ["AddFinalizer"]
    assert told(decision) == ["Adopted"]
    assert decision.status.submission is not None
    assert decision.status.submission.run_digest == digest()


def test_what_was_adopted_is_not_restarted_but_upgraded_when_it_is_another_spec() -> None:
    for what, actions in ((digest(), []), ("old", ["StopJob"])):
        adopted = decide(job(), seen(**_on_cluster((overview(), _mark(what=what)))))  # type: ignore[arg-type]
        then = decide(job(status=adopted.status), seen(present(), owned_jobs=(overview(),)))
        assert acts(then) == actions


def test_a_live_job_of_the_object_before_is_adopted_and_numbers_go_on() -> None:
    before = flink_id(5, "u-before")
    live = overview(job_id=before)
    decision = decide(job(), seen(**_on_cluster((live, _mark(5, uid="u-before")))))  # type: ignore[arg-type]
    assert _taken(decision) == (5, before)


@pytest.mark.parametrize(
    ("state", "result"),
    [(FlinkJobState.FINISHED, RunResult.FINISHED), (FlinkJobState.CANCELED, RunResult.CANCELLED_EXTERNALLY)],
)
def test_the_newest_ended_run_of_the_same_object_gives_result_and_number(
    state: FlinkJobState, result: RunResult
) -> None:
    there = _on_cluster((overview(FlinkJobState.CANCELED, 2), _mark(2)), (overview(state, 3), _mark(3)))
    decision = decide(job(), seen(**there))  # type: ignore[arg-type]
    assert _taken(decision) == (3, flink_id(3))
    assert told(decision) == []
    then = decide(job(status=decision.status), seen(present(state, number=3), checkpoints=stats(chk(4))))
    assert then.status.history[0].result is result


def test_an_ended_run_of_the_object_before_is_nothing_to_go_by() -> None:
    gone = overview(FlinkJobState.FINISHED, job_id=flink_id(3, "u-before"))
    assert "RunJob" in acts(decide(job(), seen(**_on_cluster((gone, _mark(3, uid="u-before"))))))  # type: ignore[arg-type]


def test_of_several_live_jobs_none_is_chosen() -> None:
    there = _on_cluster((overview(number=1), _mark(1)), (overview(number=2), _mark(2)))
    decision = decide(job(held=False), seen(**there))  # type: ignore[arg-type]
    assert acts(decision) == []
    assert conditions(decision) == "Stalled, unhealthy"
    assert decision.status.plan is not None
    assert flink_id(1) in (decision.status.plan.message or "")
    assert flink_id(2) in (decision.status.plan.message or "")


@pytest.mark.parametrize("state", ["Suspended", "Cancelled"])
def test_what_runs_is_adopted_and_then_stopped_as_asked(state: str) -> None:
    adopted = decide(job(spec(state=state)), seen(**_on_cluster((overview(), _mark()))))  # type: ignore[arg-type]
    assert _taken(adopted) == (1, flink_id())
    then = decide(job(spec(state=state), adopted.status), seen(present(), owned_jobs=(overview(),)))
    assert acts(then) == [{"Suspended": "StopJob", "Cancelled": "CancelJob"}[state]]


def test_created_suspended_has_a_status_at_once_even_without_a_cluster() -> None:
    decision = decide(job(spec(state="Suspended"), held=False), seen(cluster=silent(99)))
    assert decision.status.phase == "Suspended"
    assert conditions(decision) == "Ready, health unknown"


# a program that erases the mark


def test_a_job_of_which_the_spec_is_unknown_is_replaced_through_a_savepoint_and_that_is_said() -> None:
    adopted = decide(job(), seen(**_on_cluster((overview(), None))))  # type: ignore[arg-type]
    assert _taken(adopted) == (1, flink_id())
    assert told(adopted) == ["Adopted"]
    assert "erased the owner mark" in event_of(adopted, "Adopted").message
    then = decide(job(status=adopted.status), seen(present(), owned_jobs=(overview(),)))
    assert acts(then) == ["StopJob"]


def test_a_job_that_is_being_initialised_is_asked_again_for_its_spec() -> None:
    begun = overview(FlinkJobState.INITIALIZING)
    decision = decide(job(), seen(**_on_cluster((begun, None))))  # type: ignore[arg-type]
    assert (_taken(decision), acts(decision)) == (None, [])
    assert decision.requeue_after == 0.5


def test_an_ended_job_does_not_run_again_since_its_spec_is_unknown() -> None:
    there = _on_cluster((overview(FlinkJobState.FINISHED, 2), None))
    decision = decide(job(), seen(**there))  # type: ignore[arg-type]
    done = seen(present(FlinkJobState.FINISHED, number=2), checkpoints=stats(chk(4)))
    then = decide(job(status=decision.status), done)
    assert then.status.phase == "Finished"
    assert "RunJob" not in acts(decide(job(status=then.status), seen()))


def test_a_job_with_an_id_of_an_earlier_version_is_adopted() -> None:
    before = earlier_job_id(OWNER, UID, 7)
    live = overview(job_id=before)
    decision = decide(job(), seen(**_on_cluster((live, _mark(7)))))  # type: ignore[arg-type]
    assert _taken(decision) == (7, before)


def test_what_a_repeated_call_started_is_unknown_without_a_mark() -> None:
    for unanswered, actions in ((True, ["StopJob"]), (False, [])):
        status = FlinkJobStatus(submission=unseen(attempts=2, unanswered=unanswered))
        there = _on_cluster((overview(), None))
        appeared = decide(job(status=status), seen(present(), **there))  # type: ignore[arg-type]
        assert [act for act in acts(appeared) if act == "StopJob"] == actions


@pytest.mark.parametrize("state", [FlinkJobState.INITIALIZING, FlinkJobState.CREATED])
def test_what_a_repeated_call_started_shows_its_mark_only_once_it_has_begun(state: FlinkJobState) -> None:
    status = FlinkJobStatus(submission=unseen(attempts=2, unanswered=True))
    begun = overview(state)
    looked = decide(job(status=status), seen(present(state), **_on_cluster((begun, None))))  # type: ignore[arg-type]
    assert looked.status.submission is not None
    assert (acts(looked), looked.status.submission.run_digest) == ([], digest())
    marked = _on_cluster((overview(), _mark()))
    then = decide(job(status=looked.status), seen(present(), **marked))  # type: ignore[arg-type]
    assert "StopJob" not in acts(then)
    lost = decide(job(status=looked.status), seen(present(), **_on_cluster((overview(), None))))  # type: ignore[arg-type]
    assert "StopJob" in acts(lost)


# a status that somebody wrote


@table(
    ("written", "mark", "fields", "allowed"),
    "a job of another FlinkJob, by its id",
    ({"job_id": job_id(Owner("default", "other", "clicks"), "u", 1)}, None, {"unmarked": True}, False),
    "a job of another FlinkJob, by its mark",
    ({"job_id": OTHERS}, _mark(owner="default/other/clicks"), {"unmarked": True}, False),
    "a job that another FlinkJob claims",
    ({"job_id": OTHERS}, None, {"claims": ("other/clicks",), "unmarked": True}, False),
    "a job that no operator started",
    ({"job_id": OTHERS}, None, {}, False),
    "such a job that was adopted, while the annotation names it",
    ({"job_id": OTHERS, "reason": SubmissionReason.ADOPTED}, None, {"adopt": OTHERS}, True),
    "such a job where it is allowed",
    ({"job_id": OTHERS}, None, {"unmarked": True}, True),
    "a job with this FlinkJob's mark",
    ({"job_id": OTHERS}, _mark(), {}, True),
    "a run of an earlier version",
    ({"job_id": earlier_job_id(OWNER, UID, 1)}, None, {}, True),
)
@pytest.mark.threat("foreign-job")
@pytest.mark.parametrize("state", ["Suspended", "Cancelled", "Running", "deleted", "operation"])
def test_a_status_moves_no_job_of_others(
    written: dict[str, Any], mark: Mark | None, fields: dict[str, Any], allowed: bool, state: str
) -> None:
    fields = dict(fields)
    meta: dict[str, Any] = {"annotations": {"flinkjob.dev/adopt": fields.pop("adopt", "0" * 32)}}
    wanted = spec(args=["new"], parallelism=1) if state == "Running" else spec()
    match state:
        case "Suspended" | "Cancelled":
            wanted = spec(state=state)
        case "deleted":
            meta |= deleted()
    status = FlinkJobStatus(submission=run(**written))
    if state == "operation":
        status = replace(status, operation=operation(OperationKind.CANCEL, job_id=OTHERS))
    there = seen(present(job_id=written["job_id"]), mark=mark)
    decision = decide(job(wanted, status, **meta), there, **fields)
    touched = [act for act in decision.actions if isinstance(act, StopJob | CancelJob | RescaleJob)]
    assert {act.job_id for act in touched} == ({written["job_id"]} if allowed else set())
    if not allowed and state == "deleted":
        assert acts(decision) == ["RemoveFinalizer"]
        assert told(decision) == ["LeftBehind"]
    elif not allowed:
        assert decision.status.plan is not None
        assert decision.status.plan.reason == "OwnedByOther"


def test_no_savepoint_of_a_job_of_others_is_taken_for_its_flinkjob() -> None:
    status = FlinkJobStatus(submission=run(job_id=OTHERS))
    refused = decide(job(status=status), seen(present(job_id=OTHERS)))
    asked = decide_sp(savepoint(), refused.status, seen(present(job_id=OTHERS)))
    assert (asked.status.phase, acts(asked)) == ("Pending", [])


# another operator


def test_the_same_name_under_another_identity_keeps_it_from_starting() -> None:
    unknown_jobs = {OTHERS: _mark(owner="other/shop/clicks")}
    decision = decide(job(held=False), seen(unknown_jobs=unknown_jobs))
    assert decision.status.plan is not None
    assert decision.status.plan.reason == "OwnedByOther"
    assert (decision.status.submission, acts(decision)) == (None, [])
    assert conditions(decision) == "Stalled, unhealthy"
    assert decision.requeue_after == 10


@pytest.mark.parametrize("identity", ["other", IDENTITY])
def test_the_same_name_under_another_identity_is_known_by_the_id(identity: str) -> None:
    theirs = job_id(Owner(identity, "shop", "clicks"), "u", 3)
    decision = decide(job(held=False), seen(unknown_jobs={theirs: None, OTHERS: None}))
    assert ("RunJob" in acts(decision)) == (identity == IDENTITY)


@pytest.mark.parametrize("owner", ["other/shop/clicks-2", "other/shop-2/clicks", str(OWNER)])
def test_jobs_of_others_are_no_concern(owner: str) -> None:
    assert "RunJob" in acts(decide(job(held=False), seen(unknown_jobs={OTHERS: _mark(owner=owner)})))


def test_nothing_starts_before_it_is_known_whose_jobs_there_are() -> None:
    decision = decide(job(held=False), seen(unknown_jobs=None))
    assert (decision.status.submission, decision.requeue_after) == (None, 0.1)


def test_what_shall_not_run_need_not_know_whose_jobs_there_are() -> None:
    unknown_jobs = {OTHERS: _mark(owner="other/shop/clicks")}
    assert decide(job(spec(state="Suspended"), held=False), seen(unknown_jobs=unknown_jobs)).status.phase == "Suspended"


# the annotation


def _named(state: FlinkJobState = FlinkJobState.RUNNING) -> JobOverview:
    return overview(state, job_id=OTHERS)


@table("mark", "a job without a mark", None, "a job that was the fourth run", _mark(4))
def test_the_annotation_adopts_a_job(mark: Mark | None) -> None:
    named = MarkedJob(overview=_named(), mark=mark)
    decision = decide(job(), seen(adoption_candidate=_named(), marked=(named,)), unmarked=mark is None)
    assert _taken(decision) == (4 if mark else 1, OTHERS)
    assert told(decision) == ["Adopted"]


@table(
    ("name", "mark", "fields"),
    "its mark names another FlinkJob",
    (OTHERS, _mark(owner="default/other/clicks"), {"unmarked": True}),
    "another FlinkJob runs it",
    (OTHERS, None, {"claims": ("other/clicks",), "unmarked": True}),
    "another FlinkJob of the namespace runs it",
    (OTHERS, None, {"claims": ("shop/orders",), "unmarked": True}),
    "its id shows that an operator started it, and its program has erased the mark",
    (job_id(Owner("other", "other", "clicks"), "u", 1), None, {"unmarked": True}),
    "its mark is not that of its id",
    (job_id(Owner("other", "other", "clicks"), "u", 1), _mark(), {"unmarked": True}),
    "no operator started it",
    (OTHERS, None, {}),
)
def test_never_the_job_of_somebody_else(name: str, mark: Mark | None, fields: dict[str, Any]) -> None:
    about = overview(job_id=name)
    named = MarkedJob(overview=about, mark=mark)
    decision = decide(job(held=False), seen(adoption_candidate=about, marked=(named,)), **fields)
    assert decision.status.submission is None
    assert acts(decision) == []
    assert decision.status.plan is not None
    assert decision.status.plan.reason == "OwnedByOther"


def test_never_while_an_own_run_lives() -> None:
    own = MarkedJob(overview=overview(), mark=_mark())
    named = MarkedJob(overview=_named(), mark=None)
    decision = decide(job(), seen(owned_jobs=(overview(),), adoption_candidate=_named(), marked=(own, named)))
    assert _taken(decision) == (1, flink_id())


def test_own_runs_that_ended_do_not_hide_it_and_numbers_only_grow() -> None:
    own = MarkedJob(overview=overview(FlinkJobState.CANCELED, 6), mark=_mark(6))
    named = MarkedJob(overview=_named(), mark=None)
    there = seen(owned_jobs=(overview(FlinkJobState.CANCELED, 6),), adoption_candidate=_named(), marked=(own, named))
    decision = decide(job(), there, unmarked=True)
    assert _taken(decision) == (6, OTHERS)


# the mark of a finished job


@pytest.mark.parametrize(("what", "runs"), [(digest(), False), ("other", True)])
def test_a_finished_job_that_is_restored_without_its_status_does_not_run_again(what: str, runs: bool) -> None:
    mark = json.dumps({"result": "Finished", "digest": what, "number": 9}, sort_keys=True)
    about = job(annotations={"flinkjob.dev/result": mark}, held=False)
    decision = decide(about, seen())
    assert ("RunJob" in acts(decision)) == runs
    if not runs:
        assert decision.status.submission is not None
        assert (decision.status.submission.number, decision.status.phase) == (9, "Finished")
        again = decide(job(status=decision.status, annotations={"flinkjob.dev/result": mark}, held=False), seen())
        assert acts(again) == []


@pytest.mark.parametrize("mark", ["", "{", "[]", '{"number": "x", "digest": 1}', "null"])
def test_a_damaged_mark_is_none(mark: str) -> None:
    about = job(annotations={"flinkjob.dev/result": mark}, held=False)
    assert "RunJob" in acts(decide(about, seen()))


def test_a_status_that_is_there_needs_no_look() -> None:
    status = FlinkJobStatus(submission=None, parallelism=1)
    assert "RunJob" in acts(decide(job(status=status, held=False), seen(cluster=cluster())))
