"""When what an action asked for is reached, and when it can no longer be."""

from __future__ import annotations

from typing import Any

import pytest

from flinkjob.api.enums import Phase
from flinkjob.cli.goals import OLD_SECONDS, Outcome, completed, phase_reached, rescaled, running, steadily, unless_old
from tests.unit.cli import objects
from tests.unit.cli.objects import conditions, savepoint


def suspended(generation: int = 2, observed: int = 2, **status: Any) -> dict[str, Any]:
    words = conditions("True", "False", "Suspended", "savepoint s3://sp/1")
    found = objects.running(
        generation=generation, spec={"state": "Suspended"}, **{"phase": "Suspended", "conditions": words, **status}
    )
    found["status"]["observedGeneration"] = observed
    return found


CHANGE = {"state": "Suspended"}


def test_a_phase_counts_only_for_the_generation_of_the_change() -> None:
    judge = phase_reached(Phase.SUSPENDED, CHANGE)
    assert judge(suspended(observed=1)).outcome is Outcome.WAITING
    found = judge(suspended())
    assert (found.outcome, found.words) == (Outcome.REACHED, "Suspended: savepoint s3://sp/1")


def test_another_phase_or_an_unready_object_is_waited_for() -> None:
    judge = phase_reached(Phase.SUSPENDED, CHANGE)
    on_the_way = suspended(phase="Suspending", plan={"message": "stopping"})
    assert judge(on_the_way).outcome is Outcome.WAITING
    assert judge(on_the_way).words == "Suspending: stopping"
    assert judge(suspended(conditions=conditions("False", "False", "Suspending", ""))).outcome is Outcome.WAITING


def test_a_stalled_object_does_not_get_there_alone() -> None:
    found = phase_reached(Phase.SUSPENDED, CHANGE)(
        suspended(conditions=conditions("False", "True", "SavepointFailed", "disk full"))
    )
    assert (found.outcome, found.words) == (Outcome.OUT_OF_REACH, "SavepointFailed: disk full")


def test_a_change_that_somebody_sets_back_is_not_waited_for() -> None:
    found = suspended()
    found["spec"]["state"] = "Running"
    fields = {"f:spec": {"f:state": {}}}
    found["metadata"]["managedFields"] = [
        {"manager": "kubectl-flinkjob", "time": "2026-01-01T00:00:00Z", "fieldsV1": fields},
        {"manager": "argocd-controller", "time": "2026-01-02T00:00:00Z", "fieldsV1": fields},
    ]
    verdict = phase_reached(Phase.SUSPENDED, CHANGE)(found)
    assert (verdict.outcome, verdict.words) == (Outcome.OUT_OF_REACH, "spec.state was set back by argocd-controller")


def test_a_deletion_ends_the_wait() -> None:
    found = suspended()
    found["metadata"]["deletionTimestamp"] = objects.stamp(1)
    assert phase_reached(Phase.SUSPENDED, CHANGE)(found).outcome is Outcome.OUT_OF_REACH


def test_only_a_later_run_counts() -> None:
    found = objects.running()
    assert running({}, after=3)(found).outcome is Outcome.REACHED
    assert running({}, after=4)(found).outcome is Outcome.WAITING
    assert running({}, job_id=objects.JOB_ID)(found).outcome is Outcome.REACHED
    assert running({}, job_id="f" * 32)(found).outcome is Outcome.OUT_OF_REACH
    assert running({}, job_id="f" * 32)(objects.running(submission=None)).outcome is Outcome.WAITING


def test_a_change_of_a_job_that_is_wanted_down_is_reached_when_it_is_down() -> None:
    change = {"parallelism": 8}
    down = suspended()
    down["spec"] |= change
    verdict = rescaled(change, 8)(down)
    assert verdict.outcome is Outcome.REACHED
    assert verdict.words == "Suspended: savepoint s3://sp/1; the change takes effect when it runs again"
    down["status"]["phase"] = "Suspending"
    assert running(change)(down).outcome is Outcome.WAITING
    assert running(change, after=4)(down).words == "spec.state is Suspended now"
    assert running(change, after=4)(down).outcome is Outcome.OUT_OF_REACH


def test_a_job_that_has_come_to_its_own_end_meanwhile_has_run() -> None:
    finished = objects.running(phase="Finished", conditions=conditions("True", "False", "Finished", "done"))
    finished["status"]["submission"] |= {"end": {"result": "Finished"}, "running": False}
    assert running({})(finished).outcome is Outcome.REACHED
    assert running({}, after=3)(finished).outcome is Outcome.REACHED
    assert running({}, after=4)(finished).outcome is Outcome.WAITING


