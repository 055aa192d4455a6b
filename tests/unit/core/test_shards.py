"""Clusters shared out: an address has one shard, the shards are spread evenly, and few of them move."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from flinkjob.core.shards import assignment, shard_of

NAMES = st.sets(st.sampled_from("abcdefgh"), min_size=1)


def _balanced(wanted: dict[int, str], replicas: set[str], shards: int) -> bool:
    counts = Counter(dict.fromkeys(replicas, 0)) + Counter(wanted.values())
    every = [counts.get(name, 0) for name in replicas]
    return set(wanted) == set(range(shards)) and set(wanted.values()) <= replicas and max(every) - min(every) <= 1


@given(st.data(), NAMES, st.integers(1, 32))
def test_shards_are_spread_evenly_and_as_few_move_as_that_allows(
    data: st.DataObject, living: set[str], shards: int
) -> None:
    held = data.draw(st.dictionaries(st.integers(0, shards - 1), st.sampled_from(sorted(living))))
    wanted = dict(assignment(held, living, shards))
    assert _balanced(wanted, living, shards)
    moved = sum(wanted[shard] != name for shard, name in held.items())
    has, fair = Counter(held.values()), shards // len(living)
    more = shards % len(living)
    above = sorted((count - fair for count in has.values() if count > fair), reverse=True)
    assert moved == sum(above) - min(more, len(above))


@given(NAMES, st.integers(1, 32), st.data())
def test_where_a_replica_ends_only_its_shards_move(living: set[str], shards: int, data: st.DataObject) -> None:
    before = dict(assignment({}, living, shards))
    ended = data.draw(st.sampled_from(sorted(living)))
    if len(living) == 1:
        return
    rest = {shard: name for shard, name in before.items() if name != ended}
    after = assignment(rest, living - {ended}, shards)
    assert {shard for shard in before if before[shard] != after[shard]} == set(before) - set(rest)


@given(NAMES, st.integers(1, 32))
def test_what_is_spread_evenly_stays(living: set[str], shards: int) -> None:
    wanted = assignment({}, living, shards)
    assert assignment(wanted, living, shards) == wanted


def test_addresses_are_spread_over_all_shards() -> None:
    found = Counter(shard_of(f"http://cluster-{number}.ns.svc:8081", 8) for number in range(800))
    assert set(found) == set(range(8))
    assert max(found.values()) < 150
    assert shard_of("http://anything", 1) == 0
