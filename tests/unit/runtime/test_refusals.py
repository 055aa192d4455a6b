"""When a FlinkSavepoint that was refused is tried again."""

from __future__ import annotations

from dataclasses import replace

from flinkjob.api.codec import Meta
from flinkjob.runtime.refusals import LONGEST_PAUSE, Refusals

KEY = ("ns", "a")
META = Meta(namespace="ns", name="s", uid="u", generation=1, resource_version="1")


def test_pauses_grow_to_a_limit() -> None:
    refusals = Refusals()
    assert refusals.pause(META) == 0
    pauses = [refusals.note(KEY, META) for _ in range(12)]
    assert pauses[0] < pauses[2] < pauses[4] < LONGEST_PAUSE + 0.01
    assert pauses[-1] > LONGEST_PAUSE / 2
    assert 0 < refusals.pause(META) <= LONGEST_PAUSE


def test_one_that_changed_is_tried_at_once_and_still_counts_as_refused() -> None:
    refusals = Refusals()
    refusals.note(KEY, META)
    assert refusals.pause(replace(META, resource_version="2")) == 0
    assert refusals.of(KEY) == {"u"}
    assert refusals.of(("ns", "b")) == set()


def test_one_that_is_accepted_or_gone_is_forgotten() -> None:
    refusals = Refusals()
    refusals.note(KEY, META)
    refusals.accepted(META)
    assert refusals.of(KEY) == set()
    refusals.note(KEY, META)
    refusals.retain(KEY, frozenset({"other"}))
    assert refusals.of(KEY) == set()
    assert refusals.pause(META) == 0
