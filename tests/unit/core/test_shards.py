"""Clusters shared out: an address has one shard, the shards are spread evenly, and few of them move."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinkjob.api.enums import OperationKind, RunResult
from flinkjob.api.flinkjob_status import ClusterInfo, FlinkJobStatus, Submission
from flinkjob.core.actions import Action, AddFinalizer
from flinkjob.core.model import JobDecision
from flinkjob.core.shards import LeaseNames, assignment, home, leaves, place_of, shard_of, staying
from tests.support import inputs

SHARDS = 8
HERE = "http://here.ns.svc:8081"
THERE = next(
    url for n in range(99) if shard_of(url := f"http://there-{n}.ns.svc:8081", SHARDS) != shard_of(HERE, SHARDS)
)
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


def _status(url: str | None, **fields: object) -> FlinkJobStatus:
    return replace(FlinkJobStatus(cluster=ClusterInfo(url=url)), **fields)


def test_a_flinkjob_is_where_its_status_says_whatever_its_spec_wants() -> None:
    job = inputs.job(inputs.spec(cluster={"url": THERE}))
    assert home(job) == THERE
    assert home(replace(job, status=FlinkJobStatus(submission=inputs.run(cluster_url=HERE)))) == HERE
    assert home(replace(job, status=_status(HERE, submission=inputs.run(cluster_url=THERE)))) == HERE


def test_a_key_without_a_flinkjob_is_where_the_target_of_its_flinksavepoints_is() -> None:
    target = {"target": {"cluster": {"url": HERE}, "jobId": "a" * 32}, "jobRef": None}
    there = {"target": {"cluster": {"url": THERE}, "jobId": "a" * 32}, "jobRef": None}
    one, other = inputs.savepoint("one", **target), inputs.savepoint("other", **there)
    key = ("ns", "job:a")
    assert place_of(key, None, (one,)) == HERE
    assert place_of(key, None, (one, other)) == place_of(key, None, (other, one)) == "ns/job:a"
    assert place_of(key, None, (inputs.savepoint("named"),)) == "ns/job:a"


@pytest.mark.parametrize(
    ("fields", "actions"),
    [
        ({}, (AddFinalizer(),)),
        ({"submission": inputs.unseen(cluster_url=THERE)}, ()),
        ({"submission": inputs.run(cluster_url=HERE), "operation": inputs.operation(OperationKind.STOP)}, ()),
    ],
    ids=["acted on", "not seen yet", "being stopped"],
)
def test_what_is_begun_is_ended_by_the_replica_that_began_it(
    fields: dict[str, object], actions: tuple[Action, ...]
) -> None:
    job = replace(inputs.job(inputs.spec(cluster={"url": THERE})), status=_status(HERE))
    decision = staying(job, JobDecision(status=_status(THERE, **fields), actions=actions), SHARDS)
    assert decision.status == _status(HERE, **fields)
    assert decision.actions == actions
    assert not leaves(job, decision.status, SHARDS)


AT_REST = [None, inputs.run(cluster_url=THERE), inputs.ended(RunResult.FINISHED, cluster_url=HERE)]


@pytest.mark.parametrize("submission", AT_REST, ids=["never run", "running", "ended"])
def test_a_flinkjob_at_rest_is_handed_over(submission: Submission | None) -> None:
    job = replace(inputs.job(inputs.spec(cluster={"url": THERE})), status=_status(HERE))
    decision = JobDecision(status=_status(THERE, submission=submission))
    assert staying(job, decision, SHARDS) is decision
    assert leaves(job, decision.status, SHARDS)
    assert not leaves(job, decision.status, 1)


def test_within_a_shard_nothing_is_held_back() -> None:
    job = replace(inputs.job(), status=_status(HERE))
    decision = JobDecision(status=_status(THERE), actions=(AddFinalizer(),))
    assert staying(job, decision, 1) is decision


def test_leases_of_one_operator() -> None:
    assert LeaseNames("op", 1).all() == ["op"]
    names = LeaseNames("op", 2)
    assert names.all() == ["op", "op-2-shard-0", "op-2-shard-1", "op-2-replica-0", "op-2-replica-1"]
    assert [name for name in names.all() if names.is_seat(name)] == names.seats
    assert not any(map(LeaseNames.is_seat, LeaseNames("op-of-replica-7", 2).shards))
