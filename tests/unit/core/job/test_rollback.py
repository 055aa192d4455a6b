"""An upgrade that does not get healthy is taken back, to the spec, state and jar from before."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from flinkjob.api.codec import parse_job
from flinkjob.api.enums import SubmissionReason
from flinkjob.api.flinkjob_status import FlinkJobStatus, Rollback
from flinkjob.core.actions import RunJob
from flinkjob.core.facts import Artifact, Fact
from flinkjob.core.flinkmodel import (
    CheckpointConfig,
    FlinkJobState,
)
from tests.support.inputs import (
    JAR,
    NOW,
    acts,
    ago,
    chk,
    conditions,
    decide,
    digest,
    flink_id,
    job,
    plan_of,
    present,
    run,
    seen,
    spec,
    stats,
    told,
)

NEW: dict[str, Any] = {"args": ["new"]}
KEPT = CheckpointConfig(retained=True, retained_on_cancellation=True)


BACK: dict[str, Any] = {"upgrade": {"rollback": {"policy": "Enabled"}}}
OLD_SPEC = parse_job({"metadata": {}, "spec": spec(args=["old"])}).spec
OLD = {"clicks-good": OLD_SPEC}
BAD = run(
    2,
    reason=SubmissionReason.UPGRADE,
    run_digest=digest(**NEW),
    revision="clicks-bad",
    restored_from="file:/before",
    healthy=False,
    intent_time=ago(601),
    artifact_digest="b" * 64,
)


def _upgraded(**fields: Any) -> FlinkJobStatus:
    return FlinkJobStatus(
        submission=replace(BAD, **fields), healthy_revision="clicks-good", healthy_artifact=JAR, history=()
    )


def test_a_run_that_is_not_healthy_by_the_deadline_is_taken_back() -> None:
    failing = seen(present(FlinkJobState.RESTARTING, number=2), revisions=OLD)
    decision = decide(job(spec(**NEW, **BACK), _upgraded()), failing)
    assert told(decision) == ["RolledBack"]
    assert decision.status.rollback is not None
    assert decision.status.rollback.run_digest == digest(**NEW)
    early = decide(job(spec(**NEW, **BACK), _upgraded(intent_time=ago(500))), failing)
    assert early.status.rollback is None
    off = decide(job(spec(**NEW), _upgraded()), failing)
    assert off.status.rollback is None


TAKEN_BACK = Rollback(
    run_digest=digest(**NEW), revision="clicks-good", from_submission=2, since=ago(5), message="taken back"
)


def test_the_healthy_spec_runs_again_from_the_state_before_and_with_its_own_jar() -> None:
    status = replace(_upgraded(), rollback=TAKEN_BACK)
    asked: list[Fact[Any]] = []
    stopping = decide(job(spec(**NEW, **BACK), status), seen(present(number=2), revisions=OLD), asked)
    assert acts(stopping) == ["CancelJob"]
    assert [fact.request.digest for fact in asked if isinstance(fact, Artifact)] == [JAR]
    ended_now = seen(present(FlinkJobState.CANCELED, number=2), revisions=OLD, checkpoints=stats(chk(9)))
    asked.clear()
    started = decide(job(spec(**NEW, **BACK), stopping.status), ended_now, asked)
    assert [fact.request.digest for fact in asked if isinstance(fact, Artifact)] == [JAR]
    sent = next(action for action in started.actions if isinstance(action, RunJob))
    assert (sent.request.savepoint_path, sent.request.args) == ("file:/before", ("old",))
    assert started.status.submission is not None
    assert started.status.submission.reason == "Rollback"
    running = decide(
        job(spec(**NEW, **BACK), started.status),
        seen(present(number=3), revisions=OLD, checkpoint_config=KEPT),
    )
    assert acts(running) == []
    assert conditions(running) == "Stalled, healthy"
    assert plan_of(running) == ("Hold", "RolledBack")


def test_another_spec_ends_the_rollback() -> None:
    status = FlinkJobStatus(submission=run(3, job_id=flink_id(3), run_digest=digest(args=["old"])), rollback=TAKEN_BACK)
    decision = decide(job(spec(args=["newer"], **BACK), status), seen(present(number=3), revisions=OLD))
    assert decision.status.rollback is None
    assert acts(decision) == ["StopJob"]


def test_healthy_is_running_for_long_enough_with_a_checkpoint() -> None:
    every = CheckpointConfig(interval_ms=1000, retained_on_cancellation=True)
    about = spec(**NEW, **BACK)
    for steady, history, config, healthy in (
        (ago(61), (chk(1),), every, True),
        (ago(61), (), every, False),
        (ago(61), (), CheckpointConfig(), True),
        (ago(59), (chk(1),), every, False),
        (None, (chk(1),), every, False),
    ):
        status = _upgraded(steady_since=steady, intent_time=ago(100))
        observation = seen(present(number=2), checkpoint_config=config, checkpoints=stats(*history))
        decision = decide(job(about, status), observation)
        assert decision.status.submission is not None
        assert decision.status.submission.healthy == healthy
        assert (decision.status.healthy_revision, decision.status.healthy_artifact) == (
            ("clicks-bad", "b" * 64) if healthy else ("clicks-good", JAR)
        )
    unsteady = _upgraded(steady_since=ago(61), intent_time=ago(100))
    decision = decide(job(about, unsteady), seen(present(FlinkJobState.RESTARTING, number=2)))
    assert decision.status.submission is not None
    assert decision.status.submission.steady_since is None


def test_a_failed_upgrade_is_taken_back_at_once() -> None:
    observation = seen(present(FlinkJobState.FAILED, number=2), revisions=OLD)
    decision = decide(job(spec(**NEW, **BACK), _upgraded()), observation)
    assert decision.status.rollback is not None


def test_nothing_is_taken_back_to_a_spec_that_is_not_kept_any_more() -> None:
    """What runs goes on from its own newest state, and is not said to be something else."""
    about = spec(**NEW, **BACK)
    failed = seen(present(FlinkJobState.FAILED, number=2), checkpoints=stats(chk(9)), now=NOW + timedelta(seconds=60))
    for rollback in (None, TAKEN_BACK):
        decision = decide(job(about, replace(_upgraded(running=True), rollback=rollback)), failed)
        assert decision.status.rollback is None
        again = decide(job(about, decision.status), replace(failed, now=NOW + timedelta(seconds=120)))
        sent = next(action for action in again.actions if isinstance(action, RunJob))
        assert sent.request.savepoint_path == chk(9).external_path
        assert sent.request.args == ("new",)
