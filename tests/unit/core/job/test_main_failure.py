"""A main() that failed although its job was started: told once, the job left as it is."""

from dataclasses import replace

import pytest

from flinkjob.api.enums import MainFailure, RunResult, SnapshotKind
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.core.errors import SubmitRejection
from flinkjob.core.seen import RunPhase, RunSeen
from tests.support.inputs import (
    acts,
    ago,
    conditions,
    decide,
    ended,
    job,
    plan_of,
    present,
    run,
    seen,
    spec,
    told,
    unseen,
)
from tests.support.tables import table


def answered(kind: SubmitRejection) -> RunSeen:
    """What Flink answered to the run call."""
    return RunSeen(phase=RunPhase.REJECTED, rejection=kind, message="why")


def test_several_jobs_stall_the_flinkjob_and_touch_nothing() -> None:
    about = job(status=FlinkJobStatus(submission=run()))
    decision = decide(about, seen(present(), run=answered(SubmitRejection.MULTIPLE_JOBS)))
    assert (acts(decision), told(decision)) == ([], ["MultipleJobs"])
    assert plan_of(decision) == ("Hold", "MultipleJobs")
    assert conditions(decision) == "Stalled, healthy"
    for answer in (answered(SubmitRejection.MULTIPLE_JOBS), RunSeen()):
        again = decide(job(status=decision.status), seen(present(), run=answer))
        assert (acts(again), told(again), plan_of(again)) == ([], [], ("Hold", "MultipleJobs"))
    replaced = decide(job(spec(args=["one"]), decision.status), seen(present()))
    assert acts(replaced) == ["StopJob"]


def test_periodic_savepoints_go_on() -> None:
    status = FlinkJobStatus(submission=run(main_failure=MainFailure.MULTIPLE_JOBS, started_time=ago(7200)))
    decision = decide(job(spec(savepoints={"interval": "1h"}), status), seen(present()))
    assert acts(decision) == ["CreateSavepoint"]
    assert plan_of(decision) == ("Hold", "MultipleJobs")


def test_the_first_of_several_jobs_that_has_finished_is_no_finished_program() -> None:
    last = ended(RunResult.FINISHED, None, SnapshotKind.EMPTY, main_failure=MainFailure.MULTIPLE_JOBS)
    decision = decide(job(spec(ttlSecondsAfterFinished=0), FlinkJobStatus(submission=last), held=False), seen())
    assert acts(decision) == ["MarkResult"]
    assert plan_of(decision) == ("Hold", "MultipleJobs")
    assert conditions(decision) == "Stalled, unhealthy"


def test_an_answer_that_comes_after_the_end_counts_too() -> None:
    last = ended(RunResult.FINISHED, None, SnapshotKind.EMPTY)
    answer = answered(SubmitRejection.MULTIPLE_JOBS)
    decision = decide(job(status=FlinkJobStatus(submission=last), held=False), seen(run=answer))
    assert told(decision) == ["MultipleJobs"]
    assert plan_of(decision) == ("Hold", "MultipleJobs")


@table("kind", "main threw", SubmitRejection.MAIN_THREW, "main exits", SubmitRejection.EXIT)
def test_another_failure_of_main_is_told_and_the_job_is_ready(kind: SubmitRejection) -> None:
    decision = decide(job(status=FlinkJobStatus(submission=run())), seen(present(), run=answered(kind)))
    assert (acts(decision), told(decision)) == ([], ["MainFailed"])
    assert conditions(decision) == "Ready, healthy"
    again = decide(job(status=decision.status), seen(present(), run=answered(kind)))
    assert told(again) == []


@pytest.mark.parametrize("kind", [kind for kind in SubmitRejection if kind.leaves_job or kind is SubmitRejection.OTHER])
def test_other_answers_say_nothing_of_a_job_that_runs(kind: SubmitRejection) -> None:
    decision = decide(job(status=FlinkJobStatus(submission=run())), seen(present(), run=answered(kind)))
    told_once = ["MultipleJobs"] if kind is SubmitRejection.MULTIPLE_JOBS else []
    assert told(decision) == told_once


def test_without_a_job_main_has_failed_before_it() -> None:
    status = FlinkJobStatus(submission=replace(unseen(), attempts=0))
    decision = decide(job(status=status), seen(run=answered(SubmitRejection.MAIN_THREW)))
    assert decision.status.submission is not None
    assert decision.status.submission.main_failure is None
