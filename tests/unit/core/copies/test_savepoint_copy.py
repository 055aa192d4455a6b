"""What follows a snapshot with `syncTo`: intent, progress, an end that stays, and failures with a code of a closed list."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinkjob.api.codec import FlinkSavepoint, dump_status, parse_savepoint
from flinkjob.api.constants import MAX_STATUS_BYTES
from flinkjob.api.enums import CopyCheck, SavepointErrorCode, SavepointPhase
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus, SavepointError
from flinkjob.api.sync import SyncError, SyncStatus
from flinkjob.core.actions import PostEvent
from flinkjob.core.copies.savepoint_copy import (
    PROGRESS_SECONDS,
    CopyPhase,
    CopySeen,
    follow_copy,
    snapshot_view,
    wanted_copy,
)
from flinkjob.core.model import SavepointDecision
from tests.support.inputs import NOW, ago, conditions, savepoint
from tests.support.tables import table

TARGET: dict[str, Any] = {"syncTo": {"uri": "s3://backup/team", "credentialsSecretRef": {"name": "store"}}}
MADE = FlinkSavepointStatus(
    phase=SavepointPhase.COMPLETED,
    location="file:/savepoints/savepoint-1",
    job_id="a" * 32,
    checkpoint_id=7,
    end_time=ago(30),
)
BEGUN = SyncStatus(start_time=ago(20), observed_time=ago(20))
SYNCING = replace(MADE, phase=SavepointPhase.SYNCING, sync=BEGUN)
WORKING = CopySeen(phase=CopyPhase.WORKING, sequence_number=3, objects=1, objects_total=4, bytes=10, bytes_total=100)
DONE = CopySeen(
    phase=CopyPhase.DONE,
    sequence_number=3,
    uri="s3://backup/team/shop/clicks/0000000000000000003-7",
    objects=4,
    objects_total=4,
    bytes=100,
    bytes_total=100,
)


def broken(
    code: SavepointErrorCode = SavepointErrorCode.STORE_ERROR, *, permanent: bool = False, message: str = "503"
) -> CopySeen:
    return replace(WORKING, phase=CopyPhase.FAILED, code=code, message=message, permanent=permanent)


def follow(about: FlinkSavepoint, seen: CopySeen | None = None, now: datetime = NOW) -> SavepointDecision:
    """As the reconciler does it: the decision about the snapshot is made on the view of it."""
    return follow_copy(about, SavepointDecision(status=snapshot_view(about).status), seen, now)


def synced(status: FlinkSavepointStatus, **fields: Any) -> FlinkSavepoint:
    return savepoint(status=status, **TARGET, **fields)


def told(decision: SavepointDecision) -> list[str]:
    return [str(action.reason) for action in decision.actions if isinstance(action, PostEvent)]


def sync_of(decision: SavepointDecision) -> SyncStatus:
    assert decision.status.sync is not None
    return decision.status.sync


# the intent


def test_the_intent_is_in_the_status_before_anything_is_copied() -> None:
    complete = synced(MADE)
    assert wanted_copy(complete, MADE, NOW) is None
    decision = follow(complete)
    assert (decision.status.phase, conditions(decision)) == (SavepointPhase.SYNCING, "Reconciling, not synced")
    assert decision.requeue_after is not None
    assert decision.requeue_after < 1
    written = synced(decision.status)
    assert wanted_copy(written, decision.status, NOW) is not None


def test_without_sync_to_nothing_changes() -> None:
    plain = savepoint(status=MADE)
    before = SavepointDecision(status=MADE, requeue_after=5.0)
    assert follow_copy(plain, before, None, NOW) == before
    assert wanted_copy(plain, MADE, NOW) is None


@pytest.mark.parametrize("phase", [SavepointPhase.PENDING, SavepointPhase.IN_PROGRESS, SavepointPhase.FAILED, None])
def test_a_snapshot_that_is_not_complete_is_not_copied(phase: SavepointPhase | None) -> None:
    status = replace(MADE, phase=phase, location=None)
    decision = SavepointDecision(status=status)
    assert follow_copy(synced(status), decision, None, NOW) == decision
    assert wanted_copy(synced(status), status, NOW) is None


def test_a_deleted_object_ends_its_copy() -> None:
    gone = synced(SYNCING, meta={"deletionTimestamp": "2026-01-01T11:59:59Z"})
    assert wanted_copy(gone, gone.status, NOW) is None
    assert follow(gone, WORKING).status.phase is SavepointPhase.SYNCING


def test_the_same_place_has_the_same_token_whoever_asks() -> None:
    one, other = synced(SYNCING), savepoint("other", SYNCING, **TARGET)
    known_later = synced(replace(SYNCING, checkpoint_id=None))
    elsewhere = synced(replace(SYNCING, location="file:/savepoints/savepoint-2"))
    about = (one, other, known_later, elsewhere)
    tokens = [wanted.token for each in about if (wanted := wanted_copy(each, each.status, NOW))]
    assert tokens[0] == tokens[1] == tokens[2] != tokens[3]


@table(
    ("fields", "labels", "job"),
    "the job that it names",
    ({"jobRef": {"name": "clicks"}}, {"flinkjob.dev/job": "other"}, "clicks"),
    "the id of the job without a name",
    ({"jobRef": None, "target": {"cluster": {"url": "http://f:1"}, "jobId": "b" * 32}}, {}, "a" * 32),
    "the job in its label",
    ({"jobRef": None, "target": {"cluster": {"url": "http://f:1"}, "jobId": "b" * 32}}, {"flinkjob.dev/job": "x"}, "x"),
)
def test_the_place_is_named_after_the_job(fields: dict[str, Any], labels: dict[str, str], job: str) -> None:
    given_fields = {"jobRef": {"name": "clicks"}} | fields
    spec = {key: value for key, value in given_fields.items() if value is not None}
    manifest = {
        "metadata": {"namespace": "shop", "name": "sp", "uid": "u", "generation": 1, "labels": labels},
        "spec": spec | TARGET,
        "status": dump_status(SYNCING),
    }
    about = parse_savepoint(manifest)
    wanted = wanted_copy(about, about.status, NOW)
    assert wanted is not None
    assert (wanted.namespace, wanted.job) == ("shop", job)


# progress


def test_progress_is_written_at_most_every_ten_seconds() -> None:
    known = replace(BEGUN, bytes_total=100, objects_total=4, observed_time=ago(PROGRESS_SECONDS - 1))
    soon = follow(synced(replace(SYNCING, sync=known)), WORKING)
    assert sync_of(soon) == known
    assert soon.requeue_after == pytest.approx(1.0)
    late = follow(synced(replace(SYNCING, sync=replace(known, observed_time=ago(PROGRESS_SECONDS)))), WORKING)
    assert (sync_of(late).bytes, sync_of(late).objects, sync_of(late).observed_time) == (10, 1, NOW)
    assert "10 of 100 in 1 files" in (late.status.conditions[0].message or "")


def test_the_length_is_written_as_soon_as_it_is_known() -> None:
    first = follow(synced(replace(SYNCING, sync=replace(BEGUN, observed_time=ago(1)))), WORKING)
    assert (sync_of(first).bytes_total, sync_of(first).objects_total) == (100, 4)


# the end


def test_a_copy_that_is_done() -> None:
    decision = follow(synced(SYNCING), DONE)
    assert (decision.status.phase, conditions(decision)) == (SavepointPhase.COMPLETED, "Ready, synced")
    assert told(decision) == ["Synced"]
    sync = sync_of(decision)
    assert (sync.sequence_number, sync.uri, sync.end_time, sync.verified) == (3, DONE.uri, NOW, CopyCheck.SIZE)
    assert sync.duration == "20s"
    after = follow(synced(decision.status), None, NOW + timedelta(hours=1))
    assert (after.status, after.actions, after.requeue_after) == (decision.status, (), None)
    assert wanted_copy(synced(decision.status), decision.status, NOW) is None


def test_a_success_after_failures_forgets_the_error_and_keeps_the_count() -> None:
    failed = follow(synced(SYNCING), broken())
    good = follow(synced(failed.status), DONE, NOW + timedelta(minutes=5))
    assert (good.status.phase, good.status.error, sync_of(good).error, sync_of(good).failures) == (
        SavepointPhase.COMPLETED,
        None,
        None,
        1,
    )


@pytest.mark.parametrize("code", list(SavepointErrorCode))
def test_a_permanent_failure_is_final_and_has_code_message_and_details(code: SavepointErrorCode) -> None:
    decision = follow(synced(SYNCING), broken(code, permanent=True, message="it says no\nand more"))
    error = decision.status.error
    assert (decision.status.phase, conditions(decision)) == (SavepointPhase.FAILED, "Stalled, not synced")
    assert error is not None
    assert (error.error_code, error.message, error.details) == (code, "it says no and more", "s3://backup/team")
    assert told(decision) == ["SyncFailed"]
    assert decision.status.location == MADE.location
    assert wanted_copy(synced(decision.status), decision.status, NOW + timedelta(days=1)) is None


def test_a_failure_that_may_pass_is_tried_again_after_a_pause() -> None:
    decision = follow(synced(SYNCING), broken())
    sync = sync_of(decision)
    assert (decision.status.phase, conditions(decision), sync.failures) == (
        SavepointPhase.SYNCING,
        "Reconciling, not synced",
        1,
    )
    assert decision.status.conditions[0].reason == "BackOff"
    assert sync.error is not None
    assert sync.retry_time is not None
    assert sync.retry_time > NOW
    waiting = synced(decision.status)
    assert wanted_copy(waiting, waiting.status, NOW) is None
    assert wanted_copy(waiting, waiting.status, sync.retry_time) is not None
    quiet = follow(waiting, None)
    assert (dump_status(quiet.status), quiet.actions) == (dump_status(decision.status), ())


def test_after_the_last_attempt_it_is_given_up() -> None:
    status = SYNCING
    for attempt in (1, 2, 3):
        decision = follow(synced(status, backoffLimit=2), broken())
        status = decision.status
        assert sync_of(decision).failures == attempt
    assert status.phase is SavepointPhase.FAILED


# the snapshot beside its copy


def test_the_snapshot_counts_as_complete_whatever_becomes_of_its_copy() -> None:
    error = SavepointError(error_code=SavepointErrorCode.STORE_ERROR, message="no")
    for status in (SYNCING, replace(SYNCING, phase=SavepointPhase.FAILED, error=error)):
        view = snapshot_view(synced(status)).status
        assert (view.phase, view.error, view.location) == (SavepointPhase.COMPLETED, None, MADE.location)
    failed = FlinkSavepointStatus(phase=SavepointPhase.FAILED, error=error)
    assert snapshot_view(synced(failed)).status == failed


SEEN = st.one_of(
    st.none(),
    st.builds(
        CopySeen,
        phase=st.sampled_from(CopyPhase),
        sequence_number=st.integers(1, 2**63 - 1),
        uri=st.one_of(st.none(), st.just(DONE.uri)),
        objects=st.integers(0, 10**6),
        objects_total=st.one_of(st.none(), st.integers(1, 10**6)),
        bytes=st.integers(0, 2**50),
        bytes_total=st.one_of(st.none(), st.integers(1, 2**50)),
        code=st.sampled_from(SavepointErrorCode),
        message=st.text(max_size=3000),
        permanent=st.booleans(),
    ),
)


@pytest.mark.copying("status-rules")
@settings(max_examples=150, deadline=None)
@given(steps=st.lists(st.tuples(SEEN, st.floats(0.1, 40)), max_size=25), limit=st.integers(0, 3))
def test_every_history_keeps_the_rules(steps: list[tuple[CopySeen | None, float]], limit: int) -> None:
    """Through the codec each round: one end, bounded failures, no needless write, always the whole of the conditions."""
    about, now, events, known = synced(MADE, backoffLimit=limit), NOW, 0, 0
    for seen, pause in steps:
        now += timedelta(seconds=pause)
        before = about.status
        wanted = wanted_copy(about, about.status, now)
        if wanted is None:
            seen = None
        elif seen is None:
            seen = WORKING
        decision = follow(about, seen, now)
        sync = sync_of(decision)
        over = sync.end_time is not None
        assert conditions(decision) in (
            {"Ready, synced", "Stalled, not synced"} if over else {"Reconciling, not synced"}
        )
        assert decision.status.phase in (
            (SavepointPhase.COMPLETED, SavepointPhase.FAILED) if over else (SavepointPhase.SYNCING,)
        )
        assert (decision.requeue_after is None) == over
        assert sync.failures <= limit + 1
        assert (decision.status.error is not None) == (decision.status.phase is SavepointPhase.FAILED)
        assert len(json.dumps(dump_status(decision.status))) < MAX_STATUS_BYTES
        if before.sync is not None:
            quiet = seen is None or seen.phase is CopyPhase.WORKING
            ticked = (now - (before.sync.observed_time or now)).total_seconds() >= PROGRESS_SECONDS
            first = before.sync.bytes_total is None
            if quiet and not ticked and not first and before.sync.error is None:
                assert decision.status == before
            if before.sync.end_time is not None:
                assert (decision.status, decision.actions) == (before, ())
        if sync.sequence_number is not None and seen is not None:
            known = sync.sequence_number
        assert (sync.sequence_number or 0) == known, "a number that was told is not forgotten"
        events += len(told(decision))
        about = synced(decision.status, backoffLimit=limit)
        assert dump_status(about.status) == dump_status(decision.status), "it survives the API server"
    if about.status.sync is not None:
        good = about.status.phase is SavepointPhase.COMPLETED and about.status.sync.end_time is not None
        assert events == about.status.sync.failures + good


def test_an_error_is_part_of_the_status_while_it_is_tried_again() -> None:
    kept = SyncError(error_code=SavepointErrorCode.STORE_ERROR, message="503", time=NOW)
    assert sync_of(follow(synced(SYNCING), broken())).error == kept
