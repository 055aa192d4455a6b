"""What each owner holds, against the plain way to find it out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flinkjob.runtime.holdings import Holdings

OWNERS, THINGS = "abc", "xyz"


@given(st.lists(st.tuples(st.sampled_from(OWNERS), st.lists(st.sampled_from(THINGS), max_size=3)), max_size=12))
def test_it_knows_what_a_search_would_find(changes: list[tuple[str, list[str]]]) -> None:
    held, plain = Holdings[str](), dict[str, set[str]]()
    for owner, things in changes:
        held.put(owner, things)
        plain[owner] = set(things)
        assert held.all() == set().union(*plain.values())
        for thing in THINGS:
            holders = {each for each, has in plain.items() if thing in has}
            assert (thing in held) == bool(holders)
            for each in OWNERS:
                assert held.by_others(each, thing) == bool(holders - {each})
