"""Turns are put off and never dropped: whoever wants one is served within a bound."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinkjob.core.turns import Turns

PAUSE = 0.5
KEYS = st.integers(0, 12)
WISHES = st.lists(st.tuples(st.floats(0, 3), KEYS, st.sampled_from([0.0, 0.0, 1.0, 20.0])), max_size=60)


@pytest.mark.report("turns")
@given(wishes=WISHES)
@settings(max_examples=200)
def test_whoever_is_due_is_served_before_each_other_had_two_turns(wishes: list[tuple[float, int, float]]) -> None:
    """However often and however early the others ask."""
    turns, now = Turns[int](lambda _: PAUSE), 0.0
    due: dict[int, float] = {}
    last = None
    for passes, key, after in [*wishes, *[(PAUSE, 99, 0.0)] * 40]:
        end = now + passes
        while (wait := turns.wait(now)) is not None and now + wait <= end:
            now += wait
            served = turns.take(now)
            assert served is not None
            assert now >= due[served]
            assert last is None or now - last >= PAUSE - 1e-9
            assert now - due.pop(served) <= PAUSE * 14 + 1e-9
            last = now
        now = end
        turns.want(key, now, after=after)
        due[key] = min(due.get(key, now + after), now + after)
    assert set(due) <= {99} | {key for key, moment in due.items() if moment > now - PAUSE * 14}


def test_nobody_is_forgotten_when_all_ask_in_the_same_moment() -> None:
    turns = Turns[int](lambda _: PAUSE)
    served: dict[int, int] = dict.fromkeys(range(20), 0)
    for tick in range(400):
        now = tick * PAUSE
        if tick % 60 == 0:
            for key in served:
                turns.want(key, now)
        if (key_ := turns.take(now)) is not None:
            served[key_] += 1
    assert set(served.values()) == {7}


def test_between_two_turns_is_a_pause_that_depends_on_how_many_want_one() -> None:
    turns = Turns[str](lambda keys: 60.0 / keys)
    turns.want("a", 0)
    turns.want("b", 0)
    turns.want("c", 0)
    assert turns.take(0.0) == "a"
    assert turns.take(29.0) is None
    assert turns.wait(29.0) == 1.0
    assert turns.take(30.0) == "b"
    assert turns.take(89.0) is None
    assert turns.take(90.0) == "c"
    assert turns.wait(90.0) is None


def test_a_wish_can_be_taken_back_and_made_earlier() -> None:
    turns = Turns[str](lambda _: PAUSE)
    turns.want("a", 0, after=100)
    turns.want("b", 0, after=50)
    turns.drop("b")
    assert turns.wait(0) == 100
    turns.want("a", 10)
    turns.want("a", 11, after=500)
    assert turns.take(11) == "a"
    assert len(turns) == 0
