"""`savepoints.syncTo` of a FlinkJob: whose turn it is, what FlinkSavepoints and FlinkJob say meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinkjob.api.codec import FlinkSavepoint, dump_status, parse_job, parse_savepoint
from flinkjob.api.enums import SavepointErrorCode, SavepointOrigin, SavepointPhase
from flinkjob.api.sync import JobSyncToSpec, SyncError, SyncStatus
from flinkjob.core.actions import DeleteObject, PostEvent
from flinkjob.core.copies.queue import copy_turns, kept_until_copied
from flinkjob.core.copies.savepoint_copy import (
    LOOK_SECONDS,
    CopyPhase,
    CopySeen,
    follow_copy,
    snapshot_view,
    wanted_copy,
)
from flinkjob.core.model import SavepointDecision
from tests.support.copies import BEGUN, URI, copied, given_up, taken, wanted
from tests.support.inputs import (
    NOW,
    ago,
    decide_sp,
    present,
    seen,
    spec,
    told,
)
from tests.support.tables import table

DONE = CopySeen(phase=CopyPhase.DONE, sequence_number=1, uri=f"{URI}/shop/clicks/1-7", objects=2, bytes=9)
FAILED = CopySeen(phase=CopyPhase.FAILED, message="503")


SYNC = wanted().savepoints.sync_to
assert SYNC is not None


def turn(*savepoints: FlinkSavepoint, **sync: Any) -> str | None:
    return copy_turns(wanted(**sync), savepoints, NOW).by_job


def test_the_oldest_that_was_not_copied() -> None:
    assert turn(taken("b", 10), taken("a", 20), taken("c", 5)) == "u-a"
    assert turn(taken("a", 20, copied(1)), taken("b", 10), taken("c", 5)) == "u-b"
    assert turn(taken("a", 20, given_up()), taken("b", 10)) == "u-b"
    assert turn(taken("a", 20, BEGUN), taken("b", 10)) == "u-a"
    assert turn(taken("a", 20, copied(1))) is None


def test_what_is_older_than_a_copy_is_passed_over() -> None:
    assert turn(taken("a", 20), taken("b", 10, copied(1))) is None
    assert turn(taken("a", 20), taken("b", 10, copied(1)), taken("c", 5)) == "u-c"


def test_of_the_same_second_the_one_that_flink_took_first() -> None:
    assert turn(taken("a", 5, number=8), taken("b", 5, number=7)) == "u-b"
    assert turn(taken("a", 5, number=8), taken("b", 5)) is None, "Flink has not told yet"
    assert turn(taken("a", 15, number=8), taken("b", 15)) == "u-a"
    assert turn(taken("a", 5, number=8), taken("b", 5, BEGUN)) == "u-b"


def test_what_was_begun_keeps_its_turn() -> None:
    assert turn(taken("a", 20), taken("b", 10, BEGUN)) == "u-b"


def test_only_the_named_origins() -> None:
    upgrade = taken("a", 20, origin=SavepointOrigin.UPGRADE)
    assert turn(upgrade, taken("b", 10), origins=["Periodic"]) == "u-b"
    assert turn(upgrade, origins=["Upgrade", "Deletion"]) == "u-a"
    assert turn(taken("c", 5, origin=None), origins=["Manual"]) == "u-c"


@table(
    "fields",
    "one with a place of its own",
    {"syncTo": {"uri": URI}},
    "one that was made elsewhere",
    {"mode": "Existing", "location": "file:/elsewhere"},
    "a checkpoint",
    {"type": "Checkpoint"},
)
def test_who_is_not_meant(fields: dict[str, Any]) -> None:
    assert turn(taken("a", 20, **fields)) is None


def test_nothing_without_the_field() -> None:
    nothing = parse_job({"metadata": {}, "spec": spec()}).spec
    assert copy_turns(nothing, (taken("a", 20),), NOW).by_job is None
    assert copy_turns(None, (taken("a", 20),), NOW).by_job is None


# the FlinkSavepoint


def follow(
    about: FlinkSavepoint, seen_copy: CopySeen | None, by_job: JobSyncToSpec | None = SYNC, now: datetime = NOW
) -> SavepointDecision:
    return follow_copy(about, SavepointDecision(status=about.status), seen_copy, now, by_job)


def test_the_intent_comes_first_and_the_phase_stays() -> None:
    about = taken("a", 20)
    assert wanted_copy(about, about.status, NOW, SYNC) is None
    decision = follow(about, None)
    assert decision.status.phase is SavepointPhase.COMPLETED
    assert decision.status.sync is not None
    begun = replace(about, status=decision.status)
    request = wanted_copy(begun, begun.status, NOW, SYNC)
    assert request is not None
    assert request.target == SYNC
    assert request.job == "clicks"


def test_a_copy_that_is_done_is_told_and_stays_told() -> None:
    about = taken("a", 20, BEGUN)
    decision = follow(about, DONE)
    assert told(decision) == ["Synced"]
    assert {c.type: c.status for c in decision.status.conditions}["Synced"] == "True"
    over = replace(about, status=decision.status)
    assert follow(over, None, None).status == decision.status
    assert wanted_copy(over, over.status, NOW, SYNC) is None


def test_a_failure_is_told_once_and_never_given_up() -> None:
    about, now = taken("a", 20, BEGUN), NOW
    events = []
    for _ in range(12):
        decision = follow(about, FAILED, now=now)
        events += told(decision)
        sync = decision.status.sync
        assert sync is not None
        assert sync.end_time is None
        assert sync.retry_time is not None
        assert 0 < (sync.retry_time - now).total_seconds() <= 60
        assert decision.status.phase is SavepointPhase.COMPLETED
        about, now = replace(about, status=decision.status), sync.retry_time
    assert events == ["SyncFailed"]


@pytest.mark.parametrize(
    ("code", "attempts"),
    [
        (SavepointErrorCode.SNAPSHOT_NOT_SELF_CONTAINED, 1),
        (SavepointErrorCode.NO_SNAPSHOT, 5),
        (SavepointErrorCode.VERIFY_FAILED, 5),
    ],
)
def test_a_spoiled_snapshot_is_given_up(code: SavepointErrorCode, attempts: int) -> None:
    """But after ten minutes only: a volume may be away for a while."""
    about, now, tries = taken("a", 20, BEGUN), NOW, 0
    while (sync := about.status.sync) is not None and sync.end_time is None:
        tries, now = tries + 1, now + timedelta(minutes=2)
        about = replace(about, status=follow(about, replace(FAILED, code=code, permanent=True), now=now).status)
    assert tries == attempts
    assert turn(about, taken("b", 5)) == "u-b"
    assert snapshot_view(about).status.phase is SavepointPhase.COMPLETED


def test_a_wrong_place_is_tried_again_since_it_may_be_mended() -> None:
    decision = follow(taken("a", 20, BEGUN), replace(FAILED, code=SavepointErrorCode.OWNED_BY_OTHER, permanent=True))
    assert decision.status.sync is not None
    assert decision.status.sync.retry_time is not None


def test_what_was_begun_is_forgotten_when_it_is_not_wanted_any_more() -> None:
    assert follow(taken("a", 20, BEGUN), None, None).status.sync is None


OWN: dict[str, Any] = {"syncTo": {"uri": URI}}


# any history


@dataclass
class World:
    """FlinkSavepoints of one job, and a store that numbers what is copied to it."""

    savepoints: list[FlinkSavepoint]
    now: datetime
    copies: list[str]


def _round(world: World, outcome: str) -> None:
    """What the reconciler does for them in one round, with a copy that comes out so."""
    now = copy_turns(wanted(), tuple(map(snapshot_view, world.savepoints)), world.now)
    at_work = []
    for index, one in enumerate(world.savepoints):
        by_job, later = SYNC if one.meta.uid == now.by_job else None, one.meta.uid in now.later
        request = wanted_copy(one, one.status, world.now, by_job) if not later else None
        seen_copy = None
        if request is not None:
            at_work.append(request.uid)
            match outcome:
                case "done":
                    world.copies.append(one.meta.name)
                    seen_copy = replace(DONE, sequence_number=len(world.copies))
                case "working":
                    seen_copy = CopySeen(phase=CopyPhase.WORKING, bytes_total=9)
                case "spoiled":
                    seen_copy = replace(FAILED, code=SavepointErrorCode.SNAPSHOT_NOT_SELF_CONTAINED, permanent=True)
                case _:
                    seen_copy = FAILED
        decided = decide_sp(snapshot_view(one), observation=seen(present(), now=world.now))
        decision = follow_copy(one, decided, seen_copy, world.now, by_job, later=later)
        own = OWN if one.spec is not None and one.spec.sync_to is not None else {}
        raw = {
            "metadata": {"namespace": one.meta.namespace, "name": one.meta.name, "uid": one.meta.uid},
            "spec": {"jobRef": {"name": "clicks"}, **own},
            "status": dump_status(decision.status),
        }
        world.savepoints[index] = parse_savepoint(raw)
        assert not [action for action in decision.actions if not isinstance(action, PostEvent)]
    assert len(at_work) <= 1, at_work


STEPS = ("done", "working", "spoiled", "failed", "taken", "own", "gone", "later")


@pytest.mark.copying("every-savepoint", "one-order")
@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(STEPS), max_size=40))
def test_one_at_a_time_in_their_order_and_none_twice(history: list[str]) -> None:
    world, made = World([], NOW, []), 0
    for step in [*history, *["done"] * 60]:
        world.now += timedelta(seconds=70)
        if step in ("taken", "own"):
            made += 1
            world.savepoints.insert(0, taken(f"s{made:02}", -70.0 * made, **(OWN if step == "own" else {})))
        elif step == "gone" and world.savepoints:
            world.savepoints.pop()
        elif step != "later":
            _round(world, step)
    assert world.copies == sorted(set(world.copies))
    assert not copy_turns(wanted(), tuple(map(snapshot_view, world.savepoints)), world.now).awaited
    own = [one for one in world.savepoints if one.spec is not None and one.spec.sync_to is not None]
    assert all(one.status.sync is not None and one.status.sync.end_time is not None for one in own)


# savepoints with a `syncTo` of their own


@pytest.mark.copying("one-order")
def test_one_order_for_what_the_job_and_what_savepoints_ask_for() -> None:
    """The highest number is the newest state, whoever asked for the copy."""
    older, newer = taken("a", 20), taken("b", 10, **OWN)
    both = copy_turns(wanted(), (older, newer), NOW)
    assert (both.by_job, both.later) == ("u-a", {"u-b"})
    older, newer = taken("a", 20, **OWN), taken("b", 10)
    both = copy_turns(wanted(), (older, newer), NOW)
    assert (both.by_job, both.later, both.awaited) == (None, {"u-b"}, {"u-b"})
    both = copy_turns(wanted(), (taken("a", 20, given_up(), **OWN), newer), NOW)
    assert (both.by_job, both.later) == ("u-b", frozenset())


def test_another_place_has_an_order_of_its_own() -> None:
    elsewhere = taken("a", 20, syncTo={"uri": "s3://another/place"})
    now = copy_turns(wanted(), (elsewhere, taken("b", 10)), NOW)
    assert (now.by_job, now.later) == ("u-b", frozenset())
    assert copy_turns(wanted(), (taken("c", 20), taken("d", 10, syncTo={"uri": f"{URI}/"})), NOW).later == {"u-d"}


def test_what_is_older_than_a_copy_that_a_savepoint_asked_for_is_passed_over() -> None:
    assert turn(taken("a", 20), taken("b", 10, copied(1), **OWN)) is None
    assert turn(taken("a", 20), taken("b", 10, given_up(), **OWN)) == "u-a"
    assert turn(taken("a", 20), taken("b", 10, copied(1), syncTo={"uri": "s3://another/place"})) == "u-a"
    unknown = taken("b", 10, copied(1), mode="Existing", location="file:/b", **OWN)
    assert turn(taken("a", 20), unknown) == "u-a", "nobody knows when it was taken"


@pytest.mark.copying("one-order")
def test_what_fails_for_the_job_lets_others_go_first_and_keeps_its_error() -> None:
    """It is tried for ever, by access of its own: another savepoint need not wait for that."""
    error = SyncError(error_code=SavepointErrorCode.STORE_ERROR, message="403", time=ago(2))
    failing = taken("a", 20, replace(BEGUN, sequence_number=4, failures=2, error=error))
    other = taken("b", 10, **OWN)
    now = copy_turns(wanted(), (failing, other), NOW)
    assert (now.by_job, now.later) == ("u-a", {"u-a"})
    held = follow_copy(failing, SavepointDecision(status=failing.status), None, NOW, SYNC, later=True)
    assert held.status.sync == failing.status.sync
    assert held.status.phase is SavepointPhase.COMPLETED
    at_work = taken("a", 20, replace(BEGUN, sequence_number=4))
    assert copy_turns(wanted(), (at_work, other), NOW).later == {"u-b"}


def test_of_the_same_second_neither_goes_until_flink_tells_which_was_first() -> None:
    pair = (taken("a", 1), taken("b", 1, **OWN))
    now = copy_turns(wanted(), pair, NOW)
    assert (now.by_job, now.later) == (None, {"u-a", "u-b"})
    told_apart = (taken("a", 1, number=8), taken("b", 1, number=7, **OWN))
    now = copy_turns(wanted(), told_apart, NOW)
    assert (now.by_job, now.later) == (None, {"u-a"})


@pytest.mark.copying("order-of-snapshots")
def test_copies_that_savepoints_ask_for_are_made_in_the_order_of_their_snapshots() -> None:
    """Also when the older one's store fails for a while: the highest number is the newest state."""
    waiting = [taken("b", 10, BEGUN, **OWN), taken("a", 20, BEGUN, **OWN), taken("c", 5, **OWN)]
    assert copy_turns(None, tuple(waiting), NOW).later == {"u-b", "u-c"}
    elsewhere = taken("d", 1, syncTo={"uri": "s3://another/place"})
    assert copy_turns(None, (*waiting, elsewhere), NOW).later == {"u-b", "u-c"}
    numbered = taken("b", 10, replace(BEGUN, sequence_number=7), **OWN)
    assert copy_turns(None, (numbered, *waiting[1:]), NOW).later == {"u-a", "u-c"}
    assert copy_turns(None, (waiting[0], taken("a", 20, given_up(), **OWN)), NOW).later == frozenset()
    held = follow_copy(waiting[2], SavepointDecision(status=waiting[2].status), None, NOW, later=True)
    assert held.status.phase is SavepointPhase.SYNCING
    assert held.requeue_after == LOOK_SECONDS


