"""Names and pauses that follow from what they stand for; every reason explained."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flinkjob.api.reasons import Reason
from flinkjob.core.backoff import delay_seconds, remaining_seconds
from flinkjob.core.identity import (
    Owner,
    attempt_directory,
    digest_of,
    earlier_job_id,
    is_chosen_by,
    jar_name,
    job_id,
    mark_parameters,
    name_in,
    number_of,
    prefix_of,
    read_mark,
    revision_name,
    trigger_id,
)
from flinkjob.core.units import readable_duration, readable_size
from tests.support.tables import table

OWNER = Owner("default", "shop", "clicks")
REFERENCE = Path(__file__).parents[3] / "crds" / "README.md"


def test_a_job_id_shows_its_owner_and_is_its_own_for_every_run() -> None:
    ids = [job_id(OWNER, uid, number) for uid in ("a", "b") for number in (1, 2, 3)]
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) and one.startswith(OWNER.prefix) for one in ids)
    assert len(set(ids)) == len(ids)
    assert len({Owner(*names).prefix for names in (("a", "b", "c"), ("a", "bc", ""), ("ab", "", "c"))}) == 3


def test_a_job_id_shows_by_itself_that_an_operator_chose_it_which_one_and_for_whom() -> None:
    mine = job_id(OWNER, "u", 7)
    assert OWNER.owns(mine)
    assert is_chosen_by("default", mine)
    assert not is_chosen_by("other", mine)
    assert Owner("other", "shop", "clicks").shares_name(mine)
    assert not Owner("other", "shop", "clicks").owns(mine)
    assert not Owner("default", "shop", "orders").shares_name(mine)
    assert prefix_of(mine) == prefix_of(job_id(OWNER, "v", 9)) == OWNER.prefix
    assert name_in("e" * 32) is None


def test_ids_of_earlier_versions_are_known() -> None:
    before = earlier_job_id(OWNER, "u", 7)
    assert re.fullmatch(r"[0-9a-f]{32}", before)
    assert OWNER.owns(before)
    assert number_of(before, OWNER, "u") == 7
    assert number_of(before, OWNER, "other") is None
    assert prefix_of(before) == OWNER.earlier_prefix
    assert before == "911e0a978d56e4c80414503f87bc9f57", "what they really chose"


def test_runs_of_one_object_never_share_an_id() -> None:
    assert len({job_id(OWNER, "u", number) for number in range(1, 9000)}) == 8999


@pytest.mark.parametrize("name", ["", "zzzzzzzz", "+1200000", "١" * 8])
def test_what_flink_calls_an_id_may_be_anything(name: str) -> None:
    assert number_of(OWNER.prefix + name, OWNER, "u") is None
    assert number_of(OWNER.earlier_prefix + name, OWNER, "u") is None


@pytest.mark.parametrize("number", [1, 2, 100, 4095, 4096, 4097, 65535])
def test_the_number_of_a_run_is_found_in_its_id(number: int) -> None:
    assert number_of(job_id(OWNER, "u", number), OWNER, "u") == number
    assert number_of(job_id(OWNER, "other", number), OWNER, "u") is None
    assert number_of(job_id(Owner("x", "shop", "clicks"), "u", number), OWNER, "u") is None


def test_the_mark_comes_back() -> None:
    parameters = mark_parameters(OWNER, "u", 7, "d")
    mark = read_mark(parameters | {"own": "x"})
    assert mark is not None
    assert (mark.owner, mark.uid, mark.number, mark.digest) == ("default/shop/clicks", "u", 7, "d")


@table(
    "change",
    "an owner without slashes",
    {"flinkjob.dev/owner": "no-slashes"},
    "an owner with too many parts",
    {"flinkjob.dev/owner": "a/b/c/d"},
    "a submission that is no number",
    {"flinkjob.dev/submission": "x"},
)
def test_a_damaged_mark_is_none(change: dict[str, str]) -> None:
    assert read_mark(mark_parameters(OWNER, "u", 7, "d") | change) is None
    assert read_mark({}) is None


def test_other_names() -> None:
    where = attempt_directory("s3://b/sp/", namespace="n", name="j", uid="u", submission=3, kind="Stop", attempt=2)
    assert where == "s3://b/sp/n/j/u/3-stop-2"
    assert jar_name("one", "d") != jar_name("two", "d")
    assert jar_name("one", "d").endswith("-d.jar")
    revisions = {revision_name("clicks", uid, found) for uid in ("u", "v") for found in ("0123456789abcdef", "fedc")}
    assert len(revisions) == 4
    assert all(re.fullmatch(r"clicks-[0-9a-f]{10}", each) for each in revisions)
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1}) != digest_of({"a": 1})
    ids = {trigger_id("u", n, kind, a) for n in (1, 2) for kind in ("Stop", "Savepoint") for a in (1, 2)}
    assert len(ids) == 8


@pytest.mark.parametrize("attempts", range(12))
def test_pauses_grow_with_jitter_up_to_their_limit(attempts: int) -> None:
    pauses = {delay_seconds(attempts, seed=str(seed), initial=2.0, maximum=60.0) for seed in range(50)}
    expected = min(2.0 * 2 ** max(attempts - 1, 0), 60.0)
    assert all(expected * 0.8 <= pause <= min(expected * 1.2, 60.0) for pause in pauses)
    assert len(pauses) > 10
    assert delay_seconds(attempts, seed="x") == delay_seconds(attempts, seed="x")


def test_a_pause_never_overflows() -> None:
    assert delay_seconds(10**9, seed="x") == pytest.approx(300.0, rel=0.21)


def test_every_reason_is_explained_in_the_reference() -> None:
    text = REFERENCE.read_text()
    missing = [reason.value for reason in Reason if f"`{reason.value}`" not in text]
    assert missing == []
    assert all(reason.explanation.endswith(".") for reason in Reason)


def test_a_reason_is_found_by_its_word() -> None:
    assert Reason.of("JobLost", Reason.Pending) is Reason.JobLost
    assert Reason.of("of a later version", Reason.Pending) is Reason.Pending
    assert Reason.of(None, Reason.BackOff) is Reason.BackOff


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (1023, "1023"), (1024, "1.0Ki"), (150 * 1024, "150Ki"), (1288490189, "1.2Gi"), (3 * 1024**5, "3072Ti")],
)
def test_sizes(count: int, text: str) -> None:
    assert readable_size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0s"), (61, "1m1s"), (3600, "1h"), (90061, "25h1m1s"), (-5, "0s")])
def test_durations(seconds: float, text: str) -> None:
    assert readable_duration(timedelta(seconds=seconds)) == text


def test_a_pause_is_never_longer_than_one_can_be() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    left = [remaining_seconds(now + timedelta(seconds=pause), now) for pause in (-1, 0, 0.5, 300, 301, 10**7)]
    assert left == [0.0, 0.0, 0.5, 300.0, 0.0, 0.0]
    assert remaining_seconds(None, now) == 0.0
    assert remaining_seconds(now + timedelta(seconds=301), now, longest=400.0) == 301.0
