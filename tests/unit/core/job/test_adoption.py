"""First start without a status: what is found on the cluster is taken over, by number, mark or annotation."""

import json

import pytest

from flinkjob.api.enums import RunResult
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.core.flinkmodel import FlinkJobState, JobOverview
from flinkjob.core.identity import Mark
from flinkjob.core.model import JobDecision, MarkedJob
from tests.support.inputs import (
    OWNER,
    UID,
    acts,
    chk,
    cluster,
    conditions,
    decide,
    digest,
    flink_id,
    job,
    overview,
    present,
    seen,
    silent,
    spec,
    stats,
    told,
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


# another operator


def test_the_same_name_under_another_identity_keeps_it_from_starting() -> None:
    unknown_jobs = {OTHERS: _mark(owner="other/shop/clicks")}
    decision = decide(job(held=False), seen(unknown_jobs=unknown_jobs))
    assert decision.status.plan is not None
    assert decision.status.plan.reason == "OwnedByOther"
    assert (decision.status.submission, acts(decision)) == (None, [])
    assert conditions(decision) == "Stalled, unhealthy"
    assert decision.requeue_after == 10


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
    decision = decide(job(), seen(adoption_candidate=_named(), marked=(named,)))
    assert _taken(decision) == (4 if mark else 1, OTHERS)
    assert told(decision) == ["Adopted"]


def test_never_the_job_of_somebody_else() -> None:
    named = MarkedJob(overview=_named(), mark=_mark(owner="default/other/clicks"))
    decision = decide(job(held=False), seen(adoption_candidate=_named(), marked=(named,)))
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
    decision = decide(
        job(), seen(owned_jobs=(overview(FlinkJobState.CANCELED, 6),), adoption_candidate=_named(), marked=(own, named))
    )
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