@pytest.mark.copying("order-of-snapshots")
@table(
    ("sync", "is_awaited", "goes"),
    "a copy that has not begun keeps it",
    (None, False, False),
    "a copy under way keeps it",
    (BEGUN, False, False),
    "a copy that ended less than its time ago keeps it",
    (copied(1, age=30), False, False),
    "a copy that ended longer than its time ago lets it go",
    (copied(1, age=90), False, True),
    "a copy that was given up lets it go",
    (given_up(age=90), False, True),
    "a copy that was given up keeps it while somebody waits for it",
    (given_up(age=90), True, False),
)
def test_the_time_to_live_counts_from_the_end_of_the_copy(
    sync: SyncStatus | None, is_awaited: bool, goes: bool
) -> None:
    about = taken("a", 9000, sync, ttlSecondsAfterFinished=60, **OWN)
    decision = SavepointDecision(status=about.status, actions=(DeleteObject(),))
    kept = kept_until_copied(about, decision, NOW, is_awaited=is_awaited)
    assert (kept.actions == decision.actions) == goes
    assert goes or kept.requeue_after is not None


def test_the_time_to_live_waits_for_the_copy_of_the_flinkjob() -> None:
    about = taken("a", 9000, ttlSecondsAfterFinished=60)
    decision = SavepointDecision(status=about.status, actions=(DeleteObject(),))
    awaits = copy_turns(wanted(), (about,), NOW).awaited
    assert kept_until_copied(about, decision, NOW, is_awaited=about.meta.uid in awaits).actions == ()
    assert kept_until_copied(about, decision, NOW, is_awaited=False).actions == decision.actions