def test_what_was_wrong_before_an_annotation_counts_only_after_a_while() -> None:
    """An annotation makes no new generation: the old condition looks like an answer to it."""
    before = suspended(conditions=conditions("False", "True", "JobNotFound", "no such job"))
    before["spec"]["state"] = "Running"
    other = {**before, "status": {**before["status"], "conditions": conditions("False", "True", "NotOurs", "marked")}}
    clock = iter([0.0, 1.0, OLD_SECONDS + 1.0]).__next__
    judge = unless_old(running({}, job_id=objects.JOB_ID), before, clock=clock)
    assert judge(before).outcome is Outcome.WAITING
    assert judge(other).outcome is Outcome.OUT_OF_REACH
    assert judge(before).words == "JobNotFound: no such job"


def test_a_job_that_fails_a_moment_later_is_not_reached() -> None:
    now = 0.0
    judge = steadily(running({}, after=3), 5.0, clock=lambda: now)
    well = objects.running()
    failure = {"lastFailure": {"time": objects.stamp(0), "jobId": objects.JOB_ID, "rootCause": "no broker"}}
    words = conditions("False", "False", "Restarting", "no broker")
    outcomes = []
    for seconds, found in (
        (0.0, well),
        (4.9, well),
        (0.2, objects.running(phase="Restarting", conditions=words, **failure)),
        (1.0, objects.running(**failure)),
        (4.9, objects.running(**failure)),
        (0.2, objects.running(**failure)),
    ):
        now += seconds
        outcomes.append(judge(found))
    assert [each.outcome is Outcome.REACHED for each in outcomes] == [False] * 5 + [True]
    assert outcomes[1].words == "run 4: Running: 2 tasks are running; reached once it has run for 5 s"
    assert outcomes[2].words == "Restarting: no broker"
    assert outcomes[5].words == "run 4: Running: 2 tasks are running"


def test_only_what_runs_has_to_be_steady() -> None:
    finished = objects.running(phase="Finished", conditions=conditions("True", "False", "Finished", "done"))
    finished["status"]["submission"]["end"] = {"result": "Finished"}
    assert steadily(running({}), 5.0)(finished).outcome is Outcome.REACHED
    assert steadily(running({}), 0.0)(objects.running()).outcome is Outcome.REACHED
    stuck = objects.running(conditions=conditions("False", "True", "JobHeld", "it is down"))
    assert steadily(running({}), 5.0)(stuck).outcome is Outcome.OUT_OF_REACH


@pytest.mark.parametrize(
    "status",
    [{"operation": {"kind": "Rescale"}}, {"plan": {"step": "Preflight"}}, {"phase": "Rescaling"}, {"submission": None}],
)
def test_a_job_that_is_still_being_changed_is_waited_for(status: dict[str, Any]) -> None:
    assert running({})(objects.running(**status)).outcome is Outcome.WAITING


def test_what_a_merge_patch_took_away_holds_when_it_is_away() -> None:
    found = objects.running(spec={"flinkConfiguration": {"a": "1"}})
    assert running({"flinkConfiguration": {"a": "1", "b": None}, "args": None})(found).outcome is Outcome.REACHED
    assert running({"flinkConfiguration": {"a": None}})(found).outcome is Outcome.OUT_OF_REACH


def test_a_savepoint_is_complete_failed_or_on_its_way() -> None:
    done = completed(savepoint("sp", "s3://sp/1", phase="Completed"))
    assert (done.outcome, done.words) == (Outcome.REACHED, "savepoint s3://sp/1")
    failed = completed(savepoint("sp", phase="Failed", error={"errorCode": "Timeout", "message": "10m are over"}))
    assert (failed.outcome, failed.words) == (Outcome.OUT_OF_REACH, "savepoint sp failed: Timeout: 10m are over")
    assert completed(savepoint("sp")).words == "savepoint Pending"
    assert completed(savepoint("sp", phase="Syncing")).outcome is Outcome.WAITING


def test_a_program_that_sets_its_own_parallelism_is_named() -> None:
    found = objects.running(spec={"parallelism": 5})
    assert rescaled({"parallelism": 5}, 5)(found).words.endswith("; in Flink it has parallelism 2")
    found["status"]["job"]["parallelism"] = 5
    assert rescaled({"parallelism": 5}, 5)(found).words == "run 4: Running: 2 tasks are running"
