"""Permits and shares: no group has more than its share, none that has nothing waits, and groups take turns."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinkjob.core.shares import Line, Permit, Shares, WaitingList

GROUPS = st.sampled_from("abcdefghij")
STEPS = st.lists(st.tuples(st.sampled_from(["take", "give", "aside"]), GROUPS, st.integers(0, 50)), max_size=120)


@given(limit=st.integers(1, 6), each=st.integers(1, 6), steps=STEPS)
@settings(max_examples=200)
def test_every_share_is_kept_and_nobody_is_left_without(
    limit: int, each: int, steps: list[tuple[str, str, int]]
) -> None:
    shares = Shares(limit, each=each)
    held: list[tuple[str, Permit]] = []
    aside: set[int] = set()
    for step, group, which in steps:
        if step == "take" and shares.may(group):
            held.append((group, shares.take(group)))
        elif held and step == "give":
            _, permit = held.pop(which % len(held))
            aside.discard(id(permit))
            permit.give_back()
            permit.give_back()  # once is enough
        elif held and step == "aside":
            _, permit = held[which % len(held)]
            if permit.set_aside():
                aside.add(id(permit))
        mine = Counter(group for group, _ in held)
        working = len(held) - len(aside)
        assert max(mine.values(), default=0) <= each
        assert working <= 2 * limit
        assert len(aside) == shares.aside <= limit
        if working < limit:
            assert all(shares.may(group) == (mine[group] < each) for group in "abcdefghij")
        elif working < 2 * limit:
            assert all(shares.may(group) == (mine[group] == 0) for group in "abcdefghij")
        else:
            assert not any(shares.may(group) for group in "abcdefghij")


def test_groups_take_turns_and_who_came_first_in_one_is_first() -> None:
    line = Line[str]()
    for number, item in enumerate(["a1", "a2", "a3", "b1", "a1", "b2", "c1"]):
        line.add(item[0], item, number)
    assert (len(line), line.oldest()) == (6, 0)
    taken = [line.take(lambda _: True) for _ in range(3)]
    line.discard("a", "a2")
    line.discard("z", "z1")
    line.add("a", "a4", 9)
    taken += [line.take(lambda group: group != "a")]
    while found := line.take(lambda _: True):
        taken.append(found)
    assert [found[1] for found in taken if found] == ["a1", "b1", "c1", "b2", "a3", "a4"]
    assert (len(line), line.oldest()) == (0, None)


@given(items=st.lists(st.tuples(GROUPS, st.integers(0, 30)), unique=True, max_size=80))
def test_between_two_turns_of_a_group_each_other_that_waits_has_one(items: list[tuple[str, int]]) -> None:
    line = Line[tuple[str, int]]()
    for item in items:
        line.add(item[0], item, 0.0)
    left, last = Counter(group for group, _ in items), dict[str, int]()
    for turn in range(len(items)):
        found = line.take(lambda _: True)
        assert found is not None
        group = found[0]
        for other in left:
            if other != group and left[other] and group in last:
                assert last.get(other, -1) > last[group]
        left[group] -= 1
        last[group] = turn


def test_one_more_than_its_share_leaves_a_place_for_another_group() -> None:
    shares = Shares(2, each=1)
    assert shares.may("a", "x")
    for group in ("a", "a", "b"):
        shares.take(group)
    assert not shares.may("a", "x"), "it has one more already"
    assert not shares.may("b", "x"), "the last permit is for a group that has none"
    assert shares.may("c", "x")


@given(limit=st.integers(1, 6), each=st.integers(1, 6), steps=STEPS)
@settings(max_examples=200)
def test_nobody_waits_who_may_have_a_place_and_who_came_first_is_first(
    limit: int, each: int, steps: list[tuple[str, str, int]]
) -> None:
    shares = Shares(limit, each=each)
    waiting, held = WaitingList[int](shares), list[Permit]()
    wanting: dict[int, tuple[str, str]] = {}
    for number, (step, group, which) in enumerate(steps):
        part = "xy"[which % 2]
        if step == "take" and (permit := waiting.enter(group, part)) is not None:
            held.append(permit)
        elif step == "take":
            waiting.add(group, part, number)
            wanting[number] = (group, part)
        elif step == "aside" and wanting:
            given_up = list(wanting)[which % len(wanting)]
            waiting.discard(*wanting.pop(given_up), given_up)
        elif held:
            waiting.give_back(held.pop(which % len(held)))
        while (found := waiting.take()) is not None:
            assert found[0] == min(each for each in wanting if wanting[each] == wanting[found[0]])
            del wanting[found[0]]
            held.append(found[1])
        assert len(waiting) == len(wanting)
        assert not any(shares.may(*each) for each in wanting.values())


@pytest.mark.invariant(12)
@given(chance=st.randoms(use_true_random=False), wishes=st.lists(st.integers(1, 3), min_size=3, max_size=8))
@settings(max_examples=100)
def test_who_has_no_place_is_served_before_any_other_group_is_twice(chance: Random, wishes: list[int]) -> None:
    shares = Shares(1, each=1)
    waiting, held = WaitingList[int](shares), list[Permit]()
    wanted, passed_by = Counter[str](), {str(group): Counter[str]() for group in range(len(wishes))}
    for number in range(60):
        for group in chance.sample(sorted(passed_by), len(passed_by)):
            if not shares.of(group) and not wanted[group]:  # all come again, each with as many wishes as ever
                wanted[group] = wishes[int(group)]
                for wish in range(wanted[group]):
                    waiting.add(group, "", number * 10 + wish)
        while (found := waiting.take()) is not None:
            served = found[1].group
            held.append(found[1])
            wanted[served] -= 1
            for group, times in passed_by.items():
                passed_by[group] = Counter() if shares.of(group) or not wanted[group] else times + Counter([served])
            assert max((n for times in passed_by.values() for n in times.values()), default=0) <= 1
        waiting.give_back(held.pop(chance.randrange(len(held))))
